//! What `tokenizer.json` must hold before the `tokenizers` crate reads it.
//!
//! The crate trusts some fields and panics while it reads them when they are wrong, so they are looked at first. The
//! vocabulary and the merges are only measured: nothing of their size is built.

use std::fmt;
use std::path::Path;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::tokenizer::stages;

/// The fields that are read here. A field that stands twice is refused, so the crate cannot see another one.
#[derive(Deserialize)]
pub(crate) struct Header {
    #[serde(default)]
    pub(crate) added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

/// An added token as the file numbers it.
#[derive(Serialize, Deserialize)]
pub(crate) struct AddedToken {
    pub(crate) id: u32,
    #[serde(flatten)]
    pub(crate) token: tokenizers::AddedToken,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    vocab: Longest,
    #[serde(default)]
    merges: LongestMerge,
}

impl Header {
    /// Refuses what the crate could not read without a panic.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        let model = &self.model;
        if model.kind.as_deref() != Some("BPE") {
            let found = model.kind.as_deref().unwrap_or("nothing");
            return Err(Error::unsupported(path, "model.type", found, "BPE"));
        }
        for (field, text) in [
            (
                "model.continuing_subword_prefix",
                &model.continuing_subword_prefix,
            ),
            ("model.end_of_word_suffix", &model.end_of_word_suffix),
        ] {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                return Err(Error::unsupported(
                    path,
                    field,
                    format!("\"{text}\""),
                    "none: byte-level tokens have neither",
                ));
            }
        }
        // The crate joins a merge in a buffer of the longest token's size.
        let (longest, merge) = (model.vocab.0, &model.merges);
        if merge.bytes > longest {
            return Err(Error::malformed(
                path,
                format!("model.merges[{}]", merge.index),
                format!("a token of {} bytes", merge.bytes),
                format!("at most {longest}, the longest of model.vocab"),
            ));
        }
        let decoder = self.decoder.get("type").and_then(Value::as_str);
        if decoder != Some("ByteLevel") {
            let found = decoder.unwrap_or("nothing");
            return Err(Error::unsupported(path, "decoder.type", found, "ByteLevel"));
        }
        stages::check_normalizer(path, &self.normalizer)
    }
}

/// Bytes of a text.
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Length;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E>(self, text: &str) -> std::result::Result<Length, E> {
                Ok(Length(text.len()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Bytes of the longest key of a map.
#[derive(Default)]
struct Longest(usize);

impl<'de> Deserialize<'de> for Longest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Vocabulary;
        impl<'de> Visitor<'de> for Vocabulary {
            type Value = Longest;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a vocabulary")
            }
            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Longest, A::Error> {
                let mut longest = 0;
                while let Some((Length(bytes), IgnoredAny)) = map.next_entry()? {
                    longest = longest.max(bytes);
                }
                Ok(Longest(longest))
            }
            // Other models write lists; they are refused by their type.
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Longest, A::Error> {
                while let Some(IgnoredAny) = list.next_element()? {}
                Ok(Longest(0))
            }
        }
        deserializer.deserialize_any(Vocabulary)
    }
}

/// Bytes of the longest token that a merge makes, and which merge it is.
#[derive(Default)]
struct LongestMerge {
    bytes: usize,
    index: usize,
}

/// Bytes of what a merge makes. It is a pair, or in older files one text with a space between the two.
struct MergeLength(usize);

impl<'de> Deserialize<'de> for MergeLength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Merge;
        impl<'de> Visitor<'de> for Merge {
            type Value = MergeLength;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a merge")
            }
            fn visit_str<E>(self, text: &str) -> std::result::Result<MergeLength, E> {
                // The crate skips the version line of a merges file.
                let bytes = match text.starts_with("#version") {
                    true => 0,
                    false => text.len().saturating_sub(1),
                };
                Ok(MergeLength(bytes))
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut pair: A,
            ) -> std::result::Result<MergeLength, A::Error> {
                let mut bytes = 0;
                while let Some(Length(part)) = pair.next_element()? {
                    bytes += part;
                }
                Ok(MergeLength(bytes))
            }
        }
        deserializer.deserialize_any(Merge)
    }
}

impl<'de> Deserialize<'de> for LongestMerge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Merges;
        impl<'de> Visitor<'de> for Merges {
            type Value = LongestMerge;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of merges")
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<LongestMerge, A::Error> {
                let mut longest = LongestMerge::default();
                let mut index = 0;
                while let Some(MergeLength(bytes)) = list.next_element()? {
                    if bytes > longest.bytes {
                        longest = LongestMerge { bytes, index };
                    }
                    index += 1;
                }
                Ok(longest)
            }
        }
        deserializer.deserialize_seq(Merges)
    }
}
