//! What the checks are told of an access, before it is made.

use super::bounds::{Verb, describe, global_memory};
use crate::emu::check::{
    Access, Cells, Clocks, Conflict, Exchange, Kind, Lanes, Location, Pattern, PendingCopy,
    Request, Strength, Written,
};
use crate::emu::counters::{self, Direction};
use crate::emu::exec::context::Context;
use crate::emu::exec::fault::{Checked, Fault, Spot};
use crate::emu::exec::grid::Window;
use crate::emu::op::{Order, Scope};
use crate::emu::ptx::Space;
use crate::emu::report::ReportKind;
use crate::emu::rows::LANES;

/// One access of a warp.
pub struct Observed<'a> {
    /// In which space.
    pub space: Space,
    /// What it does.
    pub verb: Verb,
    /// How it is ordered.
    pub order: Order,
    /// Where.
    pub lanes: &'a Lanes<'a>,
}

/// Whether two lanes store the same: asked only where they store to one place.
pub type SameValue<'a> = &'a dyn Fn(&Context<'_>, u32, u32) -> bool;

/// For accesses that store nothing, or whose values are not at hand.
pub fn differ(_: &Context<'_>, _: u32, _: u32) -> bool {
    false
}

fn strength(order: Order) -> Strength {
    match order.scope() {
        None => Strength::Weak,
        Some(Scope::Cta) => Strength::Cta,
        Some(Scope::Device) => Strength::Gpu,
    }
}

fn kind(verb: Verb) -> Kind {
    match verb {
        Verb::Load | Verb::LoadUnchanging | Verb::CopyFrom | Verb::LoadMatrix => Kind::Read,
        Verb::Store | Verb::CopyTo => Kind::Write,
        Verb::Atomic => Kind::Atomic,
    }
}

/// The directions in which an access moves bytes.
#[inline(always)]
fn ways(verb: Verb) -> impl Iterator<Item = Direction> {
    let kind = kind(verb);
    let read = (kind != Kind::Write).then_some(Direction::Read);
    let written = (kind != Kind::Read).then_some(Direction::Write);
    read.into_iter().chain(written)
}

/// Counts an access.
#[inline(always)]
fn count(cx: &mut Context<'_>, space: counters::Space, access: &Observed<'_>) {
    if let Some(counters) = &mut cx.counters {
        ways(access.verb).for_each(|way| counters.request(space, way, access.lanes));
    }
}

/// Counts an access by its addresses within each lane's own memory.
fn count_local(cx: &mut Context<'_>, access: &Observed<'_>, stride: u64) {
    let own = |lane: usize| match access.lanes.mask >> lane & 1 {
        1 => access.lanes.address(lane as u32) - lane as u64 * stride,
        _ => 0,
    };
    let own: [u64; LANES] = std::array::from_fn(own);
    let lanes = Lanes::of(access.lanes.mask, access.lanes.bytes, &own);
    let access = Observed {
        lanes: &lanes,
        ..*access
    };
    count(cx, counters::Space::Local, &access);
}

/// An access to global memory, inside `window`.
#[inline(always)]
pub fn global(
    cx: &mut Context<'_>,
    window: &Window<'_>,
    access: Observed<'_>,
    same_value: SameValue<'_>,
) -> Checked<()> {
    count(cx, counters::Space::Global, &access);
    if let Some(touched) = &cx.grid.touched {
        ways(access.verb).for_each(|way| touched.mark(way, access.lanes));
    }
    if cx.grid.program.waits {
        settled(cx, window, &access)?;
    }
    let Some(watch) = cx.watch.take() else {
        return Ok(());
    };
    let far = match window.region {
        Some(region) => watch.far.get_mut(usize::from(region)),
        None => None,
    };
    let (near, written) = (&mut *watch.near, window.written);
    let mut early = None;
    let (mut stale, mut conflict) = (None, None);
    if let Some(cells) = far {
        match access.verb {
            Verb::Store | Verb::Atomic => early = near.pending.overwritten(access.lanes),
            Verb::LoadUnchanging => {
                let request = Request::read(cx.warp, *access.lanes, cx.pc);
                stale = cells.written(&request, &near.clocks);
            }
            _ => {}
        }
        conflict = race(cx, cells, &near.clocks, &access, same_value);
    }
    let hole = initialised(written, &access);
    cx.watch = Some(watch);
    if let Some((lane, copy)) = early {
        return Err(too_early(cx, &access, lane, copy));
    }
    settle(cx, &access, conflict, hole)?;
    match stale {
        Some(conflict) => Err(unchanging(cx, &access, conflict)),
        None => Ok(()),
    }
}

/// A kernel that waits for the launches before may begin while they run. Until it has waited it writes nothing, and reads
/// nothing that they may write; and it never reads such memory through a cache that need not see what they write.
fn settled(cx: &Context<'_>, window: &Window<'_>, access: &Observed<'_>) -> Checked<()> {
    let Some(watch) = &cx.watch else {
        return Ok(());
    };
    let waited = watch.near.waited[cx.warp as usize];
    let too_soon = access.lanes.mask & !waited;
    let shared = window.unsettled || window.writable();
    let lane = match access.verb {
        _ if !shared => return Ok(()),
        Verb::LoadUnchanging => access.lanes.first_lane(),
        _ if too_soon != 0 => too_soon.trailing_zeros(),
        _ => return Ok(()),
    };
    let address = access.lanes.address(lane);
    let what = describe(access.space, access.verb, access.lanes.bytes, address);
    let how = match too_soon >> lane & 1 {
        1 => "the thread has not run griddepcontrol.wait",
        _ => {
            "the cache of ld.nc need not see what an earlier launch wrote while this one was running"
        }
    };
    let fault = cx.fault(ReportKind::GridNotWaited, lane, format!("{what}: {how}"));
    Err(fault.with_memory(memory(cx, access.space, address)))
}

/// The finding for a load through a cache that need not see what the launch has written, ordered or not.
#[cold]
fn unchanging(cx: &Context<'_>, access: &Observed<'_>, conflict: Conflict) -> Box<Fault> {
    let address = conflict.address;
    let what = format!(
        "{}, which the same launch has written: this load need not see it, whatever orders the two",
        describe(access.space, access.verb, access.lanes.bytes, address)
    );
    Fault::new(ReportKind::Race, spot(conflict.later), what)
        .with_other(spot(conflict.earlier))
        .with_memory(memory(cx, access.space, address))
}

fn spot(access: Access) -> Spot {
    Spot {
        cta: access.cta,
        thread: access.thread,
        pc: access.instruction,
    }
}

/// An access to shared memory.
#[inline(always)]
pub fn shared(
    cx: &mut Context<'_>,
    access: Observed<'_>,
    same_value: SameValue<'_>,
) -> Checked<()> {
    count(cx, counters::Space::Shared, &access);
    let Some(watch) = cx.watch.take() else {
        return Ok(());
    };
    let near = &mut *watch.near;
    let pending = near.pending.hit(access.lanes);
    let conflict = race(cx, &mut near.shared, &near.clocks, &access, same_value);
    let hole = match access.verb {
        // The bytes of an asynchronous copy are written when it has been waited for.
        Verb::CopyTo => None,
        _ => initialised(&near.shared_written, &access),
    };
    cx.watch = Some(watch);
    if let Some((lane, copy)) = pending {
        return Err(too_early(cx, &access, lane, copy));
    }
    settle(cx, &access, conflict, hole)
}

/// An access to the local memory of the warp's lanes.
#[inline(always)]
pub fn local(cx: &mut Context<'_>, access: Observed<'_>, stride: u64) -> Checked<()> {
    if cx.counters.is_some() {
        count_local(cx, &access, stride);
    }
    let Some(watch) = &mut cx.watch else {
        return Ok(());
    };
    let written = watch.near.local_written.get(cx.warp as usize);
    let hole = written.and_then(|written| initialised(written, &access));
    let hole = hole.map(|(lane, byte)| (lane, byte - u64::from(lane) * stride));
    settle(cx, &access, None, hole)
}

/// An access to constant memory: there is nothing to check.
#[inline(always)]
pub fn constant(cx: &mut Context<'_>, access: Observed<'_>) {
    count(cx, counters::Space::Const, &access);
}

fn race(
    cx: &Context<'_>,
    cells: &mut Cells,
    clocks: &Clocks,
    access: &Observed<'_>,
    same_value: SameValue<'_>,
) -> Option<Conflict> {
    let request = Request {
        warp: cx.warp,
        lanes: *access.lanes,
        instruction: cx.pc,
        kind: kind(access.verb),
        strength: strength(access.order),
        same_value: &|one, other| same_value(cx, one, other),
    };
    if !access.lanes.bytes.is_power_of_two() {
        return by_words(cells, clocks, request);
    }
    cells.access(&request, clocks)
}

/// Part of a copy: its size is no power of two, so each lane's words are checked by themselves.
#[cold]
fn by_words(cells: &mut Cells, clocks: &Clocks, request: Request<'_>) -> Option<Conflict> {
    let lanes = request.lanes;
    lanes.active().find_map(|lane| {
        (0..lanes.bytes).step_by(4).find_map(|offset| {
            let one = Lanes {
                mask: 1 << lane,
                bytes: 4,
                at: Pattern::Run(lanes.address(lane) + u64::from(offset)),
            };
            let request = Request {
                lanes: one,
                ..request
            };
            cells.access(&request, clocks)
        })
    })
}

/// Marks what is written; the lane that reads what nobody wrote, and the byte.
fn initialised(written: &Written, access: &Observed<'_>) -> Option<(u32, u64)> {
    let hole = match access.verb {
        Verb::Store | Verb::CopyTo => None,
        _ => written.unwritten_lane(access.lanes),
    };
    if access.verb.writes() {
        written.set_lanes(access.lanes);
    }
    hole
}

#[inline(always)]
fn settle(
    cx: &mut Context<'_>,
    access: &Observed<'_>,
    conflict: Option<Conflict>,
    hole: Option<(u32, u64)>,
) -> Checked<()> {
    if let Some(conflict) = conflict {
        return Err(raced(cx, access.space, conflict));
    }
    if let Some((lane, byte)) = hole {
        unwritten(cx, access, lane, byte);
    }
    Ok(())
}

/// What stands at an address, for reports.
fn memory(cx: &Context<'_>, space: Space, address: u64) -> String {
    match space {
        Space::Shared => {
            let size = cx.grid.shared_bytes;
            format!("shared memory of the CTA, byte {address} of {size}")
        }
        Space::Local => {
            let size = cx.grid.program.local_bytes;
            format!("local memory of the thread, byte {address} of {size}")
        }
        _ => global_memory(cx.grid, address),
    }
}

#[cold]
fn unwritten(cx: &mut Context<'_>, access: &Observed<'_>, lane: u32, byte: u64) {
    let known = cx
        .watch
        .as_ref()
        .is_some_and(|w| w.near.unwritten.is_some());
    if known {
        return;
    }
    let bytes = access.lanes.bytes;
    let address = match access.space {
        Space::Local => byte - byte % u64::from(bytes),
        _ => access.lanes.address(lane),
    };
    let what = describe(access.space, access.verb, bytes, address);
    let fault = cx
        .fault(ReportKind::UninitializedRead, lane, what)
        .with_memory(memory(cx, access.space, byte));
    if let Some(watch) = &mut cx.watch {
        watch.near.unwritten = Some(fault);
    }
}

#[cold]
fn raced(cx: &Context<'_>, space: Space, conflict: Conflict) -> Box<Fault> {
    conflict_fault(conflict, space, memory(cx, space, conflict.address))
}

/// The finding for two accesses without order.
pub fn conflict_fault(conflict: Conflict, space: Space, memory: String) -> Box<Fault> {
    let verb = |wrote: bool| if wrote { "writes" } else { "reads" };
    let name = if space == Space::Shared {
        "shared"
    } else {
        "global"
    };
    let what = format!(
        "one thread {} and another {} {name} memory at {:#x}, with nothing that orders them",
        verb(conflict.earlier.wrote),
        verb(conflict.later.wrote),
        conflict.address
    );
    Fault::new(ReportKind::Race, spot(conflict.later), what)
        .with_other(spot(conflict.earlier))
        .with_memory(memory)
}

#[cold]
fn too_early(cx: &Context<'_>, access: &Observed<'_>, lane: u32, copy: PendingCopy) -> Box<Fault> {
    let address = access.lanes.address(lane);
    let what = describe(access.space, access.verb, access.lanes.bytes, address);
    let fault = cx.fault(ReportKind::AsyncNotWaited, lane, what);
    fault
        .with_other(Spot {
            cta: cx.cta,
            thread: copy.thread,
            pc: copy.instruction,
        })
        .with_memory(memory(cx, access.space, copy.address))
}

/// What a strong access of one lane orders; `writes` tells whether it stored.
pub fn strong(cx: &mut Context<'_>, access: &Observed<'_>, lane: u32, writes: bool) {
    let Some(scope) = access.order.scope() else {
        return;
    };
    let Some(watch) = &mut cx.watch else {
        return;
    };
    let location = Location {
        shared: access.space == Space::Shared,
        address: access.lanes.address(lane),
    };
    let both = matches!(access.order, Order::AcquireRelease(_));
    let exchange = Exchange {
        reads: kind(access.verb) != Kind::Write,
        writes,
        acquire: both || matches!(access.order, Order::Acquire(_)),
        release: both || matches!(access.order, Order::Release(_)),
        scope: clock_scope(scope),
    };
    watch.near.clocks.strong(cx.warp, lane, location, exchange);
}

/// The clocks' name of a scope.
pub fn clock_scope(scope: Scope) -> crate::emu::check::Scope {
    match scope {
        Scope::Cta => crate::emu::check::Scope::Cta,
        Scope::Device => crate::emu::check::Scope::Gpu,
    }
}

/// A copy that has been waited for: a store of its lane, made now.
pub fn landed(cx: &mut Context<'_>, lane: u32, address: u64, bytes: u32, pc: u32) -> Checked<()> {
    let Some(watch) = &mut cx.watch else {
        return Ok(());
    };
    let near = &mut *watch.near;
    let lanes = Lanes {
        mask: 1 << lane,
        bytes,
        at: Pattern::Run(address),
    };
    near.shared_written.set_lanes(&lanes);
    let request = Request {
        instruction: pc,
        ..Request::write(cx.warp, lanes, pc, &|_, _| true)
    };
    match near.shared.access(&request, &near.clocks) {
        Some(conflict) => Err(raced(cx, Space::Shared, conflict)),
        None => Ok(()),
    }
}
