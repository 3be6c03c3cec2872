//! Times of launches and steps on cards, from what the launches do: the page of predictions.

use std::fmt::Write;

use qwarp::driver::{Card, Target};

use super::Result;
use super::cards::{LIMITS, Limits};
use super::hollow::Seen;
use super::steps::{Repeated, SHAPES, Shape, Tokens, launches};

/// The steps, and what each is called.
const STEPS: [(&str, Tokens); 2] = [
    (
        "decode at a context of 512",
        Tokens {
            count: 1,
            cached: 511,
        },
    ),
    (
        "prefill of 2048",
        Tokens {
            count: 2048,
            cached: 0,
        },
    ),
];

/// Bytes a clock from the second-level cache to a multiprocessor.
const PORT_BYTES: f64 = 64.0;
/// Warp instructions that a multiprocessor starts in a clock.
const ISSUED: f64 = 4.0;

const HEAD: &str = "\
# What the kernels should take

Written by `tools/kernel-table` on a machine without a GPU, to be held against hardware: nothing here was measured. The
launches are those that the backend makes for a whole step, counted in the emulator; kernels.md has what they use and move.

A launch takes `gap + latency + the longest of` five times, as if everything else went on meanwhile:

- **memory**: bytes over what a copy reaches, or over what the multiprocessors that have a CTA can take (64 bytes a clock
  each), where that is less. Bytes are those of the arguments, twice where they are read and written, or what warps ask for
  where that is less: sectors that are read again are in the second-level cache
- **L2**: bytes that warps ask for over what the second-level cache gives
- **tensor**, **shared**, **issue**: products of tensor cores, passes over the banks of shared memory (one a clock, conflicts
  included), warp instructions (four a clock) of the multiprocessor that has most CTAs: a grid of one CTA more than there are
  multiprocessors takes twice as long. CTAs count as alike, each as the mean of four that ran

A **gap** is from the end of one launch to the start of the next in a CUDA graph; **latency** is until the first bytes come,
once a launch. Instructions are PTX's; the machine's own may be fewer or more. Not modelled: a launch that starts before the
one in front has ended; latencies within a CTA (barriers, chains of dependent instructions), which make short launches longer;
registers and occupancy; clocks that fall under load; caches that already hold what a launch reads.
";

/// How long parts of a launch take, in microseconds.
struct Times {
    parts: [(&'static str, f64); 5],
    /// With gap and latency.
    whole: f64,
}

impl Times {
    fn of(seen: &Seen, limits: &Limits, card: &Card) -> Times {
        let multiprocessors = f64::from(card.multiprocessors);
        let ctas: f64 = seen.geometry.grid.iter().map(|&n| f64::from(n)).product();
        // What the busiest multiprocessor has of the whole.
        let share = (ctas / multiprocessors).ceil() / ctas;
        let cycles_us = 1e-3 / limits.clock_ghz;
        let ports_gb_s = ctas.min(multiprocessors) * PORT_BYTES * limits.clock_ghz;
        let flops = if limits.target == Target::Sm75 {
            2048.0
        } else {
            4096.0
        };
        let parts = [
            (
                "memory",
                bytes(seen) / limits.copy_gb_s.min(ports_gb_s) * 1e-3,
            ),
            ("L2", seen.asked_bytes / limits.l2_gb_s * 1e-3),
            (
                "tensor",
                seen.mma * share * flops * multiprocessors / limits.tensor_tflop_s * 1e-6,
            ),
            ("shared", seen.bank_passes * share * cycles_us),
            ("issue", seen.instructions * share / ISSUED * cycles_us),
        ];
        let longest = parts.iter().map(|(_, us)| *us).fold(0.0, f64::max);
        Times {
            parts,
            whole: limits.launch_us + limits.latency_us + longest,
        }
    }

    /// The part that takes longest, or that none is longer than what every launch takes.
    fn bound(&self) -> &'static str {
        let longest = (self.parts.iter()).max_by(|a, b| a.1.total_cmp(&b.1));
        match longest {
            Some((name, us)) if 2.0 * us > self.whole => name,
            _ => "launch",
        }
    }
}

/// Bytes between memory and chip.
fn bytes(seen: &Seen) -> f64 {
    (seen.argument_bytes as f64).min(seen.asked_bytes)
}

/// The whole page.
pub fn text() -> Result<String> {
    let mut text = HEAD.to_string();
    text += "\n| | multiprocessors | copy GB/s | L2 GB/s | tensor TFLOP/s | clock GHz | gap us | latency us | type |\n";
    text += "|---|---|---|---|---|---|---|---|---|\n";
    for limits in &LIMITS {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            limits.name,
            card(limits)?.multiprocessors,
            limits.copy_gb_s,
            limits.l2_gb_s,
            limits.tensor_tflop_s,
            limits.clock_ghz,
            limits.launch_us,
            limits.latency_us,
            limits.dtype,
        );
    }
    text += "\nWhere they are from:\n\n";
    for limits in &LIMITS {
        let _ = writeln!(text, "- {}: {}.", limits.name, limits.sources);
    }
    let (mut steps, mut summary) = (String::new(), String::new());
    for shape in &SHAPES {
        for (name, tokens) in STEPS {
            for limits in &LIMITS {
                let launches = launches(shape, limits.target, limits.dtype, tokens)?;
                let step = Step {
                    shape,
                    name,
                    tokens,
                    limits,
                    card: card(limits)?,
                    launches,
                };
                summary += &step.summary();
                steps += &step.table();
            }
        }
    }
    text += "\n## Steps\n\n\
             | model | step | card | launches | GB | GB over copy, ms | TFLOP | predicted ms | tokens/s | copy's share | tensor peak's share |\n\
             |---|---|---|---|---|---|---|---|---|---|---|\n";
    Ok(text + &summary + &steps)
}

