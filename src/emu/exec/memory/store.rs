//! Stores.

use super::address::{addresses, each_space};
use super::bounds::{self, Verb};
use super::load::{local_addresses, local_stride};
use super::observe::{self, Observed};
use super::transfer;
use crate::emu::check::Lanes;
use crate::emu::exec::context::{Context, list};
use crate::emu::exec::fault::Checked;
use crate::emu::memory::WordsMut;
use crate::emu::op::{Order, Span};
use crate::emu::program::Inst;
use crate::emu::ptx::Space;
use crate::emu::rows::{LANES, Slot};

/// Runs a store.
pub fn execute(
    cx: &mut Context<'_>,
    inst: &Inst,
    span: Span,
    order: Order,
    wide_values: bool,
) -> Checked<()> {
    let at = addresses(cx, inst.a, span.wide, inst.immediate);
    let store = Store {
        inst,
        span,
        wide_values,
    };
    cx.changed = true;
    each_space(cx, span.space, span.total(), &at, |cx, space, lanes| {
        bounds::aligned(cx, space, Verb::Store, &lanes)?;
        match space {
            Space::Shared => {
                bounds::within(cx, space, Verb::Store, &lanes, cx.grid.shared_bytes)?;
                let access = observed(space, order, &lanes);
                observe::shared(cx, access, &|cx, one, other| store.same(cx, one, other))?;
                store.run(cx, cx.shared, 0, &lanes);
                strong(cx, space, order, &lanes);
            }
            Space::Local => {
                bounds::within(cx, space, Verb::Store, &lanes, cx.grid.program.local_bytes)?;
                let at = local_addresses(cx.grid.program.local_bytes, &lanes);
                let lanes = Lanes::of(lanes.mask, lanes.bytes, &at);
                let stride = u64::from(local_stride(cx.grid.program.local_bytes));
                observe::local(cx, observed(space, order, &lanes), stride)?;
                store.run(cx, cx.local, 0, &lanes);
            }
            // The decoder refuses stores to parameters and constants.
            _ => bounds::each_window(cx, Verb::Store, lanes, |cx, window, lanes| {
                let access = observed(Space::Global, order, lanes);
                let same = |cx: &Context<'_>, one, other| store.same(cx, one, other);
                observe::global(cx, window, access, &same)?;
                store.run(cx, window.words, window.base, lanes);
                strong(cx, Space::Global, order, lanes);
                Ok(())
            })?,
        }
        Ok(())
    })
}

fn observed<'a>(space: Space, order: Order, lanes: &'a Lanes<'a>) -> Observed<'a> {
    Observed {
        space,
        verb: Verb::Store,
        order,
        lanes,
    }
}

/// What a strong store publishes.
fn strong(cx: &mut Context<'_>, space: Space, order: Order, lanes: &Lanes<'_>) {
    if order != Order::Weak {
        for lane in lanes.active() {
            observe::strong(cx, &observed(space, order, lanes), lane, true);
        }
    }
}

/// A store, to be made to some memory.
#[derive(Clone, Copy)]
struct Store<'i> {
    inst: &'i Inst,
    span: Span,
    wide_values: bool,
}

impl Store<'_> {
    /// Whether two lanes store the same.
    fn same(self, cx: &Context<'_>, one: u32, other: u32) -> bool {
        let (one, other) = (one as usize % LANES, other as usize % LANES);
        let kept = match self.span.bytes {
            8 => u64::MAX,
            bytes => (1 << (8 * bytes)) - 1,
        };
        let value = |slot: Slot, lane: usize| match self.wide_values {
            true => cx.lanes.rows.get_wide(slot).0[lane] & kept,
            false => u64::from(cx.lanes.rows.get(slot).0[lane]) & kept,
        };
        let values = &list(cx.grid, self.inst)[1..];
        values
            .iter()
            .all(|&slot| value(slot, one) == value(slot, other))
    }

    #[inline(always)]
    fn run<W: WordsMut>(self, cx: &Context<'_>, words: W, base: u64, lanes: &Lanes<'_>) {
        let values = &list(cx.grid, self.inst)[1..];
        let rows = &cx.lanes.rows;
        transfer::store(
            words,
            base,
            lanes,
            self.span,
            self.wide_values,
            rows,
            values,
        );
    }
}
