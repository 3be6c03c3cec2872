//! Byte-pair merges over flat tables that are ready as soon as they are read.
//!
//! The `tokenizers` crate keeps vocabulary and merges in hash maps of strings, and its builder needs longer to fill them
//! than a whole start may take. Here tokens and merges stand sorted in a few vectors and nothing is hashed. The merges
//! are applied in the crate's order, so ids are the crate's; normalizer, pre-tokenizer and added tokens stay its own.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::path::{Path, PathBuf};

use tokenizers::models::bpe::BpeTrainer;
use tokenizers::{Model, Token};

/// Two neighbours that become one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Merge {
    pub(crate) left: u32,
    pub(crate) right: u32,
    /// The place in the file's list; of two possible merges the lower one comes first.
    pub(crate) rank: u32,
    /// The token that the two become.
    pub(crate) made: u32,
}

/// What a model is made of, in the order in which it is searched.
pub(crate) struct Tables {
    /// Ids in ascending order, each once.
    pub(crate) ids: Vec<u32>,
    /// End in `text` of the spelling of each of `ids`; it starts where the one before ends.
    pub(crate) ends: Vec<u32>,
    /// The spellings, one after the other.
    pub(crate) text: String,
    /// Indexes of `ids` by ascending spelling.
    pub(crate) by_spelling: Vec<u32>,
    /// By ascending left and right token, each pair once.
    pub(crate) merges: Vec<Merge>,
    /// Whether a word that is itself a token is left whole.
    pub(crate) ignore_merges: bool,
}

/// A byte-pair model for the crate's pipeline.
pub(crate) struct Bpe {
    tables: Tables,
    /// The merges of left token `id` are `first_merge[id]..first_merge[id + 1]`.
    first_merge: Vec<u32>,
    /// Ids of one-character tokens; the byte-level alphabet ends before U+0144.
    letters: [Option<u32>; 0x144],
}

/// A part of a word: a token so far, and its living neighbours.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    /// Bytes of the word; 0 once it has been merged into its left neighbour.
    len: usize,
    before: usize,
    after: usize,
}

/// The index of no symbol.
const NONE: usize = usize::MAX;

/// A merge that may be done: rank, place, token made. The lowest rank comes first, and of equal ones the leftmost.
type Candidate = Reverse<(u32, usize, u32)>;

impl Bpe {
    /// A model over `tables`. No index of them leads outside; that spellings are in order is vouched for by whoever packed
    /// them (a cache entry by its hash), and where they are not, tokens are not found.
    pub(crate) fn new(tables: Tables) -> Self {
        let last = tables.ids.last().copied().unwrap_or(0) as usize;
        let mut first_merge = Vec::with_capacity(last + 2);
        let mut index = 0;
        for id in 0..=last {
            first_merge.push(index);
            let rest = tables.merges.get(index as usize..).unwrap_or_default();
            let row = rest.iter().take_while(|merge| merge.left as usize == id);
            index += row.count() as u32;
        }
        first_merge.push(index);
        let mut bpe = Bpe {
            tables,
            first_merge,
            letters: [None; 0x144],
        };
        bpe.letters = std::array::from_fn(|code| {
            let letter = char::from_u32(code as u32)?;
            bpe.search(letter.encode_utf8(&mut [0; 4]))
        });
        bpe
    }

