//! Mutated PTX never panics: the parser reads it or refuses it with a place, the decoder takes it or says why not, and
//! what it takes runs to an end or a finding.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/ptx_case.rs"]
mod ptx_case;

use std::fs;
use std::path::Path;

use ptx_case::PtxCase;
use qwarp::driver::DriverError;
use qwarp::emu::ptx::parse;
use qwarp::emu::{EmuOptions, Emulator};

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

/// Warp instructions of a CTA: a mutated loop may have no end.
const BUDGET: u64 = 1 << 10;
/// Mutated kernels of each case.
const ROUNDS: usize = 60;

/// Puts operands, modifiers and numbers of a kernel in each other's place: most of what comes out still parses. A word is
/// a register, a label, a number or a part of an opcode.
fn shuffle_words(text: &str, draw: &mut Draw) -> String {
    const EDGES: [&str; 10] = [
        "0",
        "-1",
        "31",
        "4294967295",
        "0x8000000000000000",
        "_",
        "WARP_SZ",
        "u64",
        "pred",
        "shared",
    ];
    // Behind the declarations: without them hardly anything is more than a name that nobody declared.
    let (head, kernel) = text.split_at(text.rfind(".reg").unwrap());
    let (declared, kernel) = kernel.split_once('\n').unwrap();
    let is_word = |c: char| c.is_alphanumeric() || "%_$".contains(c);
    let mut pieces: Vec<&str> = Vec::new();
    let mut rest = kernel;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| is_word(c) != is_word(first));
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    let words: Vec<usize> = (0..pieces.len())
        .filter(|at| pieces[*at].starts_with(is_word))
        .collect();
    let registers: Vec<usize> = (0..pieces.len())
        .filter(|at| pieces[*at].starts_with('%'))
        .collect();
    for _ in 0..=draw.below(2) {
        let places = match draw.below(4) {
            0 => &words,
            _ => &registers,
        };
        let (at, other) = (
            places[draw.below(places.len())],
            places[draw.below(places.len())],
        );
        match draw.below(6) {
            0 => pieces[at] = EDGES[draw.below(EDGES.len())],
            1 => pieces.swap(at, other),
            _ => pieces[at] = pieces[other],
        }
    }
    format!("{head}{declared}\n{}", pieces.concat())
}

#[test]
fn mutated_kernels_load_and_run_without_a_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emu_pass");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ptx"))
        .collect();
    paths.sort();
    let (mut ran, mut found, mut refused) = (0, 0, 0);
    for (seed, path) in paths.iter().enumerate() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let case = PtxCase::parse(name, &text).unwrap();
        let mut draw = Draw(seed as u64);
        // One with checks, the next without: neither may rely on the other's.
        for round in 0..ROUNDS {
            let mutated = PtxCase {
                ptx: shuffle_words(&text, &mut draw),
                ..case.clone()
            };
            let device = Emulator::new(EmuOptions {
                target: case.target,
                host_threads: 1,
                checks: round % 2 == 0,
                counters: round % 3 == 0,
            });
            match mutated.run(&device.with_budget(BUDGET)) {
                Ok(_) => ran += 1,
                Err(DriverError::Finding(_)) => found += 1,
                Err(DriverError::Module { reason, .. } | DriverError::Launch { reason, .. }) => {
                    assert!(!reason.is_empty());
                    refused += 1;
                }
                Err(other) => panic!("{name}: {other}\n{}", mutated.ptx),
            }
        }
    }
    assert!(
        ran > 3000 && found > 3000 && refused > 3000,
        "{ran} ran, {found} with a finding, {refused} refused"
    );
}
