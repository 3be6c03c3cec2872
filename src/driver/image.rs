//! The versions that an embedded image states, which decide the drivers that take it.

use super::Image;

/// Where an ELF file states its ABI version.
const ELF_ABI_VERSION: usize = 8;

impl Image<'_> {
    /// The PTX ISA version of its PTX, major and minor.
    pub fn ptx_isa(&self) -> Option<(u32, u32)> {
        let line = self.ptx.lines().find(|line| line.starts_with(".version"))?;
        let (major, minor) = line.split_whitespace().nth(1)?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }

    /// The ELF ABI version of its cubin: 7 is taken by drivers from CUDA 12 on.
    pub fn cubin_abi(&self) -> Option<u8> {
        self.cubin?.get(ELF_ABI_VERSION).copied()
    }
}
