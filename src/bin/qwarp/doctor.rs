//! `qwarp doctor`: what this machine and this build have, and what stands in the way of a GPU.

use std::fmt::Write;

use qwarp::Result;
use qwarp::backend::cpu::simd::Path;
use qwarp::backend::gpu::kernels::{ENTRIES, IMAGES, missing, remedy};
use qwarp::driver::cuda::{Gpu, MIN_DRIVER, Probe, probe};
use qwarp::driver::{Image, Target};
use serde_json::{Value, json};

use crate::machine;
use crate::output::print;
use crate::threads::cores;
use crate::units::binary;

/// Show what this machine and this build have: processor, memory, embedded GPU kernels, driver, GPUs.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// Compute capabilities with cards by which they are known.
const CARDS: [(u32, u32, &str); 7] = [
    (7, 5, "T4"),
    (8, 0, "A100"),
    (8, 6, "A10G"),
    (8, 9, "L4"),
    (9, 0, "H100, H200"),
    (10, 0, "B200"),
    (12, 0, "RTX PRO 6000"),
];

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<()> {
    let report = Report::new();
    if args.json {
        print(&format!("{:#}\n", report.json()))
    } else {
        print(&report.text())
    }
}

/// What is shown.
struct Report {
    /// All, and available.
    memory: Option<(u64, u64)>,
    simd: Vec<&'static str>,
    /// By target, what its images state.
    embedded: Vec<Embedded>,
    /// What the driver says, or why there is none.
    gpus: std::result::Result<Probe, String>,
}

/// The images of one target.
struct Embedded {
    target: Target,
    /// Kernels that exist on it.
    kernels: usize,
    /// The newest PTX ISA version among them.
    ptx_isa: Option<(u32, u32)>,
    /// The newest ELF ABI version among their cubins.
    cubin_abi: Option<u8>,
}

impl Embedded {
    fn of(target: Target) -> Option<Self> {
        let images: Vec<&Image<'_>> = IMAGES.iter().filter(|i| i.target == target).collect();
        let cubins = images.iter().filter(|image| image.cubin.is_some()).count();
        (!images.is_empty()).then(|| Embedded {
            target,
            kernels: ENTRIES.iter().filter(|e| e.exists_on(target)).count(),
            ptx_isa: images.iter().filter_map(|image| image.ptx_isa()).max(),
            cubin_abi: images
                .iter()
                .filter_map(|image| image.cubin_abi())
                .max()
                .filter(|_| cubins == images.len()),
        })
    }

    fn isa(&self) -> String {
        match self.ptx_isa {
            Some((major, minor)) => format!("{major}.{minor}"),
            None => "of unknown version".to_string(),
        }
    }
}

impl Report {
    fn new() -> Self {
        let gpus = probe().map_err(|e| e.to_string());
        Report {
            memory: machine::memory(),
            simd: Path::available().into_iter().map(Path::name).collect(),
            embedded: Target::ALL.into_iter().filter_map(Embedded::of).collect(),
            gpus,
        }
    }

