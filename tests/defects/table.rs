//! How many defects were caught, by kind and by kernel.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::defects::{Mutant, Verdict};

/// Defects of one row.
#[derive(Default, Clone, Copy)]
pub struct Counts {
    pub by_check: usize,
    pub by_result: usize,
    pub survived: usize,
    pub refused: usize,
}

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Check(_) => self.by_check += 1,
            Verdict::Result => self.by_result += 1,
            Verdict::Survived => self.survived += 1,
            Verdict::Refused(_) => self.refused += 1,
        }
    }

    /// Defects that ran.
    pub fn defects(self) -> usize {
        self.by_check + self.by_result + self.survived
    }

    /// The share of them that was caught.
    pub fn caught(self) -> f64 {
        1.0 - self.survived as f64 / self.defects().max(1) as f64
    }
}

/// The sum over all defects, and the table.
pub fn table(verdicts: &[(Mutant, Verdict)]) -> (Counts, String) {
    let mut total = Counts::default();
    let mut kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut kernels: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut reports: BTreeMap<&str, usize> = BTreeMap::new();
    for (mutant, verdict) in verdicts {
        total.add(verdict);
        kinds.entry(mutant.mutator).or_default().add(verdict);
        kernels.entry(&mutant.kernel).or_default().add(verdict);
        if let Verdict::Check(report) = verdict {
            *reports.entry(report).or_default() += 1;
        }
    }
    let mut text = String::new();
    let mut row = |name: &str, counts: Counts| {
        let _ = writeln!(
            text,
            "{name:<34} {:>8} {:>9} {:>9} {:>8} {:>8.1}",
            counts.by_check,
            counts.by_result,
            counts.survived,
            counts.refused,
            counts.caught() * 100.0
        );
    };
    for (name, counts) in kinds.into_iter().chain(kernels) {
        row(name, counts);
    }
    row("all", total);
    let header = format!(
        "{:<34} {:>8} {:>9} {:>9} {:>8} {:>8}\n",
        "defects", "by check", "by result", "survived", "refused", "% caught"
    );
    for (report, count) in reports {
        let _ = writeln!(text, "{count:>5} reports: {report}");
    }
    (total, header + &text)
}
