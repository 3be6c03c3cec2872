//! Weights on the device: matrices that are multiplied in fragment order, rows that are gathered as they stand, norms and
//! biases in f32.

use super::launch::MatrixType;
use super::lower::{Stage, Work};
use super::memory::Memory;
use super::pack::{Packing, Rows};
use super::upload::{Bands, Upload};
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

/// The bits of 16-bit elements; none of others, which are never multiplied on a GPU.
fn bits(elements: Elements<'_>) -> &[u16] {
    match elements {
        Elements::Bf16(values) => bytemuck::cast_slice(values),
        Elements::F16(values) => bytemuck::cast_slice(values),
        Elements::F32(_) => &[],
    }
}

fn bytes(elements: Elements<'_>) -> (&[u8], DType) {
    match elements {
        Elements::Bf16(values) => (bytemuck::cast_slice(values), DType::Bf16),
        Elements::F16(values) => (bytemuck::cast_slice(values), DType::F16),
        Elements::F32(values) => (bytemuck::cast_slice(values), DType::F32),
    }
}

impl DeviceWeights {
    /// Brings the weights of `plan` to the device, in the order that its stages want: what stands there as it stands in the
    /// checkpoint straight from the map, then the rest in `bands`.
    pub fn upload(
        memory: &mut Memory,
        plan: &Plan,
        stages: &[Stage],
        weights: &Weights,
        bands: Bands,
    ) -> Result<DeviceWeights, DriverError> {
        let specs = &plan.graph.weights;
        let mut upload = Upload::default();
        let mut places = vec![Place::default(); specs.len()];
        for (index, (spec, place)) in specs.iter().zip(&mut places).enumerate() {
            let id = WeightId(index);
            if spec.kind == WeightKind::Vector {
                let values = bytemuck::cast_slice(weights.vector(id));
                place.vector = Some(memory.upload(&[values])?);
                continue;
            }
            let parts: Vec<_> = weights.matrix(id).map(|part| part.elements).collect();
            if gathered(stages, id) {
                place.rows = Some(upload_rows(memory, &mut upload, &parts)?);
            }
            if let Some(packing) = multiplied(stages, id) {
                let parts: Vec<_> = parts.into_iter().map(bits).collect();
                let rows = Rows::new(packing, spec.cols.unwrap_or(1), &parts);
                place.packed = Some(upload.pack(memory, rows)?);
            }
        }
        upload.run(memory.driver(), bands)?;
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
fn upload_rows<'a>(
    memory: &mut Memory,
    upload: &mut Upload<'a>,
    parts: &[Elements<'a>],
) -> Result<(DevicePtr, DType), DriverError> {
    let stored = parts.first().map_or(DType::F32, |part| bytes(*part).1);
    let dtype = rows_dtype(stored, memory.driver().facts().target);
    let at = match dtype == stored {
        true => {
            let parts: Vec<_> = parts.iter().map(|part| bytes(*part).0).collect();
            memory.upload(&parts)?
        }
        false => {
            let parts: Vec<_> = parts.iter().map(|part| bits(*part)).collect();
            upload.widen(memory, &parts)?
        }
    };
    Ok((at, dtype))
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
