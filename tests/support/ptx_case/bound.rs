//! How far an approximation may be from the exact result.

use half::{bf16, f16};

/// The element type and the allowance of a `bound` line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    kind: Kind,
    /// Two elements share a word.
    pair: bool,
    measure: Measure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F32,
    F16,
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    /// Steps from one number to the next.
    Ulp(f64),
    /// Of the exact result's magnitude.
    Relative(f64),
    /// Whatever the magnitude.
    Absolute(f64),
}

impl Bound {
    /// From `f32 ulp 2`, `f16x2 rel 0x1.8p-10`, `f32 abs 0x1p-20`.
    pub fn parse(text: &str) -> Result<Bound, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [kind, measure, amount] = words[..] else {
            return Err(format!("bound {text}: type, measure and amount"));
        };
        let (name, pair) = kind.strip_suffix("x2").map_or((kind, false), |k| (k, true));
        let kind = match name {
            "f32" => Kind::F32,
            "f16" => Kind::F16,
            "bf16" => Kind::Bf16,
            _ => return Err(format!("bound on {name}")),
        };
        let amount = real(amount).ok_or(format!("bound of {amount}"))?;
        let measure = match measure {
            "ulp" => Measure::Ulp(amount),
            "rel" => Measure::Relative(amount),
            "abs" => Measure::Absolute(amount),
            _ => return Err(format!("bound by {measure}")),
        };
        Ok(Bound {
            kind,
            pair,
            measure,
        })
    }

    /// Whether `found` is near enough to `expected`, both as bits. NaN and infinity must be the same bits.
    pub fn holds(&self, found: u64, expected: u64) -> bool {
        if self.pair {
            let halves = [0, 16].map(|shift| (found >> shift & 0xffff, expected >> shift & 0xffff));
            return halves.iter().all(|(a, b)| self.element(*a, *b));
        }
        self.element(found, expected)
    }

    fn element(&self, found: u64, expected: u64) -> bool {
        if found == expected {
            return true;
        }
        let (a, b) = (self.number(found), self.number(expected));
        let zero_must_stay = b == 0.0 && !matches!(self.measure, Measure::Absolute(_));
        if !a.is_finite() || !b.is_finite() || zero_must_stay {
            return false;
        }
        // The expected bits are themselves rounded.
        let step = self.step(b);
        let allowed = match self.measure {
            Measure::Ulp(amount) => amount * step,
            Measure::Relative(amount) => amount * b.abs() + step / 2.0,
            Measure::Absolute(amount) => amount + step / 2.0,
        };
        (a - b).abs() <= allowed
    }

    fn number(&self, bits: u64) -> f64 {
        match self.kind {
            Kind::F32 => f64::from(f32::from_bits(bits as u32)),
            Kind::F16 => f16::from_bits(bits as u16).to_f64(),
            Kind::Bf16 => bf16::from_bits(bits as u16).to_f64(),
        }
    }

    /// From one number of the type to the next, at the magnitude of `x`.
    fn step(&self, x: f64) -> f64 {
        let (fraction_bits, least_exponent) = match self.kind {
            Kind::F32 => (23, -126),
            Kind::F16 => (10, -14),
            Kind::Bf16 => (7, -126),
        };
        // A number of these types is normal as f64 or zero.
        let exponent = (x.to_bits() >> 52 & 0x7ff) as i32 - 1023;
        2f64.powi(exponent.max(least_exponent) - fraction_bits)
    }
}

/// A decimal number, or a hexadecimal one such as `0x1.8p-10`.
fn real(text: &str) -> Option<f64> {
    let Some(digits) = text.strip_prefix("0x") else {
        return text.parse().ok();
    };
    let (digits, exponent) = digits.split_once('p')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa = u32::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let scale = exponent.parse::<i32>().ok()? - 4 * fraction.len() as i32;
    Some(f64::from(mantissa) * 2f64.powi(scale))
}
