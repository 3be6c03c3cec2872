//! Mutated PTX never panics the parser: it is read or refused with a place.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use qwarp::emu::ptx::parse;

const SAMPLE: &str = include_str!("data/ptx/sample_sm80.ptx");
const SYNTAX: &str = include_str!("data/ptx/syntax.ptx");

/// A linear congruential generator (Knuth's MMIX constants): mutations must be the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        const STEP: (u64, u64) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);
        self.0 = self.0.wrapping_mul(STEP.0).wrapping_add(STEP.1);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// Removes, doubles, swaps or replaces pieces of a text.
fn mutate(text: &str, draw: &mut Draw) -> String {
    const WORDS: [&str; 24] = [
        "{",
        "}",
        "[",
        "]",
        "<",
        ">",
        "(",
        ")",
        ",",
        ";",
        ":",
        "@",
        "!",
        "|",
        "=",
        "-",
        ".",
        "\"",
        "/*",
        "0x",
        "4294967296",
        ".reg",
        "\u{e9}",
        "0d7FF0000000000000",
    ];
    let mut pieces: Vec<&str> = text
        .split_inclusive(|c: char| !c.is_alphanumeric())
        .collect();
    for _ in 0..=draw.below(3) {
        let (at, other) = (draw.below(pieces.len()), draw.below(pieces.len()));
        match draw.below(5) {
            0 => pieces[at] = "",
            1 => pieces.insert(at, pieces[other]),
            2 => pieces.swap(at, other),
            3 => pieces.insert(at, WORDS[draw.below(WORDS.len())]),
            _ => pieces.truncate(at.max(1)),
        }
    }
    pieces.concat()
}

#[test]
fn mutated_texts_never_panic() {
    let mut draw = Draw(2024);
    let (mut read, mut refused) = (0, 0);
    for (text, rounds) in [(SYNTAX, 40_000), (SAMPLE, 500)] {
        for _ in 0..rounds {
            match parse(&mutate(text, &mut draw)) {
                Ok(module) => {
                    assert!(
                        module
                            .entries
                            .iter()
                            .all(|e| e.body.iter().all(|i| !i.parts.is_empty()))
                    );
                    read += 1;
                }
                Err(error) => {
                    assert!(error.line >= 1 && error.column >= 1 && !error.what.is_empty());
                    refused += 1;
                }
            }
        }
    }
    assert!(
        read > 2000 && refused > 20_000,
        "{read} read, {refused} refused"
    );
}
