//! A row's bits are the same alone as among others.

use qwarp::driver::Target;

use crate::emulator;
use crate::gpu_cases::{self, RowRange};

/// About how many rows of a case are run alone.
const MOST_ROWS: usize = 16;
/// The same of a case whose launches have more bytes: what a row's place changes, smaller ones show.
const FEW_ROWS: usize = 2;
const LARGE_BYTES: u64 = 512 << 10;

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let Some((driver, kernels)) = emulator(Target::Sm80) else {
        return;
    };
    let run = |case: &dyn gpu_cases::Case| {
        let ran = gpu_cases::run(case, &driver, &kernels);
        ran.unwrap_or_else(|failure| panic!("{}: {failure}", case.name()))
    };
    let mut compared = 0;
    for case in gpu_cases::all() {
        let rows = case.rows();
        if rows.count < 2 {
            continue;
        }
        let ran = run(case.as_ref());
        let views = ran.launches.iter().flat_map(|launch| &launch.args.views);
        let bytes: u64 = views.map(|view| view.bytes).sum();
        let most = if bytes > LARGE_BYTES {
            FEW_ROWS
        } else {
            MOST_ROWS
        };
        let together = ran.rows;
        assert!(!together.is_empty(), "{}: no output has rows", case.name());
        // Of many rows some, spread so that every place in a tile of tokens is among them.
        let apart = rows.count.div_ceil(most) | 1;
        for row in (0..rows.count).step_by(apart) {
            let first = rows.first + row;
            let alone = run(case.with_rows(RowRange { first, count: 1 }).as_ref()).rows;
            for (together, alone) in together.iter().zip(&alone) {
                assert_eq!(alone.len(), 1, "{}", case.name());
                assert!(together[row] == alone[0], "{}, row {row}", case.name());
                compared += 1;
            }
        }
    }
    assert!(compared > 500, "{compared} rows compared");
}
