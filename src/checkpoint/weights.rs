//! The weights of a graph: each stays in its map where its type and alignment allow, and is converted once where not.
//!
//! Loading reads every matrix that is multiplied once (a table that is only gathered is left alone). That pass finds
//! NaN, infinities and values out of range, which are refused by name, and bf16 denormals, which the dot product's
//! definition treats as zero; and it brings the pages in, so that the first token does not pay for them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use half::{bf16, f16};

use super::placement::{WeightBytes, copied_as};
use super::{Checkpoint, TensorView};
use crate::DType;
use crate::error::{Error, Result};
use crate::graph::{WeightId, WeightKind, WeightSpec};

/// The elements of a matrix, row by row.
#[derive(Debug, Clone, Copy)]
pub enum Elements<'a> {
    /// bfloat16, free of denormals in a bf16 run.
    Bf16(&'a [bf16]),
    /// IEEE half.
    F16(&'a [f16]),
    /// IEEE single.
    F32(&'a [f32]),
}

/// Elements that a thread looks at in one go.
const PIECE: usize = 1 << 20;

impl<'a> Elements<'a> {
    fn pieces(self) -> Vec<Elements<'a>> {
        match self {
            Elements::Bf16(values) => values.chunks(PIECE).map(Elements::Bf16).collect(),
            Elements::F16(values) => values.chunks(PIECE).map(Elements::F16).collect(),
            Elements::F32(values) => values.chunks(PIECE).map(Elements::F32).collect(),
        }
    }

    /// Whether they may be multiplied as they are.
    fn serve(self, matrix: DType) -> bool {
        match self {
            Elements::Bf16(values) => {
                let seen = scan_bf16(values);
                !(seen.too_large || seen.denormal && matrix == DType::Bf16)
            }
            Elements::F16(values) => values.iter().all(|x| x.is_finite()),
            Elements::F32(values) => values.iter().all(|x| x.is_finite()),
        }
    }
}

/// All weights of a graph, by `WeightId`.
#[derive(Debug)]
pub struct Weights {
    checkpoint: Arc<Checkpoint>,
    weights: Vec<Weight>,
}

#[derive(Debug)]
enum Weight {
    Matrix { cols: usize, parts: Vec<Part> },
    Vector(Vec<f32>),
}

#[derive(Debug)]
struct Part {
    name: String,
    rows: usize,
    /// `None`: the mapped bytes are used in place.
    owned: Option<Owned>,
}

#[derive(Debug)]
enum Owned {
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
    F32(Vec<f32>),
}

impl Owned {
    fn bytes(&self) -> u64 {
        match self {
            Owned::Bf16(values) => allocated(values),
            Owned::F16(values) => allocated(values),
            Owned::F32(values) => allocated(values),
        }
    }
}

/// What a vector's memory really is, spare room included.
fn allocated<T>(values: &Vec<T>) -> u64 {
    (values.capacity() * size_of::<T>()) as u64
}

/// One stacked part of a matrix.
#[derive(Debug, Clone, Copy)]
pub struct MatrixPart<'a> {
    /// Rows of this part.
    pub rows: usize,
    /// `(rows, cols)`.
    pub elements: Elements<'a>,
}

impl Weights {
    /// Loads the weights of `specs` for a run with matrix inputs of type `matrix`, with `threads` threads.
    pub fn load(
        checkpoint: Arc<Checkpoint>,
        specs: &[WeightSpec],
        matrix: DType,
        threads: usize,
    ) -> Result<Self> {
        let parts: Vec<(usize, usize)> = specs
            .iter()
            .enumerate()
            .flat_map(|(weight, spec)| (0..spec.parts.len()).map(move |part| (weight, part)))
            .collect();
        let serves = serving(&checkpoint, specs, &parts, matrix, threads);
        let results = in_parallel(parts.len(), threads, |i| {
            let (weight, part) = parts[i];
            match serves[i] {
                true => Ok(None),
                false => load_part(&checkpoint, &specs[weight], part, matrix),
            }
        });
        // In the order of the graph, so that of several bad tensors the same one is always named.
        let mut loaded: Vec<Vec<Option<Owned>>> = specs.iter().map(|_| Vec::new()).collect();
        for ((weight, _), owned) in parts.iter().zip(results) {
            loaded[*weight].push(owned?);
        }
        let weights = specs
            .iter()
            .zip(loaded)
            .map(|(spec, parts)| assemble(spec, parts))
            .collect();
        Ok(Weights {
            checkpoint,
            weights,
        })
    }

    /// Row length of the matrix `id`.
    pub fn cols(&self, id: WeightId) -> usize {
        match &self.weights[id.0] {
            Weight::Matrix { cols, .. } => *cols,
            Weight::Vector(values) => values.len(),
        }
    }

