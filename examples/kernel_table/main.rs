//! Prints the table of what each kernel uses and moves, or the times that follow from it on cards: `tools/kernel-table` puts
//! both where they are committed.

#[path = "../../tests/support/gpu_cases/mod.rs"]
mod gpu_cases;
#[path = "../../tests/support/kernel_table/mod.rs"]
mod kernel_table;

mod cards;
mod checkpoint;
mod hollow;
mod predict;
mod steps;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// What any part of the program may fail with.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Prints what the kernels do, without a GPU
#[derive(Parser, Debug)]
#[command(name = "kernel_table", max_term_width = 100)]
struct Cli {
    /// What to print
    #[arg(value_enum)]
    page: Page,
}

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Page {
    /// Registers, shared memory, occupancy and traffic of every kernel
    Kernels,
    /// Times of each launch and step on cards
    Predictions,
}

fn page(page: Page) -> Result<String> {
    match page {
        Page::Kernels => {
            let rows = kernel_table::measure()?;
            for breach in kernel_table::breaches(&rows) {
                eprintln!("beyond a limit: {breach}");
            }
            Ok(kernel_table::text(&rows))
        }
        Page::Predictions => predict::text(),
    }
}

fn main() -> ExitCode {
    match page(Cli::parse().page) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
