//! What the emulator counts while kernels run, against figures worked out by hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use qwarp::driver::{Args, Driver, Geometry, Image, In, InOut, Launch, Target};
use qwarp::emu::counters::{Class, Counters, Direction, Space, Traffic};
use qwarp::emu::{Counted, EmuOptions, Emulator};

/// Threads of a CTA, and CTAs: four warps in all.
const THREADS: usize = 64;
const CTAS: usize = 2;

/// A kernel: `%i` is the thread in the grid, `%p` and `%q` point to the input and the output, `%t` is the thread in the CTA.
fn kernel(declared: &str, body: &str) -> String {
    format!(
        "
.version 7.0
.target sm_75
.address_size 64
.visible .entry test(.param .u64 a, .param .u64 r)
{{
    .reg .b32 %t, %c, %i, %v, %w, %s;
    .reg .b64 %p, %q;
    {declared}
    mov.u32 %t, %tid.x;
    mov.u32 %c, %ctaid.x;
    mad.lo.u32 %i, %c, {THREADS}, %t;
    ld.param.u64 %p, [a];
    ld.param.u64 %q, [r];
    {body}
    ret;
}}
"
    )
}

/// Runs a kernel on `ctas` CTAs; what was counted, and the words of its output.
fn run(device: &Emulator, ptx: &str, words: usize, ctas: usize) -> (Counted, Vec<u32>) {
    let image = Image {
        name: "test",
        target: Target::Sm75,
        ptx,
        cubin: None,
    };
    let module = device.load_module(&image).unwrap();
    let function = device.function(module, "test").unwrap().unwrap();
    let values: Vec<u32> = (0..words as u32).map(|i| 3 * i + 1).collect();
    let (a, r) = (
        device.alloc(4 * words).unwrap(),
        device.alloc(4 * words).unwrap(),
    );
    device.copy_in(a, bytemuck::cast_slice(&values)).unwrap();
    device.fill(r, 0, 4 * words).unwrap();
    let mut args = Args::default();
    args.input(In::<u32>::new(a, words));
    args.in_out(InOut::<u32>::new(r, words));
    let geometry = Geometry {
        grid: [ctas as u32, 1, 1],
        block: [THREADS as u32, 1, 1],
        shared_bytes: 0,
    };
    let launch = Launch {
        function,
        geometry,
        args,
    };
    device.launch(&launch).unwrap();
    let mut launches = device.counters();
    assert_eq!(launches.len(), 1);
    let launch = launches.remove(0);
    assert_eq!(
        (launch.kernel.as_str(), launch.geometry),
        ("test", geometry)
    );
    let mut out = vec![0; words];
    device
        .copy_out(r, bytemuck::cast_slice_mut(&mut out))
        .unwrap();
    (launch, out)
}

fn emulator(host_threads: usize, checks: bool) -> Emulator {
    Emulator::new(EmuOptions {
        target: Target::Sm75,
        host_threads,
        checks,
        counters: true,
    })
}

/// What is counted, whatever the host threads, with checks and without.
fn counted(ptx: &str, words: usize) -> Counters {
    let mut all: Vec<Counters> = Vec::new();
    for (host_threads, checks) in [(1, true), (2, true), (1, false)] {
        let (launch, _) = run(&emulator(host_threads, checks), ptx, words, CTAS);
        assert_eq!(launch.ctas, CTAS as u64);
        all.push(launch.counters);
    }
    assert!(all.iter().all(|counters| *counters == all[0]));
    all.remove(0)
}

fn warps(counters: &Counters, class: Class) -> u64 {
    counters.instructions(class).warps
}

const NOTHING: Traffic = Traffic {
    requests: 0,
    bytes: 0,
    units: 0,
    ideal: 0,
};

