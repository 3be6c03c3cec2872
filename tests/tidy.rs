//! House rules that a program can see, as an ordinary test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every Rust file of the package, relative to its root, with its text.
fn sources() -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches", "examples", "build"]
        .map(|f| Path::new(ROOT).join(f))
        .into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(ROOT)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .replace('\\', "/");
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(files.len() > 80, "only {} files found", files.len());
    files
}

#[test]
fn files_are_small_and_say_what_they_are() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 500, "{name}: {lines} lines");
        assert!(text.starts_with("//!"), "{name}: no //! line on top");
        for word in ["TODO", "FIXME", "XXX", "HACK"] {
            let found = text.contains(word) && name != "tests/tidy.rs";
            assert!(!found, "{name}: {word}");
        }
        assert!(
            !text.contains("#[ignore") || name == "tests/tidy.rs",
            "{name}: an ignored test"
        );
    }
}

#[test]
fn unsafe_stands_only_where_it_may() {
    let allowed = [
        "src/checkpoint/mmap.rs",
        "src/backend/cpu/simd/",
        "src/backend/cpu/memory.rs",
        "src/backend/cpu/kv_cache.rs",
        "src/backend/cpu/attention.rs",
        "src/backend/cpu/exec.rs",
        "src/backend/cpu/linear.rs",
        "src/backend/cpu/mod.rs",
        "src/backend/cpu/pool.rs",
        "src/driver/cuda/",
        // The choice between the two compilations of lane arithmetic.
        "src/emu/exec/alu/code.rs",
        // A counting allocator cannot be written without it.
        "examples/",
        // Calls the cache as the executor does.
        "tests/definition_attention.rs",
        "tests/tidy.rs",
    ];
    let mut seen = 0;
    for (name, text) in sources() {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        if code.clone().any(|line| line.contains("unsafe ")) {
            assert!(
                allowed.iter().any(|place| name.starts_with(place)),
                "{name}: unsafe"
            );
            seen += 1;
        }
    }
    assert!(seen >= 8, "the rule looked at {seen} files with unsafe");
}

/// Folders name only what is below them.
#[test]
fn arrows_point_down() {
    let forbidden: &[(&str, &[&str])] = &[
        (
            "src/graph/",
            &[
                "crate::backend",
                "crate::engine",
                "crate::model",
                "crate::checkpoint",
                "crate::tokenizer",
            ],
        ),
        (
            "src/model/",
            &["crate::backend", "crate::engine", "crate::tokenizer"],
        ),
        (
            "src/backend/",
            &["crate::model", "crate::engine", "crate::tokenizer"],
        ),
        (
            "src/kv/",
            &[
                "crate::backend",
                "crate::engine",
                "crate::graph",
                "crate::model",
            ],
        ),
        (
            "src/checkpoint/",
            &["crate::backend", "crate::engine", "crate::model"],
        ),
        (
            "src/tokenizer/",
            &[
                "crate::backend",
                "crate::engine",
                "crate::graph",
                "crate::model",
            ],
        ),
        (
            "src/driver/",
            &[
                "crate::backend",
                "crate::graph",
                "crate::model",
                "crate::engine",
            ],
        ),
        (
            "src/emu/",
            &[
                "crate::backend",
                "crate::graph",
                "crate::model",
                "crate::engine",
                "crate::DType",
            ],
        ),
        (
            "src/emu/ptx/",
            &["crate::emu::op", "crate::emu::program", "crate::emu::exec"],
        ),
        ("src/emu/op/", &["crate::emu::program", "crate::emu::exec"]),
        (
            "src/emu/program/",
            &["crate::emu::exec", "crate::emu::check"],
        ),
        (
            "src/emu/check/",
            &["crate::emu::exec", "crate::emu::program"],
        ),
        (
            "src/engine/scheduler.rs",
            &["crate::backend::cpu", "std::time", "crate::checkpoint"],
        ),
    ];
    for (folder, names) in forbidden {
        let mut files = 0;
        for (name, text) in sources()
            .iter()
            .filter(|(name, _)| name.starts_with(folder))
        {
            files += 1;
            for forbidden in *names {
                assert!(!text.contains(forbidden), "{name} names {forbidden}");
            }
        }
        assert!(files > 0, "{folder} is gone");
    }
}

#[test]
fn the_environment_is_read_only_by_programs() {
    for (name, text) in sources() {
        if name.starts_with("src/") && !name.starts_with("src/bin/") {
            assert!(
                !text.contains("std::env") && !text.contains("env::var"),
                "{name} reads the environment"
            );
        }
    }
}
