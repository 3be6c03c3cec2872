//! What a store or an atomic was about to write, for reports.

use crate::emu::exec::context::{Context, list};
use crate::emu::exec::fault::Fault;
use crate::emu::op::{AtomicFunction, MemoryOp};
use crate::emu::program::Inst;
use crate::emu::rows::{LANES, Slot};

/// The finding with what its lane stores. What a load or a copy would have given is in no register.
#[cold]
pub fn attach(cx: &Context<'_>, inst: &Inst, op: MemoryOp, fault: Box<Fault>) -> Box<Fault> {
    let lane = fault.at.thread as usize % LANES;
    match op {
        MemoryOp::Store {
            span, wide_values, ..
        } => {
            let values = list(cx.grid, inst).iter().skip(1);
            let shown = values.map(|&slot| bits(cx, slot, lane, span.bytes.into(), wide_values));
            let shown: Vec<String> = shown.collect();
            fault.with_value(match shown.as_slice() {
                [one] => one.clone(),
                several => format!("{{{}}}", several.join(", ")),
            })
        }
        MemoryOp::Atomic { function, ty, .. } => {
            let bytes = ty.bytes() as usize;
            let operand = |slot| bits(cx, slot, lane, bytes, bytes == 8);
            let b = operand(inst.b);
            fault.with_value(match function {
                AtomicFunction::Cas => format!("{} where it finds {b}", operand(inst.c)),
                _ => b,
            })
        }
        _ => fault,
    }
}

/// The low `bytes` bytes of a lane's register.
fn bits(cx: &Context<'_>, slot: Slot, lane: usize, bytes: usize, wide: bool) -> String {
    let value = match (slot, wide) {
        (Slot::NONE, _) => 0,
        (slot, true) => cx.lanes.rows.get_wide(slot).0[lane],
        (slot, false) => u64::from(cx.lanes.rows.get(slot).0[lane]),
    };
    let kept = u64::MAX >> (64 - 8 * bytes.clamp(1, 8));
    format!("{:#0width$x}", value & kept, width = 2 + 2 * bytes)
}
