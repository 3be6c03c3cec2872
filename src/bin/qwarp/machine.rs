//! What the system tells of the machine, where it tells (Linux).

use std::fs;

/// The processor's name, else its architecture.
pub fn cpu_name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = field(&text, "model name").map(str::to_string);
    name.unwrap_or_else(|| std::env::consts::ARCH.to_string())
}

/// Bytes of memory: all, and those that a program could have now.
pub fn memory() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |name| {
        let kib: u64 = field(&text, name)?.strip_suffix(" kB")?.parse().ok()?;
        kib.checked_mul(1024)
    };
    Some((bytes("MemTotal")?, bytes("MemAvailable")?))
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}
