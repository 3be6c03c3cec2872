//! Damaged and unsupported model folders: each is refused with the file, the field and both values, and nothing panics.
//!
//! One table for each kind of file; a row is one malformed file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/byte_tokenizer.rs"]
mod byte_tokenizer;
mod config;
mod generation;
mod gguf;
#[path = "../gguf/file.rs"]
#[allow(
    dead_code,
    reason = "the writer of GGUF files is that of the import's tests, which use all of it"
)]
mod gguf_file;
mod index;
mod safetensors;
mod template;
mod text;
mod tokenizer;
mod weights;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use qwarp::Error;

/// A good single-file checkpoint and a good sharded one.
pub const SINGLE: &str = "tests/golden/tiny/untied-mha-f32";
/// The same for three shards.
pub const SHARDED: &str = "tests/golden/tiny/untied-gqa6-f16-sharded";

/// One malformed file.
pub struct Case {
    /// What is wrong, unique in its table.
    pub name: String,
    /// Makes it wrong in a folder that is right.
    pub damage: Box<dyn Fn(&Path)>,
    /// What the refusal has to mention.
    pub mentions: Vec<String>,
}

impl Case {
    /// A row of a table.
    pub fn new(name: &str, mentions: &[&str], damage: impl Fn(&Path) + 'static) -> Self {
        Case {
            name: name.to_string(),
            damage: Box::new(damage),
            mentions: mentions.iter().map(|text| text.to_string()).collect(),
        }
    }

    /// A row whose file has this content.
    pub fn content(
        name: &str,
        file: &'static str,
        content: impl Into<Vec<u8>>,
        mentions: &[&str],
    ) -> Self {
        let content = content.into();
        Case::new(name, mentions, move |folder| {
            fs::write(folder.join(file), &content).unwrap()
        })
    }
}

/// A copy of a folder of this repository.
pub fn copy(from: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(from)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if name != "reference.safetensors" {
            fs::copy(&path, folder.path().join(name)).unwrap();
        }
    }
    folder
}

/// Checks every row: `good` makes a folder that opens, and the damaged one is refused as the row says.
pub fn check(
    cases: Vec<Case>,
    good: impl Fn() -> tempfile::TempDir,
    open: impl Fn(&Path) -> qwarp::Result<()>,
) {
    assert!(!cases.is_empty());
    let mut names = HashSet::new();
    let mut wrong = Vec::new();
    for case in cases {
        assert!(names.insert(case.name.clone()), "{} twice", case.name);
        let folder = good();
        open(folder.path()).expect("the undamaged folder opens");
        (case.damage)(folder.path());
        if let Some(problem) = problem(&case, open(folder.path())) {
            wrong.push(format!("{}: {problem}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with the answer to a row's file.
fn problem(case: &Case, answer: qwarp::Result<()>) -> Option<String> {
    let Err(error) = answer else {
        return Some("accepted".into());
    };
    let message = error.to_string();
    let mut mentions = case.mentions.iter();
    if let Some(missing) = mentions.find(|mention| !message.contains(*mention)) {
        return Some(format!("{message:?} does not mention {missing:?}"));
    }
    let template = matches!(error, Error::Template(_));
    let code = error.exit_code();
    if message.len() > 2_000 || !template && !(3..=5).contains(&code) {
        return Some(format!(
            "{} bytes, exit code {code}: {message}",
            message.len()
        ));
    }
    None
}

#[test]
fn there_are_more_than_two_hundred_malformed_files() {
    let tables = [
        ("config.json", config::cases()),
        ("generation_config.json", generation::cases()),
        ("JSON text", text::cases()),
        ("model.safetensors", safetensors::cases()),
        ("weights", weights::cases()),
        ("model.safetensors.index.json", index::cases()),
        ("tokenizer.json", tokenizer::cases()),
        ("tokenizer_config.json", tokenizer::config_cases()),
        ("chat_template.jinja", template::cases()),
        ("GGUF", gguf::cases()),
    ];
    for (kind, cases) in &tables {
        let rows = cases.len();
        println!("{kind}: {rows}");
        assert!(rows >= 5, "{kind}: {rows} rows");
        assert!(
            cases.iter().all(|case| !case.mentions.is_empty()),
            "{kind}: a row that takes any refusal"
        );
    }
    let all: usize = tables.iter().map(|(_, cases)| cases.len()).sum();
    assert!(all > 200, "{all} malformed files");
}
