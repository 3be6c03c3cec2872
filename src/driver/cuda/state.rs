//! What a context holds: memory, and modules, functions, events and sequences by number; how an image becomes a module.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::{CString, c_void};

use cudarc::driver::sys;

use super::call::check;
use super::pinned::{Mailbox, Ring};
use super::sequence::Sequence;
use crate::driver::{
    DriverError, EventId, FunctionId, Image, MailboxId, ModuleId, Result, SequenceId,
};

/// Bytes of the PTX compiler's complaints that are kept.
const LOG_BYTES: usize = 8 << 10;

/// A kernel, and the dynamic shared memory that its launches have been promised.
#[derive(Debug)]
pub(super) struct Function {
    handle: sys::CUfunction,
    promised: Cell<u32>,
}

impl Function {
    /// Its handle, ready for a launch with so much dynamic shared memory. That is only ever raised: a launch of the same
    /// sequence, or one made before, keeps what it was promised. It is asked for from the first byte on, since what a CTA
    /// has without asking depends on the kernel's static shared memory.
    pub(super) fn prepared(&self, shared_bytes: u32) -> Result<sys::CUfunction> {
        use sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SHARED;
        if shared_bytes > self.promised.get() {
            // SAFETY: the function belongs to a loaded module; a size the device has not is an error code.
            check("cuFuncSetAttribute", unsafe {
                sys::cuFuncSetAttribute(self.handle, SHARED, shared_bytes as i32)
            })?;
            self.promised.set(shared_bytes);
        }
        Ok(self.handle)
    }
}

/// Handles by number.
#[derive(Debug, Default)]
pub(super) struct Handles {
    memory: BTreeSet<u64>,
    modules: Vec<sys::CUmodule>,
    functions: Vec<Function>,
    events: Vec<sys::CUevent>,
    sequences: Vec<Sequence>,
    mailboxes: Vec<Mailbox>,
    /// Made as the device is opened.
    pub(super) ring: Option<Ring>,
}

fn unknown(what: &'static str, value: u32) -> DriverError {
    DriverError::Unknown {
        what,
        value: u64::from(value),
    }
}

impl Handles {
    pub(super) fn add_memory(&mut self, address: u64) {
        self.memory.insert(address);
    }

    /// Refuses an address that is not the start of an allocation.
    pub(super) fn memory(&self, address: u64) -> Result<()> {
        let ours = self.memory.contains(&address);
        ours.then_some(()).ok_or(DriverError::Unknown {
            what: "address",
            value: address,
        })
    }

    /// The allocation at an address is about to be given back.
    pub(super) fn forget_memory(&mut self, address: u64) {
        self.memory.remove(&address);
    }

    pub(super) fn add_module(&mut self, module: sys::CUmodule) -> ModuleId {
        self.modules.push(module);
        ModuleId(self.modules.len() as u32 - 1)
    }

    pub(super) fn module(&self, id: ModuleId) -> Result<sys::CUmodule> {
        let module = self.modules.get(id.0 as usize).copied();
        module.ok_or_else(|| unknown("module", id.0))
    }

    pub(super) fn add_function(&mut self, function: sys::CUfunction) -> FunctionId {
        self.functions.push(Function {
            handle: function,
            promised: Cell::new(0),
        });
        FunctionId(self.functions.len() as u32 - 1)
    }

    pub(super) fn add_event(&mut self, event: sys::CUevent) -> EventId {
        self.events.push(event);
        EventId(self.events.len() as u32 - 1)
    }

    pub(super) fn event(&self, id: EventId) -> Result<sys::CUevent> {
        let event = self.events.get(id.0 as usize).copied();
        event.ok_or_else(|| unknown("event", id.0))
    }

    pub(super) fn add_sequence(&mut self, sequence: Sequence) -> SequenceId {
        self.sequences.push(sequence);
        SequenceId(self.sequences.len() as u32 - 1)
    }

    pub(super) fn sequence(&self, id: SequenceId) -> Result<&Sequence> {
        let sequence = self.sequences.get(id.0 as usize);
        sequence.ok_or_else(|| unknown("sequence", id.0))
    }

    pub(super) fn sequence_mut(&mut self, id: SequenceId) -> Result<&mut Sequence> {
        let sequence = self.sequences.get_mut(id.0 as usize);
        sequence.ok_or_else(|| unknown("sequence", id.0))
    }

    pub(super) fn add_mailbox(&mut self, mailbox: Mailbox) -> MailboxId {
        self.mailboxes.push(mailbox);
        MailboxId(self.mailboxes.len() as u32 - 1)
    }

    pub(super) fn mailbox(&mut self, id: MailboxId) -> Result<&mut Mailbox> {
        let mailbox = self.mailboxes.get_mut(id.0 as usize);
        mailbox.ok_or_else(|| unknown("mailbox", id.0))
    }

    pub(super) fn function(&self, id: FunctionId) -> Result<&Function> {
        let function = self.functions.get(id.0 as usize);
        function.ok_or_else(|| unknown("function", id.0))
    }

    /// Gives everything back.
    pub(super) fn clear(&mut self) {
        self.sequences.clear();
        self.functions.clear();
        self.mailboxes.clear();
        self.ring = None;
        // SAFETY: each handle is ours and destroyed once. A failure leaves nothing to do.
        unsafe {
            for event in self.events.drain(..) {
                sys::cuEventDestroy_v2(event);
            }
            for module in self.modules.drain(..) {
                sys::cuModuleUnload(module);
            }
            for address in std::mem::take(&mut self.memory) {
                sys::cuMemFree_v2(address);
            }
        }
    }
}

/// Loads an image: its cubin where the card runs it, otherwise its PTX, which the driver compiles now.
pub(super) fn load(image: &Image<'_>, runs_cubin: bool) -> Result<sys::CUmodule> {
    use sys::CUjit_option::{
        CU_JIT_ERROR_LOG_BUFFER as LOG, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES as LOG_SIZE,
    };
    let refuse = |reason: String| DriverError::Module {
        module: image.name.to_string(),
        reason,
    };
    let ptx = CString::new(image.ptx).map_err(|_| refuse("the PTX holds a zero byte".into()))?;
    let code: *const c_void = match image.cubin.filter(|_| runs_cubin) {
        Some(cubin) => cubin.as_ptr().cast(),
        None => ptx.as_ptr().cast(),
    };
    let mut log = vec![0u8; LOG_BYTES];
    let mut options = [LOG, LOG_SIZE];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), LOG_BYTES as *mut c_void];
    let mut module = std::ptr::null_mut();
    // SAFETY: `code` is a whole cubin, whose header holds its length, or PTX that ends with a zero; the log buffer has
    // the size given with it; all live until the call returns.
    let result = unsafe {
        sys::cuModuleLoadDataEx(
            &mut module,
            code,
            options.len() as u32,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    };
    check("cuModuleLoadDataEx", result).map_err(|error| {
        let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
        match String::from_utf8_lossy(&log[..end]).trim() {
            "" => refuse(error.to_string()),
            words => refuse(format!("{error}: {words}")),
        }
    })?;
    Ok(module)
}
