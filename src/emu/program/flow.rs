//! Control flow and what is known of registers along it: which are live, and which may be read before they are written.

use super::decoded::{Decoded, PredSource, Source, Virtual};
use crate::emu::op::Op;

/// A set of virtual registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set(Vec<u64>);

impl Set {
    /// The empty set over `count` registers.
    pub fn empty(count: usize) -> Set {
        Set(vec![0; count.div_ceil(64)])
    }

    fn full(count: usize) -> Set {
        Set(vec![u64::MAX; count.div_ceil(64)])
    }

    /// Adds a register; whether it is new.
    pub fn insert(&mut self, register: Virtual) -> bool {
        let (word, bit) = (register.0 as usize / 64, 1 << (register.0 % 64));
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    fn add_all(&mut self, other: &Set) {
        for (word, bits) in self.0.iter_mut().zip(&other.0) {
            *word |= bits;
        }
    }

    /// Whether it holds a register.
    pub fn contains(&self, register: Virtual) -> bool {
        self.0[register.0 as usize / 64] & (1 << (register.0 % 64)) != 0
    }

    /// Its registers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Virtual> {
        self.0.iter().enumerate().flat_map(|(word, &bits)| {
            let below = |bits: &u64| Some(bits & bits.wrapping_sub(1)).filter(|left| *left != 0);
            std::iter::successors(Some(bits).filter(|bits| *bits != 0), below)
                .map(move |left| Virtual(word as u32 * 64 + left.trailing_zeros()))
        })
    }
}

/// The registers an instruction reads: sources, source predicates, guard.
pub fn uses(inst: &Decoded) -> impl Iterator<Item = Virtual> {
    let registers = inst.uses.iter().filter_map(|source| match source {
        Source::Register(register) => Some(*register),
        _ => None,
    });
    let preds = inst
        .pred_uses
        .iter()
        .chain([&inst.guard])
        .filter_map(|p: &PredSource| p.register);
    registers.chain(preds)
}

/// The registers an instruction writes.
pub fn defs(inst: &Decoded) -> impl Iterator<Item = Virtual> {
    inst.defs
        .iter()
        .chain(&inst.pred_defs)
        .filter_map(|def| *def)
}

/// Straight code: `start..end`, then to one of `next`.
#[derive(Debug, Clone)]
pub struct Block {
    /// First instruction.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// The blocks after it.
    pub next: Vec<usize>,
    /// Registers live when it starts.
    pub live_in: Set,
    /// Registers live when it ends.
    pub live_out: Set,
}

/// Whether control can pass to the instruction behind.
fn falls_through(inst: &Decoded) -> bool {
    let ends = matches!(inst.op, Op::Branch { .. } | Op::Exit | Op::Trap);
    !ends || inst.guard.register.is_some()
}

/// The blocks of `code` in order, with liveness over `count` registers.
pub fn blocks(code: &[Decoded], count: usize) -> Vec<Block> {
    let mut starts = vec![false; code.len() + 1];
    starts[0] = true;
    for (index, inst) in code.iter().enumerate() {
        if let Op::Branch { to } = inst.op {
            starts[to as usize] = true;
        }
        if matches!(inst.op, Op::Branch { .. } | Op::Exit | Op::Trap) {
            starts[index + 1] = true;
        }
    }
    let firsts: Vec<usize> = (0..code.len()).filter(|&index| starts[index]).collect();
    let mut block_at = vec![0; code.len()];
    for (block, &start) in firsts.iter().enumerate() {
        block_at[start] = block;
    }
    let mut blocks: Vec<Block> = firsts
        .iter()
        .enumerate()
        .map(|(block, &start)| {
            let end = firsts.get(block + 1).copied().unwrap_or(code.len());
            let last = &code[end - 1];
            let mut next = Vec::new();
            if let Op::Branch { to } = last.op {
                next.push(block_at[to as usize]);
            }
            if falls_through(last) && end < code.len() {
                next.push(block_at[end]);
            }
            let (live_in, live_out) = (Set::empty(count), Set::empty(count));
            Block {
                start,
                end,
                next,
                live_in,
                live_out,
            }
        })
        .collect();
    liveness(code, &mut blocks, count);
    blocks
}

/// What a block does to liveness: the registers that it reads before it writes them, and those that it surely writes. A
/// guarded write keeps the old value in some lanes, so it ends nothing.
fn effects(code: &[Decoded], block: &Block, count: usize) -> (Set, Set) {
    let (mut read, mut written) = (Set::empty(count), Set::empty(count));
    for inst in &code[block.start..block.end] {
        for register in uses(inst).filter(|register| !written.contains(*register)) {
            read.insert(register);
        }
        write(inst, &mut written);
    }
    (read, written)
}

fn liveness(code: &[Decoded], blocks: &mut [Block], count: usize) {
    let effects: Vec<_> = blocks.iter().map(|b| effects(code, b, count)).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for index in (0..blocks.len()).rev() {
            let mut out = std::mem::replace(&mut blocks[index].live_out, Set(Vec::new()));
            for &next in &blocks[index].next {
                out.add_all(&blocks[next].live_in);
            }
            let (read, written) = &effects[index];
            let live_in = &mut blocks[index].live_in.0;
            let words = live_in
                .iter_mut()
                .zip(&out.0)
                .zip(read.0.iter().zip(&written.0));
            for ((word, out), (read, written)) in words {
                let now = read | (out & !written);
                changed |= *word != now;
                *word = now;
            }
            blocks[index].live_out = out;
        }
    }
}

/// The registers that some path reads before it has surely written them.
pub fn maybe_unwritten(code: &[Decoded], blocks: &[Block], count: usize) -> Set {
    let mut before: Vec<Set> = (0..blocks.len()).map(|_| Set::full(count)).collect();
    before[0] = Set::empty(count);
    let mut queue = vec![0];
    let mut visited = vec![false; blocks.len()];
    while let Some(index) = queue.pop() {
        visited[index] = true;
        let mut written = before[index].clone();
        for inst in &code[blocks[index].start..blocks[index].end] {
            write(inst, &mut written);
        }
        for &next in &blocks[index].next {
            let old = before[next].clone();
            for (word, bits) in before[next].0.iter_mut().zip(&written.0) {
                *word &= bits;
            }
            if (before[next] != old || !visited[next]) && !queue.contains(&next) {
                queue.push(next);
            }
        }
    }
    let mut unwritten = Set::empty(count);
    for (block, written) in blocks.iter().zip(&mut before) {
        for inst in &code[block.start..block.end] {
            for register in uses(inst).filter(|&register| !written.contains(register)) {
                unwritten.insert(register);
            }
            write(inst, written);
        }
    }
    unwritten
}

fn write(inst: &Decoded, written: &mut Set) {
    if inst.guard.register.is_none() {
        for def in defs(inst) {
            written.insert(def);
        }
    }
}

/// The registers that a value from `unwritten` can flow into.
pub fn tainted(code: &[Decoded], unwritten: &Set) -> Set {
    let mut tainted = unwritten.clone();
    let mut changed = true;
    while changed {
        changed = false;
        for inst in code {
            if uses(inst).any(|register| tainted.contains(register)) {
                for def in defs(inst) {
                    changed |= tainted.insert(def);
                }
            }
        }
    }
    tainted
}
