//! A tokenizer from the cache: the same as one from JSON, and never one from an entry that is not what was written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/byte_tokenizer.rs"]
mod byte_tokenizer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use qwarp::tokenizer::{Specials, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

use byte_tokenizer::{bos_first, tokenizer_json};

const TEXT: &str = "hello hell<s>oh<soft> é∎";

/// A model folder beside an empty cache.
struct Case {
    root: TempDir,
}

impl Case {
    fn new(edit: impl Fn(&mut Value)) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("model")).unwrap();
        let case = Case { root };
        case.set_tokenizer(edit);
        case.set_config(&json!({ "bos_token": "<s>" }));
        case
    }

    fn set_tokenizer(&self, edit: impl Fn(&mut Value)) {
        let mut tokenizer = tokenizer_json();
        edit(&mut tokenizer);
        fs::write(self.model().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    }

    fn set_config(&self, config: &Value) {
        let path = self.model().join("tokenizer_config.json");
        fs::write(path, config.to_string()).unwrap();
    }

    fn model(&self) -> PathBuf {
        self.root.path().join("model")
    }

    fn cache(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    fn open(&self) -> Tokenizer {
        Tokenizer::open_cached(&self.model(), &self.cache()).unwrap()
    }

    /// Opens and says whether the cache served; what comes out is always right.
    fn served(&self) -> bool {
        let tokenizer = self.open();
        assert_same(&tokenizer, &Tokenizer::open(&self.model()).unwrap());
        tokenizer.is_from_cache()
    }

    fn entries(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache().join("tokenizer")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn entry(&self) -> PathBuf {
        let entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries[0].clone()
    }
}

fn assert_same(ours: &Tokenizer, theirs: &Tokenizer) {
    assert!(!theirs.is_from_cache());
    assert_eq!(ours.vocab_size(), theirs.vocab_size());
    assert_eq!(ours.prompt_bos(), theirs.prompt_bos());
    assert_eq!(ours.special_texts(), theirs.special_texts());
    assert_eq!(ours.token_id("Ġhell"), theirs.token_id("Ġhell"));
    let ids = theirs.encode(TEXT).unwrap();
    assert_eq!(ours.encode(TEXT).unwrap(), ids);
    assert_eq!(
        ours.encode_prompt(TEXT).unwrap(),
        theirs.encode_prompt(TEXT).unwrap()
    );
    let all: Vec<u32> = (0..ours.vocab_size() as u32 + 2).collect();
    for specials in [Specials::Skip, Specials::Show] {
        for id in &all {
            let one = [*id];
            assert_eq!(ours.decode(&one, specials), theirs.decode(&one, specials));
        }
        assert_eq!(ours.decode(&ids, specials), theirs.decode(&ids, specials));
    }
}

#[test]
fn the_second_start_is_served_from_the_cache() {
    for edit in [
        |_: &mut Value| {},
        bos_first,
        |t| t["normalizer"] = json!({ "type": "NFC" }),
        |t| t["model"]["ignore_merges"] = json!(true),
        |t| t["model"]["merges"] = json!(["#version: 0.2", "h e", "l l", "he ll", "Ġ hell"]),
        |t| {
            t["model"]["merges"]
                .as_array_mut()
                .unwrap()
                .push(json!(["h", "e"]))
        },
        |t| {
            // A gap in the ids; the crate numbers added tokens by the count of the others.
            t["model"]["vocab"]["far"] = json!(70_000);
            for (id, token) in (261..).zip(t["added_tokens"].as_array_mut().unwrap()) {
                token["id"] = json!(id);
            }
        },
        |t| t["added_tokens"][1]["normalized"] = json!(true),
    ] as [fn(&mut Value); 8]
    {
        let case = Case::new(edit);
        assert!(!case.served());
        assert!(case.served());
    }
}

#[test]
fn the_config_is_read_anew_and_its_errors_stay() {
    let case = Case::new(|_| {});
    assert_eq!((case.served(), case.open().prompt_bos()), (false, None));
    case.set_config(&json!({ "bos_token": "<s>", "add_bos_token": true }));
    assert!(case.served());
    assert_eq!(case.open().prompt_bos(), Some(260));
    case.set_config(&json!({ "bos_token": "nope", "add_bos_token": true }));
    let errors = [
        Tokenizer::open(&case.model()).err().unwrap(),
        Tokenizer::open_cached(&case.model(), &case.cache())
            .err()
            .unwrap(),
    ];
    assert_eq!(errors[0].to_string(), errors[1].to_string());
    assert!(errors[0].to_string().contains("bos_token"), "{}", errors[0]);
}

#[test]
fn another_file_in_the_same_place_is_not_served_the_old_entry() {
    let case = Case::new(|_| {});
    let before = case.open().encode("hello").unwrap();
    case.set_tokenizer(|t| t["model"]["merges"] = json!([["l", "l"], ["h", "e"]]));
    assert!(!case.served());
    assert_ne!(case.open().encode("hello").unwrap(), before);
    assert!(case.served());
    assert_eq!(case.entries().len(), 2);
    // An entry under another's name does not serve either.
    let entries = case.entries();
    fs::copy(&entries[0], &entries[1]).unwrap();
    let first = case.served();
    case.set_tokenizer(|_| {});
    assert!(first != case.served(), "one of the two entries is foreign");
    assert!(case.served());
    // A file that is refused is refused again, and leaves no entry.
    case.set_tokenizer(|t| t["decoder"] = Value::Null);
    for _ in 0..2 {
        assert!(Tokenizer::open_cached(&case.model(), &case.cache()).is_err());
    }
    assert_eq!(case.entries().len(), 2);
}

#[test]
fn a_damaged_entry_is_not_used_and_is_written_again() {
    let case = Case::new(bos_first);
    case.open();
    let entry = case.entry();
    let whole = fs::read(&entry).unwrap();
    let mut damaged = Vec::new();
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        damaged.push(whole[..at].to_vec());
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        damaged.push(flipped);
    }
    damaged.push([&whole[..], b"\0"].concat());
    assert!(damaged.len() > 100, "{}", damaged.len());
    for bytes in damaged {
        fs::write(&entry, &bytes).unwrap();
        assert!(!case.served(), "{} bytes", bytes.len());
        assert!(fs::read(&entry).unwrap() == whole, "not written again");
        assert!(case.open().is_from_cache());
    }
}

/// `packed` as an entry whose hash is right.
fn forge(whole: &[u8], packed: &[u8]) -> Vec<u8> {
    let versions = u32::from_le_bytes(whole[12..16].try_into().unwrap()) as usize;
    let prefix = &whole[..16 + versions + 32];
    let hash = blake3::hash(&[prefix, packed].concat());
    [prefix, hash.as_bytes(), packed].concat()
}

#[test]
fn what_a_hash_does_not_vouch_for_is_checked_as_well() {
    let case = Case::new(|_| {});
    case.open();
    let entry = case.entry();
    let whole = fs::read(&entry).unwrap();
    let versions = u32::from_le_bytes(whole[12..16].try_into().unwrap()) as usize;
    let packed = &whole[16 + versions + 64..];
    assert!(forge(&whole, packed) == whole, "the layout has changed");
    let tokens = u32::from_le_bytes(packed[..4].try_into().unwrap()) as usize;
    let merges = u32::from_le_bytes(packed[4..8].try_into().unwrap()) as usize;
    assert_eq!((tokens, merges), (260, 4));
    let (ids, ends, order) = (16, 16 + 4 * tokens, 16 + 8 * tokens);
    let rows = 16 + 12 * tokens;
    let put = |at: usize, value: u32| {
        let mut bytes = packed.to_vec();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let mut bad = vec![Vec::new(), packed[..15].to_vec(), [packed, b" "].concat()];
    for count in [0, 1, 261, u32::MAX] {
        bad.extend((0..4).map(|field| put(4 * field, count)));
    }
    bad.push(put(ids, 1));
    bad.push(put(ids + 4 * 259, u32::MAX));
    bad.push(put(ends, 0xFFFF));
    bad.push(put(ends + 4 * 200, 1));
    bad.push(put(ends + 4 * 259, 1));
    bad.push(put(order, 260));
    for field in [0, 4, 12] {
        bad.push(put(rows + 48 + field, 260));
        bad.push(put(rows + field, u32::MAX));
    }
    // A character outside UTF-8, stages that the crate panics on, and numbers that the file does not give.
    bad.push(put(rows + 64, 0xFFFF_FFFF));
    let text = String::from_utf8_lossy(packed).into_owned();
    assert!(text.contains(r#""normalizer":null"#) && text.contains(r#""id":261"#));
    let replace = |from: &str, to: &str| {
        let at = packed
            .windows(from.len())
            .position(|w| w == from.as_bytes());
        let at = at.unwrap();
        let mut bytes = [&packed[..at], to.as_bytes(), &packed[at + from.len()..]].concat();
        let json = u32::from_le_bytes(packed[12..16].try_into().unwrap());
        let json = json as usize + to.len() - from.len();
        bytes[12..16].copy_from_slice(&(json as u32).to_le_bytes());
        bytes
    };
    bad.push(replace(
        r#""normalizer":null"#,
        r#""normalizer":{"type":"Precompiled","precompiled_charsmap":"x"}"#,
    ));
    bad.push(replace(r#""ByteLevel""#, r#""FixedLength","length":0"#));
    bad.push(replace(r#""id":261"#, r#""id":777"#));
    assert!(bad.len() > 30);
    for (index, bytes) in bad.iter().enumerate() {
        fs::write(&entry, forge(&whole, bytes)).unwrap();
        assert!(!case.served(), "case {index} serves");
        assert!(fs::read(&entry).unwrap() == whole, "case {index} stays");
    }
    assert!(case.served());
}

#[test]
fn without_a_cache_that_can_be_written_it_only_takes_longer() {
    let case = Case::new(|_| {});
    // A file where a folder is needed stops the owner of the machine too, whom permissions do not.
    fs::write(case.cache(), "in the way").unwrap();
    for _ in 0..2 {
        assert!(!case.served());
    }
    fs::remove_file(case.cache()).unwrap();
    fs::create_dir(case.cache()).unwrap();
    fs::write(case.cache().join("tokenizer"), "in the way").unwrap();
    assert!(!case.served());
    fs::remove_file(case.cache().join("tokenizer")).unwrap();
    assert!(!case.served());
    assert!(case.served());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_or_change_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new(|_| {});
    case.open();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&case.cache()), 0o700);
    assert_eq!(mode(&case.cache().join("tokenizer")), 0o700);
    assert_eq!(mode(&case.entry()), 0o600);
}

const ROOT_VARIABLE: &str = "QWARP_TEST_CACHE_ROOT";

/// Run as a process of its own by the test below: breaks the entry, or opens it, again and again.
#[test]
fn one_of_several_processes() {
    let Some(root) = std::env::var_os(ROOT_VARIABLE).map(PathBuf::from) else {
        return;
    };
    let expected = Tokenizer::open(&root.join("model")).unwrap();
    for round in 0..40 {
        let tokenizer = Tokenizer::open_cached(&root.join("model"), &root.join("cache")).unwrap();
        assert_eq!(
            tokenizer.encode(TEXT).unwrap(),
            expected.encode(TEXT).unwrap()
        );
        if round % 4 == 0 {
            let entries = fs::read_dir(root.join("cache/tokenizer")).unwrap();
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.extension().is_some_and(|extension| extension == "bin") {
                    // The other process may have removed it a moment ago.
                    let _ = fs::remove_file(path);
                }
            }
        }
    }
    println!("forty rounds done");
}

#[test]
fn processes_at_the_same_time_do_not_disturb_each_other() {
    let case = Case::new(|_| {});
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_of_several_processes", "--nocapture"])
            .env(ROOT_VARIABLE, case.root.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    for child in [start(), start(), start()] {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("forty rounds done"), "{text}");
    }
    case.open();
    assert!(case.served());
    case.entry();
}
