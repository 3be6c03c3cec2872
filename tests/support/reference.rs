//! Reference files, and distances from what they hold.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

/// A path inside the repository.
pub fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A reference file, read into memory.
pub struct Reference {
    bytes: Vec<u8>,
}

impl Reference {
    pub fn open(path: &Path) -> Self {
        Reference {
            bytes: std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        }
    }

    pub fn f32(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        self.read(name, |bytes: [u8; 4]| f32::from_le_bytes(bytes))
    }

    pub fn f64(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        self.read(name, |bytes: [u8; 8]| f64::from_le_bytes(bytes))
    }

    pub fn i32(&self, name: &str) -> (Vec<usize>, Vec<i32>) {
        self.read(name, |bytes: [u8; 4]| i32::from_le_bytes(bytes))
    }

    pub fn ids(&self, name: &str) -> Vec<u32> {
        self.read(name, |bytes: [u8; 8]| {
            u32::try_from(i64::from_le_bytes(bytes)).unwrap()
        })
        .1
    }

    pub fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.bytes)
            .unwrap()
            .names()
            .contains(&name)
    }

    fn read<T, const N: usize>(
        &self,
        name: &str,
        read: impl Fn([u8; N]) -> T,
    ) -> (Vec<usize>, Vec<T>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap();
        let (chunks, rest) = view.data().as_chunks::<N>();
        assert!(rest.is_empty(), "{name}");
        (
            view.shape().to_vec(),
            chunks.iter().map(|&bytes| read(bytes)).collect(),
        )
    }
}

/// log of the sum of exponentials, in f64.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(max)
        + logits
            .iter()
            .map(|&x| f64::from(x - max).exp())
            .sum::<f64>()
            .ln()
}

/// KL(reference || ours) over the whole vocabulary, in f64.
pub fn kl(reference: &[f32], ours: &[f32]) -> f64 {
    let (lse_p, lse_q) = (log_sum_exp(reference), log_sum_exp(ours));
    reference
        .iter()
        .zip(ours)
        .map(|(&p, &q)| {
            let (log_p, log_q) = (f64::from(p) - lse_p, f64::from(q) - lse_q);
            log_p.exp() * (log_p - log_q)
        })
        .sum()
}

/// The largest difference of two rows; a NaN anywhere is infinite.
pub fn max_difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference = |(a, b): (&f32, &f32)| {
        let difference = f64::from((a - b).abs());
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    };
    a.iter().zip(b).map(difference).fold(0.0, f64::max)
}
