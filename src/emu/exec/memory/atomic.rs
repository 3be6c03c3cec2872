//! Atomics, lane by lane in ascending order.
//!
//! `atom.add.f32` flushes subnormal operands and results in global memory and keeps them in shared memory, as the PTX
//! manual says of the hardware.

use half::{bf16, f16};

use super::address::{addresses, each_space};
use super::bounds::{self, Verb};
use super::observe::{self, Observed};
use super::transfer::{fetch, put};
use crate::emu::check::Lanes;
use crate::emu::exec::context::Context;
use crate::emu::exec::fault::Checked;
use crate::emu::exec::number::{NAN16, canonical, canonical64, flushed, to_odd};
use crate::emu::memory::WordsMut;
use crate::emu::op::{AtomicFunction, Order, Span};
use crate::emu::program::Inst;
use crate::emu::ptx::{Space, Type};
use crate::emu::report::ReportKind;
use crate::emu::rows::{LANES, Row, Slot, WideRow};

/// Runs an atomic.
pub fn execute(
    cx: &mut Context<'_>,
    inst: &Inst,
    span: Span,
    (function, ty): (AtomicFunction, Type),
    order: Order,
) -> Checked<()> {
    let at = addresses(cx, inst.a, span.wide, inst.immediate);
    let atomic = Atomic { inst, function, ty };
    let mut old = WideRow::splat(0);
    let mask = cx.lanes.mask;
    each_space(cx, span.space, span.total(), &at, |cx, space, lanes| {
        bounds::aligned(cx, space, Verb::Atomic, &lanes)?;
        match space {
            Space::Shared => {
                bounds::within(cx, space, Verb::Atomic, &lanes, cx.grid.shared_bytes)?;
                let access = observed(space, order, &lanes);
                observe::shared(cx, access, &observe::differ)?;
                atomic.run(cx, cx.shared, 0, &lanes, false, &mut old);
                atomic.strong(cx, &observed(space, order, &lanes), &old);
                Ok(())
            }
            Space::Global => bounds::each_window(cx, Verb::Atomic, lanes, |cx, window, lanes| {
                let access = observed(Space::Global, order, lanes);
                observe::global(cx, window, access, &observe::differ)?;
                atomic.run(cx, window.words, window.base, lanes, true, &mut old);
                atomic.strong(cx, &observed(Space::Global, order, lanes), &old);
                Ok(())
            }),
            _ => {
                let what = format!("an atomic on {space:?} memory");
                Err(cx.fault(ReportKind::OutOfBounds, lanes.first_lane(), what))
            }
        }
    })?;
    if inst.defs == 0 || inst.d == Slot::NONE {
        return Ok(());
    }
    match ty.bytes() {
        8 => cx.lanes.rows.set_wide(inst.d, &old, mask),
        _ => {
            let row = Row(old.0.map(|bits| bits as u32));
            cx.lanes.rows.set(inst.d, &row, mask);
        }
    }
    Ok(())
}

fn observed<'a>(space: Space, order: Order, lanes: &'a Lanes<'a>) -> Observed<'a> {
    Observed {
        space,
        verb: Verb::Atomic,
        order,
        lanes,
    }
}

/// An atomic, to be made on some memory.
#[derive(Clone, Copy)]
struct Atomic<'i> {
    inst: &'i Inst,
    function: AtomicFunction,
    ty: Type,
}

