//! What the checks are told of an access.

use super::bounds::Verb;
use crate::emu::check::Lanes;
use crate::emu::exec::context::Context;
use crate::emu::exec::fault::Checked;
use crate::emu::exec::grid::Window;
use crate::emu::op::Order;
use crate::emu::ptx::Space;

/// An access to global memory, inside `window`.
#[inline(always)]
pub fn global(
    _cx: &mut Context<'_>,
    _window: &Window<'_>,
    _verb: Verb,
    _order: Order,
    _lanes: &Lanes<'_>,
) -> Checked<()> {
    Ok(())
}

/// An access to shared or local memory.
#[inline(always)]
pub fn near(
    _cx: &mut Context<'_>,
    _space: Space,
    _verb: Verb,
    _order: Order,
    _lanes: &Lanes<'_>,
) -> Checked<()> {
    Ok(())
}
