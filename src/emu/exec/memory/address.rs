//! The addresses of a warp's lanes, and which memory generic ones name.

use crate::emu::check::Lanes;
use crate::emu::exec::context::Context;
use crate::emu::exec::fault::Checked;
use crate::emu::ptx::Space;
use crate::emu::rows::{LANES, LOCAL_WINDOW, Row, SHARED_WINDOW, Slot, WINDOW_SHIFT, WideRow};

/// The addresses that an operand and an offset give. A 32-bit address wraps as 32 bits do.
#[inline(always)]
pub fn addresses(cx: &Context<'_>, slot: Slot, wide: bool, offset: i64) -> [u64; LANES] {
    let mut at = [0; LANES];
    if wide {
        let WideRow(base) = cx.lanes.rows.get_wide(slot);
        for lane in 0..LANES {
            at[lane] = base[lane].wrapping_add(offset as u64);
        }
    } else {
        let Row(base) = cx.lanes.rows.get(slot);
        for lane in 0..LANES {
            at[lane] = u64::from(base[lane].wrapping_add(offset as u32));
        }
    }
    at
}

/// Calls `f` for the lanes of each space that the addresses name, with addresses within that space. All but generic
/// addresses name one.
#[inline(always)]
pub fn each_space<'c>(
    cx: &mut Context<'c>,
    space: Space,
    bytes: u32,
    at: &[u64; LANES],
    mut f: impl FnMut(&mut Context<'c>, Space, Lanes<'_>) -> Checked<()>,
) -> Checked<()> {
    let mask = cx.lanes.mask;
    if space != Space::Generic {
        return f(cx, space, Lanes::of(mask, bytes, at));
    }
    for (space, base) in [
        (Space::Shared, SHARED_WINDOW),
        (Space::Local, LOCAL_WINDOW),
        (Space::Global, 0),
    ] {
        let inside = mask & in_window(at, space);
        if inside != 0 {
            let at = at.map(|address| address.wrapping_sub(base));
            f(cx, space, Lanes::of(inside, bytes, &at))?;
        }
    }
    Ok(())
}

/// The lanes whose address is in the window of a space; whatever is in no other window is global.
fn in_window(at: &[u64; LANES], space: Space) -> u32 {
    let (shared, local) = (SHARED_WINDOW >> WINDOW_SHIFT, LOCAL_WINDOW >> WINDOW_SHIFT);
    let mut lanes = 0;
    for (lane, address) in at.iter().enumerate() {
        let window = address >> WINDOW_SHIFT;
        let inside = match space {
            Space::Shared => window == shared,
            Space::Local => window == local,
            _ => window != shared && window != local,
        };
        lanes |= u32::from(inside) << lane;
    }
    lanes
}
