//! Builds the stand-in and runs programs with it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cuda_library/libcuda.c");
/// The names that are looked for, in this order.
const NAMES: [&str; 2] = ["libcuda.so", "libcuda.so.1"];

/// The stand-in's bytes, compiled once.
pub fn library() -> &'static [u8] {
    static LIBRARY: OnceLock<Vec<u8>> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("libcuda.so.1");
        let mut compiler = Command::new("cc");
        compiler.args([
            "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
        ]);
        let output = compiler.arg(&path).arg(SOURCE).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        fs::read(path).unwrap()
    })
}

/// The stand-in without one of its functions: its name is another, so a search for it finds nothing.
pub fn library_without(function: &str) -> Vec<u8> {
    let name = format!("\0{function}\0").into_bytes();
    let mut bytes = library().to_vec();
    let places: Vec<usize> = bytes
        .windows(name.len())
        .enumerate()
        .filter(|(_, window)| *window == name)
        .map(|(i, _)| i)
        .collect();
    assert!(!places.is_empty(), "the stand-in has no {function}");
    for place in places {
        bytes[place + 1] = b'x';
    }
    bytes
}

/// A folder that holds a library, and the log of what was called in it.
pub struct Machine {
    folder: TempDir,
    set: Vec<(&'static str, String)>,
}

impl Machine {
    /// With `library` as libcuda, or with none.
    pub fn new(library: Option<&[u8]>) -> Machine {
        let folder = TempDir::new().unwrap();
        for name in NAMES {
            if let Some(bytes) = library {
                fs::write(folder.path().join(name), bytes).unwrap();
            }
        }
        Machine {
            folder,
            set: Vec::new(),
        }
    }

    /// With a variable that the stand-in reads.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Machine {
        self.set.push((name, value.to_string()));
        self
    }

    fn log(&self) -> PathBuf {
        self.path("log")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments);
        command.env("LD_LIBRARY_PATH", self.folder.path());
        command.env("STUB_LOG", self.log());
        for (name, value) in &self.set {
            command.env(name, value);
        }
        command.output().unwrap()
    }

    /// What `qwarp doctor` prints; it must succeed.
    pub fn doctor(&self) -> String {
        self.qwarp(&["doctor"])
    }

    /// What `qwarp` prints; it must succeed.
    pub fn qwarp(&self, arguments: &[&str]) -> String {
        let output = self.run(env!("CARGO_BIN_EXE_qwarp"), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code of `generate`, and what it printed to standard output and standard error; it must not panic.
    pub fn generate(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.run(env!("CARGO_BIN_EXE_generate"), arguments);
        let [out, said] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(!said.contains("panicked"), "{said}");
        (output.status.code().unwrap(), out, said)
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The exit code of the tour and what it printed; it must not panic.
    pub fn tour(&self) -> (i32, String) {
        self.myself(&[super::tour::ARGUMENT])
    }

    /// The same of this program with `arguments`.
    pub fn myself(&self, arguments: &[&str]) -> (i32, String) {
        let program = std::env::current_exe().unwrap();
        let output = self.run(program.to_str().unwrap(), arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        (output.status.code().unwrap(), text)
    }

    /// What was called and made, line by line.
    pub fn lines(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().map(str::to_string).collect()
    }

    /// The calls in order, each with its code.
    pub fn calls(&self) -> Vec<(String, i32)> {
        let lines = self.lines();
        let calls = lines.iter().filter_map(|line| line.strip_prefix("call "));
        let split = |call: &str| {
            let (name, code) = call.split_once(' ').unwrap();
            (name.to_string(), code.parse().unwrap())
        };
        calls.map(split).collect()
    }

    /// How many of a kind were made and ended.
    pub fn made_and_ended(&self, kind: &str) -> (usize, usize) {
        let lines = self.lines();
        let count = |what: &str| {
            lines
                .iter()
                .filter(|l| **l == format!("{what} {kind}"))
                .count()
        };
        (count("new"), count("end"))
    }
}
