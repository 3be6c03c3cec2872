//! Weights that are not numbers.

use std::fs;

use super::config::open_model;
use super::{Case, SINGLE, check, copy};

const FILE: &str = "model.safetensors";

#[test]
fn weights_that_are_not_numbers_are_refused_by_element() {
    check(cases(), || copy(SINGLE), open_model);
}

/// Every row: a value at a distance from the end of the file.
pub fn cases() -> Vec<Case> {
    [
        ("NaN at the end", f32::NAN, 4, "NaN"),
        ("infinity at the end", f32::INFINITY, 4, "inf"),
        ("minus infinity at the end", f32::NEG_INFINITY, 4, "-inf"),
        ("NaN in the last vector", f32::NAN, 120, "NaN"),
        ("NaN in a matrix", -f32::NAN, 60_000, "NaN"),
        (
            "infinity in the first matrix",
            f32::INFINITY,
            105_480,
            "inf",
        ),
    ]
    .map(|(name, bad, from_end, shown)| {
        Case::new(name, &[FILE, shown, "finite"], move |folder| {
            let path = folder.join(FILE);
            let mut bytes = fs::read(&path).unwrap();
            let at = bytes.len() - from_end;
            bytes[at..at + 4].copy_from_slice(&bad.to_le_bytes());
            fs::write(path, bytes).unwrap();
        })
    })
    .into()
}
