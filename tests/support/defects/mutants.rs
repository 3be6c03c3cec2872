//! The seeded defects of PTX texts: every place where a kind of defect applies, and a spread of them. Names no kernel and no
//! driver, so that a run on hardware can plant the same.

use std::collections::BTreeMap;

use qwarp::emu::ptx::{Module, parse};

use super::mutators::MUTATORS;
use super::site::{constants, sites};

/// A defect in a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The kernel.
    pub kernel: String,
    /// The kind of defect.
    pub mutator: &'static str,
    /// The instruction's place in the kernel, from 0. Unlike a line of the file it stays when another kernel changes, or a
    /// comment.
    pub index: usize,
    /// The line of the PTX text, from 1.
    pub line: u32,
    /// What stood there.
    pub before: String,
    /// What stands there; empty where the instruction was taken away.
    pub after: String,
}

impl Mutant {
    /// `<kernel>/<kind>/<index>`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.kernel, self.mutator, self.index)
    }

    /// The text with the defect; lines keep their numbers.
    pub fn plant(&self, ptx: &str) -> String {
        let mut text = String::with_capacity(ptx.len());
        for (number, line) in (1u32..).zip(ptx.lines()) {
            text.push_str(if number == self.line {
                &self.after
            } else {
                line
            });
            text.push('\n');
        }
        text
    }
}

/// Every defect of a text, kernel by kernel, kind by kind, down the lines.
pub fn all(ptx: &str) -> Vec<Mutant> {
    let module: Module = parse(ptx).expect("PTX of a kernel");
    let lines: Vec<&str> = ptx.lines().collect();
    let mut mutants = Vec::new();
    for entry in &module.entries {
        let constants = constants(entry);
        let sites = sites(entry, &lines, &constants);
        for (mutator, mutate) in MUTATORS {
            let changed = sites.iter().filter_map(|site| Some((site, mutate(site)?)));
            mutants.extend(changed.map(|(site, after)| Mutant {
                kernel: entry.name.clone(),
                mutator,
                index: site.index,
                line: site.instruction.line,
                before: site.instruction.text.clone(),
                after,
            }));
        }
    }
    mutants
}

/// At most `each` defects of each kind in each kernel, spread evenly over the kernel's lines.
pub fn spread(mutants: Vec<Mutant>, each: usize) -> Vec<Mutant> {
    let mut groups: BTreeMap<(String, &str), Vec<Mutant>> = BTreeMap::new();
    for mutant in mutants {
        let group = (mutant.kernel.clone(), mutant.mutator);
        groups.entry(group).or_default().push(mutant);
    }
    let mut chosen = Vec::new();
    for group in groups.into_values() {
        let (found, taken) = (group.len(), group.len().min(each));
        let middle = |i: usize| (2 * i + 1) * found / (2 * taken);
        chosen.extend((0..taken).map(|i| group[middle(i)].clone()));
    }
    chosen
}
