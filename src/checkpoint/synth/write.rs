//! Making values and writing them, on several threads: each piece goes to its place, in any order.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::spread::{DRAWS, draw};
use crate::error::{Error, Result};
use crate::rng::philox;

/// Elements of one piece.
pub const CHUNK: usize = 1 << 20;
/// Elements of one call of the generator.
const WORDS: usize = 4;

/// A piece of a tensor.
pub struct Job<'a> {
    /// The file.
    pub path: &'a Path,
    /// The tensor's place in the list.
    pub tensor: u32,
    /// Its encoded values, by draw.
    pub table: &'a [u8],
    /// The byte of the file that the tensor starts at.
    pub start: u64,
    /// The first element of the piece, a multiple of `WORDS`.
    pub first: usize,
    /// Elements of the piece.
    pub count: usize,
}

/// What all pieces have in common.
pub struct Source {
    /// Key of all values.
    pub seed: u64,
    /// Bytes of an element.
    pub element_bytes: usize,
    /// Threads.
    pub threads: usize,
}

impl Source {
    /// Makes and writes every job. `progress` is told the bytes written so far; `false` if it said to stop.
    pub fn run<'a>(
        &self,
        jobs: impl Iterator<Item = Job<'a>> + Send,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool> {
        let (jobs, stopped) = (Mutex::new(jobs), AtomicBool::new(false));
        let work = |done: Sender<Result<u64>>| {
            let mut bytes = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(job) = job else { return };
                let written = self.write(&job, &mut bytes);
                // Nobody listens after the first error.
                if done.send(written.map(|()| bytes.len() as u64)).is_err() {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            for _ in 0..self.threads.max(1) {
                let sender = sender.clone();
                scope.spawn(|| work(sender));
            }
            drop(sender);
            let mut done = 0;
            for written in receiver {
                match written {
                    Ok(bytes) => done += bytes,
                    Err(error) => {
                        stopped.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
                if !progress(done) {
                    stopped.store(true, Ordering::Relaxed);
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// The bytes of `job`, left in `bytes`, into its file. They are not forced to the disk: what a power cut takes can be
    /// made again, and waiting would cost more than making them.
    fn write(&self, job: &Job<'_>, bytes: &mut Vec<u8>) -> Result<()> {
        bytes.resize(job.count * self.element_bytes, 0);
        match self.element_bytes {
            2 => self.fill::<2>(job, bytes),
            _ => self.fill::<4>(job, bytes),
        }
        let at = job.start + (job.first * self.element_bytes) as u64;
        let opened = OpenOptions::new().write(true).open(job.path);
        let mut file = opened.map_err(|e| Error::io(job.path, "open", e))?;
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.write_all(bytes))
            .map_err(|e| Error::io(job.path, "write", e))
    }

    /// Element i of a tensor is made of word i % 4 of block i / 4.
    fn fill<const N: usize>(&self, job: &Job<'_>, bytes: &mut [u8]) {
        let table = job.table.as_chunks::<N>().0;
        let Some(table) = table.first_chunk::<DRAWS>() else {
            return;
        };
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let first = (job.first / WORDS) as u64;
        for (block, out) in (first..).zip(bytes.as_chunks_mut::<N>().0.chunks_mut(WORDS)) {
            let counter = [block as u32, (block >> 32) as u32, job.tensor, 0];
            let words = philox(counter, key);
            for (out, word) in out.iter_mut().zip(words) {
                *out = table[draw(word) % DRAWS];
            }
        }
    }
}
