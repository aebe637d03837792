//! How the workers of a threaded network have spent their time.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Link;

/// How workers share the training of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Each has some sections, which learn without waiting for those above.
    Decoupled,
    /// Each has some sections, which learn by backpropagation in a pipeline.
    Pipeline {
        /// Parts of a batch that go through it one after another.
        micro_batches: usize,
    },
    /// Each has all sections and a share of every batch; they learn by the sum of all gradients.
    DataParallel,
}

/// What the workers of a [`Threaded`](super::Threaded) network have done since it was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How they share the work.
    pub sharing: Sharing,
    /// Sections of each worker, from the bottom up; in data-parallel training each has all.
    pub split: Vec<usize>,
    /// The link between them, if they do not share the machine's memory.
    pub link: Option<Link>,
    /// How many messages of a decoupled worker may be unanswered.
    pub queue: usize,
    /// How late the gradients at each message were, from the bottom up.
    pub staleness: Vec<Staleness>,
    /// How each worker has spent its time, from the bottom up.
    pub workers: Vec<Workload>,
}

impl Report {
    pub(super) fn new(sharing: Sharing, split: &[usize], sections: usize) -> Self {
        Self {
            sharing,
            split: split.to_vec(),
            link: None,
            queue: 1,
            staleness: vec![Staleness::default(); sections - 1],
            workers: vec![Workload::default(); split.len()],
        }
    }
}

/// How late gradients are at a message: how many later messages its section has sent by the time
/// the gradient comes back. As many predictions were made without it. None within a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Staleness {
    /// Gradients that came back.
    pub targets: usize,
    /// Later messages, summed over all gradients.
    pub sum: usize,
    /// The most later messages of one gradient.
    pub most: usize,
    /// Time from sending a message to learning from its gradient, summed over all gradients.
    #[serde(rename = "sum_seconds", serialize_with = "as_seconds")]
    pub sum_time: Duration,
    /// The longest such time.
    #[serde(rename = "most_seconds", serialize_with = "as_seconds")]
    pub most_time: Duration,
}

impl Staleness {
    /// The mean number of later messages, zero if nothing came back.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.targets.max(1) as f64
    }

    /// The mean time from sending a message to learning from its gradient, zero if nothing came
    /// back.
    pub fn mean_time(&self) -> Duration {
        self.sum_time.div_f64(self.targets.max(1) as f64)
    }

    pub(super) fn note(&mut self, later: usize, time: Duration) {
        self.add(Self {
            targets: 1,
            sum: later,
            most: later,
            sum_time: time,
            most_time: time,
        });
    }

    pub(super) fn add(&mut self, more: Self) {
        self.targets += more.targets;
        self.sum += more.sum;
        self.most = self.most.max(more.most);
        self.sum_time += more.sum_time;
        self.most_time = self.most_time.max(more.most_time);
    }
}

/// How a worker has spent the time while workers were training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Workload {
    /// At its own work.
    #[serde(rename = "busy_seconds", serialize_with = "as_seconds")]
    pub busy: Duration,
    /// Waiting for batches, for its neighbours or for the end of a chunk.
    #[serde(rename = "waiting_seconds", serialize_with = "as_seconds")]
    pub waiting: Duration,
}

fn as_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

impl Workload {
    /// The share of the time that it was busy, zero before it has begun.
    pub fn busy_share(&self) -> f64 {
        let total = (self.busy + self.waiting).as_secs_f64();
        self.busy.as_secs_f64() / total.max(f64::MIN_POSITIVE)
    }
}
