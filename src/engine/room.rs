//! Whether a model has room on a device: asked before a weight is read, from shapes alone.

use std::fmt::Write;

use super::fit::{Fit, FitRequest};
use crate::backend::gpu::GpuOptions;
use crate::backend::gpu::footprint::{Footprint, Stored, block_bytes};
use crate::config::EngineConfig;
use crate::config::engine::{BLOCK_SIZE, Utilization};
use crate::driver::{DeviceFacts, Driver};
use crate::error::{Error, Result};
use crate::graph::Plan;

/// What a device has for an engine.
#[derive(Debug, Clone)]
pub struct Room {
    /// The device; its memory may be another's, to plan for that.
    pub facts: DeviceFacts,
    /// The share of its memory that the engine may take.
    pub utilization: Utilization,
    /// Bytes that nobody held once CUDA had started, where that is known.
    pub free: Option<u64>,
}

impl Room {
    /// What `driver` has now.
    pub fn of(driver: &dyn Driver, utilization: Utilization) -> Result<Self> {
        Ok(Room {
            facts: driver.facts().clone(),
            utilization,
            free: Some(driver.free_bytes()?),
        })
    }

    /// Bytes that an engine may take, what CUDA takes included.
    pub fn bytes(&self) -> u64 {
        let share = self.utilization.of(self.facts.memory_bytes);
        match self.free {
            Some(free) => share.min(free.saturating_add(self.facts.context_bytes)),
            None => share,
        }
    }

    /// How many blocks fit, and the longest context, at most the model's own `context`.
    pub fn fit(
        &self,
        plan: &Plan,
        engine: EngineConfig,
        context: usize,
        stored: Stored<'_>,
    ) -> Result<Fit> {
        let bytes = |num_blocks| {
            let max_num_seqs = engine.max_num_seqs;
            let options = GpuOptions {
                num_blocks,
                max_num_seqs,
                // What so many blocks are enough for.
                max_model_len: (num_blocks / max_num_seqs.max(1) * BLOCK_SIZE).min(context),
            };
            let footprint = Footprint::planned(plan, options, &self.facts, stored)?;
            self.needed(&footprint)
        };
        let request = FitRequest {
            memory: self.bytes(),
            block_bytes: block_bytes(plan)?,
            max_num_seqs: engine.max_num_seqs,
            context,
        };
        Fit::new(&bytes, request)
    }

    /// Bytes that the device gives away for a footprint, estimates included.
    pub fn needed(&self, footprint: &Footprint) -> Result<u64> {
        let total = footprint.total()?;
        let estimates = self.estimates(footprint);
        Ok(estimates
            .iter()
            .fold(total, |sum, (_, bytes)| sum.saturating_add(*bytes)))
    }

    /// What is not known to the byte, by name.
    pub fn estimates(&self, footprint: &Footprint) -> [(&'static str, u64); 2] {
        [
            ("cuda_context_estimate", self.facts.context_bytes),
            ("cuda_rounding_estimate", footprint.rounding),
        ]
    }

    /// Refuses a plan that does not fit, with the size of each part and the longest context that does.
    pub fn check(
        &self,
        plan: &Plan,
        engine: EngineConfig,
        context: usize,
        stored: Stored<'_>,
    ) -> Result<Footprint> {
        let options = GpuOptions {
            num_blocks: engine.num_blocks(),
            max_num_seqs: engine.max_num_seqs,
            max_model_len: engine.max_model_len,
        };
        let footprint = Footprint::planned(plan, options, &self.facts, stored)?;
        let needed = self.needed(&footprint)?;
        if needed <= self.bytes() {
            return Ok(footprint);
        }
        let fit = self.fit(plan, engine, context, stored)?;
        Err(Error::NoRoom {
            device: self.facts.name.clone(),
            needed,
            room: self.bytes(),
            parts: self.parts(&footprint),
            way_out: self.way_out(engine, fit),
        })
    }

    /// Where the bytes there are come from, and what would take them, a line each.
    fn parts(&self, footprint: &Footprint) -> String {
        let mut text = String::new();
        let mut line = |name: &str, bytes: u64| {
            let mib = bytes as f64 / f64::from(1 << 20);
            let _ = write!(text, "\n  {name:<22} {bytes:>16} B {mib:>12.2} MiB");
        };
        line("memory of the GPU", self.facts.memory_bytes);
        if let Some(free) = self.free {
            line("free now", free);
        }
        let estimates = self.estimates(footprint);
        for (name, bytes) in footprint.parts().iter().chain(&estimates) {
            line(name, *bytes);
        }
        text
    }

    fn way_out(&self, engine: EngineConfig, fit: Fit) -> String {
        let share = self.utilization.share();
        let used = format!("--gpu-memory-utilization (now {share})");
        match fit.max_model_len {
            0 => format!(
                "not even one block of KV cache a sequence fits: raise {used}, end other programs on the GPU, allow fewer \
                 sequences at once ({}) or tokens of a step ({}), take a smaller model, or run with --device cpu",
                engine.max_num_seqs, engine.max_batched_tokens
            ),
            fits => format!(
                "the longest --max-model-len that fits is {fits} ({} was asked for); else raise {used}, or run with --device \
                 cpu",
                engine.max_model_len
            ),
        }
    }
}
