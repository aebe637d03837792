//! What workers send each other, and the queues between two neighbours.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use super::trace::Trace;
use super::worker::Halt;
use crate::feedforward::Batch;
use crate::run::Doing;

/// A step to take: every worker hears of it.
#[derive(Clone)]
pub(super) struct Lesson {
    pub step: usize,
    pub batch: Batch,
    /// What all learning rates are multiplied by.
    pub rate_factor: f64,
    /// Which sections of the chain learn.
    pub learners: Vec<bool>,
}

/// What goes up from one worker to the next.
pub(super) struct Message {
    pub step: usize,
    /// `h`, `[batch, features]`
    pub output: Tensor<2>,
}

/// What comes down for every message, once and in the order of the messages.
pub(super) struct Answer {
    pub step: usize,
    /// None if the section above did not learn in that step.
    pub target: Option<Target>,
}

/// The gradient at a message.
pub(super) struct Target {
    /// `delta`, `[batch, features]`
    pub delta: Tensor<2>,
    /// Where it was taken, if not at the message but at a guess of it.
    pub at: Option<Tensor<2>>,
}

/// A worker's end of the queues to the one above.
pub(super) struct ToAbove {
    pub messages: SyncSender<Message>,
    pub answers: Receiver<Answer>,
}

/// A worker's end of the queues to the one below.
pub(super) struct ToBelow {
    pub messages: Receiver<Message>,
    pub answers: SyncSender<Answer>,
}

/// Queues between two neighbours, neither of whom lets its section at the border learn with more
/// than `depth` of its messages unanswered, or runs it with more than `depth` guesses unconfirmed.
///
/// As a message is sent before that, no more than `depth + 1` messages or answers lie in them; up to `2 depth + 1` with synthetic
/// inputs, where the upper one may be `depth` steps ahead, too.
pub(super) fn link(depth: usize) -> (ToAbove, ToBelow) {
    let (up, messages) = sync_channel(2 * depth + 1);
    let (down, answers) = sync_channel(2 * depth + 1);
    let above = ToAbove {
        messages: up,
        answers,
    };
    let below = ToBelow {
        messages,
        answers: down,
    };
    (above, below)
}

/// The time that a worker has waited for others, and where its other time goes in some steps.
#[derive(Debug)]
pub(super) struct Waited {
    pub time: Duration,
    pub trace: Trace,
}

impl Waited {
    /// The next thing in a queue, as soon as there is one.
    ///
    /// # Errors
    ///
    /// If there is none and whoever could send one has stopped.
    pub fn receive<T>(&mut self, queue: &Receiver<T>) -> Result<T, Halt> {
        if let Ok(received) = queue.try_recv() {
            return Ok(received);
        }
        let start = Instant::now();
        let received = queue.recv();
        self.time += start.elapsed();
        let begun = self.trace.begin().map(|_| start);
        self.trace.end(begun, Doing::Waiting, None);
        received.map_err(|_| Halt::Stopped)
    }

    /// The next thing in a queue: if it `must` be had, as soon as there is one, otherwise if there
    /// is one.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), if it must be had.
    pub fn receive_if_any<T>(
        &mut self,
        queue: &Receiver<T>,
        must: bool,
    ) -> Result<Option<T>, Halt> {
        match must {
            true => self.receive(queue).map(Some),
            false => Ok(queue.try_recv().ok()),
        }
    }
}
