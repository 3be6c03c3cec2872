//! The committed reference of the real model: the 64 largest logits at some positions of some prompts, and how far a run of
//! ours is from them.

use std::collections::BTreeMap;

use super::reference::{Reference, log_sum_exp, max_difference, repo};

const FOLDER: &str = "tests/golden/qwen2.5-coder-0.5b-instruct";

/// One prompt's reference.
pub struct Case {
    /// Its name.
    pub name: String,
    /// The prompt.
    pub token_ids: Vec<u32>,
    /// By position.
    pub rows: BTreeMap<usize, Row>,
    /// What follows it, greedily; for short prompts.
    pub greedy: Option<Vec<u32>>,
}

/// The reference at one position.
pub struct Row {
    /// The 64 best tokens, best first.
    pub ids: Vec<i32>,
    /// Their logits.
    pub logits: Vec<f32>,
    /// Over the whole vocabulary.
    pub log_sum_exp: f64,
}

/// The index of all cases, with the distances of transformers' own runs.
pub fn index() -> serde_json::Value {
    let path = repo(FOLDER).join("cases.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The case `name`.
pub fn read(name: &str) -> Case {
    let file = Reference::open(&repo(FOLDER).join(format!("{name}.safetensors")));
    let positions = file.ids("positions");
    let (shape, ids) = file.i32("top_ids");
    assert_eq!(shape, [positions.len(), 64]);
    let (_, logits) = file.f32("top_logits");
    let (_, sums) = file.f64("logsumexp");
    let row = |(i, position): (usize, &u32)| {
        let range = 64 * i..64 * (i + 1);
        let row = Row {
            ids: ids[range.clone()].to_vec(),
            logits: logits[range].to_vec(),
            log_sum_exp: sums[i],
        };
        (*position as usize, row)
    };
    Case {
        name: name.to_string(),
        token_ids: file.ids("token_ids"),
        rows: positions.iter().enumerate().map(row).collect(),
        greedy: file.has("greedy_ids").then(|| file.ids("greedy_ids")),
    }
}

impl Row {
    /// KL and the largest difference of a row of ours, over the reference's 64 largest logits.
    ///
    /// Each term is written p ln(p / q) - p + q: never negative, so the sum is a lower bound of the KL over the whole
    /// vocabulary, and of second order in the f32 rounding of the stored logits. The rest of the vocabulary is one more
    /// such term where its mass is above `min_rest`; below, that mass is itself a rounding error of the 64.
    pub fn distance(&self, ours: &[f32], min_rest: f64) -> (f64, f64) {
        let sum = log_sum_exp(ours);
        let (mut kl, mut p_rest, mut q_rest, mut worst) = (0.0, 1.0, 1.0, 0f64);
        let term = |p: f64, q: f64| p * (p / q).ln() - p + q;
        for (&id, &logit) in self.ids.iter().zip(&self.logits) {
            let p = (f64::from(logit) - self.log_sum_exp).exp();
            let q = (f64::from(ours[id as usize]) - sum).exp();
            kl += term(p, q);
            p_rest -= p;
            q_rest -= q;
            worst = worst.max(max_difference(&[logit], &[ours[id as usize]]));
        }
        if p_rest > min_rest {
            kl += term(p_rest, q_rest);
        }
        (kl, worst)
    }
}
