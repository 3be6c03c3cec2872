//! What each kernel uses and moves on each target, and whether it keeps its limits: the committed table, made again.

use qwarp::emu::counters::{Class, Counters, Direction, Space};
use serde_json::{Value, json};

use super::kernel_table::{Row, breaches, measure, text};
use super::part::Part;

/// Spaces that have traffic worth a line, and their names.
const SPACES: [(Space, &str); 4] = [
    (Space::Global, "global"),
    (Space::Shared, "shared"),
    (Space::Local, "local"),
    (Space::Const, "const"),
];

/// Every kernel of every target.
pub fn run() -> Part {
    let mut part = Part::new("kernel table");
    let done = measure().map(|rows| {
        part.table = text(&rows);
        part.figures = rows.iter().map(figures).collect();
        part.done = rows.len();
        part.failures = breaches(&rows);
    });
    part.ended(done)
}

fn figures(row: &Row) -> Value {
    let counters = &row.counters;
    let whole = row
        .whole
        .map(|(floor, moved)| json!({"floor_bytes": floor, "moved_bytes": moved}));
    json!({
        "kernel": row.kernel,
        "op": row.op,
        "type": row.dtype,
        "target": row.target.to_string(),
        "model": row.model,
        "tokens": row.tokens,
        "grid": row.geometry.grid,
        "block": row.geometry.block,
        "dynamic_shared_bytes": row.geometry.shared_bytes,
        "resources": row.resources.map(|r| json!({
            "registers": r.registers,
            "shared_bytes": r.shared_bytes,
            "spill_bytes": r.spill_bytes,
        })),
        "occupancy": row.fits.iter().map(|(card, fits)| json!({
            "card": card, "warps": fits.warps, "most_warps": fits.most_warps, "ctas": fits.ctas,
        })).collect::<Vec<_>>(),
        "moved_bytes": counters.touched_bytes(),
        "asked_bytes": counters.moved_bytes(),
        "bank_conflicts": counters.bank_conflicts(),
        "op_whole": whole,
        "traffic": traffic(counters),
        "instructions": instructions(counters),
    })
}

/// What was asked of each space in each direction, where something was.
fn traffic(counters: &Counters) -> Vec<Value> {
    let mut rows = Vec::new();
    for (space, name) in SPACES {
        for (direction, way) in [(Direction::Read, "read"), (Direction::Write, "write")] {
            let traffic = counters.traffic(space, direction);
            if traffic.requests > 0 {
                rows.push(json!({
                    "space": name, "direction": way, "requests": traffic.requests,
                    "bytes": traffic.bytes, "units": traffic.units, "ideal_units": traffic.ideal,
                    "units_per_request": traffic.units_per_request(),
                }));
            }
        }
    }
    rows
}

/// Warp instructions of each class that ran.
fn instructions(counters: &Counters) -> Value {
    let all = Class::ALL.map(|class| (class.name(), counters.instructions(class)));
    let ran = all.into_iter().filter(|(_, count)| count.warps > 0);
    ran.map(|(name, count)| {
        (
            name.to_string(),
            json!({"warps": count.warps, "lanes": count.lanes}),
        )
    })
    .collect::<serde_json::Map<_, _>>()
    .into()
}
