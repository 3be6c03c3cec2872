//! Very long runs through the real tokenizer: all of the text comes back, and what the crate would cut wrongly is
//! refused.

// The lints let a test panic, but not the helpers beside it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use qwarp::Error;
use qwarp::limits::LIMITS;
use qwarp::tokenizer::{Specials, Tokenizer};

const MIB: usize = 1 << 20;

fn open() -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/qwen2.5-coder-0.5b-instruct");
    assert!(
        folder.join("tokenizer.json").exists(),
        "no {}: run tools/get-model",
        folder.display()
    );
    Tokenizer::open(&folder).unwrap()
}

#[test]
fn a_mebibyte_of_one_kind_is_encoded_whole() {
    let tokenizer = open();
    for unit in [
        "a",
        "7",
        "^",
        "ab",
        "好",
        "😀",
        "👩\u{200d}",
        "o\u{338}",
        "word ",
        "x\r\n",
        "'s",
    ] {
        let text = unit.repeat(MIB / unit.len());
        let ids = tokenizer.encode(&text).unwrap();
        assert!(ids.len() > MIB / 64, "{unit:?}: {} ids", ids.len());
        assert_eq!(tokenizer.decode(&ids, Specials::Show), text, "{unit:?}");
    }
}

/// A long run of whitespace is cut before its last space, which goes to the word. When the regex engine gives up, the
/// rest of the text is one piece; "word" would lose its space.
#[test]
fn whitespace_runs_are_exact_up_to_the_limit_and_refused_after_it() {
    let tokenizer = open();
    let limit = usize::try_from(LIMITS.whitespace_run).unwrap();
    let word = tokenizer.encode(" word").unwrap();
    assert_eq!(word.len(), 1);
    for unit in [" ", "\t", "\u{3000}"] {
        let text = unit.repeat(limit - 1) + " word";
        let ids = tokenizer.encode(&text).unwrap();
        assert_eq!(ids.last(), Some(&word[0]), "{unit:?}");
        assert_eq!(tokenizer.decode(&ids, Specials::Show), text, "{unit:?}");
        let error = tokenizer
            .encode(&(unit.repeat(limit + 1) + "word"))
            .unwrap_err();
        assert!(
            matches!(error, Error::Limit { found, .. } if found == limit as u64 + 1),
            "{error}"
        );
    }
}

/// The reason for the limit: without it the crate gives other ids and no error.
#[test]
fn the_crate_alone_cuts_a_very_long_run_wrongly() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/qwen2.5-coder-0.5b-instruct");
    let alone = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    let word = open().encode(" word").unwrap();
    let ids = |spaces: usize| {
        let encoding = alone
            .encode_fast(" ".repeat(spaces) + "word, word", false)
            .unwrap();
        encoding.get_ids().to_vec()
    };
    let [short, long] = [400_000, 1_200_000].map(ids);
    let count = |ids: &[u32]| ids.iter().filter(|&&id| id == word[0]).count();
    assert_eq!(count(&short), 2);
    assert_ne!(count(&long), 2);
}
