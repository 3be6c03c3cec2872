//! What every launch checks before it is made: counts, lengths and alignment.

use crate::driver::{DevicePtr, DriverError, Geometry};

/// Kernels read and write up to this many bytes at once.
const ALIGNMENT: u64 = 16;
/// Most CTAs in x, and the largest count: kernels index rows with 32 bits and step beyond the end of one.
const MOST: u64 = i32::MAX as u64;
/// Most CTAs in y.
const MOST_Y: u32 = 65_535;

/// Elements that a thread takes at once (`VEC` of `cuda/common/vec.cuh`).
pub(super) const VEC: u32 = 4;
/// Threads of a warp.
pub(super) const WARP: u32 = 32;

/// Checks for one kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    /// Its name in errors.
    pub kernel: &'static str,
}

impl Check {
    /// An error that names the kernel.
    pub fn error(&self, reason: String) -> DriverError {
        DriverError::Launch {
            kernel: self.kernel.to_string(),
            reason,
        }
    }

    /// A count of at least one that kernels can hold.
    pub fn count(&self, name: &str, count: usize) -> Result<u32, DriverError> {
        match u32::try_from(count) {
            Ok(found) if found > 0 && u64::from(found) <= MOST => Ok(found),
            _ => Err(self.error(format!("{name} = {count}, expected 1 to {MOST}"))),
        }
    }

    /// A count of at least one and at most `most`, which is a limit of the launch.
    pub fn count_to(&self, name: &str, count: usize, most: usize) -> Result<u32, DriverError> {
        if count > most {
            return Err(self.error(format!("{name} = {count}, expected at most {most}")));
        }
        self.count(name, count)
    }

    /// A slice of exactly as many elements as its shape has, at an address that vector accesses can use.
    pub fn slice(
        &self,
        name: &str,
        ptr: DevicePtr,
        len: usize,
        shape: &[(&str, usize)],
    ) -> Result<(), DriverError> {
        let product = shape
            .iter()
            .try_fold(1usize, |product, (_, dim)| product.checked_mul(*dim));
        if product != Some(len) {
            let dims: Vec<String> = shape.iter().map(|(n, dim)| format!("{n} {dim}")).collect();
            let expected = product.map_or("more than memory has".to_string(), |p| p.to_string());
            let shape = dims.join(", ");
            return Err(self.error(format!(
                "{name} has {len} elements, expected {expected} ({shape})"
            )));
        }
        if ptr.0.is_multiple_of(ALIGNMENT) {
            return Ok(());
        }
        let off = ptr.0 % ALIGNMENT;
        Err(self.error(format!(
            "{name} starts {off} bytes past a multiple of {ALIGNMENT}, expected 0"
        )))
    }

    /// One row of CTAs a row of the tensor: `threads` threads that take `per_thread` of a row's `items` each.
    pub fn rows(
        &self,
        rows: u32,
        items: u32,
        threads: u32,
        per_thread: u32,
    ) -> Result<Geometry, DriverError> {
        let parts = items.div_ceil(threads * per_thread);
        if parts > MOST_Y {
            let most = u64::from(MOST_Y) * u64::from(threads * per_thread);
            return Err(self.error(format!("a row has {items} items, expected at most {most}")));
        }
        Ok(Geometry {
            grid: [rows, parts, 1],
            block: [threads, 1, 1],
            shared_bytes: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Check = Check { kernel: "op" };

    #[test]
    fn a_wrong_length_names_both() {
        let shape = [("rows", 2), ("n", 3)];
        assert!(CHECK.slice("x", DevicePtr(256), 6, &shape).is_ok());
        let error = CHECK.slice("x", DevicePtr(256), 5, &shape).unwrap_err();
        assert_eq!(
            error.to_string(),
            "launch of op: x has 5 elements, expected 6 (rows 2, n 3)"
        );
        let shape = [("rows", usize::MAX), ("n", 3)];
        let error = CHECK.slice("x", DevicePtr(256), 5, &shape).unwrap_err();
        assert!(error.to_string().contains("more than memory has"));
    }

    #[test]
    fn a_misaligned_start_is_refused() {
        let error = CHECK
            .slice("x", DevicePtr(260), 3, &[("n", 3)])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "launch of op: x starts 4 bytes past a multiple of 16, expected 0"
        );
    }

    #[test]
    fn counts_have_both_ends() {
        assert!(CHECK.count("rows", 0).is_err());
        assert_eq!(CHECK.count("rows", 1).ok(), Some(1));
        assert_eq!(CHECK.count("rows", MOST as usize).ok(), Some(MOST as u32));
        assert!(CHECK.count("rows", MOST as usize + 1).is_err());
        assert!(CHECK.count("rows", 1 << 32).is_err());
        assert!(CHECK.count_to("rows", 0, 7).is_err());
        assert_eq!(CHECK.count_to("rows", 7, 7).ok(), Some(7));
        let error = CHECK.count_to("rows", 8, 7).unwrap_err();
        assert!(error.to_string().ends_with("rows = 8, expected at most 7"));
    }

    #[test]
    fn a_row_is_split_among_ctas() {
        let geometry = CHECK.rows(7, 513, 128, 4).unwrap();
        assert_eq!((geometry.grid, geometry.block), ([7, 2, 1], [128, 1, 1]));
        assert!(CHECK.rows(1, MOST_Y * 512, 128, 4).is_ok());
        let error = CHECK.rows(1, MOST_Y * 512 + 1, 128, 4).unwrap_err();
        assert!(error.to_string().contains("33553921"), "{error}");
    }
}
