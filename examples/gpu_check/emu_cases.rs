//! The emulator's pass cases: bit for bit, or within the bound that a case states.

use std::fs;
use std::path::{Path, PathBuf};

use super::Result;
use super::devices::Devices;
use super::part::Part;
use super::ptx_case::PtxCase;

/// Every case of a folder.
pub fn run(devices: &Devices, folder: &Path) -> Part {
    let mut part = Part::new("pass cases of the emulator");
    let paths = match cases(folder) {
        Ok(paths) => paths,
        Err(error) => {
            let folder = folder.display();
            return part.ended(Err(format!("{folder}: {error}")));
        }
    };
    let mut lost = false;
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if lost {
            part.count(&name, Err("the device was lost before it".to_string()));
            continue;
        }
        let (case, expect) = match read(&name, &path) {
            Ok(read) => read,
            Err(error) => {
                part.count(&name, Err(error.to_string()));
                continue;
            }
        };
        let Some(driver) = devices.running(case.target) else {
            part.skip(format!("this card is older than {}", case.target));
            continue;
        };
        if let Some(only) = case.only.filter(|only| !devices.is_generation(*only)) {
            part.skip(format!("bits of {only} alone, and this card is another"));
            continue;
        }
        let outcome = case.run(driver).map_err(|error| error.to_string());
        lost = outcome.is_err() && !Devices::alive(driver);
        part.count(&name, outcome.and_then(|out| case.compare(&out, &expect)));
    }
    if part.done + part.failures.len() == 0 {
        let folder = folder.display();
        part.failures.push(format!("{folder}: no case ran"));
    }
    part
}

/// The PTX files of a folder, by name.
fn cases(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let paths = entries.map(|entry| -> std::io::Result<PathBuf> { Ok(entry?.path()) });
    let mut paths: Vec<PathBuf> = paths.collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "ptx"));
    paths.sort();
    Ok(paths)
}

/// A case and what its outputs must be.
fn read(name: &str, path: &Path) -> Result<(PtxCase, String)> {
    let case = PtxCase::parse(name, &fs::read_to_string(path)?)?;
    Ok((case, fs::read_to_string(path.with_extension("expect"))?))
}
