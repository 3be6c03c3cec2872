//! `ldmatrix`.

use super::address::{addresses, each_space};
use super::bounds::{self, Verb};
use super::observe::{self, Observed};
use crate::emu::exec::context::{Context, list};
use crate::emu::exec::fault::Checked;
use crate::emu::exec::mma::{ldmatrix, ldmatrix_lanes};
use crate::emu::memory::read;
use crate::emu::op::Order;
use crate::emu::program::Inst;
use crate::emu::ptx::Space;
use crate::emu::report::ReportKind;
use crate::emu::rows::{LANES, Row};

/// Bytes of a matrix row.
const ROW_BYTES: usize = 16;

/// Runs an `ldmatrix` of `count` matrices: lane `8 m + r` gives the address of row `r` of matrix `m`.
pub fn execute(
    cx: &mut Context<'_>,
    inst: &Inst,
    count: usize,
    transposed: bool,
    (space, wide): (Space, bool),
) -> Checked<()> {
    let at = addresses(cx, inst.a, wide, inst.immediate);
    let mut rows = [[0; ROW_BYTES]; LANES];
    let whole = cx.lanes.mask;
    cx.lanes.mask = whole & ldmatrix_lanes(cx.grid.program.device, count);
    valid(cx, space, &at)?;
    cx.lanes.mask = whole & (u32::MAX >> (LANES - 8 * count));
    each_space(cx, space, ROW_BYTES as u32, &at, |cx, space, lanes| {
        let access = Observed {
            space,
            verb: Verb::LoadMatrix,
            order: Order::Weak,
            lanes: &lanes,
        };
        observe::shared(cx, access, &observe::differ)?;
        for lane in lanes.active() {
            let offset = lanes.address(lane) as usize;
            read(cx.shared, offset, &mut rows[lane as usize % LANES]);
        }
        Ok(())
    })?;
    cx.lanes.mask = whole;
    let mut results = [Row::splat(0); 4];
    ldmatrix(&rows[..8 * count], transposed, &mut results[..count]);
    for (row, slot) in results.iter().zip(list(cx.grid, inst)).take(count) {
        cx.lanes.rows.set(*slot, row, whole);
    }
    Ok(())
}

/// The addresses of all lanes that must give one.
fn valid(cx: &mut Context<'_>, space: Space, at: &[u64; LANES]) -> Checked<()> {
    each_space(cx, space, ROW_BYTES as u32, at, |cx, space, lanes| {
        if space != Space::Shared {
            let what = "ldmatrix reads shared memory only".to_string();
            return Err(cx.fault(ReportKind::OutOfBounds, lanes.first_lane(), what));
        }
        bounds::aligned(cx, space, Verb::LoadMatrix, &lanes)?;
        bounds::within(cx, space, Verb::LoadMatrix, &lanes, cx.grid.shared_bytes)
    })
}
