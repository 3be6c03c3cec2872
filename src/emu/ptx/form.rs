//! The form of an instruction: what decides its meaning apart from the values it works on. A test holds the forms in our
//! kernels against the forms that have a case of their own.

use std::collections::BTreeMap;

use super::{Entry, Instruction, Module, Operand};

/// Every form in a module, with the PTX line where it first stands.
pub fn forms(module: &Module) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for entry in &module.entries {
        for instruction in &entry.body {
            let form = form(module, entry, instruction);
            found.entry(form).or_insert(instruction.line);
        }
    }
    found
}

/// The form of an instruction: its opcode with all modifiers, and its operands where their kind or number changes what it
/// does. Registers and immediates are one kind.
///
/// ```text
/// add.s32                      mov.u32 %tid.x        (each special register)
/// ld.global.nc.v4.f32          mov.u64 variable      (an address)
/// setp.lt.s32 p|q              mov.b32 d,{2}         (pack)
/// @p bra                       mov.b32 {2},s         (unpack)
/// bar.sync 2 operands          cp.async.ca.shared.global 4 bytes of size
/// ```
pub fn form(module: &Module, entry: &Entry, instruction: &Instruction) -> String {
    let mut form = instruction.opcode();
    let opcode = instruction.parts.first().map_or("", String::as_str);
    match opcode {
        "bra" | "ret" | "exit" if instruction.guard.is_some() => form.insert_str(0, "@p "),
        "mov" => form.push_str(&mov_operands(module, entry, instruction)),
        "bar" | "barrier" => {
            form.push_str(&format!(" {} operands", instruction.operands.len()));
        }
        "cp" => form.push_str(&copy_operands(instruction)),
        _ => {}
    }
    let marks = instruction
        .operands
        .iter()
        .filter_map(|operand| match operand {
            Operand::Pair(..) => Some(" p|q"),
            Operand::Not(_) => Some(" !p"),
            _ => None,
        });
    form.extend(marks);
    form
}

fn mov_operands(module: &Module, entry: &Entry, instruction: &Instruction) -> String {
    let mut variables = module.variables.iter().chain(&entry.variables);
    match instruction.operands.as_slice() {
        [Operand::Vector(to), _] => format!(" {{{}}},s", to.len()),
        [_, Operand::Vector(from)] => format!(" d,{{{}}}", from.len()),
        [_, Operand::Name(name)] if is_special(name) => format!(" {name}"),
        [_, Operand::Name(name)] if variables.any(|v| v.name == *name) => " variable".into(),
        _ => String::new(),
    }
}

/// `cp.async`: the bytes it copies, and whether fewer are read.
fn copy_operands(instruction: &Instruction) -> String {
    match instruction.operands.as_slice() {
        [_, _, Operand::Integer(bytes)] => format!(" {bytes} bytes"),
        [_, _, Operand::Integer(bytes), ..] => format!(" {bytes} bytes of size"),
        _ => String::new(),
    }
}

/// Whether a name is a special register's: `%tid.x`, `%laneid`. Declared registers end in their number.
fn is_special(name: &str) -> bool {
    const PLAIN: [&str; 12] = [
        "%laneid",
        "%warpid",
        "%nwarpid",
        "%smid",
        "%nsmid",
        "%gridid",
        "%clock",
        "%clock_hi",
        "%clock64",
        "%globaltimer",
        "%dynamic_smem_size",
        "%total_smem_size",
    ];
    name.starts_with('%')
        && (name.contains('.') || name.starts_with("%lanemask_") || PLAIN.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emu::ptx::parse;

    #[test]
    fn forms_tell_apart_what_means_something_else() {
        let module = parse(
            ".version 7.4\n.target sm_80\n.address_size 64\n.global .u32 counter;\n.entry f()\n{\n\
             .reg .b32 %r<9>; .reg .b16 %h<9>; .reg .pred %p<9>; .reg .b64 %d<9>;\n\
             add.s32 %r1, %r2, %r3;\nadd.s32 %r1, %r2, 5;\nmov.b32 %r1, {%h1, %h2};\nmov.b32 {%h1, %h2}, %r1;\n\
             mov.u32 %r1, %tid.x;\nmov.u32 %r1, %laneid;\nmov.u64 %d1, counter;\nmov.u32 %r1, %r2;\nmov.u32 %r1, 7;\n\
             setp.lt.s32 %p1, %r1, %r2;\nsetp.lt.s32 %p1|%p2, %r1, 3;\nselp.b32 %r1, 1, 0, !%p1;\n\
             @!%p1 bra X;\nbra X;\nX: bar.sync 0;\nbar.sync 1, 64;\n\
             cp.async.ca.shared.global [%r1], [%d1], 4;\ncp.async.ca.shared.global [%r1], [%d1], 4, %r2;\n\
             @%p1 add.s32 %r1, 1, 2;\n}\n",
        )
        .unwrap();
        let forms: Vec<_> = forms(&module).into_keys().collect();
        let expected = [
            "@p bra",
            "add.s32",
            "bar.sync 1 operands",
            "bar.sync 2 operands",
            "bra",
            "cp.async.ca.shared.global 4 bytes",
            "cp.async.ca.shared.global 4 bytes of size",
            "mov.b32 d,{2}",
            "mov.b32 {2},s",
            "mov.u32",
            "mov.u32 %laneid",
            "mov.u32 %tid.x",
            "mov.u64 variable",
            "selp.b32 !p",
            "setp.lt.s32",
            "setp.lt.s32 p|q",
        ];
        assert_eq!(forms, expected);
    }
}
