//! Kernel signatures from the text of a `.cu` file. The grammar is narrow on purpose: whatever it does not know fails the
//! build with its place, so that a launch stub is never a guess.

use super::lex::{Token, Tokens, tokens};
use super::types::{TYPES, Type, names};

/// What a parameter is to its kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// `const T*`.
    In,
    /// `T*`.
    Out,
    /// `T*` with `inout` in its comment.
    InOut,
    /// By value.
    Scalar,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// How it is passed.
    pub pass: Pass,
    /// Its type, or what it points to.
    pub of: Type,
    /// The `//` comment of its line: its shape.
    pub comment: String,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: u32,
    /// Most threads of a CTA.
    pub launch_bounds: Option<u32>,
    /// Its parameters in order.
    pub params: Vec<Param>,
}

const FORM: &str =
    "extern \"C\" __global__ void [__launch_bounds__(N[, M])] name(parameters) { ... }";

/// Words that would not be a name in the stub.
const TAKEN: [&str; 38] = [
    "as", "async", "await", "box", "crate", "dyn", "enum", "fn", "gen", "geometry", "impl", "in",
    "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "self", "static", "struct", "super", "trait", "try", "type", "unsafe", "unsized", "use",
    "where", "yield", "abstract", "args", "final",
];

/// Every kernel of `file`, whose text is `text`.
pub fn signatures(file: &str, text: &str) -> Result<Vec<Signature>, String> {
    let tokens = tokens(text);
    let mut found: Vec<Signature> = Vec::new();
    for at in 0..tokens.list.len() {
        if !tokens.is_word(at, "__global__") {
            continue;
        }
        let mut reader = Reader {
            file,
            tokens: &tokens,
            at,
        };
        let external = at >= 2 && tokens.is_word(at - 2, "extern");
        if !external || tokens.list[at - 1].0 != Token::Text("C".to_string()) {
            return Err(reader.error("a kernel that is not extern \"C\"", FORM));
        }
        let signature = reader.signature()?;
        if found.iter().any(|other| other.name == signature.name) {
            let what = format!("a second `{}`", signature.name);
            return Err(reader.error(&what, "one kernel of a name"));
        }
        found.push(signature);
    }
    if found.is_empty() {
        return Err(format!("{file}: no kernel; expected {FORM}"));
    }
    Ok(found)
}

impl Tokens {
    fn is_word(&self, at: usize, word: &str) -> bool {
        matches!(self.list.get(at), Some((Token::Word(found), _)) if found == word)
    }
}

struct Reader<'a> {
    file: &'a str,
    tokens: &'a Tokens,
    at: usize,
}

