//! `.loc`: which line of the `.cu` source an instruction comes from, through inlined calls.

use std::collections::HashMap;

use super::cursor::{Cursor, Parsed};
use super::lexer::Kind;

/// File number and line.
pub type Place = (u32, u32);

/// The deepest chain of inlined calls that is followed.
const MAX_INLINED: usize = 16;

/// The `.loc` directives of an entry so far.
#[derive(Debug, Default)]
pub struct Sources {
    /// The place in force.
    pub place: Option<Place>,
    /// Where the code in force was inlined, innermost first.
    pub call_sites: Vec<Place>,
    /// Each place that was inlined, with the call's place. nvcc writes a chain from the outside in.
    inlined_at: HashMap<(u32, u32, u32), (u32, u32, u32)>,
}

impl Sources {
    /// Reads a `.loc` from behind the word.
    pub fn loc(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let at = position(cursor)?;
        // Line 0 is the compiler's way to say that no line made the code.
        self.place = (at.1 > 0).then_some((at.0, at.1));
        self.call_sites.clear();
        self.inlined_at.remove(&at);
        if !cursor.accept(b',')? {
            return Ok(());
        }
        attribute(cursor, "function_name")?;
        cursor.word("the label of the function's name")?;
        if cursor.accept(b'+')? {
            cursor.number("an offset")?;
        }
        cursor.expect(b',', "before `inlined_at`")?;
        attribute(cursor, "inlined_at")?;
        self.inlined_at.insert(at, position(cursor)?);
        let mut next = self.inlined_at.get(&at);
        while let Some(site) = next
            && self.call_sites.len() < MAX_INLINED
        {
            self.call_sites.push((site.0, site.1));
            next = self.inlined_at.get(site);
        }
        Ok(())
    }
}

fn attribute(cursor: &mut Cursor<'_>, word: &str) -> Parsed<()> {
    let token = cursor.peek();
    if token.kind == Kind::Word && token.text == word {
        cursor.take()?;
        return Ok(());
    }
    Err(cursor.unexpected(&format!("`{word}`")))
}

fn position(cursor: &mut Cursor<'_>) -> Parsed<(u32, u32, u32)> {
    let file = cursor.number("a file number")?;
    let line = cursor.number("a line")?;
    Ok((file, line, cursor.number("a column")?))
}
