//! What a thread knows of the threads of any CTA: a sparse vector clock.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Knowledge of one CTA: accesses with stamps below a bound are ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CtaBounds {
    /// For every thread.
    pub all: u32,
    /// Larger bounds of single threads, ascending by thread.
    pub more: Vec<(u32, u32)>,
}

impl CtaBounds {
    /// Whether an access of `thread` is known.
    fn knows(&self, thread: u32, stamp: u32) -> bool {
        stamp < self.all
            || self
                .more
                .binary_search_by_key(&thread, |(t, _)| *t)
                .is_ok_and(|at| stamp < self.more[at].1)
    }

    /// Learns what `other` knows.
    fn join(&mut self, other: &CtaBounds) {
        self.all = self.all.max(other.all);
        let mut merged = Vec::with_capacity(self.more.len().max(other.more.len()));
        let (mut left, mut right) = (self.more.iter().peekable(), other.more.iter().peekable());
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(l), Some(r)) if l.0 == r.0 => (l.0, l.1.max(r.1)),
                (Some(l), Some(r)) => **if l.0 < r.0 { l } else { r },
                (Some(one), None) | (None, Some(one)) => **one,
                (None, None) => break,
            };
            left.next_if(|l| l.0 == next.0);
            right.next_if(|r| r.0 == next.0);
            if next.1 > self.all {
                merged.push(next);
            }
        }
        self.more = merged;
    }
}

/// Knowledge by CTA.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View(BTreeMap<u64, CtaBounds>);

impl View {
    /// Whether an access of `thread` of `cta` is known.
    pub fn knows(&self, cta: u64, thread: u32, stamp: u32) -> bool {
        self.0.get(&cta).is_some_and(|c| c.knows(thread, stamp))
    }

    /// Learns `bounds` of `cta`.
    pub fn learn(&mut self, cta: u64, bounds: &CtaBounds) {
        match self.0.get_mut(&cta) {
            Some(known) => known.join(bounds),
            None => {
                self.0.insert(cta, bounds.clone());
            }
        }
    }
}

/// `into` learns what `other` knows. Views are shared as long as nothing is added to them.
pub(super) fn join(into: &mut Option<Arc<View>>, other: &Option<Arc<View>>) {
    let Some(other) = other else {
        return;
    };
    match into {
        None => *into = Some(Arc::clone(other)),
        Some(known) if Arc::ptr_eq(known, other) => {}
        Some(known) => {
            let known = Arc::make_mut(known);
            for (cta, bounds) in &other.0 {
                known.learn(*cta, bounds);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_takes_the_larger_bound_of_each_thread() {
        let mut left = CtaBounds {
            all: 3,
            more: vec![(1, 9), (4, 5), (7, 6)],
        };
        left.join(&CtaBounds {
            all: 5,
            more: vec![(0, 8), (1, 7), (7, 10)],
        });
        assert_eq!(left.all, 5);
        assert_eq!(left.more, [(0, 8), (1, 9), (7, 10)]);
        assert!(left.knows(4, 4) && !left.knows(4, 5));
        assert!(left.knows(7, 9) && !left.knows(7, 10));
    }

    #[test]
    fn a_shared_view_is_copied_before_it_changes() {
        let mut one = None;
        let mut first = View::default();
        first.learn(
            1,
            &CtaBounds {
                all: 4,
                more: vec![],
            },
        );
        join(&mut one, &Some(Arc::new(first)));
        let mut two = one.clone();
        let mut second = View::default();
        second.learn(
            2,
            &CtaBounds {
                all: 6,
                more: vec![],
            },
        );
        join(&mut two, &Some(Arc::new(second)));
        let knows =
            |view: &Option<Arc<View>>, cta| view.as_ref().is_some_and(|v| v.knows(cta, 0, 3));
        assert!(knows(&one, 1) && !knows(&one, 2));
        assert!(knows(&two, 1) && knows(&two, 2));
    }
}
