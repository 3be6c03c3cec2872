//! What build.rs does: compiles the kernels in cuda/ for every target and writes their launch stubs.
//!
//! Each part is a pure function where it can be, so that `tests/build_parts.rs` holds it without a compiler.

pub mod compile;
pub mod generate;
pub mod includes;
pub mod lex;
pub mod ptx;
pub mod resources;
pub mod signature;
pub mod toolkit;
pub mod types;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use compile::{Built, Compiler, Source, TARGETS};
use generate::Unit;
use toolkit::{OLDEST_NVCC, Places, find_nvcc, find_ptxas};

/// 1 makes a build without compiler an error instead of a warning; 0 leaves the kernels out, where the build script has to run.
pub const REQUIRE: &str = "REQUIRE_PTX";
/// The one command that gets the compiler.
const FIX: &str = "run tools/get-nvcc and build again";

/// What a build is given.
#[derive(Debug)]
pub struct Input {
    /// The repository.
    pub root: PathBuf,
    /// Where results go.
    pub out: PathBuf,
    /// Where the compiler may be.
    pub places: Places,
    /// Compilers to run at once.
    pub jobs: usize,
    /// Whether kernels are compiled where a compiler is found.
    pub wanted: bool,
}

/// What a build has to say.
#[derive(Debug, Default)]
pub struct Output {
    /// For the person who builds.
    pub warnings: Vec<String>,
    /// Files whose change asks for another build.
    pub watched: Vec<PathBuf>,
    /// What could not be made, and how it can.
    pub missing: Option<String>,
}

impl Output {
    fn pass_by(&mut self, found: Vec<String>) {
        let said = found.iter().map(|why| format!("passed by: {why}"));
        self.warnings.extend(said);
    }

    /// The lines for cargo; one of them is an error where something is missing that is `required`.
    pub fn lines(&self, required: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for path in &self.watched {
            lines.push(format!("cargo::rerun-if-changed={}", path.display()));
        }
        for warning in self.warnings.iter().flat_map(|text| text.lines()) {
            lines.push(format!("cargo::warning={warning}"));
        }
        if let Some(missing) = &self.missing {
            // Watched only here: where nothing is missing it changes nothing.
            lines.push(format!("cargo::rerun-if-env-changed={REQUIRE}"));
            lines.push(match required {
                true => format!("cargo::error={REQUIRE}=1, but {missing}"),
                false => format!("cargo::warning={missing}"),
            });
        }
        lines
    }
}

/// Writes `kernels.rs` and the images it embeds.
pub fn run(input: &Input) -> Result<Output, String> {
    let mut output = Output::default();
    let mut units = Vec::new();
    for source in sources(&input.root)? {
        let text = source.texts.first().map_or("", |(_, text)| text);
        let signatures = signature::signatures(&source.path, text)?;
        units.push(Unit {
            source,
            signatures,
            built: Vec::new(),
        });
    }
    distinct(&units)?;
    let mut nvcc = None;
    if input.wanted {
        let found = find_nvcc(&input.places)?;
        output.pass_by(found.passed_by);
        nvcc = found.tool;
    }
    let Some(nvcc) = nvcc else {
        // Embedded, so it names no place of this machine; the warnings do.
        let missing = match input.wanted {
            true => format!(
                "built without CUDA kernels, because no nvcc of {}.{} or newer was found: {FIX}",
                OLDEST_NVCC.0, OLDEST_NVCC.1
            ),
            false => {
                format!("built without CUDA kernels, because {REQUIRE}=0: build again without it")
            }
        };
        finish(input, &units, Some(&missing))?;
        output.missing = Some(missing);
        return Ok(output);
    };
    let found = find_ptxas(&input.places, &nvcc)?;
    output.pass_by(found.passed_by);
    let ptxas = found.tool;
    let compiler = Compiler {
        root: &input.root,
        out: &input.out,
        nvcc: &nvcc,
        ptxas: ptxas.as_ref(),
    };
    let all = compile_all(&compiler, &units, input.jobs)?;
    for (unit, built) in units.iter_mut().zip(all) {
        output
            .warnings
            .extend(built.iter().map(|b| b.warnings.clone()));
        unit.built = built;
        check(unit)?;
    }
    output.warnings.retain(|text| !text.is_empty());
    let tools = [Some(&nvcc), ptxas.as_ref()].into_iter().flatten();
    output.watched = tools.map(|tool| tool.path.clone()).collect();
    if ptxas.is_none() {
        let missing = "built without cubins, because no ptxas of CUDA 12 was found";
        output.missing = Some(format!("{missing}: {FIX}"));
    }
    finish(input, &units, None)?;
    Ok(output)
}

