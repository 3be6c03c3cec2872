//! Decoding of branches, exits, special registers, and of what does nothing here.

use super::decoded::Decoded;
use super::error::DecodeError;
use super::parts::{Parts, operands};
use super::resolve::Resolver;
use crate::driver::Target;
use crate::emu::op::{Op, Special};
use crate::emu::ptx::{Instruction, Operand, Type};

/// Decodes a control instruction or a `mov` from a special register; `None` for other opcodes.
pub fn decode(at: &Instruction, names: &Resolver) -> Result<Option<Decoded>, DecodeError> {
    let opcode = at.parts[0].as_str();
    match opcode {
        "bra" => branch(at, names).map(Some),
        "ret" => plain(at, Op::Exit, &["uni"], true).map(Some),
        "exit" => plain(at, Op::Exit, &[], true).map(Some),
        "trap" => plain(at, Op::Trap, &[], true).map(Some),
        "griddepcontrol" if names.target < Target::Sm90 => {
            let what = format!("{} has no griddepcontrol", names.target);
            Err(DecodeError::new(at, what))
        }
        "griddepcontrol" => {
            let op = match at.parts.get(1).map(String::as_str) {
                Some("wait") => Op::GridWait,
                // Launches run one after the other, so there is nothing to let go.
                _ => Op::Nothing,
            };
            plain(at, op, &["wait", "launch_dependents"], false).map(Some)
        }
        "nanosleep" => sleep(at, names).map(Some),
        "mov" => special(at, names),
        _ => Ok(None),
    }
}

/// An opcode without operands, with one of `modifiers`, or without where it may be `bare`.
fn plain(at: &Instruction, op: Op, modifiers: &[&str], bare: bool) -> Result<Decoded, DecodeError> {
    let mut parts = Parts::new(at, 1);
    if !modifiers.iter().any(|name| parts.accept(name)) && !bare {
        return Err(parts.refuse());
    }
    parts.end()?;
    operands(at, 0, 0)?;
    Ok(Decoded::new(op))
}

/// `nanosleep.u32 t`: nobody waits for the time to pass.
fn sleep(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    Parts::new(at, 1).last_type(&[Type::U32])?;
    names.source(at, &operands(at, 1, 1)?[0], Type::U32)?;
    Ok(Decoded::new(Op::Nothing))
}

fn branch(at: &Instruction, names: &Resolver) -> Result<Decoded, DecodeError> {
    let mut parts = Parts::new(at, 1);
    parts.accept("uni");
    parts.end()?;
    match &operands(at, 1, 1)?[0] {
        Operand::Name(label) => Ok(Decoded::new(Op::Branch {
            to: names.label(at, label)?,
        })),
        other => Err(DecodeError::new(at, format!("{other:?} is no label"))),
    }
}

/// `mov.type d, %special`.
fn special(at: &Instruction, names: &Resolver) -> Result<Option<Decoded>, DecodeError> {
    let [dest, Operand::Name(name)] = at.operands.as_slice() else {
        return Ok(None);
    };
    let declared = names.register(at, name).is_ok() || names.place(name).is_some();
    if declared || !name.starts_with('%') {
        return Ok(None);
    }
    let Some((special, bytes)) = special_register(name) else {
        let what = format!("special register {name} is not modelled");
        return Err(DecodeError::new(at, what));
    };
    let ty = at.parts.last().and_then(|part| part.get(1..));
    let given = match ty {
        Some("16") => 2,
        Some("32") => 4,
        Some("64") => 8,
        _ => 0,
    };
    if given != bytes || at.parts.len() != 2 {
        let what = format!("{name} has {} bits", 8 * bytes);
        return Err(DecodeError::new(at, what));
    }
    Ok(Some(Decoded {
        defs: vec![names.dest(at, dest, bytes)?],
        ..Decoded::new(Op::Special(special))
    }))
}

/// A special register by name, and its bytes.
fn special_register(name: &str) -> Option<(Special, u32)> {
    let name = name.strip_prefix('%')?;
    let dimension = |suffix: &str| "xyz".find(suffix).filter(|_| suffix.len() == 1);
    if let Some((base, suffix)) = name.split_once('.') {
        let index = dimension(suffix)? as u8;
        let special = match base {
            "tid" => Special::Tid(index),
            "ntid" => Special::Ntid(index),
            "ctaid" => Special::Ctaid(index),
            "nctaid" => Special::Nctaid(index),
            _ => return None,
        };
        return Some((special, 4));
    }
    let special = match name {
        "laneid" => Special::LaneId,
        "warpid" => Special::WarpId,
        "nwarpid" => Special::NwarpId,
        "lanemask_eq" => Special::LaneMask(0),
        "lanemask_le" => Special::LaneMask(1),
        "lanemask_lt" => Special::LaneMask(2),
        "lanemask_ge" => Special::LaneMask(3),
        "lanemask_gt" => Special::LaneMask(4),
        "dynamic_smem_size" => Special::DynamicShared,
        "total_smem_size" => Special::TotalShared,
        "smid" => Special::SmId,
        "clock" => Special::Clock,
        "clock64" => return Some((Special::Clock, 8)),
        _ => return None,
    };
    Some((special, 4))
}
