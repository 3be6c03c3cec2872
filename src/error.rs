//! The one error type. A variant carries the file, tensor, op or field and the two values that disagree,
//! so that a refusal says what was wrong, with the numbers and the way out.

use std::path::{Path, PathBuf};

/// What every fallible function of the crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which the engine refuses or fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: "read", "map", "create", ...
        action: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file contradicts its format, its neighbours or itself.
    #[error("{}: {field}: found {found}, expected {expected}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The field, tensor or byte range inside it.
        field: String,
        /// What stands there.
        found: String,
        /// What had to stand there.
        expected: String,
    },
    /// A file asks for something that changes the result and is not built.
    #[error("{}: {field} = {found} is not supported (supported: {supported})", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// The field, tensor or format name.
        field: String,
        /// What stands there.
        found: String,
        /// What would be accepted.
        supported: String,
    },
    /// A count or size is above what the engine accepts before it asks for memory.
    #[error("{what}: {found} is over the limit of {limit}")]
    Limit {
        /// What was counted, with its file where there is one.
        what: String,
        /// The count found.
        found: u64,
        /// The limit (`Limits`).
        limit: u64,
    },
    /// A size computation does not fit in 64 bits.
    #[error("{what}: {a} {op} {b} overflows")]
    Overflow {
        /// What was computed.
        what: String,
        /// Left operand.
        a: u64,
        /// Operator.
        op: char,
        /// Right operand.
        b: u64,
    },
    /// Memory that the system does not have.
    #[error(
        "{what}: {bytes} bytes of memory cannot be had; ask for fewer tokens or a smaller model"
    )]
    Memory {
        /// What it is for.
        what: &'static str,
        /// How much.
        bytes: u64,
    },
    /// A device without room for a model.
    #[error(
        "{device} has no room: {needed} bytes are needed, {room} may be used{parts}\n  {way_out}"
    )]
    NoRoom {
        /// The device.
        device: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes that may be used.
        room: u64,
        /// What they are needed for, a line each.
        parts: String,
        /// The way out.
        way_out: String,
    },
    /// An argument of a command or a field of a request.
    #[error("{field}: found {found}, expected {expected}")]
    Argument {
        /// The flag or field.
        field: String,
        /// What was given.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// A graph whose shapes disagree.
    #[error("{op}: {dim} = {found}, expected {expected}")]
    Shape {
        /// The op's name in the graph.
        op: String,
        /// The named dimension and the operand it comes from.
        dim: String,
        /// The value found.
        found: String,
        /// The value required.
        expected: String,
    },
    /// A value left the range of its type during a run.
    #[error("{op}, row {row}{}: {value} does not fit {dtype} ({hint})", at_column(*column))]
    Range {
        /// The op's name in the plan, layer included.
        op: String,
        /// The row (token of the batch).
        row: usize,
        /// The column (element of the row); those of a key and a value stand behind the query's.
        /// Unknown where only the row is left.
        column: Option<usize>,
        /// The value.
        value: f32,
        /// The type it had to fit.
        dtype: &'static str,
        /// The way out.
        hint: &'static str,
    },
    /// A row of logits that no token can be drawn from.
    #[error("logit of token {token} for position {position}: found {value}, expected {expected}")]
    Logit {
        /// The position whose token was to be drawn.
        position: u32,
        /// The token.
        token: u32,
        /// Its logit, after bias and penalties.
        value: f32,
        /// What is accepted.
        expected: &'static str,
    },
    /// A chat template failed or ran out of its step budget.
    #[error("chat template: {0}")]
    Template(String),
    /// A device refused, failed, or (in the emulator) found a fault in a kernel.
    #[error(transparent)]
    Driver(#[from] crate::driver::DriverError),
    /// The tokenizer failed.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
}

/// How an error names a column, if it is known.
fn at_column(column: Option<usize>) -> String {
    column.map_or_else(String::new, |column| format!(", column {column}"))
}

impl Error {
    /// An I/O failure on `path` while trying to `action` it.
    pub fn io(path: impl Into<PathBuf>, action: &'static str, source: std::io::Error) -> Self {
        Error::Io {
            path: path.into(),
            action,
            source,
        }
    }

    /// A file that contradicts its format.
    pub fn malformed(
        file: impl AsRef<Path>,
        field: impl Into<String>,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Error::Malformed {
            file: file.as_ref().to_path_buf(),
            field: field.into(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// A file that asks for something that is not built.
    pub fn unsupported(
        file: impl AsRef<Path>,
        field: impl Into<String>,
        found: impl ToString,
        supported: impl ToString,
    ) -> Self {
        Error::Unsupported {
            file: file.as_ref().to_path_buf(),
            field: field.into(),
            found: found.to_string(),
            supported: supported.to_string(),
        }
    }

    /// An argument or request field outside what is accepted.
    pub fn argument(
        field: impl Into<String>,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Error::Argument {
            field: field.into(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// The process exit code for this error: 2 argument, 3 unreadable or malformed model, 4 unsupported model,
    /// 5 too large, 1 anything else. 0 is success and 130 an interrupt.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Argument { .. } => 2,
            Error::Io { .. } | Error::Malformed { .. } => 3,
            Error::Unsupported { .. } => 4,
            Error::Limit { .. }
            | Error::Overflow { .. }
            | Error::Memory { .. }
            | Error::NoRoom { .. }
            | Error::Driver(crate::driver::DriverError::OutOfMemory { .. }) => 5,
            Error::Shape { .. }
            | Error::Range { .. }
            | Error::Logit { .. }
            | Error::Template(_)
            | Error::Driver(_)
            | Error::Tokenizer(_) => 1,
        }
    }
}
