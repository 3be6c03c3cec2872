//! The golden test can fail: eight errors, planted through the checkpoint, the config or the step's inputs, each move the
//! logits at least ten times as far as the bound allows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qwarp::DType;
use qwarp::backend::cpu::{CpuBackend, CpuOptions, simd};
use qwarp::backend::{Backend, SequenceSpan, StepInputs};
use qwarp::checkpoint::{Checkpoint, Weights};
use qwarp::config::ModelConfig;
use qwarp::graph::Plan;
use qwarp::model;
use qwarp::shape::MaxRows;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use serde_json::Value;
use support::{Reference, Run, max_difference, prompt_logits, repo};

/// The bound of `golden_tiny`, ten times over.
const TENFOLD: f64 = 1e-3;

/// Shape and values by name.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn tiny(name: &str) -> PathBuf {
    repo("tests/golden/tiny").join(name)
}

/// How far the logits of `folder` are from the reference of `original`.
fn distance(folder: &Path, original: &Path) -> f64 {
    let file = Reference::open(&original.join("reference.safetensors"));
    let (shape, expected) = file.f32("logits");
    let ours = prompt_logits(folder, Run::new(DType::F32), &file.ids("token_ids"));
    ours.iter()
        .zip(expected.chunks(shape[1]))
        .map(|(a, b)| max_difference(a, b))
        .fold(0.0, f64::max)
}

/// A copy of a checkpoint with its config and its tensors, all stored as f32, changed by `edit`.
fn planted(name: &str, edit: impl Fn(&mut Value, &mut Tensors)) -> f64 {
    let original = tiny(name);
    let copy = tempfile::tempdir().unwrap();
    let mut config: Value =
        serde_json::from_str(&fs::read_to_string(original.join("config.json")).unwrap()).unwrap();
    let mut tensors = read_tensors(&original);
    edit(&mut config, &mut tensors);
    fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, (shape, values))| {
            (
                name,
                shape,
                values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            )
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    serialize_to_file(views, None, &copy.path().join("model.safetensors")).unwrap();
    distance(copy.path(), &original)
}

fn read_tensors(folder: &Path) -> Tensors {
    let bytes = fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let wide = |view: &TensorView<'_>| -> Vec<f32> {
        let pairs = view.data().as_chunks::<2>().0.iter();
        match view.dtype() {
            Dtype::BF16 => pairs
                .map(|&pair| half::bf16::from_le_bytes(pair).to_f32())
                .collect(),
            Dtype::F16 => pairs
                .map(|&pair| half::f16::from_le_bytes(pair).to_f32())
                .collect(),
            Dtype::F32 => view
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&four| f32::from_le_bytes(four))
                .collect(),
            other => panic!("{other:?}"),
        }
    };
    file.iter()
        .map(|(name, view)| (name.to_string(), (view.shape().to_vec(), wide(&view))))
        .collect()
}

fn scale_tensor(tensors: &mut Tensors, name: &str, factor: f32) {
    tensors
        .get_mut(name)
        .unwrap()
        .1
        .iter_mut()
        .for_each(|x| *x *= factor);
}

#[test]
fn nothing_planted_is_nothing_found() {
    let distance = planted("untied-gqa2-head128-bf16", |_, _| ());
    assert!(distance <= 1e-4, "{distance}");
}

#[test]
fn a_wrong_rope_frequency_shows() {
    let distance = planted("untied-gqa2-head128-bf16", |config, _| {
        let theta = &mut config["rope_theta"];
        *theta = (theta.as_f64().expect("the classic spelling") * 0.9).into();
    });
    assert!(distance >= TENFOLD, "{distance}");
}

#[test]
fn a_wrong_epsilon_shows() {
    let distance = planted("untied-gqa7-eps-f16", |config, _| {
        let eps = &mut config["rms_norm_eps"];
        *eps = (eps.as_f64().unwrap() * 0.1).into();
    });
    assert!(distance >= TENFOLD, "{distance}");
}

#[test]
fn a_missing_bias_shows() {
    for bias in ["q_proj", "k_proj", "v_proj"] {
        let name = format!("model.layers.0.self_attn.{bias}.bias");
        let distance = planted("tied-gqa7-bf16", |_, tensors| {
            scale_tensor(tensors, &name, 0.0)
        });
        assert!(distance >= TENFOLD, "{bias}: {distance}");
    }
}

