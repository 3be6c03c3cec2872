//! Stores.

use super::address::{addresses, each_space};
use super::bounds::{self, Verb};
use super::load::local_addresses;
use super::{observe, transfer};
use crate::emu::check::Lanes;
use crate::emu::exec::context::{Context, list};
use crate::emu::exec::fault::Checked;
use crate::emu::memory::WordsMut;
use crate::emu::op::{Order, Span};
use crate::emu::program::Inst;
use crate::emu::ptx::Space;

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
    each_space(cx, span.space, span.total(), &at, |cx, space, lanes| {
        bounds::aligned(cx, space, Verb::Store, &lanes)?;
        match space {
            Space::Shared => {
                bounds::within(cx, space, Verb::Store, &lanes, cx.grid.shared_bytes)?;
                observe::near(cx, space, Verb::Store, order, &lanes)?;
                store.run(cx, cx.shared, 0, &lanes);
            }
            Space::Local => {
                bounds::within(cx, space, Verb::Store, &lanes, cx.grid.program.local_bytes)?;
                let at = local_addresses(cx.grid.program.local_bytes, &lanes);
                let lanes = Lanes::of(lanes.mask, lanes.bytes, &at);
                observe::near(cx, space, Verb::Store, order, &lanes)?;
                store.run(cx, cx.local, 0, &lanes);
            }
            // The decoder refuses stores to parameters and constants.
            _ => bounds::each_window(cx, Verb::Store, lanes, |cx, window, lanes| {
                observe::global(cx, window, Verb::Store, order, lanes)?;
                store.run(cx, window.words, window.base, lanes);
                Ok(())
            })?,
        }
        Ok(())
    })
}

/// A store, to be made to some memory.
#[derive(Clone, Copy)]
struct Store<'i> {
    inst: &'i Inst,
    span: Span,
    wide_values: bool,
}

impl Store<'_> {
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
