//! The lanes of a warp and where each of them is.
//!
//! Lanes that are at the same instruction form a group. The group that is furthest behind runs, until it comes to where
//! another waits and the two become one: so lanes that went different ways meet again where their ways do. While all
//! lanes are one group none of this costs anything.

/// Lanes at one instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The instruction's index.
    pub pc: u32,
    /// The lanes.
    pub mask: u32,
    /// Whether they wait there for other lanes.
    pub parked: bool,
}

/// What a warp can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Run.
    Ready,
    /// Nothing before the barrier that it waits at completes.
    Waiting {
        /// The barrier.
        barrier: u8,
    },
    /// All its lanes have exited.
    Done,
}

/// Where the lanes of a warp are.
#[derive(Debug, Clone)]
pub struct Warp {
    /// Lanes that are threads and have not exited.
    pub live: u32,
    /// The instruction of the running group.
    pub pc: u32,
    /// The lanes of the running group.
    pub active: u32,
    /// The other groups.
    pub groups: Vec<Group>,
    /// Where the running group may meet another: the least `pc` of theirs beyond its own.
    pub meet: u32,
    /// What it can do.
    pub status: Status,
    /// Instructions that it has run.
    pub clock: u64,
    /// Slices of time since lanes that went different ways last met.
    pub apart: u32,
    /// Lanes that have had their turn and go last for now.
    pub yielding: u32,
}

/// Slices of time after which the lanes furthest behind let others go first.
const PATIENCE: u32 = 8;
/// No group to meet.
const NOWHERE: u32 = u32::MAX;

impl Warp {
    /// A warp whose lanes are all at the first instruction.
    pub fn new(lanes: u32) -> Warp {
        Warp {
            live: lanes,
            pc: 0,
            active: lanes,
            groups: Vec::new(),
            meet: NOWHERE,
            status: Status::Ready,
            clock: 0,
            apart: 0,
            yielding: 0,
        }
    }

    /// Whether lanes are at different instructions.
    #[inline]
    pub fn diverged(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Puts lanes of the running group elsewhere.
    pub fn split(&mut self, group: Group) {
        self.active &= !group.mask;
        self.groups.push(group);
    }

    /// Ends lanes of the running group. Who waited for them may go on.
    pub fn exit(&mut self, lanes: u32) {
        self.live &= !lanes;
        self.active &= !lanes;
        for group in &mut self.groups {
            group.parked = false;
        }
    }

    /// Joins groups that are at one instruction and picks the one furthest behind; whether there is one that can run.
    pub fn regroup(&mut self) -> bool {
        if self.active != 0 {
            let (pc, mask) = (self.pc, self.active);
            self.groups.push(Group {
                pc,
                mask,
                parked: false,
            });
            self.active = 0;
        }
        self.groups.sort_unstable_by_key(|group| group.pc);
        self.groups.dedup_by(|next, kept| {
            let same = next.pc == kept.pc;
            if same {
                // Whoever comes new may be the one that the others waited for.
                kept.parked &= next.parked;
                kept.mask |= next.mask;
            }
            same
        });
        let ready = |group: &Group| !group.parked;
        let eager = |group: &Group| !group.parked && group.mask & self.yielding == 0;
        let groups = &self.groups;
        let found = groups
            .iter()
            .position(eager)
            .or_else(|| groups.iter().position(ready));
        let Some(index) = found else { return false };
        let group = self.groups.remove(index);
        (self.pc, self.active) = (group.pc, group.mask);
        if self.groups.is_empty() {
            (self.apart, self.yielding) = (0, 0);
        }
        let ahead = self.groups.iter().map(|group| group.pc);
        self.meet = ahead.filter(|&pc| pc > group.pc).min().unwrap_or(NOWHERE);
        true
    }

    /// Whether lanes are where they are in `other`, and will be given their turns alike.
    pub fn same_place(&self, other: &Warp) -> bool {
        let turn = |warp: &Warp| (warp.apart % PATIENCE, warp.yielding, warp.status);
        (self.live, self.pc, self.active, &self.groups)
            == (other.live, other.pc, other.active, &other.groups)
            && turn(self) == turn(other)
    }

    /// Called at the end of a slice of time. Lanes that spin for others of their own warp would run for ever if those
    /// furthest behind always went first: after a while the others go first.
    pub fn end_slice(&mut self) {
        if !self.diverged() {
            return;
        }
        self.apart += 1;
        if self.apart.is_multiple_of(PATIENCE) {
            self.yielding = self.active;
            self.regroup();
        } else {
            self.yielding = 0;
        }
    }
}
