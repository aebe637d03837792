//! When a worker does what, in a few steps of a chunk.

use std::ops::Range;
use std::time::Instant;

use crate::learner::{Activity, Doing};

/// What a worker does in the steps in the middle of a chunk, where neither its beginning nor its
/// end keeps workers waiting. In other steps no clock is read.
#[derive(Debug)]
pub(super) struct Trace {
    steps: Range<usize>,
    step: usize,
    done: Vec<Done>,
}

/// Something that a worker has done.
#[derive(Debug)]
pub(super) struct Done {
    step: usize,
    doing: Doing,
    /// Counted from the lowest of the chain.
    section: Option<usize>,
    time: Range<Instant>,
}

impl Trace {
    /// Steps that are traced.
    const MOST: usize = 4;

    /// Of a chunk of these steps.
    pub fn new(chunk: &Range<usize>) -> Self {
        let first = chunk.start + chunk.len().saturating_sub(Self::MOST) / 2;
        Self {
            steps: first..chunk.end.min(first + Self::MOST),
            step: chunk.start,
            done: Vec::new(),
        }
    }

    /// A step begins.
    pub fn enter(&mut self, step: usize) {
        self.step = step;
    }

    /// Something begins: now, if this step is traced.
    pub fn begin(&self) -> Option<Instant> {
        self.steps.contains(&self.step).then(Instant::now)
    }

    /// It has ended.
    pub fn end(&mut self, begun: Option<Instant>, doing: Doing, section: Option<usize>) {
        if let Some(start) = begun {
            let time = start..Instant::now();
            self.done.push(Done {
                step: self.step,
                doing,
                section,
                time,
            });
        }
    }

    pub fn into_done(self) -> Vec<Done> {
        self.done
    }
}

/// What all workers of a chunk have done, from the lowest worker up, on one clock that begins with
/// the first of it.
pub(super) fn timeline<'a>(
    workers: impl Iterator<Item = &'a [Done]> + Clone,
    names: &[&str],
) -> Vec<Activity> {
    let starts = workers.clone().flatten().map(|done| done.time.start);
    let Some(origin) = starts.min() else {
        return Vec::new();
    };
    let seconds = |time: Instant| time.duration_since(origin).as_secs_f64();
    let activities = workers.enumerate().flat_map(|(worker, done)| {
        done.iter().map(move |done| Activity {
            worker: worker + 1,
            step: done.step,
            doing: done.doing,
            section: done.section.map(|i| names[i].to_string()),
            start: seconds(done.time.start),
            end: seconds(done.time.end),
        })
    });
    activities.collect()
}
