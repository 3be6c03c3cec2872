//! A product that finishes with another op gives the bits of the product and the op one after the other: nothing shows of
//! which way a step takes.

use half::{bf16, f16};
use qwarp::backend::cpu::elementwise;
use qwarp::backend::gpu::kernels::Kernels;
use qwarp::backend::gpu::launch::{
    self, Linear, LinearOut, LinearRopeAppend, LinearRopeType, LinearType, MatrixType, NormIn,
    NormLinearRopeAppend, NormLinearSiluMul, RmsNorm, RopeOut,
};
use qwarp::backend::gpu::pack::{Packing, Rows, pack};
use qwarp::config::engine::BLOCK_SIZE;
use qwarp::driver::{DevicePtr, DeviceType, Driver, Out, Target};
use qwarp::emu::Emulator;
use qwarp::shape::Heads;

use crate::emulator;
use crate::gpu_cases::{Device, LinearRope, LinearSiluMul, NormInputs, Real, RopeInputs};

/// Tokens of each kernel, at both ends.
const TOKENS: [usize; 9] = [1, 2, 8, 9, 16, 17, 32, 33, 129];

fn read<T: DeviceType>(driver: &Emulator, ptr: DevicePtr, len: usize) -> Vec<T> {
    let mut bytes = vec![0; len * size_of::<T>()];
    driver.copy_out(ptr, &mut bytes).unwrap();
    bytemuck::pod_collect_to_vec(&bytes)
}

/// q, keys and values.
type Results<T> = [Vec<T>; 3];

fn results<T: DeviceType>(driver: &Emulator, rope: &RopeOut<T>) -> Results<T> {
    [
        read(driver, rope.q.ptr, rope.q.len),
        read(driver, rope.keys.ptr, rope.keys.len),
        read(driver, rope.values.ptr, rope.values.len),
    ]
}

/// The product by a kernel of its own; then rotation, rounding and append as the CPU backend does them.
fn one_after_the_other<T: Real + LinearType + LinearRopeType>(
    driver: &Emulator,
    device: &Device<'_>,
    case: &LinearRope<T>,
    inputs: &RopeInputs<T>,
) -> Results<T> {
    let (tokens, n, k, heads) = (case.rows.count, case.n(), case.k, case.heads);
    let out: Out<f32> = device.output(tokens * n).unwrap();
    let packed = pack(&Rows::new(Packing::Plain, k, &[&inputs.w]), |x| x);
    let product = Linear {
        tokens,
        n,
        k,
        x: device.input(&inputs.x).unwrap(),
        weights: device.input(&packed).unwrap(),
        bias: case.bias.then(|| device.input(&inputs.bias).unwrap()),
        out: LinearOut::Write(out),
    };
    let launch = product.launch(device.kernels).unwrap();
    driver.launch(&launch).unwrap();
    let mut qkv: Vec<f32> = read(driver, out.ptr, out.len);
    let [mut q, mut keys, mut values] = [Vec::new(), inputs.keys.clone(), inputs.values.clone()];
    let rows = qkv.chunks_mut(n).zip(inputs.cos_sin.chunks(heads.dim));
    for ((row, angles), slot) in rows.zip(&inputs.slots) {
        let (cos, sin) = angles.split_at(heads.dim / 2);
        for head in row[..heads.q_dim() + heads.kv_dim()].chunks_mut(heads.dim) {
            elementwise::rotate(head, cos, sin);
        }
        let row: Vec<T> = row.iter().map(|x| T::round(*x)).collect();
        let (query, kv) = row.split_at(heads.q_dim());
        let (key, value) = kv.split_at(heads.kv_dim());
        q.extend_from_slice(query);
        let (block, at) = (*slot as usize / BLOCK_SIZE, *slot as usize % BLOCK_SIZE);
        for (cache, row) in [(&mut keys, key), (&mut values, value)] {
            for (head, row) in row.chunks(heads.dim).enumerate() {
                let to = ((block * heads.kv + head) * BLOCK_SIZE + at) * heads.dim;
                cache[to..to + heads.dim].copy_from_slice(row);
            }
        }
    }
    [q, keys, values]
}

fn rotation_is_what_the_cpu_does<T: Real + LinearType + LinearRopeType>(
    driver: &Emulator,
    kernels: &Kernels,
) {
    let heads = |query, kv, dim| Heads { query, kv, dim };
    for (i, tokens) in TOKENS.into_iter().enumerate() {
        for (heads, k) in [(heads(3, 1, 64), 520), (heads(4, 2, 128), 41)] {
            let case = LinearRope::<T>::new(tokens, heads, k, i % 4 != 1);
            let device = Device::new(driver, kernels);
            let inputs = case.inputs();
            let expected = one_after_the_other(driver, &device, &case, &inputs);
            let rope = case.out(&device, &inputs).unwrap();
            let fused = LinearRopeAppend {
                tokens,
                k,
                x: device.input(&inputs.x).unwrap(),
                weights: case.packed(&device, &inputs.w).unwrap(),
                rope,
            };
            driver.launch(&fused.launch(kernels).unwrap()).unwrap();
            let found = results(driver, &rope);
            for (found, expected) in found.iter().zip(&expected) {
                same(
                    found,
                    expected,
                    &format!("{tokens} tokens, {heads:?}, k {k}"),
                );
            }
            assert!(appended(&expected, &inputs));
        }
    }
}

