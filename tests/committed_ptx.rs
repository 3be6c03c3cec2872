//! PTX that is committed belongs to the CUDA file beside it: an edit of that file alone would leave tests about a text that is
//! no longer there. `tools/make_emu_cu_cases.py` writes both the PTX and the hash in its last line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

/// The 64-bit FNV-1a hash.
fn fnv(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// The last line that PTX made of `source` has.
fn made_of(name: &str, source: &[u8]) -> String {
    format!("// made of {name} {:016x}", fnv(source))
}

#[test]
fn committed_ptx_is_made_of_the_source_beside_it() {
    let mut seen = 0;
    for folder in ["tests/emu_fail/cu", "benches/emu"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "cu") {
                continue;
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            let ptx = fs::read_to_string(path.with_extension("ptx")).unwrap();
            let expected = made_of(name, &fs::read(&path).unwrap());
            let found = ptx.lines().last().unwrap_or_default();
            assert_eq!(
                found, expected,
                "{name} has changed since its PTX was made: run tools/make_emu_cu_cases.py"
            );
            seen += 1;
        }
    }
    assert!(seen >= 14, "{seen} sources");
}

#[test]
fn the_hash_is_the_one_that_the_tool_writes() {
    assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    assert_ne!(made_of("a.cu", b"one"), made_of("a.cu", b"two"));
}
