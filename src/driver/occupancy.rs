//! How many CTAs fit on one multiprocessor, from what ptxas reports and what a card card.

use super::Card;

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

/// Registers of a multiprocessor, on all cards.
const REGISTERS: u32 = 65_536;
/// Its partitions: a warp's registers lie in one.
const PARTITIONS: u32 = 4;
/// A warp's registers are given in multiples of this.
const REGISTER_UNIT: u32 = 256;
/// Most registers of a thread.
const THREAD_REGISTERS: u32 = 255;
/// Most threads of a CTA.
const CTA_THREADS: u32 = 1024;

/// How many CTAs fit on a multiprocessor of `card`, with all the shared memory that its cache can give.
pub fn occupancy(card: &Card, cta: Residency) -> Occupancy {
    let cta_warps = cta.threads.div_ceil(32).max(1);
    let by_warps = card.warps / cta_warps;
    let by_registers = if cta.registers > THREAD_REGISTERS {
        0
    } else {
        let of_warp = (cta.registers.max(1) * 32).next_multiple_of(REGISTER_UNIT);
        REGISTERS / PARTITIONS / of_warp * PARTITIONS / cta_warps
    };
    let by_shared = if cta.shared_bytes > card.cta_shared_bytes {
        0
    } else {
        let asked = (cta.shared_bytes + card.reserved_bytes).next_multiple_of(card.shared_unit);
        card.shared_bytes.checked_div(asked).unwrap_or(u32::MAX)
    };
    let by_warps = if cta.threads > CTA_THREADS {
        0
    } else {
        by_warps
    };
    let limits = [
        (by_warps, Limit::Warps),
        (card.ctas, Limit::Ctas),
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
        most_warps: card.warps,
        limit,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::driver::CARDS;

    /// Worked out by hand from the tables.
    #[test]
    fn each_limit_is_met_where_the_tables_say() {
        let cases = [
            ("A100", 32, 0, 256, 8, Limit::Warps),
            ("A100", 40, 0, 256, 6, Limit::Registers),
            ("A100", 128, 0, 128, 4, Limit::Registers),
            ("A100", 255, 0, 256, 1, Limit::Registers),
            ("A100", 32, 49_152, 128, 3, Limit::Shared),
            ("A100", 16, 0, 32, 32, Limit::Ctas),
            ("T4", 32, 0, 1024, 1, Limit::Warps),
            ("T4", 64, 32_768, 256, 2, Limit::Shared),
            ("H100", 168, 0, 384, 1, Limit::Registers),
            ("H100", 32, 232_448, 256, 1, Limit::Shared),
            ("H100", 32, 232_449, 256, 0, Limit::Shared),
            ("T4", 256, 0, 32, 0, Limit::Registers),
            ("A10G", 32, 0, 256, 6, Limit::Warps),
            ("A10G", 16, 0, 32, 16, Limit::Ctas),
            ("L4", 16, 0, 32, 24, Limit::Ctas),
            ("L4", 32, 49_152, 128, 2, Limit::Shared),
        ];
        for (name, registers, shared_bytes, threads, ctas, limit) in cases {
            let card = CARDS.iter().find(|card| card.name == name).unwrap();
            let cta = Residency {
                registers,
                shared_bytes,
                threads,
            };
            let fits = occupancy(card, cta);
            assert_eq!((fits.ctas, fits.limit), (ctas, limit), "{name} {cta:?}");
            assert_eq!(fits.warps, ctas * threads.div_ceil(32));
        }
    }
}
