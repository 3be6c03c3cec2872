//! Which sizes every kernel was launched with: those of each model that it is for, as the model's graph has them, and odd ones.
//! What counts are the arguments of the launches, not what a case calls itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use qwarp::DType;
use qwarp::backend::gpu::kernels::{ENTRIES, EntryFacts};
use qwarp::backend::gpu::launch::{Argmax, SampleRows};
use qwarp::config::ModelConfig;
use qwarp::driver::{Launch, Target};
use qwarp::graph::Op;
use qwarp::model;
use qwarp::shape::Heads;

/// What differs in the config.json of the models: hidden size, intermediate size, layers, query heads, KV heads, vocabulary,
/// whether the head is the embedding table.
type Config = (usize, usize, usize, usize, usize, usize, bool);

const CONFIGS: [(&str, Config); 3] = [
    ("0.5B", (896, 4864, 24, 14, 2, 151_936, true)),
    ("1.5B", (1536, 8960, 28, 12, 2, 151_936, false)),
    ("7B", (3584, 18_944, 28, 28, 4, 152_064, false)),
];

/// Every product of a model has whole tiles of so many rows, so a CTA sees no difference where a case has fewer of them.
const ROWS: usize = 128;

fn config((hidden, inner, layers, query, kv, vocab, tied): Config) -> ModelConfig {
    ModelConfig {
        path: "config.json".into(),
        architecture: "Qwen2ForCausalLM".into(),
        hidden_size: hidden,
        intermediate_size: inner,
        num_hidden_layers: layers,
        num_attention_heads: query,
        num_key_value_heads: kv,
        head_dim: hidden / query,
        vocab_size: vocab,
        max_position_embeddings: 32_768,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        tie_word_embeddings: tied,
        dtype: Some(DType::Bf16),
        eos_token_ids: Vec::new(),
    }
}

/// The sizes that a model's graph asks for.
struct Sizes {
    heads: Heads,
    vocab: usize,
    /// Width of the rows that are gathered and normed.
    hidden: BTreeSet<usize>,
    /// Output width of SiLU times up.
    inner: BTreeSet<usize>,
    /// Elements of k of the products.
    depths: BTreeSet<usize>,
}

impl Sizes {
    fn of(config: &ModelConfig) -> Sizes {
        let graph = model::build(config, DType::F16).unwrap();
        let mut sizes = Sizes {
            heads: graph.layers.unwrap().1,
            vocab: config.vocab_size,
            hidden: BTreeSet::new(),
            inner: BTreeSet::new(),
            depths: BTreeSet::new(),
        };
        for node in &graph.nodes {
            let cols = graph.tensors[node.output.0].cols;
            match node.op {
                Op::Embed { .. } | Op::RmsNorm { .. } | Op::SelectRows => {
                    sizes.hidden.insert(cols);
                }
                Op::SiluMul => {
                    sizes.inner.insert(cols);
                }
                Op::Linear { weight, .. } => {
                    assert!(cols.is_multiple_of(ROWS), "{}: {cols} rows", node.name);
                    let depth = graph.weights[weight.0].cols.unwrap();
                    sizes.depths.insert(depth);
                }
                Op::RopeAppend { .. } | Op::Attention { .. } => {}
            }
        }
        sizes
    }
}

/// The scalars of a launch that are words, in order.
fn words(launch: &Launch) -> Vec<usize> {
    let args = &launch.args;
    let pointers: BTreeSet<u32> = args.views.iter().map(|view| view.param).collect();
    let scalars = (0..).zip(&args.offsets);
    let scalars = scalars.filter(|(param, _)| !pointers.contains(param));
    let word = |at: usize| u32::from_le_bytes(args.bytes[at..at + 4].try_into().unwrap());
    scalars.map(|(_, at)| word(*at as usize) as usize).collect()
}

/// The width of head that a kernel is for, where its name says one.
fn dim(kernel: &str) -> Option<usize> {
    kernel.rsplit_once("_d")?.1.parse().ok()
}

/// What a launch has of a model: whether its sizes are the model's, and where a kernel has several such, which.
/// One line a kernel file.
fn of_model(entry: &EntryFacts, launch: &Launch, model: &Sizes) -> Option<usize> {
    let words = words(launch);
    let Heads { query, kv, dim } = model.heads;
    let merge = entry.name.ends_with("_merge");
    let found = |is: bool| is.then_some(0);
    match (entry.file, &words[..]) {
        ("embed", &[_, n]) | ("rms_norm", &[n, _]) => found(model.hidden.contains(&n)),
        ("silu_mul", &[n]) => found(model.inner.contains(&n)),
        ("linear_rope_append", &[_, k, ref heads @ ..])
        | ("norm_linear_rope_append", &[_, k, ref heads @ .., _]) => {
            // Fewer heads than the model has are rows of a product that was cut.
            found(heads[2] == dim && model.hidden.contains(&k))
        }
        ("norm_linear_silu_mul", &[_, _, k, _]) => found(model.hidden.contains(&k)),
        ("sample", &[vocab, ..]) => {
            // Vocabularies of as many parts have the same grid.
            found(SampleRows::parts(vocab) == SampleRows::parts(model.vocab))
        }
        ("argmax", &[parts]) if merge => found(parts == Argmax::parts(model.vocab)),
        ("argmax", &[vocab]) => found(vocab == model.vocab),
        ("linear", &[_, n, k, _]) if n.is_multiple_of(ROWS) => model.depths.get(&k).copied(),
        ("linear_silu_mul", &[_, n, k]) if (2 * n).is_multiple_of(ROWS) => {
            found(model.hidden.contains(&k))
        }
        ("flash_attention", heads) | ("paged_attention", heads) => {
            found(heads.starts_with(&[query, kv]) && self::dim(entry.name) == Some(dim))
        }
        _ => None,
    }
}

