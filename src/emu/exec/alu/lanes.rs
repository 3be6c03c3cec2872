//! Loops over the lanes of a warp: values of a type out of rows, a function, values back into a row.
//!
//! Every loop runs over all lanes without a branch, so that it becomes vector code; lanes that take no part compute
//! something that is then not stored. Functions given to them must therefore be defined for any bits.

use crate::emu::program::{Inst, Pred};
use crate::emu::rows::{LANES, Row, Rows, Slot, WideRow};

/// What a lane operation reads and writes.
pub struct LaneState<'a> {
    /// The registers of the warp, and the program's constants.
    pub rows: Rows<'a>,
    /// The predicates of the warp, a bit a lane.
    pub preds: &'a mut [u32],
    /// The carry flag of each lane (`CC.CF`).
    pub carry: &'a mut u32,
    /// The lanes that take part.
    pub mask: u32,
}

impl LaneState<'_> {
    /// A source predicate; `absent` for one that is not there.
    #[inline(always)]
    pub fn pred(&self, pred: Pred, negated: bool, absent: u32) -> u32 {
        if pred == Pred::NONE {
            return absent;
        }
        self.preds[usize::from(pred.0)] ^ 0u32.wrapping_sub(u32::from(negated))
    }

    /// Stores the lanes that take part; a result thrown away is not stored.
    #[inline(always)]
    pub fn set_pred(&mut self, pred: Pred, bits: u32) {
        if pred != Pred::NONE {
            let old = &mut self.preds[usize::from(pred.0)];
            *old = (*old & !self.mask) | (bits & self.mask);
        }
    }
}

/// A type of value that a register holds.
pub trait Element: Copy {
    /// A register of it.
    type Row: Copy;
    /// A register of zeros.
    const ZERO: Self::Row;
    /// The operand in a slot.
    fn row<'r>(rows: &'r Rows<'_>, slot: Slot) -> &'r Self::Row;
    /// A lane's value.
    fn get(row: &Self::Row, lane: usize) -> Self;
    /// Sets a lane's value.
    fn put(row: &mut Self::Row, lane: usize, value: Self);
    /// Stores the lanes of `mask`.
    fn store(rows: &mut Rows<'_>, slot: Slot, row: &Self::Row, mask: u32);
}

/// Implements [`Element`] for a type in a [`Row`] (`get`, `set`, u32) or a [`WideRow`] (u64).
macro_rules! element {
    ($ty:ty, $row:ty, $bits:ty, $get:ident, $set:ident, $from:expr, $to:expr) => {
        impl Element for $ty {
            type Row = $row;
            const ZERO: $row = <$row>::splat(0);

            #[inline(always)]
            fn row<'r>(rows: &'r Rows<'_>, slot: Slot) -> &'r $row {
                rows.$get(slot)
            }

            #[inline(always)]
            fn get(row: &$row, lane: usize) -> $ty {
                const FROM: fn($bits) -> $ty = $from;
                FROM(row.0[lane])
            }

            #[inline(always)]
            fn put(row: &mut $row, lane: usize, value: $ty) {
                const TO: fn($ty) -> $bits = $to;
                row.0[lane] = TO(value);
            }

            #[inline(always)]
            fn store(rows: &mut Rows<'_>, slot: Slot, row: &$row, mask: u32) {
                rows.$set(slot, row, mask);
            }
        }
    };
}

element!(u16, Row, u32, get, set, |bits| bits as u16, u32::from);
element!(i16, Row, u32, get, set, |bits| bits as i16, |value| {
    u32::from(value as u16)
});
element!(u32, Row, u32, get, set, |bits| bits, |value| value);
element!(i32, Row, u32, get, set, |bits| bits as i32, |value| value
    as u32);
element!(f32, Row, u32, get, set, f32::from_bits, f32::to_bits);
element!(
    u64,
    WideRow,
    u64,
    get_wide,
    set_wide,
    |bits| bits,
    |value| { value }
);
element!(
    i64,
    WideRow,
    u64,
    get_wide,
    set_wide,
    |bits| bits as i64,
    |value| value as u64
);
element!(
    f64,
    WideRow,
    u64,
    get_wide,
    set_wide,
    f64::from_bits,
    f64::to_bits
);

/// `d = f(a)`.
#[inline(always)]
pub fn map1<A: Element, D: Element>(inst: &Inst, state: &mut LaneState<'_>, f: impl Fn(A) -> D) {
    let mut out = D::ZERO;
    let a = A::row(&state.rows, inst.a);
    for lane in 0..LANES {
        D::put(&mut out, lane, f(A::get(a, lane)));
    }
    D::store(&mut state.rows, inst.d, &out, state.mask);
}

/// `d = f(a, b)`.
#[inline(always)]
pub fn map2<A: Element, B: Element, D: Element>(
    inst: &Inst,
    state: &mut LaneState<'_>,
    f: impl Fn(A, B) -> D,
) {
    let mut out = D::ZERO;
    let (a, b) = (A::row(&state.rows, inst.a), B::row(&state.rows, inst.b));
    for lane in 0..LANES {
        D::put(&mut out, lane, f(A::get(a, lane), B::get(b, lane)));
    }
    D::store(&mut state.rows, inst.d, &out, state.mask);
}

/// `d = f(a, b, c)`.
#[inline(always)]
pub fn map3<A: Element, B: Element, C: Element, D: Element>(
    inst: &Inst,
    state: &mut LaneState<'_>,
    f: impl Fn(A, B, C) -> D,
) {
    let mut out = D::ZERO;
    let (a, b) = (A::row(&state.rows, inst.a), B::row(&state.rows, inst.b));
    let c = C::row(&state.rows, inst.c);
    for lane in 0..LANES {
        let value = f(A::get(a, lane), B::get(b, lane), C::get(c, lane));
        D::put(&mut out, lane, value);
    }
    D::store(&mut state.rows, inst.d, &out, state.mask);
}

/// The lanes where `f(a, b)` holds.
#[inline(always)]
pub fn test2<T: Element>(a: &T::Row, b: &T::Row, f: impl Fn(T, T) -> bool) -> u32 {
    let mut bits = 0;
    for lane in 0..LANES {
        let bit = if f(T::get(a, lane), T::get(b, lane)) {
            1 << lane
        } else {
            0
        };
        bits |= bit;
    }
    bits
}

/// Whether `lane` is in `bits`.
#[inline(always)]
pub fn has(bits: u32, lane: usize) -> bool {
    bits & (1 << lane) != 0
}