    /// The parts of the matrix `id`, stacked by rows.
    pub fn matrix(&self, id: WeightId) -> impl Iterator<Item = MatrixPart<'_>> {
        let (cols, parts) = match &self.weights[id.0] {
            Weight::Matrix { cols, parts } => (*cols, parts.as_slice()),
            Weight::Vector(_) => (0, [].as_slice()),
        };
        parts.iter().map(move |part| MatrixPart {
            rows: part.rows,
            elements: self.elements(part, cols),
        })
    }

    /// Bytes of the weight `id` as the kernels read it.
    pub fn read_bytes(&self, id: WeightId) -> u64 {
        let parts = self.matrix(id).map(|part| match part.elements {
            Elements::Bf16(values) => size_of_val(values),
            Elements::F16(values) => size_of_val(values),
            Elements::F32(values) => size_of_val(values),
        });
        (parts.sum::<usize>() + size_of_val(self.vector(id))) as u64
    }

    /// The vector `id`.
    pub fn vector(&self, id: WeightId) -> &[f32] {
        match &self.weights[id.0] {
            Weight::Vector(values) => values,
            Weight::Matrix { .. } => &[],
        }
    }

    /// Bytes that the weights hold: tensor data of the maps, and the memory of every copy.
    pub fn bytes(&self) -> WeightBytes {
        let mut bytes = WeightBytes {
            mapped: self.checkpoint.tensor_bytes(),
            ..WeightBytes::default()
        };
        for weight in &self.weights {
            match weight {
                Weight::Vector(values) => bytes.vectors += allocated(values),
                Weight::Matrix { parts, .. } => {
                    let copies = parts.iter().filter_map(|part| part.owned.as_ref());
                    bytes.converted += copies.map(Owned::bytes).sum::<u64>();
                }
            }
        }
        bytes
    }

    fn elements<'a>(&'a self, part: &'a Part, cols: usize) -> Elements<'a> {
        match &part.owned {
            Some(Owned::Bf16(values)) => Elements::Bf16(values),
            Some(Owned::F16(values)) => Elements::F16(values),
            Some(Owned::F32(values)) => Elements::F32(values),
            // Checked when it was loaded; a tensor that cannot be viewed in place is owned.
            None => self
                .checkpoint
                .tensor(&part.name, &[part.rows, cols])
                .ok()
                .and_then(|view| in_place(&view))
                .unwrap_or(Elements::F32(&[])),
        }
    }
}

/// The tensor's elements where they stand, unless the file put them at an odd address.
fn in_place<'a>(view: &TensorView<'a>) -> Option<Elements<'a>> {
    match view.dtype {
        DType::Bf16 => bytemuck::try_cast_slice(view.bytes)
            .ok()
            .map(Elements::Bf16),
        DType::F16 => bytemuck::try_cast_slice(view.bytes).ok().map(Elements::F16),
        DType::F32 => bytemuck::try_cast_slice(view.bytes).ok().map(Elements::F32),
    }
}

fn assemble(spec: &WeightSpec, owned: Vec<Option<Owned>>) -> Weight {
    match spec.cols {
        Some(cols) => Weight::Matrix {
            cols,
            parts: spec
                .parts
                .iter()
                .zip(owned)
                .map(|((name, rows), owned)| Part {
                    name: name.clone(),
                    rows: *rows,
                    owned,
                })
                .collect(),
        },
        None => {
            // Sized once: growing would leave spare room that no plan knows of.
            let mut values = Vec::with_capacity(spec.rows());
            for part in owned.into_iter().flatten() {
                if let Owned::F32(part) = part {
                    values.extend(part);
                }
            }
            Weight::Vector(values)
        }
    }
}

/// What `job` makes of 0 to `count`, in that order, on `threads` threads.
fn in_parallel<R: Send>(count: usize, threads: usize, job: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            done.push((index, job(index)));
        }
    };
    let mut results = std::thread::scope(|scope| {
        let handles: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(work)).collect();
        let mut results = work();
        for handle in handles {
            match handle.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Which of `parts` serve where they stand. Read by the piece: one thread would still be at the head when all others had
/// done everything else.
fn serving(
    checkpoint: &Checkpoint,
    specs: &[WeightSpec],
    parts: &[(usize, usize)],
    matrix: DType,
    threads: usize,
) -> Vec<bool> {
    let mut serves = vec![false; parts.len()];
    let mut pieces = Vec::new();
    for (index, &(weight, part)) in parts.iter().enumerate() {
        let spec = &specs[weight];
        // Errors wait for `load_part`, as does a table, of which nothing is read.
        let view = part_view(checkpoint, spec, part).ok();
        let kept = view.and_then(|view| kept(&view, spec.kind, matrix));
        if let Some(elements) = kept.filter(|_| spec.kind == WeightKind::Matrix) {
            serves[index] = true;
            pieces.extend(elements.pieces().into_iter().map(|piece| (index, piece)));
        }
    }
    let found = in_parallel(pieces.len(), threads, |i| pieces[i].1.serve(matrix));
    for ((index, _), serve) in pieces.iter().zip(found) {
        serves[*index] &= serve;
    }
    serves
}

fn part_view<'a>(
    checkpoint: &'a Checkpoint,
    spec: &WeightSpec,
    part: usize,
) -> Result<TensorView<'a>> {
    let (name, rows) = &spec.parts[part];
    let shape: Vec<usize> = [Some(*rows), spec.cols].into_iter().flatten().collect();
    checkpoint.tensor(name, &shape)
}

