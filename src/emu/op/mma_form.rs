//! Which `mma.sync` an opcode names, and whether it is modelled.

use std::fmt;

use crate::driver::Target;
use crate::emu::ptx::Type;

/// Rows of A, columns of B, and the length of the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows of A and D: 16 or 8.
    pub m: usize,
    /// Columns of B and D: 8.
    pub n: usize,
    /// Columns of A and rows of B.
    pub k: usize,
}

/// A modelled `mma.sync.aligned`. B's columns are always `.col` and A's rows `.row`: these shapes have no other order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MmaForm {
    /// Its shape.
    pub shape: Shape,
    /// Type of A's elements.
    pub a_type: Type,
    /// Type of B's elements.
    pub b_type: Type,
    /// Type of C's and D's elements.
    pub d_type: Type,
    /// `.satfinite`: an integer result is clamped instead of wrapped.
    pub saturate: bool,
}

/// A shape, its types, and the first target that has it. A and B may each be any of the inputs.
struct Family {
    shape: Shape,
    inputs: &'static [Type],
    results: &'static [Type],
    since: Target,
}

const fn family(
    (m, k): (usize, usize),
    inputs: &'static [Type],
    results: &'static [Type],
    since: Target,
) -> Family {
    Family {
        shape: Shape { m, n: 8, k },
        inputs,
        results,
        since,
    }
}

const BYTES: &[Type] = &[Type::S8, Type::U8];

const FAMILIES: [Family; 7] = [
    family((16, 8), &[Type::F16], &[Type::F32, Type::F16], Target::Sm75),
    family(
        (16, 16),
        &[Type::F16],
        &[Type::F32, Type::F16],
        Target::Sm80,
    ),
    family((16, 8), &[Type::Bf16], &[Type::F32], Target::Sm80),
    family((16, 16), &[Type::Bf16], &[Type::F32], Target::Sm80),
    family((8, 16), BYTES, &[Type::S32], Target::Sm75),
    family((16, 16), BYTES, &[Type::S32], Target::Sm80),
    family((16, 32), BYTES, &[Type::S32], Target::Sm80),
];

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}n{}k{}", self.m, self.n, self.k)
    }
}

impl fmt::Display for MmaForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saturate = if self.saturate { ".satfinite" } else { "" };
        let MmaForm {
            shape,
            a_type,
            b_type,
            d_type,
            ..
        } = self;
        write!(
            f,
            "mma.sync.aligned.{shape}.row.col{saturate}.{d_type}.{a_type}.{b_type}.{d_type}"
        )
    }
}

impl MmaForm {
    /// The form that an opcode's parts name: `None` if it is no `mma`, an error that names what is not modelled.
    pub fn decode(parts: &[String], target: Target) -> Result<Option<MmaForm>, String> {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let Some(("mma", rest)) = parts.split_first().map(|(first, rest)| (*first, rest)) else {
            return Ok(None);
        };
        let wrong = |what: String| format!("{}: {what}", parts.join("."));
        let ["sync", "aligned", shape, "row", "col", types @ ..] = rest else {
            return Err(wrong(
                "modelled is mma.sync.aligned.<shape>.row.col[.satfinite].<d>.<a>.<b>.<c>".into(),
            ));
        };
        let (saturate, types) = match types {
            ["satfinite", types @ ..] => (true, types),
            types => (false, types),
        };
        let [d, a, b, c] = types else {
            return Err(wrong(format!(
                "{} types where 4 are expected: d, a, b and c",
                types.len()
            )));
        };
        let (family, form) = Self::find(shape, [d, a, b, c], saturate).ok_or_else(|| {
            wrong(format!(
                "shape {shape} with types {d}.{a}.{b}.{c} is not modelled"
            ))
        })?;
        if target < family.since {
            return Err(wrong(format!(
                "needs {}, and the module is for {target}",
                family.since
            )));
        }
        if saturate && form.d_type != Type::S32 {
            return Err(wrong(".satfinite is for integer types".into()));
        }
        Ok(Some(form))
    }

    /// The family of four type names on a shape, and the form.
    fn find(shape: &str, names: [&str; 4], saturate: bool) -> Option<(&'static Family, MmaForm)> {
        let [d_type, a_type, b_type, c_type] = names.map(Type::from_name);
        let (d_type, a_type, b_type) = (d_type?, a_type?, b_type?);
        let family = FAMILIES.iter().find(|family| {
            family.shape.to_string() == shape
                && family.inputs.contains(&a_type)
                && family.inputs.contains(&b_type)
                && family.results.contains(&d_type)
                && c_type == Some(d_type)
        })?;
        let form = MmaForm {
            shape: family.shape,
            a_type,
            b_type,
            d_type,
            saturate,
        };
        Some((family, form))
    }

    /// Every form that a target has.
    pub fn all(target: Target) -> Vec<MmaForm> {
        let mut forms = Vec::new();
        for family in FAMILIES.iter().filter(|family| family.since <= target) {
            for &d_type in family.results {
                for (&a_type, &b_type) in pairs(family.inputs) {
                    for saturate in [false, true] {
                        // Only integers have both.
                        if saturate && d_type != Type::S32 {
                            continue;
                        }
                        forms.push(MmaForm {
                            shape: family.shape,
                            a_type,
                            b_type,
                            d_type,
                            saturate,
                        });
                    }
                }
            }
        }
        forms
    }

    /// Registers of A's fragment.
    pub fn a_registers(self) -> usize {
        registers(self.shape.m * self.shape.k, self.a_type)
    }

    /// Registers of B's fragment.
    pub fn b_registers(self) -> usize {
        registers(self.shape.n * self.shape.k, self.b_type)
    }

    /// Registers of C's and of D's fragment.
    pub fn d_registers(self) -> usize {
        registers(self.shape.m * self.shape.n, self.d_type)
    }
}

fn pairs(types: &[Type]) -> impl Iterator<Item = (&Type, &Type)> {
    types.iter().flat_map(|a| types.iter().map(move |b| (a, b)))
}

/// Registers that a matrix takes in each of 32 lanes.
fn registers(elements: usize, ty: Type) -> usize {
    elements * ty.bytes() as usize / 4 / 32
}
