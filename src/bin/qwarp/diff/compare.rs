//! Holding one run's nodes against another's. Each node gets the other run's inputs, so what it is off by is its own.

use qwarp::DType;
use qwarp::Result;
use qwarp::backend::bound::{Arithmetic, Bound, Broken};
use qwarp::backend::observe::{After, NodeOutput, Observer};
use serde_json::{Value, json};

use super::tape::Step;

/// Compares a step; after the first node over its bound it looks no further.
pub struct Compare<'a> {
    /// What the other side wrote.
    pub expected: &'a Step,
    /// The types of the two sides.
    pub dtypes: [DType; 2],
    /// Position of the step's first token.
    pub start: usize,
    /// The node behind the last one that both sides showed.
    pub next: usize,
    pub tally: &'a mut Tally,
}

/// What all steps together gave.
#[derive(Default)]
pub struct Tally {
    /// Nodes that were compared.
    pub nodes: usize,
    /// Nodes that both sides showed and that have no bound.
    pub unbounded: usize,
    /// The largest NMSE, and whose it is.
    pub largest: Option<(f64, String)>,
    pub first: Option<Finding>,
}

/// The first node over its bound.
pub struct Finding {
    pub node: usize,
    pub name: String,
    pub op: &'static str,
    pub position: usize,
    pub row: usize,
    pub column: usize,
    pub a: f64,
    pub b: f64,
    pub allowed: f64,
    /// What was broken, in words.
    pub reason: String,
}

impl Observer for Compare<'_> {
    fn after(&mut self, output: NodeOutput<'_>) -> Result<After> {
        // A node that the other side ran as one with the next has nothing to be held against.
        let expected = self.expected.get(&output.node);
        let (Some(expected), None) = (expected, &self.tally.first) else {
            return Ok(After::Keep);
        };
        let node = output.what();
        let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|x| f64::from(*x)).collect() };
        let (a, b) = (wide(expected), wide(output.values));
        let [type_a, type_b] = self.dtypes;
        let joined = output.node != self.next;
        self.next = output.node + 1;
        let bound = Bound::between(Arithmetic::of(&node.op), type_a, type_b, joined);
        match bound.map(|bound| (bound, bound.check(&b, &a))) {
            None if a.len() == b.len() => self.tally.unbounded += 1,
            Some((_, Ok(nmse))) => self.tally.passed(nmse, &node.name),
            Some((bound, Err(broken))) => {
                self.tally.first = Some(self.finding(&output, &bound, broken, [&a, &b]));
                return Ok(After::Keep);
            }
            None => {
                let (found, expected) = (b.len(), a.len());
                let broken = Broken::Length { found, expected };
                self.tally.first = Some(self.finding(&output, &Bound::EXACT, broken, [&a, &b]));
                return Ok(After::Keep);
            }
        }
        output.values.copy_from_slice(expected);
        Ok(After::Replace)
    }
}

impl Compare<'_> {
    fn finding(
        &self,
        output: &NodeOutput<'_>,
        bound: &Bound,
        broken: Broken,
        [a, b]: [&[f64]; 2],
    ) -> Finding {
        let node = output.what();
        let worst = bound.worst(b, a);
        let index = worst.map_or(0, |worst| worst.index);
        let row = index / output.cols.max(1);
        Finding {
            node: output.node,
            name: node.name.clone(),
            op: node.op.name(),
            position: self.start + row,
            row,
            column: index % output.cols.max(1),
            a: worst.map_or(f64::NAN, |worst| worst.reference),
            b: worst.map_or(f64::NAN, |worst| worst.ours),
            allowed: worst.map_or(0.0, |worst| worst.allowed),
            reason: match broken {
                Broken::Element(_) => "an element is too far away".to_string(),
                other => other.to_string(),
            },
        }
    }
}

impl Tally {
    fn passed(&mut self, nmse: f64, name: &str) {
        self.nodes += 1;
        if self.largest.as_ref().is_none_or(|(known, _)| nmse > *known) {
            self.largest = Some((nmse, name.to_string()));
        }
    }

    /// In words.
    pub fn text(&self) -> String {
        if let Some(first) = &self.first {
            return format!(
                "{}: {}; at worst position {}, column {}: a {:e}, b {:e}, may differ by {:e}\n\
                 ({} nodes before it within their bounds)\n",
                first.name,
                first.reason,
                first.position,
                first.column,
                first.a,
                first.b,
                first.allowed,
                self.nodes
            );
        }
        let largest = self.largest.as_ref();
        let largest = largest.map(|(nmse, name)| format!("; NMSE at most {nmse:.1e}, of {name}"));
        let unbounded = match self.unbounded {
            0 => String::new(),
            count => {
                format!("; {count} of attention not held, which has no bound between unequal types")
            }
        };
        format!(
            "{} nodes within their bounds{}{unbounded}\n",
            self.nodes,
            largest.unwrap_or_default()
        )
    }

    /// As one object.
    pub fn json(&self) -> Value {
        let first = self.first.as_ref().map(|first| {
            json!({
                "node": first.node, "name": first.name, "op": first.op,
                "position": first.position, "row": first.row, "column": first.column,
                // Infinities and NaN have no JSON of their own.
                "a": first.a.to_string(), "b": first.b.to_string(),
                "allowed": first.allowed, "reason": first.reason,
            })
        });
        json!({
            "nodes_within_bounds": self.nodes,
            "nodes_without_bound": self.unbounded,
            "largest_nmse": self.largest.as_ref().map(|(nmse, _)| nmse),
            "largest_nmse_node": self.largest.as_ref().map(|(_, name)| name),
            "first_over_bound": first,
        })
    }
}