/// Every kernel file with the headers it includes, by name.
fn sources(root: &Path) -> Result<Vec<Source>, String> {
    let folder = root.join("cuda");
    let failed = |e: std::io::Error| format!("{}: cannot read: {e}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "cu") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.chars().all(plain) {
            return Err(format!(
                "cuda/{name}.cu: expected a name of lower case letters, digits and _"
            ));
        }
        found.push(Source {
            path: format!("cuda/{name}.cu"),
            name: name.to_string(),
            texts: includes::closure(&path)?,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Kernels are found by name alone, so a name may stand in one file only.
fn distinct(units: &[Unit]) -> Result<(), String> {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for unit in units {
        for signature in &unit.signatures {
            let (name, path) = (signature.name.as_str(), unit.source.path.as_str());
            if let Some((_, other)) = seen.iter().find(|(seen, _)| *seen == name) {
                return Err(format!(
                    "{path}:{}: {name} stands in {other} too",
                    signature.line
                ));
            }
            seen.push((name, path));
        }
    }
    Ok(())
}

/// Compiles every file for every target, several at once; the results by file, then by target.
fn compile_all(
    compiler: &Compiler,
    units: &[Unit],
    jobs: usize,
) -> Result<Vec<Vec<Built>>, String> {
    let next = AtomicUsize::new(0);
    let count = units.len() * TARGETS.len();
    let work = || {
        let mut done = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= count {
                return Ok(done);
            }
            let source = &units[job / TARGETS.len()].source;
            done.push((job, compiler.build(source, TARGETS[job % TARGETS.len()])?));
        }
    };
    let results: Vec<Result<Vec<(usize, Built)>, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, count.max(1)))
            .map(|_| scope.spawn(work))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .map(|result| result.unwrap_or_else(|_| Err("a build thread stopped".to_string())))
            .collect()
    });
    let mut done = Vec::new();
    for result in results {
        done.extend(result?);
    }
    done.sort_by_key(|(job, _)| *job);
    let mut built = done.into_iter().map(|(_, built)| built);
    let by_file = units
        .iter()
        .map(|_| built.by_ref().take(TARGETS.len()).collect());
    Ok(by_file.collect())
}

/// Refuses a difference between what the file says and what its PTX declares.
fn check(unit: &Unit) -> Result<(), String> {
    let path = &unit.source.path;
    for built in &unit.built {
        for entry in &built.entries {
            let signature = unit.signatures.iter().find(|s| s.name == entry.name);
            let unread = || {
                format!(
                    "{path}: the PTX has a kernel {} that the file does not spell out",
                    entry.name
                )
            };
            ptx::check(path, signature.ok_or_else(unread)?, entry)?;
        }
    }
    for signature in &unit.signatures {
        let mut entries = unit.built.iter().flat_map(|built| &built.entries);
        if !entries.any(|entry| entry.name == signature.name) {
            return Err(format!(
                "{path}:{}: {} exists on no target",
                signature.line, signature.name
            ));
        }
    }
    Ok(())
}

fn finish(input: &Input, units: &[Unit], missing: Option<&str>) -> Result<(), String> {
    let path = input.out.join("kernels.rs");
    let text = generate::file(units, missing);
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}
