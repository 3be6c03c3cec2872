//! Decode steps as fixed sequences of launches, CUDA graphs on hardware: one for each number of sequences, made at the
//! start from the plan's stages. A step copies its inputs to where the launches look for them and replays.
//!
//! Only attention's launches depend on more than that number: on how many chunks the longest context has. They are made
//! for a power of two of chunks, and changed in place when a step needs another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::GpuOptions;
use super::inputs::Extent;
use super::launch::CHUNK;
use crate::config::engine::BLOCK_SIZE;
use crate::driver::{Driver, DriverError, Launch, SequenceId};

/// Most sequences of a step that is replayed: as many tokens as the streaming products take. Larger steps have time to
/// be queued launch by launch.
pub const MOST: usize = 32;

/// The launches of a step of an extent.
pub type Launches<'a> = dyn Fn(Extent) -> Result<Vec<Launch>, DriverError> + 'a;

/// One number of sequences, drawn one way.
#[derive(Debug)]
struct Fixed {
    sequence: SequenceId,
    extent: Extent,
    /// Empty where a change has failed: nobody knows then which of them the sequence has.
    launches: Vec<Launch>,
}

/// All of them, by number of sequences from 1 on: greedy ones, and those that sample.
#[derive(Debug)]
pub struct Decode {
    greedy: Vec<Fixed>,
    sampled: Vec<Fixed>,
    /// The same without what draws tokens, for who times them.
    logits: BTreeMap<usize, Fixed>,
    most_chunks: usize,
}

impl Decode {
    /// For steps of up to `sequences` sequences, as long as `options` allow.
    pub fn new(
        driver: &dyn Driver,
        sequences: usize,
        options: GpuOptions,
        launches: &Launches<'_>,
    ) -> Result<Decode, DriverError> {
        let fix = |sequences: usize, greedy: bool| {
            let extent = Extent::decode(sequences, BLOCK_SIZE, options.num_blocks, greedy);
            Fixed::new(driver, extent, launches)
        };
        let all = |greedy: bool| {
            (1..=sequences.min(MOST))
                .map(|n| fix(n, greedy))
                .collect::<Result<Vec<_>, DriverError>>()
        };
        Ok(Decode {
            greedy: all(true)?,
            sampled: all(false)?,
            logits: BTreeMap::new(),
            most_chunks: chunks(options.max_model_len),
        })
    }

    fn find(&self, extent: Extent) -> Option<&Fixed> {
        let fixed = match extent.greedy {
            true => &self.greedy,
            false => &self.sampled,
        };
        let found = fixed.get(extent.sequences.wrapping_sub(1));
        found.filter(|_| extent.decodes() && (1..=extent.sequences).contains(&extent.draws))
    }

    /// The extent that a step of `extent` is replayed as, if it is one of these.
    pub fn extent(&self, extent: Extent) -> Option<Extent> {
        let asked = chunks(extent.context).next_power_of_two();
        let context = asked.min(self.most_chunks) * CHUNK;
        let fixed = self.find(extent)?.extent;
        Some(Extent { context, ..fixed })
    }

    /// Replays a step of an extent that [`Decode::extent`] gave.
    pub fn replay(
        &mut self,
        driver: &dyn Driver,
        extent: Extent,
        launches: &Launches<'_>,
    ) -> Result<(), DriverError> {
        let fixed = match extent.greedy {
            true => &mut self.greedy,
            false => &mut self.sampled,
        };
        let Some(fixed) = fixed.get_mut(extent.sequences.wrapping_sub(1)) else {
            return launches(extent)?
                .iter()
                .try_for_each(|launch| driver.launch(launch));
        };
        fixed.replay(driver, extent, launches)
    }

    /// Replays its `launches` up to the logits, for an extent that [`Decode::extent`] gave. They become a sequence of their own
    /// when they are first asked for: who measures may wait for that.
    pub fn replay_logits(
        &mut self,
        driver: &dyn Driver,
        extent: Extent,
        launches: &Launches<'_>,
    ) -> Result<(), DriverError> {
        let fixed = match self.logits.entry(extent.sequences) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Fixed::new(driver, extent, launches)?),
        };
        fixed.replay(driver, extent, launches)
    }
}

impl Fixed {
    fn new(
        driver: &dyn Driver,
        extent: Extent,
        launches: &Launches<'_>,
    ) -> Result<Fixed, DriverError> {
        let launches = launches(extent)?;
        Ok(Fixed {
            sequence: driver.sequence(&launches)?,
            extent,
            launches,
        })
    }

    fn replay(
        &mut self,
        driver: &dyn Driver,
        extent: Extent,
        launches: &Launches<'_>,
    ) -> Result<(), DriverError> {
        if extent != self.extent || self.launches.is_empty() {
            self.change(driver, extent, launches(extent)?)?;
        }
        driver.replay(self.sequence)
    }

    fn change(
        &mut self,
        driver: &dyn Driver,
        extent: Extent,
        launches: Vec<Launch>,
    ) -> Result<(), DriverError> {
        let old = std::mem::take(&mut self.launches);
        for (index, launch) in launches.iter().enumerate() {
            if old.get(index) != Some(launch) {
                driver.change(self.sequence, index, launch)?;
            }
        }
        self.launches = launches;
        self.extent = extent;
        Ok(())
    }
}

fn chunks(context: usize) -> usize {
    context.div_ceil(CHUNK)
}
