//! The table of kernel cases: each is one op at one shape and type, with its launches, its reference and its bound. One table
//! feeds the tests on the emulator, the seeded defects, and the run on hardware.
//!
//! Launches are made by the code that ships; nothing here chooses a grid.
#![allow(dead_code, unused_imports, reason = "each program uses its own part")]

#[path = "../bound.rs"]
mod bound;

mod argmax;
mod attention;
mod device;
mod embed;
mod linear;
mod linear_rope;
mod model;
mod norm_linear;
mod number;
mod rms_norm;
mod sample;
mod silu_mul;

use std::collections::BTreeSet;

use qwarp::backend::gpu::kernels::Kernels;
use qwarp::driver::{Driver, DriverError, Launch, Target};
use qwarp::dtype::DType;

pub use attention::{Attention, Placement, Sequence, Way};
pub use bound::Bound;
pub use device::{Device, Failure, Output, Work};
pub use linear::LinearSiluMul;
pub use linear_rope::{Inputs as RopeInputs, LinearRope};
pub use model::{Model, QUICK, REAL};
pub use norm_linear::NormInputs;
pub use number::{Real, values};

/// Rows of a case. A row's values depend on its number alone, so any rows can be run by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRange {
    pub first: usize,
    pub count: usize,
}

impl RowRange {
    /// The first `count` rows.
    pub const fn first(count: usize) -> Self {
        RowRange { first: 0, count }
    }

    /// `cols` values for each of the rows.
    pub fn values(&self, cols: usize, seed: u32) -> Vec<f32> {
        values(self.first * cols..(self.first + self.count) * cols, seed)
    }
}

/// One op at one shape and type.
pub trait Case: Sync {
    /// The op: cases are counted by it.
    fn op(&self) -> &'static str;

    /// Op, type and shape.
    fn name(&self) -> String;

    /// Whether the target has kernels for the type.
    fn runs_on(&self, target: Target) -> bool;

    /// Its type, where it has kernels for several.
    fn dtype(&self) -> DType;

    /// Its rows.
    fn rows(&self) -> RowRange;

    /// The same case for other rows.
    fn with_rows(&self, rows: RowRange) -> Box<dyn Case>;

    /// The same case with rows of `n` elements, or as many as n makes of them.
    fn with_width(&self, n: usize) -> Box<dyn Case>;

    /// Bytes that any implementation has to read and write.
    fn floor_bytes(&self) -> usize;

    /// Inputs on the device, launches, and what must come out.
    fn prepare<'a>(&'a self, device: &Device<'_>) -> Result<Work<'a>, DriverError>;
}

/// The cases of a file.
pub struct Op {
    /// Those that are held against the reference.
    pub cases: fn() -> Vec<Box<dyn Case>>,
    /// Those that are timed: at the sizes of a model, for so many rows, with every type that there are kernels for.
    pub at: fn(&Model, usize) -> Vec<Box<dyn Case>>,
}

/// Every op.
const OPS: [Op; 9] = [
    embed::OP,
    rms_norm::OP,
    silu_mul::OP,
    argmax::OP,
    sample::OP,
    linear::OP,
    linear_rope::OP,
    norm_linear::OP,
    attention::OP,
];

/// Every case of every op.
pub fn all() -> Vec<Box<dyn Case>> {
    OPS.iter().flat_map(|op| (op.cases)()).collect()
}

/// A case at the sizes of a model.
pub struct Timed {
    pub model: &'static str,
    /// Tokens of the step.
    pub rows: usize,
    pub case: Box<dyn Case>,
}

/// Every op at the sizes of each model.
pub fn timed(models: &[Model]) -> Vec<Timed> {
    let mut timed = Vec::new();
    for (model, rows) in models
        .iter()
        .flat_map(|m| m.tokens.iter().map(move |rows| (m, *rows)))
    {
        let cases = OPS.iter().flat_map(|op| (op.at)(model, rows));
        timed.extend(cases.map(|case| Timed {
            model: model.name,
            rows,
            case,
        }));
    }
    timed
}

/// What a case that passed did.
#[derive(Debug)]
pub struct Ran {
    /// The kernels it launched.
    pub entries: BTreeSet<&'static str>,
    /// With what.
    pub launches: Vec<Launch>,
    /// The largest NMSE of an output.
    pub nmse: f64,
    /// The bytes of each output that has rows, row by row.
    pub rows: Vec<Vec<Vec<u8>>>,
}

/// The kernels that launches run.
pub fn entries(kernels: &Kernels, launches: &[Launch]) -> BTreeSet<&'static str> {
    let name = |launch: &Launch| kernels.entry(launch.function).map(|entry| entry.name);
    launches.iter().filter_map(name).collect()
}

/// Runs a case once and holds what comes out against the reference.
pub fn run(case: &dyn Case, driver: &dyn Driver, kernels: &Kernels) -> Result<Ran, Failure> {
    let device = Device::new(driver, kernels);
    let work = case.prepare(&device)?;
    for launch in &work.launches {
        driver.launch(launch)?;
    }
    driver.synchronize()?;
    let mut ran = Ran {
        entries: entries(kernels, &work.launches),
        launches: work.launches,
        nmse: 0.0,
        rows: Vec::new(),
    };
    for output in (work.outputs)() {
        let bytes = output.read(driver)?;
        ran.nmse = ran.nmse.max(output.check(&bytes)?);
        if let Some(row_bytes) = output.row_bytes {
            ran.rows
                .push(bytes.chunks(row_bytes).map(<[u8]>::to_vec).collect());
        }
    }
    Ok(ran)
}
