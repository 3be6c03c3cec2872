//! Code for one kind of lane arithmetic, compiled twice: for any machine, and for x86-64 with AVX2 and FMA. Which of the two
//! runs is settled once a machine; which kind an instruction is, once a program.

use super::lanes::LaneState;
use crate::emu::op::Op;
use crate::emu::program::{Inst, Program};
use crate::emu::rows::Slot;

/// A kind of lane arithmetic.
pub trait Kind {
    /// Runs an instruction of this kind on the lanes of `state.mask`; `lists` is the program's.
    fn run(inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>);
}

/// The code of a kind, compiled: runs an instruction on the lanes of the mask; the slots are the lists of its program.
pub type LaneCode = fn(&Inst, &[Slot], &mut LaneState<'_>);

/// The lane arithmetic of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alu {
    vectors: bool,
}

impl Alu {
    /// The fastest that this machine runs.
    pub fn detect() -> Alu {
        #[cfg(target_arch = "x86_64")]
        let vectors = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("lzcnt")
            && std::arch::is_x86_feature_detected!("popcnt");
        #[cfg(not(target_arch = "x86_64"))]
        let vectors = false;
        Alu { vectors }
    }

    /// The code that every machine runs; its results are the same.
    pub fn portable() -> Alu {
        Alu { vectors: false }
    }

    /// The code of each instruction of a program that is lane arithmetic.
    pub fn lane_code(self, program: &Program) -> Vec<Option<LaneCode>> {
        let code = |inst: &Inst| match &inst.op {
            Op::Alu(op) => Some(self.code(op)),
            _ => None,
        };
        program.code.iter().map(code).collect()
    }

    /// The compilation of a kind that this machine runs.
    pub(super) fn of<K: Kind>(self) -> LaneCode {
        #[cfg(target_arch = "x86_64")]
        if self.vectors {
            return detected::<K>;
        }
        K::run
    }
}

#[cfg(target_arch = "x86_64")]
fn detected<K: Kind>(inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
    // SAFETY: only `Alu::of` hands this function out, and only where the machine was found to have all features that
    // `vectors` enables.
    unsafe { vectors::<K>(inst, lists, state) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn vectors<K: Kind>(inst: &Inst, lists: &[Slot], state: &mut LaneState<'_>) {
    K::run(inst, lists, state);
}
