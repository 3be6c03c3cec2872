//! Every kernel case against its scalar reference, from the cubin and from PTX that the driver compiles.

use std::collections::BTreeSet;

use qwarp::backend::gpu::kernels::{ENTRIES, Kernels};
use qwarp::driver::{Driver, DriverError};
use serde_json::json;

use super::devices::Devices;
use super::gpu_cases::{self, Case, Device, QUICK};
use super::part::Part;
use super::report::Report;

/// A quick run takes one case in so many of the list, which goes op by op, and for a kernel that none of them launches the
/// first of those that take no time.
const QUICK_STRIDE: usize = 20;

/// Each device; on hardware once from cubins and once from PTX.
pub fn run(devices: &Devices, quick: bool, report: &mut Report<'_>) -> super::Result<()> {
    for driver in &devices.drivers {
        let driver = driver.as_ref();
        let target = driver.facts().target;
        let part = Part::new(format!("kernel cases, {target}"));
        report.add(cases(part, driver, Kernels::load(driver), quick))?;
        if devices.hardware {
            let compiled = Kernels::load_with(driver, &|image| Some(image.ptx.to_string()));
            let name = format!("kernel cases, PTX of {target} compiled by the driver");
            report.add(cases(Part::new(name), driver, compiled, quick))?;
        }
    }
    Ok(())
}

fn cases(
    part: Part,
    driver: &dyn Driver,
    kernels: Result<Kernels, DriverError>,
    quick: bool,
) -> Part {
    let kernels = match kernels {
        Ok(kernels) => kernels,
        Err(error) => return part.ended(Err(error)),
    };
    let target = kernels.target();
    let built = ENTRIES.iter().filter(|entry| entry.exists_on(target));
    let mut check = Check {
        driver,
        missing: built.map(|entry| entry.name).collect(),
        kernels,
        nmse: 0.0,
        lost: false,
        part,
    };
    let stride = if quick { QUICK_STRIDE } else { 1 };
    for case in gpu_cases::all().iter().step_by(stride) {
        check.case(case.as_ref());
    }
    if quick {
        for timed in gpu_cases::timed(&QUICK) {
            if check.launches_missing(timed.case.as_ref()) {
                check.case(timed.case.as_ref());
            }
        }
    }
    let Check {
        mut part,
        missing,
        nmse,
        ..
    } = check;
    for entry in missing {
        part.failures.push(format!("{entry}: no case launched it"));
    }
    part.figures.push(json!({"largest_nmse": nmse}));
    part
}

/// The cases of one device as they run.
struct Check<'a> {
    driver: &'a dyn Driver,
    kernels: Kernels,
    /// Kernels that none has launched yet.
    missing: BTreeSet<&'static str>,
    nmse: f64,
    /// Whether a case took the device with it.
    lost: bool,
    part: Part,
}

impl Check<'_> {
    fn case(&mut self, case: &dyn Case) {
        let target = self.kernels.target();
        if !case.runs_on(target) {
            self.part.skip(format!("a type that {target} has not"));
        } else if self.lost {
            let lost = "the device was lost before it".to_string();
            self.part.count(&case.name(), Err(lost));
        } else {
            match gpu_cases::run(case, self.driver, &self.kernels) {
                Ok(ran) => {
                    self.missing.retain(|entry| !ran.entries.contains(entry));
                    self.nmse = self.nmse.max(ran.nmse);
                    self.part.count("", Ok(()));
                }
                Err(failure) => {
                    self.lost = !Devices::alive(self.driver);
                    self.part.count(&case.name(), Err(failure.to_string()));
                }
            }
        }
    }

    /// Whether a case launches a kernel that none has launched yet. A case that cannot be prepared is to run: it says why.
    fn launches_missing(&self, case: &dyn Case) -> bool {
        if self.missing.is_empty() || !case.runs_on(self.kernels.target()) {
            return false;
        }
        let work = case.prepare(&Device::new(self.driver, &self.kernels));
        work.map_or(true, |work| {
            let entries = gpu_cases::entries(&self.kernels, &work.launches);
            !entries.is_disjoint(&self.missing)
        })
    }
}
