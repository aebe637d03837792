//! What workers send each other, and the queues between two neighbours.

use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use super::Link;
use super::member::Halt;
use super::queue::{Closed, Parcel, Receiver, Sender, queue};
use super::trace::Trace;
use crate::batch::Batch;
use crate::learner::Doing;
use crate::place::Coming;

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
    pub output: Coming,
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
    pub delta: Coming,
    /// Where it was taken, if not at the message but at a guess of it.
    pub at: Option<Coming>,
}

impl Parcel for Lesson {
    /// Every worker has the data.
    fn bytes(&self) -> usize {
        0
    }
}

impl Parcel for Message {
    fn bytes(&self) -> usize {
        self.output.bytes()
    }

    fn has_come(&mut self) -> bool {
        self.output.has_come()
    }

    fn wait(&mut self) {
        self.output.wait();
    }
}

impl Parcel for Answer {
    fn bytes(&self) -> usize {
        let target = self.target.as_ref();
        target.map_or(0, |Target { delta, at }| {
            delta.bytes() + at.as_ref().map_or(0, Coming::bytes)
        })
    }

    fn has_come(&mut self) -> bool {
        self.matrices().all(Coming::has_come)
    }

    fn wait(&mut self) {
        self.matrices().for_each(Coming::wait);
    }
}

impl Answer {
    fn matrices(&mut self) -> impl Iterator<Item = &mut Coming> {
        let target = self.target.as_mut();
        target
            .into_iter()
            .flat_map(|Target { delta, at }| std::iter::once(delta).chain(at))
    }
}

/// What has been sent.
///
/// # Errors
///
/// If the server that it was to come from is lost: whoever computes there says so.
pub(super) fn matrix(coming: Coming) -> Result<Tensor<2>, Halt> {
    coming.matrix().ok_or(Halt::Stopped)
}

impl From<Closed> for Halt {
    /// Whoever had the other end of a queue has stopped.
    fn from(_: Closed) -> Self {
        Self::Stopped
    }
}

/// A worker's end of the queues to the one above.
pub(super) struct ToAbove {
    pub messages: Sender<Message>,
    pub answers: Receiver<Answer>,
}

/// A worker's end of the queues to the one below.
pub(super) struct ToBelow {
    pub messages: Receiver<Message>,
    pub answers: Sender<Answer>,
}

/// Queues between two neighbours, neither of whom lets its section at the border learn with more
/// than `depth` of its messages unanswered, or runs it with more than `depth` guesses unconfirmed.
///
/// As a message is sent before that, no more than `depth + 1` messages or answers lie in them; up to
/// `2 depth + 1` with synthetic inputs, where the upper one may be `depth` steps ahead, too.
pub(super) fn queues(depth: usize, link: Option<&Link>) -> (ToAbove, ToBelow) {
    let (up, messages) = queue(2 * depth + 1, link);
    let (down, answers) = queue(2 * depth + 1, link);
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
    /// The next thing in a queue, as soon as it has come.
    ///
    /// # Errors
    ///
    /// If there is none and whoever could send one has stopped.
    pub fn receive<T: Parcel>(&mut self, queue: &mut Receiver<T>) -> Result<T, Halt> {
        if let Some(received) = queue.receive_if_any() {
            return Ok(received);
        }
        let start = Instant::now();
        let received = queue.receive();
        self.time += start.elapsed();
        let begun = self.trace.begin().map(|_| start);
        self.trace.end(begun, Doing::Waiting, None);
        Ok(received?)
    }

    /// The next thing in a queue: if it `must` be had, as soon as it has come, otherwise if it has.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), if it must be had.
    pub fn receive_if_any<T: Parcel>(
        &mut self,
        queue: &mut Receiver<T>,
        must: bool,
    ) -> Result<Option<T>, Halt> {
        match must {
            true => self.receive(queue).map(Some),
            false => Ok(queue.receive_if_any()),
        }
    }
}
