//! `cp.async`. The bytes land at once; that nobody touches them, or writes their source, before their group was waited for
//! is checked.

use super::address::addresses;
use super::bounds::{self, Verb};
use super::observe::{self, Observed};
use crate::emu::check::Lanes;
use crate::emu::exec::context::Context;
use crate::emu::exec::fault::Checked;
use crate::emu::memory::{Words, WordsMut, fill, read, write};
use crate::emu::op::{CopySize, Order};
use crate::emu::program::Inst;
use crate::emu::ptx::Space;
use crate::emu::report::ReportKind;
use crate::emu::rows::{LANES, SHARED_WINDOW};

/// Runs a copy of `bytes` bytes a lane.
pub fn execute(
    cx: &mut Context<'_>,
    inst: &Inst,
    bytes: u32,
    size: CopySize,
    wide_to: bool,
) -> Checked<()> {
    let to = addresses(cx, inst.a, wide_to, inst.immediate >> 32);
    // A generic address of shared memory, or one within it.
    let to = to.map(|address| match address >= SHARED_WINDOW {
        true => address.wrapping_sub(SHARED_WINDOW),
        false => address,
    });
    let from = addresses(cx, inst.b, true, i64::from(inst.immediate as i32));
    cx.changed = true;
    let mask = cx.lanes.mask;
    let to = Lanes::of(mask, bytes, &to);
    bounds::aligned(cx, Space::Shared, Verb::CopyTo, &to)?;
    bounds::within(cx, Space::Shared, Verb::CopyTo, &to, cx.grid.shared_bytes)?;
    let access = Observed {
        space: Space::Shared,
        verb: Verb::CopyTo,
        order: Order::Weak,
        lanes: &to,
    };
    observe::shared(cx, access, &observe::differ)?;
    if let Some(watch) = &mut cx.watch {
        watch.near.pending.issue(cx.warp, &to, cx.pc);
    }
    let reads = sizes(cx, inst, bytes, size)?;
    for count in 0..=bytes {
        let mask = lanes_of(&reads, mask, count);
        if mask == 0 {
            continue;
        }
        for lane in Lanes::of(mask, bytes, &from).active() {
            let zeros = (bytes - count) as usize;
            fill(
                cx.shared,
                (to.address(lane) + u64::from(count)) as usize,
                zeros,
                0,
            );
        }
        if count > 0 {
            // The address must suit the whole copy, even where fewer bytes are read.
            let whole = Lanes::of(mask, bytes, &from);
            bounds::aligned(cx, Space::Global, Verb::CopyFrom, &whole)?;
            fetch(cx, &to, Lanes::of(mask, count, &from))?;
        }
    }
    Ok(())
}

/// Copies what lanes read, all the same count of bytes.
fn fetch(cx: &mut Context<'_>, to: &Lanes<'_>, from: Lanes<'_>) -> Checked<()> {
    bounds::each_window(cx, Verb::CopyFrom, from, |cx, window, lanes| {
        let access = Observed {
            space: Space::Global,
            verb: Verb::CopyFrom,
            order: Order::Weak,
            lanes,
        };
        observe::global(cx, window, access, &observe::differ)?;
        if let (Some(watch), Some(_)) = (&mut cx.watch, window.region) {
            watch.near.pending.reads(cx.warp, lanes);
        }
        for lane in lanes.active() {
            let source = (lanes.address(lane) - window.base) as usize;
            let dest = to.address(lane) as usize;
            let count = lanes.bytes as usize;
            for word in 0..count / 4 {
                let value = window.words.word(source / 4 + word);
                cx.shared.set_word(dest / 4 + word, value);
            }
            if !count.is_multiple_of(4) {
                let mut rest = [0; 4];
                let (whole, rest) = (count & !3, &mut rest[..count % 4]);
                read(window.words, source + whole, rest);
                write(cx.shared, dest + whole, rest);
            }
        }
        Ok(())
    })
}

/// The lanes of `mask` that read `bytes` bytes.
fn lanes_of(reads: &[u32; LANES], mask: u32, bytes: u32) -> u32 {
    let same = reads.iter().enumerate();
    mask & same.fold(0, |lanes, (lane, read)| {
        lanes | u32::from(*read == bytes) << lane
    })
}

/// How many bytes each lane reads.
fn sizes(cx: &Context<'_>, inst: &Inst, bytes: u32, size: CopySize) -> Checked<[u32; LANES]> {
    match size {
        CopySize::All => Ok([bytes; LANES]),
        CopySize::Ignore => {
            let ignored = cx.lanes.pred(inst.ps[0], inst.ps_negated[0], 0);
            Ok(std::array::from_fn(|lane| {
                bytes * (1 - (ignored >> lane & 1))
            }))
        }
        CopySize::Operand => {
            let sizes = cx.lanes.rows.get(inst.c).0;
            let active = (0..LANES).filter(|lane| cx.lanes.mask >> lane & 1 == 1);
            match active.into_iter().find(|&lane| sizes[lane] > bytes) {
                None => Ok(sizes),
                Some(lane) => {
                    let what = format!("cp.async reads {} of {bytes} bytes", sizes[lane]);
                    Err(cx.fault(ReportKind::OutOfBounds, lane as u32, what))
                }
            }
        }
    }
}

/// `cp.async.commit_group`.
pub fn commit(cx: &mut Context<'_>) -> Checked<()> {
    if let Some(watch) = &mut cx.watch {
        watch.near.pending.commit(cx.warp, cx.lanes.mask);
    }
    Ok(())
}

/// `cp.async.wait_group`, `cp.async.wait_all`.
pub fn wait(cx: &mut Context<'_>, inst: &Inst, all: bool) -> Checked<()> {
    let Some(watch) = &mut cx.watch else {
        return Ok(());
    };
    let near = &mut *watch.near;
    let mut landed = std::mem::take(&mut near.landed);
    landed.clear();
    match all {
        true => near.pending.wait_all(cx.warp, cx.lanes.mask, &mut landed),
        false => {
            let keep = inst.immediate as u32;
            near.pending
                .wait_group(cx.warp, cx.lanes.mask, keep, &mut landed);
        }
    }
    for copy in &landed {
        observe::landed(cx, copy.lane, copy.address, copy.bytes, copy.instruction)?;
    }
    if let Some(watch) = &mut cx.watch {
        watch.near.landed = landed;
    }
    Ok(())
}
