//! Weights on the device: what is gathered as it is stored, what is multiplied in fragment order, vectors in f32.

use bytemuck::Pod;
use half::{bf16, f16};
use qwarp::DType;
use qwarp::backend::gpu::lower::{Stage, lower};
use qwarp::backend::gpu::memory::Memory;
use qwarp::backend::gpu::pack::{Packing, Rows, pack};
use qwarp::backend::gpu::upload::Bands;
use qwarp::backend::gpu::weights::DeviceWeights;
use qwarp::checkpoint::Weights;
use qwarp::checkpoint::weights::Elements;
use qwarp::driver::{DevicePtr, Target};
use qwarp::graph::{Plan, WeightId, WeightKind};

use crate::failing::Failing;
use crate::{TIED, UNTIED, plan, weights};

/// A few rows of tiles each, so that every matrix is several.
const BANDS: Bands = Bands {
    workers: 3,
    bytes: 5000,
};

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
    let device = DeviceWeights::upload(&mut memory, &plan, &stages, &host, BANDS);
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
    let expected = pack(&Rows::new(Packing::Plain, 52, &[elements]), |x| x);
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
    let expected = pack(&Rows::new(Packing::GateUp, 52, &[gate, up]), |x| x);
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

/// One piece a copy, matrix by matrix, down to a row of tiles a copy.
#[test]
fn bands_and_workers_change_no_byte() {
    let plan = plan(UNTIED, DType::F16);
    let (host, stages) = (weights(UNTIED, &plan), lower(&plan).unwrap());
    // On a card that gathers from f32, so that there are bands of both kinds.
    let everything = |bands| {
        let (driver, seen) = Failing::new(Target::Sm75, None);
        let mut memory = Memory::new(driver);
        DeviceWeights::upload(&mut memory, &plan, &stages, &host, bands).unwrap();
        let live = seen.live.borrow();
        let contents: Vec<Vec<u8>> = (live.iter())
            .map(|(at, bytes)| {
                let mut content = vec![0; *bytes];
                memory
                    .driver()
                    .copy_out(DevicePtr(*at), &mut content)
                    .unwrap();
                content
            })
            .collect();
        (contents, seen.calls.get() - live.len())
    };
    let whole = Bands::on(1);
    let (expected, copies) = everything(whole);
    assert_eq!(copies, plan.graph.weights.len());
    let most = expected.iter().map(Vec::len).max().unwrap();
    assert!(most > 8 * 5000 && most < whole.bytes);
    for workers in [1, 2, 5] {
        let mut before = copies;
        for bytes in [most - 1, 5000, 1] {
            let (found, copies) = everything(Bands { workers, bytes });
            assert!(found == expected, "{workers} workers, {bytes} bytes");
            assert!(copies > before, "{copies} copies in bands of {bytes} bytes");
            before = copies;
        }
    }
}

#[test]
fn whatever_fails_on_the_way_leaves_nothing_behind() {
    let plan = plan(TIED, DType::F16);
    let (host, stages) = (weights(TIED, &plan), lower(&plan).unwrap());
    let upload = |bands, at| {
        let (driver, seen) = Failing::new(Target::Sm80, at);
        let mut memory = Memory::new(driver);
        let done = DeviceWeights::upload(&mut memory, &plan, &stages, &host, bands);
        (done, seen)
    };
    let (done, seen) = upload(Bands::on(2), None);
    // An allocation and a copy for each weight, twice for the table that is gathered and multiplied.
    assert!(done.is_ok());
    assert_eq!(seen.calls.get(), 2 * (plan.graph.weights.len() + 1));
    let calls = upload(BANDS, None).1.calls.get();
    assert!(calls > seen.calls.get() + 20, "{calls} calls");
    for at in 0..calls {
        let (done, seen) = upload(BANDS, Some(at));
        let error = done.unwrap_err().to_string();
        assert!(error.contains("out of device memory"), "call {at}: {error}");
        assert_eq!(seen.calls.get(), at + 1, "it went on");
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
    let packed = |packing| pack(&Rows::new(packing, k, &[matrix]), |x| x);
    let expected = packed(Packing::Heads { dim: 64 });
    assert_ne!(expected, packed(Packing::Plain));
    let packed = loaded.device.packed::<f16>(id);
    assert_eq!(loaded.read::<f16>(packed.ptr, packed.len), expected);
}
