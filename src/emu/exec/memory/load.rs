//! Loads.

use super::address::{addresses, each_space};
use super::bounds::{self, Verb};
use super::observe::{self, Observed};
use super::transfer;
use crate::emu::check::{Lanes, Pattern};
use crate::emu::exec::context::{Context, list};
use crate::emu::exec::fault::Checked;
use crate::emu::memory::Words;
use crate::emu::op::{Order, Span, Widen};
use crate::emu::program::Inst;
use crate::emu::ptx::Space;

/// Runs a load.
pub fn execute(
    cx: &mut Context<'_>,
    inst: &Inst,
    (span, widen): (Span, Widen),
    order: Order,
    unchanging: bool,
) -> Checked<()> {
    if let Some(address) = parameter(cx, inst, span) {
        let load = Load { inst, span, widen };
        let lanes = Lanes {
            mask: cx.lanes.mask,
            bytes: span.total(),
            at: Pattern::Same(address),
        };
        load.run(cx, cx.grid.params.as_slice(), 0, &lanes);
        return Ok(());
    }
    let at = addresses(cx, inst.a, span.wide, inst.immediate);
    each_space(cx, span.space, span.total(), &at, |cx, space, lanes| {
        let load = Load { inst, span, widen };
        bounds::aligned(cx, space, Verb::Load, &lanes)?;
        match space {
            Space::Global | Space::Generic => {
                let verb = match unchanging {
                    true => Verb::LoadUnchanging,
                    false => Verb::Load,
                };
                global(cx, load, (verb, order), lanes)
            }
            Space::Shared => {
                bounds::within(cx, space, Verb::Load, &lanes, cx.grid.shared_bytes)?;
                let access = observed(space, order, &lanes);
                observe::shared(cx, access, &observe::differ)?;
                load.run(cx, cx.shared, 0, &lanes);
                strong(cx, space, order, &lanes);
                Ok(())
            }
            Space::Local => {
                bounds::within(cx, space, Verb::Load, &lanes, cx.grid.program.local_bytes)?;
                let at = local_addresses(cx.grid.program.local_bytes, &lanes);
                let lanes = Lanes::of(lanes.mask, lanes.bytes, &at);
                let stride = u64::from(local_stride(cx.grid.program.local_bytes));
                observe::local(cx, observed(space, order, &lanes), stride)?;
                load.run(cx, cx.local, 0, &lanes);
                Ok(())
            }
            Space::Param => {
                bounds::within(cx, space, Verb::Load, &lanes, cx.grid.program.param_bytes)?;
                load.run(cx, cx.grid.params.as_slice(), 0, &lanes);
                Ok(())
            }
            Space::Const => {
                let size = cx.grid.program.const_bytes.len() as u32;
                bounds::within(cx, space, Verb::Load, &lanes, size)?;
                observe::constant(cx, observed(space, order, &lanes));
                load.run(cx, cx.grid.constants.as_slice(), 0, &lanes);
                Ok(())
            }
        }
    })
}

/// The place of a parameter that is named, as nearly every kernel does, and not computed; inside the parameters.
#[inline(always)]
fn parameter(cx: &Context<'_>, inst: &Inst, span: Span) -> Option<u64> {
    if span.space != Space::Param || !inst.a.is_constant() || !span.wide {
        return None;
    }
    let base = cx.lanes.rows.get_wide(inst.a).0[0];
    let address = base.wrapping_add(inst.immediate as u64);
    let end = address.checked_add(u64::from(span.total()))?;
    let aligned = address.is_multiple_of(u64::from(span.total()));
    (aligned && end <= u64::from(cx.grid.program.param_bytes)).then_some(address)
}

/// Addresses in the local memory of a warp: each lane's own part, one after the other.
pub fn local_addresses(bytes: u32, lanes: &Lanes<'_>) -> [u64; 32] {
    let stride = u64::from(local_stride(bytes));
    std::array::from_fn(|lane| match lanes.mask >> lane & 1 {
        1 => lanes.address(lane as u32) + lane as u64 * stride,
        _ => 0,
    })
}

/// Bytes from one lane's local memory to the next one's: no access straddles two.
pub fn local_stride(bytes: u32) -> u32 {
    bytes.next_multiple_of(16)
}

fn global(
    cx: &mut Context<'_>,
    load: Load<'_>,
    (verb, order): (Verb, Order),
    lanes: Lanes<'_>,
) -> Checked<()> {
    bounds::each_window(cx, verb, lanes, |cx, window, lanes| {
        let access = Observed {
            verb,
            ..observed(Space::Global, order, lanes)
        };
        observe::global(cx, window, access, &observe::differ)?;
        load.run(cx, window.words, window.base, lanes);
        strong(cx, Space::Global, order, lanes);
        Ok(())
    })
}

fn observed<'a>(space: Space, order: Order, lanes: &'a Lanes<'a>) -> Observed<'a> {
    Observed {
        space,
        verb: Verb::Load,
        order,
        lanes,
    }
}

/// What a strong load learns.
fn strong(cx: &mut Context<'_>, space: Space, order: Order, lanes: &Lanes<'_>) {
    if order != Order::Weak {
        for lane in lanes.active() {
            observe::strong(cx, &observed(space, order, lanes), lane, false);
        }
    }
}

/// A load, to be made from some memory.
#[derive(Clone, Copy)]
struct Load<'i> {
    inst: &'i Inst,
    span: Span,
    widen: Widen,
}

impl Load<'_> {
    #[inline(always)]
    fn run<W: Words>(self, cx: &mut Context<'_>, words: W, base: u64, lanes: &Lanes<'_>) {
        let dests = &list(cx.grid, self.inst)[..usize::from(self.inst.defs)];
        let rows = &mut cx.lanes.rows;
        transfer::load(words, base, lanes, self.span, self.widen, rows, dests);
    }
}