/// Whether a launch has sizes that no vector, tile or warp divides. One line a kernel file.
fn is_odd(entry: &EntryFacts, launch: &Launch) -> bool {
    let words = words(launch);
    let odd = |n: usize| n % 2 == 1;
    match (entry.file, &words[..]) {
        ("embed", &[_, n])
        | ("silu_mul" | "argmax", &[n])
        | ("rms_norm", &[n, _])
        | ("sample", &[n, ..]) => odd(n) && n > 1,
        ("linear_rope_append" | "norm_linear_rope_append", &[tokens, k, query, kv, ..]) => {
            odd(tokens) && odd(k) && odd(query / kv)
        }
        ("norm_linear_silu_mul", &[tokens, n, k, _]) => odd(tokens) && odd(n) && odd(k),
        ("linear", &[tokens, n, k, _]) | ("linear_silu_mul", &[tokens, n, k]) => {
            odd(tokens) && odd(n) && odd(k)
        }
        // Tokens, and heads of a group.
        ("flash_attention" | "paged_attention", &[query, kv, ..]) => {
            let width = dim(entry.name).unwrap_or(1) * query * 2;
            odd(launch.args.views[0].bytes as usize / width) && odd(query / kv)
        }
        _ => false,
    }
}

/// Launches of a kernel at sizes of each model, by which of them, and at odd ones.
#[derive(Default, Clone)]
struct Row {
    models: [BTreeMap<usize, usize>; 3],
    odd: usize,
}

/// What the kernels of a target were launched with.
pub struct Visits {
    target: Target,
    models: [(&'static str, Sizes); 3],
    rows: BTreeMap<&'static str, Row>,
}

impl Visits {
    /// Of a target, of whose kernels none was launched.
    pub fn new(target: Target) -> Visits {
        let built = ENTRIES.iter().filter(|entry| entry.exists_on(target));
        Visits {
            target,
            models: CONFIGS.map(|(name, fields)| (name, Sizes::of(&config(fields)))),
            rows: built.map(|entry| (entry.name, Row::default())).collect(),
        }
    }

    /// Counts a launch.
    pub fn count(&mut self, entry: &'static EntryFacts, launch: &Launch) {
        let row = self.rows.entry(entry.name).or_default();
        row.odd += usize::from(is_odd(entry, launch));
        for ((_, model), counts) in self.models.iter().zip(&mut row.models) {
            if let Some(which) = of_model(entry, launch, model) {
                *counts.entry(which).or_default() += 1;
            }
        }
    }

    /// How many different launches of a kernel a model has.
    fn wanted(kernel: &str, model: &Sizes) -> usize {
        let entry = ENTRIES.iter().find(|entry| entry.name == kernel);
        match entry.map(|entry| entry.file) {
            _ if dim(kernel).is_some_and(|dim| dim != model.heads.dim) => 0,
            Some("linear") => model.depths.len(),
            _ => 1,
        }
    }

    /// The kernels that were not launched with the sizes of a model that they are for, or with no odd ones.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (kernel, row) in &self.rows {
            if row.odd == 0 {
                missing.push(format!("{kernel}: no odd sizes"));
            }
            for ((name, model), counts) in self.models.iter().zip(&row.models) {
                let (found, wanted) = (counts.len(), Self::wanted(kernel, model));
                if found < wanted {
                    missing.push(format!("{kernel}: {found} of {wanted} launches of {name}"));
                }
            }
        }
        missing
    }

    /// Launches of each kernel.
    fn table(&self) -> String {
        let mut table = format!("{:<28} {:>6}", self.target.to_string(), "odd");
        for (name, _) in &self.models {
            let _ = write!(table, " {name:>8}");
        }
        for (kernel, row) in &self.rows {
            let _ = write!(table, "\n{kernel:<28} {:>6}", row.odd);
            for ((_, model), counts) in self.models.iter().zip(&row.models) {
                let shown = match Self::wanted(kernel, model) {
                    0 => "-".to_string(),
                    _ => counts.values().sum::<usize>().to_string(),
                };
                let _ = write!(table, " {shown:>8}");
            }
        }
        table
    }

    /// Fails where a kernel is missing; tells all.
    pub fn check(&self) {
        let missing = self.missing();
        let table = self.table();
        assert!(missing.is_empty(), "{}\n{table}", missing.join("\n"));
    }
}

#[test]
fn a_kernel_that_was_not_launched_is_named() {
    let visits = Visits::new(Target::Sm80);
    let missing = visits.missing();
    let names = |what: &str| missing.iter().any(|line| line == what);
    for entry in ENTRIES.iter().filter(|e| e.exists_on(Target::Sm80)) {
        assert!(names(&format!("{}: no odd sizes", entry.name)));
        // The head of 0.5B is 64 wide, those of the others are 128.
        let (of_64, of_128) = (dim(entry.name) == Some(64), dim(entry.name) == Some(128));
        let wanted = if entry.file == "linear" { 2 } else { 1 };
        for (model, not) in [("0.5B", of_128), ("1.5B", of_64), ("7B", of_64)] {
            let line = format!("{}: 0 of {wanted} launches of {model}", entry.name);
            assert_eq!(names(&line), !not, "{line}");
        }
    }
    assert!(visits.table().starts_with("sm_80 "));
}
