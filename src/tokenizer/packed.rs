//! The compact form of a tokenizer: everything that is used of a `tokenizer.json`, in a form that needs no parsing.
//!
//! Every tokenizer is made from this form, whether its bytes were packed a moment ago or come from the cache, so the two
//! cannot differ. Little-endian throughout:
//!
//! ```text
//! u32 tokens, merges, bytes of text, bytes of JSON
//! u32 id, end of spelling, index by spelling    [tokens] each
//! u32 left, right, rank, made                   [merges]
//! text, JSON
//! ```

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::limits::{LIMITS, Limits, Size};
use crate::tokenizer::bpe::{Merge, Tables};
use crate::tokenizer::header::AddedToken;

/// The small part: stages as the crate writes them, and added tokens in the order of the file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Rest {
    pub(crate) ignore_merges: bool,
    pub(crate) normalizer: Value,
    pub(crate) pre_tokenizer: Value,
    pub(crate) post_processor: Value,
    pub(crate) added_tokens: Vec<AddedToken>,
}

/// Packs a vocabulary, merges in the order of their rank, and the rest of a file at `path`.
pub(crate) fn pack(
    path: &Path,
    vocab: &HashMap<String, u32>,
    merges: &[(String, String)],
    rest: &Rest,
) -> Result<Vec<u8>> {
    let mut tokens: Vec<(u32, &str)> = vocab.iter().map(|(text, &id)| (id, &**text)).collect();
    tokens.sort_unstable();
    check_ids(path, &tokens)?;
    let mut by_spelling: Vec<(&str, usize)> = tokens.iter().map(|token| token.1).zip(0..).collect();
    by_spelling.sort_unstable();
    let merges = resolve(path, vocab, merges)?;
    let rest = serde_json::to_vec(rest).map_err(|e| failed(path, &e))?;
    let text: usize = tokens.iter().map(|(_, text)| text.len()).sum();

    let mut bytes = Vec::new();
    let mut put = |value: usize| -> Result<()> {
        let value = u32::try_from(value).map_err(|_| Error::Limit {
            what: format!("{}: bytes of one part", path.display()),
            found: value as u64,
            limit: u64::from(u32::MAX),
        })?;
        bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    };
    for count in [tokens.len(), merges.len(), text, rest.len()] {
        put(count)?;
    }
    for (id, _) in &tokens {
        put(*id as usize)?;
    }
    let mut end = 0;
    for (_, spelling) in &tokens {
        end += spelling.len();
        put(end)?;
    }
    for (_, index) in by_spelling {
        put(index)?;
    }
    for merge in merges {
        for value in [merge.left, merge.right, merge.rank, merge.made] {
            put(value as usize)?;
        }
    }
    for (_, spelling) in &tokens {
        bytes.extend_from_slice(spelling.as_bytes());
    }
    bytes.extend_from_slice(&rest);
    Ok(bytes)
}

/// Refuses an id that is too large or that two tokens claim; `tokens` are sorted by it.
fn check_ids(path: &Path, tokens: &[(u32, &str)]) -> Result<()> {
    for pair in tokens.windows(2) {
        if let [(id, first), (other, second)] = pair
            && id == other
        {
            let found = format!("\"{first}\" and \"{second}\"");
            return Err(Error::malformed(
                path,
                format!("token id {id}"),
                found,
                "one token",
            ));
        }
    }
    let largest = tokens.last().map_or(0, |token| token.0);
    let what = format!("{}: token id", path.display());
    Limits::check(what, u64::from(largest), LIMITS.vocab - 1)?;
    Ok(())
}

/// The merges by ids, sorted. Of a pair that stands twice the later rank counts, as in the crate.
fn resolve(
    path: &Path,
    vocab: &HashMap<String, u32>,
    merges: &[(String, String)],
) -> Result<Vec<Merge>> {
    let id = |rank: u32, token: &str| {
        let field = || format!("model.merges[{rank}]");
        let unknown = || Error::malformed(path, field(), token, "a token of model.vocab");
        vocab.get(token).copied().ok_or_else(unknown)
    };
    let mut found = Vec::with_capacity(merges.len());
    let mut made = String::new();
    for (rank, (left, right)) in (0u32..).zip(merges) {
        made.clear();
        made.push_str(left);
        made.push_str(right);
        found.push(Merge {
            left: id(rank, left)?,
            right: id(rank, right)?,
            rank,
            made: id(rank, &made)?,
        });
    }
    found.sort_unstable_by_key(|merge| (merge.left, merge.right, std::cmp::Reverse(merge.rank)));
    found.dedup_by_key(|merge| (merge.left, merge.right));
    Ok(found)
}

