//! The run over the kernels of one target.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use qwarp::backend::gpu::kernels::{ENTRIES, IMAGES};
use qwarp::driver::{Image, Target};

use crate::defects::{self, CasesByKernel, Mutant, Verdict, emulator};
use crate::kernels::have_pinned_kernels;
use crate::survivors::explained;
use crate::table::table;

/// The text that is changed: it has every kernel.
const TARGET: Target = Target::Sm80;

/// The kernel files in which defects are planted. Each kernel gets one of each kind; of files that are many kernels from one
/// text, one kernel in so many gets a kind.
const PLANTED: [(&str, u32); 12] = [
    ("argmax", 1),
    ("embed", 1),
    ("flash_attention", 2),
    ("linear", 5),
    ("linear_rope_append", 5),
    ("linear_silu_mul", 5),
    ("norm_linear_rope_append", 1),
    ("norm_linear_silu_mul", 1),
    ("paged_attention", 3),
    ("rms_norm", 1),
    ("sample", 8),
    ("silu_mul", 1),
];

/// The defects that are run, each with the image that it is planted in.
fn chosen() -> Vec<(&'static Image<'static>, Mutant)> {
    let mut chosen = Vec::new();
    for image in IMAGES.iter().filter(|image| image.target == TARGET) {
        let planted = PLANTED.iter().find(|(file, _)| *file == image.name);
        let Some((_, share)) = planted else { continue };
        let mut mutants = defects::spread(defects::all(image.ptx), 1);
        mutants.retain(|mutant| mutant.in_share(*share));
        chosen.extend(mutants.into_iter().map(|mutant| (image, mutant)));
    }
    chosen
}

/// Runs every defect, on as many threads as the machine has cores.
fn verdicts(
    cases: &CasesByKernel,
    chosen: &[(&'static Image<'static>, Mutant)],
) -> Vec<(Mutant, Verdict)> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((image, mutant)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = cases.verdict(&emulator(TARGET), image, mutant);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.push((mutant.clone(), verdict));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|(mutant, _)| mutant.name());
    found
}

#[test]
fn seeded_defects_are_caught() {
    if !have_pinned_kernels() {
        return;
    }
    let mut cases = CasesByKernel::new(TARGET).unwrap();
    cases.clean(TARGET).unwrap();
    let chosen = chosen();
    let mutated: BTreeSet<&str> = chosen.iter().map(|(_, m)| m.kernel.as_str()).collect();
    let built = ENTRIES.iter().filter(|entry| entry.exists_on(TARGET));
    assert_eq!(
        mutated,
        built.map(|entry| entry.name).collect(),
        "a kernel without defects"
    );
    let with_cases: BTreeSet<&str> = cases.kernels().collect();
    assert!(mutated.is_subset(&with_cases), "a kernel without cases");
    let verdicts = verdicts(&cases, &chosen);
    let (total, table) = table(&verdicts);
    println!("{table}");
    let explained = explained();
    let mut survivors = BTreeSet::new();
    for (mutant, verdict) in &verdicts {
        match verdict {
            Verdict::Refused(why) => println!("refused: {}: {why}", mutant.name()),
            Verdict::Survived => {
                let name = mutant.name();
                let reason = explained.get(&name).map_or("UNEXPLAINED", String::as_str);
                println!(
                    "survived: {name}, line {}: `{}` -> `{}`: {reason}",
                    mutant.line, mutant.before, mutant.after
                );
                survivors.insert(name);
            }
            _ => {}
        }
    }
    assert!(total.defects() >= 500, "{} defects", total.defects());
    assert!(
        total.caught() >= 0.95,
        "{:.1} % caught",
        total.caught() * 100.0
    );
    let known: BTreeSet<String> = explained.into_keys().collect();
    assert_eq!(
        survivors, known,
        "survivors (left) and their explanations (right)"
    );
}
