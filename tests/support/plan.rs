//! Running `qwarp plan` and `qwarp inspect`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// A folder that holds `folder`'s config.json and nothing else.
pub fn config_only(folder: &Path) -> TempDir {
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("config.json"), alone.path().join("config.json")).unwrap();
    alone
}

/// Exit code, standard output, standard error.
pub fn qwarp<S: AsRef<str>>(args: &[S]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_qwarp"))
        .args(args.iter().map(AsRef::as_ref))
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// `qwarp plan --json` with more flags, on the CPU unless they say otherwise; it must succeed.
pub fn plan_json<S: AsRef<str>>(folder: &Path, flags: &[S]) -> Value {
    let mut args = vec!["plan", "--json", "--model", folder.to_str().unwrap()];
    args.extend(flags.iter().map(AsRef::as_ref));
    if !args.contains(&"--device") {
        args.extend(["--device", "cpu"]);
    }
    let (code, out, error) = qwarp(&args);
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&out).unwrap()
}
