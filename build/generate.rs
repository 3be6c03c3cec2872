//! The Rust text of `kernels.rs`: the tables of what is embedded, and a launch stub for each kernel.

use std::fmt::Write;

use super::FIX;
use super::compile::{Built, Source, TARGETS};
use super::signature::{Pass, Signature};

/// A kernel file, its kernels, and what it became for each target, in the order of `TARGETS`; nothing where there was no
/// compiler.
#[derive(Debug)]
pub struct Unit {
    /// The file.
    pub source: Source,
    /// Its kernels.
    pub signatures: Vec<Signature>,
    /// What was made of it.
    pub built: Vec<Built>,
}

/// The whole file. `missing` is the message of a build without a compiler.
pub fn file(units: &[Unit], missing: Option<&str>) -> String {
    let mut text = "// Written by build.rs from the kernel files in cuda/.\n\n".to_string();
    let _ = writeln!(text, "const MISSING: Option<&str> = {missing:?};");
    let _ = writeln!(text, "const REMEDY: &str = {FIX:?};\n");
    images(&mut text, units);
    entries(&mut text, units);
    text += "/// One launch stub for each kernel; the arguments are those of its signature.\n";
    text += "#[allow(clippy::too_many_arguments, reason = \"as many as the kernel has\")]\nimpl Kernels {\n";
    let all = units
        .iter()
        .flat_map(|unit| unit.signatures.iter().map(move |s| (unit, s)));
    for (index, (unit, signature)) in all.enumerate() {
        stub(&mut text, index, &unit.source.path, signature);
    }
    text + "}\n"
}

fn images(text: &mut String, units: &[Unit]) {
    *text += "/// Every embedded kernel image.\npub static IMAGES: &[Image<'static>] = &[\n";
    for unit in units {
        for (target, built) in TARGETS.iter().zip(&unit.built) {
            let cubin = match &built.cubin {
                Some(name) => format!("Some(include_bytes!({name:?}))"),
                None => "None".to_string(),
            };
            let _ = writeln!(
                text,
                "    Image {{ name: {:?}, target: Target::{}, ptx: include_str!({:?}), cubin: {cubin} }},",
                unit.source.name, target.variant, built.ptx
            );
        }
    }
    *text += "];\n\n";
}

fn entries(text: &mut String, units: &[Unit]) {
    *text +=
        "/// Every kernel, in the order of the stubs.\npub const ENTRIES: &[EntryFacts] = &[\n";
    for unit in units {
        for signature in &unit.signatures {
            let _ = writeln!(
                text,
                "    EntryFacts {{ name: {:?}, file: {:?}, launch_bounds: {:?}, built: &[{}] }},",
                signature.name,
                unit.source.name,
                signature.launch_bounds,
                built(unit, &signature.name)
            );
        }
    }
    *text += "];\n\n";
}

/// The targets on which the kernel exists, with what it uses there.
fn built(unit: &Unit, kernel: &str) -> String {
    let mut list = Vec::new();
    for (target, built) in TARGETS.iter().zip(&unit.built) {
        if !built.entries.iter().any(|entry| entry.name == kernel) {
            continue;
        }
        let usage = built.usages.iter().find(|usage| usage.entry == kernel);
        let resources = usage.map_or("None".to_string(), |usage| {
            format!(
                "Some(Resources {{ registers: {}, shared_bytes: {}, spill_bytes: {} }})",
                usage.registers, usage.shared_bytes, usage.spill_bytes
            )
        });
        list.push(format!("(Target::{}, {resources})", target.variant));
    }
    list.join(", ")
}

fn stub(text: &mut String, index: usize, path: &str, signature: &Signature) {
    let _ = writeln!(text, "    /// `{}` of `{path}`.\n    ///", signature.name);
    let mut arguments = String::new();
    let mut body = String::new();
    for param in &signature.params {
        let (name, of) = (&param.name, param.of.rust);
        let (argument, method) = match param.pass {
            Pass::In => (format!("driver::In<{of}>"), "input"),
            Pass::Out => (format!("driver::Out<{of}>"), "output"),
            Pass::InOut => (format!("driver::InOut<{of}>"), "in_out"),
            Pass::Scalar => (of.to_string(), "scalar"),
        };
        let _ = write!(arguments, ", {name}: {argument}");
        let _ = writeln!(body, "        args.{method}({name});");
        if !param.comment.is_empty() {
            let _ = writeln!(text, "    /// - `{name}`: {}", escaped(&param.comment));
        }
    }
    let _ = writeln!(
        text,
        "    pub fn {}(&self, geometry: Geometry{arguments}) -> Result<Launch, DriverError> {{\n        \
         let mut args = Args::default();\n{body}        self.ready({index}, geometry, args)\n    }}\n",
        signature.name
    );
}

/// Markdown would take brackets for links and tags.
fn escaped(comment: &str) -> String {
    let mut text = String::new();
    for c in comment.chars() {
        if "[]<>*_`\\".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}
