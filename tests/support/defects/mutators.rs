//! The kinds of defects: each takes an instruction and gives the text that stands there instead.

use qwarp::emu::ptx::{Operand, Type};

use super::pipeline;
use super::site::{Site, Statement};

/// A kind of defect: `None` where it does not apply; an empty text takes the instruction away.
pub type Mutator = fn(&Site<'_>) -> Option<String>;

/// Every kind, by name.
pub const MUTATORS: [(&str, Mutator); 34] = [
    ("drop-barrier", drop_barrier),
    ("guard-barrier", guard_barrier),
    ("drop-warp-barrier", pipeline::drop_warp_barrier),
    ("drop-fence", drop_fence),
    ("drop-async-wait", drop_async_wait),
    ("drop-async-commit", drop_async_commit),
    ("wait-for-fewer", pipeline::wait_for_fewer),
    ("drop-zero-fill", pipeline::drop_zero_fill),
    ("drop-copy", pipeline::drop_copy),
    ("swap-left", pipeline::swap_left),
    ("swap-right", pipeline::swap_right),
    ("drop-product", pipeline::drop_product),
    ("swap-matrices", pipeline::swap_matrices),
    ("transpose", pipeline::transpose),
    ("shift-bound", shift_bound),
    ("flip-bound", flip_bound),
    ("shuffle-distance", shuffle_distance),
    ("shuffle-members", shuffle_members),
    ("drop-store", drop_store),
    ("drop-mov", drop_mov),
    ("address-up", address_up),
    ("address-down", address_down),
    ("wrong-thread", wrong_thread),
    ("wrong-cta", wrong_cta),
    ("swap-operands", swap_operands),
    ("repeat-operand", repeat_operand),
    ("drop-term", drop_term),
    ("drop-factor", drop_factor),
    ("drop-clamp", drop_clamp),
    ("other-extreme", other_extreme),
    ("change-constant", change_constant),
    ("drop-guard", drop_guard),
    ("branch-always", branch_always),
    ("branch-inverted", branch_inverted),
];

fn opcode<'a>(site: &'a Site<'_>) -> &'a str {
    &site.instruction.parts[0]
}

pub fn is(site: &Site<'_>, opcodes: &[&str]) -> bool {
    opcodes.contains(&opcode(site))
}

pub fn has(site: &Site<'_>, modifier: &str) -> bool {
    site.instruction.parts.iter().any(|part| part == modifier)
}

pub fn dropped(applies: bool) -> Option<String> {
    applies.then(String::new)
}

/// The statement with one operand changed.
pub fn with_operand(site: &Site<'_>, index: usize, text: String) -> Option<String> {
    let mut statement = site.statement.clone();
    *statement.operands.get_mut(index)? = text;
    Some(statement.text())
}

pub fn integer(site: &Site<'_>, index: usize) -> Option<u64> {
    match site.instruction.operands.get(index) {
        Some(Operand::Integer(value)) => Some(*value),
        _ => None,
    }
}

fn drop_barrier(site: &Site<'_>) -> Option<String> {
    dropped(is(site, &["bar", "barrier"]) && !has(site, "warp"))
}

/// Some threads pass by the barrier.
fn guard_barrier(site: &Site<'_>) -> Option<String> {
    let predicate = site.predicate.as_ref()?;
    let applies = is(site, &["bar", "barrier"]) && site.statement.guard.is_none();
    let guard = Some(format!("@{predicate}"));
    let statement = Statement {
        guard,
        ..site.statement.clone()
    };
    applies.then(|| statement.text())
}

fn drop_fence(site: &Site<'_>) -> Option<String> {
    dropped(is(site, &["membar", "fence"]))
}

fn drop_async_wait(site: &Site<'_>) -> Option<String> {
    dropped(is(site, &["cp"]) && (has(site, "wait_group") || has(site, "wait_all")))
}

fn drop_async_commit(site: &Site<'_>) -> Option<String> {
    dropped(is(site, &["cp"]) && has(site, "commit_group"))
}

fn compares_integers(site: &Site<'_>) -> bool {
    let ty = site
        .instruction
        .parts
        .last()
        .and_then(|name| Type::from_name(name));
    let float = [
        Type::F16,
        Type::Bf16,
        Type::F16x2,
        Type::Bf16x2,
        Type::F32,
        Type::F64,
    ];
    opcode(site) == "setp" && ty.is_some_and(|ty| !float.contains(&ty))
}

/// The number that an index is compared with, one more.
fn shift_bound(site: &Site<'_>) -> Option<String> {
    let bound = integer(site, 2).filter(|_| compares_integers(site))?;
    with_operand(site, 2, (bound as i64).wrapping_add(1).to_string())
}

/// `<` becomes `<=` and the other way round.
fn flip_bound(site: &Site<'_>) -> Option<String> {
    let compare = site
        .instruction
        .parts
        .get(1)
        .filter(|_| compares_integers(site))?;
    let flipped = match compare.as_str() {
        "lt" => "le",
        "le" => "lt",
        "gt" => "ge",
        "ge" => "gt",
        _ => return None,
    };
    let mut parts = site.instruction.parts.clone();
    parts[1] = flipped.to_string();
    let opcode = parts.join(".");
    let statement = Statement {
        opcode,
        ..site.statement.clone()
    };
    Some(statement.text())
}

/// Another lane is read: half as far away, or twice as far where it was a neighbour.
fn shuffle_distance(site: &Site<'_>) -> Option<String> {
    let register = site
        .statement
        .operands
        .get(2)
        .filter(|_| is(site, &["shfl"]))?;
    let distance = integer(site, 2).or_else(|| site.constants.get(register).copied())?;
    let other = if distance > 1 { distance / 2 } else { 2 };
    with_operand(site, 2, other.to_string())
}

/// The last lane is not named as a member.
fn shuffle_members(site: &Site<'_>) -> Option<String> {
    let last = site.statement.operands.len().checked_sub(1)?;
    let members = (is(site, &["shfl", "vote", "match", "redux"]) && has(site, "sync"))
        .then(|| site.statement.operands.get(last))??;
    let all = integer(site, last).or_else(|| site.constants.get(members).copied())?;
    with_operand(site, last, (all as u32 >> 1).to_string())
}

fn drop_store(site: &Site<'_>) -> Option<String> {
    dropped(is(site, &["st", "red"]))
}

/// A register keeps what it had: nothing, where it is set once.
fn drop_mov(site: &Site<'_>) -> Option<String> {
    let literal = matches!(
        site.instruction.operands.get(1),
        Some(Operand::Integer(_) | Operand::Float32(_) | Operand::Float64(_))
    );
    dropped(is(site, &["mov"]) && literal && site.lives)
}

/// The address one element further.
fn address_up(site: &Site<'_>) -> Option<String> {
    address(site, 1)
}

/// The address one element before.
fn address_down(site: &Site<'_>) -> Option<String> {
    address(site, -1)
}

fn address(site: &Site<'_>, elements: i64) -> Option<String> {
    if !is(site, &["ld", "st", "atom", "red", "cp", "ldmatrix"]) || has(site, "param") {
        return None;
    }
    let ty = site
        .instruction
        .parts
        .last()
        .and_then(|name| Type::from_name(name));
    let bytes = ty.map_or(16, |ty| i64::from(ty.bytes()));
    let addresses = site.instruction.operands.iter().enumerate();
    // The last address: of `cp.async` the source.
    let (index, address) = addresses.rev().find_map(|(i, operand)| match operand {
        Operand::Address(address) => Some((i, address)),
        _ => None,
    })?;
    let text = site.statement.operands[index].trim_matches(['[', ']']);
    let base = text
        .split(['+', '-'])
        .next()
        .filter(|_| address.base.is_some())?;
    let offset = address.offset + elements * bytes;
    with_operand(site, index, format!("[{base}+{offset}]"))
}

fn special(site: &Site<'_>, from: &str, to: &str) -> Option<String> {
    let found = is(site, &["mov"]) && site.statement.operands.get(1)? == from;
    found.then(|| with_operand(site, 1, to.to_string()))?
}

/// The thread's number in its warp, not in its CTA; where nothing but that is taken of it, there is no defect.
fn wrong_thread(site: &Site<'_>) -> Option<String> {
    special(site, "%tid.x", "%laneid").filter(|_| !site.lane_alone)
}

/// Another axis of the grid, or the grid's size for the CTA's.
fn wrong_cta(site: &Site<'_>) -> Option<String> {
    let axes = [
        ("%ctaid.x", "%ctaid.y"),
        ("%ctaid.y", "%ctaid.x"),
        ("%ntid.x", "%nctaid.x"),
        ("%nctaid.x", "%ntid.x"),
        ("%nctaid.y", "%nctaid.x"),
    ];
    axes.into_iter()
        .find_map(|(from, to)| special(site, from, to))
}

/// `a - b` as `b - a`, `a * b + c` as `a * c + b`.
fn swap_operands(site: &Site<'_>) -> Option<String> {
    let (a, b) = match opcode(site) {
        "sub" | "div" | "rem" | "selp" => (1, 2),
        "fma" => (2, 3),
        "mad" if !has(site, "wide") => (2, 3),
        _ => return None,
    };
    let mut statement = site.statement.clone();
    if statement.operands.get(a)? == statement.operands.get(b)? {
        return None;
    }
    statement.operands.swap(a, b);
    Some(statement.text())
}

/// `a + b` as `a + a`, `a * b` as `a * a`: the wrong variable.
fn repeat_operand(site: &Site<'_>) -> Option<String> {
    let [_, first, second, ..] = &site.statement.operands[..] else {
        return None;
    };
    let applies = is(site, &["add", "sub", "mul", "mad", "fma"]) && first != second;
    // Of what is wide and what is not, neither stands for the other.
    let same = !has(site, "wide") && integer(site, 2).is_none();
    let first = first.clone();
    (applies && same).then(|| with_operand(site, 2, first))?
}

/// The result is the first operand alone.
fn first_alone(site: &Site<'_>) -> Option<String> {
    let parts = &site.instruction.parts;
    // A coefficient of a series is not what is forgotten, and the last ones are below every bound.
    if let Some(Operand::Float32(_) | Operand::Float64(_)) = site.instruction.operands.get(2) {
        return None;
    }
    let [to, from, _] = &site.statement.operands[..] else {
        return None;
    };
    let bits = match Type::from_name(parts.last()?)?.bytes() {
        4 => "b32",
        8 => "b64",
        _ => return None,
    };
    let guard = site.statement.guard.iter().map(|guard| format!("{guard} "));
    let guard = guard.collect::<String>();
    // A `mov` takes a literal too.
    Some(format!("{guard}mov.{bits} {to}, {from};"))
}

/// A sum without its second term; a mask or a swizzle that is not applied.
fn drop_term(site: &Site<'_>) -> Option<String> {
    is(site, &["add", "sub", "and", "or", "xor"]).then(|| first_alone(site))?
}

/// A product without its second factor.
fn drop_factor(site: &Site<'_>) -> Option<String> {
    let narrow = !has(site, "wide") && !has(site, "hi");
    (is(site, &["mul", "div"]) && narrow).then(|| first_alone(site))?
}

/// An index that is not held inside its bound.
fn drop_clamp(site: &Site<'_>) -> Option<String> {
    let float = ["f16", "bf16", "f16x2", "bf16x2", "f32", "f64"];
    let index = !float.iter().any(|ty| has(site, ty));
    (is(site, &["min", "max"]) && index).then(|| first_alone(site))?
}

/// The highest for the lowest, and the other way round.
fn other_extreme(site: &Site<'_>) -> Option<String> {
    let other = match opcode(site) {
        "min" => "max",
        "max" => "min",
        _ => return None,
    };
    let opcode = site.statement.opcode.replacen(opcode(site), other, 1);
    let statement = Statement {
        opcode,
        ..site.statement.clone()
    };
    Some(statement.text())
}

/// An integer one more, a float of the other sign, one for zero.
fn change_constant(site: &Site<'_>) -> Option<String> {
    const COMPUTING: [&str; 13] = [
        "add", "sub", "mul", "mad", "fma", "shl", "shr", "and", "or", "xor", "mov", "selp", "div",
    ];
    if !is(site, &COMPUTING) || (is(site, &["mov"]) && !site.lives) {
        return None;
    }
    let operands = site.instruction.operands.iter().enumerate().skip(1);
    let (index, changed) = operands.rev().find_map(|(i, operand)| match operand {
        // All ones is a mask of lanes or of bits; a mutator of its own changes the first.
        Operand::Integer(value) if *value != u64::MAX => {
            Some((i, (*value as i64).wrapping_add(1).to_string()))
        }
        Operand::Float32(0) => Some((i, "0f3F800000".to_string())),
        Operand::Float32(bits) => Some((i, format!("0f{:08X}", bits ^ 1 << 31))),
        _ => None,
    })?;
    with_operand(site, index, changed)
}

fn unguarded(site: &Site<'_>) -> String {
    let statement = Statement {
        guard: None,
        ..site.statement.clone()
    };
    statement.text()
}

/// What only some threads do, all do.
fn drop_guard(site: &Site<'_>) -> Option<String> {
    let applies = site.statement.guard.is_some() && opcode(site) != "bra";
    applies.then(|| unguarded(site))
}

/// A branch that is always taken.
fn branch_always(site: &Site<'_>) -> Option<String> {
    let applies = site.statement.guard.is_some() && opcode(site) == "bra";
    applies.then(|| unguarded(site))
}

/// A branch taken when it should not be.
fn branch_inverted(site: &Site<'_>) -> Option<String> {
    let guard = site
        .statement
        .guard
        .as_ref()
        .filter(|_| opcode(site) == "bra")?;
    let inverted = match guard.strip_prefix("@!") {
        Some(register) => format!("@{register}"),
        None => guard.replacen('@', "@!", 1),
    };
    let statement = Statement {
        guard: Some(inverted),
        ..site.statement.clone()
    };
    Some(statement.text())
}
