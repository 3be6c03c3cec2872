//! What `generate` says when it is done: a table for people, one JSON object for programs.

use qwarp::engine::FinishReason;
use qwarp::engine::metrics::Percentiles;
use serde_json::{Value, json};

use crate::device::About;

/// Everything measured in one run.
pub struct Report {
    pub model: String,
    pub device: About,
    pub dtype: &'static str,
    pub threads: usize,
    /// On the CPU.
    pub simd: Option<&'static str>,
    pub sampling: String,
    pub prompt_tokens: usize,
    pub token_ids: Vec<u32>,
    pub text: String,
    pub finish_reason: FinishReason,
    pub tokenizer_ms: f64,
    pub tokenizer_from_cache: bool,
    pub open_ms: f64,
    pub weights_ms: f64,
    pub plan_ms: f64,
    pub prefill_ms: Option<f64>,
    pub ttft_ms: Option<f64>,
    /// Time from one token to the next.
    pub itl_ms: Vec<f64>,
    pub total_ms: f64,
    /// What the backend holds, on the device where that has memory of its own.
    pub held_bytes: u64,
    /// Of a decode step, the mean over the answer.
    pub bytes_per_token: Option<u64>,
    /// The same threads reading the same weights, in this run.
    pub read_gb_per_s: Option<f64>,
}

impl Report {
    fn prefill_tokens_per_s(&self) -> Option<f64> {
        Some(self.prompt_tokens as f64 / self.prefill_ms? * 1e3)
    }

    fn decode_tokens_per_s(&self) -> Option<f64> {
        let sum: f64 = self.itl_ms.iter().sum();
        (sum > 0.0).then(|| self.itl_ms.len() as f64 / sum * 1e3)
    }

    fn achieved_gb_per_s(&self) -> Option<f64> {
        let rate = (self.decode_tokens_per_s()).filter(|_| self.device.has_times());
        Some(self.bytes_per_token? as f64 * rate? / 1e9)
    }

    fn percent(&self) -> Option<f64> {
        Some(100.0 * self.achieved_gb_per_s()? / self.read_gb_per_s?)
    }

    /// One object, with nulls where nothing was measured.
    pub fn json(&self) -> Value {
        let itl = Percentiles::of(&self.itl_ms);
        json!({
            "model": self.model,
            "device": self.device.kind,
            "gpu": self.device.gpu_json(),
            "notes": self.device.notes,
            "dtype": self.dtype,
            "threads": self.threads,
            "simd": self.simd,
            "prompt_tokens": self.prompt_tokens,
            "token_ids": self.token_ids,
            "text": self.text,
            "finish_reason": self.finish_reason.name(),
            "tokenizer_from_cache": self.tokenizer_from_cache,
            "timings_ms": {
                "tokenizer": self.tokenizer_ms,
                "open": self.open_ms,
                "weights": self.weights_ms,
                "plan": self.plan_ms,
                "prefill": self.prefill_ms,
                "ttft": self.ttft_ms,
                "itl_p50": itl.map(|itl| itl.p50),
                "itl_p99": itl.map(|itl| itl.p99),
                "itl_max": itl.map(|itl| itl.max),
                "total": self.total_ms,
            },
            "prefill_tokens_per_s": self.prefill_tokens_per_s(),
            "decode_tokens_per_s": self.decode_tokens_per_s(),
            "roofline": {
                "bytes_per_token": self.bytes_per_token,
                "achieved_gb_per_s": self.achieved_gb_per_s(),
                "read_gb_per_s": self.read_gb_per_s,
                "percent": self.percent(),
            },
            "held_bytes": self.held_bytes,
            "peak_rss_bytes": peak_rss_bytes(),
        })
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut rows: Vec<(String, String)> = vec![
            (
                "model".into(),
                format!(
                    "{} ({}, {} threads{})",
                    self.model,
                    self.dtype,
                    self.threads,
                    self.simd
                        .map_or_else(String::new, |simd| format!(", {simd}"))
                ),
            ),
            ("device".into(), self.device.text()),
            ("sampling".into(), self.sampling.clone()),
            (
                "finish".into(),
                format!(
                    "{} after {} tokens",
                    self.finish_reason.name(),
                    self.token_ids.len()
                ),
            ),
            (
                "open".into(),
                format!(
                    "{:9.1} ms   weight headers; before it the tokenizer, {:.1} ms{}",
                    self.open_ms,
                    self.tokenizer_ms,
                    if self.tokenizer_from_cache {
                        " from the cache"
                    } else {
                        ""
                    }
                ),
            ),
            ("plan".into(), format!("{:9.1} ms", self.plan_ms)),
            (
                "weights".into(),
                format!(
                    "{:9.1} ms   checked and {}",
                    self.weights_ms,
                    if self.device.is_cpu() {
                        "mapped"
                    } else {
                        "packed on the device"
                    }
                ),
            ),
        ];
        if let (Some(prefill_ms), Some(rate)) = (self.prefill_ms, self.prefill_tokens_per_s()) {
            let text = format!(
                "{prefill_ms:9.1} ms   {} tokens, {rate:.1} tokens/s",
                self.prompt_tokens
            );
            rows.push(("prefill".into(), text));
        }
        if let Some(ttft_ms) = self.ttft_ms {
            rows.push((
                "first token".into(),
                format!("{ttft_ms:9.1} ms   after the request"),
            ));
        }
        if let (Some(itl), Some(rate)) = (Percentiles::of(&self.itl_ms), self.decode_tokens_per_s())
        {
            let text = format!(
                "{:9.1} ms   p50; p99 {:.1}, max {:.1}; {rate:.1} tokens/s",
                itl.p50, itl.p99, itl.max
            );
            rows.push(("per token".into(), text));
        }
        if let (Some(bytes), Some(achieved)) = (self.bytes_per_token, self.achieved_gb_per_s()) {
            let limit = match (self.read_gb_per_s, self.percent()) {
                (Some(read), Some(percent)) => {
                    format!("; {percent:.0} % of the {read:.1} GB/s these threads can read")
                }
                _ => String::new(),
            };
            rows.push((
                "bytes/token".into(),
                format!("{:9.1} MB   {achieved:.1} GB/s{limit}", bytes as f64 / 1e6),
            ));
        }
        rows.push(("total".into(), format!("{:9.1} ms", self.total_ms)));
        if let Some(facts) = &self.device.facts {
            let [held, all] = [self.held_bytes, facts.memory_bytes].map(|bytes| bytes as f64 / 1e6);
            let share = format!("{held:9.1} MB   of {all:.1} MB: weights, KV cache and buffers");
            rows.push(("on the GPU".into(), share));
        }
        if let Some(bytes) = peak_rss_bytes() {
            rows.push((
                "peak memory".into(),
                format!(
                    "{:9.1} MB   resident, mapped weights included",
                    bytes as f64 / 1e6
                ),
            ));
        }
        let notes = self.device.notes.iter();
        rows.extend(notes.map(|note| ("note".into(), note.clone())));
        rows.iter()
            .map(|(name, text)| format!("{name:>12}  {text}\n"))
            .collect()
    }
}

/// The most memory this process ever held, where the system tells (Linux).
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}
