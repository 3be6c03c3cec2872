//! A small GGUF model, written with a note of where each field stands.

use crate::mutate::{Kind, Part, Seed};

const U32: u32 = 4;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Where the two counts of the header stand.
const TENSOR_COUNT: usize = 8;
const KEY_COUNT: usize = 16;

struct Writer {
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

impl Writer {
    fn part(
        &mut self,
        start: usize,
        kind: Kind,
        length_at: Option<usize>,
        count_at: Option<usize>,
    ) {
        self.parts.push(Part {
            range: start..self.bytes.len(),
            kind,
            length_at,
            count_at,
        });
    }

    fn u32(&mut self, value: u32) {
        let start = self.bytes.len();
        self.bytes.extend(value.to_le_bytes());
        self.part(start, Kind::Integer, None, None);
    }

    fn u64(&mut self, value: u64) {
        let start = self.bytes.len();
        self.bytes.extend(value.to_le_bytes());
        self.part(start, Kind::Integer, None, None);
    }

    fn string(&mut self, text: &str) {
        let length_at = self.bytes.len();
        self.u64(text.len() as u64);
        let start = self.bytes.len();
        self.bytes.extend(text.as_bytes());
        self.part(start, Kind::Key, Some(length_at), None);
    }

    /// A metadata entry, whose value writes its own type.
    fn entry(&mut self, key: &str, value: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.string(key);
        let value_start = self.bytes.len();
        value(self);
        self.part(value_start, Kind::Value, None, None);
        self.part(start, Kind::Unit, None, Some(KEY_COUNT));
    }

    fn text(&mut self, key: &str, text: &str) {
        self.entry(key, |w| {
            w.u32(STRING);
            w.string(text);
        });
    }

    fn number(&mut self, key: &str, kind: u32, bits: u32) {
        self.entry(key, |w| {
            w.u32(kind);
            w.u32(bits);
        });
    }

    fn array(&mut self, key: &str, kind: u32, count: usize, element: impl Fn(&mut Self, usize)) {
        self.entry(key, |w| {
            w.u32(ARRAY);
            w.u32(kind);
            let count_at = w.bytes.len();
            w.u64(count as u64);
            for index in 0..count {
                let start = w.bytes.len();
                element(w, index);
                w.part(start, Kind::Unit, None, Some(count_at));
            }
        });
    }

    fn tensor(&mut self, name: &str, dims: &[u64], offset: u64) {
        let start = self.bytes.len();
        self.string(name);
        self.u32(dims.len() as u32);
        dims.iter().for_each(|&dim| self.u64(dim));
        self.u32(0);
        self.u64(offset);
        self.part(start, Kind::Unit, None, Some(TENSOR_COUNT));
    }
}

/// A whole model of one layer with f32 tensors of zeros.
pub fn seed(version: u32, template: Option<&str>) -> Seed {
    let mut w = Writer {
        bytes: b"GGUF".to_vec(),
        parts: Vec::new(),
    };
    w.u32(version);
    w.u64(tensors().len() as u64);
    w.u64(if template.is_some() { 19 } else { 17 });
    for (key, text) in [
        ("general.architecture", "qwen2"),
        ("general.type", "model"),
        ("tokenizer.ggml.model", "gpt2"),
        ("tokenizer.ggml.pre", "qwen2"),
    ] {
        w.text(key, text);
    }
    for (key, number) in [
        ("qwen2.block_count", 1),
        ("qwen2.context_length", 64),
        ("qwen2.embedding_length", 8),
        ("qwen2.feed_forward_length", 12),
        ("qwen2.attention.head_count", 4),
        ("qwen2.attention.head_count_kv", 2),
        ("tokenizer.ggml.eos_token_id", 4),
        ("general.alignment", 32),
    ] {
        w.number(key, U32, number);
    }
    w.number("qwen2.rope.freq_base", F32, 10_000f32.to_bits());
    let epsilon = "qwen2.attention.layer_norm_rms_epsilon";
    w.number(epsilon, F32, 1e-5f32.to_bits());
    let tokens = ["a", "b", "ab", "<|endoftext|>", "<|im_end|>", "x"];
    let types = [1, 1, 1, 3, 3, 1];
    let list = |key: &str| format!("tokenizer.ggml.{key}");
    w.array(&list("tokens"), STRING, tokens.len(), |w, i| {
        w.string(tokens[i])
    });
    w.array(&list("token_type"), 5, types.len(), |w, i| w.u32(types[i]));
    w.array(&list("merges"), STRING, 1, |w, _| w.string("a b"));
    if let Some(template) = template {
        w.text("tokenizer.chat_template", template);
        w.entry("tokenizer.ggml.add_bos_token", |w| {
            w.u32(BOOL);
            w.bytes.push(0);
        });
    }
    let mut end = 0;
    for (name, dims) in tensors() {
        w.tensor(&name, &dims, end);
        end += (4 * dims.iter().product::<u64>()).next_multiple_of(32);
    }
    let data = w.bytes.len().next_multiple_of(32) + end as usize;
    w.bytes.resize(data, 0);
    Seed {
        bytes: w.bytes,
        parts: w.parts,
    }
}

fn tensors() -> Vec<(String, Vec<u64>)> {
    let mut all = vec![
        ("token_embd.weight".to_string(), vec![8, 6]),
        ("output_norm.weight".to_string(), vec![8]),
    ];
    for (part, dims) in [
        ("attn_norm.weight", &[8][..]),
        ("attn_q.weight", &[8, 8]),
        ("attn_q.bias", &[8]),
        ("attn_k.weight", &[8, 4]),
        ("attn_k.bias", &[4]),
        ("attn_v.weight", &[8, 4]),
        ("attn_v.bias", &[4]),
        ("attn_output.weight", &[8, 8]),
        ("ffn_norm.weight", &[8]),
        ("ffn_gate.weight", &[8, 12]),
        ("ffn_up.weight", &[8, 12]),
        ("ffn_down.weight", &[12, 8]),
    ] {
        all.push((format!("blk.0.{part}"), dims.to_vec()));
    }
    all
}
