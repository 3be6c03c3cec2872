//! `chat_template.jinja`: texts that no template engine should take, refused when the folder is opened.
//!
//! Templates that compile and misbehave when they run are in `tests/chat_hostile.rs`.

use std::fs;

use qwarp::limits::LIMITS;
use qwarp::tokenizer::chat::ChatTemplate;

use super::{Case, check, tokenizer::good};

const FILE: &str = "chat_template.jinja";

#[test]
fn templates_are_refused_when_they_are_opened() {
    check(cases(), good, |folder| ChatTemplate::open(folder).map(drop));
}

/// Every row.
pub fn cases() -> Vec<Case> {
    let row = |name: &str, text: &str, mention: &str| {
        Case::content(name, FILE, text, &["chat template", mention])
    };
    let nested = |open: &str, close: &str, n: usize| open.repeat(n) + &close.repeat(n);
    vec![
        row("open tag", "{% if x", "syntax error"),
        row("open block", "{% for m in messages %}x", "syntax error"),
        row("open text", "{{ 'abc }}", "syntax error"),
        row("no condition", "{% if %}{% endif %}", "syntax error"),
        row("an end too many", "x{% endif %}", "syntax error"),
        row("unknown tag", "{% import_os %}", "syntax error"),
        row(
            "crossed blocks",
            "{% if 1 %}{% for x in y %}{% endif %}{% endfor %}",
            "syntax error",
        ),
        row(
            "5,000 ifs",
            &nested("{%if 1%}", "{%endif%}", 5_000),
            "recursion",
        ),
        row(
            "50,000 ifs",
            &nested("{%if 1%}", "{%endif%}", 50_000),
            "recursion",
        ),
        row(
            "brackets",
            &format!("{{{{ {} }}}}", nested("(", ")", 1_000)),
            "recursion",
        ),
        row(
            "lists",
            &format!("{{{{ {} }}}}", nested("[", "]", 1_000)),
            "recursion",
        ),
        row(
            "a tag of 3,000 tokens",
            &format!("{{{{ {}1 }}}}", "1 + ".repeat(1_500)),
            "tokens in one tag",
        ),
        row(
            "100 signs in a row",
            &format!("{{{{ {}1 }}}}", "-".repeat(100)),
            "`not` and `-` in a row",
        ),
        row(
            "a long chain",
            &format!("{{{{ x{} }}}}", "|e".repeat(100_000)),
            "tokens in one tag",
        ),
        row(
            "a product of literals",
            "{{ 'A' * 1000000000 }}",
            "product of literals",
        ),
        row("a power of literals", "{{ 'A' * 10 ** 9 }}", "power"),
        Case::content(
            "not UTF-8",
            FILE,
            b"{{ x }}\xff".as_slice(),
            &[FILE, "UTF-8"],
        ),
        Case::new(
            "over 1 MiB",
            &["chat template", "1048577", "1048576"],
            |folder| {
                let file = fs::File::create(folder.join(FILE)).unwrap();
                file.set_len(LIMITS.template_bytes + 1).unwrap();
            },
        ),
    ]
}
