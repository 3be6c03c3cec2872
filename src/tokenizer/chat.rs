//! Chat templates: messages to the prompt text that the model was trained on.

use std::path::Path;

use serde_json::{Map, Value};

use crate::config::json::read_text;
use crate::error::{Error, Result};
use crate::tokenizer::SpecialTexts;
use crate::tokenizer::folder::{self, Config};
use crate::tokenizer::template;

pub use crate::tokenizer::template::CivilTime;

/// The file that wins over `chat_template` in tokenizer_config.json, as in transformers.
const TEMPLATE_FILE: &str = "chat_template.jinja";

/// The chat template of a model folder.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    default: String,
    /// A second template that some folders keep for requests with tools.
    tool_use: Option<String>,
    special_texts: SpecialTexts,
}

/// What is rendered.
#[derive(Debug, Clone, Copy)]
pub struct Chat<'a> {
    /// Messages as clients send them: objects with `role`, `content` and what else the template knows.
    pub messages: &'a [Value],
    /// Tool definitions; a template sees none as `none`.
    pub tools: Option<&'a [Value]>,
    /// Whether the text ends with the start of the assistant's turn.
    pub add_generation_prompt: bool,
    /// Further variables, such as `enable_thinking`. They cannot replace the ones above.
    pub variables: &'a Map<String, Value>,
    /// What `strftime_now` prints; the engine itself reads no clock.
    pub now: CivilTime,
}

impl ChatTemplate {
    /// The template of `folder`, if it has one. It is compiled once, so that a broken one is refused here.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let config_path = folder.join(folder::CONFIG);
        let config = Config::open(&config_path)?;
        let file = folder.join(TEMPLATE_FILE);
        let (default, tool_use) = if file.exists() {
            (Some(read_text(&file)?), None)
        } else {
            from_config(&config_path, config.chat_template)?
        };
        let Some(default) = default else {
            return Ok(None);
        };
        ChatTemplate::new(default, tool_use, config.special_texts).map(Some)
    }

    /// The template in the contents of a `tokenizer_config.json`, if it has one; `path` is named in errors and not
    /// opened.
    pub fn parse_config(path: &Path, bytes: &[u8]) -> Result<Option<Self>> {
        let config = Config::parse(path, bytes)?;
        let (default, tool_use) = from_config(path, config.chat_template)?;
        match default {
            Some(default) => ChatTemplate::new(default, tool_use, config.special_texts).map(Some),
            None => Ok(None),
        }
    }

    /// A template from its source.
    pub fn new(
        default: String,
        tool_use: Option<String>,
        special_texts: SpecialTexts,
    ) -> Result<Self> {
        for source in [Some(&default), tool_use.as_ref()].into_iter().flatten() {
            template::check(source)?;
        }
        Ok(ChatTemplate {
            default,
            tool_use,
            special_texts,
        })
    }

    /// The text of `chat`. It carries its own BOS where the model wants one: encode it with `Tokenizer::encode`.
    pub fn render(&self, chat: &Chat) -> Result<String> {
        let mut context = chat.variables.clone();
        let texts = &self.special_texts;
        for (name, text) in [
            ("bos_token", &texts.bos),
            ("eos_token", &texts.eos),
            ("pad_token", &texts.pad),
            ("unk_token", &texts.unk),
        ] {
            if let Some(text) = text {
                context.insert(name.to_string(), Value::from(text.as_str()));
            }
        }
        let tools = chat
            .tools
            .map_or(Value::Null, |tools| Value::from(tools.to_vec()));
        context.insert("messages".to_string(), Value::from(chat.messages.to_vec()));
        context.insert("tools".to_string(), tools);
        context.insert("documents".to_string(), Value::Null);
        context.insert(
            "add_generation_prompt".to_string(),
            Value::from(chat.add_generation_prompt),
        );
        let source = self
            .tool_use
            .as_ref()
            .filter(|_| chat.tools.is_some())
            .unwrap_or(&self.default);
        template::render(source, &Value::Object(context), chat.now)
    }
}

/// `chat_template` is a text, or a list of named ones of which `default` is used.
fn from_config(path: &Path, value: Option<Value>) -> Result<(Option<String>, Option<String>)> {
    let list = match value {
        None | Some(Value::Null) => return Ok((None, None)),
        Some(Value::String(text)) => return Ok((Some(text), None)),
        Some(Value::Array(list)) => list,
        Some(_) => {
            return Err(Error::malformed(
                path,
                "chat_template",
                "neither",
                "a text or a list of named texts",
            ));
        }
    };
    let named = |name: &str| {
        let mut entries = list
            .iter()
            .filter(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
        let text = entries
            .next()
            .and_then(|entry| entry.get("template"))
            .and_then(Value::as_str);
        text.map(str::to_string)
    };
    match named("default") {
        Some(default) => Ok((Some(default), named("tool_use"))),
        None => Err(Error::malformed(
            path,
            "chat_template",
            "a list without it",
            "a template named \"default\"",
        )),
    }
}
