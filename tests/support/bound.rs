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

    /// Holds `ours` against the reference; the NMSE, or what broke a bound.
    pub fn check(&self, ours: &[f64], reference: &[f64]) -> Result<f64, String> {
        if ours.len() != reference.len() {
            let (found, expected) = (ours.len(), reference.len());
            return Err(format!("{found} elements, expected {expected}"));
        }
        let power = reference.iter().map(|x| x * x).sum::<f64>();
        let rms = (power / reference.len() as f64).sqrt();
        // Only a copy may be of zeros: against those, any other bound would be nothing.
        let exact = self.nmse == 0.0;
        if !(rms.is_finite() && (rms > 0.0 || exact)) {
            return Err(format!("the reference's root mean square is {rms}"));
        }
        let mut error = 0.0;
        for (i, (a, b)) in ours.iter().zip(reference).enumerate() {
            let difference = (a - b).abs();
            let allowed = self.rtol * b.abs() + self.atol * rms;
            if difference.is_nan() || difference > allowed {
                return Err(format!(
                    "element {i}: {a:e}, expected {b:e} within {allowed:e}"
                ));
            }
            error += difference * difference;
        }
        if error > self.nmse * power {
            let (found, allowed) = (error / power, self.nmse);
            return Err(format!("NMSE {found:e}, expected at most {allowed:e}"));
        }
        Ok(if error > 0.0 { error / power } else { 0.0 })
    }
}
