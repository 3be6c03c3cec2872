//! The same bits, always, on a device: neighbours in a batch, prefill chunks, decode against prefill, where blocks stand.
//! On the emulator with every check on; tiny checkpoints with heads of 64 and 128.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;

use qwarp::DType;
use qwarp::backend::rng::philox;
use qwarp::backend::sampling::SamplingParams;
use qwarp::config::{EngineConfig, ModelConfig};
use qwarp::driver::Target;
use qwarp::engine::{Engine, Request, SequenceId, open_on};
use support::by_hand::{ByHand, How, Part};
use support::kernels::have_kernels;
use support::visits::{Counting, Visits};
use support::{bits, repo};

/// Heads of 64, and of 128.
const HEAD64: &str = "tied-gqa6-head64-bf16";
const HEAD128: &str = "untied-gqa2-head128-bf16";

const SM75: (Target, DType) = (Target::Sm75, DType::F16);
const SM80: (Target, DType) = (Target::Sm80, DType::Bf16);
const SM90: (Target, DType) = (Target::Sm90, DType::Bf16);

fn random(index: u32, seed: u32) -> u32 {
    philox([index, 7, 0, 0], [seed, 0])[0]
}

fn tokens(count: usize, seed: u32) -> Vec<u32> {
    (0..count as u32).map(|i| random(i, seed) % 120).collect()
}

/// Most sequences of a step by hand.
const SEQUENCES: usize = 5;

/// A model by hand, for sequences and steps of up to `positions` tokens.
fn by_hand(name: &str, (target, dtype): (Target, DType), positions: usize) -> ByHand {
    let how = How {
        target,
        dtype,
        checks: true,
        threads: 2,
        max_tokens: positions.max(SEQUENCES),
        max_sequences: SEQUENCES,
        max_len: positions,
    };
    ByHand::open(&repo("tests/golden/tiny").join(name), how).unwrap()
}

fn blocks(positions: usize) -> usize {
    positions.div_ceil(16)
}

fn in_order(positions: usize) -> Vec<u32> {
    (0..blocks(positions) as u32).collect()
}

const MAX_LEN: usize = 96;

fn engine(
    name: &str,
    (target, dtype): (Target, DType),
    sequences: usize,
    chunk: usize,
) -> (Engine, Visits) {
    let folder = repo("tests/golden/tiny").join(name);
    let config = ModelConfig::read(&folder).unwrap();
    let driver = Counting::new(target, 2, true);
    let visits = driver.visits();
    let limits = EngineConfig {
        dtype,
        threads: 2,
        max_num_seqs: sequences,
        max_batched_tokens: chunk,
        max_logit_rows: chunk,
        max_model_len: MAX_LEN,
    };
    let engine = open_on(Box::new(driver), &folder, &config, limits).unwrap();
    (engine, visits)
}

/// A prompt of 17 to 37 tokens and how many to draw behind it.
fn request(number: u32, answer: usize) -> Request {
    let length = 17 + random(number, 1000) as usize % 21;
    let params = SamplingParams {
        temperature: 0.8,
        seed: u64::from(number),
        ..SamplingParams::GREEDY
    };
    Request {
        params,
        wanted_logits: 0..MAX_LEN,
        ..Request::new(tokens(length, number), answer)
    }
}

/// What a sequence produced: its tokens, and the bits of every row of logits.
#[derive(Debug, Default, PartialEq)]
struct Output {
    tokens: Vec<u32>,
    rows: BTreeMap<usize, Vec<u32>>,
}

/// What stood side by side in the steps of a run.
#[derive(Debug, Default)]
struct Steps {
    /// Most sequences of a step.
    widest: usize,
    /// Steps in which one sequence decoded beside a prompt of several tokens.
    mixed: usize,
}

