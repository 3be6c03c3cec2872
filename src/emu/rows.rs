//! The registers of a warp: one row of 32 lanes for each 32 bits of a PTX register.

/// Lanes of a warp.
pub const LANES: usize = 32;

/// Generic addresses from this bit on say which window they are in: 0 is global memory.
pub const WINDOW_SHIFT: u32 = 56;

/// Where shared memory starts among generic addresses.
pub const SHARED_WINDOW: u64 = 1 << WINDOW_SHIFT;

/// Where local memory starts among generic addresses.
pub const LOCAL_WINDOW: u64 = 2 << WINDOW_SHIFT;

/// One 32-bit register over the lanes of a warp. 8- and 16-bit registers use the low bits, the rest is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct Row(pub [u32; LANES]);

/// One 64-bit register over the lanes: two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct WideRow(pub [u64; LANES]);

impl Row {
    /// The same value in every lane.
    pub const fn splat(value: u32) -> Row {
        Row([value; LANES])
    }
}

impl WideRow {
    /// The same value in every lane.
    pub const fn splat(value: u64) -> WideRow {
        WideRow([value; LANES])
    }
}

/// Where an operand's value stands: a row of the warp's registers, or with the top bit set of the program's constants.
/// A 64-bit operand is that row and the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// An operand that is not there, or a result that is thrown away (`_`).
    pub const NONE: Slot = Slot(u16::MAX);
    const CONSTANT: u16 = 1 << 15;

    /// Row `index` of the constants.
    pub const fn constant(index: u16) -> Slot {
        Slot(index | Slot::CONSTANT)
    }

    /// The row's index among the registers or the constants.
    pub const fn index(self) -> usize {
        (self.0 & !Slot::CONSTANT) as usize
    }

    /// Whether it is in the constants.
    pub const fn is_constant(self) -> bool {
        self.0 & Slot::CONSTANT != 0
    }
}

/// The rows that an instruction may name.
pub struct Rows<'a> {
    /// The warp's registers.
    pub registers: &'a mut [Row],
    /// The program's constants.
    pub constants: &'a [Row],
}

impl Rows<'_> {
    /// A 32-bit operand (16-bit values in the low half).
    #[inline(always)]
    pub fn get(&self, slot: Slot) -> &Row {
        let index = usize::from(slot.0 & !Slot::CONSTANT);
        if slot.is_constant() {
            &self.constants[index]
        } else {
            &self.registers[index]
        }
    }

    /// The value of a 32-bit operand that all lanes hold, if it is one.
    #[inline(always)]
    pub fn uniform(&self, slot: Slot) -> Option<u32> {
        let row = self.get(slot);
        let first = row.0[0];
        // Constants are the same in all lanes, and most operands that must be are constants.
        if slot.is_constant() {
            return Some(first);
        }
        let lanes = row.0.iter();
        let differ = lanes.fold(0, |differ, value| differ | (value ^ first));
        (differ == 0).then_some(first)
    }

    /// A 64-bit operand.
    #[inline(always)]
    pub fn get_wide(&self, slot: Slot) -> &WideRow {
        let index = usize::from(slot.0 & !Slot::CONSTANT);
        let rows = if slot.is_constant() {
            self.constants
        } else {
            &*self.registers
        };
        &bytemuck::cast_slice(&rows[index..index + 2])[0]
    }

    /// Stores the lanes of `mask`; a result thrown away is not stored.
    #[inline(always)]
    pub fn set(&mut self, slot: Slot, value: &Row, mask: u32) {
        if slot == Slot::NONE {
            return;
        }
        let row = &mut self.registers[usize::from(slot.0)];
        if mask == u32::MAX {
            *row = *value;
        } else {
            for lane in 0..LANES {
                let keep = ((mask >> lane) & 1).wrapping_sub(1);
                row.0[lane] = (row.0[lane] & keep) | (value.0[lane] & !keep);
            }
        }
    }

    /// Stores the lanes of `mask` of a 64-bit result.
    #[inline(always)]
    pub fn set_wide(&mut self, slot: Slot, value: &WideRow, mask: u32) {
        if slot == Slot::NONE {
            return;
        }
        let index = usize::from(slot.0);
        let row: &mut WideRow =
            &mut bytemuck::cast_slice_mut(&mut self.registers[index..index + 2])[0];
        if mask == u32::MAX {
            *row = *value;
            return;
        }
        for lane in 0..LANES {
            let keep = u64::from((mask >> lane) & 1).wrapping_sub(1);
            row.0[lane] = (row.0[lane] & keep) | (value.0[lane] & !keep);
        }
    }
}
