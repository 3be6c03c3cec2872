//! Weights on the device: matrices that are multiplied in fragment order, rows that are gathered as they stand, norms and
//! biases in f32. Packed on the way, so that the host holds one matrix more than the checkpoint at most.

use super::launch::MatrixType;
use super::lower::{Stage, Work};
use super::memory::Memory;
use super::pack::{self, Rows};
use crate::DType;
use crate::checkpoint::Weights;
use crate::checkpoint::weights::Elements;
use crate::driver::{DevicePtr, DriverError, In, Target};
use crate::graph::{Plan, WeightId, WeightKind};

/// Where a weight stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Packed for products, and its elements.
    packed: Option<(DevicePtr, usize)>,
    /// Row by row for gathers.
    rows: Option<(DevicePtr, DType)>,
    /// A vector.
    vector: Option<DevicePtr>,
}

/// All weights of a plan, by `WeightId`.
#[derive(Debug)]
pub struct DeviceWeights {
    places: Vec<Place>,
    /// Elements of each, unpacked.
    shapes: Vec<(usize, usize)>,
}

/// How a matrix is multiplied, which decides its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    GateUp,
    Heads { dim: usize },
}

impl Packing {
    /// Rows of tiles of a matrix of `rows` rows.
    pub(super) fn tiles(self, rows: usize) -> usize {
        match self {
            Packing::Plain | Packing::Heads { .. } => pack::plain_tiles(rows),
            Packing::GateUp => pack::gate_up_tiles(rows / 2),
        }
    }
}

fn bytes_of<'a>(elements: Elements<'a>) -> (&'a [u8], DType) {
    match elements {
        Elements::Bf16(values) => (bytemuck::cast_slice(values), DType::Bf16),
        Elements::F16(values) => (bytemuck::cast_slice(values), DType::F16),
        Elements::F32(values) => (bytemuck::cast_slice(values), DType::F32),
    }
}

/// A matrix's parts, one after the other, and their type.
fn stacked(weights: &Weights, id: WeightId) -> (Vec<u8>, DType) {
    let mut all = Vec::with_capacity(weights.read_bytes(id) as usize);
    let mut stored = DType::F32;
    for part in weights.matrix(id) {
        let (bytes, dtype) = bytes_of(part.elements);
        all.extend_from_slice(bytes);
        stored = dtype;
    }
    (all, stored)
}

impl DeviceWeights {
    /// Brings the weights of `plan` to the device, in the order that its stages want.
    pub fn upload<T: MatrixType>(
        memory: &mut Memory,
        plan: &Plan,
        stages: &[Stage],
        weights: &Weights,
    ) -> Result<DeviceWeights, DriverError> {
        let specs = &plan.graph.weights;
        let mut places = vec![Place::default(); specs.len()];
        for (index, spec) in specs.iter().enumerate() {
            let id = WeightId(index);
            if spec.kind == WeightKind::Vector {
                places[index].vector = Some(memory.upload(weights.vector(id))?);
                continue;
            }
            let (bytes, stored) = stacked(weights, id);
            if gathered(stages, id) {
                places[index].rows = Some(upload_rows(memory, &bytes, stored)?);
            }
            if let Some(packing) = multiplied(stages, id) {
                let elements: Vec<T> = bytemuck::pod_collect_to_vec(&bytes);
                let k = spec.cols.unwrap_or(1);
                let (gate, up) = elements.split_at(spec.rows() / 2 * k);
                let rows = match packing {
                    Packing::Plain => Rows::Plain(&elements),
                    Packing::GateUp => Rows::GateUp { gate, up },
                    Packing::Heads { dim } => Rows::Heads {
                        matrix: &elements,
                        dim,
                    },
                };
                let packed = pack::pack(&rows, k, |x: T| x);
                places[index].packed = Some((memory.upload(&packed)?, packed.len()));
            }
        }
        let shape = |id: usize| (specs[id].rows(), specs[id].cols.unwrap_or(1));
        Ok(DeviceWeights {
            places,
            shapes: (0..specs.len()).map(shape).collect(),
        })
    }

    /// Rows and elements of a row.
    pub fn shape(&self, id: WeightId) -> (usize, usize) {
        self.shapes[id.0]
    }

    /// A packed matrix.
    pub fn packed<T: MatrixType>(&self, id: WeightId) -> In<T> {
        let (ptr, len) = self.places[id.0].packed.unwrap_or((DevicePtr(0), 0));
        In::new(ptr, len)
    }

    /// Where the rows of a table stand, and in which type.
    pub fn rows(&self, id: WeightId) -> (DevicePtr, DType) {
        self.places[id.0].rows.unwrap_or((DevicePtr(0), DType::F32))
    }

    /// A vector.
    pub fn vector(&self, id: WeightId) -> In<f32> {
        let ptr = self.places[id.0].vector.unwrap_or(DevicePtr(0));
        In::new(ptr, self.shapes[id.0].0)
    }
}

/// The type in which rows stored as `stored` are gathered on `target`.
pub(super) fn rows_dtype(stored: DType, target: Target) -> DType {
    match stored {
        DType::Bf16 if !target.has_bf16() => DType::F32,
        DType::Bf16 | DType::F16 | DType::F32 => stored,
    }
}

/// Rows as they are stored; widened where the device has no kernels for their type.
fn upload_rows(
    memory: &mut Memory,
    bytes: &[u8],
    stored: DType,
) -> Result<(DevicePtr, DType), DriverError> {
    if rows_dtype(stored, memory.driver().facts().target) == stored {
        return Ok((memory.upload(bytes)?, stored));
    }
    let narrow: Vec<half::bf16> = bytemuck::pod_collect_to_vec(bytes);
    let wide: Vec<f32> = narrow.into_iter().map(half::bf16::to_f32).collect();
    Ok((memory.upload(&wide)?, DType::F32))
}

pub(super) fn gathered(stages: &[Stage], id: WeightId) -> bool {
    let gathers = |stage: &Stage| matches!(stage.work, Work::Embed { table } if table == id);
    stages.iter().any(gathers)
}

pub(super) fn multiplied(stages: &[Stage], id: WeightId) -> Option<Packing> {
    stages.iter().find_map(|stage| match stage.work {
        Work::Linear { weight, .. } if weight == id => Some(Packing::Plain),
        Work::LinearSiluMul { weight, .. } if weight == id => Some(Packing::GateUp),
        Work::LinearRopeAppend { weight, heads, .. } if weight == id => {
            Some(Packing::Heads { dim: heads.dim })
        }
        _ => None,
    })
}
