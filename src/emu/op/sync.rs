//! What threads do together: barriers, fences, shuffles, votes, tensor-core products.

/// An operation that more than one thread takes part in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SyncOp {
    /// `bar.sync` of all threads of the CTA on barrier `immediate`.
    BarrierAll,
}

impl SyncOp {
    /// Whether CTAs can speak to each other through it: fences at `gpu` scope or wider.
    pub fn communicates(&self) -> bool {
        match self {
            SyncOp::BarrierAll => false,
        }
    }
}