    /// Which embedded code a card runs; `None` where none does.
    fn image_for(&self, major: u32, minor: u32) -> Option<(Target, bool)> {
        let target = Target::for_compute_capability(major, minor)?;
        let embedded = self.embedded.iter().find(|e| e.target == target)?;
        let cubin = embedded.cubin_abi.is_some() && target.cubin_runs_on(major, minor);
        Some((target, cubin))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<13} {value}");
        };
        line("qwarp", env!("CARGO_PKG_VERSION").to_string());
        line(
            "processor",
            format!("{}, {} cores to use", machine::cpu_name(), cores()),
        );
        line("SIMD", format!("{} (first is used)", self.simd.join(", ")));
        line(
            "memory",
            match self.memory {
                Some((all, free)) => format!("{}, {} available", binary(all), binary(free)),
                None => "not told by this system".to_string(),
            },
        );
        line("GPU kernels", self.kernels_text());
        for card in CARDS.iter().filter(|_| !self.embedded.is_empty()) {
            let (major, minor, name) = card;
            let on = format!("on {major}.{minor}");
            line(&on, format!("{name}: {}", self.image_text(*major, *minor)));
        }
        line(
            "driver floor",
            format!("NVIDIA driver {MIN_DRIVER} or newer"),
        );
        match &self.gpus {
            Ok(found) => {
                let version = found.cuda_version;
                let (major, minor) = (version / 1000, version % 1000 / 10);
                line("driver", format!("speaks CUDA {major}.{minor}"));
                if found.gpus.is_empty() && found.silent.is_empty() {
                    line("GPU", "none: the driver lists no GPU".to_string());
                }
                for gpu in &found.gpus {
                    line(&format!("GPU {}", gpu.ordinal), self.gpu_text(gpu));
                }
                for (ordinal, said) in &found.silent {
                    line(
                        &format!("GPU {ordinal}"),
                        format!("does not answer: {said}"),
                    );
                }
            }
            Err(reason) => line("GPU", reason.clone()),
        }
        text
    }

    fn kernels_text(&self) -> String {
        if let Some(reason) = missing() {
            return reason.to_string();
        }
        let targets = self.embedded.iter().map(|embedded| {
            let cubin = match embedded.cubin_abi {
                Some(abi) => format!("cubins of ELF ABI {abi}"),
                None => format!("no cubins: {}", remedy()),
            };
            let (target, kernels) = (embedded.target, embedded.kernels);
            format!("{target}: {kernels} (PTX {}, {cubin})", embedded.isa())
        });
        let targets: Vec<String> = targets.collect();
        targets.join("\n              ")
    }

    fn image_text(&self, major: u32, minor: u32) -> String {
        match self.image_for(major, minor) {
            Some((target, true)) => format!("cubin of {target}"),
            Some((target, false)) => format!("PTX of {target}, compiled once at load"),
            None => "nothing that runs".to_string(),
        }
    }

    fn gpu_text(&self, gpu: &Gpu) -> String {
        let (major, minor) = gpu.compute_capability;
        format!(
            "{}, compute capability {major}.{minor}, {}: {}",
            gpu.name,
            binary(gpu.memory_bytes),
            self.image_text(major, minor)
        )
    }

    fn json(&self) -> Value {
        let targets = self.embedded.iter().map(|embedded| {
            json!({
                "target": embedded.target.to_string(),
                "entries": embedded.kernels,
                "ptx_isa": embedded.isa(),
                "cubin_elf_abi": embedded.cubin_abi,
            })
        });
        let cards = CARDS.iter().map(|(major, minor, name)| {
            let mut card = self.image_json(*major, *minor);
            card["cards"] = json!(name);
            card
        });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cpu": {
                "name": machine::cpu_name(),
                "cores": cores(),
                "simd": self.simd,
            },
            "memory": self.memory.map(|(all, free)| json!({"bytes": all, "available_bytes": free})),
            "kernels": {
                "missing": missing(),
                "entries": ENTRIES.len(),
                "targets": targets.collect::<Vec<_>>(),
                "images": cards.collect::<Vec<_>>(),
            },
            "driver_floor": MIN_DRIVER,
            "driver": self.driver_json(),
        })
    }

    fn image_json(&self, major: u32, minor: u32) -> Value {
        let image = self.image_for(major, minor);
        json!({
            "compute_capability": format!("{major}.{minor}"),
            "target": image.map(|(target, _)| target.to_string()),
            "code": image.map(|(_, cubin)| if cubin { "cubin" } else { "ptx" }),
        })
    }

    fn driver_json(&self) -> Value {
        match &self.gpus {
            Ok(found) => {
                let gpus = found.gpus.iter().map(|gpu| {
                    let (major, minor) = gpu.compute_capability;
                    let mut value = self.image_json(major, minor);
                    value["ordinal"] = json!(gpu.ordinal);
                    value["name"] = json!(gpu.name);
                    value["memory_bytes"] = json!(gpu.memory_bytes);
                    value
                });
                let silent = found.silent.iter();
                let silent =
                    silent.map(|(ordinal, said)| json!({"ordinal": ordinal, "error": said}));
                json!({
                    "cuda_version": found.cuda_version,
                    "gpus": gpus.collect::<Vec<_>>(),
                    "silent": silent.collect::<Vec<_>>(),
                })
            }
            Err(reason) => json!({"unavailable": reason, "gpus": []}),
        }
    }
}