    /// Ids and spellings, by ascending id.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (u32, &str)> {
        let ids = self.tables.ids.iter().enumerate();
        ids.map(|(index, &id)| (id, self.spelling(index)))
    }

    /// The spelling of the token at `index` of the ids.
    fn spelling(&self, index: usize) -> &str {
        let ends = &self.tables.ends;
        let before = index.checked_sub(1).and_then(|before| ends.get(before));
        let start = before.map_or(0, |&end| end as usize);
        let end = ends.get(index).map_or(start, |&end| end as usize);
        self.tables.text.get(start..end).unwrap_or_default()
    }

    fn search(&self, spelling: &str) -> Option<u32> {
        let order = &self.tables.by_spelling;
        let found = order.binary_search_by(|&index| self.spelling(index as usize).cmp(spelling));
        let index = *order.get(found.ok()?)?;
        self.tables.ids.get(index as usize).copied()
    }

    fn letter(&self, letter: char) -> Option<u32> {
        match self.letters.get(letter as usize) {
            Some(&id) => id,
            None => self.search(letter.encode_utf8(&mut [0; 4])),
        }
    }

    fn merge(&self, left: u32, right: u32) -> Option<&Merge> {
        let left = left as usize;
        let start = *self.first_merge.get(left)? as usize;
        let end = *self.first_merge.get(left + 1)? as usize;
        let row = self.tables.merges.get(start..end)?;
        let found = row.binary_search_by_key(&right, |merge| merge.right);
        row.get(found.ok()?)
    }

    /// The merge of symbol `at` with the one after it.
    fn candidate(&self, symbols: &[Symbol], at: usize) -> Option<Candidate> {
        let left = symbols.get(at)?;
        let right = symbols.get(left.after)?;
        let merge = self.merge(left.id, right.id)?;
        Some(Reverse((merge.rank, at, merge.made)))
    }

    /// Merges until nothing is left to merge. This is the crate's loop, with its test for a candidate that another
    /// merge has overtaken: the two that stand there now must make the same token.
    fn merge_all(&self, symbols: &mut Vec<Symbol>) {
        let mut queue: BinaryHeap<Candidate> = (0..symbols.len())
            .filter_map(|at| self.candidate(symbols, at))
            .collect();
        while let Some(Reverse((_, at, made))) = queue.pop() {
            let Some(left) = symbols.get(at).copied().filter(|left| left.len > 0) else {
                continue;
            };
            let Some(right) = symbols.get(left.after).copied() else {
                continue;
            };
            let current = self.merge(left.id, right.id);
            if current.is_none_or(|merge| merge.made != made) {
                continue;
            }
            if let Some(gone) = symbols.get_mut(left.after) {
                gone.len = 0;
            }
            if let Some(after) = symbols.get_mut(right.after) {
                after.before = at;
            }
            if let Some(symbol) = symbols.get_mut(at) {
                symbol.id = made;
                symbol.len += right.len;
                symbol.after = right.after;
            }
            queue.extend(self.candidate(symbols, left.before));
            queue.extend(self.candidate(symbols, at));
        }
        symbols.retain(|symbol| symbol.len > 0);
    }

    /// One symbol for each character of `word`.
    fn symbols(&self, word: &str) -> tokenizers::Result<Vec<Symbol>> {
        let mut symbols = Vec::with_capacity(word.len());
        for letter in word.chars() {
            let at = symbols.len();
            let id = self.letter(letter);
            symbols.push(Symbol {
                // The alphabet was checked, and the byte-level stage gives nothing else.
                id: id.ok_or_else(|| format!("{letter:?} is outside the byte-level alphabet"))?,
                len: letter.len_utf8(),
                before: at.checked_sub(1).unwrap_or(NONE),
                after: at + 1,
            });
        }
        Ok(symbols)
    }
}

/// A token of a word. Nobody reads the spelling of one, so none is copied.
fn token(id: u32, start: usize, len: usize) -> Token {
    Token::new(id, String::new(), (start, start + len))
}

impl Model for Bpe {
    type Trainer = BpeTrainer;

    fn tokenize(&self, word: &str) -> tokenizers::Result<Vec<Token>> {
        if word.is_empty() {
            return Ok(Vec::new());
        }
        if self.tables.ignore_merges
            && let Some(id) = self.search(word)
        {
            return Ok(vec![token(id, 0, word.len())]);
        }
        let mut symbols = self.symbols(word)?;
        self.merge_all(&mut symbols);
        let mut start = 0;
        let mut tokens = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            tokens.push(token(symbol.id, start, symbol.len));
            start += symbol.len;
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.search(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        let index = self.tables.ids.binary_search(&id).ok()?;
        Some(self.spelling(index).to_string())
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        let tokens = self.tokens();
        tokens
            .map(|(id, spelling)| (spelling.to_string(), id))
            .collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.tables.ids.len()
    }

    fn save(&self, _: &Path, _: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        Err("a tokenizer is read, never saved".into())
    }

    fn get_trainer(&self) -> BpeTrainer {
        BpeTrainer::default()
    }
}
