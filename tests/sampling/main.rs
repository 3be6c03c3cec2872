//! The sampler against a plain f64 reference, the penalties against their formulas, the draws against their
//! probabilities, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod chi_square;
mod draws;
mod filters;
mod penalties;
mod reference;
mod refusals;
mod rows;
