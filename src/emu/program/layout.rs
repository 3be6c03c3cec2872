//! Where parameters and variables stand in their spaces.

use std::collections::HashMap;

use super::error::DecodeError;
use super::inst::ParamPlace;
use super::resolve::{Place, Resolver};
use super::{Virtual, module_error};
use crate::driver::Target;
use crate::emu::ptx::{Entry, Module, Space, Variable};

/// Dynamic shared memory starts at a multiple of this, whatever the static part takes.
const DYNAMIC_SHARED_ALIGN: u32 = 128;
/// PTX limits a kernel's parameters to this.
const MAX_PARAM_BYTES: u32 = 4352;
/// Static shared memory, as CUDA limits it.
const MAX_SHARED_BYTES: u32 = 48 << 10;
/// Local memory of a thread, as CUDA limits it.
const MAX_LOCAL_BYTES: u32 = 512 << 10;
/// The constants of a module, as CUDA limits them.
const MAX_CONST_BYTES: u32 = 64 << 10;
/// More registers than this are no kernel of ours, and would not fit the slots.
const MAX_REGISTERS: usize = 30_000;

/// Sizes of an entry's spaces.
#[derive(Debug, Default)]
pub struct Layout {
    /// Parameters in order.
    pub params: Vec<ParamPlace>,
    /// Bytes of the parameters.
    pub param_bytes: u32,
    /// Static shared memory.
    pub shared_bytes: u32,
    /// Where `extern .shared` starts.
    pub dynamic_shared_offset: u32,
    /// Local memory of a thread.
    pub local_bytes: u32,
    /// The constants of the module.
    pub const_bytes: Vec<u8>,
}

/// The next multiple of `align` at or after `offset`, or an error where `bytes` bytes from there pass the space's limit.
fn place(offset: u32, align: u32, bytes: u32, what: &str, limit: u32) -> Result<u32, DecodeError> {
    let start = offset
        .checked_next_multiple_of(align.max(1))
        .filter(|start| start.checked_add(bytes).is_some_and(|end| end <= limit));
    start.ok_or_else(|| {
        module_error(format!(
            "{what}: {bytes} bytes aligned to {align} behind {offset} do not fit the {limit} bytes of its space"
        ))
    })
}

impl Layout {
    /// Lays out the spaces and fills a resolver with what each name means.
    pub fn of(
        module: &Module,
        entry: &Entry,
        target: Target,
    ) -> Result<(Layout, Resolver), DecodeError> {
        let mut layout = Layout::default();
        let mut names = Resolver {
            target,
            registers: HashMap::new(),
            types: Vec::new(),
            places: HashMap::new(),
            labels: HashMap::new(),
        };
        layout.params(entry, &mut names)?;
        let all = || module.variables.iter().chain(&entry.variables);
        for variable in all().filter(|v| v.bytes > 0) {
            layout.variable(variable, &mut names)?;
        }
        let aligned = all().filter(|v| v.bytes == 0).map(|v| v.align);
        let aligned = aligned.fold(DYNAMIC_SHARED_ALIGN, u32::max);
        layout.dynamic_shared_offset = layout
            .shared_bytes
            .checked_next_multiple_of(aligned)
            .ok_or_else(|| module_error(format!("dynamic shared memory aligned to {aligned}")))?;
        for variable in all().filter(|v| v.bytes == 0) {
            let place = Place {
                space: Space::Shared,
                offset: layout.dynamic_shared_offset,
                bytes: 0,
            };
            names.places.insert(variable.name.clone(), place);
        }
        registers(entry, &mut names)?;
        for label in &entry.labels {
            names.labels.insert(label.name.clone(), label.index as u32);
        }
        Ok((layout, names))
    }

    fn params(&mut self, entry: &Entry, names: &mut Resolver) -> Result<(), DecodeError> {
        for param in &entry.params {
            let bytes = param.ty.bytes().saturating_mul(param.count);
            let offset = place(
                self.param_bytes,
                param.align,
                bytes,
                &param.name,
                MAX_PARAM_BYTES,
            )?;
            self.param_bytes = offset + bytes;
            let space = Space::Param;
            names.places.insert(
                param.name.clone(),
                Place {
                    space,
                    offset,
                    bytes,
                },
            );
            self.params.push(ParamPlace {
                name: param.name.clone(),
                offset,
                bytes,
            });
        }
        Ok(())
    }

    fn variable(&mut self, variable: &Variable, names: &mut Resolver) -> Result<(), DecodeError> {
        let (end, limit) = match variable.space {
            Space::Shared => (&mut self.shared_bytes, MAX_SHARED_BYTES),
            Space::Local => (&mut self.local_bytes, MAX_LOCAL_BYTES),
            Space::Const => {
                let start = place(
                    self.const_bytes.len() as u32,
                    variable.align,
                    variable.bytes,
                    &variable.name,
                    MAX_CONST_BYTES,
                )?;
                self.const_bytes.resize(start as usize, 0);
                self.const_bytes.extend_from_slice(&variable.init);
                self.const_bytes
                    .resize((start + variable.bytes) as usize, 0);
                let place = Place {
                    space: Space::Const,
                    offset: start,
                    bytes: variable.bytes,
                };
                names.places.insert(variable.name.clone(), place);
                return Ok(());
            }
            space => {
                let what = format!(
                    "{}: variables in {space:?} memory are not modelled",
                    variable.name
                );
                return Err(module_error(what));
            }
        };
        let offset = place(*end, variable.align, variable.bytes, &variable.name, limit)?;
        *end = offset + variable.bytes;
        let place = Place {
            space: variable.space,
            offset,
            bytes: variable.bytes,
        };
        names.places.insert(variable.name.clone(), place);
        Ok(())
    }
}

fn registers(entry: &Entry, names: &mut Resolver) -> Result<(), DecodeError> {
    for declared in &entry.registers {
        let count = declared.count.unwrap_or(1) as usize;
        if names.types.len() + count > MAX_REGISTERS {
            let what = format!(
                "more than {MAX_REGISTERS} registers are declared in {}",
                entry.name
            );
            return Err(module_error(what));
        }
        for index in 0..count {
            let name = match declared.count {
                Some(_) => format!("{}{index}", declared.name),
                None => declared.name.clone(),
            };
            let register = Virtual(names.types.len() as u32);
            names.types.push(declared.ty);
            names.registers.insert(name, (register, declared.ty));
        }
    }
    Ok(())
}