impl Atomic<'_> {
    /// What each lane's atomic publishes and learns. A compare-and-swap that found another value stores nothing.
    fn strong(self, cx: &mut Context<'_>, access: &Observed<'_>, old: &WideRow) {
        if cx.watch.is_none() {
            return;
        }
        for lane in access.lanes.active() {
            let at = lane as usize % LANES;
            let failed = self.function == AtomicFunction::Cas
                && old.0[at] != self.value(cx, self.inst.b, at);
            observe::strong(cx, access, lane, !failed);
        }
    }

    /// An operand of a lane.
    fn value(self, cx: &Context<'_>, slot: Slot, lane: usize) -> u64 {
        match (slot, self.ty.bytes()) {
            (Slot::NONE, _) => 0,
            (slot, 8) => cx.lanes.rows.get_wide(slot).0[lane],
            (slot, _) => u64::from(cx.lanes.rows.get(slot).0[lane]),
        }
    }

    fn run<W: WordsMut>(
        self,
        cx: &mut Context<'_>,
        words: W,
        base: u64,
        lanes: &Lanes<'_>,
        flush: bool,
        old: &mut WideRow,
    ) {
        for lane in lanes.active() {
            let offset = (lanes.address(lane) - base) as usize;
            let lane = lane as usize % LANES;
            let before = match self.ty.bytes() {
                8 => fetch::<W, 8>(words, offset),
                2 => fetch::<W, 2>(words, offset),
                _ => fetch::<W, 4>(words, offset),
            };
            let (b, c) = (
                self.value(cx, self.inst.b, lane),
                self.value(cx, self.inst.c, lane),
            );
            let after = self.apply(before, b, c, flush);
            match self.ty.bytes() {
                8 => put::<W, 8>(words, offset, after),
                2 => put::<W, 2>(words, offset, after),
                _ => put::<W, 4>(words, offset, after),
            }
            cx.changed |= after != before;
            old.0[lane] = before;
        }
    }

    /// The new value in place of `old`.
    fn apply(self, old: u64, b: u64, c: u64, flush: bool) -> u64 {
        let (old32, b32) = (old as u32, b as u32);
        match self.function {
            AtomicFunction::Add => self.add(old, b, flush),
            AtomicFunction::Min | AtomicFunction::Max => {
                let larger = match self.ty {
                    Type::S32 => (b32 as i32) > (old32 as i32),
                    Type::S64 => (b as i64) > (old as i64),
                    Type::U32 => b32 > old32,
                    _ => b > old,
                };
                match larger == (self.function == AtomicFunction::Max) {
                    true => b,
                    false => old,
                }
            }
            AtomicFunction::And => old & b,
            AtomicFunction::Or => old | b,
            AtomicFunction::Xor => old ^ b,
            AtomicFunction::Exch => b,
            AtomicFunction::Cas if old == b => c,
            AtomicFunction::Cas => old,
            AtomicFunction::Inc if old32 >= b32 => 0,
            AtomicFunction::Inc => u64::from(old32 + 1),
            AtomicFunction::Dec if old32 == 0 || old32 > b32 => b,
            AtomicFunction::Dec => u64::from(old32 - 1),
        }
    }

    fn add(self, old: u64, b: u64, flush: bool) -> u64 {
        let halves = |f: fn(u16, u16) -> u16| {
            let low = f(old as u16, b as u16);
            let high = f((old >> 16) as u16, (b >> 16) as u16);
            u64::from(low) | u64::from(high) << 16
        };
        match self.ty {
            Type::F32 => u64::from(add_f32(old as u32, b as u32, flush)),
            Type::F64 => canonical64(f64::from_bits(old) + f64::from_bits(b)).to_bits(),
            Type::F16 => u64::from(add_f16(old as u16, b as u16)),
            Type::Bf16 => u64::from(add_bf16(old as u16, b as u16)),
            Type::F16x2 => halves(add_f16),
            Type::Bf16x2 => halves(add_bf16),
            Type::U64 | Type::S64 => old.wrapping_add(b),
            _ => u64::from((old as u32).wrapping_add(b as u32)),
        }
    }
}

fn add_f32(a: u32, b: u32, flush: bool) -> u32 {
    let [a, b] = [a, b].map(|bits| flushed(f32::from_bits(bits), flush));
    canonical(flushed(a + b, flush)).to_bits()
}

fn add_f16(a: u16, b: u16) -> u16 {
    // Exact in f64; to f32 by rounding to odd, so that the last step rounds once.
    let sum = f16::from_bits(a).to_f64() + f16::from_bits(b).to_f64();
    match sum.is_nan() {
        true => NAN16,
        false => f16::from_f32(to_odd(sum)).to_bits(),
    }
}

fn add_bf16(a: u16, b: u16) -> u16 {
    let sum = f64::from(bf16::from_bits(a).to_f32()) + f64::from(bf16::from_bits(b).to_f32());
    match sum.is_nan() {
        true => NAN16,
        false => bf16::from_f32(to_odd(sum)).to_bits(),
    }
}
