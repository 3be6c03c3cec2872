//! PTX text to a syntax tree. Knows the grammar, not what an instruction means.

mod ast;

pub use ast::{
    Address, Entry, Guard, Instruction, Label, Module, Operand, Param, RegisterDecl, Space, Type,
    Variable,
};
