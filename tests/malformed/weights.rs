//! Weights that are not numbers, or not the ones that products count with.

use std::fs;
use std::sync::Arc;

use half::bf16;
use qwarp::DType;
use qwarp::checkpoint::weights::Elements;
use qwarp::checkpoint::{Checkpoint, Weights};
use qwarp::graph::{WeightId, WeightKind, WeightSpec};
use safetensors::serialize_to_file;
use safetensors::tensor::{Dtype, TensorView};

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

/// Rows of 1000 in two matrices, more than a thread looks at in one go.
const ROWS: [usize; 2] = [3, 2500];
const COLS: usize = 1000;

/// What `value` becomes at element `at` of the second matrix, and the bytes that are copied for it; or the error.
fn loaded(at: usize, value: bf16) -> Result<(bf16, u64), String> {
    let folder = tempfile::tempdir().unwrap();
    let other = |i: usize| bf16::from_f32(i as f32 / 3.0 - 99.0);
    let mut matrices = ROWS.map(|rows| (0..rows * COLS).map(other).collect::<Vec<_>>());
    matrices[1][at] = value;
    let names = ["first", "second"];
    let views = [0, 1].map(|i| {
        let bytes = bytemuck::cast_slice(&matrices[i]);
        let view = TensorView::new(Dtype::BF16, vec![ROWS[i], COLS], bytes).unwrap();
        (names[i], view)
    });
    serialize_to_file(views, None, &folder.path().join(FILE)).unwrap();
    let checkpoint = Arc::new(Checkpoint::open(folder.path()).unwrap());
    let specs = [0, 1].map(|i| WeightSpec {
        name: names[i].into(),
        parts: vec![(names[i].into(), ROWS[i])],
        cols: Some(COLS),
        kind: WeightKind::Matrix,
    });
    let weights = Weights::load(checkpoint, &specs, DType::Bf16, 3);
    let weights = weights.map_err(|error| error.to_string())?;
    let Elements::Bf16(found) = weights.matrix(WeightId(1)).next().unwrap().elements else {
        panic!("another type");
    };
    // Nothing else has changed.
    matrices[1][at] = found[at];
    assert!(found == matrices[1]);
    Ok((found[at], weights.bytes().converted))
}

#[test]
fn a_value_is_found_wherever_in_a_large_matrix_it_stands() {
    let end = ROWS[1] * COLS;
    for at in [0, (1 << 20) - 1, 1 << 20, 2 << 20, end - 1] {
        let seven = bf16::from_f32(7.0);
        assert_eq!(loaded(at, seven), Ok((seven, 0)));
        // A denormal counts as zero, in a copy.
        let denormal = bf16::from_bits(0x8001);
        assert_eq!(loaded(at, denormal), Ok((bf16::ZERO, 2 * end as u64)));
        for (bad, named) in [
            (bf16::NAN, format!("second[{at}]")),
            (bf16::from_f32(-2e8), format!("second[{at}] in bf16")),
        ] {
            let error = loaded(at, bad).unwrap_err();
            assert!(error.contains(&named), "{error}");
        }
    }
}
