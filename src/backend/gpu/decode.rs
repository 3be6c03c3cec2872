//! Decode steps as fixed sequences of launches, CUDA graphs on hardware: one for each number of sequences, made at the
//! start from the plan's stages. A step copies its inputs to where the launches look for them and replays.
//!
//! Only attention's launches depend on more than that number: on how many chunks the longest context has. They are made
//! for a power of two of chunks, and changed in place when a step needs another.

use super::inputs::Extent;
use super::launch::CHUNK;
use crate::config::engine::BLOCK_SIZE;
use crate::driver::{Driver, DriverError, Launch, SequenceId};

/// Most sequences of a step that is replayed: as many tokens as the streaming products take. Larger steps have time to
/// be queued launch by launch.
pub const MOST: usize = 32;

/// The launches of a step of an extent.
pub type Launches<'a> = dyn Fn(Extent) -> Result<Vec<Launch>, DriverError> + 'a;

/// One number of sequences.
#[derive(Debug)]
struct Fixed {
    sequence: SequenceId,
    extent: Extent,
    launches: Vec<Launch>,
}

/// All of them, by number of sequences from 1 on.
#[derive(Debug)]
pub struct Decode {
    fixed: Vec<Fixed>,
    most_chunks: usize,
}

impl Decode {
    /// For steps of up to `sequences` sequences, as long as the cache of `num_blocks` allows.
    pub fn new(
        driver: &dyn Driver,
        sequences: usize,
        num_blocks: usize,
        launches: &Launches<'_>,
    ) -> Result<Decode, DriverError> {
        let fix = |sequences: usize| {
            let extent = Extent::decode(sequences, BLOCK_SIZE, num_blocks);
            let launches = launches(extent)?;
            Ok(Fixed {
                sequence: driver.sequence(&launches)?,
                extent,
                launches,
            })
        };
        Ok(Decode {
            fixed: (1..=sequences.min(MOST))
                .map(fix)
                .collect::<Result<_, _>>()?,
            most_chunks: chunks(num_blocks * BLOCK_SIZE),
        })
    }

    /// Replays a step of `extent`, if it is one of these; says whether it was.
    pub fn replay(
        &mut self,
        driver: &dyn Driver,
        extent: Extent,
        launches: &Launches<'_>,
    ) -> Result<bool, DriverError> {
        let index = extent.sequences.wrapping_sub(1);
        let Some(fixed) = self.fixed.get_mut(index).filter(|_| extent.decodes()) else {
            return Ok(false);
        };
        let asked = chunks(extent.context).next_power_of_two();
        let context = asked.min(self.most_chunks) * CHUNK;
        let wanted = Extent {
            context,
            ..fixed.extent
        };
        if wanted != fixed.extent {
            fixed.change(driver, wanted, launches(wanted)?)?;
        }
        driver.replay(fixed.sequence)?;
        Ok(true)
    }
}

impl Fixed {
    fn change(
        &mut self,
        driver: &dyn Driver,
        extent: Extent,
        launches: Vec<Launch>,
    ) -> Result<(), DriverError> {
        for (index, launch) in launches.iter().enumerate() {
            if self.launches.get(index) != Some(launch) {
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
