//! The emulator as a device: memory, modules, launches, sequences, and findings that do not depend on host threads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use qwarp::driver::{
    Args, DevicePtr, Driver, DriverError, FunctionId, Geometry, Image, In, InOut, Launch, Out,
    Target,
};
use qwarp::emu::counters::{Class, Direction, Space};
use qwarp::emu::{EmuOptions, Emulator, Report, ReportKind};

/// `r[i] = a[i + k]` for the elements of one CTA of 64 threads each.
const SHIFT: &str = "
.version 7.0
.target sm_75
.address_size 64
.visible .entry shift(.param .u64 a, .param .u64 r, .param .u32 k)
.maxntid 64, 1, 1
{
    .reg .b32 %t, %c, %k, %v;
    .reg .b64 %p, %q;
    mov.u32 %t, %tid.x;
    mov.u32 %c, %ctaid.x;
    mad.lo.u32 %t, %c, 64, %t;
    ld.param.u32 %k, [k];
    ld.param.u64 %p, [a];
    ld.param.u64 %q, [r];
    mad.wide.u32 %q, %t, 4, %q;
    add.u32 %t, %t, %k;
    mad.wide.u32 %p, %t, 4, %p;
    ld.global.u32 %v, [%p];
    st.global.u32 [%q], %v;
    ret;
}
";

fn emulator(host_threads: usize, counters: bool) -> Emulator {
    Emulator::new(EmuOptions {
        target: Target::Sm75,
        host_threads,
        checks: true,
        counters,
    })
}

fn load(device: &Emulator, ptx: &str, name: &str) -> FunctionId {
    let image = Image {
        name: "test",
        target: Target::Sm75,
        ptx,
        cubin: None,
    };
    let module = device.load_module(&image).unwrap();
    assert_eq!(device.function(module, "absent").unwrap(), None);
    device.function(module, name).unwrap().unwrap()
}

fn words(device: &Emulator, values: &[u32]) -> DevicePtr {
    let ptr = device.alloc(4 * values.len()).unwrap();
    device.copy_in(ptr, bytemuck::cast_slice(values)).unwrap();
    ptr
}

