//! Why a PTX text was refused, and where.

/// A refusal: what stands at a place of the text and what is accepted there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ParseError {
    /// Line of the text, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// What was found and what is accepted.
    pub what: String,
}
