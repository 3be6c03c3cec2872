//! One kernel file for one target: CUDA to PTX to cubin, or what an earlier build left of the same text.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::ptx::{PtxEntry, entries, lower_version, pin_rounding, relative_files};
use super::resources::{Usage, usages};
use super::toolkit::{Tool, run};

/// A target and the PTX ISA version that its instructions need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// As in `compute_75`.
    pub number: u32,
    /// Its name in `qwarp::driver::Target`.
    pub variant: &'static str,
    /// The version that the PTX states at most.
    pub isa: (u32, u32),
}

/// Every target, oldest first, as in `qwarp::driver::Target::ALL`.
pub const TARGETS: [Target; 3] = [
    Target {
        number: 75,
        variant: "Sm75",
        isa: (7, 0),
    },
    Target {
        number: 80,
        variant: "Sm80",
        isa: (7, 4),
    },
    Target {
        number: 90,
        variant: "Sm90",
        isa: (7, 8),
    },
];

/// The last four decide bits, so they are written out, defaults too. A product is fused with a sum only where the source says
/// `fmaf`: then a kernel can follow the CPU's operations one by one.
const FLAGS: [&str; 8] = [
    "--ptx",
    "-std=c++17",
    "-O3",
    "-lineinfo",
    "-ftz=false",
    "-prec-div=true",
    "-prec-sqrt=true",
    "-fmad=false",
];
/// A person's defaults for nvcc must not reach what is shipped.
const FLAG_VARIABLES: [&str; 2] = ["NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS"];
/// Where an ELF file states its ABI version, and the one that cubins must have.
const ELF_ABI_AT: usize = 8;
const ELF_ABI: u8 = 7;
/// Raised when the steps after nvcc change, so that older results are made again.
const FORMAT: u32 = 3;

/// What to compile with and where to.
#[derive(Debug)]
pub struct Compiler<'a> {
    /// The repository.
    pub root: &'a Path,
    /// Where results go.
    pub out: &'a Path,
    /// CUDA to PTX.
    pub nvcc: &'a Tool,
    /// PTX to cubin.
    pub ptxas: Option<&'a Tool>,
}

/// A kernel file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name without the extension.
    pub name: String,
    /// Its path from the root, such as `cuda/rms_norm.cu`.
    pub path: String,
    /// It and the headers that it includes, with their texts.
    pub texts: Vec<(PathBuf, String)>,
}

/// What one file became for one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Name of the PTX file in the output folder.
    pub ptx: String,
    /// Name of the cubin beside it, where there is one.
    pub cubin: Option<String>,
    /// The kernels in it.
    pub entries: Vec<PtxEntry>,
    /// What ptxas said of each kernel.
    pub usages: Vec<Usage>,
    /// What nvcc warned of.
    pub warnings: String,
}

impl Compiler<'_> {
    /// Compiles `source` for `target`, unless an earlier build did so from the same text with the same tools.
    pub fn build(&self, source: &Source, target: Target) -> Result<Built, String> {
        let stem = format!("{}.sm_{}", source.name, target.number);
        let key = self.key(source, target);
        let key_file = self.out.join(format!("{stem}.key"));
        if fs::read_to_string(&key_file).is_ok_and(|old| old == key) {
            return self.result(&stem);
        }
        // Without its key, whatever a cut build leaves is made again.
        if key_file.exists() {
            fs::remove_file(&key_file).map_err(|e| failed(&key_file, &e))?;
        }
        self.ptx(source, target, &stem)?;
        self.cubin(target, &stem)
            .map_err(|e| format!("{}: {e}", source.path))?;
        self.write(&key_file, &key)?;
        self.result(&stem)
    }

    /// Everything that the result depends on.
    fn key(&self, source: &Source, target: Target) -> String {
        let ptxas = self.ptxas.map_or("none", |tool| tool.text.as_str());
        let tools = format!("{}\n{ptxas}", self.nvcc.text);
        let mut key = format!("{FORMAT}\n{tools}\n{target:?}\n{FLAGS:?}\n");
        for (path, text) in &source.texts {
            key += &format!("{}\n{text}\n", path.display());
        }
        key
    }

    fn ptx(&self, source: &Source, target: Target, stem: &str) -> Result<(), String> {
        let path = self.out.join(format!("{stem}.ptx"));
        let mut nvcc = Command::new(&self.nvcc.path);
        nvcc.current_dir(self.root)
            .args(FLAGS)
            .arg(format!("-arch=compute_{}", target.number))
            // Names of static functions contain a hash of this path: a relative one, so that every checkout gives the
            // same PTX.
            .args(["-Xcicc", "--orig_src_path_name", "-Xcicc", &source.path])
            .arg(&source.path)
            .arg("-o")
            .arg(&path);
        for variable in FLAG_VARIABLES {
            nvcc.env_remove(variable);
        }
        let (_, warnings) = run(&mut nvcc).map_err(|e| format!("{}: {e}", source.path))?;
        let text = fs::read_to_string(&path).map_err(|e| failed(&path, &e))?;
        let text = lower_version(&text, target.isa).map_err(|e| format!("{}: {e}", source.path))?;
        let text = pin_rounding(&relative_files(&text, &self.root.to_string_lossy()));
        self.write(&path, &text)?;
        self.write(&self.out.join(format!("{stem}.warnings")), &warnings)
    }

    fn cubin(&self, target: Target, stem: &str) -> Result<(), String> {
        let Some(tool) = self.ptxas else {
            return Ok(());
        };
        let mut ptxas = Command::new(&tool.path);
        // In the output folder by bare names: what ptxas writes down of its input names no folder of this machine.
        ptxas
            .current_dir(self.out)
            .args(["-v", "-O3", "-lineinfo"])
            .arg(format!("-arch=sm_{}", target.number))
            .arg(format!("{stem}.ptx"))
            .args(["-o", &format!("{stem}.cubin")]);
        let (_, log) = run(&mut ptxas)?;
        let cubin = self.out.join(format!("{stem}.cubin"));
        let bytes = fs::read(&cubin).map_err(|e| failed(&cubin, &e))?;
        let abi = bytes.get(ELF_ABI_AT).copied();
        if abi != Some(ELF_ABI) {
            return Err(format!(
                "{}: a cubin of ELF ABI version {abi:?}, expected {ELF_ABI}, which drivers from 525 on accept; tools/get-nvcc \
                 gets a ptxas that writes it",
                tool.path.display()
            ));
        }
        self.write(&self.out.join(format!("{stem}.log")), &log)
    }

    fn result(&self, stem: &str) -> Result<Built, String> {
        let read = |end: &str| {
            let path = self.out.join(format!("{stem}.{end}"));
            fs::read_to_string(&path).map_err(|e| failed(&path, &e))
        };
        let log = self.ptxas.map_or(Ok(String::new()), |_| read("log"))?;
        Ok(Built {
            ptx: format!("{stem}.ptx"),
            cubin: self.ptxas.map(|_| format!("{stem}.cubin")),
            entries: entries(&read("ptx")?)?,
            usages: usages(&log)?,
            warnings: read("warnings")?,
        })
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), String> {
        fs::write(path, text).map_err(|e| failed(path, &e))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
