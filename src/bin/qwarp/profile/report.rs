//! A profile as a table, as JSON, and as a Chrome trace.

use std::collections::BTreeMap;
use std::fmt::Write;

use qwarp::DType;
use qwarp::backend::observe::NodeTimes;
use qwarp::graph::Plan;
use serde_json::{Value, json};

use crate::bench::stats::median;
use crate::device::About;

/// One step's times.
pub struct Report<'a> {
    pub model: String,
    pub about: About,
    pub dtype: DType,
    pub context: usize,
    pub tokens: usize,
    pub plan: &'a Plan,
    pub times: Vec<NodeTimes>,
}

impl Report<'_> {
    /// The names of the nodes that ran as one.
    fn name(&self, times: &NodeTimes) -> String {
        let nodes = &self.plan.steps()[times.first..=times.last];
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        names.join(" + ")
    }

    /// The same without the layer.
    fn part(&self, times: &NodeTimes) -> String {
        let nodes = &self.plan.steps()[times.first..=times.last];
        let part = |name: &str| {
            let mut words = name.split(' ').peekable();
            if words.next_if_eq(&"layer").is_some() {
                words.next();
            }
            words.collect::<Vec<_>>().join(" ")
        };
        let parts: Vec<String> = nodes.iter().map(|node| part(&node.name)).collect();
        parts.join(" + ")
    }

    fn total_ms(&self) -> f64 {
        self.times.iter().map(|times| median(&times.ms)).sum()
    }

    fn note(&self) -> &'static str {
        match self.about.kind {
            "emulator" => "times are the emulator's own and tell nothing of a GPU",
            _ if self.about.is_cpu() => "each node by itself on all threads, median",
            _ => "by events between the launches of a step, median",
        }
    }

    /// Every node, then the sums over the layers.
    pub fn table(&self) -> String {
        let total = self.total_ms();
        let percent = |ms: f64| 100.0 * ms / total.max(f64::MIN_POSITIVE);
        let mut text = format!(
            "{} on {}, {}: {} token(s) behind {}\n{}\n\n",
            self.model,
            self.about.text(),
            self.dtype,
            self.tokens,
            self.context,
            self.note()
        );
        let mut sums: BTreeMap<String, (f64, usize)> = BTreeMap::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<36} {:>10} {:>7}", "node", "ms", "share");
        for times in &self.times {
            let ms = median(&times.ms);
            let _ = writeln!(
                text,
                "{:<36} {ms:>10.4} {:>6.2}%",
                self.name(times),
                percent(ms)
            );
            let sum = sums.entry(self.part(times)).or_default();
            *sum = (sum.0 + ms, sum.1 + 1);
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
        let _ = writeln!(text, "\n{:<36} {:>10} {:>7}", "all layers", "ms", "share");
        for (part, (ms, count)) in sums {
            let name = format!("{count} x {part}");
            let _ = writeln!(text, "{name:<36} {ms:>10.4} {:>6.2}%", percent(ms));
        }
        let _ = writeln!(text, "{:<36} {total:>10.4}", "step");
        text
    }

    /// One object with every sample.
    pub fn json(&self) -> Value {
        let nodes = self.times.iter().map(|times| {
            json!({
                "name": self.name(times),
                "op": self.plan.steps()[times.last].op.name(),
                "first_node": times.first,
                "last_node": times.last,
                "median_ms": median(&times.ms),
                "samples_ms": times.ms,
            })
        });
        json!({
            "model": self.model,
            "device": self.about.kind,
            "gpu": self.about.gpu_json(),
            "note": self.note(),
            "dtype": self.dtype.name(),
            "context": self.context,
            "tokens": self.tokens,
            "step_ms": self.total_ms(),
            "nodes": nodes.collect::<Vec<_>>(),
        })
    }

    /// The medians one after the other, in the format of chrome://tracing.
    pub fn trace(&self) -> Value {
        let mut start_us = 0.0;
        let events = self.times.iter().map(|times| {
            let duration_us = 1e3 * median(&times.ms);
            let event = json!({
                "name": self.name(times),
                "cat": self.plan.steps()[times.last].op.name(),
                "ph": "X",
                "ts": start_us,
                "dur": duration_us,
                "pid": 0,
                "tid": 0,
                "args": {"first_node": times.first, "last_node": times.last},
            });
            start_us += duration_us;
            event
        });
        let events: Vec<Value> = events.collect();
        json!({
            "displayTimeUnit": "ms",
            "otherData": {"device": self.about.text(), "note": self.note()},
            "traceEvents": events,
        })
    }
}
