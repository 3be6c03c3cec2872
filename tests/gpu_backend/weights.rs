//! Weights on the device: what is gathered as it is stored, what is multiplied in fragment order, vectors in f32.

use bytemuck::Pod;
use half::{bf16, f16};
use qwarp::DType;
use qwarp::backend::gpu::lower::{Stage, lower};
use qwarp::backend::gpu::memory::Memory;
use qwarp::backend::gpu::pack::{Rows, pack};
use qwarp::backend::gpu::weights::DeviceWeights;
use qwarp::checkpoint::Weights;
use qwarp::checkpoint::weights::Elements;
use qwarp::driver::{DevicePtr, Target};
use qwarp::graph::{Plan, WeightId, WeightKind};

use crate::failing::Failing;
use crate::{TIED, UNTIED, plan, weights};

/// A plan's weights on a device, and where they came from.
struct Loaded {
    plan: Plan,
    host: Weights,
    memory: Memory,
    device: DeviceWeights,
}

fn load(name: &str, plan: Plan, target: Target) -> Loaded {
    let host = weights(name, &plan);
    let stages: Vec<Stage> = lower(&plan).unwrap();
    let mut memory = Memory::new(Failing::new(target, None).0);
    let device = match plan.graph.matrix {
        DType::Bf16 => DeviceWeights::upload::<bf16>(&mut memory, &plan, &stages, &host),
        _ => DeviceWeights::upload::<f16>(&mut memory, &plan, &stages, &host),
    };
    Loaded {
        device: device.unwrap(),
        plan,
        host,
        memory,
    }
}

impl Loaded {
    fn id(&self, name: &str) -> WeightId {
        let mut specs = self.plan.graph.weights.iter();
        WeightId(specs.position(|spec| spec.name == name).unwrap())
    }

    fn read<T: Pod>(&self, ptr: DevicePtr, len: usize) -> Vec<T> {
        let mut bytes = vec![0; len * size_of::<T>()];
        self.memory.driver().copy_out(ptr, &mut bytes).unwrap();
        bytemuck::pod_collect_to_vec(&bytes)
    }

    /// A matrix on the host in 16-bit elements, its parts one after the other.
    fn matrix(&self, id: WeightId) -> Vec<u16> {
        let parts = self.host.matrix(id);
        let parts = parts.flat_map(|part| match part.elements {
            Elements::Bf16(values) => bytemuck::cast_slice::<bf16, u16>(values).to_vec(),
            Elements::F16(values) => bytemuck::cast_slice::<f16, u16>(values).to_vec(),
            Elements::F32(_) => panic!("a matrix of f32"),
        });
        parts.collect()
    }
}

#[test]
fn a_tied_table_stands_there_twice() {
    let loaded = load(TIED, plan(TIED, DType::Bf16), Target::Sm80);
    let table = loaded.id("embed_tokens");
    let host = loaded.matrix(table);
    assert_eq!(loaded.device.shape(table), (139, 52));
    let (rows, stored) = loaded.device.rows(table);
    assert_eq!(stored, DType::Bf16);
    assert_eq!(loaded.read::<u16>(rows, host.len()), host);
    let packed = loaded.device.packed::<bf16>(table);
    // 9 rows of 4 tiles.
    assert_eq!(packed.len, 9 * 4 * 256);
    let elements: &[f16] = bytemuck::cast_slice(&host);
    let expected = pack(&Rows::Plain(elements), 52, |x| x);
    assert_eq!(loaded.read::<f16>(packed.ptr, packed.len), expected);
    assert_ne!(packed.ptr, rows);
}

#[test]
fn an_untied_table_is_not_packed_and_a_head_is_not_gathered() {
    let loaded = load(UNTIED, plan(UNTIED, DType::F16), Target::Sm80);
    let (table, head) = (loaded.id("embed_tokens"), loaded.id("lm_head"));
    assert_eq!(loaded.device.packed::<f16>(table).len, 0);
    assert_eq!(loaded.device.rows(head).0, DevicePtr(0));
    // 131 rows of 38.
    assert_eq!(loaded.device.packed::<f16>(head).len, 9 * 3 * 256);
    let (rows, stored) = loaded.device.rows(table);
    assert_eq!(
        stored,
        DType::Bf16,
        "what is gathered stays as it is stored"
    );
    let host = loaded.matrix(table);
    assert_eq!(loaded.read::<u16>(rows, host.len()), host);
}

