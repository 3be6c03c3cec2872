//! Every kernel case against its scalar reference, from the cubin and from PTX that the driver compiles.

use std::collections::BTreeSet;

use qwarp::backend::gpu::kernels::{ENTRIES, Kernels};
use qwarp::driver::Driver;
use serde_json::json;

use super::Result;
use super::devices::Devices;
use super::gpu_cases::{self, Case};
use super::part::Part;

/// A quick run takes one case in so many of each op, and each kernel at least once.
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
pub fn run(devices: &Devices, quick: bool) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for driver in &devices.drivers {
        let driver = driver.as_ref();
        let target = driver.facts().target;
        let loaded = Kernels::load(driver)?;
        parts.push(cases(
            driver,
            &loaded,
            quick,
            format!("kernel cases, {target}"),
        ));
        if devices.hardware {
            let compiled = Kernels::load_with(driver, &|image| Some(image.ptx.to_string()))?;
            let name = format!("kernel cases, PTX of {target} compiled by the driver");
            parts.push(cases(driver, &compiled, quick, name));
        }
    }
    Ok(parts)
}

fn cases(driver: &dyn Driver, kernels: &Kernels, quick: bool, name: String) -> Part {
    let mut part = Part::new(name);
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
        match gpu_cases::run(case, driver, kernels) {
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
