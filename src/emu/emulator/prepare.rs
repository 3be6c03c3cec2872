//! A launch held against what the kernel and the device say, before anything runs.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::state::State;
use super::{EmuOptions, Turns};
use crate::driver::{Access, DeviceFacts, DriverError, Launch, Result, View};
use crate::emu::check::Finer;
use crate::emu::counters::Touched;
use crate::emu::exec::{Grid, Window, thread_ids, words};
use crate::emu::op::{BarrierKind, MemoryOp, Op, Scope, SyncOp};
use crate::emu::program::Program;
use crate::emu::ptx::Space;
use crate::emu::rows::LANES;

/// Most threads of a CTA, in all and in each dimension.
const MAX_THREADS: u64 = 1024;
const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];
/// Most CTAs in each dimension.
const MAX_GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];

/// The grid of a launch.
pub fn grid<'a>(
    state: &'a State,
    launch: &Launch,
    facts: &DeviceFacts,
    options: &EmuOptions,
    turns: Turns,
) -> Result<Grid<'a>> {
    let kernel = state.kernel(launch.function)?;
    let program = &kernel.program;
    let refuse = |reason: String| DriverError::Launch {
        kernel: program.name.clone(),
        reason,
    };
    let threads = geometry(launch, program).map_err(refuse)?;
    let shared_bytes = shared(launch, program, facts.max_shared_bytes).map_err(refuse)?;
    arguments(launch, program).map_err(refuse)?;
    let windows: std::result::Result<Vec<_>, String> = launch
        .args
        .views
        .iter()
        .filter(|view| view.bytes > 0)
        .map(|view| window(state, view, program))
        .collect();
    let mut windows = windows.map_err(refuse)?;
    let regions = regions(&mut windows);
    let warps = threads.div_ceil(LANES as u32);
    let touched = options.counters.then(|| touched(&windows));
    let no_room = || refuse("the host has no memory for what the counters keep".into());
    let touched = touched.map(|made| made.ok_or_else(no_room)).transpose()?;
    Ok(Grid {
        program,
        lane_code: &kernel.lane_code,
        geometry: launch.geometry,
        threads,
        warps,
        params: words(&launch.args.bytes),
        constants: words(&program.const_bytes),
        windows,
        regions,
        finer: finer(program),
        device: &state.memory,
        shared_bytes,
        thread_ids: thread_ids(launch.geometry.block, warps),
        budget: turns.budget,
        checks: options.checks,
        counters: options.counters,
        touched,
        descending: turns.descending,
        most: turns.most,
    })
}

/// The threads of a CTA.
fn geometry(launch: &Launch, program: &Program) -> std::result::Result<u32, String> {
    let geometry = &launch.geometry;
    for (name, sizes, limits) in [
        ("grid", geometry.grid, MAX_GRID),
        ("CTA", geometry.block, MAX_BLOCK),
    ] {
        let fits = |(size, limit): (&u32, &u32)| (1..=*limit).contains(size);
        if !sizes.iter().zip(&limits).all(fits) {
            return Err(format!("a {name} of {sizes:?}, between 1 and {limits:?}"));
        }
    }
    let required = program.required_threads;
    if let Some(required) = required.filter(|required| *required != geometry.block) {
        return Err(format!(
            "a CTA of {:?}, the kernel requires {required:?}",
            geometry.block
        ));
    }
    let threads: u64 = geometry.block.iter().map(|&n| u64::from(n)).product();
    let limit = program.max_threads.map_or(MAX_THREADS, u64::from);
    if threads > limit.min(MAX_THREADS) {
        return Err(format!("a CTA of {threads} threads, at most {limit}"));
    }
    Ok(threads as u32)
}

/// Static and dynamic shared memory together.
fn shared(launch: &Launch, program: &Program, limit: u32) -> std::result::Result<u32, String> {
    let dynamic = launch.geometry.shared_bytes;
    let total = match dynamic {
        0 => Some(program.shared_bytes),
        _ => program.dynamic_shared_offset.checked_add(dynamic),
    };
    total.filter(|total| *total <= limit).ok_or_else(|| {
        format!(
            "{} bytes of static and {dynamic} of dynamic shared memory, at most {limit}",
            program.shared_bytes
        )
    })
}