#[test]
fn a_card_without_bf16_gathers_from_f32() {
    let loaded = load(UNTIED, plan(UNTIED, DType::F16), Target::Sm75);
    let table = loaded.id("embed_tokens");
    let (rows, stored) = loaded.device.rows(table);
    assert_eq!(stored, DType::F32);
    let host = loaded.matrix(table);
    let wide = host.iter().map(|bits| bf16::from_bits(*bits).to_f32());
    assert_eq!(
        loaded.read::<f32>(rows, host.len()),
        wide.collect::<Vec<_>>()
    );
}

/// Gate, then up.
fn halves(host: &[u16]) -> (&[f16], &[f16]) {
    let elements: &[f16] = bytemuck::cast_slice(host);
    elements.split_at(elements.len() / 2)
}

#[test]
fn gate_and_up_are_packed_by_eights() {
    let fused = load(TIED, plan(TIED, DType::F16), Target::Sm80);
    let id = fused.id("layers.1.gate_up");
    let host = fused.matrix(id);
    let (gate, up) = halves(&host);
    // 9 rows of 4 tiles, eight of each of the 67.
    let expected = pack(&Rows::GateUp { gate, up }, 52, |x| x);
    let packed = fused.device.packed::<f16>(id);
    assert_eq!(packed.len, 9 * 4 * 256);
    assert_eq!(fused.read::<f16>(packed.ptr, packed.len), expected);
}

#[test]
fn every_byte_is_counted() {
    let loaded = load(TIED, plan(TIED, DType::F16), Target::Sm80);
    let mut bytes = 0;
    for (index, spec) in loaded.plan.graph.weights.iter().enumerate() {
        let id = WeightId(index);
        if spec.kind == WeightKind::Vector {
            let vector = loaded.device.vector(id);
            assert_eq!(vector.len, spec.rows());
            let found = loaded.read::<f32>(vector.ptr, vector.len);
            assert_eq!(found, loaded.host.vector(id), "{}", spec.name);
            bytes += 4 * vector.len;
        }
        bytes += 2 * loaded.device.packed::<f16>(id).len;
        if loaded.device.rows(id).0 != DevicePtr(0) {
            bytes += 2 * loaded.matrix(id).len();
        }
    }
    assert_eq!(loaded.memory.bytes(), bytes as u64);
}

#[test]
fn whatever_fails_on_the_way_leaves_nothing_behind() {
    let plan = plan(TIED, DType::F16);
    let (host, stages) = (weights(TIED, &plan), lower(&plan).unwrap());
    let upload = |at| {
        let (driver, seen) = Failing::new(Target::Sm80, at);
        let mut memory = Memory::new(driver);
        let done = DeviceWeights::upload::<f16>(&mut memory, &plan, &stages, &host);
        (done.is_ok(), seen)
    };
    let (done, seen) = upload(None);
    let calls = seen.calls.get();
    // An allocation and a copy for each weight, twice for the table that is gathered and multiplied.
    assert!(done);
    assert_eq!(calls, 2 * (plan.graph.weights.len() + 1));
    for at in 0..calls {
        let (done, seen) = upload(Some(at));
        assert!(!done, "call {at}");
        assert_eq!(seen.calls.get(), at + 1);
        assert!(seen.live.borrow().is_empty(), "call {at}");
    }
}

/// q, k and v of three heads of 64.
#[test]
fn rows_that_are_rotated_together_stand_together() {
    let loaded = load(TIED, plan(TIED, DType::F16), Target::Sm80);
    let id = loaded.id("layers.1.qkv");
    let host = loaded.matrix(id);
    let matrix: &[f16] = bytemuck::cast_slice(&host);
    let k = loaded.device.shape(id).1;
    let expected = pack(&Rows::Heads { matrix, dim: 64 }, k, |x| x);
    assert_ne!(expected, pack(&Rows::Plain(matrix), k, |x| x));
    let packed = loaded.device.packed::<f16>(id);
    assert_eq!(loaded.read::<f16>(packed.ptr, packed.len), expected);
}