/// Each thread copies its own word: a warp's 128 bytes are four sectors.
#[test]
fn side_by_side() {
    let body = "
    mad.wide.u32 %p, %i, 4, %p;
    mad.wide.u32 %q, %i, 4, %q;
    ld.global.u32 %v, [%p];
    st.global.u32 [%q], %v;";
    let counters = counted(&kernel("", body), THREADS * CTAS);
    let expected = Traffic {
        requests: 4,
        bytes: 4 * 128,
        units: 4 * 4,
        ideal: 4 * 4,
    };
    for direction in [Direction::Read, Direction::Write] {
        assert_eq!(counters.traffic(Space::Global, direction), expected);
    }
    assert_eq!(expected.units_per_request(), 4.0);
    assert_eq!(counters.moved_bytes(), 2 * 4 * 128);
    assert_eq!(counters.touched_bytes(), 2 * 4 * 128);
    assert_eq!(counters.bank_conflicts(), 0);
    // Two moves and three mads; two loads of parameters, a load and a store; the end.
    assert_eq!(warps(&counters, Class::Integer), 4 * 5);
    assert_eq!(warps(&counters, Class::Memory), 4 * 4);
    assert_eq!(warps(&counters, Class::Control), 4);
    assert_eq!(counters.instructions(Class::Memory).lanes, 32 * 4 * 4);
    for class in [Class::Float, Class::Half, Class::Sync, Class::Matrix] {
        assert_eq!(warps(&counters, class), 0);
    }
}

/// Each thread reads a word of another line, by half the lanes, and writes 16 bytes of its own.
#[test]
fn with_a_stride() {
    let body = "
    .reg .pred %h;
    and.b32 %w, %t, 1;
    setp.eq.u32 %h, %w, 0;
    mad.wide.u32 %p, %i, 128, %p;
    mad.wide.u32 %q, %i, 16, %q;
    mov.u32 %v, 7;
    @%h ld.global.u32 %v, [%p];
    st.global.v4.u32 [%q], {%v, %i, %t, %c};";
    let counters = counted(&kernel("", body), 32 * THREADS * CTAS);
    let read = Traffic {
        requests: 4,
        bytes: 4 * 16 * 4,
        // A sector for each of 16 lanes, though their 64 bytes would fill two.
        units: 4 * 16,
        ideal: 4 * 2,
    };
    let write = Traffic {
        requests: 4,
        bytes: 4 * 512,
        units: 4 * 16,
        ideal: 4 * 16,
    };
    assert_eq!(counters.traffic(Space::Global, Direction::Read), read);
    assert_eq!(counters.traffic(Space::Global, Direction::Write), write);
    assert_eq!(read.units_per_request(), 16.0);
    assert_eq!(counters.moved_bytes(), 4 * (16 + 16) * 32);
    assert_eq!(counters.touched_bytes(), 4 * (16 + 16) * 32);
    // Two loads of parameters and the store by all lanes, the load by half of them.
    assert_eq!(
        counters.instructions(Class::Memory).lanes,
        4 * (3 * 32 + 16)
    );
}

/// Of nine CTAs two run, each in the middle of those that it stands for; their counts are theirs alone.
#[test]
fn a_sample_of_the_ctas() {
    let body = "
    mad.wide.u32 %q, %i, 4, %q;
    add.u32 %v, %c, 1;
    st.global.u32 [%q], %v;";
    let ptx = kernel("", body);
    let (all, whole) = run(&emulator(2, false), &ptx, 9 * THREADS, 9);
    let (some, part) = run(&emulator(2, false).sampling(2), &ptx, 9 * THREADS, 9);
    assert_eq!((all.ctas, some.ctas), (9, 2));
    for (thread, (whole, part)) in whole.iter().zip(&part).enumerate() {
        let cta = thread / THREADS;
        let ran = [2, 6].contains(&cta);
        assert_eq!(
            (*whole, *part),
            (cta as u32 + 1, if ran { *whole } else { 0 })
        );
    }
    let write = |launch: &Counted| launch.counters.traffic(Space::Global, Direction::Write);
    assert_eq!(write(&all).requests, 9 * 2);
    assert_eq!(write(&some).requests, 2 * 2);
    let (more, _) = run(&emulator(2, false).sampling(10), &ptx, 9 * THREADS, 9);
    assert_eq!(more, all);
}

