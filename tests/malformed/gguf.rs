//! GGUF files: the shapes that broke other readers. A row for each field is in `tests/gguf/malformed_*.rs`.

use std::fs;

use qwarp::DType;
use qwarp::checkpoint::gguf::Header;
use qwarp::checkpoint::gguf::convert::check as check_header;
use qwarp::limits::LIMITS;

use super::gguf_file::{ARRAY, F32, Gguf, STRING, U32, array, string, strings};
use super::{Case, check};

const FILE: &str = "model.gguf";

#[test]
fn gguf_files_are_refused_by_field() {
    let good = || {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), Gguf::valid().bytes()).unwrap();
        folder
    };
    check(cases(), good, |folder| {
        let header = Header::read(&folder.join(FILE), &LIMITS)?;
        check_header(&header, DType::Bf16)
    });
}

fn row(name: &str, mentions: &[&str], change: impl FnOnce(&mut Gguf)) -> Case {
    let mut file = Gguf::valid();
    change(&mut file);
    raw(name, file.bytes(), mentions)
}

fn raw(name: &str, bytes: Vec<u8>, mentions: &[&str]) -> Case {
    let mut all = vec![FILE];
    all.extend(mentions);
    Case::content(name, FILE, bytes, &all)
}

/// A header and the two counts alone.
fn counts(tensors: u64, keys: u64) -> Vec<u8> {
    let counts = [tensors.to_le_bytes(), keys.to_le_bytes()].concat();
    [b"GGUF".as_slice(), &3u32.to_le_bytes(), &counts].concat()
}

/// Every row.
pub fn cases() -> Vec<Case> {
    [starts(), metadata(), tensors()]
        .into_iter()
        .flatten()
        .collect()
}

fn starts() -> Vec<Case> {
    vec![
        raw("empty", Vec::new(), &["magic", "0 bytes left"]),
        raw("three bytes", b"GGU".to_vec(), &["magic", "3 bytes left"]),
        raw(
            "safetensors",
            [&[2, 0, 0, 0, 0, 0, 0, 0], b"{}".as_slice()].concat(),
            &["magic"],
        ),
        raw(
            "magic alone",
            b"GGUF".to_vec(),
            &["version", "0 bytes left"],
        ),
        raw(
            "24 bytes that ask for 61 GB",
            counts(0, 500_000_000),
            &["500000000 metadata entries", "0 bytes left"],
        ),
        raw(
            "2^32 tensors",
            counts(1 << 32, 0),
            &["4294967296 tensor descriptions"],
        ),
        raw("counts that wrap", counts(1 << 63, 1 << 63), &["overflows"]),
        raw(
            "nothing in it",
            counts(0, 0),
            &["tokenizer.ggml.model", "no entry"],
        ),
        row("version 0", &["version", "= 0"], |file| file.version = 0),
        row("version 2^31", &["byte order"], |file| {
            file.version = 1 << 31
        }),
        raw(
            "half a file",
            Gguf::valid().bytes()[..700].to_vec(),
            &["bytes left in the file"],
        ),
        raw(
            "data cut",
            {
                let bytes = Gguf::valid().bytes();
                bytes[..bytes.len() - 1].to_vec()
            },
            &["end of the data of", "at most the file's length"],
        ),
    ]
}

fn metadata() -> Vec<Case> {
    let tokens = "tokenizer.ggml.tokens";
    let too_many =
        |count: u64| [STRING.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat();
    vec![
        row("2^62 tokens", &[tokens, "overflows"], move |file| {
            file.set(tokens, ARRAY, too_many(1 << 62))
        }),
        row("2^32 tokens", &[tokens, "34359738368 bytes"], move |file| {
            file.set(tokens, ARRAY, too_many(1 << 32))
        }),
        row("no tokens", &["vocab", "tokens"], move |file| {
            file.set(tokens, ARRAY, strings(&[]));
            file.set("tokenizer.ggml.token_type", ARRAY, array(5, &[]));
            file.set("tokenizer.ggml.merges", ARRAY, strings(&[]));
            file.set_u32("qwen2.vocab_size", 6);
            file.remove("tokenizer.ggml.eos_token_id");
        }),
        row(
            "tokens a text",
            &[tokens, "STRING", "ARRAY of STRING"],
            move |file| file.set(tokens, STRING, string("a")),
        ),
        row(
            "token types of u32",
            &["token_type", "ARRAY of UINT32"],
            |file| {
                file.set(
                    "tokenizer.ggml.token_type",
                    ARRAY,
                    array(U32, &[vec![1, 0, 0, 0]]),
                );
            },
        ),
        row(
            "a token type less",
            &["token_type", "1 entries", "6 entries"],
            |file| {
                file.set(
                    "tokenizer.ggml.token_type",
                    ARRAY,
                    array(5, &[vec![1, 0, 0, 0]]),
                );
            },
        ),
        row("merge of unknown tokens", &["merges[0]", "zz"], |file| {
            file.set("tokenizer.ggml.merges", ARRAY, strings(&["zz b"]));
        }),
        row(
            "merge without a space",
            &["merges[0]", "one space"],
            |file| {
                file.set("tokenizer.ggml.merges", ARRAY, strings(&["ab"]));
            },
        ),
        row("EOS outside", &["eos_token_id", "6"], |file| {
            file.set_u32("tokenizer.ggml.eos_token_id", 6)
        }),
        row(
            "other architecture",
            &["general.architecture", "llama"],
            |file| {
                file.set("general.architecture", STRING, string("llama"));
            },
        ),
        row("heads 0", &["head_count", "found 0"], |file| {
            file.set_u32("qwen2.attention.head_count", 0)
        }),
        row("epsilon NaN", &["epsilon", "NaN"], |file| {
            file.set(
                "qwen2.attention.layer_norm_rms_epsilon",
                F32,
                f32::NAN.to_le_bytes().to_vec(),
            );
        }),
        row("alignment 0", &["general.alignment", "0"], |file| {
            file.set_u32("general.alignment", 0)
        }),
    ]
}

fn tensors() -> Vec<Case> {
    let norm = "output_norm.weight";
    vec![
        row("rank 0", &[norm, "found 0"], move |file| {
            file.tensor(norm).dims = vec![]
        }),
        row("2^40 by 2^40", &[norm, "1099511627776"], move |file| {
            file.tensor(norm).dims = vec![1 << 40, 1 << 40];
        }),
        row("2^63 values", &[norm, "9223372036854775808"], move |file| {
            file.tensor(norm).dims = vec![1 << 63]
        }),
        row("offset that wraps", &[norm, "overflows"], move |file| {
            file.tensor(norm).offset = Some(u64::MAX - 31);
        }),
        row(
            "offset far out",
            &[norm, "at most the file's length"],
            move |file| {
                file.tensor(norm).offset = Some(1 << 40);
            },
        ),
        row(
            "offset of another",
            &["start of the data of"],
            move |file| file.tensor(norm).offset = Some(0),
        ),
        row(
            "unknown type",
            &[norm, "unknown type 4294967295"],
            move |file| file.tensor(norm).kind = u32::MAX,
        ),
        row(
            "a tensor twice",
            &[norm, "a second description"],
            move |file| file.add(norm, &[8]),
        ),
        row("an unknown tensor", &["v.patch_embd.weight"], |file| {
            file.add("v.patch_embd.weight", &[8])
        }),
        row(
            "a long name",
            &["name of tensor 1", "64", "63"],
            move |file| file.tensor(norm).name = "n".repeat(64),
        ),
    ]
}
