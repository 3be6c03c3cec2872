//! Rendered chat prompts against jinja2 as transformers configures it.

// The lints let a test panic, but not the helpers beside it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use qwarp::Error;
use qwarp::tokenizer::SpecialTexts;
use qwarp::tokenizer::chat::{Chat, ChatTemplate, CivilTime};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Golden {
    provenance: Provenance,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Provenance {
    now_unix_utc: i64,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    source: Option<String>,
    messages: Vec<Value>,
    tools: Option<Vec<Value>>,
    add_generation_prompt: bool,
    #[serde(default)]
    variables: Map<String, Value>,
    text: Option<String>,
    error: Option<String>,
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizer/chat.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn folder(model: &str, how: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("models")
        .join(model);
    assert!(
        folder.join("tokenizer_config.json").exists(),
        "no {}: run {how}",
        folder.display()
    );
    folder
}

/// The R1 template with the generation prompt of its newer form.
fn with_think(r1: &Path, scratch: &Path) -> ChatTemplate {
    let config = std::fs::read_to_string(r1.join("tokenizer_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    let old = config["chat_template"].as_str().unwrap();
    let (from, to) = (
        "{{'<｜Assistant｜>'}}{% endif %}",
        "{{'<｜Assistant｜><think>\\n'}}{% endif %}",
    );
    assert_eq!(old.matches(from).count(), 1);
    let new = old.replace(from, to);
    // A file of its own wins over the template in the config.
    config["chat_template"] = Value::from("the old place");
    std::fs::write(scratch.join("chat_template.jinja"), new).unwrap();
    std::fs::write(scratch.join("tokenizer_config.json"), config.to_string()).unwrap();
    ChatTemplate::open(scratch).unwrap().unwrap()
}

fn render(template: &ChatTemplate, case: &Case, now: i64) -> Result<String, Error> {
    template.render(&Chat {
        messages: &case.messages,
        tools: case.tools.as_deref(),
        add_generation_prompt: case.add_generation_prompt,
        variables: &case.variables,
        now: CivilTime::from_unix(now),
    })
}

fn feature(case: &Case) -> Result<ChatTemplate, Error> {
    let texts = SpecialTexts {
        bos: Some("<BOS>".to_string()),
        eos: Some("<EOS>".to_string()),
        ..SpecialTexts::default()
    };
    ChatTemplate::new(case.source.clone().unwrap(), None, texts)
}

#[test]
fn prompts_are_those_of_jinja2() {
    let golden = golden();
    let scratch = tempfile::tempdir().unwrap();
    let qwen = folder("qwen2.5-coder-0.5b-instruct", "tools/get-model");
    let r1 = folder(
        "deepseek-r1-distill-qwen-tokenizer",
        "tools/get-model --r1-tokenizer",
    );
    let models = HashMap::from([
        ("qwen", ChatTemplate::open(&qwen).unwrap().unwrap()),
        ("r1", ChatTemplate::open(&r1).unwrap().unwrap()),
        ("r1_think", with_think(&r1, scratch.path())),
    ]);
    let mut compared: HashMap<&str, usize> = HashMap::new();
    let mut wrong = Vec::new();
    for case in golden.cases.iter().filter(|case| case.error.is_none()) {
        let expected = case.text.as_deref().unwrap();
        let result = match models.get(case.template.as_str()) {
            Some(template) => render(template, case, golden.provenance.now_unix_utc),
            None => feature(case).and_then(|t| render(&t, case, golden.provenance.now_unix_utc)),
        };
        if !matches!(&result, Ok(text) if text == expected) {
            wrong.push(format!(
                "{} {}\n   ours {result:?}\n theirs {expected:?}",
                case.template, case.name
            ));
        }
        *compared.entry(&case.template).or_default() += 1;
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    for (template, least) in [("qwen", 37), ("r1", 26), ("r1_think", 26), ("feature", 40)] {
        assert!(
            compared[template] >= least,
            "{template}: {} cases",
            compared[template]
        );
    }
}

#[test]
fn what_jinja2_refuses_is_refused() {
    let golden = golden();
    let mut refused = 0;
    for case in golden.cases.iter().filter(|case| case.error.is_some()) {
        let result = feature(case).and_then(|t| render(&t, case, golden.provenance.now_unix_utc));
        assert!(
            matches!(result, Err(Error::Template(_))),
            "{}: {result:?}",
            case.name
        );
        refused += 1;
    }
    assert!(refused >= 14);
}

#[test]
fn the_message_of_raise_exception_reaches_the_caller() {
    let golden = golden();
    let case = golden
        .cases
        .iter()
        .find(|case| case.name == "raise_exception")
        .unwrap();
    let error = render(&feature(case).unwrap(), case, 0).unwrap_err();
    assert!(
        error.to_string().contains("only user and assistant roles"),
        "{error}"
    );
}
