//! Which tensors a Qwen2 GGUF must hold, their shapes, and their names in a Hugging Face folder.

use std::collections::HashSet;

use crate::error::{Error, Result};

use super::architecture::Architecture;
use super::header::Header;
use super::layout::Layout;

/// Name of the output head; a file without it ties the head to the embedding.
pub(super) const HEAD: &str = "output.weight";

/// One tensor of the conversion.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Role {
    /// Its name in the folder.
    pub name: String,
    /// Its name in the GGUF.
    pub gguf: String,
    /// Its shape in the folder: rows first, the reverse of ggml's order.
    pub shape: Vec<u64>,
}

/// Finds every tensor of the model and refuses what is missing, left over, or of another shape.
/// Sorted by folder name, the order of the file to write.
pub(super) fn match_tensors(header: &Header, model: &Architecture) -> Result<Vec<(Role, Layout)>> {
    let untied = header.tensor(HEAD).is_some();
    let roles = roles(model, untied);
    let known: HashSet<&str> = roles.iter().map(|role| role.gguf.as_str()).collect();
    if let Some(extra) = header
        .tensors
        .iter()
        .find(|tensor| !known.contains(tensor.name.as_str()))
    {
        let supported = "the tensors of Qwen2ForCausalLM";
        return Err(Error::unsupported(
            &header.file,
            "tensor",
            &extra.name,
            supported,
        ));
    }
    let by_name: std::collections::HashMap<&str, _> = header
        .tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor))
        .collect();
    let mut matched = Vec::with_capacity(roles.len());
    for role in roles {
        let Some(tensor) = by_name.get(role.gguf.as_str()) else {
            let field = format!("tensor {}", role.gguf);
            return Err(Error::malformed(
                &header.file,
                field,
                "no description",
                "one description",
            ));
        };
        let shape: Vec<u64> = tensor.dims.iter().rev().copied().collect();
        if shape != role.shape {
            let (found, expected) = (format!("{shape:?}"), format!("{:?}", role.shape));
            return Err(Error::malformed(
                &header.file,
                format!("shape of {}", role.gguf),
                found,
                expected,
            ));
        }
        matched.push((role, header.layout(tensor)?));
    }
    refuse_overlap(header, &matched)?;
    matched.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    Ok(matched)
}

/// Two tensors on the same bytes mean that one of the offsets is wrong.
fn refuse_overlap(header: &Header, matched: &[(Role, Layout)]) -> Result<()> {
    let mut by_start: Vec<_> = matched.iter().collect();
    by_start.sort_by_key(|(_, layout)| layout.start);
    for pair in by_start.windows(2) {
        let [(first, before), (second, after)] = pair else {
            continue;
        };
        let end = before.start.saturating_add(before.bytes);
        if after.start < end {
            let field = format!("start of the data of {}", second.gguf);
            let expected = format!("byte {end} or later, the end of {}", first.gguf);
            return Err(Error::malformed(
                &header.file,
                field,
                format!("byte {}", after.start),
                expected,
            ));
        }
    }
    Ok(())
}

fn roles(model: &Architecture, untied: bool) -> Vec<Role> {
    let [hidden, wide, kv, vocab] = [
        model.hidden,
        model.intermediate,
        model.kv_dim(),
        model.vocab,
    ]
    .map(u64::from);
    let role = |gguf: String, name: String, shape: &[u64]| Role {
        name,
        gguf,
        shape: shape.to_vec(),
    };
    let mut roles = vec![
        role(
            "token_embd.weight".into(),
            "model.embed_tokens.weight".into(),
            &[vocab, hidden],
        ),
        role(
            "output_norm.weight".into(),
            "model.norm.weight".into(),
            &[hidden],
        ),
    ];
    if untied {
        roles.push(role(HEAD.into(), "lm_head.weight".into(), &[vocab, hidden]));
    }
    let parts: [(&str, &str, &[u64]); 12] = [
        ("attn_norm.weight", "input_layernorm.weight", &[hidden]),
        (
            "attn_q.weight",
            "self_attn.q_proj.weight",
            &[hidden, hidden],
        ),
        ("attn_q.bias", "self_attn.q_proj.bias", &[hidden]),
        ("attn_k.weight", "self_attn.k_proj.weight", &[kv, hidden]),
        ("attn_k.bias", "self_attn.k_proj.bias", &[kv]),
        ("attn_v.weight", "self_attn.v_proj.weight", &[kv, hidden]),
        ("attn_v.bias", "self_attn.v_proj.bias", &[kv]),
        (
            "attn_output.weight",
            "self_attn.o_proj.weight",
            &[hidden, hidden],
        ),
        (
            "ffn_norm.weight",
            "post_attention_layernorm.weight",
            &[hidden],
        ),
        ("ffn_gate.weight", "mlp.gate_proj.weight", &[wide, hidden]),
        ("ffn_up.weight", "mlp.up_proj.weight", &[wide, hidden]),
        ("ffn_down.weight", "mlp.down_proj.weight", &[hidden, wide]),
    ];
    for layer in 0..model.layers {
        for (gguf, name, shape) in parts {
            roles.push(role(
                format!("blk.{layer}.{gguf}"),
                format!("model.layers.{layer}.{name}"),
                shape,
            ));
        }
    }
    roles
}
