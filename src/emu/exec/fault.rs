//! A finding while a CTA runs, before names and source lines are looked up.

use super::grid::Grid;
use crate::emu::report::{Place, Report, ReportKind};

/// What a check found.
#[derive(Debug)]
pub struct Fault {
    /// Which rule.
    pub kind: ReportKind,
    /// One line on what happened.
    pub what: String,
    /// Who did it.
    pub at: Spot,
    /// The other side of a race, or a thread that is missing.
    pub other: Option<Spot>,
    /// The memory concerned.
    pub memory: Option<String>,
    /// What the access stores.
    pub value: Option<String>,
}

/// A thread at an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The CTA's index in the grid.
    pub cta: u64,
    /// The thread's index in the CTA.
    pub thread: u32,
    /// The instruction's index in the code.
    pub pc: u32,
}

/// What an instruction gives back, or what it did wrong.
pub type Checked<T> = Result<T, Box<Fault>>;

impl Fault {
    /// A finding with nothing but a place.
    #[cold]
    pub fn new(kind: ReportKind, at: Spot, what: String) -> Box<Fault> {
        Box::new(Fault {
            kind,
            what,
            at,
            other: None,
            memory: None,
            value: None,
        })
    }

    /// The same with the other thread concerned.
    pub fn with_other(mut self: Box<Fault>, other: Spot) -> Box<Fault> {
        self.other = Some(other);
        self
    }

    /// The same with the memory concerned.
    pub fn with_memory(mut self: Box<Fault>, memory: String) -> Box<Fault> {
        self.memory = Some(memory);
        self
    }

    /// The same with what the access stores.
    pub fn with_value(mut self: Box<Fault>, value: String) -> Box<Fault> {
        self.value = Some(value);
        self
    }

    /// The report that people read.
    pub fn report(self, grid: &Grid<'_>) -> Report {
        Report {
            kind: self.kind,
            kernel: grid.program.name.clone(),
            what: self.what,
            place: place(grid, self.at),
            other: self.other.map(|spot| place(grid, spot)),
            memory: self.memory,
            value: self.value,
        }
    }
}

fn place(grid: &Grid<'_>, spot: Spot) -> Place {
    let program = grid.program;
    let origin = program.origins.get(spot.pc as usize);
    Place {
        cta: grid.cta(spot.cta),
        thread: grid.thread(spot.thread),
        ptx_line: origin.map_or(0, |origin| origin.line),
        instruction: origin.map_or_else(String::new, |origin| origin.text.clone()),
        source: origin.and_then(|origin| origin.source.clone()),
    }
}
