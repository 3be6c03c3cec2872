//! `{ }` scopes inside an entry. Inline assembly declares registers and labels of its own there; each is renamed to
//! `N#name`, N the scope's number, so that names are unique in the entry and `#` keeps them apart from PTX's own.

use std::collections::{HashMap, HashSet};

use super::lexer::Token;
use super::{Address, Entry, Instruction, Operand, ParseError, RegisterDecl};

/// The deepest nesting of scopes.
const MAX_DEPTH: usize = 32;
/// The most registers that one entry may declare.
const MAX_REGISTERS: u64 = 1 << 17;

/// The scopes that are open at a place of an entry's body; the outermost is the body itself.
#[derive(Debug)]
pub struct Scopes {
    open: Vec<Scope>,
    made: u32,
    registers: u64,
}

#[derive(Debug, Default)]
struct Scope {
    /// What stands before its names: empty for the body.
    prefix: String,
    names: HashSet<String>,
    /// `%r` of `%r<10>`, with the 10.
    ranges: HashMap<String, u32>,
    labels: HashSet<String>,
    /// Index in the entry's body of its first instruction.
    start: usize,
}

impl Scope {
    fn declares(&self, name: &str) -> bool {
        self.names.contains(name)
            || split_index(name).is_some_and(|(prefix, index)| {
                self.ranges.get(prefix).is_some_and(|count| index < *count)
            })
    }
}

/// `%r12` as `%r` and 12; a number with a leading zero is a part of the name.
fn split_index(name: &str) -> Option<(&str, u32)> {
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.get(letters.len()..)?;
    let canonical = digits == "0" || !digits.starts_with('0');
    Some((letters, digits.parse().ok().filter(|_| canonical)?))
}

impl Scopes {
    /// The scope of a body.
    pub fn new() -> Self {
        Scopes {
            open: vec![Scope::default()],
            made: 0,
            registers: 0,
        }
    }

    /// How many are open; 1 in the body itself.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// Opens a scope at the instruction with this index.
    pub fn enter(&mut self, brace: &Token<'_>, start: usize) -> Result<(), ParseError> {
        if self.open.len() == MAX_DEPTH {
            return Err(brace.refuse(format!("more than {MAX_DEPTH} nested scopes")));
        }
        self.made += 1;
        self.open.push(Scope {
            prefix: format!("{}#", self.made),
            start,
            ..Scope::default()
        });
        Ok(())
    }

    /// Closes the innermost scope: jumps to its labels, which may stand before them, get the labels' unique names.
    pub fn leave(&mut self, entry: &mut Entry) {
        let Some(scope) = self.open.pop() else {
            return;
        };
        if scope.labels.is_empty() {
            return;
        }
        let inside = entry.body.iter_mut().skip(scope.start);
        for operand in inside.flat_map(|instruction| &mut instruction.operands) {
            if let Operand::Name(name) = operand
                && scope.labels.contains(name)
            {
                name.insert_str(0, &scope.prefix);
            }
        }
    }

    /// Declares a register or variable in the innermost scope and gives its unique name.
    pub fn declare(&mut self, name: &Token<'_>) -> Result<String, ParseError> {
        let text = name.text;
        let taken = self.open.last().is_none_or(|scope| {
            scope.declares(text) || scope.ranges.contains_key(text) || scope.labels.contains(text)
        });
        match self.open.last_mut() {
            Some(scope) if !taken => {
                scope.names.insert(text.to_string());
                Ok(format!("{}{text}", scope.prefix))
            }
            _ => Err(name.refuse(format!("{} is declared twice", name.name()))),
        }
    }

    /// Declares registers.
    pub fn declare_registers(
        &mut self,
        name: &Token<'_>,
        decl: RegisterDecl,
    ) -> Result<RegisterDecl, ParseError> {
        self.registers += u64::from(decl.count.unwrap_or(1));
        if self.registers > MAX_REGISTERS {
            let what = format!("{} registers, at most {MAX_REGISTERS}", self.registers);
            return Err(name.refuse(what));
        }
        let unique = self.declare(name)?;
        if let (Some(count), Some(scope)) = (decl.count, self.open.last_mut()) {
            scope.names.remove(name.text);
            let overlaps = |other: &String| {
                split_index(other).is_some_and(|(prefix, i)| prefix == name.text && i < count)
            };
            if scope.names.iter().chain(&scope.labels).any(overlaps) {
                let what = format!("a register of {}<{count}> is declared twice", name.name());
                return Err(name.refuse(what));
            }
            scope.ranges.insert(name.text.to_string(), count);
        }
        Ok(RegisterDecl {
            name: unique,
            ..decl
        })
    }

    /// Declares a label in the innermost scope and gives its unique name.
    pub fn declare_label(&mut self, name: &Token<'_>) -> Result<String, ParseError> {
        let unique = self.declare(name)?;
        if let Some(scope) = self.open.last_mut() {
            scope.names.remove(name.text);
            scope.labels.insert(name.text.to_string());
        }
        Ok(unique)
    }

    /// Gives an instruction's registers and variables their unique names.
    pub fn resolve(&self, instruction: &mut Instruction) {
        if let Some(guard) = &mut instruction.guard {
            self.rename(&mut guard.register);
        }
        for operand in &mut instruction.operands {
            match operand {
                Operand::Vector(elements) => elements.iter_mut().for_each(|e| self.operand(e)),
                other => self.operand(other),
            }
        }
    }

    fn operand(&self, operand: &mut Operand) {
        match operand {
            Operand::Name(name)
            | Operand::Not(name)
            | Operand::Address(Address {
                base: Some(name), ..
            }) => self.rename(name),
            Operand::Pair(first, second) => {
                self.rename(first);
                self.rename(second);
            }
            _ => {}
        }
    }

    fn rename(&self, name: &mut String) {
        let inner = self.open.iter().rev().find(|scope| scope.declares(name));
        if let Some(scope) = inner {
            name.insert_str(0, &scope.prefix);
        }
    }
}
