//! Virtual registers to rows, by linear scan over live intervals: a kernel of thousands of virtual registers runs in the
//! few rows that are live at once, which stay in the host's cache.

use super::decoded::{Decoded, Virtual};
use super::error::DecodeError;
use super::flow::{Block, Set, defs, uses};
use super::module_error;
use crate::emu::ptx::Type;
use crate::emu::rows::Slot;

/// Rows that slots can name.
const MAX_ROWS: usize = 1 << 15;

/// First and last point where a register holds a value. Instruction `i` reads at `2 i` and writes at `2 i + 1`.
#[derive(Debug, Clone, Copy)]
struct Interval {
    first: usize,
    last: usize,
}

/// The first row of each register that has one, and the count of rows.
#[derive(Debug)]
pub struct Allocation {
    slots: Vec<Option<u16>>,
    /// Rows in use.
    pub rows: u16,
}

impl Allocation {
    /// Where a register stands; one that nothing names stands nowhere.
    pub fn slot(&self, register: Virtual) -> Slot {
        self.slots[register.0 as usize].map_or(Slot::NONE, Slot)
    }
}

/// Assigns rows. `kept` registers (those that may be read unwritten) keep a row of their own, so that a lane that never
/// wrote one does not see another register's value as its own.
pub fn allocate(
    code: &[Decoded],
    blocks: &[Block],
    types: &[Type],
    kept: &Set,
) -> Result<Allocation, DecodeError> {
    let mut intervals = intervals(code, blocks, types.len());
    for register in kept.iter().filter(|r| types[r.0 as usize] != Type::Pred) {
        intervals[register.0 as usize] = Some(Interval {
            first: 0,
            last: usize::MAX,
        });
    }
    let mut order: Vec<(Interval, Virtual)> = intervals
        .iter()
        .enumerate()
        .filter(|(register, _)| types[*register] != Type::Pred)
        .filter_map(|(register, interval)| interval.map(|i| (i, Virtual(register as u32))))
        .collect();
    order.sort_by_key(|(interval, register)| (interval.first, register.0));
    let mut slots = vec![None; types.len()];
    let mut busy: Vec<bool> = Vec::new();
    let mut active: Vec<(usize, u16, usize)> = Vec::new();
    for (interval, register) in order {
        active.retain(|&(last, slot, rows)| {
            let alive = last >= interval.first;
            if !alive {
                busy[usize::from(slot)..usize::from(slot) + rows].fill(false);
            }
            alive
        });
        let rows = types[register.0 as usize].bytes().div_ceil(4) as usize;
        let slot = free(&mut busy, rows)?;
        active.push((interval.last, slot, rows));
        slots[register.0 as usize] = Some(slot);
    }
    Ok(Allocation {
        slots,
        rows: busy.len() as u16,
    })
}

/// The first `rows` free rows in a run.
fn free(busy: &mut Vec<bool>, rows: usize) -> Result<u16, DecodeError> {
    let found = (0..busy.len()).find(|&start| {
        busy[start..].iter().take(rows).all(|taken| !taken) && start + rows <= busy.len()
    });
    let start = found.unwrap_or_else(|| {
        busy.len()
            - busy
                .iter()
                .rev()
                .take_while(|taken| !**taken)
                .count()
                .min(rows)
    });
    if start + rows > MAX_ROWS {
        return Err(module_error(format!(
            "more than {MAX_ROWS} registers are live at once"
        )));
    }
    busy.resize(busy.len().max(start + rows), false);
    busy[start..start + rows].fill(true);
    Ok(start as u16)
}

fn intervals(code: &[Decoded], blocks: &[Block], count: usize) -> Vec<Option<Interval>> {
    let mut intervals: Vec<Option<Interval>> = vec![None; count];
    let mut touch = |register: Virtual, point: usize| {
        let interval = &mut intervals[register.0 as usize];
        *interval = Some(match *interval {
            None => Interval {
                first: point,
                last: point,
            },
            Some(i) => Interval {
                first: i.first.min(point),
                last: i.last.max(point),
            },
        });
    };
    for block in blocks {
        for register in block.live_in.iter() {
            touch(register, 2 * block.start);
        }
        for register in block.live_out.iter() {
            touch(register, 2 * block.end - 1);
        }
        for index in block.start..block.end {
            let inst = &code[index];
            // Several results are written one after the other: no source may share a row with the first of them.
            let read = 2 * index + usize::from(defs(inst).count() > 1);
            uses(inst).for_each(|register| touch(register, read));
            defs(inst).for_each(|register| touch(register, 2 * index + 1));
        }
    }
    intervals
}
