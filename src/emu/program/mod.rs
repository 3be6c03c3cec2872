//! Syntax trees to decoded programs.
