//! Every instruction form in the kernels that ship has a pass case of its own for the emulator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use qwarp::backend::gpu::kernels::IMAGES;
use qwarp::emu::ptx::{forms, parse};

#[path = "support/kernels.rs"]
mod kernels;

use kernels::have_pinned_kernels;

/// Each form of the pass cases, with a case that has it.
fn cases() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emu_pass");
    let mut found = BTreeMap::new();
    let mut files = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "ptx") {
            continue;
        }
        files += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let module = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for form in forms(&module).into_keys() {
            found.entry(form).or_insert(name.clone());
        }
    }
    assert!(files >= 150, "{files} pass cases");
    found
}

#[test]
fn every_form_in_the_kernels_has_a_case() {
    if !have_pinned_kernels() {
        return;
    }
    let cases = cases();
    let mut kernels = BTreeMap::new();
    for image in IMAGES {
        let module = parse(image.ptx).unwrap();
        for (form, line) in forms(&module) {
            let place = format!("{} for {}, line {line}", image.name, image.target);
            kernels.entry(form).or_insert(place);
        }
    }
    assert!(kernels.len() > 60, "{} forms in the kernels", kernels.len());
    let missing: Vec<String> = kernels
        .iter()
        .filter(|(form, _)| !cases.contains_key(*form))
        .map(|(form, place)| format!("{form} ({place})"))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} forms without a case in tests/emu_pass:\n{}",
        missing.len(),
        kernels.len(),
        missing.join("\n")
    );
    println!(
        "{} forms in the kernels, {} in the cases",
        kernels.len(),
        cases.len()
    );
}
