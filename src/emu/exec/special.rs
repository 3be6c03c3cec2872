//! Special registers.

use super::context::Context;
use crate::emu::op::Special;
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Row, WideRow};

/// `mov` from a special register.
pub fn read(cx: &mut Context<'_>, inst: &Inst, register: Special, clock: u64) {
    let mask = cx.lanes.mask;
    let grid = cx.grid;
    let own = |f: fn(u32) -> u32| Row(std::array::from_fn(|lane| f(lane as u32)));
    let below = |lane: u32| (1u32 << lane) - 1;
    let size = |sizes: [u32; 3], index: u8| Row::splat(sizes[usize::from(index) % 3]);
    let row = match register {
        Special::Tid(index) => grid.thread_ids[cx.warp as usize][usize::from(index) % 3],
        Special::Ntid(index) => size(grid.geometry.block, index),
        Special::Ctaid(index) => size(cx.cta_id, index),
        Special::Nctaid(index) => size(grid.geometry.grid, index),
        Special::LaneId => own(|lane| lane),
        Special::WarpId => Row::splat(cx.warp),
        Special::NwarpId => Row::splat(grid.warps),
        Special::LaneMask(which) => {
            let mut row = Row::splat(0);
            for lane in 0..LANES as u32 {
                let one = 1 << lane;
                row.0[lane as usize] = match which {
                    0 => one,
                    1 => below(lane) | one,
                    2 => below(lane),
                    3 => !below(lane),
                    _ => !below(lane) & !one,
                };
            }
            row
        }
        Special::DynamicShared => Row::splat(grid.geometry.shared_bytes),
        Special::TotalShared => Row::splat(grid.shared_bytes),
        Special::SmId => Row::splat(0),
        Special::Clock if inst.wide & 1 == 1 => {
            cx.lanes.rows.set_wide(inst.d, &WideRow::splat(clock), mask);
            return;
        }
        Special::Clock => Row::splat(clock as u32),
    };
    cx.lanes.rows.set(inst.d, &row, mask);
}
