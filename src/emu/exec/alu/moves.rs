//! Copies, packing, selection, and logic on predicates.

use super::lanes::{Element, LaneState, has, map3};
use crate::emu::op::{Packing, PredicateOp};
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Row, Slot, WideRow};

/// `mov` within a width.
#[inline(always)]
pub fn copy<T: Element>(inst: &Inst, state: &mut LaneState<'_>) {
    let value = *T::row(&state.rows, inst.a);
    T::store(&mut state.rows, inst.d, &value, state.mask);
}

/// `mov` of parts to a whole.
#[inline(always)]
pub fn pack(packing: Packing, lists: &[Slot], inst: &Inst, state: &mut LaneState<'_>) {
    let rows = &mut state.rows;
    match packing {
        Packing::Two16 => {
            let mut out = Row::splat(0);
            let (low, high) = (rows.get(inst.a), rows.get(inst.b));
            for lane in 0..LANES {
                out.0[lane] = (low.0[lane] & 0xffff) | (high.0[lane] << 16);
            }
            rows.set(inst.d, &out, state.mask);
        }
        Packing::Two32 => {
            let mut out = WideRow::splat(0);
            let (low, high) = (rows.get(inst.a), rows.get(inst.b));
            for lane in 0..LANES {
                out.0[lane] = u64::from(low.0[lane]) | (u64::from(high.0[lane]) << 32);
            }
            rows.set_wide(inst.d, &out, state.mask);
        }
        Packing::Four16 => {
            let mut out = WideRow::splat(0);
            let first = inst.list as usize + 1;
            for (part, slot) in lists[first..first + 4].iter().enumerate() {
                let row = rows.get(*slot);
                for lane in 0..LANES {
                    out.0[lane] |= u64::from(row.0[lane] & 0xffff) << (16 * part);
                }
            }
            rows.set_wide(inst.d, &out, state.mask);
        }
    }
}

/// `mov` of a whole to parts.
#[inline(always)]
pub fn unpack(packing: Packing, lists: &[Slot], inst: &Inst, state: &mut LaneState<'_>) {
    let rows = &mut state.rows;
    let (parts, bits) = match packing {
        Packing::Two16 => (2, 16),
        Packing::Two32 => (2, 32),
        Packing::Four16 => (4, 16),
    };
    // A copy: the whole may stand where the first part goes.
    let whole = match packing {
        Packing::Two16 => {
            let mut wide = WideRow::splat(0);
            let row = rows.get(inst.a);
            for lane in 0..LANES {
                wide.0[lane] = u64::from(row.0[lane]);
            }
            wide
        }
        Packing::Two32 | Packing::Four16 => *rows.get_wide(inst.a),
    };
    let first = inst.list as usize;
    for (part, slot) in lists[first..first + parts].iter().enumerate() {
        let mut out = Row::splat(0);
        for lane in 0..LANES {
            let value = (whole.0[lane] >> (bits * part)) as u32;
            out.0[lane] = if bits == 16 { value & 0xffff } else { value };
        }
        rows.set(*slot, &out, state.mask);
    }
}

/// `selp`.
#[inline(always)]
pub fn select<T: Element>(inst: &Inst, state: &mut LaneState<'_>) {
    let chosen = state.pred(inst.ps[0], inst.ps_negated[0], u32::MAX);
    let mut out = T::ZERO;
    let (a, b) = (T::row(&state.rows, inst.a), T::row(&state.rows, inst.b));
    for lane in 0..LANES {
        let (x, y) = (T::get(a, lane), T::get(b, lane));
        T::put(&mut out, lane, if has(chosen, lane) { x } else { y });
    }
    T::store(&mut state.rows, inst.d, &out, state.mask);
}

/// `slct`: a negative zero counts as zero, a NaN as negative.
#[inline(always)]
pub fn select_by_sign<T: Element>(float: Option<bool>, inst: &Inst, state: &mut LaneState<'_>) {
    match float {
        None => map3(inst, state, |a: T, b: T, c: i32| if c >= 0 { a } else { b }),
        Some(false) => map3(
            inst,
            state,
            |a: T, b: T, c: f32| if c >= 0.0 { a } else { b },
        ),
        Some(true) => map3(
            inst,
            state,
            |a: T, b: T, c: f32| {
                if c > -f32::MIN_POSITIVE { a } else { b }
            },
        ),
    }
}

/// Logic on predicates.
#[inline(always)]
pub fn predicate(op: PredicateOp, inst: &Inst, state: &mut LaneState<'_>) {
    let constant = 0u32.wrapping_sub(u32::from(inst.immediate != 0));
    let a = state.pred(inst.ps[0], inst.ps_negated[0], constant);
    let b = state.pred(inst.ps[1], inst.ps_negated[1], constant);
    let bits = match op {
        PredicateOp::And => a & b,
        PredicateOp::Or => a | b,
        PredicateOp::Xor => a ^ b,
        PredicateOp::Not => !a,
        PredicateOp::Copy => a,
    };
    state.set_pred(inst.pd[0], bits);
}

/// `isspacep`: windows of generic addresses are told apart by their upper bits.
#[inline(always)]
pub fn in_window(inst: &Inst, state: &mut LaneState<'_>) {
    let row = state.rows.get_wide(inst.a);
    let mut bits = 0;
    for lane in 0..LANES {
        let inside = (row.0[lane] >> crate::emu::rows::WINDOW_SHIFT) as i64 == inst.immediate;
        bits |= u32::from(inside) << lane;
    }
    state.set_pred(inst.pd[0], bits);
}
