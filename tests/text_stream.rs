//! Stop strings in a stream of tokens: what is given out when, what is held back, where the text ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/byte_tokenizer.rs"]
mod byte_tokenizer;

use qwarp::engine::text::TextStream;
use qwarp::tokenizer::Tokenizer;

/// Ids of the merged tokens of the hand-made tokenizer; all others are bytes.
const LL: u32 = 257;
const HELL: u32 = 258;

fn tokenizer() -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let json = byte_tokenizer::tokenizer_json().to_string();
    std::fs::write(folder.path().join("tokenizer.json"), json).unwrap();
    Tokenizer::open(folder.path()).unwrap()
}

fn bytes(text: &str) -> Vec<u32> {
    text.bytes().map(u32::from).collect()
}

struct Case {
    name: &'static str,
    stops: &'static [&'static str],
    tokens: Vec<u32>,
    /// What each push gives, and then `finish`.
    pieces: &'static [&'static str],
    stopped: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, stops, tokens, pieces, stopped| Case {
        name,
        stops,
        tokens,
        pieces,
        stopped,
    };
    vec![
        case("no stop", &[], bytes("abc"), &["a", "b", "c", ""], false),
        case(
            "an empty stop is none",
            &[""],
            bytes("ab"),
            &["a", "b", ""],
            false,
        ),
        case(
            "across tokens",
            &["bc"],
            bytes("abcd"),
            &["a", "", "", "", ""],
            true,
        ),
        case(
            "inside a token",
            &["e"],
            vec![97, HELL, 111],
            &["a", "h", "", ""],
            true,
        ),
        case(
            "a false start is given out",
            &["bcd"],
            bytes("abcx"),
            &["a", "", "", "bcx", ""],
            false,
        ),
        case(
            "held to the end",
            &["bcd"],
            bytes("abc"),
            &["a", "", "", "bc"],
            false,
        ),
        case(
            "the earlier of two",
            &["lo", "el"],
            vec![HELL, 111],
            &["h", "", ""],
            true,
        ),
        case(
            "the shorter of two that begin alike",
            &["abcd", "ab"],
            bytes("xabcd"),
            &["x", "", "", "", "", ""],
            true,
        ),
        case(
            "a stop that overlaps itself",
            &["aab"],
            bytes("aaab"),
            &["", "", "a", "", ""],
            true,
        ),
        case(
            "in two tokens of several bytes",
            &["lll"],
            vec![HELL, LL, 33],
            &["he", "", "", ""],
            true,
        ),
        case(
            "of several bytes a character",
            &["é"],
            bytes("aéb"),
            &["a", "", "", "", ""],
            true,
        ),
        case(
            "in the tail, where a broken character ends",
            &["\u{FFFD}"],
            vec![97, 0xC3],
            &["a", "", ""],
            true,
        ),
    ]
}

#[test]
fn pieces_come_as_soon_as_no_stop_can_take_them() {
    let tokenizer = tokenizer();
    for case in cases() {
        let stops: Vec<String> = case.stops.iter().map(ToString::to_string).collect();
        let mut stream = TextStream::new(&tokenizer, &stops);
        let mut pieces: Vec<String> = case.tokens.iter().map(|&id| stream.push(id)).collect();
        pieces.push(stream.finish());
        assert_eq!(pieces, case.pieces, "{}", case.name);
        assert_eq!(stream.stopped(), case.stopped, "{}", case.name);
    }
}
