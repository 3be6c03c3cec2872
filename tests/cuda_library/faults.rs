//! Every call made to fail in turn: an error that names the call, nothing left behind, no panic.

use super::stub::{Machine, library};

pub const TRIALS: &[(&str, fn())] = &[
    ("tour/complete", complete),
    ("tour/two_gpus", two_gpus),
    ("tour/newer_card_compiles_ptx", newer_card_compiles_ptx),
    (
        "tour/kernels_of_a_sequence_overlap",
        kernels_of_a_sequence_overlap,
    ),
    ("tour/each_call_fails_once", each_call_fails_once),
    ("tour/a_call_always_fails", a_call_always_fails),
    ("tour/no_words_for_an_error", no_words_for_an_error),
];

/// What is made, and in which order it may go.
pub const KINDS: [&str; 8] = [
    "memory", "locked", "module", "event", "exec", "graph", "stream", "context",
];

/// Calls that the tour makes to fail by what it asks for, with their codes.
const ASKED_FOR: [(&str, i32); 3] = [
    ("cuMemAlloc_v2", 2),
    ("cuModuleLoadDataEx", 218),
    ("cuModuleGetFunction", 500),
];

/// Calls whose failure changes no result: they end something, wait before the end, or word another error.
pub const QUIET: [&str; 10] = [
    "cuDevicePrimaryCtxRelease_v2",
    "cuEventDestroy_v2",
    "cuGetErrorName",
    "cuGetErrorString",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuMemFreeHost",
    "cuMemGetInfo_v2",
    "cuModuleUnload",
    "cuStreamDestroy_v2",
];

/// Calls that change no result where the device is given back, as the last thing.
pub const AT_THE_END: [&str; 3] = ["cuCtxSetCurrent", "cuMemFree_v2", "cuStreamSynchronize"];