/// Reads what `pack` wrote. Nothing in `bytes` is trusted: lengths are compared with what is there before memory is
/// asked for, and an index that would lead outside a table is an error.
pub(crate) fn unpack(path: &Path, bytes: &[u8]) -> Result<(Tables, Rest)> {
    let mut reader = Reader { path, bytes };
    let [tokens, merges, text, json] = [(); 4].map(|()| reader.number());
    let (tokens, merges, text, json) = (tokens?, merges?, text?, json?);
    let numbers = Size::new(tokens.into()).times(3, "packed tokens")?.plus(
        Size::new(merges.into()).times(4, "packed merges")?.get(),
        "packed numbers",
    )?;
    let expected = numbers.times(4, "packed bytes")?;
    let expected = expected.plus(u64::from(text) + u64::from(json), "packed bytes")?;
    if reader.bytes.len() as u64 != expected.get() {
        return Err(bad(path, "length", reader.bytes.len(), expected.get()));
    }
    let ids = reader.numbers(tokens)?;
    let ends = reader.numbers(tokens)?;
    let by_spelling = reader.numbers(tokens)?;
    let merges = reader.merges(merges)?;
    let text = std::str::from_utf8(reader.take(text as usize)?)
        .map_err(|e| bad(path, "text", e, "UTF-8"))?;
    let rest: Rest = serde_json::from_slice(reader.bytes).map_err(|e| failed(path, &e))?;
    let tables = Tables {
        ids,
        ends,
        text: text.to_string(),
        by_spelling,
        merges,
        ignore_merges: rest.ignore_merges,
    };
    check_order(path, &tables)?;
    Ok((tables, rest))
}

fn check_order(path: &Path, tables: &Tables) -> Result<()> {
    let ascending = |list: &[u32]| list.is_sorted_by(|a, b| a < b);
    let last = tables.ids.last().copied().unwrap_or(0);
    if !ascending(&tables.ids) || u64::from(last) >= LIMITS.vocab {
        let expected = format!("ascending and below {}", LIMITS.vocab);
        return Err(bad(path, "ids", format!("up to {last}"), expected));
    }
    let text = &tables.text;
    let cut = |&end: &u32| !text.is_char_boundary(end as usize);
    let whole = tables.ends.last().map_or(0, |&end| end as usize) == text.len();
    if !tables.ends.is_sorted() || !whole || tables.ends.iter().any(cut) {
        return Err(bad(path, "spellings", "ends that cut", "whole characters"));
    }
    let count = tables.ids.len();
    let outside = |&&index: &&u32| index as usize >= count;
    if let Some(index) = tables.by_spelling.iter().find(outside) {
        let expected = format!("below {count}");
        return Err(bad(path, "index by spelling", index, expected));
    }
    let pair = |merge: &Merge| (merge.left, merge.right);
    let unknown = |merge: &Merge| merge.left.max(merge.right).max(merge.made) > last;
    let sorted = tables.merges.is_sorted_by(|a, b| pair(a) < pair(b));
    if !sorted || tables.merges.iter().any(unknown) {
        let expected = format!("ascending, of tokens up to {last}");
        return Err(bad(path, "merges", "another order or token", expected));
    }
    Ok(())
}

struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let split = self.bytes.split_at_checked(count);
        let (taken, rest) = split.ok_or_else(|| bad(self.path, "bytes", "the end", count))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32> {
        Ok(self.numbers(1)?.first().copied().unwrap_or(0))
    }

    fn numbers(&mut self, count: u32) -> Result<Vec<u32>> {
        let (words, _) = self.take(count as usize * 4)?.as_chunks();
        Ok(words.iter().map(|word| u32::from_le_bytes(*word)).collect())
    }

    fn merges(&mut self, count: u32) -> Result<Vec<Merge>> {
        let (rows, _) = self.take(count as usize * 16)?.as_chunks::<16>();
        let merge = |row: &[u8; 16]| {
            // One little-endian number of 128 bits is the four of 32 in a row.
            let row = u128::from_le_bytes(*row);
            Merge {
                left: row as u32,
                right: (row >> 32) as u32,
                rank: (row >> 64) as u32,
                made: (row >> 96) as u32,
            }
        };
        Ok(rows.iter().map(merge).collect())
    }
}

fn bad(path: &Path, part: &str, found: impl ToString, expected: impl ToString) -> Error {
    Error::malformed(path, format!("packed tokenizer, {part}"), found, expected)
}

fn failed(path: &Path, error: &serde_json::Error) -> Error {
    Error::Tokenizer(format!("{}: {error}", path.display()))
}
