//! `tools/gpu_check` from any folder: its options, what it packs, where its report goes. Programs stand in for cargo and for
//! what it builds. And what `tools/gpu_check_hf.py` refuses.
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
        for folder in ["tools", "bin", "elsewhere"] {
            fs::create_dir_all(checkout.path(folder)).unwrap();
        }
        let config = "tests/data/config/deepseek-r1-distill-qwen-1.5b.json";
        for file in [
            "tests/emu_pass/one.ptx",
            "tests/emu_pass/one.expect",
            "tests/golden/tiny/a-head64-b/config.json",
            "tests/golden/tiny/a-head128/config.json",
            "tests/golden/tiny/narrow/config.json",
            config,
        ] {
            let path = checkout.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        for script in ["tools/gpu_check", "tools/gpu_check_hf.py"] {
            symlink(Path::new(ROOT).join(script), checkout.path(script)).unwrap();
        }
        for program in [
            "awk", "basename", "bash", "cat", "chmod", "cp", "date", "dirname", "env", "false",
            "find", "getconf", "git", "grep", "gzip", "mkdir", "mktemp", "objdump", "rm", "sed",
            "sh", "sort", "strip", "tail", "tar", "tee", "true",
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
        let folder = self.path(target).join("release");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("examples")).unwrap();
        for name in ["examples/gpu_check", "qwarp", "generate"] {
            symlink(installed(program), folder.join(name)).unwrap();
        }
    }

    fn command(&self, folder: &str, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path(folder)).args(arguments);
        command.env("PATH", self.path("bin"));
        for variable in ["NVCC", "PTXAS", "REQUIRE_PTX", "CARGO_TARGET_DIR"] {
            command.env_remove(variable);
        }
        if self.path("other").is_dir() {
            command.env("CARGO_TARGET_DIR", self.path("other"));
        }
        command
    }

    fn run(&self, folder: &str, program: &str, arguments: &[&str]) -> Output {
        self.command(folder, program, arguments).output().unwrap()
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
    let expected =
        "transformers where python3, or --python PROGRAM, has torch with CUDA and transformers.";
    assert_eq!(last, expected);
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
        (
            vec!["--run", "--out", "my report"],
            "elsewhere/my report",
            "",
        ),
        (vec!["--run"], "target/gpu_check_report", ""),
        (
            vec!["--run", "--", "--only", "bench"],
            "target/gpu_check_report",
            " --only bench",
        ),
    ];
    for (arguments, folder, more) in cases {
        let run = checkout.run("elsewhere", "../tools/gpu_check", &arguments);
        assert!(run.status.success(), "{}", text(&run.stderr));
        let folder = fs::canonicalize(checkout.path(folder)).unwrap();
        let report = fs::read_to_string(folder.join("report.txt")).unwrap();
        let passed_on = report.split_once("--json ").unwrap().1;
        let file = passed_on.strip_suffix(&format!("{more}\n")).unwrap();
        assert!(file.ends_with("/report.json"), "{report}");
        let found = fs::canonicalize(Path::new(file).parent().unwrap());
        assert_eq!(found.unwrap(), folder);
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
    let count = |folder: &str| fs::read_dir(packed.join(folder)).unwrap().count();
    assert_eq!((count("emu_pass"), count("golden")), (2, 2));
    let text_of = |name: &str| fs::read_to_string(packed.join(name)).unwrap();
    assert_eq!(text_of("commit"), "unknown\n");
    assert!(text_of("config.json").contains("1.5b"));
    assert!(text_of("gpu_check_hf.py").starts_with("#!/usr/bin/env python3"));
    let archive = packed.join("programs.tar.gz");
    let listed = checkout.run("elsewhere", "tar", &["-tzf", archive.to_str().unwrap()]);
    let mut names: Vec<String> = text(&listed.stdout).lines().map(str::to_string).collect();
    names.sort();
    let expected = ["", "generate", "gpu_check", "qwarp"].map(|name| format!("programs/{name}"));
    assert_eq!(names, expected);

    // What is unpacked goes when the run has ended.
    let run = |expected: i32| {
        let scratch = TempDir::new().unwrap();
        let mut command = checkout.command("elsewhere", "../target/gpu_check/run", &[]);
        let run = command.env("TMPDIR", scratch.path()).output().unwrap();
        assert_eq!(run.status.code(), Some(expected), "{}", text(&run.stderr));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        text(&run.stderr)
    };
    run(0);

    // A program that does not start is said to need what it was linked to.
    checkout.built("other", "false");
    let build = checkout.run("elsewhere", "../tools/gpu_check", &[]);
    assert!(build.status.success(), "{}", text(&build.stderr));
    let said = run(2);
    assert!(said.contains("it needs GLIBC_2."), "{said}");
}

#[test]
fn the_tokenizer_is_packed_where_it_is() {
    let checkout = Checkout::new().with_cargo();
    checkout.built("target", "echo");
    let run = || {
        let build = checkout.run("elsewhere", "../tools/gpu_check", &[]);
        assert!(build.status.success(), "{}", text(&build.stderr));
        text(
            &checkout
                .run("elsewhere", "../target/gpu_check/run", &["--last"])
                .stdout,
        )
    };
    let before = run();
    assert!(before.ends_with(" --last\n"), "{before}");
    for flag in ["--cases", "--golden", "--programs", "--config", "--script"] {
        assert!(before.contains(&format!("{flag} ")), "{flag}: {before}");
    }
    assert!(!before.contains("--tokenizer"), "{before}");
    let tokenizer = "models/deepseek-r1-distill-qwen-tokenizer";
    fs::create_dir_all(checkout.path(tokenizer)).unwrap();
    let after = run();
    assert!(after.contains("gpu_check/tokenizer "), "{after}");
}

/// Python without any package: what is wrong with the arguments is said first, then what is missing.
#[test]
fn the_script_names_what_is_wrong() {
    let script = Path::new(ROOT).join("tools/gpu_check_hf.py");
    let run = |arguments: &[&str]| {
        let mut command = Command::new("python3");
        command.args(["-I", "-S"]).arg(&script).args(arguments);
        let output = command.current_dir(ROOT).output().unwrap();
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        assert!(!said.contains("Traceback"), "{said}");
        (output.status.code().unwrap(), said)
    };
    let model = "tests/golden/tiny/tied-gqa6-head64-bf16";
    let speed = ["speed", "--model", model];
    let cases: [(&[&str], &str); 7] = [
        (&[], "the following arguments are required: kind"),
        (&["times"], "invalid choice: 'times'"),
        (&["logits", "--model", model], "--logits"),
        (
            &["logits", "--model", model, "--logits", "none"],
            "none: there is no such file",
        ),
        (
            &["speed", "--model", "docs"],
            "docs/config.json: there is no such file",
        ),
        (
            &["speed", "--model", model, "--tokens", "1"],
            "found 1, expected at least 2",
        ),
        (
            &["speed", "--model", model, "--prefill", "0"],
            "found 0, expected at least 1",
        ),
    ];
    for (arguments, expected) in cases {
        let (code, said) = run(arguments);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let (code, said) = run(&speed);
    assert_eq!(code, 3, "{said}");
    let expected = "unavailable: ModuleNotFoundError: No module named 'torch'\n";
    assert_eq!(said, expected);
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
