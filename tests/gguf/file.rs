//! Writes GGUF files byte by byte, so that a test can make any field wrong.

use std::path::{Path, PathBuf};

use qwarp::checkpoint::gguf::{Conversion, Converted};
use qwarp::{DType, Error};
use tempfile::TempDir;

pub const U16: u32 = 2;
pub const U32: u32 = 4;
pub const F32: u32 = 6;
pub const BOOL: u32 = 7;
pub const STRING: u32 = 8;
pub const ARRAY: u32 = 9;

/// One tensor: name, ggml dims, type id, and its bytes.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub kind: u32,
    pub data: Vec<u8>,
    /// Where the data stands, if not where it is written.
    pub offset: Option<u64>,
}

/// A file to write: metadata entries as (key, type, value bytes).
#[derive(Clone)]
pub struct Gguf {
    pub version: u32,
    pub keys: Vec<(String, u32, Vec<u8>)>,
    pub tensors: Vec<Tensor>,
}

pub fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

pub fn array(kind: u32, items: &[Vec<u8>]) -> Vec<u8> {
    [
        kind.to_le_bytes().to_vec(),
        (items.len() as u64).to_le_bytes().to_vec(),
        items.concat(),
    ]
    .concat()
}

pub fn strings(list: &[&str]) -> Vec<u8> {
    array(
        STRING,
        &list.iter().map(|text| string(text)).collect::<Vec<_>>(),
    )
}

impl Gguf {
    /// A whole model of one layer: hidden 8, 4 query and 2 key heads, feed-forward 12, six tokens, tied.
    pub fn valid() -> Self {
        let tokens = ["a", "b", "ab", "<|endoftext|>", "<|im_end|>", "x"];
        let mut file = Gguf {
            version: 3,
            keys: Vec::new(),
            tensors: Vec::new(),
        };
        for (key, text) in [
            ("general.architecture", "qwen2"),
            ("tokenizer.ggml.model", "gpt2"),
            ("tokenizer.ggml.pre", "qwen2"),
        ] {
            file.set(key, STRING, string(text));
        }
        for (key, number) in [
            ("qwen2.block_count", 1u32),
            ("qwen2.context_length", 64),
            ("qwen2.embedding_length", 8),
            ("qwen2.feed_forward_length", 12),
            ("qwen2.attention.head_count", 4),
            ("qwen2.attention.head_count_kv", 2),
            ("tokenizer.ggml.eos_token_id", 4),
        ] {
            file.set(key, U32, number.to_le_bytes().to_vec());
        }
        file.set("qwen2.rope.freq_base", F32, 10000f32.to_le_bytes().to_vec());
        file.set(
            "qwen2.attention.layer_norm_rms_epsilon",
            F32,
            1e-5f32.to_le_bytes().to_vec(),
        );
        file.set("tokenizer.ggml.tokens", ARRAY, strings(&tokens));
        let types = [1i32, 1, 1, 3, 3, 1].map(|kind| kind.to_le_bytes().to_vec());
        file.set("tokenizer.ggml.token_type", ARRAY, array(5, &types));
        file.set("tokenizer.ggml.merges", ARRAY, strings(&["a b"]));
        file.add("token_embd.weight", &[8, 6]);
        file.add("output_norm.weight", &[8]);
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
            file.add(&format!("blk.0.{part}"), dims);
        }
        file
    }

    /// Sets a metadata entry, replacing one of the same key.
    pub fn set(&mut self, key: &str, kind: u32, value: Vec<u8>) {
        self.keys.retain(|entry| entry.0 != key);
        self.keys.push((key.to_string(), kind, value));
    }

    pub fn set_u32(&mut self, key: &str, value: u32) {
        self.set(key, U32, value.to_le_bytes().to_vec());
    }

    pub fn remove(&mut self, key: &str) {
        let before = self.keys.len();
        self.keys.retain(|entry| entry.0 != key);
        assert_eq!(self.keys.len() + 1, before, "{key} was not there");
    }

    /// Adds an f32 tensor whose every value is its own.
    pub fn add(&mut self, name: &str, dims: &[u64]) {
        let count = dims.iter().product::<u64>();
        let base = 100 * self.tensors.len() as u64;
        let data = (0..count)
            .flat_map(|i| ((base + i) as f32 / 64.0).to_le_bytes())
            .collect();
        self.tensors.push(Tensor {
            name: name.into(),
            dims: dims.to_vec(),
            kind: 0,
            data,
            offset: None,
        });
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors
            .iter_mut()
            .find(|tensor| tensor.name == name)
            .unwrap()
    }

    /// The header, without the padding behind it.
    pub fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.keys {
            out.extend(string(key));
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        let mut end = 0;
        for tensor in &self.tensors {
            out.extend(string(&tensor.name));
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor
                .dims
                .iter()
                .for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(end).to_le_bytes());
            end += (tensor.data.len() as u64).next_multiple_of(32);
        }
        out
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.header();
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(&tensor.data);
        }
        out
    }
}

/// A folder with a file `model.gguf` in it.
pub struct OnDisk {
    pub folder: TempDir,
    pub gguf: PathBuf,
}

impl OnDisk {
    pub fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gguf = folder.path().join("model.gguf");
        std::fs::write(&gguf, bytes).unwrap();
        OnDisk { folder, gguf }
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    pub fn convert(&self, dtype: DType) -> Result<Converted, Error> {
        convert(&self.gguf, &self.out(), dtype)
    }
}

pub fn convert(gguf: &Path, out: &Path, dtype: DType) -> Result<Converted, Error> {
    let (gguf, out) = (gguf.to_path_buf(), out.to_path_buf());
    Conversion {
        gguf,
        out,
        dtype,
        tokenizer_only: false,
        force: false,
    }
    .run(&mut |_| ())
}

/// Converts `bytes` and demands a refusal whose text holds the file's name and every one of `words`.
pub fn refused(case: &str, bytes: &[u8], words: &[&str]) -> Error {
    let disk = OnDisk::new(bytes);
    let error = disk.convert(DType::Bf16).expect_err(case);
    let text = error.to_string();
    for word in words.iter().chain(&["model.gguf"]) {
        assert!(text.contains(word), "{case}: {word:?} is not in: {text}");
    }
    assert!(!disk.out().exists(), "{case}: left a folder behind");
    error
}