/// Query head h reads KV head h mod kv instead of h / group: the same as reordering the query heads, and the columns of
/// the output projection with them.
#[test]
fn a_wrong_head_mapping_shows() {
    let distance = planted("tied-gqa7-bf16", |config, tensors| {
        let field = |name: &str| config[name].as_u64().unwrap() as usize;
        let (query, kv, dim) = (
            field("num_attention_heads"),
            field("num_key_value_heads"),
            field("head_dim"),
        );
        let place = |head: usize| head % kv * (query / kv) + head / kv;
        assert!((0..query).any(|head| place(head) != head));
        for layer in 0..field("num_hidden_layers") {
            let prefix = format!("model.layers.{layer}.self_attn");
            for part in ["q_proj.weight", "q_proj.bias"] {
                let values = &mut tensors.get_mut(&format!("{prefix}.{part}")).unwrap().1;
                let (old, head_len) = (values.clone(), values.len() / query);
                for head in 0..query {
                    let to = place(head) * head_len;
                    values[to..to + head_len]
                        .copy_from_slice(&old[head * head_len..(head + 1) * head_len]);
                }
            }
            let values = &mut tensors
                .get_mut(&format!("{prefix}.o_proj.weight"))
                .unwrap()
                .1;
            for row in values.chunks_mut(query * dim) {
                let old = row.to_vec();
                for head in 0..query {
                    row[place(head) * dim..(place(head) + 1) * dim]
                        .copy_from_slice(&old[head * dim..(head + 1) * dim]);
                }
            }
        }
    });
    assert!(distance >= TENFOLD, "{distance}");
}

/// Scores divided by sqrt(2 dim): the same as queries scaled by 1 / sqrt(2), since rotation is linear.
#[test]
fn a_wrong_scale_shows() {
    let distance = planted("tied-gqa7-bf16", |_, tensors| {
        for layer in 0..2 {
            for part in ["weight", "bias"] {
                scale_tensor(
                    tensors,
                    &format!("model.layers.{layer}.self_attn.q_proj.{part}"),
                    0.5f32.sqrt(),
                );
            }
        }
    });
    assert!(distance >= TENFOLD, "{distance}");
}

#[test]
fn a_tied_head_shows() {
    let distance = planted("untied-gqa2-head128-bf16", |config, _| {
        assert_eq!(config["tie_word_embeddings"], Value::Bool(false));
        config["tie_word_embeddings"] = true.into();
    });
    assert!(distance >= TENFOLD, "{distance}");
}

#[test]
fn a_skipped_norm_weight_shows() {
    let distance = planted("tied-gqa7-bf16", |_, tensors| {
        tensors
            .get_mut("model.layers.1.post_attention_layernorm.weight")
            .unwrap()
            .1
            .fill(1.0);
    });
    assert!(distance >= TENFOLD, "{distance}");
}

/// Each token sees one key too many: the next token's, which an honest pass has put into the cache before.
#[test]
fn a_mask_that_is_off_by_one_shows() {
    let folder = tiny("untied-gqa2-head128-bf16");
    let file = Reference::open(&folder.join("reference.safetensors"));
    let (shape, expected) = file.f32("logits");
    let tokens = file.ids("token_ids");
    let (count, vocab) = (tokens.len(), shape[1]);

    let config = ModelConfig::read(&folder).unwrap();
    let graph = model::build(&config, DType::F32).unwrap();
    let plan = Plan::new(
        graph,
        MaxRows {
            tokens: count,
            logits: count,
        },
    )
    .unwrap();
    let checkpoint = Arc::new(Checkpoint::open(&folder).unwrap());
    let weights = Weights::load(checkpoint, &plan.graph.weights, DType::F32, 2).unwrap();
    let blocks = count.div_ceil(16) + 1;
    let options = CpuOptions {
        threads: 2,
        num_blocks: blocks,
        path: simd::Path::best(),
    };
    let mut backend = CpuBackend::open(plan, weights, options).unwrap();

    let inputs = |cached: usize, count: usize| StepInputs {
        token_ids: tokens[..count].to_vec(),
        positions: (0..count as u32).collect(),
        slot_mapping: (0..count as u32).collect(),
        sequences: vec![SequenceSpan {
            tokens: count,
            cached,
            table_start: 0,
            table_len: blocks,
        }],
        block_tables: (0..blocks as u32).collect(),
        logit_rows: (0..count as u32).collect(),
        samples: Vec::new(),
    };
    let mut run = |cached: usize, count: usize| {
        let ticket = backend.submit(&inputs(cached, count)).unwrap();
        backend.logits(ticket).unwrap().to_vec()
    };
    let distance = |ours: &[f32]| max_difference(ours, &expected[..ours.len()]);
    let honest = distance(&run(0, count));
    let shifted = distance(&run(1, count - 1));
    assert_eq!(expected.len(), count * vocab);
    assert!(honest <= 1e-4, "{honest}");
    assert!(shifted >= TENFOLD, "{shifted}");
}
