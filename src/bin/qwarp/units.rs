//! Sizes as people type and read them.

const SUFFIXES: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// A whole number of bytes, with or without a suffix.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let suffix = SUFFIXES
        .iter()
        .find_map(|(name, unit)| Some((lower.strip_suffix(&name.to_ascii_lowercase())?, *unit)));
    let (digits, unit) = suffix.unwrap_or((&lower, 1));
    let number: Option<u64> = digits.trim().parse().ok();
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| {
            "expected a whole number of bytes below 2^64, such as 8GiB, 512MiB or 1500000000"
                .to_string()
        })
}

/// Digits in groups of three.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// About four digits and a binary suffix.
pub fn binary(bytes: u64) -> String {
    scaled(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB"])
}

/// About four digits and a decimal suffix, for counts such as FLOPs.
pub fn decimal(count: u64) -> String {
    scaled(count, 1000.0, ["", "k", "M", "G", "T"])
}

fn scaled(value: u64, base: f64, suffixes: [&str; 5]) -> String {
    let mut scaled = value as f64;
    let mut index = 0;
    while scaled >= base && index + 1 < suffixes.len() {
        scaled /= base;
        index += 1;
    }
    if index == 0 {
        format!("{value} {}", suffixes[0]).trim_end().to_string()
    } else {
        format!("{scaled:.2} {}", suffixes[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        assert_eq!(parse_bytes("8GiB"), Ok(8 << 30));
        assert_eq!(parse_bytes("3 gb"), Ok(3_000_000_000));
        assert_eq!(parse_bytes("17"), Ok(17));
        assert_eq!(parse_bytes("17B"), Ok(17));
        for wrong in ["", "GiB", "1.5GiB", "-1", "8Gi", "99999999999TiB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(binary(1536), "1.50 KiB");
        assert_eq!(binary(12), "12 B");
        assert_eq!(decimal(2_500_000), "2.50 M");
    }
}
