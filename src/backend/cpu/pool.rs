//! The worker threads of a backend. A step runs as one function on every thread at once, with barriers between its ops,
//! so that threads stay with their rows and an op boundary costs a few hundred nanoseconds.
//!
//! A thread that waits spins first: between two ops, and after a step for about as long as the host needs to ask for the
//! next one. Then a worker parks, so that an idle engine takes no core. No lock is on the way of a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a waiting thread keeps its core to itself; then it lets others have it between two looks, which costs little
/// when there are none. The thread waited for may be among them, where other processes keep it from its own core.
const ALONE: Duration = Duration::from_micros(5);

/// How long a worker waits for a step before it parks. The host's work between two decode steps fits in: a greedy pick
/// from 151,936 logits takes about 70 µs, and they are looked through for infinities before.
const SPIN: Duration = Duration::from_micros(200);

/// Turns of a spin loop between two looks at the clock, which cost more than a turn.
const TURNS_PER_LOOK: u32 = 32;

/// One thread's view of a running step.
#[derive(Debug, Clone, Copy)]
pub struct Worker<'a> {
    /// 0 for the calling thread.
    pub index: usize,
    /// Threads that run the step.
    pub count: usize,
    barrier: &'a Barrier,
}

impl Worker<'_> {
    /// Waits until every thread is here. What was written before it can be read after it.
    pub fn barrier(&self) {
        self.barrier.wait(self.count);
    }

    /// This thread's share of `n` units, in whole multiples of `unit` where it can be.
    pub fn share(&self, n: usize, unit: usize) -> std::ops::Range<usize> {
        let units = n.div_ceil(unit);
        let start = |index: usize| (units * index / self.count * unit).min(n);
        start(self.index)..start(self.index + 1)
    }
}

/// A value with cache lines of its own (two, since lines are fetched in pairs): a thread that spins on it does not slow
/// down those that write its neighbours.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// A wait that is likely to be short.
struct Spin {
    crowded: bool,
    turns: u32,
    since: Option<Instant>,
}

impl Spin {
    fn new(crowded: bool) -> Self {
        Spin {
            crowded,
            turns: 0,
            since: None,
        }
    }

    /// One turn of the wait; false when it has been long.
    fn turn(&mut self) -> bool {
        if self.crowded {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
        // A wait for pages of a slow disk can be long.
        self.turns = self.turns.wrapping_add(1);
        if !self.turns.is_multiple_of(TURNS_PER_LOOK) {
            return true;
        }
        let now = Instant::now();
        let waited = now - *self.since.get_or_insert(now);
        if waited > ALONE {
            std::thread::yield_now();
        }
        waited < SPIN
    }

    /// Waits until `done`.
    fn wait(mut self, done: impl Fn() -> bool) {
        while !done() {
            self.turn();
        }
    }
}

#[derive(Debug, Default)]
struct Barrier {
    crowded: bool,
    arrived: Apart<AtomicUsize>,
    generation: Apart<AtomicUsize>,
}

impl Barrier {
    fn wait(&self, count: usize) {
        let generation = self.generation.0.load(Ordering::Acquire);
        if self.arrived.0.fetch_add(1, Ordering::AcqRel) + 1 == count {
            self.arrived.0.store(0, Ordering::Relaxed);
            self.generation.0.fetch_add(1, Ordering::Release);
            return;
        }
        Spin::new(self.crowded).wait(|| self.generation.0.load(Ordering::Acquire) != generation);
    }
}

type Task<'a> = &'a (dyn Fn(Worker<'_>) + Sync);

struct State {
    /// Counts the steps. Workers wait for it to change.
    steps: Apart<AtomicUsize>,
    /// Where the current step's task stands; null tells the workers to end.
    task: AtomicPtr<Task<'static>>,
    /// Workers that have not left the step.
    running: Apart<AtomicUsize>,
    /// For each worker, whether it has to be woken.
    parked: Vec<AtomicBool>,
    barrier: Barrier,
    count: usize,
    /// More threads than cores: who waits must not keep a core from who works.
    crowded: bool,
}

impl State {
    /// Waits for a step after number `seen` and gives its number.
    fn next_step(&self, index: usize, seen: usize) -> usize {
        let mut spin = Spin::new(self.crowded);
        loop {
            let step = self.steps.0.load(Ordering::Acquire);
            if step != seen {
                return step;
            }
            if !spin.turn() {
                self.park(index, seen);
            }
        }
    }

    /// Sleeps until there is a step after number `seen`.
    fn park(&self, index: usize, seen: usize) {
        let parked = &self.parked[index - 1];
        // In one order with `Pool::announce`, which writes the step and then reads the flag: either this thread sees the
        // step, or the flag is seen and the thread woken.
        parked.store(true, Ordering::SeqCst);
        while self.steps.0.load(Ordering::SeqCst) == seen {
            std::thread::park();
        }
        parked.store(false, Ordering::Relaxed);
    }

    fn worker(&self, index: usize) -> Worker<'_> {
        Worker {
            index,
            count: self.count,
            barrier: &self.barrier,
        }
    }
}

/// A fixed set of threads; the calling thread is one of them.
pub struct Pool {
    state: Arc<State>,
    handles: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} threads)", self.state.count)
    }
}

