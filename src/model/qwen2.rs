//! Qwen2 (arXiv 2407.10671; reference implementation: `modeling_qwen2.py` of Hugging Face transformers).
//!
//! Pre-norm decoder: RMSNorm, grouped-query attention with biases on q, k and v and rotary positions, SwiGLU.

use super::weights::names;
use crate::DType;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::graph::{Graph, GraphBuilder, Op, TensorId};
use crate::shape::Heads;

/// The whole forward pass: token ids to logits `(R, vocab)`.
pub fn build(config: &ModelConfig, matrix: DType) -> Result<Graph> {
    let mut g = GraphBuilder::new(matrix);
    let hidden = config.hidden_size;
    let table = match config.tie_word_embeddings {
        true => g.matrix(
            "embed_tokens",
            &[(names::EMBED.into(), config.vocab_size)],
            hidden,
        ),
        false => g.table(
            "embed_tokens",
            names::EMBED.into(),
            config.vocab_size,
            hidden,
        ),
    };
    let mut x = g.add("embed", Op::Embed { table }, &[])?; // (T, hidden)
    for layer in 0..config.num_hidden_layers {
        x = decoder_layer(&mut g, config, layer, x)?;
    }
    let x = g.add("select rows", Op::SelectRows, &[x])?; // (R, hidden)
    let norm = g.vector("norm", &[(names::NORM.into(), hidden)]);
    let h = g.add(
        "final norm",
        Op::RmsNorm {
            weight: norm,
            eps: config.rms_norm_eps,
        },
        &[x],
    )?;
    let head = match config.tie_word_embeddings {
        true => table,
        false => g.matrix(
            "lm_head",
            &[(names::HEAD.into(), config.vocab_size)],
            hidden,
        ),
    };
    g.add(
        "head",
        Op::Linear {
            weight: head,
            bias: None,
        },
        &[h],
    )?; // (R, vocab)
    Ok(g.finish())
}

fn decoder_layer(
    g: &mut GraphBuilder,
    config: &ModelConfig,
    layer: usize,
    x: TensorId,
) -> Result<TensorId> {
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let heads = Heads {
        query: config.num_attention_heads,
        kv: config.num_key_value_heads,
        dim: config.head_dim,
    };
    let eps = config.rms_norm_eps;
    let name = |part: &str| format!("layer {layer} {part}");
    let weight = |part: &str| format!("layers.{layer}.{part}");
    let tensor = |part: &str, rows: usize| (names::layer(layer, part), rows);
    let qkv_rows = |suffix: &str| {
        [
            tensor(&format!("{}.{suffix}", names::Q), heads.q_dim()),
            tensor(&format!("{}.{suffix}", names::K), heads.kv_dim()),
            tensor(&format!("{}.{suffix}", names::V), heads.kv_dim()),
        ]
    };

    let norm = g.vector(&weight("input_norm"), &[tensor(names::INPUT_NORM, hidden)]);
    let h = g.add(name("input norm"), Op::RmsNorm { weight: norm, eps }, &[x])?; // (T, hidden)
    let qkv = g.matrix(&weight("qkv"), &qkv_rows("weight"), hidden);
    let bias = g.vector(&weight("qkv_bias"), &qkv_rows("bias"));
    let qkv = g.add(
        name("qkv"),
        Op::Linear {
            weight: qkv,
            bias: Some(bias),
        },
        &[h],
    )?; // (T, q + 2 kv)
    let theta = config.rope_theta;
    // K and V enter the cache here and nowhere else.
    let q = g.add(
        name("rope"),
        Op::RopeAppend {
            layer,
            heads,
            theta,
        },
        &[qkv],
    )?; // (T, q)
    let a = g.add(name("attention"), Op::Attention { layer, heads }, &[q])?; // (T, q)
    let o = g.matrix(&weight("o"), &[tensor(names::O, hidden)], heads.q_dim());
    let x = g.add(
        name("o"),
        Op::Linear {
            weight: o,
            bias: None,
        },
        &[a, x],
    )?; // (T, hidden) += attention

    let norm = g.vector(&weight("post_norm"), &[tensor(names::POST_NORM, hidden)]);
    let h = g.add(name("post norm"), Op::RmsNorm { weight: norm, eps }, &[x])?; // (T, hidden)
    let gate_up = g.matrix(
        &weight("gate_up"),
        &[tensor(names::GATE, inner), tensor(names::UP, inner)],
        hidden,
    );
    let gate_up = g.add(
        name("gate up"),
        Op::Linear {
            weight: gate_up,
            bias: None,
        },
        &[h],
    )?; // (T, 2 inner)
    let h = g.add(name("silu mul"), Op::SiluMul, &[gate_up])?; // (T, inner)
    let down = g.matrix(&weight("down"), &[tensor(names::DOWN, hidden)], inner);
    g.add(
        name("down"),
        Op::Linear {
            weight: down,
            bias: None,
        },
        &[h, x],
    ) // (T, hidden) += feed-forward
}