fn card(limits: &Limits) -> Result<&'static Card> {
    Ok(limits.card().ok_or("a card that is in no table")?)
}

/// A step of a model on a card.
struct Step<'a> {
    shape: &'a Shape,
    name: &'a str,
    tokens: Tokens,
    limits: &'a Limits,
    card: &'static Card,
    launches: Vec<Repeated>,
}

impl Step<'_> {
    fn times(&self, seen: &Seen) -> Times {
        Times::of(seen, self.limits, self.card)
    }

    /// The sum over all launches.
    fn sum(&self, of: impl Fn(&Seen) -> f64) -> f64 {
        let each = self.launches.iter();
        each.map(|r| of(&r.seen) * r.times as f64).sum()
    }

    fn summary(&self) -> String {
        let flops = if self.limits.target == Target::Sm75 {
            2048.0
        } else {
            4096.0
        };
        let us = self.sum(|seen| self.times(seen).whole);
        let (gb, tflop) = (
            self.sum(bytes) * 1e-9,
            self.sum(|seen| seen.mma * flops) * 1e-12,
        );
        let copy_ms = gb / self.limits.copy_gb_s * 1e3;
        let count: usize = self.launches.iter().map(|r| r.times).sum();
        format!(
            "| {} | {} | {} | {count} | {gb:.3} | {copy_ms:.3} | {tflop:.3} | {:.3} | {:.0} | {:.0} % | {:.0} % |\n",
            self.shape.name,
            self.name,
            self.limits.name,
            us * 1e-3,
            self.tokens.count as f64 / us * 1e6,
            copy_ms * 1e5 / us,
            tflop / self.limits.tensor_tflop_s * 1e8 / us,
        )
    }

    fn table(&self) -> String {
        let mut text = format!(
            "\n## {}, {}, {}\n\n\
             | kernel | grid | times | MB | asked MB | memory | L2 | tensor | shared | issue | us each | us a step | bound |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
            self.shape.name, self.name, self.limits.name
        );
        for Repeated { seen, times } in &self.launches {
            let predicted = self.times(seen);
            let parts = predicted.parts.map(|(_, us)| format!("{us:.2}"));
            let _ = writeln!(
                text,
                "| {} | {} | {times} | {:.3} | {:.3} | {} | {:.2} | {:.1} | {} |",
                seen.kernel,
                seen.geometry.grid.map(|n| n.to_string()).join(" x "),
                bytes(seen) * 1e-6,
                seen.asked_bytes * 1e-6,
                parts.join(" | "),
                predicted.whole,
                predicted.whole * *times as f64,
                predicted.bound(),
            );
        }
        text
    }
}
