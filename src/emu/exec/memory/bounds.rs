//! Whether an access is aligned and inside memory that it may touch, and what it hit where it is not.

use crate::emu::check::{Lanes, Pattern};
use crate::emu::exec::context::Context;
use crate::emu::exec::fault::{Checked, Fault};
use crate::emu::exec::grid::{Grid, Window};
use crate::emu::ptx::Space;
use crate::emu::report::ReportKind;
use crate::emu::rows::LANES;

/// What an access does, for reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A load.
    Load,
    /// A load through a cache that sees no writes of the launch.
    LoadUnchanging,
    /// A store.
    Store,
    /// An atomic.
    Atomic,
    /// The reading side of an asynchronous copy.
    CopyFrom,
    /// Its writing side.
    CopyTo,
    /// `ldmatrix`.
    LoadMatrix,
}

impl Verb {
    /// Whether memory changes.
    pub fn writes(self) -> bool {
        matches!(self, Verb::Store | Verb::Atomic | Verb::CopyTo)
    }

    fn name(self) -> &'static str {
        match self {
            Verb::Load | Verb::LoadUnchanging => "load of",
            Verb::Store => "store of",
            Verb::Atomic => "atomic on",
            Verb::CopyFrom => "copy from",
            Verb::CopyTo => "copy to",
            Verb::LoadMatrix => "ldmatrix of",
        }
    }
}

/// One line on an access of one lane.
pub fn describe(space: Space, verb: Verb, bytes: u32, address: u64) -> String {
    let space = match space {
        Space::Param => "parameter",
        Space::Global | Space::Generic => "global",
        Space::Shared => "shared",
        Space::Local => "local",
        Space::Const => "constant",
    };
    let name = verb.name();
    format!("{name} {bytes} bytes of {space} memory at {address:#x}")
}

/// Every address must be a multiple of the size.
#[inline(always)]
pub fn aligned(cx: &Context<'_>, space: Space, verb: Verb, lanes: &Lanes<'_>) -> Checked<()> {
    let low = u64::from(lanes.bytes) - 1;
    let wrong = match lanes.at {
        Pattern::Run(first) | Pattern::Same(first) => first & low != 0,
        Pattern::Each(at) => lanes.active().any(|lane| at[lane as usize] & low != 0),
    };
    match wrong {
        false => Ok(()),
        true => Err(misaligned(cx, space, verb, lanes)),
    }
}

#[cold]
fn misaligned(cx: &Context<'_>, space: Space, verb: Verb, lanes: &Lanes<'_>) -> Box<Fault> {
    let low = u64::from(lanes.bytes) - 1;
    let lane = lanes
        .active()
        .find(|&lane| lanes.address(lane) & low != 0)
        .unwrap_or(0);
    let what = describe(space, verb, lanes.bytes, lanes.address(lane));
    let fault = cx.fault(ReportKind::Misaligned, lane, what);
    match space {
        Space::Global => {
            let memory = global_memory(cx.grid, lanes.address(lane));
            fault.with_memory(memory)
        }
        _ => fault,
    }
}

/// The least and the greatest address, the latter one past the last byte.
#[inline(always)]
pub fn extent(lanes: &Lanes<'_>) -> (u64, u64) {
    let bytes = u64::from(lanes.bytes);
    match lanes.at {
        Pattern::Run(first) => (first, first.saturating_add(lanes.run_bytes())),
        Pattern::Same(first) => (first, first.saturating_add(bytes)),
        Pattern::Each(at) => {
            let (mut low, mut high) = (u64::MAX, 0);
            for lane in lanes.active() {
                low = low.min(at[lane as usize]);
                high = high.max(at[lane as usize]);
            }
            (low, high.saturating_add(bytes))
        }
    }
}

/// Every address must lie below `size`, in a memory of its own.
#[inline(always)]
pub fn within(
    cx: &Context<'_>,
    space: Space,
    verb: Verb,
    lanes: &Lanes<'_>,
    size: u32,
) -> Checked<()> {
    match extent(lanes).1 <= u64::from(size) {
        true => Ok(()),
        false => Err(outside(cx, space, verb, lanes, size)),
    }
}

