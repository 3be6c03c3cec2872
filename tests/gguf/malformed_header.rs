//! Headers that lie about counts, lengths, types or places.

use std::io::{Seek, SeekFrom, Write};

use qwarp::Error;
use qwarp::checkpoint::gguf::Header;
use qwarp::limits::LIMITS;

use super::file::{ARRAY, BOOL, Gguf, OnDisk, STRING, U32, array, refused, string};

/// Magic, version 3, and two counts: 24 bytes.
fn counts(tensors: u64, keys: u64) -> Vec<u8> {
    [
        b"GGUF".as_slice(),
        &3u32.to_le_bytes(),
        &tensors.to_le_bytes(),
        &keys.to_le_bytes(),
    ]
    .concat()
}

fn with(change: impl Fn(&mut Gguf)) -> Vec<u8> {
    let mut file = Gguf::valid();
    change(&mut file);
    file.bytes()
}

/// The valid file with one more metadata entry.
fn entry(kind: u32, value: Vec<u8>) -> Vec<u8> {
    with(|file| file.set("general.extra", kind, value.clone()))
}

#[test]
fn file_start() {
    refused("empty", b"", &["magic", "0 bytes left", "4 bytes"]);
    refused(
        "magic",
        &overwritten(with(|_| ()), 0, b'L'),
        &["magic", "LGUF", "GGUF"],
    );
    refused(
        "version 1",
        &with(|file| file.version = 1),
        &["version", "= 1", "2, 3"],
    );
    refused(
        "version 4",
        &with(|file| file.version = 4),
        &["version", "= 4", "2, 3"],
    );
    let big = with(|file| file.version = 3u32.swap_bytes());
    refused(
        "byte order",
        &big,
        &["byte order", "big-endian version 3", "little-endian"],
    );
}

fn overwritten(mut bytes: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    bytes[at] = byte;
    bytes
}

#[test]
fn counts_that_the_file_could_not_fill() {
    let bytes = counts(0, 500_000_000);
    assert_eq!(bytes.len(), 24);
    refused(
        "keys",
        &bytes,
        &[
            "500000000 metadata entries",
            "0 bytes left",
            "7000000000 bytes",
        ],
    );
    refused(
        "keys wrap",
        &counts(0, 1 << 63),
        &["metadata entries", "9223372036854775808 * 14 overflows"],
    );
    refused(
        "tensors",
        &counts(1 << 40, 0),
        &["1099511627776 tensor descriptions", "0 bytes left"],
    );
    refused(
        "tensors wrap",
        &counts(u64::MAX, 0),
        &["18446744073709551615 * 33 overflows"],
    );
    let long = [
        counts(0, 1),
        (1u64 << 63).to_le_bytes().to_vec(),
        vec![0; 20],
    ]
    .concat();
    refused(
        "key length",
        &long,
        &[
            "metadata key 0",
            "20 bytes left",
            "9223372036854775808 bytes",
        ],
    );
    let text = entry(
        STRING,
        [(1u64 << 62).to_le_bytes().to_vec(), vec![]].concat(),
    );
    refused(
        "string length",
        &text,
        &["general.extra", "bytes left", "4611686018427387904 bytes"],
    );
}

