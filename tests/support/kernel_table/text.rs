//! The table as Markdown.

use std::fmt::Write;

use qwarp::backend::gpu::kernels::IMAGES;
use qwarp::driver::Target;
use qwarp::emu::counters::{Direction, Space};

use super::limits::{Limit, REASONS};
use super::measure::Row;

const HEAD: &str = "\
# What each kernel uses and moves

Written by `tools/kernel-table`; `tests/kernel_table` makes it again and compares. Registers, spills and shared memory are
ptxas's (12.4) for PTX of nvcc NVCC; traffic is counted by the emulator while the launch that ships runs. No figure is a time:
for those that follow from these, see predictions.md.

Steps are decode (1 token) of the 1.5B model with a context of 512, with an eighth of the head's rows; of the 0.5B model what
the other has no kernel for; and steps of more tokens with few rows of each matrix, each of the real length.

- **registers**, **spilled** bytes of a thread, static and dynamic **shared** memory of a CTA
- **warps**: resident on a multiprocessor of each card, of those that it can hold
- **moved**: bytes of the distinct sectors (32 bytes) of global memory that the launch reads, and of those that it writes:
  what passes between memory and chip where the second-level cache keeps everything until the launch ends
- **floor**: bytes that any implementation of the op has to read and write; **ratio**: what all launches of the op move, over
  that. Decode may have 1.05
- **asked**: bytes of the sectors that warps ask for, counted at each request: what the second-level cache would serve
  without a first-level one
- **sectors**: of a warp's read on average; 16 are 512 bytes, as 32 lanes read that take 16 bytes each, side by side
- **conflicts**: passes over the banks of shared memory beyond those that the same bytes need; none may be

A number in brackets is a reason why a figure may be beyond its limit: see the end. The test fails at any other.
";

/// The whole page.
pub fn text(rows: &[Row]) -> String {
    let mut text = HEAD.replace("NVCC", &compiler());
    for target in Target::ALL {
        let _ = write!(
            text,
            "\n## {target}\n\n\
             | kernel | model, tokens | grid | CTA | registers | spilled | shared | warps | moved | floor | ratio | asked | sectors | conflicts |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for row in rows.iter().filter(|row| row.target == target) {
            text += &line(row);
        }
    }
    text += "\n## Reasons\n\n";
    for (index, reason) in REASONS.iter().enumerate() {
        let _ = writeln!(text, "{}. {}.", index + 1, reason.why);
    }
    text
}

/// The version of nvcc, as it stands in what it wrote.
fn compiler() -> String {
    let ptx = IMAGES.first().map_or("", |image| image.ptx);
    let version = ptx.split("Cuda compilation tools, release ").nth(1);
    let version = version.and_then(|rest| rest.lines().next());
    version.unwrap_or("unknown").to_string()
}

fn line(row: &Row) -> String {
    let grid = row.geometry.grid.map(|n| n.to_string()).join(" x ");
    let threads: u32 = row.geometry.block.iter().product();
    let (registers, spilled, fixed) = row.resources.map_or_else(Default::default, |r| {
        (
            r.registers.to_string(),
            r.spill_bytes.to_string(),
            r.shared_bytes,
        )
    });
    let warps: Vec<String> = (row.fits.iter())
        .map(|(card, fits)| format!("{card} {}/{}", fits.warps, fits.most_warps))
        .collect();
    let because = |limit| match row.reason(limit) {
        Some(index) => format!(" [{}]", index + 1),
        None => String::new(),
    };
    let floor = row
        .whole
        .map_or_else(String::new, |(floor, _)| floor.to_string());
    let ratio = row
        .ratio()
        .map_or_else(String::new, |ratio| format!("{ratio:.3}"));
    format!(
        "| {} | {}, {} | {grid} | {threads} | {registers} | {spilled}{} | {fixed} + {} | {} | {} | {floor} | {ratio}{} | {} | {:.1} | {}{} |\n",
        row.kernel,
        row.model,
        row.tokens,
        because(Limit::Local),
        row.geometry.shared_bytes,
        warps.join(", "),
        row.counters.touched_bytes(),
        because(Limit::Bytes),
        row.counters.moved_bytes(),
        row.counters
            .traffic(Space::Global, Direction::Read)
            .units_per_request(),
        row.counters.bank_conflicts(),
        because(Limit::Banks),
    )
}
