//! Running decoded programs.
