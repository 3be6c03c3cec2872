//! Token ids of the real tokenizers against tokenizers by other authors, and streamed decoding against whole decoding.

// The lints let a test panic, but not the helpers beside it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use qwarp::tokenizer::{Specials, Tokenizer};
use serde::Deserialize;

const QWEN: &str = "qwen2.5-coder-0.5b-instruct";
const R1: &str = "deepseek-r1-distill-qwen-tokenizer";

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    text: String,
    ids: Vec<u32>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn open(model: &str) -> (Tokenizer, PathBuf) {
    let folder = root().join("models").join(model);
    let how = if model == R1 {
        "tools/get-model --r1-tokenizer"
    } else {
        "tools/get-model"
    };
    assert!(
        folder.join("tokenizer.json").exists(),
        "no {}: run {how}",
        folder.display()
    );
    // From the cache: the packed form is what either way ends in, and this way it has been on disk as well.
    let cache = tempfile::tempdir().unwrap();
    let made = Tokenizer::open_cached(&folder, cache.path()).unwrap();
    assert!(!made.is_from_cache());
    let tokenizer = Tokenizer::open_cached(&folder, cache.path()).unwrap();
    assert!(tokenizer.is_from_cache());
    (tokenizer, folder)
}

fn golden(file: &str) -> Vec<Case> {
    let path = root().join("tests/data/tokenizer").join(file);
    let golden: Golden = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    golden.cases
}