/// Every warp reads the same two words and a line of its own twice, and writes a word that lies in the others' sector.
#[test]
fn what_is_touched_again_counts_once() {
    let body = "
    ld.global.u32 %v, [%p+4];
    ld.global.u32 %w, [%p+32];
    mad.wide.u32 %p, %i, 4, %p;
    ld.global.u32 %v, [%p+512];
    ld.global.u32 %v, [%p+512];
    shr.u32 %s, %i, 5;
    mad.wide.u32 %q, %s, 4, %q;
    .reg .pred %first;
    and.b32 %w, %i, 31;
    setp.eq.u32 %first, %w, 0;
    @%first st.global.u32 [%q], %v;";
    let counters = counted(&kernel("", body), 2 * THREADS * CTAS);
    let read = counters.traffic(Space::Global, Direction::Read);
    assert_eq!((read.requests, read.units), (4 * 4, 4 * (1 + 1 + 4 + 4)));
    let write = counters.traffic(Space::Global, Direction::Write);
    assert_eq!((write.requests, write.units), (4, 4));
    assert_eq!(counters.moved_bytes(), (40 + 4) * 32);
    assert_eq!(counters.touched_bytes(), (2 + 4 * 4 + 1) * 32);
}

/// Each thread stores to shared memory two words apart and reads eight words apart; a barrier between.
#[test]
fn with_bank_conflicts() {
    let body = "
    mov.u32 %s, tile;
    mad.lo.u32 %s, %t, 8, %s;
    st.shared.u32 [%s], %i;
    bar.sync 0;
    mov.u32 %s, tile;
    and.b32 %w, %t, 15;
    mad.lo.u32 %s, %w, 32, %s;
    ld.shared.u32 %v, [%s];
    mad.wide.u32 %q, %i, 4, %q;
    st.global.u32 [%q], %v;";
    let counters = counted(
        &kernel(".shared .align 4 .b8 tile[512];", body),
        THREADS * CTAS,
    );
    let write = Traffic {
        requests: 4,
        bytes: 4 * 128,
        // Word 2 t of 32 banks: two words in each of 16 banks.
        units: 4 * 2,
        ideal: 4,
    };
    let read = Traffic {
        requests: 4,
        bytes: 4 * 128,
        // Words 0, 8, .. 120, each for two lanes: four words in each of four banks.
        units: 4 * 4,
        ideal: 4,
    };
    assert_eq!(counters.traffic(Space::Shared, Direction::Write), write);
    assert_eq!(counters.traffic(Space::Shared, Direction::Read), read);
    // In each warp one pass more than the store needs, and three more than the load.
    assert_eq!(counters.bank_conflicts(), 4 * (1 + 3));
    assert_eq!(warps(&counters, Class::Sync), 4);
    assert_eq!(counters.traffic(Space::Global, Direction::Read), NOTHING);
}

/// A variable in local memory, which hardware lays out so that a warp's lanes lie side by side.
#[test]
fn local_variables_lie_side_by_side() {
    let body = "
    st.local.u32 [kept+8], %i;
    st.local.v2.u32 [kept], {%t, %c};
    ld.local.u32 %v, [kept+8];
    mad.wide.u32 %q, %i, 4, %q;
    st.global.u32 [%q], %v;";
    let counters = counted(
        &kernel(".local .align 8 .b8 kept[24];", body),
        THREADS * CTAS,
    );
    let write = Traffic {
        requests: 2 * 4,
        bytes: 4 * (128 + 256),
        units: 4 * (4 + 8),
        ideal: 4 * (4 + 8),
    };
    let read = Traffic {
        requests: 4,
        bytes: 4 * 128,
        units: 4 * 4,
        ideal: 4 * 4,
    };
    assert_eq!(counters.traffic(Space::Local, Direction::Write), write);
    assert_eq!(counters.traffic(Space::Local, Direction::Read), read);
}
