//! Finding nvcc and ptxas, and asking them for their versions.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a person may have said what to use.
#[derive(Debug, Default)]
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
const OLDEST_NVCC: (u32, u32) = (11, 8);
/// ptxas of CUDA 12 writes cubins of ELF ABI version 7, which drivers from 525 on accept; that of CUDA 13 writes version 8.
const PTXAS_MAJOR: u32 = 12;

/// The compiler, or `None` where there is none. A place that a person named and that has none is an error.
pub fn find_nvcc(places: &Places) -> Result<Option<Tool>, String> {
    let named = places.nvcc.clone();
    let home = places.cuda_home.iter().map(|home| home.join("bin/nvcc"));
    let path = places.path.iter().map(|folder| folder.join("nvcc"));
    let own = places.toolchain.join("cuda-13.0/bin/nvcc");
    let found = home.chain(path).chain([own]).find(|path| path.is_file());
    let Some(path) = named.or(found) else {
        return Ok(None);
    };
    let tool = version(&path)?;
    if tool.version < OLDEST_NVCC {
        let (major, minor) = tool.version;
        return Err(format!(
            "{}: nvcc {major}.{minor} does not know every target; expected {}.{} or newer (NVCC names another)",
            path.display(),
            OLDEST_NVCC.0,
            OLDEST_NVCC.1
        ));
    }
    Ok(Some(tool))
}

/// The assembler of CUDA 12, or `None` where there is none.
pub fn find_ptxas(places: &Places, nvcc: &Tool) -> Result<Option<Tool>, String> {
    if let Some(named) = &places.ptxas {
        let tool = version(named)?;
        if tool.version.0 != PTXAS_MAJOR {
            let (major, minor) = tool.version;
            return Err(format!(
                "PTXAS={}: version {major}.{minor}, expected {PTXAS_MAJOR}.x, whose cubins drivers from 525 on accept",
                named.display()
            ));
        }
        return Ok(Some(tool));
    }
    let own = places.toolchain.join("ptxas-12.4/bin/ptxas");
    let beside = nvcc.path.with_file_name("ptxas");
    for path in [own, beside].into_iter().filter(|path| path.is_file()) {
        let tool = version(&path)?;
        if tool.version.0 == PTXAS_MAJOR {
            return Ok(Some(tool));
        }
    }
    Ok(None)
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
