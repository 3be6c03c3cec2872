//! Memory that the worker threads of one step share: the arena, the KV cache, scratch.
//!
//! Safe Rust cannot express "thread 0 writes columns 0..448 of every row, thread 1 the rest"; this type can, and its two
//! unsafe methods name the obligation.

use std::cell::UnsafeCell;

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};

/// A cache line, and the alignment of everything here.
#[repr(C, align(64))]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Line([u8; 64]);

/// A fixed number of bytes, allocated once, zero at first.
pub struct Shared {
    lines: Box<[UnsafeCell<Line>]>,
    bytes: usize,
}

// SAFETY: every access goes through `read` and `write`, whose callers promise that no write is concurrent with another
// access to the same bytes.
unsafe impl Sync for Shared {}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({} bytes)", self.bytes)
    }
}

impl Shared {
    /// `bytes` zero bytes for `what`, or an error that says how many could not be had. Untouched pages cost no memory.
    pub fn zeroed(bytes: usize, what: &'static str) -> Result<Self> {
        let lines: Box<[Line]> = bytemuck::try_zeroed_slice_box(bytes.div_ceil(size_of::<Line>()))
            .map_err(|()| Error::Memory {
                what,
                bytes: bytes as u64,
            })?;
        let pointer = Box::into_raw(lines) as *mut [UnsafeCell<Line>];
        // SAFETY: UnsafeCell<Line> has the layout of Line, and the box just gave up this allocation.
        let lines = unsafe { Box::from_raw(pointer) };
        Ok(Shared { lines, bytes })
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Bytes it really holds: whole lines.
    pub fn allocated(&self) -> u64 {
        size_of_val(&*self.lines) as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// `len` elements from element `start` on.
    ///
    /// # Safety
    /// No thread writes these bytes while the slice lives.
    ///
    /// # Panics
    /// If the range is outside the memory.
    pub unsafe fn read<T: Pod>(&self, start: usize, len: usize) -> &[T] {
        let pointer = self.pointer::<T>(start, len);
        // SAFETY: in bounds and aligned by `pointer`; any bytes are a valid Pod; no writer by the caller's promise.
        unsafe { std::slice::from_raw_parts(pointer, len) }
    }

    /// `len` elements from element `start` on, to be written.
    ///
    /// # Safety
    /// No other slice over these bytes lives on any thread.
    ///
    /// # Panics
    /// If the range is outside the memory.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn write<T: Pod>(&self, start: usize, len: usize) -> &mut [T] {
        let pointer = self.pointer::<T>(start, len);
        // SAFETY: in bounds and aligned by `pointer`; the UnsafeCell permits writing; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(pointer, len) }
    }

    fn pointer<T: Pod>(&self, start: usize, len: usize) -> *mut T {
        let end = start
            .checked_add(len)
            .and_then(|end| end.checked_mul(size_of::<T>()));
        assert!(
            end.is_some_and(|end| end <= self.bytes),
            "elements {start}..+{len} of {} bytes",
            self.bytes
        );
        assert!(align_of::<T>() <= align_of::<Line>());
        let base = self.lines.as_ptr() as *mut T;
        base.wrapping_add(start)
    }
}
