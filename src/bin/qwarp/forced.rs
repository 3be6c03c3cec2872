//! One sequence whose tokens are given, cut into the steps of a run.

use std::ops::Range;
use std::slice;
use std::sync::Arc;

use qwarp::backend::StepInputs;
use qwarp::backend::rng::philox;
use qwarp::engine::batch::Batch;
use qwarp::engine::scheduler::Scheduled;
use qwarp::engine::sequence::Sequence;
use qwarp::engine::{Request, SequenceId};
use qwarp::kv::BlockTable;

/// The sequence. Nothing is drawn behind its end.
pub struct Forced {
    sequence: Sequence,
    len: usize,
}

impl Forced {
    /// `tokens`, with the logits behind the positions of `wanted`.
    pub fn new(tokens: Vec<u32>, wanted: Range<usize>) -> Self {
        let len = tokens.len();
        let request = Request {
            wanted_logits: wanted,
            ..Request::new(Vec::new(), 0)
        };
        let mut sequence = Sequence::new(SequenceId(0), request);
        let blocks = BlockTable::blocks_for(len) as u32;
        sequence.block_table = BlockTable::new((0..blocks).collect());
        sequence.tokens = Arc::new(tokens);
        Forced { sequence, len }
    }

    /// What a step over `count` tokens from position `start` on takes.
    pub fn inputs(&self, start: usize, count: usize) -> StepInputs {
        let scheduled = Scheduled {
            running: 0,
            start,
            count,
        };
        Batch::new(&[scheduled], slice::from_ref(&self.sequence), self.len).inputs
    }
}

/// `count` token ids below `vocab`, random and always the same.
pub fn random_tokens(count: usize, vocab: usize) -> Vec<u32> {
    let token = |index| philox([index, 0, 0, 0], [0, 0])[0] % vocab as u32;
    (0..count as u32).map(token).collect()
}
