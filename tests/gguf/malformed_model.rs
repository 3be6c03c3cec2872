//! Whole GGUF files that are not a Qwen2 model, or not one that runs as it was made.

use super::file::{ARRAY, BOOL, F32, Gguf, STRING, Tensor, U16, refused, string, strings};

fn change(change: impl Fn(&mut Gguf)) -> Vec<u8> {
    let mut file = Gguf::valid();
    change(&mut file);
    file.bytes()
}

fn text(key: &'static str, value: &str) -> Vec<u8> {
    change(|file| file.set(key, STRING, string(value)))
}

fn number(key: &'static str, value: u32) -> Vec<u8> {
    change(|file| file.set_u32(key, value))
}

fn float(key: &'static str, value: f32) -> Vec<u8> {
    change(|file| file.set(key, F32, value.to_le_bytes().to_vec()))
}

#[test]
fn other_kinds_of_file() {
    refused(
        "llama",
        &text("general.architecture", "llama"),
        &["general.architecture", "llama", "qwen2"],
    );
    let none = change(|file| file.remove("general.architecture"));
    refused(
        "no architecture",
        &none,
        &["general.architecture", "no entry", "one entry"],
    );
    refused(
        "adapter",
        &text("general.type", "adapter"),
        &["general.type", "adapter", "model"],
    );
    let split = change(|file| file.set("split.count", U16, 3u16.to_le_bytes().to_vec()));
    let error = refused("split", &split, &["split.count", "= 3", "merge"]);
    assert_eq!(error.exit_code(), 4);
}

#[test]
fn settings_that_change_the_result() {
    let yarn = text("qwen2.rope.scaling.type", "yarn");
    refused("yarn", &yarn, &["qwen2.rope.scaling.type", "yarn"]);
    refused(
        "linear",
        &float("qwen2.rope.scaling.factor", 4.0),
        &["qwen2.rope.scaling.factor", "= 4"],
    );
    refused(
        "window",
        &number("qwen2.attention.sliding_window", 4096),
        &["sliding_window", "4096"],
    );
    let both_ways = change(|file| file.set("qwen2.attention.causal", BOOL, vec![0]));
    refused(
        "not causal",
        &both_ways,
        &["qwen2.attention.causal", "false"],
    );
    refused(
        "unknown key",
        &number("qwen2.expert_count", 8),
        &["qwen2.expert_count", "= 8"],
    );
    refused(
        "head size",
        &number("qwen2.attention.key_length", 4),
        &["key_length", "= 4", "2, embedding_length"],
    );
    refused(
        "partial rope",
        &number("qwen2.rope.dimension_count", 1),
        &["dimension_count", "= 1", "2, embedding"],
    );
}

#[test]
fn settings_at_their_off_value_are_accepted() {
    let file = change(|file| {
        file.set("qwen2.rope.scaling.type", STRING, string("none"));
        file.set(
            "qwen2.rope.scaling.factor",
            F32,
            1f32.to_le_bytes().to_vec(),
        );
        file.set("qwen2.attention.causal", BOOL, vec![1]);
        file.set_u32("qwen2.attention.sliding_window", 0);
        file.set_u32("qwen2.attention.key_length", 2);
        file.set_u32("qwen2.vocab_size", 6);
        file.set("split.count", U16, vec![1, 0]);
        file.set("some.other.key", ARRAY, strings(&["never read"]));
    });
    super::file::OnDisk::new(&file)
        .convert(qwarp::DType::Bf16)
        .unwrap();
}

#[test]
fn sizes() {
    refused(
        "heads",
        &number("qwen2.attention.head_count", 3),
        &["head_count", "found 8", "a multiple of 3"],
    );
    refused(
        "kv heads",
        &number("qwen2.attention.head_count_kv", 3),
        &["head_count_kv", "found 4", "of 3"],
    );
    refused(
        "no heads",
        &number("qwen2.attention.head_count", 0),
        &["head_count", "found 0", "at least 1"],
    );
    refused(
        "layers",
        &number("qwen2.block_count", u32::MAX),
        &["block_count", "4294967295", "1024"],
    );
    refused(
        "width",
        &number("qwen2.feed_forward_length", 1 << 21),
        &["feed_forward_length", "2097152"],
    );
    let missing = change(|file| file.remove("qwen2.embedding_length"));
    refused(
        "no width",
        &missing,
        &["qwen2.embedding_length", "no entry"],
    );
    refused(
        "type",
        &float("qwen2.block_count", 1.0),
        &["qwen2.block_count", "FLOAT32", "UINT32"],
    );
    refused(
        "eps",
        &float("qwen2.attention.layer_norm_rms_epsilon", f32::NAN),
        &["epsilon", "NaN", "finite"],
    );
    refused(
        "theta",
        &float("qwen2.rope.freq_base", -1.0),
        &["freq_base", "found -1", "above 0"],
    );
    refused(
        "vocab",
        &number("qwen2.vocab_size", 7),
        &["vocab_size", "found 7", "6, the length of"],
    );
}

