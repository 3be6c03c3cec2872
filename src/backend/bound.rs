//! How far a result may be from the f64 reference, or from another backend's, and the comparison that finds NaN and infinity
//! first.

use std::fmt;

use crate::DType;
use crate::graph::Op;

/// Every element by `rtol * |ref| + atol * rms(ref)`, all together by the normalised mean square error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Of the element.
    pub rtol: f64,
    /// Of the root mean square of all.
    pub atol: f64,
    /// Of the power of all.
    pub nmse: f64,
}

/// What an op does to its inputs, as far as errors go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Copies.
    Copy,
    /// A handful of f32 operations, then one rounding.
    Rounded,
    /// Sums of K products.
    Product,
    /// Softmax over the keys.
    Attention,
}

/// An element and what it was held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Element {
    /// Its index.
    pub index: usize,
    /// The value.
    pub ours: f64,
    /// What was expected.
    pub reference: f64,
    /// How far it may be away.
    pub allowed: f64,
}

/// A bound that was broken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Broken {
    /// The numbers of elements differ.
    Length {
        /// Elements found.
        found: usize,
        /// Elements expected.
        expected: usize,
    },
    /// A reference that nothing can be held against.
    Reference {
        /// Its root mean square.
        rms: f64,
    },
    /// The first element that is too far away.
    Element(Element),
    /// All elements together.
    Nmse {
        /// The normalised mean square error.
        found: f64,
        /// The most that is allowed.
        allowed: f64,
    },
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Length { found, expected } => {
                write!(f, "{found} elements, expected {expected}")
            }
            Broken::Reference { rms } => write!(f, "the reference's root mean square is {rms}"),
            Broken::Element(Element {
                index,
                ours,
                reference,
                allowed,
            }) => write!(
                f,
                "element {index}: {ours:e}, expected {reference:e} within {allowed:e}"
            ),
            Broken::Nmse { found, allowed } => {
                write!(f, "NMSE {found:e}, expected at most {allowed:e}")
            }
        }
    }
}

impl Arithmetic {
    /// That of `op`.
    pub fn of(op: &Op) -> Self {
        match op {
            Op::Embed { .. } | Op::SelectRows => Arithmetic::Copy,
            Op::RmsNorm { .. } | Op::SiluMul | Op::RopeAppend { .. } => Arithmetic::Rounded,
            Op::Linear { .. } => Arithmetic::Product,
            Op::Attention { .. } => Arithmetic::Attention,
        }
    }
}

/// One unit in the last place of a number at the end of its binade, and what rounding costs in NMSE.
fn rounding(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::Bf16 => (2f64.powi(-7), 1e-5),
        DType::F16 => (2f64.powi(-10), 2e-7),
        DType::F32 => (2f64.powi(-20), 1e-12),
    }
}

impl Bound {
    /// Equal bits, but for the sign of zero.
    pub const EXACT: Bound = Bound {
        rtol: 0.0,
        atol: 0.0,
        nmse: 0.0,
    };

    /// That of the CPU backend against the reference, in a run of type `dtype`.
    pub fn of(arithmetic: Arithmetic, dtype: DType) -> Bound {
        // The reference is rounded to the output type too: near a tie the two may be one unit in the last place apart.
        let (rounding, rounding_nmse) = rounding(dtype);
        match arithmetic {
            Arithmetic::Copy => Bound::EXACT,
            Arithmetic::Rounded => Bound {
                rtol: rounding,
                atol: 1e-6,
                nmse: rounding_nmse,
            },
            // f32 sums of K exact or once-rounded products: errors grow with sqrt(K / 16) units, below 1e-5 of the row.
            Arithmetic::Product => Bound {
                rtol: 1e-6,
                atol: 1e-5,
                nmse: 2e-10,
            },
            // Weights and the output are rounded to the type, q and k before: a few roundings, averaged over keys; an f32
            // angle at position p is off by p * 2^-24.
            Arithmetic::Attention => Bound {
                rtol: 2.0 * rounding,
                atol: if dtype == DType::F32 {
                    1e-4
                } else {
                    6.0 * rounding
                },
                nmse: if dtype == DType::F32 {
                    1e-9
                } else {
                    2.0 * rounding_nmse
                },
            },
        }
    }

