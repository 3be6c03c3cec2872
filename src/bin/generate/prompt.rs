//! From the command line's prompt to token ids.

use std::time::{SystemTime, UNIX_EPOCH};

use qwarp::config::json::read_text;
use qwarp::tokenizer::Tokenizer;
use qwarp::tokenizer::chat::{Chat, ChatTemplate, CivilTime};
use qwarp::{Error, Result};
use serde_json::{Map, Value, json};

use crate::args::Cli;

/// The prompt's ids, each below `vocab`.
pub fn tokens(cli: &Cli, tokenizer: &Tokenizer, vocab: usize) -> Result<Vec<u32>> {
    let prompt = &cli.prompt;
    let ids = if let Some(ids) = &prompt.token_ids {
        ids.clone()
    } else if let Some(text) = &prompt.prompt {
        tokenizer.encode_prompt(text)?
    } else if let Some(path) = &prompt.prompt_file {
        tokenizer.encode_prompt(&read_text(path)?)?
    } else if let Some(text) = &prompt.chat {
        // The rendered text carries its own BOS where the model wants one.
        tokenizer.encode(&render(cli, text)?)?
    } else {
        Vec::new()
    };
    if ids.is_empty() {
        return Err(Error::argument(
            "prompt",
            "no tokens",
            "at least one token; an empty prompt has nothing to continue",
        ));
    }
    match ids.iter().find(|&&id| id as usize >= vocab) {
        None => Ok(ids),
        Some(id) => Err(Error::argument(
            "prompt token id",
            id,
            format!("below the vocabulary size {vocab}"),
        )),
    }
}

/// The chat template's text for one user message and, if given, a system message.
fn render(cli: &Cli, user: &str) -> Result<String> {
    let template = ChatTemplate::open(&cli.model)?.ok_or_else(|| {
        let expected = "a model folder with a chat template; use --prompt for plain text";
        Error::argument("--chat", cli.model.display(), expected)
    })?;
    let system = cli
        .system
        .iter()
        .map(|text| json!({"role": "system", "content": text}));
    let messages: Vec<Value> = system
        .chain([json!({"role": "user", "content": user})])
        .collect();
    // UTC; a clock before 1970 counts as 1970.
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    template.render(&Chat {
        messages: &messages,
        tools: None,
        add_generation_prompt: true,
        variables: &Map::new(),
        now: CivilTime::from_unix(seconds as i64),
    })
}