/// Runs all requests in one engine.
fn together(engine: &mut Engine, requests: &[Request]) -> (Vec<Output>, Steps) {
    let mut ids: Vec<(SequenceId, &Request)> = Vec::new();
    for request in requests {
        ids.push((engine.submit(request.clone()).unwrap(), request));
    }
    let mut outputs: BTreeMap<SequenceId, Output> = BTreeMap::new();
    let mut steps = Steps::default();
    while !engine.is_idle() {
        let mut seen: BTreeMap<SequenceId, Vec<usize>> = BTreeMap::new();
        let events = engine.step(&mut |row| {
            seen.entry(row.id).or_default().push(row.position);
            let row_bits = row.logits.iter().map(|x| x.to_bits()).collect();
            let output = outputs.entry(row.id).or_default();
            output.rows.insert(row.position, row_bits);
        });
        for event in events.unwrap() {
            outputs
                .entry(event.id)
                .or_default()
                .tokens
                .extend(event.token);
        }
        let prompt = |id| ids.iter().find(|(of, _)| of == id).unwrap().1.prompt.len();
        let decodes = seen.iter().any(|(id, at)| at[0] >= prompt(id));
        let prefills = seen
            .iter()
            .any(|(id, at)| at.len() > 1 && at[0] < prompt(id));
        steps.widest = steps.widest.max(seen.len());
        steps.mixed += usize::from(decodes && prefills);
    }
    let output = |(id, _): &(SequenceId, &Request)| outputs.remove(id).unwrap();
    (ids.iter().map(output).collect(), steps)
}

#[test]
fn a_sequence_among_others_gets_the_bits_it_gets_alone() {
    if !have_kernels() {
        return;
    }
    for (count, name, run, chunk, compared) in [
        (2, HEAD128, SM90, 16, 2),
        (7, HEAD64, SM75, 64, 4),
        (32, HEAD128, SM80, 128, 6),
    ] {
        // Long enough answers that the first still decodes when the last prompt has been read.
        let requests: Vec<Request> = (0..count as u32).map(|i| request(i, 16)).collect();
        let (mut all, visits) = engine(name, run, count, chunk);
        let (outputs, steps) = together(&mut all, &requests);
        assert_eq!(steps.widest, count, "all side by side: {steps:?}");
        assert!(steps.mixed > 0, "{count}: nobody decoded beside a prompt");
        assert!(visits.of("flash_attention") > 0 && visits.of("paged_attention") > 0);
        let (mut alone, solo_visits) = engine(name, run, 1, 64);
        for number in (0..count).step_by(count.div_ceil(compared)) {
            let (mut solo, steps) = together(&mut alone, &requests[number..=number]);
            assert_eq!((steps.widest, steps.mixed), (1, 0));
            assert_eq!(solo[0].tokens.len(), 16);
            assert!(
                solo.remove(0) == outputs[number],
                "{name} {run:?}: sequence {number} of {count} differs from its solo run"
            );
        }
        assert!(solo_visits.of("paged_attention") > 0);
    }
}

#[test]
fn chunks_of_a_prompt_do_not_show() {
    if !have_kernels() {
        return;
    }
    const COUNT: usize = 300;
    for (name, run, chunks) in [
        (HEAD128, SM80, &[33, 64, 257][..]),
        (HEAD64, SM75, &[61][..]),
    ] {
        let sequence = tokens(COUNT, 21);
        let table = in_order(COUNT);
        let mut model = by_hand(name, run, COUNT);
        let whole = bits(&model.run(&sequence, 0..COUNT, &table).unwrap());
        for &chunk in chunks {
            let (mut rows, mut steps) = (Vec::new(), 0);
            for start in (0..COUNT).step_by(chunk) {
                let range = start..COUNT.min(start + chunk);
                rows.extend(model.run(&sequence, range, &table).unwrap());
                steps += 1;
            }
            assert_eq!(steps, COUNT.div_ceil(chunk));
            assert!(
                steps > 1 && bits(&rows) == whole,
                "{name}: chunks of {chunk}"
            );
        }
    }
}