#[test]
fn arrays_that_the_file_could_not_fill() {
    let list = |kind: u32, count: u64| {
        [kind.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat()
    };
    refused(
        "wrap",
        &entry(ARRAY, list(10, 1 << 61)),
        &["general.extra", "2305843009213693952 * 8 overflows"],
    );
    refused(
        "strings",
        &entry(ARRAY, list(STRING, 1 << 30)),
        &["elements of general.extra", "8589934592 bytes"],
    );
    let nested = entry(ARRAY, array(ARRAY, &[array(U32, &[vec![1, 0, 0, 0]])]));
    refused(
        "nested",
        &nested,
        &[
            "general.extra",
            "ARRAY of ARRAY",
            "arrays of numbers or strings",
        ],
    );
    let many = array(0, &vec![vec![7]; LIMITS.gguf_array as usize + 1]);
    let error = refused(
        "too many",
        &entry(ARRAY, many),
        &["elements of general.extra", "2097153", "2097152"],
    );
    assert_eq!(error.exit_code(), 5);
}

#[test]
fn values_of_no_type() {
    refused(
        "type 13",
        &entry(13, vec![0; 4]),
        &["type of general.extra", "found 13", "0 to 12"],
    );
    refused(
        "bool 2",
        &entry(BOOL, vec![2]),
        &["BOOL general.extra", "found 2", "0 or 1"],
    );
    let bad = [2u64.to_le_bytes().to_vec(), vec![b'a', 0xff]].concat();
    refused(
        "UTF-8",
        &entry(STRING, bad),
        &["general.extra", "0xff at index 1", "UTF-8"],
    );
    let list = array(
        STRING,
        &[
            string("fine"),
            [1u64.to_le_bytes().to_vec(), vec![0x80]].concat(),
        ],
    );
    refused(
        "UTF-8 in a list",
        &entry(ARRAY, list),
        &["general.extra[1]", "0x80 at index 0", "UTF-8"],
    );
    let key = "k".repeat(65_536);
    let long = with(|file| file.set(&key, U32, vec![0; 4]));
    refused(
        "long key",
        &long,
        &["length of metadata key", "65536", "65535"],
    );
}

#[test]
fn names_that_stand_twice() {
    let keys = with(|file| {
        file.keys
            .push(("qwen2.block_count".into(), U32, vec![2, 0, 0, 0]))
    });
    refused(
        "key",
        &keys,
        &["qwen2.block_count", "a second entry", "one entry"],
    );
    let tensors = with(|file| file.add("output_norm.weight", &[8]));
    refused(
        "tensor",
        &tensors,
        &[
            "output_norm.weight",
            "a second description",
            "one description",
        ],
    );
}

#[test]
fn alignment() {
    for wrong in [0, 3, 48] {
        let bytes = with(|file| file.set_u32("general.alignment", wrong));
        refused(
            "alignment",
            &bytes,
            &[
                "general.alignment",
                &format!("found {wrong}"),
                "a power of two",
            ],
        );
    }
    let text = with(|file| file.set("general.alignment", STRING, string("32")));
    refused(
        "alignment type",
        &text,
        &["general.alignment", "STRING", "UINT32"],
    );
    let offset = with(|file| file.tensor("output_norm.weight").offset = Some(8));
    refused(
        "offset",
        &offset,
        &["offset of output_norm.weight", "found 8", "alignment 32"],
    );
    let wide = with(|file| file.set_u32("general.alignment", 1 << 31));
    refused(
        "huge alignment",
        &wide,
        &["output_norm.weight", "2147483648"],
    );
}

#[test]
fn tensor_descriptions() {
    let dims = |dims: &[u64]| with(|file| file.tensor("output_norm.weight").dims = dims.to_vec());
    refused(
        "rank 0",
        &dims(&[]),
        &["dimension count of output_norm.weight", "found 0", "1 to 4"],
    );
    refused(
        "rank 5",
        &dims(&[1; 5]),
        &["dimension count of output_norm.weight", "found 5", "1 to 4"],
    );
    let long = with(|file| file.tensor("output_norm.weight").name = "n".repeat(64));
    refused("long name", &long, &["name of tensor 1", "64", "63"]);
}

#[test]
fn sizes_that_wrap_are_refused_by_the_layout() {
    let layout = |dims: &[u64], kind: u32, offset: u64| {
        let mut file = Gguf::valid();
        let tensor = file.tensor("output_norm.weight");
        (tensor.dims, tensor.kind, tensor.offset) = (dims.to_vec(), kind, Some(offset));
        let disk = OnDisk::new(&file.bytes());
        let header = Header::read(&disk.gguf, &LIMITS).unwrap();
        header.layout(header.tensor("output_norm.weight").unwrap())
    };
    assert!(layout(&[8], 0, 0).is_ok());
    let wide = 1u64 << 40;
    for (dims, kind, offset) in [
        (vec![wide, wide], 0, 0),
        (vec![1 << 62], 0, 0),
        (vec![1 << 31, 1 << 31, 4, 1], 0, 0),
        (vec![8], 0, u64::MAX - 31),
    ] {
        let error = layout(&dims, kind, offset).unwrap_err();
        assert!(
            matches!(error, Error::Overflow { .. }),
            "{dims:?} at {offset}: {error}"
        );
        assert!(error.to_string().contains("output_norm.weight"), "{error}");
    }
    let error = layout(&[wide], 0, 0).unwrap_err().to_string();
    assert!(
        error.contains("end of the data of output_norm.weight") && error.contains("at most"),
        "{error}"
    );
    let error = layout(&[33], 8, 0).unwrap_err().to_string();
    assert!(
        error.contains("found 33") && error.contains("a multiple of 32, the block of Q8_0"),
        "{error}"
    );
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = Gguf::valid().bytes();
    assert!(
        OnDisk::new(&bytes).convert(qwarp::DType::F32).is_ok(),
        "the whole file is fine"
    );
    for length in 0..bytes.len() {
        let error = refused(&format!("cut at {length}"), &bytes[..length], &[]);
        // Seen in the header, not met as a failed read half way through.
        assert!(
            matches!(error, Error::Malformed { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_header_with_any_byte_overwritten_never_panics() {
    let bytes = Gguf::valid().bytes();
    let header = Gguf::valid().header().len();
    let disk = OnDisk::new(&bytes);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(&disk.gguf)
        .unwrap();
    let mut put = |at: usize, byte: u8| {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte]).unwrap();
    };
    let mut refusals = 0;
    for at in 0..header {
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            put(at, byte);
            if let Err(error) = Header::read(&disk.gguf, &LIMITS) {
                let text = error.to_string();
                assert!(text.contains("model.gguf"), "byte {at} = {byte}: {text}");
                refusals += 1;
            }
        }
        put(at, bytes[at]);
    }
    assert!(
        Header::read(&disk.gguf, &LIMITS).is_ok(),
        "every byte is back"
    );
    assert!(
        refusals > header / 2,
        "{refusals} refusals over {header} bytes"
    );
}
