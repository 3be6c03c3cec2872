//! Syntax trees to decoded programs: names to registers, labels to indices, virtual registers to rows.

mod allocate;
mod alu;
mod control;
mod decoded;
mod error;
mod families;
mod finish;
mod flow;
mod inst;
mod layout;
mod memory;
mod module;
mod parts;
mod resolve;
mod sync;

pub use decoded::{Decoded, PredSource, Source, Virtual};
pub use error::DecodeError;
pub use inst::{GuardSlot, Inst, Origin, ParamPlace, Pred, Program};
pub use module::decode_module;
pub use resolve::{AddressSource, Place, Resolver};

/// An error that concerns the whole module.
fn module_error(what: String) -> DecodeError {
    DecodeError {
        line: 0,
        text: String::new(),
        what,
    }
}