/// Decodes up to and beyond the ends of the first and the second chunk of attention, 256 and 512 positions.
#[test]
fn decode_gives_the_bits_of_prefill_across_the_ends_of_chunks() {
    if !have_kernels() {
        return;
    }
    for (name, run, count, decoded) in [
        (HEAD128, SM80, 519, &[253..259, 508..519][..]),
        (HEAD64, SM75, 519, &[254..258, 511..515][..]),
        (HEAD128, SM90, 259, &[100..101, 255..259][..]),
    ] {
        let (sequence, table) = (tokens(count, 22), in_order(count));
        let mut model = by_hand(name, run, count);
        let whole = model.run(&sequence, 0..count, &table).unwrap();
        assert!(model.visits.of("flash_attention") > 0);
        assert_eq!(
            model.visits.of("paged_attention"),
            0,
            "no prompt of one token"
        );
        let mut at = 0;
        for range in decoded {
            // What lies before is prefilled again, over the same blocks.
            model.run(&sequence, at..range.start, &table).unwrap();
            for position in range.clone() {
                let before = model.visits.of("paged_attention");
                let step = model
                    .run(&sequence, position..position + 1, &table)
                    .unwrap();
                assert!(model.visits.of("paged_attention") > before);
                assert!(
                    bits(&step) == bits(&whole[position..=position]),
                    "{name} {run:?} at {position}"
                );
            }
            at = range.end;
        }
    }
}

/// A table whose neighbours stand nowhere near each other, none shared between `of` tables.
fn scattered(positions: usize, number: usize, of: usize) -> Vec<u32> {
    let count = blocks(positions) * of;
    // A prime step visits every block once where it does not divide their number.
    let step = [7, 11, 13]
        .into_iter()
        .find(|p| !count.is_multiple_of(*p))
        .unwrap();
    let mine = (0..blocks(positions)).map(|i| i * of + number);
    mine.map(|i| (i * step % count) as u32).collect()
}

#[test]
fn places_of_blocks_do_not_show() {
    if !have_kernels() {
        return;
    }
    const COUNT: usize = 270;
    const PREFILLED: usize = 266;
    let (first, second) = (tokens(COUNT, 23), tokens(COUNT, 24));
    for (name, run) in [(HEAD128, SM80), (HEAD64, SM75)] {
        let contiguous = in_order(COUNT);
        let reversed: Vec<u32> = contiguous.iter().rev().copied().collect();
        let tables = [scattered(COUNT, 0, 3), scattered(COUNT, 2, 3)];
        assert!(tables[0].iter().all(|block| !tables[1].contains(block)));
        for table in &tables {
            assert_eq!(table.len(), 17);
            assert!(table.windows(2).all(|two| two[0].abs_diff(two[1]) > 1));
            assert!(table.windows(2).any(|two| two[0] > two[1]));
        }
        let alone = |sequence: &[u32], table: &[u32]| {
            let mut model = by_hand(name, run, COUNT);
            let mut rows = model.run(sequence, 0..PREFILLED, table).unwrap();
            for at in PREFILLED..COUNT {
                rows.extend(model.run(sequence, at..at + 1, table).unwrap());
            }
            assert!(model.visits.of("paged_attention") > 0);
            bits(&rows)
        };
        let expected = [alone(&first, &contiguous), alone(&second, &contiguous)];
        assert!(alone(&first, &reversed) == expected[0], "{name}: reversed");

        // Both at once, their blocks among each other's.
        let mut model = by_hand(name, run, COUNT * 2);
        let mut rows = [Vec::new(), Vec::new()];
        let steps = [(0, PREFILLED)].into_iter();
        for (cached, count) in steps.chain((PREFILLED..COUNT).map(|at| (at, 1))) {
            let part = |(sequence, table)| Part {
                sequence,
                cached,
                count,
                table,
            };
            let parts = [(&first[..], &tables[0][..]), (&second, &tables[1])].map(part);
            let logits = model.step(&parts).unwrap();
            for (all, new) in rows.iter_mut().zip(logits) {
                all.extend(new);
            }
        }
        assert!(model.visits.of("paged_attention") > 0);
        let found = rows.map(|rows| bits(&rows));
        assert!(found == expected, "{name}: scattered");
    }
}

