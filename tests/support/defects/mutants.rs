//! The seeded defects of PTX texts: every place where a kind of defect applies, and a spread of them. Names no kernel and no
//! driver, so that a run on hardware can plant the same.

use std::collections::{BTreeMap, BTreeSet};

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

    /// Whether the kernel is among those, one in `of`, that get this kind: by the names of both.
    pub fn in_share(&self, of: u32) -> bool {
        hash(&self.kernel, self.mutator).is_multiple_of(of)
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

/// The defect of a text by its [`Mutant::name`]: its kernel alone is read.
pub fn named(ptx: &str, name: &str) -> Option<Mutant> {
    let (kernel, _) = name.split_once('/')?;
    let text = of_kernels(ptx, &BTreeSet::from([kernel]));
    all(&text).into_iter().find(|mutant| mutant.name() == name)
}

/// At most `each` defects of each kind in each kernel, spread evenly over the kernel's lines. Where in its part of the lines a
/// defect stands follows from the names of kernel and kind: kernels that are one text for two types get different ones, and
/// no kernel's depend on what other kernels there are.
pub fn spread(mutants: Vec<Mutant>, each: usize) -> Vec<Mutant> {
    let mut groups: BTreeMap<(String, &str), Vec<Mutant>> = BTreeMap::new();
    for mutant in mutants {
        let group = (mutant.kernel.clone(), mutant.mutator);
        groups.entry(group).or_default().push(mutant);
    }
    let mut chosen = Vec::new();
    for ((kernel, kind), group) in groups {
        let (found, taken) = (group.len(), group.len().min(each));
        let phase = (hash(&kernel, kind) >> 24) as usize;
        let place = |i: usize| ((i << 8) + phase) * found / (taken << 8);
        chosen.extend((0..taken).map(|i| group[place(i)].clone()));
    }
    chosen
}

/// A number that follows from a kernel's name and a kind's: FNV-1a.
fn hash(kernel: &str, kind: &str) -> u32 {
    let bytes = kernel.bytes().chain(kind.bytes());
    bytes.fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// The text without the kernels that are not named: a defect's own and those that its cases launch beside it are soon read.
/// Lines keep their numbers.
pub fn of_kernels(ptx: &str, named: &BTreeSet<&str>) -> String {
    let mut text = String::with_capacity(ptx.len() / 4);
    let mut left_out = false;
    for line in ptx.lines() {
        if let Some(rest) = line.strip_prefix(".visible .entry ") {
            let name = rest.split('(').next().unwrap_or(rest);
            left_out = !named.contains(name);
        }
        if !left_out {
            text.push_str(line);
        }
        text.push('\n');
        // A kernel's last line.
        left_out &= line != "}";
    }
    text
}