/// Encodes every case, reports all that differ, and returns how many were compared.
fn compare(model: &str, file: &str, has_specials: bool) -> usize {
    let (tokenizer, folder) = open(model);
    let from_json = Tokenizer::open(&folder).unwrap();
    assert!(!from_json.is_from_cache());
    let cases = golden(file);
    let mut wrong = Vec::new();
    let mut specials = 0;
    for case in &cases {
        let ids = tokenizer.encode(&case.text).unwrap();
        assert_eq!(ids, from_json.encode(&case.text).unwrap(), "{}", case.name);
        specials += ids.iter().filter(|&&id| id >= 151_643).count();
        if ids != case.ids {
            wrong.push(format!(
                "{}: {:?}\n   ours {ids:?}\n theirs {:?}",
                case.name, case.text, case.ids
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    assert_eq!(specials > 50, has_specials, "{specials} special ids");
    cases.len()
}

#[test]
fn qwen_ids_are_those_of_tiktoken() {
    assert!(compare(QWEN, "qwen2_tiktoken.json", false) >= 250);
}

#[test]
fn qwen_ids_are_those_of_llama_cpp_with_special_tokens() {
    assert!(compare(QWEN, "qwen2_llama.json", true) >= 270);
}

#[test]
fn r1_ids_are_those_of_llama_cpp_with_special_tokens() {
    assert!(compare(R1, "r1_llama.json", true) >= 270);
}

/// Without NFC in one and with it in the other, a set that composes characters must tell the two apart.
#[test]
fn the_two_tokenizers_differ_where_characters_compose() {
    let [qwen, r1] = [QWEN, R1].map(|model| open(model).0);
    assert_eq!(
        qwen.encode("cafe\u{301}").unwrap(),
        qwen.encode("caf\u{e9}").unwrap()
    );
    assert_ne!(
        r1.encode("cafe\u{301}").unwrap(),
        r1.encode("caf\u{e9}").unwrap()
    );
    assert_eq!(
        r1.encode("caf\u{e9}").unwrap(),
        qwen.encode("caf\u{e9}").unwrap()
    );
}

#[test]
fn bos_is_put_first_as_the_folder_says_and_never_twice() {
    let (r1, _) = open(R1);
    let bos = r1.token_id("<｜begin▁of▁sentence｜>").unwrap();
    assert_eq!(bos, 151_646);
    assert_eq!(r1.prompt_bos(), Some(bos));
    let plain = r1.encode("Hello there").unwrap();
    assert!(!plain.contains(&bos));
    assert_eq!(
        r1.encode_prompt("Hello there").unwrap(),
        [&[bos], plain.as_slice()].concat()
    );
    let written = r1
        .encode_prompt("<｜begin▁of▁sentence｜>Hello there")
        .unwrap();
    assert_eq!(written, [&[bos], plain.as_slice()].concat());
    assert_eq!(r1.encode_prompt("").unwrap(), [bos]);

    let (qwen, _) = open(QWEN);
    assert_eq!(qwen.prompt_bos(), None);
    assert_eq!(qwen.encode_prompt("Hello there").unwrap(), plain);
    assert_eq!(qwen.encode_prompt("").unwrap(), [0u32; 0]);
}

fn whole_decode(folder: &Path) -> tokenizers::Tokenizer {
    tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap()
}

/// Streams ids one by one; returns the pieces and the rest.
fn stream(tokenizer: &Tokenizer, ids: &[u32], specials: Specials) -> Vec<String> {
    let mut stream = tokenizer.detokenizer(specials);
    let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    pieces.push(stream.finish());
    pieces
}

#[test]
fn streamed_pieces_join_to_the_whole_decode() {
    for (model, file) in [(QWEN, "qwen2_llama.json"), (R1, "r1_llama.json")] {
        let (tokenizer, folder) = open(model);
        let whole = whole_decode(&folder);
        let mut held_back = 0;
        for case in golden(file) {
            for (specials, skip) in [(Specials::Skip, true), (Specials::Show, false)] {
                let pieces = stream(&tokenizer, &case.ids, specials);
                held_back += pieces.iter().filter(|piece| piece.is_empty()).count();
                let expected = whole.decode(&case.ids, skip).unwrap();
                assert_eq!(pieces.concat(), expected, "{model}, {}", case.name);
                assert_eq!(tokenizer.decode(&case.ids, specials), expected);
                if model == R1 && specials == Specials::Show {
                    assert_eq!(expected, case.text, "{}", case.name);
                }
            }
        }
        assert!(
            held_back > 1_000,
            "only {held_back} empty pieces: no character was split over tokens"
        );
    }
}

/// Ids in a random order cut characters in every way; ids past the vocabulary and padding ids give nothing.
#[test]
fn random_ids_decode_alike_streamed_and_whole() {
    let (tokenizer, folder) = open(QWEN);
    let whole = whole_decode(&folder);
    let size = u64::try_from(tokenizer.vocab_size()).unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut invalid = 0;
    for round in 0..400 {
        let ids: Vec<u32> = (0..40)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                // The first 256 ids are single bytes, so half of the draws come from there.
                let range = if state >> 63 == 0 { 256 } else { size + 300 };
                ((state >> 24) % range) as u32
            })
            .collect();
        let expected = whole.decode(&ids, false).unwrap();
        invalid += expected.matches('\u{FFFD}').count();
        assert_eq!(
            stream(&tokenizer, &ids, Specials::Show).concat(),
            expected,
            "round {round}: {ids:?}"
        );
    }
    assert!(invalid > 3_000, "only {invalid} replacement characters");
    assert_eq!(
        tokenizer.decode(&[u32::MAX, 151_900, 151_935], Specials::Show),
        ""
    );
}

#[test]
fn a_cut_character_is_one_replacement_at_the_end() {
    let (tokenizer, _) = open(QWEN);
    let ids = tokenizer.encode("𒀀").unwrap();
    assert!(
        ids.len() > 1,
        "the character has to take several tokens: {ids:?}"
    );
    let pieces = stream(&tokenizer, &ids[..ids.len() - 1], Specials::Show);
    assert_eq!(pieces.concat(), "\u{FFFD}");
    assert_eq!(pieces.last().unwrap(), "\u{FFFD}");
}

/// Pieces of text from every part of the vocabulary, joined at random: words that nobody would write, so that merges
/// overtake each other.
#[test]
fn random_texts_get_the_ids_of_the_crate() {
    for model in [QWEN, R1] {
        let (tokenizer, folder) = open(model);
        let theirs = whole_decode(&folder);
        let size = u64::try_from(tokenizer.vocab_size()).unwrap();
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        let mut draw = |range: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 24) % range
        };
        let (mut compared, mut ids_seen) = (0, 0);
        for _ in 0..4_000 {
            let pieces: Vec<u32> = (0..1 + draw(30))
                .map(|_| {
                    let range = if draw(3) == 0 { 2_000 } else { size };
                    draw(range) as u32
                })
                .collect();
            let mut text = tokenizer.decode(&pieces, Specials::Show);
            if draw(2) == 0 {
                text.retain(|c| !c.is_whitespace());
            }
            let expected = theirs.encode_fast(text.as_str(), false).unwrap();
            assert_eq!(
                tokenizer.encode(&text).unwrap(),
                expected.get_ids(),
                "{text:?}"
            );
            compared += usize::from(!text.is_empty());
            ids_seen += expected.get_ids().len();
        }
        assert!(
            compared > 3_900 && ids_seen > 60_000,
            "{compared}, {ids_seen}"
        );
    }
}

/// Every token's own text, whole and as one word of many: each merge of the file is used.
#[test]
fn every_token_of_the_vocabulary_gets_the_ids_of_the_crate() {
    let (tokenizer, folder) = open(QWEN);
    let theirs = whole_decode(&folder);
    let mut single = 0;
    for id in 0..tokenizer.vocab_size() as u32 {
        let text = tokenizer.decode(&[id], Specials::Show);
        let ids = tokenizer.encode(&text).unwrap();
        single += usize::from(ids == [id]);
        let expected = theirs.encode_fast(text.as_str(), false).unwrap();
        assert_eq!(ids, expected.get_ids(), "token {id}, {text:?}");
    }
    assert!(single > 140_000, "{single} tokens encode to themselves");
}