fn read(device: &Emulator, from: DevicePtr, count: usize) -> Result<Vec<u32>, DriverError> {
    let mut values = vec![0u32; count];
    device.copy_out(from, bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

fn finding<T: std::fmt::Debug>(result: Result<T, DriverError>) -> Report {
    match result {
        Err(DriverError::Finding(report)) => *report,
        other => panic!("a finding was expected, got {other:?}"),
    }
}

/// A launch of `shift` on `ctas` CTAs: `a` and `r` of `len` elements.
fn shift(
    function: FunctionId,
    ctas: u32,
    a: DevicePtr,
    r: DevicePtr,
    len: usize,
    k: u32,
) -> Launch {
    let mut args = Args::default();
    args.input(In::<u32>::new(a, len));
    args.output(Out::<u32>::new(r, len));
    args.scalar(k);
    Launch {
        function,
        geometry: Geometry {
            grid: [ctas, 1, 1],
            block: [64, 1, 1],
            shared_bytes: 0,
        },
        args,
    }
}

#[test]
fn a_launch_reads_and_writes_and_counts() {
    for host_threads in [1, 2, 5] {
        let device = emulator(host_threads, true);
        let function = load(&device, SHIFT, "shift");
        let values: Vec<u32> = (0..37 * 64).map(|i| i * 3 + 1).collect();
        let a = words(&device, &values);
        let r = device.alloc(4 * values.len()).unwrap();
        let launch = shift(function, 37, a, r, values.len(), 0);
        device.launch(&launch).unwrap();
        assert_eq!(read(&device, r, values.len()).unwrap(), values);
        assert_eq!(device.instructions(), 37 * 64 * 12);
        let counted = device.counters();
        assert_eq!((counted.len(), counted[0].kernel.as_str()), (1, "shift"));
        let counters = &counted[0].counters;
        assert_eq!(counters.instructions(Class::Memory).warps, 37 * 2 * 5);
        let loads = counters.traffic(Space::Global, Direction::Read);
        assert_eq!((loads.bytes, loads.units), (37 * 64 * 4, 37 * 2 * 4));
        assert!(device.counters().is_empty());
    }
}

#[test]
fn the_first_cta_with_a_finding_is_reported_for_any_host_threads() {
    let reports: Vec<Report> = [1, 2, 5]
        .into_iter()
        .map(|host_threads| {
            let device = emulator(host_threads, false);
            let function = load(&device, SHIFT, "shift");
            let len = 37 * 64;
            let a = words(&device, &vec![7; len]);
            let r = device.alloc(4 * len).unwrap();
            // From element 30 * 64 on the kernel reads behind its argument.
            finding(device.launch(&shift(function, 37, a, r, len, 7 * 64)))
        })
        .collect();
    assert_eq!(reports[0].kind, ReportKind::OutOfBounds);
    assert_eq!(reports[0].place.cta, [30, 0, 0]);
    assert_eq!(reports[0].place.thread, [0, 0, 0]);
    let memory = reports[0].memory.as_deref().unwrap();
    assert_eq!(memory, "argument 0 (a), byte 9472 of 9472");
    assert!(reports.iter().all(|report| *report == reports[0]));
}

#[test]
fn memory_is_found_only_where_it_is() {
    let device = emulator(1, false);
    let a = words(&device, &[1, 2, 3]);
    let b = words(&device, &[4]);
    let reach = u64::from(u32::MAX) * 4;
    assert!(b.0 > a.0 + 12 + reach, "a red zone between allocations");
    assert_eq!(a.0 % 256, 0);
    let mut bytes = [0; 16];
    let beyond = device.copy_out(a, &mut bytes);
    assert!(matches!(beyond, Err(DriverError::Unknown { .. })));
    assert!(device.copy_in(DevicePtr(a.0 + 8), &[0; 5]).is_err());
    device.copy_in(DevicePtr(a.0 + 5), &[0xaa, 0xbb]).unwrap();
    assert_eq!(read(&device, a, 3).unwrap(), [1, 0x00bb_aa02, 3]);
    device.fill(DevicePtr(a.0 + 3), 0xcc, 6).unwrap();
    assert_eq!(
        read(&device, a, 3).unwrap(),
        [0xcc00_0001, 0xcccc_cccc, 0x0000_00cc]
    );
    // Odd places and lengths, within an allocation and between two.
    device
        .copy_within(DevicePtr(a.0 + 3), DevicePtr(a.0 + 9), 3)
        .unwrap();
    device.copy_within(DevicePtr(a.0 + 2), b, 3).unwrap();
    assert_eq!(read(&device, a, 3).unwrap()[2], 0xcccc_cccc);
    assert_eq!(read(&device, b, 1).unwrap(), [0x00cc_cc00]);
    for (from, to, len) in [(a.0, b.0, 5), (b.0, a.0, 5), (a.0, a.0 + 3, 4)] {
        let refused = device.copy_within(DevicePtr(from), DevicePtr(to), len);
        assert!(matches!(refused, Err(DriverError::Unknown { .. })));
    }
    device.free(a).unwrap();
    assert!(device.free(a).is_err() && device.free(DevicePtr(b.0 + 4)).is_err());
    assert!(read(&device, a, 1).is_err());
    let c = words(&device, &[5, 6, 7]);
    assert_ne!(c, a, "an address is never given twice");
    let memory = device.facts().memory_bytes;
    let all = device.alloc(memory as usize);
    assert!(matches!(all, Err(DriverError::OutOfMemory { free, .. }) if free == memory - 16));
}

#[test]
fn bytes_that_nobody_wrote_are_found() {
    let device = emulator(1, false);
    let function = load(&device, SHIFT, "shift");
    let a = device.alloc(4 * 64).unwrap();
    device.fill(a, 1, 4 * 63).unwrap();
    let r = words(&device, &[9; 128]);
    let report = finding(device.launch(&shift(function, 1, a, r, 64, 0)));
    assert_eq!(report.kind, ReportKind::UninitializedRead);
    assert_eq!(report.place.thread, [63, 0, 0]);
    let report = finding(read(&device, a, 64));
    assert_eq!(report.kind, ReportKind::UninitializedRead);
    assert!(report.to_string().contains("byte 252"), "{report}");
    let report = finding(device.copy_within(a, r, 4 * 64));
    assert!(report.to_string().contains("byte 252"), "{report}");
    device.fill(a, 1, 4 * 64).unwrap();
    // An output's bytes mean nothing before the launch, so a part that the kernel leaves out is found.
    device.launch(&shift(function, 1, a, r, 64, 0)).unwrap();
    read(&device, r, 128).unwrap();
    let mut launch = shift(function, 1, a, r, 64, 0);
    launch.args.views[1].bytes = 4 * 128;
    device.launch(&launch).unwrap();
    read(&device, r, 64).unwrap();
    let report = finding(read(&device, r, 128));
    assert!(report.to_string().contains("byte 256"), "{report}");
}

#[test]
fn launches_that_no_device_takes_are_refused() {
    let device = emulator(1, false);
    let function = load(&device, SHIFT, "shift");
    let a = words(&device, &[1; 64]);
    let r = device.alloc(4 * 64).unwrap();
    let good = shift(function, 1, a, r, 64, 0);
    device.launch(&good).unwrap();
    let with = |change: fn(&mut Launch)| {
        let mut launch = good.clone();
        change(&mut launch);
        match device.launch(&launch) {
            Err(DriverError::Launch { kernel, reason }) => {
                assert_eq!(kernel, "shift");
                reason
            }
            other => panic!("a refusal was expected, got {other:?}"),
        }
    };
    assert!(with(|l| l.geometry.block = [65, 1, 1]).contains("at most 64"));
    assert!(with(|l| l.geometry.block = [1, 1, 65]).contains("CTA of [1, 1, 65]"));
    assert!(with(|l| l.geometry.grid = [0, 1, 1]).contains("grid of [0, 1, 1]"));
    assert!(with(|l| l.geometry.grid = [1, 65536, 1]).contains("65536"));
    assert!(with(|l| l.geometry.shared_bytes = 65537).contains("65537"));
    assert!(with(|l| l.args.bytes.truncate(16)).contains("parameter k"));
    assert!(with(|l| l.args.scalar(1u32)).contains("4 arguments for 3"));
    assert!(with(|l| l.args.views[0].bytes = 257).contains("257 bytes at"));
    let unknown = Launch {
        function: FunctionId(99),
        ..good.clone()
    };
    assert!(device.launch(&unknown).is_err());
    device.launch(&good).unwrap();
}

#[test]
fn sequences_replay_in_order() {
    let device = emulator(2, false);
    let function = load(&device, SHIFT, "shift");
    let values: Vec<u32> = (0..64).map(|i| i + 100).collect();
    let a = words(&device, &values);
    let (b, c) = (words(&device, &[1; 64]), words(&device, &[2; 64]));
    let launches = [
        shift(function, 1, a, b, 64, 0),
        shift(function, 1, b, c, 64, 0),
    ];
    let sequence = device.sequence(&launches).unwrap();
    let (start, end) = (device.event().unwrap(), device.event().unwrap());
    assert!(device.elapsed_ms(start, end).is_err(), "not recorded yet");
    device.record(start).unwrap();
    device.replay(sequence).unwrap();
    device.record(end).unwrap();
    assert!(device.elapsed_ms(start, end).unwrap() > 0.0);
    assert_eq!(read(&device, c, 64).unwrap(), values);
    let bad = shift(function, 1, a, DevicePtr(c.0 + 4), 64, 0);
    assert!(device.sequence(&[bad]).is_err());
    device.synchronize().unwrap();
}

/// Every CTA adds one to the element of the CTA after it and reads its own: a race between neighbours.
const NEIGHBOURS: &str = "
.version 7.0
.target sm_75
.address_size 64
.visible .entry neighbours(.param .u64 x)
{
    .reg .b32 %c, %v;
    .reg .b64 %p;
    mov.u32 %c, %ctaid.x;
    ld.param.u64 %p, [x];
    mad.wide.u32 %p, %c, 4, %p;
    ld.global.u32 %v, [%p];
    add.u32 %v, %v, 1;
    st.global.u32 [%p+4], %v;
    ret;
}
";

#[test]
fn a_race_between_ctas_is_the_same_finding_for_any_host_threads() {
    let mut reports = Vec::new();
    for host_threads in [1, 2, 7] {
        for (ctas, written) in [(2, true), (40, true), (40, false)] {
            let device = emulator(host_threads, false);
            let function = load(&device, NEIGHBOURS, "neighbours");
            let x = device.alloc(4 * 41).unwrap();
            // Where nobody wrote before, whether a read finds something depends on who was first: the race counts.
            device.fill(x, 0, if written { 4 * 41 } else { 4 }).unwrap();
            let mut args = Args::default();
            args.in_out(InOut::<u32>::new(x, 41));
            let launch = Launch {
                function,
                geometry: Geometry {
                    grid: [ctas, 1, 1],
                    block: [1, 1, 1],
                    shared_bytes: 0,
                },
                args,
            };
            let report = finding(device.launch(&launch));
            assert_eq!(report.kind, ReportKind::Race, "{report}");
            assert!(report.other.is_some());
            reports.push((ctas, report));
        }
    }
    let (first, rest) = reports.split_at(3);
    for same in rest.chunks(3) {
        assert_eq!(same, first);
    }
}

#[test]
fn a_module_for_a_newer_device_is_refused() {
    let device = emulator(1, false);
    for (ptx, what) in [
        (SHIFT.replace("sm_75", "sm_90"), "sm_90"),
        (
            SHIFT.replace("mov.u32 %c", "frobnicate.u32 %c"),
            "PTX line 11: `frobnicate.u32",
        ),
        (SHIFT.replace("ret;", "ret"), "line"),
    ] {
        let image = Image {
            name: "test",
            target: Target::Sm75,
            ptx: &ptx,
            cubin: None,
        };
        match device.load_module(&image) {
            Err(DriverError::Module { module, reason }) => {
                assert_eq!(module, "test");
                assert!(reason.contains(what), "{reason}");
            }
            other => panic!("a refusal was expected, got {other:?}"),
        }
    }
}

/// Even lanes come to a shuffle first, odd ones after another round of a loop.
const APART: &str = include_str!("data/ptx/apart.ptx");

fn one_warp(function: FunctionId, args: Args) -> Launch {
    Launch {
        function,
        geometry: Geometry {
            grid: [1, 1, 1],
            block: [32, 1, 1],
            shared_bytes: 0,
        },
        args,
    }
}

#[test]
fn a_shuffle_counts_once_however_its_lanes_come() {
    let device = emulator(1, true);
    let function = load(&device, APART, "apart");
    let r = device.alloc(4 * 32).unwrap();
    let mut args = Args::default();
    args.output(Out::<u32>::new(r, 32));
    device.launch(&one_warp(function, args)).unwrap();
    let swapped: Vec<u32> = (0..32).map(|lane| lane ^ 1).collect();
    assert_eq!(read(&device, r, 32).unwrap(), swapped);
    let counters = device.counters().remove(0).counters;
    // Some instruction ran in two parts, so the lanes did come apart.
    assert!(counters.instructions(Class::Integer).warps > 5);
    let shuffles = counters.instructions(Class::Sync);
    assert_eq!((shuffles.warps, shuffles.lanes), (1, 32));
    // Before the loop, in it, the shuffle with its branch, behind it; three more for an odd lane's second round, since a
    // branch that it does not take counts no lane.
    assert_eq!(device.instructions(), 32 * (4 + 3 + 2 + 4) + 16 * 3);
}

/// Lanes below `k` store to `a`, the others to `b`, each to an element of its own.
const SPLIT: &str = include_str!("data/ptx/split.ptx");

#[test]
fn a_store_to_two_buffers_is_a_request_to_each() {
    let device = emulator(1, true);
    let function = load(&device, SPLIT, "split");
    let (a, b) = (words(&device, &[7; 32]), words(&device, &[9; 32]));
    let mut args = Args::default();
    args.in_out(InOut::<u32>::new(a, 32));
    args.in_out(InOut::<u32>::new(b, 32));
    args.scalar(16u32);
    device.launch(&one_warp(function, args)).unwrap();
    let expect = |low: bool, other: u32| -> Vec<u32> {
        let lanes = 0..32;
        lanes
            .map(|lane| if (lane < 16) == low { lane } else { other })
            .collect()
    };
    assert_eq!(read(&device, a, 32).unwrap(), expect(true, 7));
    assert_eq!(read(&device, b, 32).unwrap(), expect(false, 9));
    let counters = device.counters().remove(0).counters;
    let stores = counters.traffic(Space::Global, Direction::Write);
    assert_eq!((stores.bytes, stores.units), (128, 4));
}

/// `r = a b + c` of f16 matrices with f32 sums, each register of a fragment in a row of 32 elements.
const PRODUCT: &str = include_str!("data/ptx/product.ptx");

#[test]
fn sums_of_tensor_cores_follow_the_device_not_the_module() {
    // Factors between 2^-7 and 2^1 of both signs, no two alike in a row.
    let half = |i: u32| (i * 37 % 9 + 8) << 10 | (i * 613) & 0x3ff | (i & 4) << 13;
    let values: Vec<u32> = (0..6 * 32)
        .map(|i| half(2 * i) | half(2 * i + 1) << 16)
        .collect();
    let product = |device: Target, module: Target| {
        let device = Emulator::new(EmuOptions {
            target: device,
            host_threads: 1,
            checks: true,
            counters: false,
        });
        let ptx = PRODUCT.replace("sm_80", &module.to_string());
        let ptx = ptx.replace(".version 7.0", ".version 7.8");
        let function = load(&device, &ptx, "product");
        let a = words(&device, &values);
        let r = device.alloc(4 * 128).unwrap();
        let mut args = Args::default();
        args.input(In::<u32>::new(a, values.len()));
        args.output(Out::<u32>::new(r, 128));
        device.launch(&one_warp(function, args)).unwrap();
        read(&device, r, 128).unwrap()
    };
    let (old, new) = (Target::Sm80, Target::Sm90);
    let hopper = product(new, new);
    assert_ne!(hopper, product(old, old), "the inputs tell the two apart");
    assert_eq!(product(new, old), hopper);
}
