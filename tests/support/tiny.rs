//! The tiny golden checkpoints: their folders, references and what transformers' own runs give.

use std::path::{Path, PathBuf};

use qwarp::DType;

use super::reference::{Reference, kl, repo};

/// Where they are.
const FOLDER: &str = "tests/golden/tiny";

/// A checkpoint's reference.
pub struct Tiny {
    /// Its folder.
    pub folder: PathBuf,
    /// The prompt.
    pub tokens: Vec<u32>,
    /// The logits of every position.
    pub logits: Vec<Vec<f32>>,
    provenance: serde_json::Value,
}

/// How far a run is from the reference, beside transformers' own run in the same type.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Mean KL of a position.
    pub kl: f64,
    /// The same of transformers, over the whole prompt.
    pub theirs: f64,
    /// Positions that are near-ties: see [`Tiny::hold`].
    pub near_ties: usize,
    /// Positions with another top token, near-ties apart.
    pub wrong_top1: usize,
}

/// The config of a checkpoint.
pub fn config(folder: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap()
}

/// Elements of a head.
pub fn head_dim(config: &serde_json::Value) -> u64 {
    let whole = |key: &str| config[key].as_u64();
    let even = || whole("hidden_size").unwrap() / whole("num_attention_heads").unwrap();
    whole("head_dim").unwrap_or_else(even)
}

/// Every checkpoint's folder, by name.
pub fn folders() -> Vec<PathBuf> {
    folders_in(&repo(FOLDER)).unwrap()
}

/// The same of a copy elsewhere.
pub fn folders_in(all: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(all)?;
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    folders.sort();
    Ok(folders)
}

/// Whether the heads of the checkpoint in `folder` are as wide as the kernels take them.
pub fn has_wide_heads(folder: &Path) -> bool {
    [64, 128].contains(&head_dim(&config(folder)))
}

impl Held {
    /// Whether the run is as good as transformers' own.
    pub fn check(&self) -> Result<(), String> {
        let Held { kl, theirs, .. } = self;
        // No NaN is.
        let close = *kl <= 2.0 * theirs;
        if !close {
            return Err(format!("KL {kl:.3e}, transformers' own is {theirs:.3e}"));
        }
        match self.wrong_top1 {
            0 => Ok(()),
            wrong => Err(format!("another top token at {wrong} positions")),
        }
    }
}

impl Tiny {
    /// The one of this name.
    pub fn named(name: &str) -> Tiny {
        Tiny::open(&repo(FOLDER).join(name))
    }

    /// The one in `folder`.
    pub fn open(folder: &Path) -> Tiny {
        let file = Reference::open(&folder.join("reference.safetensors"));
        let (shape, logits) = file.f32("logits");
        let provenance = std::fs::read_to_string(folder.join("provenance.json")).unwrap();
        Tiny {
            folder: folder.to_path_buf(),
            tokens: file.ids("token_ids"),
            logits: logits.chunks(shape[1]).map(<[f32]>::to_vec).collect(),
            provenance: serde_json::from_str(&provenance).unwrap(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.folder.file_name().unwrap().to_str().unwrap()
    }

    /// The largest error of a logit in transformers' own run in the type.
    pub fn noise(&self, dtype: DType) -> f64 {
        let theirs = &self.provenance[format!("hf_{dtype}_sdpa")];
        theirs["max_abs"].as_f64().unwrap()
    }

    /// Holds the logits of the first positions against the reference. A near-tie is a position whose best two reference
    /// logits are closer than the largest error of transformers' own logits in the type.
    pub fn hold(&self, ours: &[Vec<f32>], dtype: DType) -> Held {
        let theirs = &self.provenance[format!("hf_{dtype}_sdpa")];
        let noise = self.noise(dtype);
        let (mut sum, mut near_ties, mut wrong_top1) = (0.0, 0, 0);
        for (p, q) in self.logits.iter().zip(ours) {
            sum += kl(p, q);
            let (best, second) = best_two(p);
            let near_tie = f64::from(p[best] - p[second]) <= noise;
            near_ties += usize::from(near_tie);
            wrong_top1 += usize::from(!near_tie && best_two(q).0 != best);
        }
        Held {
            kl: sum / ours.len() as f64,
            theirs: theirs["kl"]["mean"].as_f64().unwrap(),
            near_ties,
            wrong_top1,
        }
    }
}

fn best_two(row: &[f32]) -> (usize, usize) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    (order[0], order[1])
}
