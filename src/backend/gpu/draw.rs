//! The tokens of a step's logits: drawn on the device where each row's is the largest logit, so that the next step can
//! take them from there, and on the host where a row is sampled otherwise.

use super::launch::{Argmax, NO_TOKEN};
use super::memory::Memory;
use super::program::Program;
use crate::backend::Ticket;
use crate::backend::sampling::SampleRow;
use crate::driver::{DevicePtr, Driver, DriverError, Launch, MailboxId, Out};

/// Steps whose tokens are kept.
const KEPT: usize = 2;

/// What draws a plan's tokens.
#[derive(Debug)]
pub struct Draws {
    /// `(R, parts)`: partial results of argmax.
    partial: DevicePtr,
    mailboxes: [MailboxId; KEPT],
    /// The samples of the latest steps, by the parity of their tickets.
    samples: [Vec<SampleRow>; KEPT],
    rows: [usize; KEPT],
}

/// Whether the device draws a row's token.
fn on_device(row: &SampleRow) -> bool {
    let params = &row.params;
    let penalised = params.repetition_penalty != 1.0
        || params.presence_penalty != 0.0
        || params.frequency_penalty != 0.0;
    params.temperature == 0.0 && !penalised && row.logit_bias.is_empty()
}

/// Where a ticket's results are kept.
fn place(ticket: Ticket) -> usize {
    ticket.0 as usize % KEPT
}

impl Draws {
    /// For steps of up to `rows` rows of `vocab` logits.
    pub fn new(memory: &mut Memory, rows: usize, vocab: usize) -> Result<Draws, DriverError> {
        let partial = rows.saturating_mul(Argmax::parts(vocab)).saturating_mul(8);
        let driver = memory.driver();
        let mailbox = || driver.mailbox(rows.saturating_mul(4));
        let mailboxes = [mailbox()?, mailbox()?];
        Ok(Draws {
            partial: memory.alloc(partial)?,
            mailboxes,
            samples: [Vec::new(), Vec::new()],
            rows: [0; KEPT],
        })
    }

    /// Whether the tokens of all `samples` are on the device once the step has run.
    pub fn on_device(samples: &[SampleRow]) -> bool {
        samples.iter().all(on_device)
    }

    /// What draws from `rows` rows of logits; nothing where the plan has none.
    pub fn launches(&self, program: &Program, rows: usize) -> Result<Vec<Launch>, DriverError> {
        let Some((logits, vocab)) = program.logits(rows).filter(|_| rows > 0) else {
            return Ok(Vec::new());
        };
        let argmax = Argmax {
            rows,
            vocab,
            logits,
            partial: Out::new(self.partial, rows * Argmax::parts(vocab)),
            tokens: Out::new(program.buffers.drawn, rows),
        };
        Ok(argmax.launches(&program.kernels)?.into())
    }

    /// Queues the tokens of a step of `rows` rows for [`Draws::take`].
    pub fn queue(
        &mut self,
        driver: &dyn Driver,
        from: DevicePtr,
        ticket: Ticket,
        (rows, samples): (usize, &[SampleRow]),
    ) -> Result<(), DriverError> {
        let place = place(ticket);
        self.samples[place] = samples.to_vec();
        self.rows[place] = rows;
        if rows == 0 || !Self::on_device(samples) {
            return Ok(());
        }
        driver.queue_out(from, 4 * rows, self.mailboxes[place])
    }

    /// The samples of one of the latest steps.
    pub fn samples(&self, ticket: Ticket) -> &[SampleRow] {
        &self.samples[place(ticket)]
    }

    /// Waits for a step's tokens, one for each of its samples. The row of one that could not be drawn is the error.
    pub fn take(
        &self,
        driver: &dyn Driver,
        ticket: Ticket,
    ) -> Result<Result<Vec<u32>, usize>, DriverError> {
        let place = place(ticket);
        let samples = &self.samples[place];
        if samples.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let mut tokens = vec![0u32; self.rows[place]];
        driver.collect(self.mailboxes[place], bytemuck::cast_slice_mut(&mut tokens))?;
        let token = |sample: &SampleRow| match tokens[sample.row] {
            NO_TOKEN => Err(sample.row),
            token => Ok(token),
        };
        Ok(samples.iter().map(token).collect())
    }
}
