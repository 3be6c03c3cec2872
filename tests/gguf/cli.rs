//! `qwarp convert` from the command line: output, exit codes, help.

use std::path::Path;
use std::process::{Command, Output};

use super::file::{Gguf, OnDisk};

fn qwarp(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qwarp"))
        .args(args)
        .output()
        .unwrap()
}

fn convert(gguf: &Path, out: &Path, more: &[&str]) -> (i32, String) {
    let mut args = vec![
        "convert",
        "--gguf",
        gguf.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    args.extend(more);
    let output = qwarp(&args);
    assert!(output.stdout.is_empty(), "messages go to stderr");
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn exit_codes_and_messages() {
    let disk = OnDisk::new(&Gguf::valid().bytes());
    let (code, text) = convert(&disk.gguf, &disk.out(), &["--dtype", "f16"]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("14 tensors") && text.contains("of f16"),
        "{text}"
    );

    let (code, text) = convert(&disk.gguf, &disk.out(), &[]);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.starts_with("qwarp: --out: found") && text.contains("--force"),
        "{text}"
    );
    assert_eq!(convert(&disk.gguf, &disk.out(), &["--force"]).0, 0);

    let missing = disk.folder.path().join("none.gguf");
    let (code, text) = convert(&missing, &disk.folder.path().join("x"), &[]);
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("none.gguf") && text.contains("cannot read"),
        "{text}"
    );
    let (code, text) = convert(disk.folder.path(), &disk.folder.path().join("x"), &[]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("a regular file"), "{text}");

    std::fs::write(&disk.gguf, &Gguf::valid().bytes()[..100]).unwrap();
    assert_eq!(convert(&disk.gguf, &disk.folder.path().join("y"), &[]).0, 3);
    let mut other = Gguf::valid();
    other.set(
        "general.architecture",
        super::file::STRING,
        super::file::string("gemma"),
    );
    std::fs::write(&disk.gguf, other.bytes()).unwrap();
    assert_eq!(convert(&disk.gguf, &disk.folder.path().join("y"), &[]).0, 4);
    assert_eq!(
        convert(
            &disk.gguf,
            &disk.folder.path().join("y"),
            &["--dtype", "int8"]
        )
        .0,
        2
    );
    assert!(!disk.folder.path().join("x").exists() && !disk.folder.path().join("y").exists());
}

#[test]
fn help_names_every_flag() {
    let help = String::from_utf8(qwarp(&["convert", "--help"]).stdout).unwrap();
    for flag in [
        "--gguf",
        "--out",
        "--dtype",
        "bf16, f16, f32",
        "--tokenizer-only",
        "--force",
    ] {
        assert!(help.contains(flag), "{flag} is not in: {help}");
    }
}
