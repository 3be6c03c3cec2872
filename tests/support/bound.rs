//! How far a result may be from the f64 reference: the bound that `qwarp diff` uses too.
#![allow(unused_imports, reason = "each program uses its own part")]

pub use qwarp::backend::bound::{Arithmetic, Bound};
