//! The body of an entry: declarations, labels, scopes and instructions.

use super::cursor::{Cursor, Parsed};
use super::data::{declared_space, ty, variables};
use super::lexer::{Kind, Token};
use super::operand::operand;
use super::scope::Scopes;
use super::source::Sources;
use super::{Entry, Guard, Instruction, Label, RegisterDecl, Space};

/// The most instructions of one entry.
const MAX_INSTRUCTIONS: usize = 1 << 20;
/// The most operands of one instruction.
const MAX_OPERANDS: usize = 16;

/// Reads a body from behind its `{` to its `}`.
pub fn body(cursor: &mut Cursor<'_>, entry: &mut Entry) -> Parsed<()> {
    let mut body = Body {
        cursor,
        entry,
        scopes: Scopes::new(),
        sources: Sources::default(),
    };
    while body.scopes.depth() > 0 {
        body.statement()?;
    }
    Ok(())
}

struct Body<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    entry: &'c mut Entry,
    scopes: Scopes,
    sources: Sources,
}

impl Body<'_, '_> {
    fn statement(&mut self) -> Parsed<()> {
        let token = self.cursor.peek();
        match token.kind {
            Kind::Mark(b'{') => {
                self.cursor.take()?;
                self.scopes.enter(&token, self.entry.body.len())
            }
            Kind::Mark(b'}') => {
                self.cursor.take()?;
                self.scopes.leave(self.entry);
                Ok(())
            }
            // An empty statement: inline assembly often ends with a `;` of its own.
            Kind::Mark(b';') => self.cursor.take().map(|_| ()),
            Kind::Dotted => self.directive(),
            Kind::Mark(b'@') => self.guarded(),
            Kind::Word => {
                self.cursor.take()?;
                if self.cursor.accept(b':')? {
                    return self.label(&token);
                }
                self.instruction(None, token.start, token)
            }
            _ => Err(self
                .cursor
                .unexpected("an instruction, a label, a directive, `{` or `}`")),
        }
    }

    fn directive(&mut self) -> Parsed<()> {
        let token = self.cursor.take()?;
        match token.text {
            ".reg" => self.registers(),
            ".loc" => self.sources.loc(self.cursor),
            ".pragma" => super::parser::pragma(self.cursor),
            ".shared" | ".local" => self.variables(&token),
            _ => Err(token.refuse(format!(
                "{} in a body is not modelled, expected .reg, .shared, .local, .loc or .pragma",
                token.name()
            ))),
        }
    }

    /// `.b32 %r<10>;` or `.pred p, q;`
    fn registers(&mut self) -> Parsed<()> {
        let ty = ty(self.cursor)?;
        loop {
            let name = self.cursor.word("the register's name")?;
            let mut count = None;
            if self.cursor.accept(b'<')? {
                count = Some(self.cursor.number("the number of registers")?);
                self.cursor.expect(b'>', "after the number of registers")?;
            }
            let decl = RegisterDecl {
                name: String::new(),
                count,
                ty,
            };
            let decl = self.scopes.declare_registers(&name, decl)?;
            self.entry.registers.push(decl);
            if !self.cursor.accept(b',')? {
                self.cursor.expect(b';', "after a register declaration")?;
                return Ok(());
            }
        }
    }

    fn variables(&mut self, directive: &Token<'_>) -> Parsed<()> {
        let space = declared_space(directive).unwrap_or(Space::Local);
        for mut variable in variables(self.cursor, space, false)? {
            if !variable.init.is_empty() {
                let what = format!(
                    "`{}` has initial values in {}",
                    variable.name, directive.text
                );
                return Err(directive.refuse(what));
            }
            let name = Token {
                text: &variable.name,
                ..*directive
            };
            variable.name = self.scopes.declare(&name)?;
            self.entry.variables.push(variable);
        }
        Ok(())
    }

    fn label(&mut self, name: &Token<'_>) -> Parsed<()> {
        let name = self.scopes.declare_label(name)?;
        let index = self.entry.body.len();
        self.entry.labels.push(Label { name, index });
        Ok(())
    }

    /// `@p` or `@!p`, and its instruction.
    fn guarded(&mut self) -> Parsed<()> {
        let start = self.cursor.take()?.start;
        let negated = self.cursor.accept(b'!')?;
        let register = self.cursor.word("a predicate register")?.text.to_string();
        let opcode = self.cursor.word("an instruction after its guard")?;
        self.instruction(Some(Guard { register, negated }), start, opcode)
    }

    /// An instruction from behind the first word of its opcode.
    fn instruction(&mut self, guard: Option<Guard>, start: usize, opcode: Token<'_>) -> Parsed<()> {
        if opcode.text == "call" {
            return Err(opcode.refuse("`call` is not modelled: kernels are inlined whole"));
        }
        let mut parts = vec![opcode.text.to_string()];
        while self.cursor.peek().kind == Kind::Dotted {
            parts.push(self.cursor.take()?.text.trim_start_matches('.').to_string());
        }
        let mut operands = Vec::new();
        while !self.cursor.at_mark(b';') {
            if operands.len() == MAX_OPERANDS {
                return Err(self
                    .cursor
                    .unexpected(&format!("at most {MAX_OPERANDS} operands")));
            }
            operands.push(operand(self.cursor)?);
            if !self.cursor.accept(b',')? {
                break;
            }
        }
        let words = self.cursor.taken_since(start).split_whitespace();
        let text = words.collect::<Vec<_>>().join(" ");
        self.cursor.expect(b';', "after an instruction")?;
        if self.entry.body.len() == MAX_INSTRUCTIONS {
            let what = format!("more than {MAX_INSTRUCTIONS} instructions in one entry");
            return Err(opcode.refuse(what));
        }
        let mut instruction = Instruction {
            guard,
            parts,
            operands,
            line: opcode.line,
            loc: self.sources.place,
            call_sites: self.sources.call_sites.clone(),
            text,
        };
        self.scopes.resolve(&mut instruction);
        self.entry.body.push(instruction);
        Ok(())
    }
}