#[test]
fn token_ids_outside_the_vocabulary() {
    refused(
        "eos",
        &number("tokenizer.ggml.eos_token_id", 6),
        &["eos_token_id", "found 6", "below"],
    );
    refused(
        "eot",
        &number("tokenizer.ggml.eot_token_id", 99),
        &["eot_token_id", "found 99", "below"],
    );
}

#[test]
fn tensors() {
    let missing = change(|file| {
        file.tensors
            .retain(|tensor| tensor.name != "blk.0.attn_k.bias")
    });
    refused(
        "missing",
        &missing,
        &[
            "tensor blk.0.attn_k.bias",
            "no description",
            "one description",
        ],
    );
    let extra = change(|file| file.add("rope_freqs.weight", &[4]));
    refused(
        "extra",
        &extra,
        &["tensor", "rope_freqs.weight", "Qwen2ForCausalLM"],
    );
    let second_layer = number("qwen2.block_count", 2);
    refused(
        "too few layers",
        &second_layer,
        &["blk.1.attn_norm.weight", "no description"],
    );
    let shape =
        |name: &'static str, dims: &[u64]| change(|file| file.tensor(name).dims = dims.to_vec());
    refused(
        "turned",
        &shape("blk.0.ffn_up.weight", &[12, 8]),
        &["ffn_up.weight", "[8, 12]", "[12, 8]"],
    );
    refused(
        "rank",
        &shape("output_norm.weight", &[8, 1]),
        &["output_norm.weight", "[1, 8]", "[8]"],
    );
    refused(
        "vocab",
        &shape("token_embd.weight", &[8, 5]),
        &["token_embd.weight", "[5, 8]", "[6, 8]"],
    );
    refused(
        "none",
        &shape("token_embd.weight", &[8, 0]),
        &["token_embd.weight", "[0, 8]", "[6, 8]"],
    );
}

#[test]
fn tensor_types_and_places() {
    let kind = |id: u32| change(|file| file.tensor("blk.0.ffn_up.weight").kind = id);
    refused(
        "unknown",
        &kind(99),
        &[
            "ggml type of blk.0.ffn_up.weight",
            "unknown type 99",
            "Q4_K",
        ],
    );
    refused(
        "unread",
        &kind(16),
        &["ggml type of blk.0.ffn_up.weight", "IQ2_XXS", "IQ4_XS"],
    );
    refused(
        "block",
        &kind(8),
        &[
            "row length of blk.0.ffn_up.weight",
            "found 8",
            "32, the block of Q8_0",
        ],
    );
    let place =
        |offset: u64| change(|file| file.tensor("output_norm.weight").offset = Some(offset));
    refused(
        "past the end",
        &place(1 << 20),
        &[
            "end of the data of output_norm.weight",
            "at most the file's",
        ],
    );
    refused(
        "wraps",
        &place(u64::MAX - 31),
        &["output_norm.weight", "overflows"],
    );
    refused(
        "shared",
        &place(0),
        &["start of the data of", "or later, the end of"],
    );
}

#[test]
fn a_value_outside_f16_names_tensor_row_and_value() {
    let mut file = Gguf::valid();
    let Tensor { data, .. } = file.tensor("blk.0.attn_k.weight");
    data[17 * 4..18 * 4].copy_from_slice(&70000f32.to_le_bytes());
    let disk = super::file::OnDisk::new(&file.bytes());
    let text = disk.convert(qwarp::DType::F16).unwrap_err().to_string();
    for word in [
        "model.gguf",
        "blk.0.attn_k.weight",
        "row 2",
        "70000",
        "f16",
        "bf16 or f32",
    ] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    assert!(!disk.out().exists());
    disk.convert(qwarp::DType::Bf16).unwrap();
}
