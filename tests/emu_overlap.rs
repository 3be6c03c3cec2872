//! Launches of a sequence that begin before the one before has ended: who has to wait, for which memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use qwarp::driver::{
    Args, DevicePtr, Driver, DriverError, Geometry, Image, In, Launch, Out, Target,
};
use qwarp::emu::{EmuOptions, Emulator, ReportKind};

/// `r[i] = a[i] + b[i]`, with a wait before nothing, before the load of b, or nowhere.
const KERNELS: [(&str, [&str; 2]); 3] = [
    ("waits_first", ["griddepcontrol.wait;", ""]),
    ("waits_between", ["", "griddepcontrol.wait;"]),
    ("never_waits", ["", ""]),
];
const COUNT: usize = 37;

fn ptx() -> String {
    let kernel = |(name, [first, between]): &(&str, [&str; 2])| {
        format!(
            ".visible .entry {name}(.param .u64 a, .param .u64 b, .param .u64 r)
{{
    .reg .b32 %t, %x, %y;
    .reg .b64 %at;
    {first}
    mov.u32 %t, %tid.x;
    ld.param.u64 %at, [a];
    mad.wide.u32 %at, %t, 4, %at;
    ld.global.u32 %x, [%at];
    {between}
    ld.param.u64 %at, [b];
    mad.wide.u32 %at, %t, 4, %at;
    ld.global.u32 %y, [%at];
    add.u32 %x, %x, %y;
    ld.param.u64 %at, [r];
    mad.wide.u32 %at, %t, 4, %at;
    st.global.u32 [%at], %x;
    ret;
}}
"
        )
    };
    let kernels: String = KERNELS.iter().map(kernel).collect();
    format!(".version 7.8\n.target sm_90\n.address_size 64\n{kernels}")
}

/// A device with the kernels, and launches of them by name on addresses of `a`, `b` and `r`.
struct Setup {
    device: Emulator,
    ptx: String,
}

impl Setup {
    fn new() -> Setup {
        let options = EmuOptions {
            target: Target::Sm90,
            host_threads: 2,
            checks: true,
            counters: false,
        };
        Setup {
            device: Emulator::new(options),
            ptx: ptx(),
        }
    }

    /// The kernels' launches on `[a, b, r]`.
    fn launches(&self) -> impl Fn(&str, [DevicePtr; 3]) -> Launch {
        let image = Image {
            name: "overlap",
            target: Target::Sm90,
            ptx: &self.ptx,
            cubin: None,
        };
        let module = self.device.load_module(&image).unwrap();
        move |name, [a, b, r]| {
            let function = self.device.function(module, name).unwrap().unwrap();
            let mut args = Args::default();
            args.input(In::<u32>::new(a, COUNT));
            args.input(In::<u32>::new(b, COUNT));
            args.output(Out::<u32>::new(r, COUNT));
            let geometry = Geometry {
                grid: [1, 1, 1],
                block: [COUNT as u32, 1, 1],
                shared_bytes: 0,
            };
            Launch {
                function,
                geometry,
                args,
            }
        }
    }

    fn words(&self, first: u32) -> DevicePtr {
        let values: Vec<u32> = (first..first + COUNT as u32).collect();
        let at = self.device.alloc(COUNT * 4).unwrap();
        self.device
            .copy_in(at, bytemuck::cast_slice(&values))
            .unwrap();
        at
    }

    fn read(&self, at: DevicePtr) -> Vec<u32> {
        let mut values = vec![0; COUNT];
        self.device
            .copy_out(at, bytemuck::cast_slice_mut(&mut values))
            .unwrap();
        values
    }
}

#[test]
fn only_what_a_launch_writes_is_waited_for() {
    let setup = Setup::new();
    let launch = setup.launches();
    let [weights, x] = [1000, 20].map(|first| setup.words(first));
    let [y, z] = [1, 2].map(|first| setup.words(first));
    let chain = [
        launch("waits_first", [weights, x, y]),
        launch("waits_between", [weights, y, z]),
    ];
    let sequence = setup.device.sequence(&chain).unwrap();
    for _ in 0..2 {
        // The second time every launch has launches before it.
        setup.device.replay(sequence).unwrap();
    }
    let expected: Vec<u32> = (0..COUNT as u32).map(|i| 2020 + 3 * i).collect();
    assert_eq!(setup.read(z), expected);
    // The same memory from the other side: what was written is read before the wait.
    let hasty = launch("waits_between", [y, weights, z]);
    let error = setup.device.launch(&hasty).unwrap_err();
    let DriverError::Finding(report) = error else {
        panic!("{error}")
    };
    assert_eq!(report.kind, ReportKind::GridNotWaited);
    assert!(
        report.what.contains("has not run griddepcontrol.wait"),
        "{report}"
    );
    assert!(
        report
            .memory
            .as_ref()
            .unwrap()
            .contains("argument 0 (a), byte 0 of 148"),
        "{report}"
    );
    // What no launch wrote before is there, whoever waits.
    setup
        .device
        .launch(&launch("waits_between", [x, y, z]))
        .unwrap();
}

#[test]
fn a_kernel_that_never_waits_follows_none() {
    let setup = Setup::new();
    let launch = setup.launches();
    let [a, b, r, s] = [3, 100, 7, 8].map(|first| setup.words(first));
    let first = launch("never_waits", [a, b, r]);
    let second = launch("waits_first", [r, b, s]);
    let sequence = setup
        .device
        .sequence(&[first.clone(), second.clone()])
        .unwrap();
    setup.device.replay(sequence).unwrap();
    let expected: Vec<u32> = (0..COUNT as u32).map(|i| 203 + 3 * i).collect();
    assert_eq!(setup.read(s), expected);
    let error = setup
        .device
        .sequence(&[second, first])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("never_waits") && error.contains("griddepcontrol.wait"),
        "{error}"
    );
}
