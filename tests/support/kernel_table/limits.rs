//! What every row is held to, and the written reasons of those that may be beyond.

use qwarp::backend::gpu::kernels::ENTRIES;
use qwarp::driver::Target;
use qwarp::emu::counters::{Direction, Space};

use super::measure::Row;

/// Most that an op of a decode step may move for each byte that it has to.
const MOST_RATIO: f64 = 1.05;

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Nothing in local memory: no spilled register, no array.
    Local,
    /// Bytes moved by an op of a decode step.
    Bytes,
    /// No bank conflicts.
    Banks,
    /// A CTA fits on each card.
    Fits,
}

/// Why a kernel may be beyond a limit.
pub struct Reason {
    /// What its name starts with.
    starts: &'static str,
    /// What its name may end with.
    ends: &'static [&'static str],
    limit: Limit,
    pub why: &'static str,
}

/// Every one must be needed.
pub const REASONS: [Reason; 3] = [
    Reason {
        starts: "paged_attention_",
        ends: &["_d64"],
        limit: Limit::Bytes,
        why: "A chunk's partial results, 4 dim + 8 bytes for each query head that shares the keys, are written by \
              each CTA and read by the last, beside 1024 dim bytes of keys and values: 5.6 % for seven heads of 64, 4.8 % for six of \
              128. A context of 512 has 12 KiB of them, which do not leave the second-level cache. A CTA that takes all \
              chunks of a sequence would need none, and leave the other multiprocessors idle",
    },
    Reason {
        starts: "sample_f32_",
        ends: &["_draw"],
        limit: Limit::Bytes,
        why: "Seven launches read the row of logits one after the other, each time from the second-level cache; the floor has it \
              once. It is 0.6 MB beside the 3.1 GB of a step",
    },
    Reason {
        starts: "sample_f32_",
        ends: &["_max", "_top_k", "_top_p", "_draw"],
        limit: Limit::Banks,
        why: "Histograms by atomics in shared memory: neighbours in a row fall into few bins, and what meets in one word is added \
              one after the other",
    },
];

impl Row {
    /// The limits that it is beyond, with what was found.
    fn beyond(&self) -> Vec<(Limit, String)> {
        let mut beyond = Vec::new();
        let spilled = self.resources.map(|resources| resources.spill_bytes);
        let local = [Direction::Read, Direction::Write]
            .map(|way| self.counters.traffic(Space::Local, way).requests);
        if spilled != Some(0) || local != [0, 0] {
            let what =
                format!("{spilled:?} bytes spilled, local memory read and written {local:?}");
            beyond.push((Limit::Local, what));
        }
        let ratio = self.ratio().filter(|_| self.decodes());
        if let Some(ratio) = ratio.filter(|ratio| *ratio > MOST_RATIO) {
            let what = format!("{ratio:.3} bytes moved for each that has to, {MOST_RATIO} may be");
            beyond.push((Limit::Bytes, what));
        }
        if self.counters.bank_conflicts() > 0 {
            let what = format!("{} bank conflicts", self.counters.bank_conflicts());
            beyond.push((Limit::Banks, what));
        }
        for (card, _) in self.fits.iter().filter(|(_, fits)| fits.ctas == 0) {
            beyond.push((Limit::Fits, format!("a CTA does not fit on {card}")));
        }
        beyond
    }

    /// The number of the reason why it may be beyond `limit`, if it is.
    pub fn reason(&self, limit: Limit) -> Option<usize> {
        let is_beyond = self.beyond().iter().any(|(found, _)| *found == limit);
        REASONS
            .iter()
            .position(|reason| is_beyond && reason.speaks_of(self, limit))
    }
}

impl Reason {
    fn speaks_of(&self, row: &Row, limit: Limit) -> bool {
        let ends = self.ends.iter().any(|end| row.kernel.ends_with(end));
        self.limit == limit && row.kernel.starts_with(self.starts) && ends
    }
}

/// What is wrong with the table: limits that a row is beyond without a reason, reasons that no row needs, kernels without a row.
pub fn breaches(rows: &[Row]) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut needed = [false; REASONS.len()];
    for row in rows {
        for (limit, what) in row.beyond() {
            match row.reason(limit) {
                Some(reason) => needed[reason] = true,
                None => {
                    let Row {
                        kernel,
                        target,
                        model,
                        tokens,
                        ..
                    } = row;
                    breaches.push(format!(
                        "{kernel} on {target}, {model}, {tokens} tokens: {what}"
                    ));
                }
            }
        }
    }
    for (reason, _) in REASONS.iter().zip(needed).filter(|(_, needed)| !needed) {
        let Reason {
            starts,
            ends,
            limit,
            ..
        } = reason;
        breaches.push(format!("no {starts}*{ends:?} is beyond its limit ({limit:?}): the reason why it may be is not needed"));
    }
    for target in Target::ALL {
        for entry in ENTRIES.iter().filter(|entry| entry.exists_on(target)) {
            if !rows
                .iter()
                .any(|row| row.target == target && row.kernel == entry.name)
            {
                breaches.push(format!(
                    "{} on {target}: no case of a step launches it",
                    entry.name
                ));
            }
        }
    }
    breaches
}
