//! What the embedded PTX must not leave open: a kernel's bits are decided by its text, not by the card.

use qwarp::backend::gpu::kernels::{self, ENTRIES, IMAGES};

#[test]
fn no_instruction_leaves_its_bits_to_the_card() {
    let mut instructions = 0;
    for image in IMAGES {
        let lines = image.ptx.lines().enumerate();
        for (number, line) in lines {
            let mut words = line.trim_start().trim_start_matches('{').split_whitespace();
            let Some(word) = words.find(|word| !word.starts_with('@')) else {
                continue;
            };
            let place = format!("{}.{}.ptx:{}: {word}", image.name, image.target, number + 1);
            // Approximations differ between generations, within the manual's bounds.
            assert!(!word.contains(".approx"), "{place}");
            let (op, modifiers) = word.split_once('.').unwrap_or((word, ""));
            let float = modifiers.ends_with("f32") || modifiers.ends_with("f16");
            if ["add", "sub", "mul", "fma", "div", "sqrt", "rcp"].contains(&op) && float {
                // Without it, the assembler may fuse a product into a sum.
                assert!(modifiers.starts_with("rn."), "{place} names no rounding");
                instructions += 1;
            }
        }
    }
    assert!(
        kernels::missing().is_some() || instructions > 100,
        "{instructions}"
    );
}

#[test]
fn no_kernel_spills() {
    let mut resources = 0;
    for entry in ENTRIES {
        for (target, found) in entry.built {
            let Some(found) = found else { continue };
            assert_eq!(found.spill_bytes, 0, "{} on {target}", entry.name);
            resources += 1;
        }
    }
    println!("{resources} kernels without a spilled register");
}
