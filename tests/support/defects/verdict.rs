//! What becomes of one defect: the cases of its kernel, smallest first, until one catches it.

use std::collections::{BTreeMap, BTreeSet};

use qwarp::backend::gpu::kernels::Kernels;
use qwarp::driver::{Driver, DriverError, Image, Target};
use qwarp::emu::{EmuOptions, Emulator};

use super::super::gpu_cases::{self, Case, Device, Failure};
use super::mutants::{Mutant, of_kernels};

/// Larger cases take longer and show nothing that smaller ones do not: every loop of a kernel goes round twice in these.
const LARGEST_FLOOR_BYTES: usize = 736 << 10;
/// Drawing tokens takes many times longer for its bytes: rows of two and more parts are among these.
const LARGEST_SAMPLE_BYTES: usize = 112 << 10;

/// Ops whose kernels promise a row the same bits, whichever of them computes it: products and attention. There a row with
/// other bits is wrong even inside its bound.
const SAME_BITS: [&str; 7] = [
    "linear",
    "linear_silu_mul",
    "linear_rope_append",
    "norm_linear_rope_append",
    "norm_linear_silu_mul",
    "flash_attention",
    "paged_attention",
];

/// The bytes of each output that has rows, row by row.
type Rows = Vec<Vec<Vec<u8>>>;

/// How a defect ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A check of the emulator reported it: the kind of the report. On hardware, the driver did.
    Check(&'static str),
    /// An output was wrong.
    Result,
    /// The module or a launch was refused, so no kernel was ever wrong.
    Refused(String),
    /// No case noticed.
    Survived,
}

/// The kind of report that hardware gives.
pub const ON_HARDWARE: &str = "driver error";

/// Cases by the kernel that they launch, smallest first.
pub struct CasesByKernel {
    cases: Vec<Box<dyn Case>>,
    by_kernel: BTreeMap<&'static str, Vec<usize>>,
    /// A kernel, and those that its cases launch beside it.
    launched: BTreeMap<&'static str, BTreeSet<&'static str>>,
    /// The rows of each case of [`SAME_BITS`] without a defect, once [`CasesByKernel::clean`] has run them.
    rows: Vec<Option<Rows>>,
}

/// Warp instructions of one CTA, many times what a small case takes: a loop without end is found at once.
const BUDGET: u64 = 1 << 18;

/// What defects run on where no GPU is asked for.
pub fn emulator(target: Target) -> Emulator {
    let options = EmuOptions {
        target,
        host_threads: 1,
        checks: true,
        counters: false,
    };
    Emulator::new(options).with_budget(BUDGET)
}

impl CasesByKernel {
    /// The cases that run on `target` and are small.
    pub fn new(target: Target) -> Result<CasesByKernel, DriverError> {
        Self::chosen(target, None)
    }

    /// The same for one kernel alone.
    pub fn for_kernel(target: Target, kernel: &str) -> Result<CasesByKernel, DriverError> {
        Self::chosen(target, Some(kernel))
    }

    fn chosen(target: Target, kernel: Option<&str>) -> Result<CasesByKernel, DriverError> {
        let driver = emulator(target);
        let kernels = Kernels::load(&driver)?;
        let mut sized = Vec::new();
        let all = gpu_cases::all();
        // A kernel's name starts with that of its op, and maybe with the shorter one of another.
        let ops = all.iter().map(|case| case.op());
        let op = kernel.map(|kernel| {
            let of = ops.filter(|op| kernel.starts_with(op));
            of.max_by_key(|op| op.len())
        });
        for case in all {
            let is_of = op.is_none_or(|op| op == Some(case.op()));
            let largest = match case.op() {
                "sample" => LARGEST_SAMPLE_BYTES,
                _ => LARGEST_FLOOR_BYTES,
            };
            let bytes = case.floor_bytes();
            if !is_of || !case.runs_on(target) || bytes > largest {
                continue;
            }
            let entries = {
                let device = Device::new(&driver, &kernels);
                gpu_cases::entries(&kernels, &case.prepare(&device)?.launches)
            };
            sized.push((bytes, entries, case));
        }
        sized.sort_by_key(|(bytes, _, _)| *bytes);
        let mut by_kernel: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut launched: BTreeMap<_, BTreeSet<&'static str>> = BTreeMap::new();
        for (i, (_, entries, _)) in sized.iter().enumerate() {
            for entry in entries {
                by_kernel.entry(*entry).or_default().push(i);
                launched.entry(*entry).or_default().extend(entries);
            }
        }
        Ok(CasesByKernel {
            cases: sized.into_iter().map(|(_, _, case)| case).collect(),
            by_kernel,
            launched,
            rows: Vec::new(),
        })
    }

