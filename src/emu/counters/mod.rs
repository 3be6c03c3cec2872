//! What a launch did, counted: instructions by class, bytes by space, sectors, bank conflicts. Each shard counts for itself
//! and the counts are added, so they do not depend on host threads.

mod requests;
mod touched;

pub use requests::{Direction, Space};
pub use touched::Touched;

use requests::{SECTOR, SPACES, banks, interleaved, sectors};

use crate::emu::check::Lanes;

/// What kind of work an instruction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Integer arithmetic, logic, comparisons and moves.
    Integer,
    /// f32 (and f64) arithmetic.
    Float,
    /// f16 and bf16 arithmetic.
    Half,
    /// `cvt`.
    Conversion,
    /// Loads, stores, atomics, asynchronous copies, `ldmatrix`.
    Memory,
    /// Branches, exits.
    Control,
    /// Barriers, fences, shuffles, votes.
    Sync,
    /// `mma`: each is as many products as its shape says, so these are kept apart.
    Matrix,
}

/// Classes, in the order of [`Class`].
const CLASSES: [Class; 8] = [
    Class::Integer,
    Class::Float,
    Class::Half,
    Class::Conversion,
    Class::Memory,
    Class::Control,
    Class::Sync,
    Class::Matrix,
];

impl Class {
    /// Every class.
    pub const ALL: [Class; 8] = CLASSES;

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Class::Integer => "integer",
            Class::Float => "float",
            Class::Half => "half",
            Class::Conversion => "conversion",
            Class::Memory => "memory",
            Class::Control => "control",
            Class::Sync => "sync",
            Class::Matrix => "matrix",
        }
    }
}

/// Instructions of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Instructions {
    /// Instructions that warps ran.
    pub warps: u64,
    /// Lanes that took part in them.
    pub lanes: u64,
}

/// Traffic of one space in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Warp instructions.
    pub requests: u64,
    /// Bytes that lanes asked for.
    pub bytes: u64,
    /// Global, local and constant memory: sectors of 32 bytes touched, summed over requests. Shared memory: passes over the
    /// banks.
    pub units: u64,
    /// How many there would be if the same bytes lay side by side.
    pub ideal: u64,
}

impl Traffic {
    /// Sectors (shared memory: passes) of a request on average; 0 if there was none.
    pub fn units_per_request(self) -> f64 {
        match self.requests {
            0 => 0.0,
            requests => self.units as f64 / requests as f64,
        }
    }
}

/// The counts of one shard or, added up, of launches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    instructions: [Instructions; CLASSES.len()],
    traffic: [[Traffic; 2]; SPACES],
    /// Sectors of global memory in each direction, each counted once a launch.
    touched: [u64; 2],
}

impl Counters {
    /// Counts an instruction.
    #[inline]
    pub fn instruction(&mut self, class: Class, mask: u32) {
        let count = &mut self.instructions[class as usize];
        count.warps += 1;
        count.lanes += u64::from(mask.count_ones());
    }

    /// Counts a memory request; its addresses are aligned to the bytes of a lane, and those of local memory are within the
    /// lane's own. An atomic is counted once each way.
    pub fn request(&mut self, space: Space, direction: Direction, lanes: &Lanes<'_>) {
        let (units, ideal) = match space {
            Space::Shared => banks(lanes),
            Space::Local => interleaved(lanes),
            Space::Global | Space::Const => sectors(lanes),
        };
        let traffic = &mut self.traffic[space as usize][direction as usize];
        traffic.requests += 1;
        traffic.bytes += lanes.run_bytes();
        traffic.units += units;
        traffic.ideal += ideal;
    }

    /// Adds the counts of another shard or launch.
    pub fn add(&mut self, other: &Counters) {
        for (sum, one) in self.instructions.iter_mut().zip(&other.instructions) {
            sum.warps += one.warps;
            sum.lanes += one.lanes;
        }
        let traffic = self.traffic.as_flattened_mut().iter_mut();
        for (sum, one) in traffic.zip(other.traffic.as_flattened()) {
            sum.requests += one.requests;
            sum.bytes += one.bytes;
            sum.units += one.units;
            sum.ideal += one.ideal;
        }
        for (sum, one) in self.touched.iter_mut().zip(other.touched) {
            *sum += one;
        }
    }

    /// Takes what a whole launch touched.
    pub fn set_touched(&mut self, touched: &Touched) {
        self.touched = [Direction::Read, Direction::Write].map(|way| touched.sectors(way));
    }

    /// Instructions of `class`.
    pub fn instructions(&self, class: Class) -> Instructions {
        self.instructions[class as usize]
    }

    /// Traffic of `space` in one direction.
    pub fn traffic(&self, space: Space, direction: Direction) -> Traffic {
        self.traffic[space as usize][direction as usize]
    }

    /// Bytes of global memory that move where whatever was touched stays in a cache until the launch ends: each sector that was
    /// read is read once, each that was written is written once. Of launches, the sum.
    pub fn touched_bytes(&self) -> u64 {
        self.touched.iter().sum::<u64>() * SECTOR
    }

    /// Bytes of global memory that move if each request fetches or stores the whole sectors that it touches.
    pub fn moved_bytes(&self) -> u64 {
        let global = &self.traffic[Space::Global as usize];
        global.iter().map(|traffic| traffic.units * SECTOR).sum()
    }

    /// Passes over the banks of shared memory.
    pub fn bank_passes(&self) -> u64 {
        let shared = &self.traffic[Space::Shared as usize];
        shared.iter().map(|traffic| traffic.units).sum()
    }

    /// Passes over the banks of shared memory beyond those that the same bytes need side by side.
    pub fn bank_conflicts(&self) -> u64 {
        self.traffic[Space::Shared as usize]
            .iter()
            .map(|traffic| traffic.units - traffic.ideal)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up() {
        let addresses: [u64; 32] = std::array::from_fn(|lane| 4096 + 8 * lane as u64);
        let mut one = Counters::default();
        one.instruction(Class::Float, 0xff);
        one.request(
            Space::Global,
            Direction::Read,
            &Lanes::of(u32::MAX, 4, &addresses),
        );
        let mut other = Counters::default();
        other.instruction(Class::Float, u32::MAX);
        other.instruction(Class::Sync, 1);
        other.request(
            Space::Shared,
            Direction::Write,
            &Lanes::of(u32::MAX, 4, &addresses),
        );
        one.add(&other);
        let float = one.instructions(Class::Float);
        assert_eq!((float.warps, float.lanes), (2, 40));
        assert_eq!(one.instructions(Class::Sync).lanes, 1);
        let global = one.traffic(Space::Global, Direction::Read);
        let expected = Traffic {
            requests: 1,
            bytes: 128,
            units: 8,
            ideal: 4,
        };
        assert_eq!(global, expected);
        assert_eq!(one.bank_conflicts(), 1);
        assert_eq!(
            one.traffic(Space::Global, Direction::Write),
            Traffic::default()
        );
    }
}
