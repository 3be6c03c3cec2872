//! What does not fit the matrix type becomes an infinity of its sign, and NaN stays NaN: nothing is clamped to a number that
//! looks like an answer.

use half::{bf16, f16};
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::backend::gpu::launch::{SiluMul, SiluMulType};
use qwarp::driver::{Driver, Target};

use crate::emulator;
use crate::gpu_cases::{Device, Real};

/// gate 100 (a SiLU of 100) times each `up`, then a NaN gate.
fn products<T: Real + SiluMulType>(driver: &dyn Driver, kernels: &Kernels, up: &[f32]) -> Vec<f64> {
    let device = Device::new(driver, kernels);
    let n = up.len();
    let mut gate_up = vec![100.0; n];
    gate_up[n - 1] = f32::NAN;
    gate_up.extend_from_slice(up);
    let out = device.output::<T>(n).unwrap();
    let gate_up = device.input(&gate_up).unwrap();
    let launch = SiluMul {
        rows: 1,
        n,
        gate_up,
        out,
    };
    driver.launch(&launch.launch(kernels).unwrap()).unwrap();
    let mut bytes = vec![0; n * size_of::<T>()];
    driver.copy_out(out.ptr, &mut bytes).unwrap();
    let values = bytemuck::pod_collect_to_vec::<u8, T>(&bytes);
    values.into_iter().map(T::to_f64).collect()
}

#[test]
fn values_out_of_range_become_infinities() {
    let Some((driver, kernels)) = emulator(Target::Sm80) else {
        return;
    };
    // 65,519 is the last that rounds to f16's largest number, 65,504.
    let up = [655.19, 655.21, -655.19, -655.21, 3e38, 1.0];
    let found = products::<f16>(&driver, &kernels, &up);
    let infinity = f64::INFINITY;
    assert_eq!(
        found[..5],
        [65504.0, infinity, -65504.0, -infinity, infinity]
    );
    assert!(found[5].is_nan());
    let found = products::<bf16>(&driver, &kernels, &[3e36, -3e36, 3.4e38, 1.0]);
    assert!(found[0].is_finite() && found[0] > 2.9e38, "{}", found[0]);
    assert_eq!(found[0], -found[1]);
    assert_eq!(found[2], infinity);
    assert!(found[3].is_nan());
}
