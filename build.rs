//! Compiles the CUDA kernels and writes their launch stubs; the parts are in build/.

#[path = "build/mod.rs"]
mod parts;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use parts::toolkit::Places;
use parts::{Input, REQUIRE};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    // Not PATH: it differs between a terminal and an editor, and each change would build the whole crate again.
    for variable in ["NVCC", "CUDA_HOME", "PTXAS"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    // tools/get-nvcc touches build.rs, since cargo takes a watched file that is missing for one that has changed.
    for path in ["build.rs", "build", "cuda"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let output = parts::run(&input()?)?;
    let required = env::var_os(REQUIRE).is_some_and(|value| value == "1");
    for line in output.lines(required) {
        println!("{line}");
    }
    Ok(())
}

fn input() -> Result<Input, String> {
    let folder = |name: &str| {
        let value = env::var_os(name).ok_or_else(|| format!("cargo has not set {name}"));
        value.map(PathBuf::from)
    };
    let given = |name: &str| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let root = folder("CARGO_MANIFEST_DIR")?;
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok());
    Ok(Input {
        places: Places {
            nvcc: given("NVCC"),
            cuda_home: given("CUDA_HOME"),
            ptxas: given("PTXAS"),
            path: env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect(),
            toolchain: root.join(".toolchain"),
        },
        out: folder("OUT_DIR")?,
        jobs: jobs.unwrap_or(1),
        wanted: env::var_os(REQUIRE).is_none_or(|value| value != "0"),
        root,
    })
}
