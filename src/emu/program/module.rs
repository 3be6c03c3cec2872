//! A module's kernels to programs.

use super::allocate::allocate;
use super::decoded::{Decoded, Virtual};
use super::error::DecodeError;
use super::families;
use super::finish::{Constants, finish};
use super::flow::{blocks, maybe_unwritten, tainted};
use super::inst::{Origin, Program};
use super::layout::Layout;
use super::module_error;
use super::resolve::Resolver;
use crate::driver::Target;
use crate::emu::op::Op;
use crate::emu::ptx::{Entry, Instruction, Module, Space, Type};

/// Decodes every kernel of a module for a device: what may be decoded goes by the module's target, what it computes by the
/// device's.
pub fn decode_module(module: &Module, device: Target) -> Result<Vec<Program>, DecodeError> {
    let target = Target::ALL
        .into_iter()
        .find(|target| target.number() == module.target);
    let target = target.ok_or_else(|| {
        module_error(format!(
            "sm_{} is not modelled (modelled: 75, 80, 90)",
            module.target
        ))
    })?;
    module
        .entries
        .iter()
        .map(|entry| decode_entry(module, entry, target, device))
        .collect()
}

fn decode_entry(
    module: &Module,
    entry: &Entry,
    target: Target,
    device: Target,
) -> Result<Program, DecodeError> {
    let (layout, names) = Layout::of(module, entry, target)?;
    let mut code = Vec::with_capacity(entry.body.len() + 1);
    for at in &entry.body {
        code.push(decode(at, &names)?);
    }
    // A kernel may end without `ret`, and a label may stand behind its last instruction.
    code.push(Decoded::new(Op::Exit));
    let count = names.types.len();
    let blocks = blocks(&code, count);
    let unwritten = maybe_unwritten(&code, &blocks, count);
    let tainted = tainted(&code, &unwritten);
    let rows = allocate(&code, &blocks, &names.types, &unwritten)?;
    let (preds, pred_count) = number_preds(&names.types)?;
    let (mut constants, mut lists) = (Constants::default(), Vec::new());
    let mut finished = Vec::with_capacity(code.len());
    for inst in &code {
        finished.push(finish(
            inst,
            &rows,
            &preds,
            &names.types,
            &tainted,
            &mut constants,
            &mut lists,
        )?);
    }
    let is_pred = |register: &Virtual| names.types[register.0 as usize] == Type::Pred;
    let row_pairs = |register: Virtual| {
        let wide = names.types[register.0 as usize].bytes() == 8;
        let first = rows.slot(register).0;
        first..=first + u16::from(wide)
    };
    Ok(Program {
        name: entry.name.clone(),
        device,
        code: finished,
        origins: origins(module, entry),
        lists,
        constants: constants.rows,
        rows: rows.rows,
        preds: pred_count,
        poison_rows: unwritten
            .iter()
            .filter(|r| !is_pred(r))
            .flat_map(row_pairs)
            .collect(),
        poison_preds: unwritten
            .iter()
            .filter(is_pred)
            .map(|register| preds[register.0 as usize])
            .collect(),
        params: layout.params,
        param_bytes: layout.param_bytes,
        shared_bytes: layout.shared_bytes,
        dynamic_shared_offset: layout.dynamic_shared_offset,
        local_bytes: layout.local_bytes,
        const_bytes: layout.const_bytes,
        global_grain: grain(&code, Space::Global),
        shared_grain: grain(&code, Space::Shared),
        waits: code.iter().any(|inst| inst.op == Op::GridWait),
        communicates: code.iter().any(|inst| inst.op.communicates()),
        max_threads: entry.max_threads,
        required_threads: entry.required_threads,
    })
}

fn decode(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let mut inst = families::decode(at, names)?;
    if let Some(guard) = &at.guard {
        inst.guard = names.pred(at, &guard.register, guard.negated)?;
    }
    Ok(inst)
}

/// The predicate number of each virtual register that is one, and their count.
fn number_preds(types: &[Type]) -> Result<(Vec<u16>, u16), DecodeError> {
    let mut count = 0;
    let numbers = types.iter().map(|ty| {
        count += u16::from(*ty == Type::Pred);
        count.wrapping_sub(1)
    });
    Ok((numbers.collect(), count))
}

fn origins(module: &Module, entry: &Entry) -> Vec<Origin> {
    let origin = |at: &Instruction| Origin {
        line: at.line,
        source: module
            .source(at)
            .map(|(file, line)| (file.to_string(), line)),
        text: at.text.clone(),
    };
    let end = Origin {
        line: entry.line,
        source: None,
        text: "end of the kernel".into(),
    };
    entry.body.iter().map(origin).chain([end]).collect()
}

/// The smallest access to `space`, at most 4 bytes.
fn grain(code: &[Decoded], space: Space) -> u8 {
    let accesses = code.iter().filter_map(|inst| match inst.op {
        Op::Memory(op) => op.access(),
        _ => None,
    });
    let of_space = accesses.filter(|(at, _)| *at == space || *at == Space::Generic);
    of_space.map(|(_, bytes)| bytes.min(4)).min().unwrap_or(4)
}