/// Steps of random sequences and random lengths, over scattered blocks, against each sequence prefilled alone.
#[test]
fn random_steps_give_the_bits_of_whole_prompts() {
    if !have_kernels() {
        return;
    }
    const LENGTHS: [usize; 5] = [1, 19, 270, 64, 33];
    const LONGEST: usize = 270;
    for (name, run, seed) in [(HEAD128, SM80, 31), (HEAD64, SM75, 32), (HEAD128, SM90, 33)] {
        let sequences: Vec<Vec<u32>> = (0..5)
            .map(|i| tokens(LENGTHS[i], seed + i as u32))
            .collect();
        let tables: Vec<Vec<u32>> = (0..5).map(|i| scattered(LONGEST, i, 5)).collect();
        let mut model = by_hand(name, run, LONGEST * 2);
        let (mut done, mut rows) = ([0; 5], vec![Vec::new(); 5]);
        let (mut widest, mut draws) = (0, 0);
        while (0..5).any(|i| done[i] < LENGTHS[i]) {
            let mut draw = || {
                draws += 1;
                random(draws, seed) as usize
            };
            let mut parts = Vec::new();
            for i in 0..5 {
                let left = LENGTHS[i] - done[i];
                // Mostly single tokens and long chunks; sometimes none.
                let count = [0, 1, 1, 1 + draw() % 9, 40 + draw() % 90][draw() % 5];
                let count = count.min(left);
                if count > 0 {
                    let part = Part {
                        sequence: &sequences[i],
                        cached: done[i],
                        count,
                        table: &tables[i],
                    };
                    parts.push((i, part));
                }
            }
            if parts.is_empty() {
                continue;
            }
            widest = widest.max(parts.len());
            let all: Vec<Part<'_>> = parts.iter().map(|(_, part)| *part).collect();
            let logits = model.step(&all).unwrap();
            for ((i, part), new) in parts.iter().zip(logits) {
                done[*i] += part.count;
                rows[*i].extend(new);
            }
        }
        assert!(widest >= 3, "{name}: at most {widest} sequences in a step");
        assert!(model.visits.of("flash_attention") > 0 && model.visits.of("paged_attention") > 0);
        for i in 0..5 {
            let mut alone = by_hand(name, run, LENGTHS[i]);
            let table = in_order(LENGTHS[i]);
            let whole = alone.run(&sequences[i], 0..LENGTHS[i], &table).unwrap();
            assert!(
                bits(&rows[i]) == bits(&whole),
                "{name} {run:?}: sequence {i}"
            );
        }
    }
}

/// Two sequences, sampled and greedy, the first ending at a token that it draws as its fourth; their tokens, and steps run.
fn early(run_ahead: bool, end: Option<u32>) -> (Vec<Vec<u32>>, u64) {
    let (mut engine, visits) = engine(HEAD64, SM80, 2, 64);
    engine.set_run_ahead(run_ahead);
    let sampled = Request {
        wanted_logits: 0..0,
        eos_token_ids: end.into_iter().collect(),
        ..request(3, 9)
    };
    let greedy = Request::new(tokens(21, 5), 6);
    let ids = [sampled, greedy].map(|request| engine.submit(request).unwrap());
    let mut drawn = vec![Vec::new(); 2];
    let mut first = true;
    while !engine.is_idle() {
        let events = engine.step(&mut |_| {}).unwrap();
        if std::mem::take(&mut first) {
            let submitted = visits.of("embed_bf16");
            assert_eq!(
                submitted,
                1 + u64::from(run_ahead),
                "steps before the first tokens"
            );
        }
        for event in events {
            let which = ids.iter().position(|id| *id == event.id).unwrap();
            drawn[which].extend(event.token);
        }
    }
    (drawn, visits.of("embed_bf16"))
}

#[test]
fn steps_that_are_submitted_early_draw_the_same_tokens() {
    if !have_kernels() {
        return;
    }
    let (expected, steps) = early(false, None);
    assert_eq!((expected[0].len(), expected[1].len()), (9, 6));
    assert_eq!(early(true, None), (expected.clone(), steps));
    // What ends by a token that the host has not seen yet is computed once more.
    let end = expected[0][3];
    let first = expected[0].iter().position(|&token| token == end).unwrap();
    let (short, steps) = early(false, Some(end));
    assert_eq!(short, [expected[0][..=first].to_vec(), expected[1].clone()]);
    let (ahead, more) = early(true, Some(end));
    assert_eq!(ahead, short);
    // The greedy sequence's last step stands beside it or behind it.
    assert!(more >= steps && more <= steps + 1, "{more} against {steps}");
}
