//! What the emulator remembers about memory so that it finds what a GPU hides. Knows no PTX: the executor tells it which
//! lanes touched which bytes, and what ordered whom.

mod access;
mod cells;
mod clocks;
mod lanes;
mod pending;
mod written;

pub use access::{Access, Conflict, Kind, Request, Strength};
pub use cells::{Cells, first_conflict};
pub use clocks::{Clocks, Exchange, Finer, Location, Scope};
pub use lanes::{Lanes, Pattern};
pub use pending::{Landed, Pending, PendingCopy};
pub use written::Written;