/// The arguments must lie where the kernel's parameters do.
fn arguments(launch: &Launch, program: &Program) -> std::result::Result<(), String> {
    let args = &launch.args;
    let (given, wanted) = (args.offsets.len(), program.params.len());
    if given != wanted {
        return Err(format!("{given} arguments for {wanted} parameters"));
    }
    let mut ends = args.offsets.iter().skip(1).copied().collect::<Vec<u32>>();
    ends.push(args.bytes.len() as u32);
    for ((param, offset), end) in program.params.iter().zip(&args.offsets).zip(ends) {
        if *offset != param.offset || end < param.offset + param.bytes {
            return Err(format!(
                "parameter {} has {} bytes at {}, its argument {} at {offset}",
                param.name,
                param.bytes,
                param.offset,
                end.saturating_sub(*offset)
            ));
        }
    }
    Ok(())
}

/// The memory that a pointer argument may be used for.
fn window<'a>(
    state: &'a State,
    view: &View,
    program: &Program,
) -> std::result::Result<Window<'a>, String> {
    let found = state.memory.find(view.ptr.0, view.bytes);
    let Some((allocation, content)) = found else {
        let name = program.params.get(view.param as usize);
        return Err(format!(
            "argument {} ({}): {} bytes at {:#x} are not in one allocation",
            view.param,
            name.map_or("?", |param| param.name.as_str()),
            view.bytes,
            view.ptr.0
        ));
    };
    Ok(Window {
        start: view.ptr.0,
        end: view.ptr.0 + view.bytes,
        access: view.access,
        param: view.param,
        base: allocation.address,
        words: &content.words,
        written: &content.written,
        unsettled: content.by_launch.load(Ordering::Relaxed),
        region: None,
    })
}

/// From the next launch on, what this one may write is [`Window::unsettled`].
pub fn note_written(grid: &Grid<'_>) {
    for window in grid.windows.iter().filter(|window| window.writable()) {
        if let Some((_, content)) = grid.device.find(window.base, 0) {
            content.by_launch.store(true, Ordering::Relaxed);
        }
    }
}

/// What a kernel is only to write holds nothing before, whatever an earlier launch left there: a part that the kernel
/// leaves out is found when somebody reads it. Bytes that are an input too are kept.
pub fn forget_outputs(grid: &Grid<'_>) {
    let is_output = |window: &&Window<'_>| window.access == Access::Write;
    for output in grid.windows.iter().filter(is_output) {
        let overlaps = |other: &Window<'_>| {
            other.access != Access::Write && other.start < output.end && output.start < other.end
        };
        if !grid.windows.iter().any(overlaps) {
            output
                .written
                .clear(output.start, output.end - output.start);
        }
    }
}

/// Joins windows that overlap, and numbers the joined ranges that something may write to.
fn regions(windows: &mut [Window<'_>]) -> Vec<Range<u64>> {
    let mut ranges: Vec<(Range<u64>, bool)> = windows
        .iter()
        .map(|window| (window.start..window.end, window.writable()))
        .collect();
    ranges.sort_by_key(|(range, _)| range.start);
    ranges.dedup_by(|(next, written), (kept, any_written)| {
        let overlap = next.start < kept.end;
        if overlap {
            kept.end = kept.end.max(next.end);
            *any_written |= *written;
        }
        overlap
    });
    let regions = ranges.into_iter().filter(|(_, written)| *written);
    let regions: Vec<Range<u64>> = regions.map(|(range, _)| range).collect();
    for window in windows {
        let holds = |region: &Range<u64>| region.contains(&window.start);
        window.region = regions.iter().position(holds).map(|index| index as u16);
    }
    regions
}

/// Of every byte that the launch may touch.
fn touched(windows: &[Window<'_>]) -> Option<Touched> {
    Touched::new(windows.iter().map(|window| window.start..window.end))
}

/// What a program has of synchronisation that is finer than barriers of the whole CTA and syncs of whole warps.
fn finer(program: &Program) -> Finer {
    let mut finer = Finer::default();
    for inst in &program.code {
        let ordered = match inst.op {
            Op::Memory(
                MemoryOp::Load { span, order, .. }
                | MemoryOp::Store { span, order, .. }
                | MemoryOp::Atomic { span, order, .. },
            ) => order.scope().map(|scope| (span.space, scope)),
            _ => None,
        };
        match (inst.op, ordered) {
            (_, Some((Space::Global, Scope::Device))) => finer.between = true,
            (_, Some((Space::Generic, Scope::Device))) => {
                (finer.inside, finer.between) = (true, true);
            }
            (_, Some(_)) => finer.inside = true,
            (Op::Sync(SyncOp::Barrier(kind)), _) => {
                finer.inside |= kind == BarrierKind::Arrive || inst.uses > 1;
            }
            (Op::Sync(SyncOp::WarpSync), _) => {
                finer.inside |= !program.is_constant(inst.a, u32::MAX);
            }
            _ => {}
        }
    }
    finer
}
