//! Every readable ggml type, bit-equal to the `gguf` Python package on committed blocks.

use qwarp::checkpoint::gguf::GgmlType;
use qwarp::checkpoint::gguf::dequant::dequantize;
use serde_json::Value;

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap().as_bytes();
    text.chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn every_type_is_bit_equal_to_the_reference() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/gguf/dequant.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rows = vectors["types"].as_array().unwrap();
    for kind in GgmlType::all() {
        let row = rows.iter().find(|row| row["type"] == kind.name());
        let row = row.unwrap_or_else(|| panic!("no vectors for {}", kind.name()));
        let blocks = unhex(&row["blocks"]);
        let expected: Vec<u32> = unhex(&row["f32"])
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        let count = blocks.len() / kind.block_bytes();
        assert!(count >= 13, "{}: {count} blocks", kind.name());
        assert_eq!(
            expected.len(),
            count * kind.block_elements(),
            "{}",
            kind.name()
        );
        let mut values = vec![f32::NAN; expected.len()];
        dequantize(kind, &blocks, &mut values);
        for (index, (value, bits)) in values.iter().zip(&expected).enumerate() {
            assert_eq!(
                value.to_bits(),
                *bits,
                "{} value {index}: {value} for {}",
                kind.name(),
                f32::from_bits(*bits)
            );
        }
    }
    assert_eq!(rows.len(), GgmlType::all().count());
}
