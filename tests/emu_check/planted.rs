//! Planted races, each beside the same steps with the order that mends them.

use qwarp::emu::check::{
    Access, Cells, Clocks, Conflict, Exchange, Finer, Kind, Lanes, Location, Request, Scope,
    Strength,
};

const BASE: u64 = 1 << 12;
const ALL: u32 = u32::MAX;
const FINER: Finer = Finer {
    inside: true,
    between: true,
};

/// A launch of CTAs of three warps with one range of memory.
struct Launch {
    clocks: Clocks,
    cells: Cells,
}

impl Launch {
    fn new(grain: u8, finer: Finer) -> Launch {
        let mut clocks = Clocks::new(96, finer);
        let cells = Cells::new(BASE, 4096, grain);
        clocks.begin_cta(0);
        Launch { clocks, cells }
    }

    fn plain() -> Launch {
        Launch::new(4, Finer::default())
    }

    fn ask(
        &mut self,
        kind: Kind,
        strength: Strength,
        warp: u32,
        mask: u32,
        at: [u64; 32],
    ) -> Option<Conflict> {
        self.ask_bytes(kind, strength, warp, mask, 4, at)
    }

    fn ask_bytes(
        &mut self,
        kind: Kind,
        strength: Strength,
        warp: u32,
        mask: u32,
        bytes: u32,
        at: [u64; 32],
    ) -> Option<Conflict> {
        let request = Request {
            warp,
            lanes: Lanes::of(mask, bytes, &at),
            instruction: warp + 10,
            kind,
            strength,
            same_value: &|_, _| false,
        };
        self.cells.access(&request, &self.clocks)
    }

    fn read(&mut self, warp: u32, mask: u32, at: [u64; 32]) -> Option<Conflict> {
        self.ask(Kind::Read, Strength::Weak, warp, mask, at)
    }

    fn write(&mut self, warp: u32, mask: u32, at: [u64; 32]) -> Option<Conflict> {
        self.ask(Kind::Write, Strength::Weak, warp, mask, at)
    }

    fn atomic(
        &mut self,
        warp: u32,
        lane: u32,
        address: u64,
        exchange: Exchange,
    ) -> Option<Conflict> {
        let strength = [Strength::Cta, Strength::Gpu][exchange.scope as usize];
        let kind = match (exchange.reads, exchange.writes) {
            (true, false) => Kind::Read,
            (false, _) => Kind::Write,
            (true, true) => Kind::Atomic,
        };
        let conflict = self.ask(kind, strength, warp, 1 << lane, [address; 32]);
        let location = Location {
            shared: false,
            address,
        };
        self.clocks.strong(warp, lane, location, exchange);
        conflict
    }
}

/// A row of 32 words.
fn row(index: u64) -> [u64; 32] {
    std::array::from_fn(|lane| BASE + 128 * index + 4 * lane as u64)
}

/// The same row, each lane at its neighbour's word.
fn turned(index: u64) -> [u64; 32] {
    std::array::from_fn(|lane| row(index)[(lane + 1) % 32])
}

const RELAXED: Exchange = Exchange {
    reads: true,
    writes: true,
    acquire: false,
    release: false,
    scope: Scope::Gpu,
};
const LOAD_ACQUIRE: Exchange = Exchange {
    writes: false,
    acquire: true,
    ..RELAXED
};
const STORE_RELEASE: Exchange = Exchange {
    reads: false,
    release: true,
    ..RELAXED
};

#[test]
fn warps_need_a_barrier() {
    let mut racy = Launch::plain();
    assert_eq!(racy.write(0, ALL, row(0)), None);
    let conflict = racy.read(1, ALL, row(0)).unwrap();
    let access = |thread, wrote| Access {
        cta: 0,
        thread,
        instruction: thread / 32 + 10,
        wrote,
    };
    let expected = Conflict {
        address: BASE,
        earlier: access(0, true),
        later: access(32, false),
    };
    assert_eq!(conflict, expected);

    let mut clean = Launch::plain();
    assert_eq!(clean.write(0, ALL, row(0)), None);
    clean.clocks.barrier(0, 0b111);
    assert_eq!(clean.read(1, ALL, row(0)), None);
    let conflict = clean.write(2, ALL, row(0)).unwrap();
    assert_eq!(
        (conflict.earlier.thread, conflict.earlier.wrote),
        (32, false)
    );
}

