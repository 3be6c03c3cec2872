//! Device memory: allocations in a 64-bit address space, far enough apart that no 32-bit index of words meets a neighbour, and at
//! addresses that are never given twice, so that freed memory is known for what it was.

use std::sync::atomic::{AtomicBool, AtomicU32};

use crate::emu::check::Written;

/// The first address.
const BASE: u64 = 0x7_0000_0000;
/// Every allocation starts at a multiple of this.
const ALIGN: u64 = 256;
/// Bytes that belong to nobody behind each allocation. A wrong index that reached a neighbour would be an access like any other.
const RED_ZONE: u64 = 1 << 34;

/// An allocation, freed ones included.
#[derive(Debug)]
pub struct Allocation {
    /// Where it starts.
    pub address: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What it holds; `None` once it was freed.
    pub content: Option<Content>,
}

/// The bytes of an allocation.
#[derive(Debug)]
pub struct Content {
    /// The bytes, four to a word.
    pub words: Box<[AtomicU32]>,
    /// Which of them were ever written.
    pub written: Written,
    /// Whether a launch was ever given some of them to write.
    pub by_launch: AtomicBool,
}

impl Allocation {
    /// Whether `bytes` bytes at `address` lie in it.
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        address >= self.address
            && address
                .checked_add(bytes)
                .is_some_and(|end| end <= self.address + self.bytes)
    }
}

/// All allocations in order of their addresses.
#[derive(Debug)]
pub struct Device {
    allocations: Vec<Allocation>,
    next: u64,
    free: u64,
}

impl Device {
    /// A device with `capacity` bytes.
    pub fn new(capacity: u64) -> Device {
        Device {
            allocations: Vec::new(),
            next: BASE,
            free: capacity,
        }
    }

    /// Bytes that nobody holds.
    pub fn free_bytes(&self) -> u64 {
        self.free
    }

    /// A new allocation, or the bytes that are free where it does not fit.
    pub fn alloc(&mut self, bytes: u64) -> Result<u64, u64> {
        if bytes > self.free {
            return Err(self.free);
        }
        // The host hands out zeroed pages as they are touched; what was written is kept apart, the zeros mean nothing.
        let words = bytemuck::allocation::try_zeroed_slice_box(bytes.div_ceil(4) as usize);
        let address = self.next;
        let content = Content {
            words: words.map_err(|()| self.free)?,
            written: Written::new(address, bytes).ok_or(self.free)?,
            by_launch: AtomicBool::new(false),
        };
        self.allocations.push(Allocation {
            address,
            bytes,
            content: Some(content),
        });
        self.next = (address + bytes + RED_ZONE).next_multiple_of(ALIGN);
        self.free -= bytes;
        Ok(address)
    }

    /// Frees an allocation; whether there was one at `address`.
    pub fn free(&mut self, address: u64) -> bool {
        let found = self
            .allocations
            .binary_search_by_key(&address, |allocation| allocation.address);
        let Ok(index) = found else { return false };
        let allocation = &mut self.allocations[index];
        let live = allocation.content.take().is_some();
        if live {
            self.free += allocation.bytes;
        }
        live
    }

    /// The last allocation, freed or not, that starts at or before `address`.
    pub fn before(&self, address: u64) -> Option<&Allocation> {
        let behind = self
            .allocations
            .partition_point(|allocation| allocation.address <= address);
        self.allocations[..behind].last()
    }

    /// The live allocation that holds all of `bytes` bytes at `address`.
    pub fn find(&self, address: u64, bytes: u64) -> Option<(&Allocation, &Content)> {
        let allocation = self.before(address)?;
        let content = allocation.content.as_ref()?;
        allocation
            .holds(address, bytes)
            .then_some((allocation, content))
    }
}