impl Pool {
    /// Starts `count - 1` threads, which sleep until the first step.
    pub fn new(count: usize) -> std::io::Result<Self> {
        // Where the cores cannot be counted, waiting politely is right for any number.
        let crowded =
            std::thread::available_parallelism().map_or(true, |cores| count > cores.get());
        let state = Arc::new(State {
            steps: Apart::default(),
            task: AtomicPtr::new(std::ptr::null_mut()),
            running: Apart::default(),
            parked: (1..count).map(|_| AtomicBool::new(false)).collect(),
            barrier: Barrier {
                crowded,
                ..Barrier::default()
            },
            count,
            crowded,
        });
        // Held from the start: should a thread not start, dropping it ends the others.
        let mut pool = Pool {
            state,
            handles: Vec::new(),
        };
        for index in 1..count {
            let state = Arc::clone(&pool.state);
            let thread = std::thread::Builder::new().name(format!("qwarp-{index}"));
            pool.handles
                .push(thread.spawn(move || work(&state, index))?);
        }
        Ok(pool)
    }

    /// Threads, the calling one included.
    pub fn threads(&self) -> usize {
        self.state.count
    }

    /// Runs `task` on every thread and returns when all have left it. A panic in a task ends the process: the others
    /// would wait for it at a barrier for ever.
    pub fn run(&mut self, task: &(dyn Fn(Worker<'_>) + Sync)) {
        let state = &*self.state;
        state.running.0.store(self.handles.len(), Ordering::Relaxed);
        // Only the lifetime is cast away; `work` says why it reads this in time.
        self.announce((&raw const task).cast_mut().cast());
        enter(task, state.worker(0));
        Spin::new(state.crowded).wait(|| state.running.0.load(Ordering::Acquire) == 0);
    }

    /// Gives the workers a task, or null to end; wakes those that are parked.
    fn announce(&self, task: *mut Task<'static>) {
        self.state.task.store(task, Ordering::Relaxed);
        self.state.steps.0.fetch_add(1, Ordering::SeqCst);
        for (handle, parked) in self.handles.iter().zip(&self.state.parked) {
            if parked.load(Ordering::SeqCst) {
                handle.thread().unpark();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.announce(std::ptr::null_mut());
        for handle in self.handles.drain(..) {
            let _ = handle.join();
        }
    }
}

fn work(state: &State, index: usize) {
    let mut seen = 0;
    loop {
        seen = state.next_step(index, seen);
        let task = state.task.load(Ordering::Relaxed);
        if task.is_null() {
            return;
        }
        // SAFETY: the pointer was stored before the step was counted, which this thread has seen. It points into the
        // frame of `run`, which neither returns nor unwinds before `running` reaches zero: after this thread's last use of
        // the task. (Nothing panics between `announce` and the end of that wait; `enter` aborts.)
        let task = unsafe { *task };
        enter(task, state.worker(index));
        state.running.0.fetch_sub(1, Ordering::Release);
    }
}

fn enter(task: Task<'_>, worker: Worker<'_>) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task(worker)));
    if result.is_err() {
        std::process::abort();
    }
}
