//! The tokens of a step's logits, drawn on the device, where the next step can take them from.

use super::inputs::{Extent, Widths};
use super::launch::{Argmax, NO_TOKEN, SampleRows};
use super::memory::Memory;
use super::program::Program;
use crate::backend::Ticket;
use crate::driver::{DevicePtr, Driver, DriverError, In, InOut, Launch, MailboxId, Out};

/// Steps whose tokens are kept.
const KEPT: usize = 2;

/// What draws a plan's tokens.
#[derive(Debug)]
pub struct Draws {
    /// `(R, parts)`: partial results of argmax.
    partial: DevicePtr,
    /// What the sampling kernels keep from launch to launch, and its elements.
    state: (DevicePtr, usize),
    /// The same.
    bins: (DevicePtr, usize),
    /// Changed logits of all rows, and how many there is room for.
    changes: (DevicePtr, usize),
    mailboxes: [MailboxId; KEPT],
    /// Tokens of the latest steps, by the parity of their tickets.
    counts: [usize; KEPT],
}

/// Where a ticket's results are kept.
fn place(ticket: Ticket) -> usize {
    ticket.0 as usize % KEPT
}

impl Draws {
    /// Bytes of each allocation for steps of up to `draws` draws: state, bins, changed logits, partial results of argmax.
    pub fn bytes(draws: usize, widths: Widths) -> [usize; 4] {
        let [_, _, changes, state, bins] = SampleRows::lengths(draws, widths.vocab, widths.changes);
        let partial = draws.saturating_mul(Argmax::parts(widths.vocab));
        [(state, 8), (bins, 8), (changes, 4), (partial, 8)]
            .map(|(len, each): (usize, usize)| len.saturating_mul(each))
    }

    /// For steps of up to `draws` draws.
    pub fn new(memory: &mut Memory, draws: usize, widths: Widths) -> Result<Draws, DriverError> {
        let [state, bins, changes, partial] = Self::bytes(draws, widths);
        let mut zeroed = |bytes: usize| {
            let at = memory.alloc(bytes)?;
            memory.driver().fill(at, 0, bytes)?;
            Ok::<_, DriverError>((at, bytes / 8))
        };
        let (state, bins) = (zeroed(state)?, zeroed(bins)?);
        let changes = (memory.alloc(changes)?, widths.changes);
        let partial = memory.alloc(partial)?;
        let mailbox = || memory.driver().mailbox(draws.saturating_mul(4));
        Ok(Draws {
            partial,
            state,
            bins,
            changes,
            mailboxes: [mailbox()?, mailbox()?],
            counts: [0; KEPT],
        })
    }

    /// Brings the changed logits of a step to the device.
    pub fn upload(&self, driver: &dyn Driver, changes: &[u32]) -> Result<(), DriverError> {
        driver.copy_in(self.changes.0, bytemuck::cast_slice(changes))
    }

    /// What draws a step's tokens; nothing where it has none.
    pub fn launches(&self, program: &Program, extent: Extent) -> Result<Vec<Launch>, DriverError> {
        let (rows, draws) = (extent.logit_rows, extent.draws);
        let Some((logits, vocab)) = program.logits(rows).filter(|_| draws > 0) else {
            return Ok(Vec::new());
        };
        let tokens = Out::new(program.buffers.drawn, draws);
        if extent.greedy {
            let argmax = Argmax {
                rows,
                vocab,
                logits,
                partial: Out::new(self.partial, rows * Argmax::parts(vocab)),
                tokens,
            };
            return Ok(argmax.launches(&program.kernels)?.into());
        }
        let layout = program.layout(extent);
        let [_, _, changes, state, bins] = SampleRows::lengths(draws, vocab, self.changes.1);
        let sample = SampleRows {
            rows: draws,
            logit_rows: rows,
            vocab,
            changes_len: self.changes.1,
            logits,
            settings: layout.settings(program.buffers.inputs),
            starts: layout.starts(program.buffers.inputs),
            changes: In::new(self.changes.0, changes),
            state: InOut::new(self.state.0, state.min(self.state.1)),
            bins: InOut::new(self.bins.0, bins.min(self.bins.1)),
            tokens,
        };
        Ok(sample.launches(&program.kernels)?.into())
    }

    /// Queues the `count` tokens of a step for [`Draws::take`].
    pub fn queue(
        &mut self,
        driver: &dyn Driver,
        from: DevicePtr,
        ticket: Ticket,
        count: usize,
    ) -> Result<(), DriverError> {
        if count > 0 {
            driver.queue_out(from, 4 * count, self.mailboxes[place(ticket)])?;
        }
        self.counts[place(ticket)] = count;
        Ok(())
    }

    /// Waits for a step's tokens. The place of one that could not be drawn is the inner error.
    pub fn take(
        &self,
        driver: &dyn Driver,
        ticket: Ticket,
        tokens: &mut Vec<u32>,
    ) -> Result<Result<(), usize>, DriverError> {
        tokens.clear();
        tokens.resize(self.counts[place(ticket)], 0);
        if !tokens.is_empty() {
            let mailbox = self.mailboxes[place(ticket)];
            driver.collect(mailbox, bytemuck::cast_slice_mut(tokens))?;
        }
        let refused = tokens.iter().position(|&token| token == NO_TOKEN);
        Ok(refused.map_or(Ok(()), Err))
    }
}
