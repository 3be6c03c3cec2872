//! Decoded instructions with rows in place of virtual registers.

use std::collections::HashMap;

use super::allocate::Allocation;
use super::decoded::{Decoded, PredSource, Source, Virtual};
use super::error::DecodeError;
use super::flow::{Set, defs, uses};
use super::inst::{GuardSlot, Inst, Pred};
use super::module_error;
use crate::emu::ptx::Type;
use crate::emu::rows::{Row, Slot, WideRow};

/// Rows of immediates that slots can name; the last is [`Slot::NONE`].
const MAX_CONSTANTS: usize = (1 << 15) - 2;

/// Immediate operands, each kept once.
#[derive(Debug, Default)]
pub struct Constants {
    /// The rows.
    pub rows: Vec<Row>,
    narrow: HashMap<u32, u16>,
    wide: HashMap<u64, u16>,
}

impl Constants {
    fn next(&self) -> Result<u16, DecodeError> {
        let next = self.rows.len();
        if next + 2 > MAX_CONSTANTS {
            return Err(module_error(format!(
                "more than {MAX_CONSTANTS} immediate operands"
            )));
        }
        Ok(next as u16)
    }

    fn narrow(&mut self, value: u32) -> Result<Slot, DecodeError> {
        if let Some(&index) = self.narrow.get(&value) {
            return Ok(Slot::constant(index));
        }
        let index = self.next()?;
        self.rows.push(Row::splat(value));
        self.narrow.insert(value, index);
        Ok(Slot::constant(index))
    }

    fn wide(&mut self, value: u64) -> Result<Slot, DecodeError> {
        if let Some(&index) = self.wide.get(&value) {
            return Ok(Slot::constant(index));
        }
        let index = self.next()?;
        self.rows
            .extend_from_slice(bytemuck::cast_slice(&[WideRow::splat(value)]));
        self.wide.insert(value, index);
        Ok(Slot::constant(index))
    }
}

/// Predicates keep their virtual order: `index[v]` is the predicate of virtual register `v`.
pub fn pred(index: &[u16], register: Option<Virtual>) -> Pred {
    register.map_or(Pred::NONE, |register| Pred(index[register.0 as usize]))
}

/// Finishes one instruction; its operands are appended to `lists`.
pub fn finish(
    inst: &Decoded,
    rows: &Allocation,
    preds: &[u16],
    types: &[Type],
    tainted: &Set,
    constants: &mut Constants,
    lists: &mut Vec<Slot>,
) -> Result<Inst, DecodeError> {
    let list = lists.len() as u32;
    let def = |register: &Option<Virtual>| register.map_or(Slot::NONE, |r| rows.slot(r));
    lists.extend(inst.defs.iter().map(def));
    for source in &inst.uses {
        lists.push(match source {
            Source::Register(register) => rows.slot(*register),
            Source::Narrow(value) => constants.narrow(*value)?,
            Source::Wide(value) => constants.wide(*value)?,
            Source::None => Slot::NONE,
        });
    }
    let is_wide = |register: &Virtual| types[register.0 as usize].bytes() == 8;
    let wide_defs = inst
        .defs
        .iter()
        .map(|def| def.as_ref().is_some_and(is_wide));
    let wide_uses = inst.uses.iter().map(|source| match source {
        Source::Register(register) => is_wide(register),
        source => matches!(source, Source::Wide(_)),
    });
    let wide = wide_defs.chain(wide_uses).take(16).enumerate();
    let wide = wide.fold(0, |bits, (index, wide)| bits | u16::from(wide) << index);
    let at = |index: usize| {
        lists
            .get(list as usize + index)
            .copied()
            .unwrap_or(Slot::NONE)
    };
    let source = |index: usize| match index < inst.uses.len() {
        true => at(inst.defs.len() + index),
        false => Slot::NONE,
    };
    let mut registers = uses(inst).chain(defs(inst));
    let poison = registers.any(|register| tainted.contains(register));
    Ok(Inst {
        op: inst.op,
        guard: GuardSlot {
            pred: pred(preds, inst.guard.register),
            negated: inst.guard.negated,
        },
        d: if inst.defs.is_empty() {
            Slot::NONE
        } else {
            at(0)
        },
        a: source(0),
        b: source(1),
        c: source(2),
        pd: inst.pred_defs.map(|register| pred(preds, register)),
        ps: inst.pred_uses.map(|p: PredSource| pred(preds, p.register)),
        ps_negated: inst.pred_uses.map(|p| p.negated),
        immediate: inst.immediate,
        list,
        defs: inst.defs.len() as u8,
        uses: inst.uses.len() as u8,
        wide,
        poison,
        watched: poison || inst.op.divides(),
    })
}
