//! Bands that worker threads make and the calling thread takes, each as soon as it is ready.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// A band's memory, in words so that elements of any type stand well in it.
pub type Buffer = Vec<u32>;

/// Buffers that nobody uses.
#[derive(Default)]
struct Pool(Mutex<Vec<Buffer>>);

impl Pool {
    fn get(&self) -> Buffer {
        // Whoever panicked with the lock held has left a list of buffers all the same.
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_default()
    }

    fn put(&self, buffer: Buffer) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(buffer);
    }
}

/// Has `workers` threads `make` bands 0 to `bands`, each into a buffer that holds anything, and hands them to `take` on the
/// calling thread, in whatever order they get ready.
///
/// A worker fills one buffer, as many as there are workers wait, and one is being taken: `2 * workers + 1` at most, whatever
/// the bands come to. What `take` refuses is the result: then no worker begins another band. A worker's panic goes on here.
pub fn run<E>(
    bands: usize,
    workers: usize,
    make: impl Fn(usize, &mut Buffer) + Sync,
    mut take: impl FnMut(usize, &[u32]) -> Result<(), E>,
) -> Result<(), E> {
    let workers = workers.min(bands).max(1);
    let (next, pool) = (AtomicUsize::new(0), Pool::default());
    let work = |ready: SyncSender<(usize, Buffer)>| {
        loop {
            let band = next.fetch_add(1, Ordering::Relaxed);
            if band >= bands {
                return;
            }
            let mut buffer = pool.get();
            make(band, &mut buffer);
            if ready.send((band, buffer)).is_err() {
                // Nobody takes any more.
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        let (sender, ready) = sync_channel(workers);
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                let (sender, work) = (sender.clone(), &work);
                scope.spawn(move || work(sender))
            })
            .collect();
        drop(sender);
        let taken = ready.iter().try_for_each(|(band, buffer)| {
            take(band, &buffer)?;
            pool.put(buffer);
            Ok(())
        });
        // Workers that wait for room would wait for ever: they are sent away before they are waited for.
        drop(ready);
        for worker in workers {
            if let Err(panic) = worker.join() {
                resume_unwind(panic);
            }
        }
        taken
    })
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// Words of band `band`: bands differ in content and length.
    fn words(band: usize) -> Vec<u32> {
        (0..1 + band as u32 % 5)
            .map(|i| 7 * band as u32 + i)
            .collect()
    }

    fn make(band: usize, buffer: &mut Buffer) {
        let words = words(band);
        buffer.resize(words.len(), 0);
        buffer.copy_from_slice(&words);
    }

    #[test]
    fn each_band_arrives_once_and_whole() {
        for (bands, workers) in [(0, 3), (1, 4), (2, 1), (100, 0), (101, 1), (500, 7)] {
            let mut seen = vec![0; bands];
            let done = run(bands, workers, make, |band, buffer| {
                assert_eq!(buffer, words(band));
                seen[band] += 1;
                Ok::<(), ()>(())
            });
            assert_eq!(done, Ok(()));
            assert!(
                seen.iter().all(|n| *n == 1),
                "{bands} bands, {workers} workers"
            );
        }
    }

    /// However slowly they are taken: a buffer that is made is new, one that comes from the pool is not empty.
    #[test]
    fn buffers_are_bounded_and_used_again() {
        let (bands, workers) = (300, 3);
        let (made, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let make = |band: usize, buffer: &mut Buffer| {
            begun.fetch_add(1, Ordering::SeqCst);
            if buffer.is_empty() {
                made.fetch_add(1, Ordering::SeqCst);
            }
            make(band, buffer);
        };
        let (mut taken, mut most) = (0, 0);
        let done = run(bands, workers, make, |_, _| {
            std::thread::yield_now();
            most = most.max(begun.load(Ordering::SeqCst) - taken);
            taken += 1;
            Ok::<(), ()>(())
        });
        assert_eq!((done, taken), (Ok(()), bands));
        let made = made.into_inner();
        assert!((1..=2 * workers + 1).contains(&made), "{made} buffers");
        assert!((1..=2 * workers + 1).contains(&most), "{most} at once");
    }

    #[test]
    fn a_refusal_stops_the_workers() {
        for workers in [1, 2, 5] {
            for at in [0, 1, 2, 10, 57, 199] {
                let begun = AtomicUsize::new(0);
                let make = |band: usize, buffer: &mut Buffer| {
                    begun.fetch_add(1, Ordering::SeqCst);
                    make(band, buffer);
                };
                let mut taken = 0;
                let refused = run(200, workers, make, |_, _| {
                    taken += 1;
                    if taken > at { Err(at) } else { Ok(()) }
                });
                assert_eq!((refused, taken), (Err(at), at + 1));
                // What was taken, what waits, and one in each worker's hands.
                let begun = begun.into_inner();
                assert!(begun <= taken + 2 * workers, "{begun} begun, {taken} taken");
            }
        }
    }

    #[test]
    fn a_panic_of_a_worker_goes_on() {
        for workers in [1, 3] {
            let panicked = catch_unwind(|| {
                let make = |band: usize, buffer: &mut Buffer| {
                    assert!(band != 20, "band {band} cannot be made");
                    make(band, buffer);
                };
                run(40, workers, make, |_, _| Ok::<(), ()>(()))
            });
            let payload = panicked.unwrap_err();
            let text = payload.downcast_ref::<String>().unwrap();
            assert_eq!(text, "band 20 cannot be made");
        }
    }

    #[test]
    fn a_panic_of_the_taker_ends_the_workers() {
        let panicked = catch_unwind(|| {
            run(200, 3, make, |band, _| {
                assert!(band < 9, "enough");
                Ok::<(), ()>(())
            })
        });
        assert!(panicked.is_err());
    }
}
