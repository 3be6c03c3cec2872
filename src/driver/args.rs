//! Typed kernel arguments. A generated launch stub takes these, so an argument of another type does not compile.
//!
//! Each pointer argument carries its length and direction. CUDA ignores both; the emulator holds every access of the
//! kernel against them, so a kernel that runs past its own tensor into a neighbour of the same allocation is found.

use std::marker::PhantomData;

use half::{bf16, f16};

use super::DevicePtr;

/// A type that kernels take pointers to.
pub trait DeviceType: bytemuck::Pod {}

macro_rules! device_types {
    ($($t:ty),*) => { $(impl DeviceType for $t {})* };
}
device_types!(f32, f16, bf16, u8, i8, u16, u32, i32, u64);

/// What a kernel may do with a range of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Write it, and read what it has written.
    Write,
    /// Both; the bytes hold values before the launch.
    ReadWrite,
}

/// A range of device memory that a launch may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Where it starts.
    pub ptr: DevicePtr,
    /// Its length in bytes.
    pub bytes: u64,
    /// In which way.
    pub access: Access,
    /// The parameter's index in the kernel's signature.
    pub param: u32,
}

/// The arguments of a launch, laid out as PTX lays out `.param` space: each at the next multiple of its size.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Args {
    /// The parameter bytes.
    pub bytes: Vec<u8>,
    /// Where each parameter starts in them.
    pub offsets: Vec<u32>,
    /// What the pointers among them point to.
    pub views: Vec<View>,
}

impl Args {
    /// Appends a scalar, aligned to its own size.
    pub fn scalar<T: DeviceType>(&mut self, value: T) {
        let bytes = bytemuck::bytes_of(&value);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(bytes.len()), 0);
        self.offsets.push(self.bytes.len() as u32);
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a pointer to `len` elements.
    fn pointer<T: DeviceType>(&mut self, ptr: DevicePtr, len: usize, access: Access) {
        self.views.push(View {
            ptr,
            bytes: len as u64 * size_of::<T>() as u64,
            access,
            param: self.offsets.len() as u32,
        });
        self.scalar(ptr.0);
    }

    /// Appends `const T*`.
    pub fn input<T: DeviceType>(&mut self, x: In<T>) {
        self.pointer::<T>(x.ptr, x.len, Access::Read);
    }

    /// Appends `T*`.
    pub fn output<T: DeviceType>(&mut self, x: Out<T>) {
        self.pointer::<T>(x.ptr, x.len, Access::Write);
    }

    /// Appends `T*` marked `// inout`.
    pub fn in_out<T: DeviceType>(&mut self, x: InOut<T>) {
        self.pointer::<T>(x.ptr, x.len, Access::ReadWrite);
    }
}

macro_rules! slices {
    ($($(#[$doc:meta])* $name:ident),*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<T: DeviceType> {
            /// The first element.
            pub ptr: DevicePtr,
            /// Elements.
            pub len: usize,
            of: PhantomData<T>,
        }

        impl<T: DeviceType> $name<T> {
            /// `len` elements from `ptr`.
            pub fn new(ptr: DevicePtr, len: usize) -> Self {
                $name { ptr, len, of: PhantomData }
            }
        }

        impl<T: DeviceType> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T: DeviceType> Copy for $name<T> {}
    )* };
}
slices!(
    /// Elements that a kernel only reads (`const T*`).
    In,
    /// Elements that a kernel writes before it reads them (`T*`).
    Out,
    /// Elements that a kernel reads and writes (`T*` marked `// inout`).
    InOut
);