/// A tensor's elements where they stand, unless its place or its type makes a copy of it.
fn kept<'a>(view: &TensorView<'a>, kind: WeightKind, matrix: DType) -> Option<Elements<'a>> {
    in_place(view).filter(|_| copied_as(kind, view.dtype, matrix).is_none())
}

/// Copies one tensor that does not serve as it stands, unless it is only gathered.
fn load_part(
    checkpoint: &Checkpoint,
    spec: &WeightSpec,
    part: usize,
    matrix: DType,
) -> Result<Option<Owned>> {
    let view = part_view(checkpoint, spec, part)?;
    match kept(&view, spec.kind, matrix) {
        // Gathered row by row as needed.
        Some(_) if spec.kind == WeightKind::Table => return Ok(None),
        // Denormals, then.
        Some(Elements::Bf16(values)) if !scan_bf16(values).too_large => {
            let flushed = values.iter().map(|&x| flush(x)).collect();
            return Ok(Some(Owned::Bf16(flushed)));
        }
        _ => {}
    }
    let values = wide(&view);
    if spec.kind == WeightKind::Table {
        // At an odd address, so copied as it is.
        return convert(&view, values, view.dtype).map(Some);
    }
    check_finite(&view, &values)?;
    let copied = copied_as(spec.kind, view.dtype, matrix);
    convert(&view, values, copied.unwrap_or(matrix)).map(Some)
}

/// Every element as f32, which holds all three types exactly.
fn wide(view: &TensorView<'_>) -> Vec<f32> {
    let pairs = |read: fn([u8; 2]) -> f32| {
        view.bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&pair| read(pair))
            .collect()
    };
    match view.dtype {
        DType::Bf16 => pairs(|pair| bf16::from_le_bytes(pair).to_f32()),
        DType::F16 => pairs(|pair| f16::from_le_bytes(pair).to_f32()),
        DType::F32 => view
            .bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&four| f32::from_le_bytes(four))
            .collect(),
    }
}

/// `values` in `dtype`. A value that f16 cannot hold, or that a bf16 product could carry out of f32's range, is refused.
fn convert(view: &TensorView<'_>, values: Vec<f32>, dtype: DType) -> Result<Owned> {
    let (largest, way_out) = match dtype {
        DType::F32 => return Ok(Owned::F32(values)),
        DType::F16 => (65504.0, "--dtype bf16 or f32"),
        DType::Bf16 => (LARGEST_BF16, "--dtype f32"),
    };
    if let Some(index) = values.iter().position(|x| x.abs() > largest) {
        let field = format!("{}[{index}] in {dtype}", view.name);
        let expected = format!("at most {largest}; run with {way_out}");
        return Err(Error::unsupported(
            view.file,
            field,
            values[index],
            expected,
        ));
    }
    Ok(match dtype {
        DType::F16 => Owned::F16(values.iter().map(|&x| f16::from_f32(x)).collect()),
        _ => Owned::Bf16(values.iter().map(|&x| flush(bf16::from_f32(x))).collect()),
    })
}

fn check_finite(view: &TensorView<'_>, values: &[f32]) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(element_error(view.file, view.name, index, values[index])),
    }
}

fn element_error(file: &Path, name: &str, index: usize, value: f32) -> Error {
    Error::malformed(file, format!("{name}[{index}]"), value, "a finite number")
}

/// bf16 denormals count as zero; the sign goes too.
fn flush(value: bf16) -> bf16 {
    if value.to_bits() & 0x7f80 == 0 {
        bf16::ZERO
    } else {
        value
    }
}

/// Largest weight of a bf16 run, 2^26: with activations up to 2^26 no partial sum can overflow (`backend::cpu::element`).
const LARGEST_BF16: f32 = 67_108_864.0;

struct Seen {
    /// Above `LARGEST_BF16`, infinite or NaN.
    too_large: bool,
    denormal: bool,
}

/// One pass without branches in the loop, so that it runs at the speed of memory.
fn scan_bf16(values: &[bf16]) -> Seen {
    let bits: &[u16] = bytemuck::cast_slice(values);
    let largest = bf16::from_f32(LARGEST_BF16).to_bits();
    let mut too_large = 0u16;
    let mut denormal = 0u16;
    for &value in bits {
        let magnitude = value & 0x7fff;
        too_large |= u16::from(magnitude > largest);
        denormal |= u16::from(magnitude.wrapping_sub(1) < 0x7f);
    }
    Seen {
        too_large: too_large != 0,
        denormal: denormal != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_tells_every_kind_of_value() {
        let seen = |bits: u16| {
            let seen = scan_bf16(&[bf16::from_bits(bits), bf16::ONE]);
            (seen.too_large, seen.denormal)
        };
        for bits in 0..=u16::MAX {
            let value = bf16::from_bits(bits).to_f32();
            let too_large = value.is_nan() || value.abs() > LARGEST_BF16;
            // The f32 of a bf16 denormal is a denormal too.
            assert_eq!(seen(bits), (too_large, value.is_subnormal()), "{bits:#x}");
        }
    }
}
