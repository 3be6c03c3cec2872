//! A repository with small kernels and a machine with stand-ins for the toolkit, in a folder of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::parts::toolkit::Places;
use crate::parts::{self, Input, Output};

const STAND_INS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/build_tools");

/// Both in one folder.
pub struct Machine {
    folder: TempDir,
    /// Where the compiler may be.
    pub places: Places,
}

/// A kernel of this name with one parameter, as CUDA.
pub fn kernel(name: &str) -> String {
    format!("extern \"C\" __global__ void {name}(uint32_t n) {{}}\n")
}

/// The same as PTX, its parameter of this type.
pub fn entry(name: &str, of: &str) -> String {
    format!(".visible .entry {name}(\n.param .{of} {name}_param_0\n)\n{{\n}}\n")
}

impl Machine {
    /// Two kernel files, of which the first includes a header; nothing is installed.
    pub fn new() -> Machine {
        let folder = TempDir::new().unwrap();
        let toolchain = folder.path().join(".toolchain");
        let machine = Machine {
            folder,
            places: Places {
                toolchain,
                ..Places::default()
            },
        };
        machine.write("cuda/common/a.cuh", "// one\n");
        let first = format!("#include \"common/a.cuh\"\n{}", kernel("first"));
        machine.write("cuda/first.cu", &first);
        machine.write("cuda/second.cu", &kernel("second"));
        machine.write("ptx/first", &entry("first", "u32"));
        machine.write("ptx/second", &entry("second", "u32"));
        machine
    }

    /// The same with nvcc 13.0 and ptxas 12.4 in `.toolchain`.
    pub fn complete() -> Machine {
        let machine = Machine::new();
        machine.install("nvcc", ".toolchain/cuda-13.0/bin", "V13.0.88");
        machine.install("ptxas", ".toolchain/ptxas-12.4/bin", "V12.4.131");
        machine
    }

    /// A path inside the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Puts a program that states `version` into a folder; the program's path.
    pub fn install(&self, program: &str, folder: &str, version: &str) -> PathBuf {
        self.write(&format!("{folder}/version"), &format!("tools, {version}\n"));
        self.write(&format!("{folder}/abi"), "\\007");
        let path = self.path(folder).join(program);
        // A link, never a copy: a program that a parallel test's child still has open for writing cannot be started.
        symlink(Path::new(STAND_INS).join(program), &path).unwrap();
        path
    }

    /// Builds once.
    pub fn build(&self) -> Result<Output, String> {
        self.build_with(true)
    }

    /// The same, with kernels `wanted` or not.
    pub fn build_with(&self, wanted: bool) -> Result<Output, String> {
        let out = self.path("out");
        fs::create_dir_all(&out).unwrap();
        parts::run(&Input {
            root: self.folder.path().to_path_buf(),
            out,
            places: self.places.clone(),
            jobs: 2,
            wanted,
        })
    }

    /// What nvcc was started for since this was last asked, in order of names.
    pub fn compiled(&self) -> Vec<String> {
        let log = self.path("nvcc.log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
        lines.sort();
        lines
    }

    /// The generated Rust.
    pub fn generated(&self) -> String {
        fs::read_to_string(self.path("out/kernels.rs")).unwrap()
    }
}
