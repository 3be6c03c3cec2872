//! CTAs of different shards: random grids against a list of every access.

use super::Random;
use qwarp::emu::check::{Cells, Clocks, Conflict, Finer, Lanes, Request, first_conflict};

const BASE: u64 = 1 << 16;
const BYTES: u64 = 8192;

/// Cells and clocks of one shard.
struct Shard {
    clocks: Clocks,
    cells: Cells,
}

impl Shard {
    fn new() -> Shard {
        Shard {
            clocks: Clocks::new(64, Finer::default()),
            cells: Cells::new(BASE, BYTES, 4),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Touch {
    cta: u64,
    first: u64,
    end: u64,
    wrote: bool,
}

/// Runs the accesses of each CTA in its shard; then what the shards find together.
fn merged(shards: &mut [Shard], touches: &[Touch]) -> Option<Conflict> {
    let count = shards.len() as u64;
    for (index, shard) in shards.iter_mut().enumerate() {
        *shard = Shard::new();
        for touch in touches.iter().filter(|t| t.cta % count == index as u64) {
            shard.clocks.begin_cta(touch.cta);
            let addresses = std::array::from_fn(|lane| BASE + touch.first + 4 * lane as u64);
            let lanes = ((touch.end - touch.first) / 4) as u32;
            let lanes = Lanes::of(u32::MAX >> (32 - lanes), 4, &addresses);
            let request = match touch.wrote {
                true => Request::write(1, lanes, touch.cta as u32, &|_, _| false),
                false => Request::read(1, lanes, touch.cta as u32),
            };
            // Conflicts inside a shard are found there and are not the matter here.
            shard.cells.access(&request, &shard.clocks);
        }
    }
    let pairs: Vec<_> = shards.iter().map(|s| (&s.cells, &s.clocks)).collect();
    first_conflict(&pairs, None)
}

fn clash(one: &Touch, other: &Touch, shards: u64) -> Option<u64> {
    let first = one.first.max(other.first);
    let apart = one.cta % shards != other.cta % shards;
    (apart && (one.wrote || other.wrote) && first < one.end.min(other.end)).then_some(first)
}

#[test]
fn the_lowest_conflict_between_shards_is_found() {
    let mut random = Random(11);
    let mut shards: Vec<Shard> = (0..4).map(|_| Shard::new()).collect();
    let mut counts = [0; 2];
    for _ in 0..400 {
        let ctas = 2 + random.below(10);
        let touches: Vec<Touch> = (0..ctas)
            .map(|cta| {
                let first = 4 * random.below(BYTES / 4 - 32);
                Touch {
                    cta,
                    first,
                    end: first + 4 * (1 + random.below(32)),
                    wrote: random.one_in(2),
                }
            })
            .collect();
        // Where CTAs of one shard meet, the launch has ended before.
        let inside = touches.iter().enumerate().any(|(index, one)| {
            touches[..index].iter().any(|other| {
                one.cta % 4 == other.cta % 4 && one.first < other.end && other.first < one.end
            })
        });
        if inside {
            continue;
        }
        let lowest = touches
            .iter()
            .enumerate()
            .flat_map(|(index, one)| touches[..index].iter().map(move |o| clash(one, o, 4)))
            .flatten()
            .min();
        let found = merged(&mut shards, &touches);
        assert_eq!(
            found.map(|c| c.address),
            lowest.map(|l| BASE + l),
            "{touches:?}"
        );
        counts[usize::from(lowest.is_some())] += 1;
        if let Some(conflict) = found {
            let of = |cta: u64| touches.iter().find(|t| t.cta == cta).unwrap();
            let (one, other) = (of(conflict.earlier.cta), of(conflict.later.cta));
            assert!(one.cta < other.cta);
            assert_eq!(
                [conflict.earlier.wrote, conflict.later.wrote],
                [one.wrote, other.wrote]
            );
            assert_eq!(u64::from(conflict.later.instruction), other.cta);
            assert_eq!(
                conflict.earlier.thread,
                32 + ((lowest.unwrap() - one.first) / 4) as u32
            );
        }
    }
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
}