#[test]
fn q_k_and_v_have_the_bits_of_product_and_rotation() {
    for target in Target::ALL {
        let Some((driver, kernels)) = emulator(target) else {
            return;
        };
        rotation_is_what_the_cpu_does::<f16>(&driver, &kernels);
        if target.has_bf16() {
            rotation_is_what_the_cpu_does::<bf16>(&driver, &kernels);
        }
    }
}

/// Elements of a row of which a norm is computed by one warp, by some, by all 32, and by all that go round again; each in rows
/// whose start is aligned and in others.
const WIDTHS: [usize; 8] = [20, 31, 516, 897, 1540, 3584, 4097, 5640];

/// Rows normalised by their own kernel.
fn normed<T: MatrixType>(
    driver: &Emulator,
    device: &Device<'_>,
    norm: &NormIn,
    tokens: usize,
    k: usize,
) -> Vec<T> {
    let out = device.output(tokens * k).unwrap();
    let launch = RmsNorm::<T> {
        rows: tokens,
        n: k,
        eps: norm.eps,
        x: norm.x,
        weight: norm.weight,
        out,
    };
    driver
        .launch(&launch.launch(device.kernels).unwrap())
        .unwrap();
    read(driver, out.ptr, out.len)
}

fn bytes<T: DeviceType>(x: &[T]) -> &[u8] {
    bytemuck::cast_slice(x)
}

fn same<T: DeviceType>(found: &[T], expected: &[T], what: &str) {
    assert!(bytes(found) == bytes(expected), "{what}");
}

/// Whether something was appended to both.
fn appended<T: DeviceType>(results: &Results<T>, before: &RopeInputs<T>) -> bool {
    let [_, keys, values] = results;
    bytes(keys) != bytes(&before.keys) && bytes(values) != bytes(&before.values)
}

fn norm_and_qkv<T: Real + MatrixType>(
    driver: &Emulator,
    kernels: &Kernels,
    tokens: usize,
    k: usize,
) {
    let heads = Heads {
        query: 2,
        kv: 1,
        dim: 64,
    };
    let case = LinearRope::<T>::new(tokens, heads, k, true);
    let device = Device::new(driver, kernels);
    let inputs = case.inputs();
    let norm = NormInputs::new(case.rows, k).on(&device).unwrap();
    let weights = case.packed(&device, &inputs.w).unwrap();
    let x = normed::<T>(driver, &device, &norm, tokens, k);
    let two = LinearRopeAppend {
        tokens,
        k,
        x: device.input(&x).unwrap(),
        weights,
        rope: case.out(&device, &inputs).unwrap(),
    };
    driver.launch(&two.launch(kernels).unwrap()).unwrap();
    let one = NormLinearRopeAppend {
        tokens,
        k,
        norm,
        weights,
        rope: case.out(&device, &inputs).unwrap(),
    };
    driver.launch(&one.launch(kernels).unwrap()).unwrap();
    let both = [results(driver, &one.rope), results(driver, &two.rope)];
    for (found, expected) in both[0].iter().zip(&both[1]) {
        same(found, expected, &format!("q, k, v: {tokens} tokens, k {k}"));
    }
    assert!(appended(&both[0], &inputs));
}

fn norm_and_gate_up<T: Real + MatrixType>(
    driver: &Emulator,
    kernels: &Kernels,
    tokens: usize,
    k: usize,
) {
    let n = 21;
    let case = LinearSiluMul::<T>::new(tokens, n, k);
    let device = Device::new(driver, kernels);
    let norm = NormInputs::new(case.rows, k).on(&device).unwrap();
    let [gate, up] = case.gate_and_up();
    let rows = Rows::new(Packing::GateUp, k, &[&gate, &up]);
    let weights = device.input(&pack(&rows, |x| x)).unwrap();
    let x = normed::<T>(driver, &device, &norm, tokens, k);
    let two = launch::LinearSiluMul {
        tokens,
        n,
        k,
        x: device.input(&x).unwrap(),
        weights,
        out: device.output(tokens * n).unwrap(),
    };
    driver.launch(&two.launch(kernels).unwrap()).unwrap();
    let one = NormLinearSiluMul {
        tokens,
        n,
        k,
        norm,
        weights,
        out: device.output(tokens * n).unwrap(),
    };
    driver.launch(&one.launch(kernels).unwrap()).unwrap();
    let [found, expected] = [one.out, two.out].map(|out| read::<T>(driver, out.ptr, out.len));
    same(
        &found,
        &expected,
        &format!("gate and up: {tokens} tokens, k {k}"),
    );
}

#[test]
fn a_norm_within_a_product_has_the_bits_of_its_own_kernel() {
    fn of<T: Real + MatrixType>(driver: &Emulator, kernels: &Kernels) {
        for (i, k) in WIDTHS.into_iter().enumerate() {
            for tokens in [1, i + 1] {
                norm_and_qkv::<T>(driver, kernels, tokens, k);
                norm_and_gate_up::<T>(driver, kernels, tokens, k);
            }
        }
    }
    for target in Target::ALL {
        let Some((driver, kernels)) = emulator(target) else {
            return;
        };
        // Eight rows of the last width do not fit sm_75.
        if target.has_bf16() {
            of::<f16>(&driver, &kernels);
            of::<bf16>(&driver, &kernels);
        } else {
            norm_and_qkv::<f16>(&driver, &kernels, 8, 3584);
            norm_and_gate_up::<f16>(&driver, &kernels, 3, 5640);
        }
    }
}
