//! Finding nvcc and ptxas, and asking them for their versions.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a person may have said what to use.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// `NVCC`: the compiler itself.
    pub nvcc: Option<PathBuf>,
    /// `CUDA_HOME`: a toolkit's folder.
    pub cuda_home: Option<PathBuf>,
    /// `PTXAS`: the assembler itself.
    pub ptxas: Option<PathBuf>,
    /// The folders of `PATH`.
    pub path: Vec<PathBuf>,
    /// The repository's own `.toolchain`, which `tools/get-nvcc` fills.
    pub toolchain: PathBuf,
}

/// A program of the toolkit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The program.
    pub path: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
    /// All that it says of its version.
    pub text: String,
}

/// The first toolkit that knows every target that kernels are compiled for.
pub const OLDEST_NVCC: (u32, u32) = (11, 8);
/// ptxas of CUDA 12 writes cubins of ELF ABI version 7, which drivers from 525 on accept; that of CUDA 13 writes version 8.
const PTXAS_MAJOR: u32 = 12;

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// The program, where one does.
    pub tool: Option<Tool>,
    /// What was found before it and does not do, each with the reason.
    pub passed_by: Vec<String>,
}

/// The compiler. What a person named has to do; what is only found, and does not, is passed by: a machine's old toolkit
/// must not stand in the way of a build for the CPU, nor of the one in `.toolchain`.
pub fn find_nvcc(places: &Places) -> Result<Found, String> {
    if let Some(named) = &places.nvcc {
        let tool = named_program(named, places).and_then(|path| new_enough(&path));
        return only(tool.map_err(|e| format!("NVCC={e}")));
    }
    if let Some(home) = &places.cuda_home {
        let path = absolute(home)?.join("bin/nvcc");
        if !path.is_file() {
            let home = home.display();
            return Err(format!("CUDA_HOME={home}: there is no bin/nvcc in it"));
        }
        return only(new_enough(&path).map_err(|e| format!("CUDA_HOME: {e}")));
    }
    let path = places.path.iter().map(|folder| folder.join("nvcc"));
    let own = places.toolchain.join("cuda-13.0/bin/nvcc");
    Ok(first(path.chain([own]), new_enough))
}

/// The assembler of CUDA 12.
pub fn find_ptxas(places: &Places, nvcc: &Tool) -> Result<Found, String> {
    if let Some(named) = &places.ptxas {
        let tool = named_program(named, places).and_then(|path| right_major(&path));
        return only(tool.map_err(|e| format!("PTXAS={e}")));
    }
    let own = places.toolchain.join("ptxas-12.4/bin/ptxas");
    let beside = nvcc.path.with_file_name("ptxas");
    Ok(first([own, beside], right_major))
}

fn only(tool: Result<Tool, String>) -> Result<Found, String> {
    Ok(Found {
        tool: Some(tool?),
        passed_by: Vec::new(),
    })
}

/// The first file that does.
fn first(
    paths: impl IntoIterator<Item = PathBuf>,
    usable: impl Fn(&Path) -> Result<Tool, String>,
) -> Found {
    let mut found = Found::default();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        match absolute(&path).and_then(|path| usable(&path)) {
            Ok(tool) => {
                found.tool = Some(tool);
                break;
            }
            Err(why) => found.passed_by.push(why),
        }
    }
    found
}

/// Where the program that a person named is. It is started in more than one folder, and cargo watches it: both need the
/// whole path, of a bare name too.
fn named_program(named: &Path, places: &Places) -> Result<PathBuf, String> {
    if named.components().count() > 1 {
        return absolute(named);
    }
    let mut found = places.path.iter().map(|folder| folder.join(named));
    let found = found.find(|path| path.is_file());
    absolute(&found.ok_or_else(|| format!("{}: not found in PATH", named.display()))?)
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn new_enough(path: &Path) -> Result<Tool, String> {
    let tool = version(path)?;
    if tool.version < OLDEST_NVCC {
        let ((major, minor), (least, of_it)) = (tool.version, OLDEST_NVCC);
        return Err(format!(
            "{}: version {major}.{minor} does not know every target, expected {least}.{of_it} or newer",
            path.display()
        ));
    }
    Ok(tool)
}

fn right_major(path: &Path) -> Result<Tool, String> {
    let tool = version(path)?;
    if tool.version.0 != PTXAS_MAJOR {
        let (major, minor) = tool.version;
        return Err(format!(
            "{}: version {major}.{minor}, expected {PTXAS_MAJOR}.x, whose cubins drivers from 525 on accept",
            path.display()
        ));
    }
    Ok(tool)
}

fn version(program: &Path) -> Result<Tool, String> {
    let text = run(Command::new(program).arg("--version"))?.0;
    let version = parse_version(&text).ok_or_else(|| {
        let program = program.display();
        format!("{program} --version: no version such as V13.0.88 in what it wrote: {text}")
    })?;
    Ok(Tool {
        path: program.to_path_buf(),
        version,
        text,
    })
}

/// Major and minor of the word `V13.0.88` that CUDA's programs write.
pub fn parse_version(text: &str) -> Option<(u32, u32)> {
    let words = text.split_whitespace();
    let mut numbers = words.filter_map(|word| {
        let mut parts = word.strip_prefix('V')?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    numbers.next()
}

/// Runs a command; what it wrote to standard output and to standard error.
pub fn run(command: &mut Command) -> Result<(String, String), String> {
    let program = command.get_program().to_string_lossy().to_string();
    let output = command
        .output()
        .map_err(|e| format!("{program}: cannot run: {e}"))?;
    let out = String::from_utf8_lossy(&output.stdout).to_string();
    let errors = String::from_utf8_lossy(&output.stderr).to_string();
    if !output.status.success() {
        return Err(format!("{program}: {}\n{out}{errors}", output.status));
    }
    Ok((out, errors))
}
