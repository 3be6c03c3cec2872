//! Texts that are not JSON, in the file that is read first.

use std::fs;

use super::config::open_model;
use super::{Case, SINGLE, check, copy};

const FILE: &str = "config.json";

#[test]
fn texts_are_refused_by_place() {
    check(cases(), || copy(SINGLE), open_model);
}

/// Every row.
pub fn cases() -> Vec<Case> {
    let row = |name: &str, text: &[u8], mentions: &[&str]| {
        let mut all = vec![FILE];
        all.extend(mentions);
        Case::content(name, FILE, text, &all)
    };
    let deep = |open: &str| open.repeat(100_000);
    vec![
        row("empty", b"", &["line 1", "JSON"]),
        row("spaces", b" \n ", &["line 2", "JSON"]),
        row("cut", b"{\"hidden_size\": 30,", &["line 1", "JSON"]),
        row("a list", b"[1, 2]", &["top level", "an array", "object"]),
        row("a number", b"5", &["top level", "a number"]),
        row("a text", b"\"x\"", &["top level", "a string"]),
        row("null", b"null", &["top level", "null"]),
        row("true", b"true", &["top level", "a boolean"]),
        row("not UTF-8", b"{\"a\": \"\xff\"}", &["byte 7", "UTF-8"]),
        row("byte order mark", b"\xef\xbb\xbf{}", &["line 1", "JSON"]),
        row("UTF-16", b"\xff\xfe{\0}\0", &["byte 0", "UTF-8"]),
        row("a zero byte", b"{}\0", &["line 1", "JSON"]),
        row("two documents", b"{}{}", &["column 3", "trailing"]),
        row("trailing comma", b"{\"a\": 1,}", &["trailing comma"]),
        row("a comment", b"{} // x", &["trailing"]),
        row("NaN", b"{\"rope_theta\": NaN}", &["line 1", "JSON"]),
        row(
            "a number over f64",
            b"{\"rope_theta\": 1e400}",
            &["number out of range"],
        ),
        row(
            "half a surrogate",
            b"{\"model_type\": \"\\ud800\"}",
            &["line 1", "JSON"],
        ),
        row("single quotes", b"{'a': 1}", &["line 1", "JSON"]),
        row("lists in lists", deep("[").as_bytes(), &["recursion"]),
        row(
            "objects in objects",
            deep("{\"a\":").as_bytes(),
            &["recursion"],
        ),
        Case::new(
            "64 MiB and a byte",
            &[FILE, "67108865", "67108864"],
            |folder| {
                let file = fs::File::create(folder.join(FILE)).unwrap();
                file.set_len((64 << 20) + 1).unwrap();
            },
        ),
    ]
}
