//! build.rs from the search for a compiler to the generated table, with stand-ins for nvcc and ptxas: which programs are
//! taken, what is compiled again, and what is refused.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../build/mod.rs"]
mod parts;

mod machine;
mod places;
mod rebuild;
mod refusals;
