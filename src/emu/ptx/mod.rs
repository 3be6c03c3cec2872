//! PTX text to a syntax tree. Knows the grammar, not what an instruction means.

mod ast;
mod body;
mod cursor;
mod data;
mod error;
mod form;
mod lexer;
mod literal;
mod operand;
mod parser;
mod scope;
mod source;

pub use ast::{
    Address, Entry, Guard, Instruction, Label, Module, Operand, Param, RegisterDecl, Space, Type,
    Variable,
};
pub use error::ParseError;
pub use form::{form, forms};
pub use parser::parse;
