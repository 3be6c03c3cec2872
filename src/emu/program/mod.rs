//! Syntax trees to decoded programs: names to registers, labels to indices, virtual registers to rows.

mod decoded;
mod error;
mod inst;
mod resolve;

pub use decoded::{Decoded, PredSource, Source, Virtual};
pub use error::DecodeError;
pub use inst::{GuardSlot, Inst, Origin, ParamPlace, Pred, Program};
pub use resolve::{AddressSource, Place, Resolver};
