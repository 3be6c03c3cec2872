//! A row's bits are the same alone as among others.

use std::collections::{BTreeMap, BTreeSet};

use crate::gpu_cases::{Case, Failure, Ran, RowRange};

/// Rows of a case that are run alone: all of a few, so that each place among the first is taken; else some of them.
const FEW_ROWS: usize = 8;
const MOST_ROWS: usize = 4;
/// The same of a case that moves more bytes: what a row's place changes, smaller ones show.
const ROWS_OF_LARGE: usize = 2;
const LARGE_BYTES: usize = 512 << 10;
/// Rows of the largest tile.
const TILE_ROWS: usize = 64;

/// What was compared.
#[derive(Default)]
pub struct Alone {
    /// Rows, by op.
    rows: BTreeMap<&'static str, usize>,
    /// Their places in the largest tile, by op.
    places: BTreeMap<&'static str, BTreeSet<usize>>,
    cases: usize,
}

impl Alone {
    /// Runs rows of a case by themselves, and holds them against what came `together`. Each case begins at another row, so
    /// that all cases of an op together have rows in every place.
    pub fn hold(
        &mut self,
        case: &dyn Case,
        together: &Ran,
        run: &dyn Fn(&dyn Case) -> Result<Ran, Failure>,
    ) -> Result<(), String> {
        let rows = case.rows();
        if rows.count < 2 {
            return Ok(());
        }
        if together.rows.is_empty() {
            return Err(format!("{}: no output has rows", case.name()));
        }
        self.cases += 1;
        let most = match rows.count {
            _ if case.floor_bytes() > LARGE_BYTES => ROWS_OF_LARGE,
            ..=FEW_ROWS => FEW_ROWS,
            _ => MOST_ROWS,
        };
        let apart = rows.count.div_ceil(most) | 1;
        for row in (self.cases % apart..rows.count).step_by(apart) {
            let first = rows.first + row;
            let alone = case.with_rows(RowRange { first, count: 1 });
            let ran =
                run(alone.as_ref()).map_err(|failure| format!("{}: {failure}", alone.name()))?;
            for (together, alone) in together.rows.iter().zip(&ran.rows) {
                if alone.len() != 1 || together[row] != alone[0] {
                    return Err(format!("{}: row {row} alone has other bits", case.name()));
                }
            }
            *self.rows.entry(case.op()).or_default() += 1;
            let places = self.places.entry(case.op()).or_default();
            places.insert(row % TILE_ROWS);
        }
        Ok(())
    }

    /// Every op was compared, and those of products at every place of a tile.
    pub fn check(&self, ops: &BTreeSet<&'static str>) {
        println!("rows alone: {:?}", self.rows);
        let compared: BTreeSet<&str> = self.rows.keys().copied().collect();
        assert_eq!(&compared, ops, "an op without rows alone");
        for op in ["linear", "linear_silu_mul", "linear_rope_append"] {
            assert_eq!(
                self.places[op].len(),
                TILE_ROWS,
                "{op}: {:?}",
                self.places[op]
            );
        }
        for (op, count) in &self.rows {
            assert!(*count >= 20, "{op}: {count} rows");
        }
    }
}
