//! A token's attention has the same bits by every way that a step may take: prefill in one go, in pieces of any size, decode,
//! other sequences beside it, its blocks anywhere.

use half::{bf16, f16};
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::backend::gpu::launch::AttentionType;
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::Target;
use qwarp::emu::Emulator;
use qwarp::shape::Heads;

use crate::emulator;
use crate::gpu_cases::{self, Attention, Case, Placement, Real, RowRange, Sequence, Way};

/// One sequence, all of whose tokens are known from one prefill.
struct Known<'a> {
    driver: &'a Emulator,
    kernels: &'a Kernels,
    heads: Heads,
    whole: Sequence,
    rows: Vec<Vec<u8>>,
    compared: usize,
}

impl Known<'_> {
    /// The bytes of each row of a case, which is within its bound of the reference too.
    fn run(&self, case: &dyn Case) -> Vec<Vec<u8>> {
        let ran = gpu_cases::run(case, self.driver, self.kernels);
        let ran = ran.unwrap_or_else(|failure| panic!("{}: {failure}", case.name()));
        ran.rows.into_iter().next().unwrap()
    }

    fn case<T: Real + AttentionType>(&self, sequences: Vec<Sequence>, way: Way) -> Attention<T> {
        Attention::new(self.heads, sequences, way)
    }

    /// Holds the rows that `case` has from its row `at` on against those from token `first` on.
    fn compare(&mut self, case: &dyn Case, at: usize, first: usize, count: usize) {
        let rows = self.run(case);
        for i in 0..count {
            let (found, expected) = (&rows[at + i], &self.rows[first + i]);
            assert!(found == expected, "{}: token {}", case.name(), first + i);
        }
        self.compared += count;
    }

    /// The tokens from each of `firsts` on, `size` of them or as many as there are.
    fn pieces<T: Real + AttentionType>(
        &mut self,
        way: Way,
        size: usize,
        firsts: impl Iterator<Item = usize>,
    ) {
        let case = self.case::<T>(vec![self.whole], way);
        for first in firsts {
            let count = size.min(self.whole.tokens - first);
            let piece = case.with_rows(RowRange { first, count });
            self.compare(piece.as_ref(), 0, first, count);
        }
    }
}

fn every_way<T: Real + AttentionType>(target: Target, heads: (usize, usize, usize), tokens: usize) {
    let Some((driver, kernels)) = emulator(target) else {
        return;
    };
    let (query, kv, dim) = heads;
    let whole = Sequence {
        id: 3,
        cached: 0,
        tokens,
    };
    let mut known = Known {
        driver: &driver,
        kernels: &kernels,
        heads: Heads { query, kv, dim },
        whole,
        rows: Vec::new(),
        compared: 0,
    };
    known.rows = known.run(&known.case::<T>(vec![whole], Way::Flash));
    assert_eq!(known.rows.len(), tokens);
    // Decode, of the tokens beside a block's end.
    let beside = (0..tokens).filter(|t| [0, 1, 15].contains(&(t % BLOCK_SIZE)));
    known.pieces::<T>(Way::Paged, 1, beside);
    for (way, size) in [(Way::Paged, 7), (Way::Flash, 64), (Way::Flash, 101)] {
        known.pieces::<T>(way, size, (0..tokens).step_by(size));
    }
    let contiguous = Attention {
        placement: Placement::Contiguous,
        ..known.case::<T>(vec![whole], Way::Flash)
    };
    known.compare(&contiguous, 0, 0, tokens);
    // Among others, as the last token, as some in the middle, and alone in the way of many tokens.
    let other = |id, cached, tokens| Sequence { id, cached, tokens };
    for (cached, count) in [(tokens - 1, 1), (tokens / 2, 5), (0, 1)] {
        let part = other(whole.id, cached, count);
        for way in [Way::Flash, Way::Paged] {
            let batch = vec![other(1, 40, 3), part, other(0, 0, 1), other(2, 270, 2)];
            known.compare(&known.case::<T>(batch, way), 3, cached, count);
            known.compare(&known.case::<T>(vec![part], way), 0, cached, count);
        }
    }
    assert!(known.compared > 4 * tokens, "{} rows", known.compared);
}

#[test]
fn every_way_gives_the_same_bits_on_sm_75() {
    every_way::<f16>(Target::Sm75, (2, 1, 128), 70);
    every_way::<f16>(Target::Sm75, (2, 1, 64), 270);
}

#[test]
fn every_way_gives_the_same_bits_on_sm_80() {
    every_way::<f16>(Target::Sm80, (2, 1, 64), 520);
    every_way::<bf16>(Target::Sm80, (7, 1, 64), 70);
}

#[test]
fn every_way_gives_the_same_bits_on_sm_90() {
    every_way::<bf16>(Target::Sm90, (1, 1, 128), 260);
    every_way::<f16>(Target::Sm90, (6, 1, 128), 70);
}