    /// That of two backends that ran the same op on the same inputs, in runs of types `a` and `b`; `joined` with the nodes
    /// before it on one of them. None is attention in unequal types: Qwen2's key biases make scores large, and rounding q
    /// and k moves those by many units, so errors may be as large as the output.
    pub fn between(arithmetic: Arithmetic, a: DType, b: DType, joined: bool) -> Option<Bound> {
        if arithmetic == Arithmetic::Copy && a == b {
            return Some(Bound::EXACT);
        }
        let coarser = if rounding(a).0 > rounding(b).0 { a } else { b };
        if a != b && arithmetic == Arithmetic::Attention {
            return None;
        }
        if a != b {
            // One of the two rounds its inputs and weights first: a unit of each term, and some of them add up.
            let (unit, nmse) = rounding(coarser);
            return Some(Bound {
                rtol: 2.0 * unit,
                atol: 8.0 * unit,
                nmse: 8.0 * nmse,
            });
        }
        let one = Bound::of(arithmetic, coarser);
        // Each may be that far away, in opposite directions. Tensor cores truncate their sums, and where a product runs as
        // one with SiLU times up, what it is off by is in that node.
        let (atol, nmse) = match arithmetic {
            Arithmetic::Attention => (0.0, 0.0),
            _ => (1.5e-4, 1e-9),
        };
        // Where a norm is joined with the product behind it, an element of x near a tie may be rounded either way: a unit
        // of one term in K.
        let flipped = if joined {
            rounding(coarser).0 / 8.0
        } else {
            0.0
        };
        Some(Bound {
            rtol: 2.0 * one.rtol,
            atol: 2.0 * one.atol + atol + flipped,
            nmse: 4.0 * one.nmse + nmse + flipped * flipped,
        })
    }

    /// Holds `ours` against the reference; the NMSE, or what broke a bound.
    pub fn check(&self, ours: &[f64], reference: &[f64]) -> Result<f64, Broken> {
        if ours.len() != reference.len() {
            return Err(Broken::Length {
                found: ours.len(),
                expected: reference.len(),
            });
        }
        let (power, rms) = power(reference);
        // Only a copy may be of zeros: against those, any other bound would be nothing.
        let exact = self.nmse == 0.0;
        if !(rms.is_finite() && (rms > 0.0 || exact)) {
            return Err(Broken::Reference { rms });
        }
        let mut error = 0.0;
        for index in 0..ours.len() {
            let element = self.element(ours, reference, index, rms);
            let difference = element.difference();
            if difference.is_nan() || difference > element.allowed {
                return Err(Broken::Element(element));
            }
            error += difference * difference;
        }
        if error > self.nmse * power {
            let (found, allowed) = (error / power, self.nmse);
            return Err(Broken::Nmse { found, allowed });
        }
        Ok(if error > 0.0 { error / power } else { 0.0 })
    }

    /// The element that is furthest away, measured by what it is allowed; none of nothing.
    pub fn worst(&self, ours: &[f64], reference: &[f64]) -> Option<Element> {
        let (_, rms) = power(reference);
        let count = ours.len().min(reference.len());
        let elements = (0..count).map(|index| self.element(ours, reference, index, rms));
        elements.max_by(|a, b| a.excess().total_cmp(&b.excess()))
    }

    fn element(&self, ours: &[f64], reference: &[f64], index: usize, rms: f64) -> Element {
        Element {
            index,
            ours: ours[index],
            reference: reference[index],
            allowed: self.rtol * reference[index].abs() + self.atol * rms,
        }
    }
}

/// The sum of squares and the root mean square.
fn power(values: &[f64]) -> (f64, f64) {
    let power = values.iter().map(|x| x * x).sum::<f64>();
    (power, (power / values.len() as f64).sqrt())
}

impl Element {
    /// How far the two are apart; NaN where they cannot be compared.
    pub fn difference(&self) -> f64 {
        (self.ours - self.reference).abs()
    }

    fn excess(&self) -> f64 {
        let difference = self.difference();
        if difference.is_nan() {
            return f64::INFINITY;
        }
        difference / self.allowed.max(f64::MIN_POSITIVE)
    }
}
