//! Which normalizers, pre-tokenizers and post-processors of the `tokenizers` crate are run.
//!
//! Byte-level models need few of them. Others can change a text so that its bytes do not come back, and several panic
//! on values that a file can hold (a fixed length of 0, a template that names a missing token).

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::tokenizer::header::AddedToken;
use crate::tokenizer::packed::Rest;

/// Refuses a normalizer that does more than Unicode normalisation. `stage` is as the file writes it, since the crate
/// panics while it reads some of the others.
pub(crate) fn check_normalizer(path: &Path, stage: &Value) -> Result<()> {
    let allowed = ["NFC", "NFD", "NFKC", "NFKD"];
    parts(path, "normalizer", stage, "normalizers", &allowed).map(drop)
}

/// Refuses what would panic when it is run on a text, or give bytes that are not those of the text. The stages are as the
/// crate understood them, not as the file wrote them.
pub(crate) fn check(path: &Path, rest: &Rest) -> Result<()> {
    check_normalizer(path, &rest.normalizer)?;
    check_pre_tokenizer(path, &rest.pre_tokenizer)?;
    check_post_processor(path, &rest.post_processor)?;
    check_added_tokens(path, &rest.added_tokens)
}

fn check_pre_tokenizer(path: &Path, stage: &Value) -> Result<()> {
    let allowed = ["Split", "ByteLevel"];
    let parts = parts(path, "pre_tokenizer", stage, "pretokenizers", &allowed)?;
    for part in &parts {
        // `\K` moves the start of a match, even behind its end, and the crate slices by both.
        if let Some(regex) = part["pattern"]["Regex"].as_str()
            && regex.contains("\\K")
        {
            let field = "pre_tokenizer, pattern";
            return Err(Error::unsupported(
                path,
                field,
                regex,
                "a regex without \\K",
            ));
        }
    }
    if parts.iter().any(|part| part["type"] == "ByteLevel") {
        Ok(())
    } else {
        Err(Error::unsupported(
            path,
            "pre_tokenizer",
            stage,
            "ByteLevel, alone or after Split",
        ))
    }
}

fn check_post_processor(path: &Path, stage: &Value) -> Result<()> {
    let allowed = ["ByteLevel", "TemplateProcessing"];
    let parts = parts(path, "post_processor", stage, "processors", &allowed)?;
    let mut templates = parts
        .iter()
        .filter(|part| part["type"] == "TemplateProcessing");
    if let Some(template) = templates.next() {
        check_template(path, template)?;
    }
    match templates.count() {
        0 => Ok(()),
        // What one template makes is no single text that a second could take.
        more => Err(Error::unsupported(
            path,
            "post_processor, number of TemplateProcessing",
            more + 1,
            1,
        )),
    }
}

fn check_template(path: &Path, template: &Value) -> Result<()> {
    let pieces = |name: &str| template[name].as_array().map_or(&[][..], Vec::as_slice);
    for name in ["single", "pair"] {
        for piece in pieces(name) {
            if let Some(id) = piece["SpecialToken"]["id"].as_str()
                && template["special_tokens"].get(id).is_none()
            {
                return Err(Error::malformed(
                    path,
                    format!("post_processor.{name}"),
                    format!("special token \"{id}\""),
                    "one of post_processor.special_tokens",
                ));
            }
        }
    }
    let texts: Vec<&str> = pieces("single")
        .iter()
        .filter_map(|piece| piece["Sequence"]["id"].as_str())
        .collect();
    if texts == ["A"] {
        return Ok(());
    }
    Err(Error::malformed(
        path,
        "post_processor.single, sequences",
        format!("{texts:?}"),
        "[\"A\"], the text once",
    ))
}

/// A token with `rstrip` takes the whitespace after it, and the crate does not expect another token in there.
fn check_added_tokens(path: &Path, tokens: &[AddedToken]) -> Result<()> {
    let mut tokens = tokens.iter().map(|added| &added.token);
    let strips = tokens.clone().find(|token| token.rstrip);
    let blank = tokens.find(|token| token.content.starts_with(char::is_whitespace));
    match (strips, blank) {
        (Some(strips), Some(blank)) => Err(Error::unsupported(
            path,
            format!("added_tokens, \"{}\", rstrip", strips.content),
            format!("true beside token {:?}", blank.content),
            "no token that begins with whitespace",
        )),
        _ => Ok(()),
    }
}

/// The parts of `stage`, each of an `allowed` type; a `Sequence` holds others in `list`.
fn parts<'a>(
    path: &Path,
    field: &str,
    stage: &'a Value,
    list: &str,
    allowed: &[&str],
) -> Result<Vec<&'a Value>> {
    let mut found = Vec::new();
    let mut open = vec![stage];
    while let Some(stage) = open.pop() {
        let kind = stage["type"].as_str();
        if let (Some("Sequence"), Some(inner)) = (kind, stage[list].as_array()) {
            open.extend(inner.iter().rev());
        } else if kind.is_some_and(|kind| allowed.contains(&kind)) {
            found.push(stage);
        } else if !stage.is_null() {
            return Err(Error::unsupported(
                path,
                format!("{field}.type"),
                kind.unwrap_or("nothing"),
                format!("Sequence, {}", allowed.join(", ")),
            ));
        }
    }
    Ok(found)
}
