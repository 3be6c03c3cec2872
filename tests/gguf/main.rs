//! The GGUF import: dequantisation, conversion, and the refusal of malformed files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

mod cli;
mod convert;
mod dequant;
mod file;
mod malformed_header;
mod malformed_model;
mod round_trip;