    /// The kernels that have cases.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> {
        self.by_kernel.keys().copied()
    }

    /// Cases of a kernel, smallest first.
    fn of(&self, kernel: &str) -> impl Iterator<Item = (usize, &dyn Case)> {
        let indices = self.by_kernel.get(kernel).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|i| (*i, self.cases[*i].as_ref()))
    }

    /// Runs every case of the kernels as they are: what is caught below is the defect's doing. From then on rows of
    /// [`SAME_BITS`] are held against the bits that came.
    pub fn clean(&mut self, target: Target) -> Result<(), String> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let cases = &self.cases;
        let run = |worker: usize| -> Result<Vec<(usize, Option<Rows>)>, String> {
            let driver = emulator(target);
            let kernels = Kernels::load(&driver).map_err(|error| error.to_string())?;
            let own = cases.iter().enumerate().skip(worker).step_by(workers);
            let run = own.map(|(index, case)| {
                let ran = gpu_cases::run(case.as_ref(), &driver, &kernels);
                let ran = ran.map_err(|failure| format!("{}: {failure}", case.name()))?;
                let held = SAME_BITS.contains(&case.op());
                Ok((index, held.then_some(ran.rows)))
            });
            run.collect()
        };
        let mut rows = vec![None; cases.len()];
        let ran: Result<Vec<_>, String> = std::thread::scope(|scope| {
            let run = &run;
            let workers: Vec<_> = (0..workers).map(|w| scope.spawn(move || run(w))).collect();
            let ended = |worker: std::thread::ScopedJoinHandle<'_, _>| match worker.join() {
                Ok(ran) => ran,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            workers.into_iter().map(ended).collect()
        });
        for (index, ran) in ran?.into_iter().flatten() {
            rows[index] = ran;
        }
        self.rows = rows;
        Ok(())
    }

    /// Plants a defect into what its cases launch of the image that holds its kernel, and runs those cases.
    pub fn verdict(&self, driver: &dyn Driver, image: &Image<'_>, mutant: &Mutant) -> Verdict {
        let launched = self.launched.get(mutant.kernel.as_str());
        let text = launched.map(|launched| of_kernels(image.ptx, launched));
        let planted = mutant.plant(text.as_deref().unwrap_or(image.ptx));
        let kernels = match Kernels::load_changed(driver, image.name, &planted) {
            Ok(kernels) => kernels,
            Err(error) => return Verdict::Refused(error.to_string()),
        };
        for (index, case) in self.of(&mutant.kernel) {
            match gpu_cases::run(case, driver, &kernels) {
                Ok(ran) => {
                    let clean = self.rows.get(index).and_then(Option::as_ref);
                    if clean.is_some_and(|rows| *rows != ran.rows) {
                        return Verdict::Result;
                    }
                }
                Err(Failure::Wrong(_)) => return Verdict::Result,
                Err(Failure::Driver(DriverError::Finding(report))) => {
                    return Verdict::Check(report.kind.name());
                }
                Err(Failure::Driver(DriverError::Cuda { .. })) => {
                    return Verdict::Check(ON_HARDWARE);
                }
                Err(Failure::Driver(other)) => return Verdict::Refused(other.to_string()),
            }
        }
        Verdict::Survived
    }
}
