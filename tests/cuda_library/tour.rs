//! Opens the device and calls everything once, holding what comes back. Runs as a process of its own.

use std::process::ExitCode;

use qwarp::driver::cuda::Cuda;
use qwarp::driver::{
    Args, DevicePtr, Driver, DriverError, EventId, FunctionId, Geometry, Image, InOut, Launch,
    MailboxId, ModuleId, Result, SequenceId, Target,
};

/// What makes this program be the tour.
pub const ARGUMENT: &str = "--tour";
/// Words that a launch of `echo` writes.
const WORDS: usize = 11;
/// Launches that fit into the output.
const SLOTS: usize = 4;

const PTX: Image<'static> = Image {
    name: "echo",
    target: Target::Sm90,
    ptx: ".version 7.8\n.target sm_90\n.address_size 64\n",
    cubin: None,
};

/// What makes it be the tour of two GPUs.
pub const TWO: &str = "--tour-of-two";

/// Runs it; the error, if one came, is the last line.
pub fn run(tour: fn() -> Result<()>) -> ExitCode {
    match tour() {
        Ok(()) => {
            println!("complete");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Two GPUs on one thread, their calls in turn; the first outlives the second.
pub fn two() -> Result<()> {
    let gpus = [Cuda::open(0)?, Cuda::open(1)?];
    let made: Result<Vec<_>> = gpus
        .iter()
        .map(|cuda| Ok((memory(cuda)?, module(cuda)?)))
        .collect();
    let made = made?;
    for (cuda, (out, echo)) in gpus.iter().zip(&made) {
        launches(cuda, *echo, *out)?;
        times(cuda, *echo, *out)?;
        sequences(cuda, *echo, *out)?;
    }
    let [first, second] = gpus;
    drop(second);
    let (out, echo) = made[0];
    launches(&first, echo, out)?;
    first.free(out)
}

/// One GPU: everything once.
pub fn tour() -> Result<()> {
    let cuda = Cuda::open(0)?;
    let facts = cuda.facts();
    println!("{} {} {}", facts.name, facts.target, facts.multiprocessors);
    assert_eq!(facts.max_shared_bytes, 232_448);
    let out = memory(&cuda)?;
    let echo = module(&cuda)?;
    launches(&cuda, echo, out)?;
    times(&cuda, echo, out)?;
    sequences(&cuda, echo, out)?;
    strangers(&cuda, echo, out)
}

/// Allocations and copies; one is given back, and the other is left to the end.
fn memory(cuda: &Cuda) -> Result<DevicePtr> {
    let bytes: Vec<u8> = (0..(SLOTS * WORDS * 4) as u32).map(|i| i as u8).collect();
    let out = cuda.alloc(bytes.len())?;
    let nothing = cuda.alloc(0)?;
    cuda.copy_in(out, &bytes)?;
    cuda.fill(DevicePtr(out.0 + 5), 0xee, 7)?;
    cuda.fill(nothing, 0xee, 0)?;
    cuda.copy_within(DevicePtr(out.0 + 3), DevicePtr(out.0 + 41), 38)?;
    let mut back = vec![0; bytes.len()];
    cuda.copy_out(out, &mut back)?;
    let mut expected = bytes;
    expected[5..12].fill(0xee);
    expected.copy_within(3..41, 41);
    assert_eq!(back, expected);
    cuda.free(nothing)?;
    through_the_ring(cuda)?;
    mailboxes(cuda, out)?;
    Ok(out)
}

/// More than the ring holds, from memory that changes as soon as each call has returned.
fn through_the_ring(cuda: &Cuda) -> Result<()> {
    let words = (5 << 20) / 4 + 1;
    let big = cuda.alloc(4 * words as usize)?;
    let word = |i: u32| i.wrapping_mul(0x9e37_79b9);
    let expected: Vec<u32> = (0..words).map(word).collect();
    let mut sent = expected.clone();
    let (head, rest) = sent.split_at_mut(3);
    for (offset, part) in [(0, head), (12, rest)] {
        cuda.copy_in(DevicePtr(big.0 + offset), bytemuck::cast_slice(part))?;
        part.fill(0);
    }
    let mut back = vec![0u32; words as usize];
    cuda.copy_out(big, bytemuck::cast_slice_mut(&mut back))?;
    assert!(back == expected);
    cuda.free(big)
}

/// A copy that is queued before its source changes, and taken after.
fn mailboxes(cuda: &Cuda, out: DevicePtr) -> Result<()> {
    let [small, large] = [cuda.mailbox(3)?, cuda.mailbox(40)?];
    let [mut before, mut after] = [[0; 12], [0; 12]];
    cuda.copy_out(out, &mut before)?;
    cuda.queue_out(out, 12, large)?;
    cuda.fill(out, 0x5a, 2)?;
    cuda.collect(large, &mut after)?;
    assert_eq!(after, before);
    cuda.queue_out(out, 3, small)?;
    cuda.collect(small, &mut after[..3])?;
    assert_eq!(after[..3], [0x5a, 0x5a, before[2]]);
    cuda.copy_in(out, &before)?;
    let refused = [
        cuda.queue_out(out, 4, small),
        cuda.collect(large, &mut [0; 13]),
        cuda.collect(MailboxId(9), &mut []),
    ];
    refused
        .map(Result::unwrap_err)
        .into_iter()
        .try_for_each(unknown)
}

/// What is not this device's is refused as that; another error is the tour's.
fn unknown(error: DriverError) -> Result<()> {
    match error {
        DriverError::Unknown { .. } => Ok(()),
        other => Err(other),
    }
}

/// A module from PTX, one from a cubin, one that does not compile.
fn module(cuda: &Cuda) -> Result<FunctionId> {
    let module = cuda.load_module(&PTX)?;
    let cubin = Image {
        cubin: Some(b"\x7fELF and more"),
        ..PTX
    };
    cuda.load_module(&cubin)?;
    // A cubin for another generation is not what this card loads.
    cuda.load_module(&Image {
        target: Target::Sm80,
        ..cubin
    })?;
    let broken = Image {
        ptx: ".version 7.8\nbroken\n",
        ..PTX
    };
    // Where another call was made to fail, this one still fails by itself.
    if let Err(error) = cuda.load_module(&broken) {
        println!("refused: {error}");
    }
    assert_eq!(cuda.function(module, "absent")?, None);
    let echo = cuda.function(module, "echo")?;
    Ok(echo.expect("the stand-in has every kernel"))
}

/// A launch of `echo` whose every number is its own, and the words that it writes.
fn echo(function: FunctionId, out: DevicePtr, slot: u32) -> (Launch, [u32; WORDS]) {
    let n = 100 * slot;
    let tag = 0x1234_5678_9abc_0000 + u64::from(slot);
    let half = 0x4000 + slot as u16;
    let mut args = Args::default();
    args.in_out(InOut::<u32>::new(out, SLOTS * WORDS));
    args.scalar(slot);
    args.scalar(tag);
    args.scalar(half);
    // Two take more shared memory than a CTA gets without asking.
    let shared_bytes = match slot {
        2 => 100 << 10,
        3 => 64 << 10,
        _ => 16 * slot,
    };
    let geometry = Geometry {
        grid: [n + 1, n + 2, n + 3],
        block: [n + 4, n + 5, n + 6],
        shared_bytes,
    };
    let [[a, b, c], [d, e, f]] = [geometry.grid, geometry.block];
    let [low, high] = [tag as u32, (tag >> 32) as u32];
    let words = [a, b, c, d, e, f, shared_bytes, slot, low, high, half.into()];
    let launch = Launch {
        function,
        geometry,
        args,
    };
    (launch, words)
}

/// Holds a slot of the output.
fn hold(cuda: &Cuda, out: DevicePtr, slot: u32, expected: &[u32; WORDS]) -> Result<()> {
    let mut found = [0u32; WORDS];
    let at = DevicePtr(out.0 + u64::from(slot) * 4 * WORDS as u64);
    cuda.copy_out(at, bytemuck::cast_slice_mut(&mut found))?;
    assert_eq!(found, *expected, "slot {slot}");
    Ok(())
}

fn launches(cuda: &Cuda, function: FunctionId, out: DevicePtr) -> Result<()> {
    for slot in [1, 2] {
        let (launch, words) = echo(function, out, slot);
        cuda.launch(&launch)?;
        hold(cuda, out, slot, &words)?;
    }
    cuda.synchronize()
}

fn times(cuda: &Cuda, function: FunctionId, out: DevicePtr) -> Result<()> {
    let [start, end] = [cuda.event()?, cuda.event()?];
    cuda.record(start)?;
    cuda.launch(&echo(function, out, 0).0)?;
    cuda.record(end)?;
    let milliseconds = cuda.elapsed_ms(start, end)?;
    assert_eq!(milliseconds, 0.5);
    Ok(())
}

/// Two sequences, one of them replayed over its cleared output.
fn sequences(cuda: &Cuda, function: FunctionId, out: DevicePtr) -> Result<()> {
    // The one that takes most comes before one that takes less.
    let chain: Vec<_> = [2, 0, 3].map(|slot| echo(function, out, slot).0).into();
    let three = cuda.sequence(&chain)?;
    let one = cuda.sequence(&chain[..1])?;
    // What was given is no longer looked at.
    drop(chain);
    cuda.fill(out, 0, SLOTS * WORDS * 4)?;
    cuda.replay(three)?;
    for slot in [0, 2, 3] {
        hold(cuda, out, slot, &echo(function, out, slot).1)?;
    }
    hold(cuda, out, 1, &[0; WORDS])?;
    // The second launch becomes another, for this sequence alone.
    let (changed, words) = echo(function, out, 1);
    cuda.change(three, 1, &changed)?;
    cuda.fill(out, 0, SLOTS * WORDS * 4)?;
    cuda.replay(three)?;
    hold(cuda, out, 1, &words)?;
    hold(cuda, out, 0, &[0; WORDS])?;
    cuda.replay(one)?;
    hold(cuda, out, 2, &echo(function, out, 2).1)?;
    unknown(cuda.change(three, 3, &changed).unwrap_err())
}

/// What this device has not, and more than it has.
fn strangers(cuda: &Cuda, function: FunctionId, out: DevicePtr) -> Result<()> {
    let nowhere = DevicePtr(out.0 + 4);
    let mut launch = echo(function, out, 0).0;
    launch.function = FunctionId(99);
    let refused = [
        cuda.free(nowhere).unwrap_err(),
        cuda.function(ModuleId(9), "echo").unwrap_err(),
        cuda.record(EventId(9)).unwrap_err(),
        cuda.replay(SequenceId(9)).unwrap_err(),
        cuda.launch(&launch).unwrap_err(),
        cuda.sequence(&[launch]).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, DriverError::Unknown { .. }), "{error}");
        println!("refused: {error}");
    }
    let error = cuda.alloc(2 << 30).unwrap_err();
    println!("refused: {error}");
    Ok(())
}
