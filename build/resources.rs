//! What `ptxas -v` says of each kernel.

/// Registers and memory of one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// The kernel.
    pub entry: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Static shared memory of a CTA in bytes.
    pub shared_bytes: u32,
    /// Bytes of a thread that did not fit into registers, stored and loaded.
    pub spill_bytes: u32,
}

/// Reads the whole of what ptxas wrote.
pub fn usages(log: &str) -> Result<Vec<Usage>, String> {
    let mut found: Vec<Usage> = Vec::new();
    for line in log.lines() {
        if line.contains("Compiling entry function") {
            let name = line.split('\'').nth(1);
            found.push(Usage {
                entry: name.ok_or_else(|| unknown(line))?.to_string(),
                ..Usage::default()
            });
        }
        let Some(usage) = found.last_mut() else {
            continue;
        };
        if line.contains("bytes spill stores") {
            let stores = before(line, " bytes spill stores").ok_or_else(|| unknown(line))?;
            let loads = before(line, " bytes spill loads").ok_or_else(|| unknown(line))?;
            usage.spill_bytes += stores + loads;
        }
        if line.contains("Used ") {
            usage.registers = before(line, " registers").ok_or_else(|| unknown(line))?;
            usage.shared_bytes = before(line, " bytes smem").unwrap_or(0);
        }
    }
    match found.iter().find(|usage| usage.registers == 0) {
        Some(usage) => Err(format!(
            "ptxas said nothing of the registers of {}",
            usage.entry
        )),
        None => Ok(found),
    }
}

fn unknown(line: &str) -> String {
    format!("a line of ptxas -v that is not understood: {line}")
}

/// The number right before `words`.
fn before(line: &str, words: &str) -> Option<u32> {
    let head = &line[..line.find(words)?];
    head.rsplit(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}
