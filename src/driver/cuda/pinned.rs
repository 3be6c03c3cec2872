//! Host memory that the GPU copies from and to without the driver's help: the ring that copies in go through, and the
//! mailboxes of copies that are queued out.

use std::ffi::c_void;

use cudarc::driver::sys;

use super::call::check;
use crate::driver::{DevicePtr, DriverError, Result};

/// Slots of the ring: while the GPU copies from some, the host fills another.
const SLOTS: usize = 4;
/// Bytes of a slot: long enough that a copy runs at the bus's full rate.
const SLOT_BYTES: usize = 1 << 20;

/// An event that nobody takes the time of.
#[derive(Debug)]
struct Event(sys::CUevent);

impl Event {
    fn new() -> Result<Event> {
        let mut event = std::ptr::null_mut();
        let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING as u32;
        // SAFETY: the pointer is valid for one handle; destroyed in `drop`.
        check("cuEventCreate", unsafe {
            sys::cuEventCreate(&mut event, flags)
        })?;
        Ok(Event(event))
    }

    fn record(&self, stream: sys::CUstream) -> Result<()> {
        // SAFETY: both handles are alive.
        check("cuEventRecord", unsafe {
            sys::cuEventRecord(self.0, stream)
        })
    }

    fn wait(&self) -> Result<()> {
        // SAFETY: the event is alive.
        check("cuEventSynchronize", unsafe {
            sys::cuEventSynchronize(self.0)
        })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and destroyed once. A failure leaves nothing to do.
        unsafe {
            sys::cuEventDestroy_v2(self.0);
        }
    }
}

/// Page-locked host memory.
#[derive(Debug)]
struct Pinned {
    start: *mut u8,
    bytes: usize,
}

impl Pinned {
    fn new(bytes: usize) -> Result<Pinned> {
        let mut start = std::ptr::null_mut::<c_void>();
        // SAFETY: the pointer is valid for one address; CUDA refuses a size of 0.
        check("cuMemHostAlloc", unsafe {
            sys::cuMemHostAlloc(&mut start, bytes.max(1), 0)
        })?;
        let start = start.cast();
        Ok(Pinned { start, bytes })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the memory is ours and given back once, after the stream that uses it was waited for.
        unsafe {
            sys::cuMemFreeHost(self.start.cast());
        }
    }
}

#[derive(Debug)]
struct Slot {
    memory: Pinned,
    used: usize,
    /// Recorded behind the last copy from this slot when the next one is begun.
    left: Event,
    busy: bool,
}

/// Slots that take turns: what is to be copied is put behind what is in one, and a slot is filled again once the GPU has
/// left it.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Vec<Slot>,
    current: usize,
}

impl Ring {
    pub(super) fn new() -> Result<Ring> {
        let slot = |_| {
            Ok(Slot {
                memory: Pinned::new(SLOT_BYTES)?,
                used: 0,
                left: Event::new()?,
                busy: false,
            })
        };
        Ok(Ring {
            slots: (0..SLOTS).map(slot).collect::<Result<_>>()?,
            current: 0,
        })
    }

    /// Queues a copy of `bytes`, which may change when this returns.
    pub(super) fn send(
        &mut self,
        to: DevicePtr,
        bytes: &[u8],
        stream: sys::CUstream,
    ) -> Result<()> {
        let mut at = to.0;
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.slots[self.current].used == SLOT_BYTES {
                self.turn(stream)?;
            }
            let slot = &mut self.slots[self.current];
            let (part, after) = rest.split_at(rest.len().min(SLOT_BYTES - slot.used));
            // SAFETY: `used + part.len()` is at most the slot's size, and the GPU has left these bytes: a slot's places
            // are given out once a turn.
            let from = unsafe {
                let from = slot.memory.start.add(slot.used);
                std::ptr::copy_nonoverlapping(part.as_ptr(), from, part.len());
                from
            };
            slot.used += part.len();
            // SAFETY: the slot's bytes stay as they are until the GPU has left it.
            check("cuMemcpyHtoDAsync_v2", unsafe {
                sys::cuMemcpyHtoDAsync_v2(at, from.cast(), part.len(), stream)
            })?;
            at += part.len() as u64;
            rest = after;
        }
        Ok(())
    }

    /// Goes on to the next slot, once the GPU has left it.
    fn turn(&mut self, stream: sys::CUstream) -> Result<()> {
        let full = &mut self.slots[self.current];
        full.left.record(stream)?;
        full.busy = true;
        self.current = (self.current + 1) % self.slots.len();
        let next = &mut self.slots[self.current];
        if next.busy {
            next.left.wait()?;
        }
        next.busy = false;
        next.used = 0;
        Ok(())
    }
}

/// Where a queued copy out arrives.
#[derive(Debug)]
pub(super) struct Mailbox {
    memory: Pinned,
    arrived: Event,
    /// Bytes of the last copy that was queued here.
    filled: usize,
}

impl Mailbox {
    pub(super) fn new(bytes: usize) -> Result<Mailbox> {
        Ok(Mailbox {
            memory: Pinned::new(bytes)?,
            arrived: Event::new()?,
            filled: 0,
        })
    }

    pub(super) fn queue(
        &mut self,
        from: DevicePtr,
        bytes: usize,
        stream: sys::CUstream,
    ) -> Result<()> {
        if bytes > self.memory.bytes {
            return Err(DriverError::Unknown {
                what: "mailbox with room for",
                value: bytes as u64,
            });
        }
        self.filled = 0;
        // SAFETY: the mailbox has room for `bytes` and lives until the stream has been waited for.
        check("cuMemcpyDtoHAsync_v2", unsafe {
            sys::cuMemcpyDtoHAsync_v2(self.memory.start.cast(), from.0, bytes, stream)
        })?;
        self.arrived.record(stream)?;
        self.filled = bytes;
        Ok(())
    }

    pub(super) fn collect(&self, bytes: &mut [u8]) -> Result<()> {
        if bytes.len() > self.filled {
            return Err(DriverError::Unknown {
                what: "mailbox filled with",
                value: bytes.len() as u64,
            });
        }
        self.arrived.wait()?;
        // SAFETY: the copy has arrived, it filled at least as many bytes, and none is queued over it: both need `self`.
        unsafe {
            let from = self.memory.start;
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len());
        }
        Ok(())
    }
}
