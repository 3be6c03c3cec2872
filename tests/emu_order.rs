//! Findings and the order in which CTAs run: a race between CTAs counts before what it leads to, and running them the other
//! way round shows order that was luck.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use qwarp::driver::{Args, Driver, DriverError, Geometry, Image, In, InOut, Launch, Out, Target};
use qwarp::emu::{EmuOptions, Emulator, Report, ReportKind};

/// CTAs of one thread; `%c` is the CTA, `%x` points to its word of `x`, `%y` and `%r` to the other arguments.
fn kernel(body: &str) -> String {
    format!(
        "
.version 7.0
.target sm_75
.address_size 64
.visible .entry test(.param .u64 x, .param .u64 y, .param .u64 r)
{{
    .reg .pred %h;
    .reg .b32 %c, %v, %w;
    .reg .b64 %x, %y, %r, %p;
    mov.u32 %c, %ctaid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u64 %r, [r];
    mad.wide.u32 %r, %c, 4, %r;
    {body}
    ret;
}}
"
    )
}

/// Runs a kernel on `ctas` CTAs with words of zeros in `x` and `y`; what it wrote to `r`.
fn run(
    ptx: &str,
    ctas: usize,
    host_threads: usize,
    descending: bool,
) -> Result<Vec<u32>, Box<Report>> {
    let mut device = Emulator::new(EmuOptions {
        target: Target::Sm75,
        host_threads,
        checks: true,
        counters: false,
    });
    if descending {
        device = device.descending();
    }
    let image = Image {
        name: "test",
        target: Target::Sm75,
        ptx,
        cubin: None,
    };
    let module = device.load_module(&image).unwrap();
    let function = device.function(module, "test").unwrap().unwrap();
    let len = ctas + 1;
    let [x, y, r] = [0; 3].map(|byte| {
        let ptr = device.alloc(4 * len).unwrap();
        device.fill(ptr, byte, 4 * len).unwrap();
        ptr
    });
    let mut args = Args::default();
    args.in_out(InOut::<u32>::new(x, len));
    args.input(In::<u32>::new(y, len));
    args.output(Out::<u32>::new(r, ctas));
    let launch = Launch {
        function,
        geometry: Geometry {
            grid: [ctas as u32, 1, 1],
            block: [1, 1, 1],
            shared_bytes: 0,
        },
        args,
    };
    match device.launch(&launch) {
        Ok(()) => {}
        Err(DriverError::Finding(report)) => return Err(report),
        Err(other) => panic!("{other}"),
    }
    let mut values = vec![0u32; ctas];
    device
        .copy_out(r, bytemuck::cast_slice_mut(&mut values))
        .unwrap();
    Ok(values)
}

/// Each CTA takes its word of `x` as an index and puts one far outside into the word of the next CTA.
const INDEX: &str = "
    mad.wide.u32 %x, %c, 4, %x;
    ld.global.u32 %v, [%x];
    st.global.u32 [%x+4], 1000000;
    mad.wide.u32 %y, %v, 4, %y;
    ld.global.u32 %w, [%y];
    st.global.u32 [%r], %w;";

#[test]
fn a_race_between_ctas_counts_before_the_access_that_it_leads_astray() {
    let mut reports = Vec::new();
    for host_threads in [1, 2, 7] {
        for ctas in [2, 40] {
            let report = run(&kernel(INDEX), ctas, host_threads, false).unwrap_err();
            assert_eq!(report.kind, ReportKind::Race, "{report}");
            assert_eq!(report.place.cta, [1, 0, 0], "{report}");
            reports.push((ctas, report.to_string().lines().count()));
        }
    }
    assert_eq!(reports.len(), 6);
    // The same index with nobody to race with is what it is.
    let alone = INDEX
        .replace("[%x+4], 1000000", "[%x], 1")
        .replace("%v, 4", "1000000, 4");
    let report = run(&kernel(&alone), 40, 2, false).unwrap_err();
    assert_eq!(report.kind, ReportKind::OutOfBounds, "{report}");
    assert_eq!(report.place.cta, [0, 0, 0], "{report}");
    let report = run(&kernel(&alone), 40, 2, true).unwrap_err();
    assert_eq!(report.place.cta, [39, 0, 0], "the first to run: {report}");
}

/// CTA 0 publishes a word behind a flag; the others take it.
fn published(look: &str) -> String {
    kernel(&format!(
        "
    setp.ne.u32 %h, %c, 0;
    @%h bra TAKE;
    st.global.u32 [%x+4], 77;
    st.release.gpu.global.u32 [%x], 1;
    mov.u32 %w, 1;
    bra DONE;
TAKE:
    mov.u32 %w, 2;
    ld.acquire.gpu.global.u32 %v, [%x];
    {look}
    ld.global.u32 %w, [%x+4];
DONE:
    st.global.u32 [%r], %w;"
    ))
}

#[test]
fn an_acquire_that_is_not_looked_at_is_found_in_the_other_order() {
    let unseen = published("");
    assert_eq!(run(&unseen, 3, 2, false).unwrap(), [1, 77, 77]);
    let report = run(&unseen, 3, 2, true).unwrap_err();
    assert_eq!(report.kind, ReportKind::Race, "{report}");
    assert_eq!(report.value.as_deref(), Some("0x0000004d"));
    // Who looks takes the word only where it is there.
    let seen = published("setp.eq.u32 %h, %v, 0;\n@%h bra DONE;");
    assert_eq!(run(&seen, 3, 2, false).unwrap(), [1, 77, 77]);
    assert_eq!(run(&seen, 3, 2, true).unwrap(), [1, 2, 2]);
}
