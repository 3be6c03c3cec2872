//! What the embedded PTX must not leave open: a kernel's bits are decided by its text, not by the card.

use qwarp::backend::gpu::kernels::{IMAGES, missing};

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
            // The type is the last modifier: f16, bf16x2 and their like.
            let of = modifiers.rsplit('.').next().unwrap_or_default();
            let float = of.trim_start_matches('b').starts_with('f');
            if ["add", "sub", "mul", "fma", "div", "sqrt", "rcp"].contains(&op) && float {
                // Without it, the assembler may fuse a product into a sum.
                assert!(modifiers.starts_with("rn."), "{place} names no rounding");
                instructions += 1;
            }
        }
    }
    assert!(missing().is_some() || instructions > 100, "{instructions}");
}
