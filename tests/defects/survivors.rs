//! The defects that no case can see, each with its reason: the table of `survivors.md`.

use std::collections::BTreeMap;

const TABLE: &str = include_str!("survivors.md");

/// Each defect's name and why it changes nothing that can be seen.
pub fn explained() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in TABLE.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, instead, reason] = cells[..] else {
            panic!("survivors.md: three cells expected: {line}");
        };
        assert!(
            instead.starts_with('`') && reason.len() > 20,
            "survivors.md: {line}"
        );
        let name = name.trim_matches('`').to_string();
        let twice = rows.insert(name, reason.to_string());
        assert!(twice.is_none(), "survivors.md: twice: {line}");
    }
    rows
}
