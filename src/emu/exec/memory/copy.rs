//! `cp.async`. The bytes land at once; that nobody touches them before their group was waited for is checked.

use super::address::addresses;
use super::bounds::{self, Verb};
use super::observe;
use crate::emu::check::Lanes;
use crate::emu::exec::context::Context;
use crate::emu::exec::fault::Checked;
use crate::emu::memory::{Words, WordsMut};
use crate::emu::op::{CopySize, Order};
use crate::emu::program::Inst;
use crate::emu::ptx::Space;
use crate::emu::report::ReportKind;
use crate::emu::rows::SHARED_WINDOW;

/// Runs a copy of `bytes` bytes a lane.
pub fn execute(
    cx: &mut Context<'_>,
    inst: &Inst,
    bytes: u32,
    size: CopySize,
    wide_to: bool,
) -> Checked<()> {
    let mut to = addresses(cx, inst.a, wide_to, inst.immediate >> 32);
    if wide_to && to.iter().any(|address| *address >= SHARED_WINDOW) {
        to = to.map(|address| address.wrapping_sub(SHARED_WINDOW));
    }
    let from = addresses(cx, inst.b, true, i64::from(inst.immediate as i32));
    let mask = cx.lanes.mask;
    let to = Lanes::of(mask, bytes, &to);
    bounds::aligned(cx, Space::Shared, Verb::CopyTo, &to)?;
    bounds::within(cx, Space::Shared, Verb::CopyTo, &to, cx.grid.shared_bytes)?;
    observe::near(cx, Space::Shared, Verb::CopyTo, Order::Weak, &to)?;
    let reads = sizes(cx, inst, bytes, size)?;
    for words in 0..=bytes / 4 {
        let mask = lanes_of(&reads, mask, 4 * words);
        if mask == 0 {
            continue;
        }
        zero_fill(cx, &to, mask, words, bytes);
        if words == 0 {
            continue;
        }
        // The address must suit the whole copy, even where fewer bytes are read.
        bounds::aligned(
            cx,
            Space::Global,
            Verb::CopyFrom,
            &Lanes::of(mask, bytes, &from),
        )?;
        let part = Lanes::of(mask, 4 * words, &from);
        bounds::each_window(cx, Verb::CopyFrom, part, |cx, window, lanes| {
            observe::global(cx, window, Verb::CopyFrom, Order::Weak, lanes)?;
            for lane in lanes.active() {
                let source = (lanes.address(lane) - window.base) as usize / 4;
                let dest = to.address(lane) as usize / 4;
                for word in 0..words as usize {
                    cx.shared
                        .set_word(dest + word, window.words.word(source + word));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Zeros behind the words that a lane reads.
fn zero_fill(cx: &Context<'_>, to: &Lanes<'_>, mask: u32, words: u32, bytes: u32) {
    for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
        for word in words..bytes / 4 {
            cx.shared
                .set_word((to.address(lane) as usize / 4) + word as usize, 0);
        }
    }
}

/// The lanes of `mask` that read `bytes` bytes.
fn lanes_of(reads: &[u32; 32], mask: u32, bytes: u32) -> u32 {
    let same = reads.iter().enumerate();
    mask & same.fold(0, |lanes, (lane, read)| {
        lanes | u32::from(*read == bytes) << lane
    })
}

/// How many bytes each lane reads.
fn sizes(cx: &Context<'_>, inst: &Inst, bytes: u32, size: CopySize) -> Checked<[u32; 32]> {
    match size {
        CopySize::All => Ok([bytes; 32]),
        CopySize::Ignore => {
            let ignored = cx.lanes.pred(inst.ps[0], inst.ps_negated[0], 0);
            Ok(std::array::from_fn(|lane| {
                bytes * (1 - (ignored >> lane & 1))
            }))
        }
        CopySize::Operand => {
            let sizes = cx.lanes.rows.get(inst.c).0;
            for lane in (0..32).filter(|lane| cx.lanes.mask >> lane & 1 == 1) {
                let size = sizes[lane as usize];
                if size > bytes || size % 4 != 0 {
                    let what = format!(
                        "cp.async of {size} of {bytes} bytes: whole words up to the size are modelled"
                    );
                    return Err(cx.fault(ReportKind::OutOfBounds, lane, what));
                }
            }
            Ok(sizes)
        }
    }
}

/// `cp.async.commit_group`.
pub fn commit(_cx: &mut Context<'_>) -> Checked<()> {
    Ok(())
}

/// `cp.async.wait_group`, `cp.async.wait_all`.
pub fn wait(_cx: &mut Context<'_>, _inst: &Inst, _all: bool) -> Checked<()> {
    Ok(())
}
