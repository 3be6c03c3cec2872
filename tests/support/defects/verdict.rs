//! What becomes of one defect: the cases of its kernel, smallest first, until one catches it.

use std::collections::BTreeMap;

use qwarp::backend::gpu::kernels::Kernels;
use qwarp::driver::{Driver, DriverError, Image, Launch, Target};
use qwarp::emu::{EmuOptions, Emulator};

use super::super::gpu_cases::{self, Case, Device, Failure};
use super::mutants::Mutant;

/// Larger cases take longer and show nothing that smaller ones do not: every loop of a kernel goes round twice in these.
const LARGEST_FLOOR_BYTES: usize = 300 << 10;

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
        let driver = emulator(target);
        let kernels = Kernels::load(&driver)?;
        let mut sized = Vec::new();
        for case in gpu_cases::all() {
            if !case.runs_on(target) {
                continue;
            }
            let (bytes, entries) = {
                let device = Device::new(&driver, &kernels);
                let work = case.prepare(&device)?;
                let name = |launch: &Launch| kernels.entry(launch.function).map(|e| e.name);
                let entries: Vec<&'static str> = work.launches.iter().filter_map(name).collect();
                (work.floor_bytes, entries)
            };
            if bytes <= LARGEST_FLOOR_BYTES {
                sized.push((bytes, entries, case));
            }
        }
        sized.sort_by_key(|(bytes, _, _)| *bytes);
        let mut by_kernel: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (i, (_, entries, _)) in sized.iter().enumerate() {
            for entry in entries {
                by_kernel.entry(*entry).or_default().push(i);
            }
        }
        Ok(CasesByKernel {
            cases: sized.into_iter().map(|(_, _, case)| case).collect(),
            by_kernel,
        })
    }

    /// The kernels that have cases.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> {
        self.by_kernel.keys().copied()
    }

    /// Cases of a kernel, smallest first.
    fn of(&self, kernel: &str) -> impl Iterator<Item = &dyn Case> {
        let indices = self.by_kernel.get(kernel).map_or(&[][..], Vec::as_slice);
        indices.iter().map(|i| self.cases[*i].as_ref())
    }

    /// Runs every case of the kernels as they are: what is caught below is the defect's doing.
    pub fn clean(&self, target: Target) -> Result<(), String> {
        let driver = emulator(target);
        let kernels = Kernels::load(&driver).map_err(|error| error.to_string())?;
        for case in &self.cases {
            let ran = gpu_cases::run(case.as_ref(), &driver, &kernels);
            ran.map_err(|failure| format!("{}: {failure}", case.name()))?;
        }
        Ok(())
    }

    /// Plants a defect into the image that holds its kernel and runs the kernel's cases.
    pub fn verdict(&self, driver: &dyn Driver, image: &Image<'_>, mutant: &Mutant) -> Verdict {
        let kernels = match Kernels::load_changed(driver, image.name, &mutant.plant(image.ptx)) {
            Ok(kernels) => kernels,
            Err(error) => return Verdict::Refused(error.to_string()),
        };
        for case in self.of(&mutant.kernel) {
            match gpu_cases::run(case, driver, &kernels) {
                Ok(_) => {}
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
