//! Which tests a command line asks for. Everything wrong with it is found here, before a weight is read.

use std::fmt;

use qwarp::config::EngineConfig;
use qwarp::{DType, Error, Result};

use super::Args;
use crate::threads;

/// One test: a prompt or an answer, behind `n_depth` tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub n_prompt: usize,
    pub n_gen: usize,
    pub n_depth: usize,
    /// Sequences that are decoded together.
    pub batch: usize,
}

/// All tests and what they have in common.
pub struct Cases {
    pub tests: Vec<Case>,
    pub threads: Vec<usize>,
    /// Times each test is timed.
    pub times: usize,
    pub warmup: bool,
    /// Prompt tokens of one step.
    pub chunk: usize,
    /// Tokens of the longest sequence, its depth included.
    pub longest: usize,
    /// Sequences of the largest batch.
    pub most: usize,
}

impl Case {
    /// Tokens of each sequence that are timed. One of both counts is zero.
    pub fn tokens(&self) -> usize {
        self.n_prompt + self.n_gen
    }

    /// The same of all sequences.
    pub fn all_tokens(&self) -> usize {
        self.tokens() * self.batch
    }

    /// Whether this is a decode test.
    pub fn decodes(&self) -> bool {
        self.n_gen > 0
    }
}

/// The name in llama-bench's table, `pp512`, `tg128 @ d4096`, with our batch: `tg128 x8 @ d512`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.decodes() { "tg" } else { "pp" };
        write!(f, "{kind}{}", self.tokens())?;
        if self.batch > 1 {
            write!(f, " x{}", self.batch)?;
        }
        match self.n_depth {
            0 => Ok(()),
            depth => write!(f, " @ d{depth}"),
        }
    }
}

impl Cases {
    /// The tests of `args` for a model of `context` positions.
    pub fn new(args: &Args, context: usize) -> Result<Self> {
        for (flag, value) in [
            ("--repetitions", args.repetitions),
            ("--ubatch-size", args.ubatch_size),
        ] {
            if value == 0 {
                return Err(Error::argument(flag, 0, "at least 1"));
            }
        }
        if args.batch.contains(&0) {
            return Err(Error::argument("--batch", 0, "at least 1"));
        }
        let tests = tests(args);
        let mut longest = 0;
        for case in &tests {
            let len = case.n_depth.saturating_add(case.tokens());
            if len > context {
                let found = format!("{} + {} = {len} tokens", case.n_depth, case.tokens());
                let field = if case.decodes() { "-d + -n" } else { "-d + -p" };
                let expected = format!("at most {context}, the model's context");
                return Err(Error::argument(field, found, expected));
            }
            longest = longest.max(len);
        }
        if tests.is_empty() {
            return Err(Error::argument("-p and -n", 0, "one that is not 0"));
        }
        Ok(Cases {
            threads: thread_counts(&args.threads)?,
            times: args.repetitions,
            warmup: !args.no_warmup,
            chunk: args.ubatch_size,
            longest,
            most: tests.iter().map(|case| case.batch).max().unwrap_or(1),
            tests,
        })
    }

    /// What a backend for all tests is opened with.
    pub fn engine(&self, dtype: DType, threads: usize) -> EngineConfig {
        EngineConfig {
            dtype,
            threads,
            max_num_seqs: self.most,
            max_batched_tokens: self.chunk.min(self.longest).max(self.most),
            max_logit_rows: self.most,
            // Room for the token that the last step draws.
            max_model_len: self.longest + 1,
        }
    }

    /// Timed runs of all tests together.
    pub fn repetitions(&self) -> usize {
        let tests = self.tests.len().saturating_mul(self.threads.len());
        tests.saturating_mul(self.times)
    }
}

/// Depth by depth: every prompt, then every answer by every batch.
fn tests(args: &Args) -> Vec<Case> {
    let mut tests = Vec::new();
    for &n_depth in &args.n_depth {
        let prefill = args.n_prompt.iter().map(|&n_prompt| Case {
            n_prompt,
            n_gen: 0,
            n_depth,
            batch: 1,
        });
        let answers = args.n_gen.iter();
        let decode = answers.flat_map(|&n_gen| {
            args.batch.iter().map(move |&batch| Case {
                n_prompt: 0,
                n_gen,
                n_depth,
                batch,
            })
        });
        tests.extend(prefill.chain(decode).filter(|case| case.tokens() > 0));
    }
    tests
}

fn thread_counts(given: &[usize]) -> Result<Vec<usize>> {
    given.iter().try_for_each(|&count| threads::check(count))?;
    if given.is_empty() {
        Ok(vec![threads::cores()])
    } else {
        Ok(given.to_vec())
    }
}