impl Reader<'_> {
    fn signature(&mut self) -> Result<Signature, String> {
        self.at += 1;
        self.word("void")?;
        let launch_bounds = self.launch_bounds()?;
        let line = self.line();
        let name = self.name("the kernel's name")?;
        self.mark('(')?;
        let mut params = Vec::new();
        loop {
            let param = self.param()?;
            if params.iter().any(|other: &Param| other.name == param.name) {
                let what = format!("a second parameter `{}`", param.name);
                return Err(self.error(&what, "one of a name"));
            }
            params.push(param);
            if !self.skip_mark(',') {
                break;
            }
        }
        self.mark(')')?;
        self.mark('{')?;
        Ok(Signature {
            name,
            line,
            launch_bounds,
            params,
        })
    }

    fn launch_bounds(&mut self) -> Result<Option<u32>, String> {
        if !self.skip_word("__launch_bounds__") {
            return Ok(None);
        }
        self.mark('(')?;
        let threads = self.number()?;
        if self.skip_mark(',') {
            self.number()?;
        }
        self.mark(')')?;
        Ok(Some(threads))
    }

    fn param(&mut self) -> Result<Param, String> {
        let constant = self.skip_word("const");
        let of = self.of_type()?;
        let pointer = self.skip_mark('*');
        if pointer {
            // The second stands for the first on some targets: see cuda/common/follow.cuh.
            let _ = self.skip_word("__restrict__") || self.skip_word("BY_SEQUENCE");
        } else if constant || !of.by_value {
            let types = names(|t| t.by_value);
            let what = format!("`{}` by value", of.c);
            return Err(self.error(&what, &format!("a pointer, or by value one of {types}")));
        }
        let line = self.line();
        let name = self.name("a parameter's name")?;
        let comment = self.comment(line)?;
        let inout = comment
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| word == "inout");
        let pass = match (pointer, constant, inout) {
            (true, false, true) => Pass::InOut,
            (true, false, false) => Pass::Out,
            (true, true, false) => Pass::In,
            (false, _, false) => Pass::Scalar,
            (_, _, true) => {
                let what = format!("`inout` at `{name}`");
                return Err(self.error(&what, "`inout` only at a pointer that is not const"));
            }
        };
        if pointer && comment.is_empty() {
            let what = format!("no comment at `{name}`");
            return Err(self.error(&what, "`// (rows, n)`, the shape, on the parameter's line"));
        }
        Ok(Param {
            name,
            pass,
            of,
            comment,
        })
    }

    /// The longest type that the next words spell.
    fn of_type(&mut self) -> Result<Type, String> {
        let spelled = TYPES.iter().filter(|t| {
            let words = t.c.split(' ').enumerate();
            words
                .into_iter()
                .all(|(offset, word)| self.tokens.is_word(self.at + offset, word))
        });
        match spelled.max_by_key(|t| t.c.len()) {
            Some(found) => {
                self.at += found.c.split(' ').count();
                Ok(*found)
            }
            None => Err(self.unexpected(&format!("one of {}", names(|_| true)))),
        }
    }

    /// The comment of the line that a parameter's name is on.
    fn comment(&self, line: u32) -> Result<String, String> {
        let Some(comment) = self.tokens.comments.get(&line) else {
            return Ok(String::new());
        };
        // Another name after a comma on the same line would share the comment, and so its shape and direction.
        let next = self.tokens.list.get(self.at + 1);
        let before = self.tokens.list[..self.at]
            .iter()
            .rev()
            .take_while(|(_, at)| *at == line);
        let shared = before
            .into_iter()
            .any(|(token, _)| *token == Token::Mark(','))
            || (self.is_mark(',') && next.is_some_and(|(_, at)| *at == line));
        if shared {
            return Err(format!(
                "{}:{line}: a comment on a line with several parameters; expected one parameter a line",
                self.file
            ));
        }
        Ok(comment.clone())
    }

    fn name(&mut self, what: &str) -> Result<String, String> {
        match self.tokens.list.get(self.at) {
            Some((Token::Word(word), _))
                if word.starts_with(|c: char| c.is_ascii_lowercase())
                    && !TAKEN.contains(&word.as_str()) =>
            {
                self.at += 1;
                Ok(word.clone())
            }
            _ => Err(self.unexpected(&format!("{what}, lower case and no word of Rust"))),
        }
    }

    fn number(&mut self) -> Result<u32, String> {
        let number = match self.tokens.list.get(self.at) {
            Some((Token::Word(word), _)) => word.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.unexpected("a number"))?;
        self.at += 1;
        Ok(number)
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        match self.skip_word(word) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{word}`"))),
        }
    }

    fn mark(&mut self, mark: char) -> Result<(), String> {
        match self.skip_mark(mark) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{mark}`"))),
        }
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let found = self.tokens.is_word(self.at, word);
        self.at += usize::from(found);
        found
    }

    fn skip_mark(&mut self, mark: char) -> bool {
        let found = self.is_mark(mark);
        self.at += usize::from(found);
        found
    }

    fn is_mark(&self, mark: char) -> bool {
        matches!(self.tokens.list.get(self.at), Some((Token::Mark(found), _)) if *found == mark)
    }

    fn line(&self) -> u32 {
        let last = self.tokens.list.last();
        let token = self.tokens.list.get(self.at).or(last);
        token.map_or(1, |(_, line)| *line)
    }

    fn unexpected(&self, expected: &str) -> String {
        let found = match self.tokens.list.get(self.at) {
            Some((Token::Word(word), _)) => format!("`{word}`"),
            Some((Token::Text(text), _)) => format!("`\"{text}\"`"),
            Some((Token::Mark(mark), _)) => format!("`{mark}`"),
            None => "the end of the file".to_string(),
        };
        self.error(&found, &format!("{expected}, in {FORM}"))
    }

    fn error(&self, found: &str, expected: &str) -> String {
        format!(
            "{}:{}: found {found}, expected {expected}",
            self.file,
            self.line()
        )
    }
}
