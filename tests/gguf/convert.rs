//! The conversion itself: chunks of large tensors, folders that are there already, cut files.

use qwarp::DType;
use qwarp::checkpoint::gguf::{Conversion, Header};
use qwarp::limits::LIMITS;
use safetensors::SafeTensors;

use super::file::{ARRAY, Gguf, OnDisk, array, strings};

/// An embedding of Q8_0 blocks, each with a scale and a first value of its own, larger than two chunks.
fn with_large_embedding(rows: u64) -> Gguf {
    let mut file = Gguf::valid();
    let names: Vec<String> = (0..rows - 5).map(|i| format!("t{i}")).collect();
    let mut tokens = vec!["a", "b", "ab", "<|endoftext|>", "<|im_end|>"];
    tokens.extend(names.iter().map(String::as_str));
    let kinds: Vec<_> = (0..rows)
        .map(|id| if id == 3 || id == 4 { 3i32 } else { 1 })
        .collect();
    file.set("tokenizer.ggml.tokens", ARRAY, strings(&tokens));
    let kinds: Vec<_> = kinds
        .iter()
        .map(|kind| kind.to_le_bytes().to_vec())
        .collect();
    file.set("tokenizer.ggml.token_type", ARRAY, array(5, &kinds));
    for (key, value) in [
        ("embedding_length", 32),
        ("attention.head_count", 4),
        ("feed_forward_length", 12),
    ] {
        file.set_u32(&format!("qwen2.{key}"), value);
    }
    for tensor in &mut file.tensors {
        for dim in &mut tensor.dims {
            *dim = if *dim == 12 { 12 } else { *dim * 4 };
        }
        tensor.data = vec![0; 4 * tensor.dims.iter().product::<u64>() as usize];
    }
    let embedding = file.tensor("token_embd.weight");
    (embedding.dims, embedding.kind) = (vec![32, rows], 8);
    embedding.data = (0..rows)
        .flat_map(|row| {
            let mut block = half::f16::from_f32(1.0 + (row % 1000) as f32 / 1024.0)
                .to_le_bytes()
                .to_vec();
            block.extend((0..32).map(|i| (row * 7 + i * 3) as u8));
            block
        })
        .collect();
    file
}

#[test]
fn a_tensor_of_several_chunks_keeps_its_order() {
    let rows = 100_003;
    let elements = rows as usize * 32;
    assert!(elements > 3 << 20, "at least four chunks of 2^20 values");
    let disk = OnDisk::new(&with_large_embedding(rows).bytes());
    let mut seen = Vec::new();
    let conversion = Conversion {
        gguf: disk.gguf.clone(),
        out: disk.out(),
        dtype: DType::F32,
        tokenizer_only: false,
        force: false,
    };
    let done = conversion.run(&mut |progress| seen.push(progress)).unwrap();
    assert!(seen.windows(2).all(|pair| pair[0].done < pair[1].done));
    assert_eq!(
        seen.last().map(|progress| (progress.done, progress.total)),
        Some((done.bytes, done.bytes))
    );

    let bytes = std::fs::read(disk.out().join("model.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let embedding = read.tensor("model.embed_tokens.weight").unwrap();
    assert_eq!(embedding.data().len(), 4 * elements);
    for (index, value) in embedding.data().chunks(4).enumerate() {
        let (row, i) = (index / 32, index % 32);
        let scale = half::f16::from_f32(1.0 + (row % 1000) as f32 / 1024.0).to_f32();
        let expected = scale * f32::from((row * 7 + i * 3) as u8 as i8);
        assert_eq!(
            f32::from_le_bytes(value.try_into().unwrap()),
            expected,
            "row {row}, column {i}"
        );
    }
}

#[test]
fn a_full_folder_is_refused_unless_forced() {
    let disk = OnDisk::new(&Gguf::valid().bytes());
    std::fs::create_dir(disk.out()).unwrap();
    for name in [
        "notes.txt",
        "config.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
    ] {
        std::fs::write(disk.out().join(name), "mine").unwrap();
    }
    let error = disk.convert(DType::Bf16).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("with 4 entries"), "{error}");
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(
        std::fs::read(disk.out().join("config.json")).unwrap(),
        b"mine"
    );

    let forced = Conversion {
        gguf: disk.gguf.clone(),
        out: disk.out(),
        dtype: DType::Bf16,
        tokenizer_only: false,
        force: true,
    };
    forced.run(&mut |_| ()).unwrap();
    let there = |name: &str| disk.out().join(name).exists();
    assert!(there("notes.txt") && there("model.safetensors") && there("tokenizer.json"));
    // These would win over, or contradict, what was just written.
    assert!(!there("chat_template.jinja") && !there("model.safetensors.index.json"));
    assert_ne!(
        std::fs::read(disk.out().join("config.json")).unwrap(),
        b"mine"
    );
}

#[test]
fn what_an_interrupted_run_left_does_not_stand_in_the_way() {
    let disk = OnDisk::new(&Gguf::valid().bytes());
    std::fs::create_dir_all(disk.out().join(".partial")).unwrap();
    std::fs::write(disk.out().join(".partial/model.safetensors"), "half").unwrap();
    disk.convert(DType::Bf16).unwrap();
    assert!(!disk.out().join(".partial").exists());
    assert!(disk.out().join("config.json").exists());
}

#[test]
fn tokenizer_only_needs_no_tensor_data() {
    let file = Gguf::valid();
    let header = file.header();
    let disk = OnDisk::new(&header);
    assert!(disk.convert(DType::Bf16).is_err(), "a model needs its data");
    let data_start = Header::read(&disk.gguf, &LIMITS).unwrap().data_start;
    assert!(data_start >= header.len() as u64);
    let only = Conversion {
        gguf: disk.gguf.clone(),
        out: disk.out(),
        dtype: DType::Bf16,
        tokenizer_only: true,
        force: false,
    };
    only.run(&mut |_| ()).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(disk.out())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["tokenizer.json", "tokenizer_config.json"]);
}