#[test]
fn lanes_need_a_warp_sync() {
    let mut racy = Launch::plain();
    assert_eq!(racy.write(0, ALL, row(0)), None);
    assert_eq!(racy.read(0, ALL, row(0)), None, "each its own");
    let conflict = racy.read(0, ALL, turned(0)).unwrap();
    assert_eq!((conflict.earlier.thread, conflict.later.thread), (1, 0));

    let mut clean = Launch::plain();
    assert_eq!(clean.write(0, ALL, row(0)), None);
    clean.clocks.warp_sync(0, ALL);
    assert_eq!(clean.read(0, ALL, turned(0)), None);
    // The sync was of warp 0 alone.
    assert!(clean.read(1, ALL, row(0)).is_some());
}

#[test]
fn a_sync_of_some_lanes_orders_those() {
    let mut launch = Launch::new(4, FINER);
    assert_eq!(launch.write(0, ALL, row(0)), None);
    launch.clocks.warp_sync(0, 0xff);
    let eighth = |lane: u64| [BASE + 4 * lane; 32];
    assert_eq!(launch.read(0, 0xff, eighth(3)), None);
    assert!(
        launch.read(0, 1, eighth(8)).is_some(),
        "lane 8 is not in it"
    );
}

#[test]
fn arriving_gives_and_does_not_take() {
    let mut launch = Launch::new(4, FINER);
    assert_eq!(launch.write(0, ALL, row(0)), None);
    assert_eq!(launch.write(1, ALL, row(1)), None);
    launch.clocks.arrive(2, 0);
    assert_eq!(launch.write(0, ALL, row(2)), None);
    launch.clocks.barrier(2, 0b010);
    assert_eq!(launch.read(1, ALL, row(0)), None);
    assert!(launch.read(1, ALL, row(2)).is_some(), "after it arrived");
    assert!(launch.read(0, ALL, row(1)).is_some(), "it learnt nothing");
}

#[test]
fn a_barrier_of_some_warps_leaves_out_the_others() {
    let mut launch = Launch::new(4, FINER);
    for warp in 0..3 {
        assert_eq!(launch.write(warp, ALL, row(u64::from(warp))), None);
    }
    launch.clocks.barrier(1, 0b011);
    assert_eq!(launch.read(1, ALL, row(0)), None);
    assert!(launch.read(2, ALL, row(0)).is_some());
    assert!(launch.read(0, ALL, row(2)).is_some());
}

#[test]
fn atomics_race_with_plain_accesses_only() {
    let mut launch = Launch::new(4, FINER);
    assert_eq!(launch.atomic(0, 1, BASE, RELAXED), None);
    assert_eq!(launch.atomic(1, 2, BASE, RELAXED), None);
    let load = Exchange {
        writes: false,
        ..RELAXED
    };
    assert_eq!(launch.atomic(2, 0, BASE, load), None);
    assert!(launch.read(2, 1, [BASE; 32]).is_some());
    launch.clocks.begin_cta(1);
    assert_eq!(launch.atomic(0, 0, BASE, RELAXED), None, "another CTA");
    let narrow = Exchange {
        scope: Scope::Cta,
        ..RELAXED
    };
    let conflict = launch.atomic(1, 0, BASE, narrow).unwrap();
    assert_eq!(conflict.earlier.cta, 0, "CTA scope does not reach it");
}

/// What the last CTA of a grid does to add up the others' results: fence, count, fence, read.
fn last_cta(first_fence: bool, second_fence: bool, scope: Scope) -> Option<Conflict> {
    let counter = BASE + 2048;
    let mut launch = Launch::new(4, FINER);
    for cta in 0..2 {
        launch.clocks.begin_cta(cta);
        assert_eq!(launch.write(1, ALL, row(cta)), None);
        launch.clocks.barrier(0, 0b111);
        if first_fence {
            launch.clocks.fence(0, 1, scope);
        }
        assert_eq!(launch.atomic(0, 0, counter, RELAXED), None);
        if second_fence {
            launch.clocks.fence(0, 1, scope);
        }
        launch.clocks.barrier(0, 0b111);
    }
    launch.read(2, ALL, row(0))
}

