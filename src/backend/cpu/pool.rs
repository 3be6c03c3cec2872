//! The worker threads of a backend. A step runs as one function on every thread at once, with barriers between its ops,
//! so that threads stay with their rows and an op boundary costs a few hundred nanoseconds.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Turns of the spin loop before a waiting thread gives its core away. Long enough for an op boundary, short enough not
/// to starve a thread that shares the core.
const SPINS: usize = 20_000;

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

#[derive(Debug, Default)]
struct Barrier {
    arrived: AtomicUsize,
    generation: AtomicUsize,
}

impl Barrier {
    fn wait(&self, count: usize) {
        let generation = self.generation.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == count {
            self.arrived.store(0, Ordering::Relaxed);
            self.generation.fetch_add(1, Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.generation.load(Ordering::Acquire) == generation {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop()
            } else {
                std::thread::yield_now()
            }
        }
    }
}

type Task = *const (dyn Fn(Worker<'_>) + Sync);

struct Job(Option<Task>);

// SAFETY: the task is Sync, and `run` keeps it alive until every worker has left it.
unsafe impl Send for Job {}

struct State {
    job: Mutex<(usize, Job)>,
    started: Condvar,
    running: AtomicUsize,
    stop: AtomicBool,
    barrier: Barrier,
    count: usize,
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
        let state = Arc::new(State {
            job: Mutex::new((0, Job(None))),
            started: Condvar::new(),
            running: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            barrier: Barrier::default(),
            count,
        });
        let mut handles = Vec::new();
        for index in 1..count {
            let state = Arc::clone(&state);
            let thread = std::thread::Builder::new().name(format!("qwarp-{index}"));
            handles.push(thread.spawn(move || work(&state, index))?);
        }
        Ok(Pool { state, handles })
    }

    /// Threads, the calling one included.
    pub fn threads(&self) -> usize {
        self.state.count
    }

    /// Runs `task` on every thread and returns when all have left it. A panic in a task ends the process: the others
    /// would wait for it at a barrier for ever.
    pub fn run(&mut self, task: &(dyn Fn(Worker<'_>) + Sync)) {
        let state = &*self.state;
        // SAFETY: only the lifetime changes. The pointer is dropped before this function returns: it waits until no
        // worker runs the task and then clears the job.
        let task: Task =
            unsafe { std::mem::transmute(task as *const (dyn Fn(Worker<'_>) + Sync + '_)) };
        state.running.store(state.count - 1, Ordering::Release);
        {
            let mut job = state.job.lock().unwrap_or_else(PoisonError::into_inner);
            *job = (job.0 + 1, Job(Some(task)));
            state.started.notify_all();
        }
        // SAFETY: the caller's reference is alive during this call.
        enter(
            unsafe { &*task },
            Worker {
                index: 0,
                count: state.count,
                barrier: &state.barrier,
            },
        );
        let mut spins = 0;
        while state.running.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop()
            } else {
                std::thread::yield_now()
            }
        }
        state.job.lock().unwrap_or_else(PoisonError::into_inner).1 = Job(None);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        drop(self.state.job.lock());
        self.state.started.notify_all();
        for handle in self.handles.drain(..) {
            let _ = handle.join();
        }
    }
}

fn work(state: &State, index: usize) {
    let mut seen = 0;
    loop {
        let task = {
            let mut job = state.job.lock().unwrap_or_else(PoisonError::into_inner);
            while job.0 == seen && !state.stop.load(Ordering::Acquire) {
                job = state
                    .started
                    .wait(job)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if state.stop.load(Ordering::Acquire) {
                return;
            }
            seen = job.0;
            job.1.0
        };
        if let Some(task) = task {
            // SAFETY: `run` does not return before `running` reaches zero, which happens after this call.
            enter(
                unsafe { &*task },
                Worker {
                    index,
                    count: state.count,
                    barrier: &state.barrier,
                },
            );
            state.running.fetch_sub(1, Ordering::Release);
        }
    }
}

fn enter(task: &(dyn Fn(Worker<'_>) + Sync), worker: Worker<'_>) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task(worker)));
    if result.is_err() {
        std::process::abort();
    }
}