fn complete() {
    let machine = Machine::new(Some(library()));
    let (code, text) = machine.tour();
    assert_eq!(code, 0, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Stub GPU 0 sm_90 66");
    assert_eq!(
        lines[1],
        "refused: module echo: cuModuleLoadDataEx failed: CUDA_ERROR_INVALID_PTX (a PTX JIT compilation failed): \
         ptxas: line 3: broken"
    );
    assert!(lines[2].ends_with("is not one of this device"), "{text}");
    assert_eq!(lines[3], "refused: module 9 is not one of this device");
    assert_eq!(
        lines[8],
        "refused: out of device memory: 2147483648 bytes asked for, 1073737728 free"
    );
    assert_eq!(lines[9..], ["complete"]);
    for (call, code) in machine.calls() {
        let asked_for = ASKED_FOR.contains(&(call.as_str(), code));
        let no_words = call.starts_with("cuGetError") && code == 1;
        assert!(code == 0 || asked_for || no_words, "{call} gave {code}");
    }
    let counts = KINDS.map(|kind| machine.made_and_ended(kind));
    let expected = [3, 6, 3, 8, 2, 2, 1, 1].map(|count| (count, count));
    assert_eq!(counts, expected, "{KINDS:?}");
    assert_eq!(
        machine.lines().last().unwrap(),
        "call cuDevicePrimaryCtxRelease_v2 0"
    );
    // The second module was a cubin of the card's own generation.
    let loads: Vec<_> = machine
        .lines()
        .into_iter()
        .filter(|l| l.starts_with("load"))
        .collect();
    assert_eq!(loads, ["load ptx", "load cubin", "load ptx", "load ptx"]);
}

fn two_gpus() {
    let machine = Machine::new(Some(library())).with("STUB_GPUS", 2);
    let (code, text) = machine.myself(&[super::tour::TWO]);
    assert!(code == 0 && text.ends_with("complete\n"), "{text}");
    let counts = KINDS.map(|kind| machine.made_and_ended(kind));
    let expected = [6, 12, 6, 16, 4, 4, 2, 2].map(|count| (count, count));
    assert_eq!(counts, expected, "{KINDS:?}");
}

fn newer_card_compiles_ptx() {
    let machine = Machine::new(Some(library())).with("STUB_CC", 100);
    assert_eq!(machine.tour().0, 0);
    let loads: Vec<_> = machine
        .lines()
        .into_iter()
        .filter(|l| l.starts_with("load"))
        .collect();
    assert_eq!(loads, ["load ptx"; 4]);
}

/// Kernels of a sequence overlap where card and driver can do that: the stand-in refuses a graph with other edges.
fn kernels_of_a_sequence_overlap() {
    // Sequences of three launches and of one: an edge before each but the first.
    for (capability, version, edges) in [
        (90, 12030, 2),
        (90, 12020, 0),
        (89, 12040, 0),
        (100, 12040, 2),
    ] {
        let machine = Machine::new(Some(library()))
            .with("STUB_CC", capability)
            .with("STUB_VERSION", version);
        let (code, text) = machine.tour();
        assert_eq!(code, 0, "{text}");
        let calls = machine.calls();
        let added = calls
            .iter()
            .filter(|(name, _)| name == "cuGraphAddDependencies_v2");
        assert_eq!(added.count(), edges, "{capability}, {version}");
        assert!(calls.iter().any(|(name, _)| name == "cuGraphLaunch"));
    }
}

/// Each handle that was made has ended, unless the call that ends one was the call that failed.
fn nothing_left(machine: &Machine, failed: &str) {
    for kind in KINDS {
        let (made, ended) = machine.made_and_ended(kind);
        let ending = failed.contains("Destroy")
            || [
                "cuModuleUnload",
                "cuMemFree_v2",
                "cuMemFreeHost",
                "cuDevicePrimaryCtxRelease_v2",
            ]
            .contains(&failed);
        let most = made - ended;
        assert!(
            most <= usize::from(ending),
            "{failed} failed: {made} {kind} made, {ended} ended"
        );
    }
}

fn each_call_fails_once() {
    // A driver whose graphs take every call that there is.
    let newest = || Machine::new(Some(library())).with("STUB_VERSION", 12040);
    let whole = newest();
    whole.tour();
    let calls = whole.calls();
    assert!(calls.len() > 70, "{} calls", calls.len());
    for number in 1..=calls.len() {
        let (name, usual) = &calls[number - 1];
        let machine = newest().with("STUB_FAIL_AT", number);
        let (code, text) = machine.tour();
        assert_eq!(machine.calls()[number - 1], (name.clone(), 999));
        let last = text.lines().last().unwrap_or_default();
        let at_the_end = calls[number - 1..]
            .iter()
            .all(|(call, _)| QUIET.contains(&call.as_str()) || AT_THE_END.contains(&call.as_str()));
        // The refusals of the tour are refusals all the same, by the call that readies them too.
        let asked_for = |code: &i32| [2, 218].contains(code);
        let next = calls.get(number).is_some_and(|(_, code)| asked_for(code));
        let readies = name == "cuCtxSetCurrent" && next;
        let quiet = QUIET.contains(&name.as_str()) || at_the_end || asked_for(usual) || readies;
        if quiet {
            assert_eq!(
                (code, last),
                (0, "complete"),
                "call {number}, {name}:\n{text}"
            );
        } else {
            let expected = format!("{name} failed: CUDA_ERROR_UNKNOWN (told to fail)");
            assert!(
                code == 1 && last.contains(&expected),
                "call {number}, {name}:\n{text}"
            );
        }
        nothing_left(&machine, name);
    }
}

/// A device that is lost fails at every call from one on: the way out must not stumble over that either.
fn a_call_always_fails() {
    let lost = [
        "cuStreamSynchronize",
        "cuMemFree_v2",
        "cuModuleUnload",
        "cuGraphExecDestroy",
    ];
    let machine = Machine::new(Some(library())).with("STUB_FAIL", lost.join(","));
    let (code, text) = machine.tour();
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("error: cuStreamSynchronize failed"), "{text}");
    for kind in ["stream", "context", "event", "graph"] {
        let (made, ended) = machine.made_and_ended(kind);
        assert_eq!(made, ended, "{kind}");
    }
}

fn no_words_for_an_error() {
    let fails = "cuInit,cuGetErrorName,cuGetErrorString";
    let machine = Machine::new(Some(library())).with("STUB_FAIL", fails);
    let (code, text) = machine.tour();
    assert_eq!(
        (code, text.as_str()),
        (
            1,
            "error: no usable GPU: the driver (CUDA 12.0) does not start: cuInit failed: 999 (999); see whether nvidia-smi \
             works: after an update of the driver restart the machine, in a container pass the GPU through, or run on the \
             CPU\n"
        )
    );
}