#[cold]
fn outside(cx: &Context<'_>, space: Space, verb: Verb, lanes: &Lanes<'_>, size: u32) -> Box<Fault> {
    let beyond =
        |lane: &u32| lanes.address(*lane).saturating_add(u64::from(lanes.bytes)) > u64::from(size);
    let lane = lanes.active().find(beyond).unwrap_or(0);
    let address = lanes.address(lane);
    let what = describe(space, verb, lanes.bytes, address);
    let owner = match space {
        Space::Shared => "shared memory of the CTA",
        Space::Local => "local memory of the thread",
        Space::Const => "constants of the module",
        _ => "parameters of the kernel",
    };
    cx.fault(ReportKind::OutOfBounds, lane, what)
        .with_memory(format!("{owner}, byte {address} of {size}"))
}

/// The window that holds all lanes' accesses and permits them.
#[inline(always)]
pub fn window<'a>(grid: &'a Grid<'a>, verb: Verb, lanes: &Lanes<'_>) -> Option<&'a Window<'a>> {
    let (low, high) = extent(lanes);
    let fits = |window: &&Window<'a>| {
        window.holds(low, high - low) && (window.writable() || !verb.writes())
    };
    grid.windows.iter().find(fits)
}

/// The finding for a lane whose access no window permits.
#[cold]
pub fn forbidden(cx: &Context<'_>, verb: Verb, lanes: &Lanes<'_>, lane: u32) -> Box<Fault> {
    let address = lanes.address(lane);
    let bytes = u64::from(lanes.bytes);
    let what = describe(Space::Global, verb, lanes.bytes, address);
    let held = cx.grid.windows.iter().any(|w| w.holds(address, bytes));
    let kind = match held {
        true => ReportKind::ReadOnly,
        false => ReportKind::OutOfBounds,
    };
    let memory = global_memory(cx.grid, address);
    cx.fault(kind, lane, what).with_memory(memory)
}

/// What stands at or next to a global address.
pub fn global_memory(grid: &Grid<'_>, address: u64) -> String {
    let distance = |window: &&Window<'_>| match address {
        _ if address < window.start => window.start - address,
        _ if address >= window.end => address - window.end + 1,
        _ => 0,
    };
    let nearest = grid.windows.iter().min_by_key(distance);
    let argument = nearest.map(|window| {
        let param = grid.program.params.get(window.param as usize);
        let name = param.map_or("?", |param| param.name.as_str());
        let byte = i128::from(address) - i128::from(window.start);
        let size = window.end - window.start;
        format!("argument {} ({name}), byte {byte} of {size}", window.param)
    });
    let allocation = grid.device.before(address).filter(|a| a.holds(address, 1));
    match (allocation, argument) {
        (Some(allocation), _) if allocation.content.is_none() => {
            let byte = address - allocation.address;
            format!(
                "freed allocation of {} bytes, byte {byte}",
                allocation.bytes
            )
        }
        (_, Some(argument)) if nearest.is_some_and(|window| distance(&window) <= FAR) => argument,
        (Some(allocation), _) => {
            let byte = address - allocation.address;
            format!(
                "byte {byte} of an allocation of {} bytes that the launch was not given",
                allocation.bytes
            )
        }
        (None, Some(argument)) => format!("no allocation; nearest is {argument}"),
        (None, None) => "no allocation, and no argument is a pointer".into(),
    }
}

/// Beyond this many bytes an argument has nothing to do with an address.
const FAR: u64 = 1 << 16;

/// Calls `f` with the window that each lane's access lies in: one call for all that lie in one.
#[inline(always)]
pub fn each_window<'c>(
    cx: &mut Context<'c>,
    verb: Verb,
    lanes: Lanes<'_>,
    mut f: impl FnMut(&mut Context<'c>, &Window<'c>, &Lanes<'_>) -> Checked<()>,
) -> Checked<()> {
    if let Some(found) = window(cx.grid, verb, &lanes) {
        return f(cx, found, &lanes);
    }
    let at: [u64; LANES] = std::array::from_fn(|lane| lanes.address(lane as u32));
    let mut rest = lanes.mask;
    while rest != 0 {
        let lane = rest.trailing_zeros();
        let one = Lanes::of(1 << lane, lanes.bytes, &at);
        let Some(found) = window(cx.grid, verb, &one) else {
            return Err(forbidden(cx, verb, &lanes, lane));
        };
        let left = Lanes {
            mask: rest,
            ..lanes
        };
        let held = left.active().filter(|lane| {
            let address = at[*lane as usize % LANES];
            found.holds(address, u64::from(lanes.bytes))
        });
        let held = held.fold(0, |held, lane| held | 1 << lane);
        rest &= !held;
        f(cx, found, &Lanes::of(held, lanes.bytes, &at))?;
    }
    Ok(())
}
