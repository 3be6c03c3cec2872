//! `tools/gpu_check` from any folder: its options, what it packs, where its report goes. Programs stand in for cargo and for
//! what it builds.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A repository with the script alone, and a folder of programs that is all of PATH.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Checkout {
        let checkout = Checkout(TempDir::new().unwrap());
        for folder in ["tools", "bin", "elsewhere", "tests/emu_pass"] {
            fs::create_dir_all(checkout.path(folder)).unwrap();
        }
        fs::write(checkout.path("tests/emu_pass/one.ptx"), "one").unwrap();
        fs::write(checkout.path("tests/emu_pass/one.expect"), "1").unwrap();
        let script = Path::new(ROOT).join("tools/gpu_check");
        symlink(script, checkout.path("tools/gpu_check")).unwrap();
        for program in [
            "awk", "basename", "bash", "cat", "chmod", "cp", "date", "dirname", "env", "false",
            "find", "getconf", "git", "grep", "mkdir", "objdump", "rm", "sed", "sh", "sort",
            "strip", "tail", "tee", "true",
        ] {
            symlink(installed(program), checkout.path("bin").join(program)).unwrap();
        }
        checkout
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// With a stand-in for cargo.
    fn with_cargo(self) -> Checkout {
        let cargo = Path::new(ROOT).join("tests/gpu_check_script/cargo");
        symlink(cargo, self.path("bin/cargo")).unwrap();
        self
    }

    /// Puts a program of this machine in the place of what cargo builds.
    fn built(&self, target: &str, program: &str) {
        let folder = self.path(target).join("release/examples");
        fs::create_dir_all(&folder).unwrap();
        symlink(installed(program), folder.join("gpu_check")).unwrap();
    }

    fn run(&self, folder: &str, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.current_dir(self.path(folder)).args(arguments);
        command.env("PATH", self.path("bin"));
        for variable in ["NVCC", "PTXAS", "REQUIRE_PTX", "CARGO_TARGET_DIR"] {
            command.env_remove(variable);
        }
        if self.path("other").is_dir() {
            command.env("CARGO_TARGET_DIR", self.path("other"));
        }
        command.output().unwrap()
    }
}

fn installed(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(program));
    found
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn it_tells_its_usage_from_any_folder() {
    let checkout = Checkout::new();
    let help = checkout.run("tools", "./gpu_check", &["--help"]);
    let usage = text(&help.stdout);
    assert!(help.status.success());
    assert!(usage.starts_with("Makes target/gpu_check/: "), "{usage}");
    let last = usage.lines().last().unwrap();
    assert_eq!(
        last,
        "compute-sanitizer is taken from PATH or /usr/local/cuda/bin."
    );
    let unknown = checkout.run("elsewhere", "../tools/gpu_check", &["--bogus"]);
    assert_eq!(unknown.status.code(), Some(2));
    let said = text(&unknown.stderr);
    assert_eq!(said, format!("error: unknown argument --bogus\n{usage}"));
}

#[test]
fn the_report_goes_where_the_caller_says() {
    let checkout = Checkout::new();
    let none = checkout.run("elsewhere", "../tools/gpu_check", &["--run"]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("no cargo here"));

    // The folder as it came: its `run` prints what it is given.
    fs::create_dir_all(checkout.path("target/gpu_check")).unwrap();
    symlink(installed("echo"), checkout.path("target/gpu_check/run")).unwrap();
    let cases = [
        (vec!["--run", "--out", "my report"], "elsewhere/my report"),
        (vec!["--run"], "target/gpu_check_report"),
    ];
    for (arguments, folder) in cases {
        let run = checkout.run("elsewhere", "../tools/gpu_check", &arguments);
        assert!(run.status.success(), "{}", text(&run.stderr));
        let folder = fs::canonicalize(checkout.path(folder)).unwrap();
        let report = fs::read_to_string(folder.join("report.txt")).unwrap();
        let found = fs::canonicalize(
            Path::new(report.split_once("--json ").unwrap().1.trim())
                .parent()
                .unwrap(),
        );
        assert_eq!(found.unwrap(), folder);
        assert!(report.ends_with("/report.json\n"), "{report}");
    }
}

#[test]
fn what_this_build_made_is_packed() {
    let checkout = Checkout::new().with_cargo();
    // An old binary lies in the usual place, the new one where CARGO_TARGET_DIR says.
    checkout.built("target", "false");
    checkout.built("other", "true");
    let build = checkout.run("elsewhere", "../tools/gpu_check", &[]);
    assert!(build.status.success(), "{}", text(&build.stderr));
    let packed = checkout.path("target/gpu_check");
    let cases = fs::read_dir(packed.join("emu_pass")).unwrap();
    assert_eq!(cases.count(), 2);
    assert_eq!(
        fs::read_to_string(packed.join("commit")).unwrap(),
        "unknown\n"
    );
    let run = checkout.run("elsewhere", "../target/gpu_check/run", &[]);
    assert!(run.status.success(), "{}", text(&run.stderr));

    // A program that does not start is said to need what it was linked to.
    fs::remove_file(packed.join("gpu_check")).unwrap();
    symlink(installed("false"), packed.join("gpu_check")).unwrap();
    let run = checkout.run("elsewhere", "../target/gpu_check/run", &[]);
    assert_eq!(run.status.code(), Some(2));
    let said = text(&run.stderr);
    assert!(said.contains("it needs GLIBC_2."), "{said}");
}

#[test]
fn it_builds_with_the_fetched_compiler() {
    let checkout = Checkout::new().with_cargo();
    checkout.built("target", "true");
    let log = |checkout: &Checkout| {
        let build = checkout.run("elsewhere", "../tools/gpu_check", &[]);
        assert!(build.status.success(), "{}", text(&build.stderr));
        fs::read_to_string(checkout.path("cargo.log")).unwrap()
    };
    assert_eq!(log(&checkout), "  1\n", "what build.rs finds");
    let own = fs::canonicalize(checkout.path(""))
        .unwrap()
        .join(".toolchain");
    fs::create_dir_all(own.join("cuda-13.0/bin")).unwrap();
    symlink(installed("true"), own.join("cuda-13.0/bin/nvcc")).unwrap();
    let own = own.display();
    let expected = format!("{own}/cuda-13.0/bin/nvcc {own}/ptxas-12.4/bin/ptxas 1\n");
    assert_eq!(log(&checkout), expected);
}
