//! Every kernel case against its scalar reference, from the cubin and from PTX that the driver compiles.

use std::collections::BTreeSet;

use qwarp::backend::gpu::kernels::{ENTRIES, Kernels};
use qwarp::driver::{Driver, DriverError};
use serde_json::json;

use super::devices::Devices;
use super::gpu_cases::{self, Case};
use super::part::Part;
use super::report::Report;

/// A quick run takes one case in so many of the list. The list goes op by op and holds several times as many of each, and a
/// kernel that none of them launches is a failure.
const QUICK_STRIDE: usize = 12;

/// The cases that run, of all.
pub fn chosen(quick: bool) -> Vec<Box<dyn Case>> {
    let stride = if quick { QUICK_STRIDE } else { 1 };
    let all = gpu_cases::all().into_iter().enumerate();
    all.filter(|(i, _)| i % stride == 0)
        .map(|(_, case)| case)
        .collect()
}

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
    mut part: Part,
    driver: &dyn Driver,
    kernels: Result<Kernels, DriverError>,
    quick: bool,
) -> Part {
    let kernels = match kernels {
        Ok(kernels) => kernels,
        Err(error) => return part.ended(Err(error)),
    };
    let target = kernels.target();
    let mut missing: BTreeSet<&str> = ENTRIES
        .iter()
        .filter(|entry| entry.exists_on(target))
        .map(|entry| entry.name)
        .collect();
    let mut nmse = 0.0f64;
    let mut lost = false;
    for case in chosen(quick) {
        let case = case.as_ref();
        if !case.runs_on(target) {
            part.skip(format!("a type that {target} has not"));
            continue;
        }
        if lost {
            part.count(
                &case.name(),
                Err("the device was lost before it".to_string()),
            );
            continue;
        }
        match gpu_cases::run(case, driver, &kernels) {
            Ok(ran) => {
                missing.retain(|entry| !ran.entries.contains(entry));
                nmse = nmse.max(ran.nmse);
                part.count("", Ok(()));
            }
            Err(failure) => {
                lost = !Devices::alive(driver);
                part.count(&case.name(), Err(failure.to_string()));
            }
        }
    }
    for entry in missing {
        part.failures.push(format!("{entry}: no case launched it"));
    }
    part.figures.push(json!({"largest_nmse": nmse}));
    part
}
