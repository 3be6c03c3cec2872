//! How many CTAs fit on one multiprocessor, from what ptxas reports and the limits in the CUDA programming guide's table of
//! compute capabilities.

use crate::driver::Target;

/// What a CTA asks of a multiprocessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Residency {
    /// Registers of a thread, as ptxas reports them.
    pub registers: u32,
    /// Shared memory of a CTA, static and dynamic, in bytes.
    pub shared_bytes: u32,
    /// Threads of a CTA.
    pub threads: u32,
}

/// What keeps more CTAs from fitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Warps of a multiprocessor.
    Warps,
    /// CTAs of a multiprocessor.
    Ctas,
    /// Registers.
    Registers,
    /// Shared memory.
    Shared,
}

/// What fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// CTAs on a multiprocessor at once; 0 if one does not fit.
    pub ctas: u32,
    /// Their warps.
    pub warps: u32,
    /// Warps that a multiprocessor can hold.
    pub most_warps: u32,
    /// The first of the limits that is met.
    pub limit: Limit,
}

/// Limits of one multiprocessor.
struct Multiprocessor {
    warps: u32,
    ctas: u32,
    shared_bytes: u32,
    /// Shared memory that one CTA may have.
    cta_shared_bytes: u32,
    /// Shared memory is given in multiples of this.
    shared_unit: u32,
    /// Shared memory that the system keeps for each CTA.
    reserved: u32,
}

/// Registers of a multiprocessor, on all targets.
const REGISTERS: u32 = 65_536;
/// Its partitions: a warp's registers lie in one.
const PARTITIONS: u32 = 4;
/// A warp's registers are given in multiples of this.
const REGISTER_UNIT: u32 = 256;
/// Most registers of a thread.
const THREAD_REGISTERS: u32 = 255;
/// Most threads of a CTA.
const CTA_THREADS: u32 = 1024;

fn multiprocessor(target: Target) -> Multiprocessor {
    match target {
        Target::Sm75 => Multiprocessor {
            warps: 32,
            ctas: 16,
            shared_bytes: 64 << 10,
            cta_shared_bytes: 64 << 10,
            shared_unit: 256,
            reserved: 0,
        },
        Target::Sm80 => Multiprocessor {
            warps: 64,
            ctas: 32,
            shared_bytes: 164 << 10,
            cta_shared_bytes: 163 << 10,
            shared_unit: 128,
            reserved: 1 << 10,
        },
        Target::Sm90 => Multiprocessor {
            warps: 64,
            ctas: 32,
            shared_bytes: 228 << 10,
            cta_shared_bytes: 227 << 10,
            shared_unit: 128,
            reserved: 1 << 10,
        },
    }
}

/// How many CTAs fit on a multiprocessor of `target`, with all the shared memory that its cache can give.
pub fn occupancy(target: Target, cta: Residency) -> Occupancy {
    let has = multiprocessor(target);
    let cta_warps = cta.threads.div_ceil(32).max(1);
    let by_warps = has.warps / cta_warps;
    let by_registers = if cta.registers > THREAD_REGISTERS {
        0
    } else {
        let of_warp = (cta.registers.max(1) * 32).next_multiple_of(REGISTER_UNIT);
        REGISTERS / PARTITIONS / of_warp * PARTITIONS / cta_warps
    };
    let by_shared = if cta.shared_bytes > has.cta_shared_bytes {
        0
    } else {
        let asked = (cta.shared_bytes + has.reserved).next_multiple_of(has.shared_unit);
        has.shared_bytes.checked_div(asked).unwrap_or(u32::MAX)
    };
    let by_warps = if cta.threads > CTA_THREADS {
        0
    } else {
        by_warps
    };
    let limits = [
        (by_warps, Limit::Warps),
        (has.ctas, Limit::Ctas),
        (by_registers, Limit::Registers),
        (by_shared, Limit::Shared),
    ];
    let (ctas, limit) = limits
        .into_iter()
        .min_by_key(|(ctas, _)| *ctas)
        .unwrap_or((0, Limit::Ctas));
    Occupancy {
        ctas,
        warps: ctas * cta_warps,
        most_warps: has.warps,
        limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand from the tables.
    #[test]
    fn each_limit_is_met_where_the_tables_say() {
        let cases = [
            (Target::Sm80, 32, 0, 256, 8, Limit::Warps),
            (Target::Sm80, 40, 0, 256, 6, Limit::Registers),
            (Target::Sm80, 128, 0, 128, 4, Limit::Registers),
            (Target::Sm80, 255, 0, 256, 1, Limit::Registers),
            (Target::Sm80, 32, 49_152, 128, 3, Limit::Shared),
            (Target::Sm80, 16, 0, 32, 32, Limit::Ctas),
            (Target::Sm75, 32, 0, 1024, 1, Limit::Warps),
            (Target::Sm75, 64, 32_768, 256, 2, Limit::Shared),
            (Target::Sm90, 168, 0, 384, 1, Limit::Registers),
            (Target::Sm90, 32, 232_448, 256, 1, Limit::Shared),
            (Target::Sm90, 32, 232_449, 256, 0, Limit::Shared),
            (Target::Sm75, 256, 0, 32, 0, Limit::Registers),
        ];
        for (target, registers, shared_bytes, threads, ctas, limit) in cases {
            let cta = Residency {
                registers,
                shared_bytes,
                threads,
            };
            let fits = occupancy(target, cta);
            assert_eq!((fits.ctas, fits.limit), (ctas, limit), "{target} {cta:?}");
            assert_eq!(fits.warps, ctas * threads.div_ceil(32));
        }
    }
}
