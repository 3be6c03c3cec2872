//! The tensors of a made-up checkpoint and how their values are spread: after Qwen2.5-Coder-0.5B where it matters to
//! numerics, by the width of each product elsewhere, so that activations stay near one at every size.

use super::weights::names;
use crate::DType;
use crate::checkpoint::synth::{Spread, SynthTensor};
use crate::config::ModelConfig;
use crate::error::Result;

/// A product of normed rows with such weights has this deviation; 0.02 at a width of 1,536.
const PRODUCT: f64 = 0.8;
/// Deviation of the logits: the best of 150,000 tokens then has a probability of some percent.
const LOGITS: f64 = 4.0;
/// Layers whose key biases reach 160, as the first two of the 0.5B do; those of the others reach 12.
const HOT_LAYERS: [usize; 2] = [0, 1];

/// The tensors that `config` implies, in the order of the graph.
pub fn tensors(config: &ModelConfig) -> Result<Vec<SynthTensor>> {
    // The type shows in no name and no shape.
    let graph = super::build(config, DType::F32)?;
    let mut tensors = Vec::new();
    for weight in &graph.weights {
        for (name, rows) in &weight.parts {
            tensors.push(SynthTensor {
                name: name.clone(),
                shape: [Some(*rows), weight.cols].into_iter().flatten().collect(),
                spread: spread(config, name, weight.cols),
            });
        }
    }
    Ok(tensors)
}

fn spread(config: &ModelConfig, name: &str, cols: Option<usize>) -> Spread {
    let normal = |center, deviation| Spread::Normal { center, deviation };
    let hot = || {
        HOT_LAYERS
            .iter()
            .any(|layer| name.starts_with(&names::layer(*layer, "")))
    };
    let bias = |projection: &str| name.ends_with(&format!("{projection}.bias"));
    match cols {
        Some(cols) => {
            let output = name == names::HEAD || config.tie_word_embeddings;
            let gain = match name {
                names::EMBED | names::HEAD if output => LOGITS,
                _ => PRODUCT,
            };
            normal(0.0, gain / (cols as f64).sqrt())
        }
        None if bias(names::Q) => Spread::Cubed { deviation: 0.5 },
        None if bias(names::K) && hot() => Spread::Cubed { deviation: 4.0 },
        None if bias(names::K) => Spread::Cubed { deviation: 0.3 },
        None if bias(names::V) => normal(0.0, 0.05),
        None => normal(1.0, 0.1),
    }
}
