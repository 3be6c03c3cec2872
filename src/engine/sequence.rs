//! One request on its way through the engine.

use std::sync::Arc;

use crate::backend::sampling::SamplingParams;
use crate::kv::BlockTable;

/// Names a request for as long as the engine lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u64);

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Token ids of the prompt, at least one.
    pub prompt: Vec<u32>,
    /// How to pick tokens.
    pub params: SamplingParams,
    /// Added to the logits of these tokens.
    pub logit_bias: Arc<[(u32, f32)]>,
    /// Which of the answers to one prompt this is; each has its own draws.
    pub choice: u32,
    /// Tokens to generate at most; 0 only runs the prompt.
    pub max_tokens: usize,
    /// Tokens that end the answer.
    pub eos_token_ids: Vec<u32>,
    /// Positions whose logits are wanted, of the prompt or the answer.
    pub wanted_logits: std::ops::Range<usize>,
}

impl Request {
    /// A greedy answer of exactly `max_tokens`, unless the context is full before.
    pub fn new(prompt: Vec<u32>, max_tokens: usize) -> Self {
        Request {
            prompt,
            params: SamplingParams::GREEDY,
            logit_bias: Arc::default(),
            choice: 0,
            max_tokens,
            eos_token_ids: Vec::new(),
            wanted_logits: 0..0,
        }
    }
}

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model drew an end-of-sequence token.
    Eos,
    /// The text reached a stop string.
    StopString,
    /// `max_tokens` were generated.
    MaxTokens,
    /// The sequence is as long as the engine's `max_model_len`.
    ContextFull,
    /// The caller cancelled it.
    Cancelled,
}

impl FinishReason {
    /// The name in JSON output.
    pub fn name(self) -> &'static str {
        match self {
            FinishReason::Eos => "eos",
            FinishReason::StopString => "stop_string",
            FinishReason::MaxTokens => "max_tokens",
            FinishReason::ContextFull => "context_full",
            FinishReason::Cancelled => "cancelled",
        }
    }
}

/// A request with its state.
#[derive(Debug)]
pub struct Sequence {
    /// Its name.
    pub id: SequenceId,
    /// The request; its prompt is the start of `tokens`.
    pub request: Request,
    /// Prompt and generated tokens; a step shares them with the backend.
    pub tokens: Arc<Vec<u32>>,
    /// Tokens whose keys and values are in the cache, or will be after the steps in flight.
    pub computed: usize,
    /// Tokens that the steps in flight draw for it; the host has not seen them yet.
    pub pending: usize,
    /// Which of the draws of the newest step in flight the newest of them is.
    pub pending_draw: u32,
    /// Its blocks; empty while it waits.
    pub block_table: BlockTable,
}

impl Sequence {
    /// A waiting sequence.
    pub fn new(id: SequenceId, request: Request) -> Self {
        Sequence {
            id,
            tokens: Arc::new(request.prompt.clone()),
            request,
            computed: 0,
            pending: 0,
            pending_draw: 0,
            block_table: BlockTable::default(),
        }
    }

    /// Tokens generated so far.
    pub fn generated(&self) -> usize {
        self.tokens.len() - self.request.prompt.len()
    }

    /// Tokens, those that are being drawn among them.
    pub fn len_ahead(&self) -> usize {
        self.tokens.len() + self.pending
    }

    /// Tokens that the next step could compute.
    pub fn left(&self, max_model_len: usize) -> usize {
        if self.pending > 0 && self.len_ahead() >= self.max_len(max_model_len) {
            // The token being drawn is the last, and nothing comes after it.
            return 0;
        }
        self.len_ahead() - self.computed
    }

    /// Longest this sequence can get, in an engine of `max_model_len`.
    pub fn max_len(&self, max_model_len: usize) -> usize {
        self.request
            .prompt
            .len()
            .saturating_add(self.request.max_tokens)
            .min(max_model_len)
    }

    /// Why it ends now that its newest token is `token`, if it does.
    pub fn finish_reason(&self, token: Option<u32>, max_model_len: usize) -> Option<FinishReason> {
        if token.is_some_and(|token| self.request.eos_token_ids.contains(&token)) {
            Some(FinishReason::Eos)
        } else if self.generated() >= self.request.max_tokens {
            Some(FinishReason::MaxTokens)
        } else if self.tokens.len() >= max_model_len {
            Some(FinishReason::ContextFull)
        } else {
            None
        }
    }
}