#[test]
fn ctas_are_ordered_by_fences_on_both_sides_of_an_atomic() {
    assert_eq!(last_cta(true, true, Scope::Gpu), None);
    for (first, second, scope) in [
        (false, true, Scope::Gpu),
        (true, false, Scope::Gpu),
        (true, true, Scope::Cta),
    ] {
        let conflict = last_cta(first, second, scope).unwrap();
        assert_eq!((conflict.earlier.cta, conflict.earlier.thread), (0, 32));
        assert_eq!((conflict.later.cta, conflict.later.thread), (1, 64));
    }
}

#[test]
fn release_and_acquire_need_no_fence() {
    let flag = BASE + 2048;
    let passes = |store: Exchange, load: Exchange| {
        let mut launch = Launch::new(4, FINER);
        assert_eq!(launch.write(0, 1, row(0)), None);
        assert_eq!(launch.atomic(0, 0, flag, store), None);
        launch.clocks.begin_cta(1);
        assert_eq!(launch.atomic(0, 0, flag, load), None);
        launch.read(0, 1, row(0)).is_none()
    };
    assert!(passes(STORE_RELEASE, LOAD_ACQUIRE));
    let relaxed_store = Exchange {
        release: false,
        ..STORE_RELEASE
    };
    assert!(!passes(relaxed_store, LOAD_ACQUIRE));
    let relaxed_load = Exchange {
        acquire: false,
        ..LOAD_ACQUIRE
    };
    assert!(!passes(STORE_RELEASE, relaxed_load));
    let narrow = Exchange {
        scope: Scope::Cta,
        ..STORE_RELEASE
    };
    let mut launch = Launch::new(4, FINER);
    assert_eq!(launch.atomic(0, 0, flag, narrow), None);
    launch.clocks.begin_cta(1);
    assert!(launch.atomic(0, 0, flag, LOAD_ACQUIRE).is_some());
}

#[test]
fn lanes_of_one_store_may_agree() {
    for same in [true, false] {
        let mut launch = Launch::plain();
        let at = [BASE; 32];
        let same_value = move |_: u32, _: u32| same;
        let store = Request::write(0, Lanes::of(0b11, 4, &at), 5, &same_value);
        let found = launch.cells.access(&store, &launch.clocks);
        assert_eq!(found.is_none(), same);
        if let Some(conflict) = found {
            assert_eq!((conflict.earlier.thread, conflict.later.thread), (0, 1));
        }
    }
}

#[test]
fn neighbours_are_apart_at_the_grain() {
    for (grain, bytes) in [(1, 1), (2, 2), (4, 4)] {
        let mut launch = Launch::new(grain, Finer::default());
        let at = |index: u64| [BASE + index * u64::from(bytes); 32];
        let write = |launch: &mut Launch, warp, index| {
            launch.ask_bytes(Kind::Write, Strength::Weak, warp, 1, bytes, at(index))
        };
        assert_eq!(write(&mut launch, 0, 5), None);
        assert_eq!(write(&mut launch, 1, 4), None);
        assert_eq!(write(&mut launch, 2, 6), None);
        let conflict = write(&mut launch, 1, 5).unwrap();
        assert_eq!(conflict.address, BASE + 5 * u64::from(bytes));
    }
}

#[test]
fn a_third_reader_is_not_forgotten() {
    // Warp 2 synchronises with two of the three readers.
    let mut launch = Launch::new(4, FINER);
    for warp in 0..3 {
        assert_eq!(launch.read(warp, ALL, row(0)), None);
    }
    launch.clocks.barrier(1, 0b101);
    let conflict = launch.write(2, ALL, row(0)).unwrap();
    assert_eq!(conflict.earlier.thread / 32, 1);
}

#[test]
fn shared_memory_of_earlier_ctas_does_not_count() {
    let mut launch = Launch::plain();
    for cta in 1..5 {
        assert_eq!(launch.write(0, ALL, row(0)), None, "{cta}");
        assert!(launch.read(1, ALL, row(0)).is_some(), "{cta}");
        launch.clocks.begin_cta(cta);
        launch.cells.restart(launch.clocks.cta_start());
    }
}
