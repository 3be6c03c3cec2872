//! How far a result may be from the f64 reference, and the comparison that finds NaN and infinity first.

/// Every element by `rtol * |ref| + atol * rms(ref)`, all together by the normalised mean square error.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub rtol: f64,
    pub atol: f64,
    pub nmse: f64,
}

impl Bound {
    /// Equal bits, but for the sign of zero.
    pub const EXACT: Bound = Bound {
        rtol: 0.0,
        atol: 0.0,
        nmse: 0.0,
    };

    /// Holds `ours` against the reference; the larger share of the two bounds that it used, or what broke one.
    pub fn check(&self, ours: &[f64], reference: &[f64]) -> Result<f64, String> {
        if ours.len() != reference.len() {
            let (found, expected) = (ours.len(), reference.len());
            return Err(format!("{found} elements, expected {expected}"));
        }
        let power = reference.iter().map(|x| x * x).sum::<f64>();
        let rms = (power / reference.len() as f64).sqrt();
        let exact = self.nmse == 0.0;
        if !(rms.is_finite() && (rms > 0.0 || exact)) {
            return Err(format!("the reference's root mean square is {rms}"));
        }
        let (mut error, mut worst) = (0.0, 0.0f64);
        for (i, (a, b)) in ours.iter().zip(reference).enumerate() {
            let difference = (a - b).abs();
            let allowed = self.rtol * b.abs() + self.atol * rms;
            // Also refuses NaN, which is not smaller than anything.
            if !matches!(
                difference.partial_cmp(&allowed),
                Some(std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
            ) {
                return Err(format!(
                    "element {i}: {a:e}, expected {b:e} within {allowed:e}"
                ));
            }
            if !exact {
                worst = worst.max(difference / allowed);
            }
            error += difference * difference;
        }
        if error > self.nmse * power {
            let (found, allowed) = (error / power, self.nmse);
            return Err(format!("NMSE {found:e}, expected at most {allowed:e}"));
        }
        let share = error / power / self.nmse;
        Ok(if share.is_finite() {
            worst.max(share)
        } else {
            worst
        })
    }
}
