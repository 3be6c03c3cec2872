//! What the stages of a step wrote, copied from the device between them, and how long each took.

use std::ops::Range;

use half::{bf16, f16};

use super::GpuBackend;
use super::inputs::Extent;
use super::lower::{Stage, Work};
use super::program::Program;
use crate::DType;
use crate::backend::StepInputs;
use crate::backend::observe::{After, NodeOutput, NodeTimes, Observer, cols};
use crate::driver::{DevicePtr, Driver, DriverError, EventId};
use crate::error::Result;
use crate::shape::Rows;

/// A run of elements of one row, and where they stand on the device.
struct Place {
    at: DevicePtr,
    dtype: DType,
    /// Which elements of all that are shown.
    elements: Range<usize>,
}

impl GpuBackend {
    /// Runs the stages one by one and shows what each wrote, then draws the tokens.
    pub(super) fn run_observed(
        &self,
        inputs: &StepInputs,
        extent: Extent,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let (driver, program) = (self.memory.driver(), &self.program);
        for stage in &program.stages {
            for launch in program.stage(extent, stage)? {
                driver.launch(&launch)?;
            }
            let wide = cols(&program.plan, stage.node);
            let places = program.places(inputs, extent, stage, wide);
            let len = places.last().map_or(0, |place| place.elements.end);
            if len == 0 {
                continue;
            }
            let mut values = vec![0.0; len];
            for place in &places {
                place.fetch(driver, &mut values)?;
            }
            let shown = NodeOutput {
                plan: &program.plan,
                node: stage.node,
                cols: wide,
                values: &mut values,
            };
            if observer.after(shown)? == After::Replace {
                for place in &places {
                    place.store(driver, &values)?;
                }
            }
        }
        for launch in self.draws.launches(program, extent)? {
            driver.launch(&launch)?;
        }
        Ok(())
    }

    /// The time of each stage, by events between the launches of a whole step.
    pub(super) fn run_timed(&self, extent: Extent, repetitions: usize) -> Result<Vec<NodeTimes>> {
        let (driver, program) = (self.memory.driver(), &self.program);
        let mut first = 0;
        let mut times = Vec::with_capacity(program.stages.len());
        for stage in &program.stages {
            times.push(NodeTimes {
                first,
                last: stage.node,
                ms: Vec::new(),
            });
            first = stage.node + 1;
        }
        let events: Vec<EventId> = (0..=program.stages.len())
            .map(|_| driver.event())
            .collect::<std::result::Result<_, DriverError>>()?;
        for _ in 0..repetitions {
            driver.record(events[0])?;
            for (stage, event) in program.stages.iter().zip(&events[1..]) {
                for launch in program.stage(extent, stage)? {
                    driver.launch(&launch)?;
                }
                driver.record(*event)?;
            }
            for (times, pair) in times.iter_mut().zip(events.windows(2)) {
                times
                    .ms
                    .push(f64::from(driver.elapsed_ms(pair[0], pair[1])?));
            }
        }
        Ok(times)
    }
}

impl Program {
    /// Where a stage's output stands, ascending: whole, or row by row with the appended keys and values behind each query.
    fn places(
        &self,
        inputs: &StepInputs,
        extent: Extent,
        stage: &Stage,
        wide: usize,
    ) -> Vec<Place> {
        let spec = self.plan.graph.tensors[stage.output.0];
        let rows = match spec.rows {
            Rows::Tokens => extent.tokens,
            Rows::Logits => extent.logit_rows,
        };
        let start = self.buffers.arena.0 + self.plan.offsets[stage.output.0] as u64;
        let place = |at: u64, dtype: DType, first: usize, count: usize| Place {
            at: DevicePtr(at),
            dtype,
            elements: first..first + count,
        };
        let Work::LinearRopeAppend { layer, heads, .. } = stage.work else {
            return vec![place(start, spec.dtype, 0, rows * wide)];
        };
        let matrix = self.plan.graph.matrix;
        let step = self.step(extent);
        let sides = match matrix {
            DType::Bf16 => step.cache::<bf16>(layer, heads),
            DType::F16 | DType::F32 => step.cache::<f16>(layer, heads),
        };
        let mut places = Vec::new();
        for (row, &slot) in inputs.slot_mapping.iter().enumerate() {
            let first = row * wide;
            let at = start + (row * spec.row_bytes()) as u64;
            places.push(place(at, spec.dtype, first, spec.cols));
            for (side, base) in sides.into_iter().enumerate() {
                for head in 0..heads.kv {
                    let element = step.cache_element(heads, slot as usize, head);
                    let at = base.0 + (element * matrix.bytes()) as u64;
                    let first = first + spec.cols + side * heads.kv_dim() + head * heads.dim;
                    places.push(place(at, matrix, first, heads.dim));
                }
            }
        }
        places
    }
}

impl Place {
    fn fetch(&self, driver: &dyn Driver, values: &mut [f32]) -> Result<()> {
        let mut bytes = vec![0; self.elements.len() * self.dtype.bytes()];
        driver.copy_out(self.at, &mut bytes)?;
        let values = &mut values[self.elements.clone()];
        let pairs = bytes.as_chunks::<2>().0.iter().copied();
        let wide: Vec<f32> = match self.dtype {
            DType::F32 => bytemuck::pod_collect_to_vec::<u8, f32>(&bytes),
            DType::F16 => pairs
                .map(|pair| f16::from_le_bytes(pair).to_f32())
                .collect(),
            DType::Bf16 => pairs
                .map(|pair| bf16::from_le_bytes(pair).to_f32())
                .collect(),
        };
        values.copy_from_slice(&wide);
        Ok(())
    }

    fn store(&self, driver: &dyn Driver, values: &[f32]) -> Result<()> {
        let bytes = encode(self.dtype, &values[self.elements.clone()]);
        Ok(driver.copy_in(self.at, &bytes)?)
    }
}

/// `values`, rounded to `dtype`.
pub(super) fn encode(dtype: DType, values: &[f32]) -> Vec<u8> {
    let each = values.iter();
    match dtype {
        DType::F32 => bytemuck::cast_slice(values).to_vec(),
        DType::F16 => each.flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        DType::Bf16 => each
            .flat_map(|x| bf16::from_f32(*x).to_le_bytes())
            .collect(),
    }
}
