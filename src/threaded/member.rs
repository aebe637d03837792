//! How a worker works off a chunk, whatever it does in a step.

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};

use super::messages::{Lesson, Waited};
use super::notes::{Note, Notes};
use super::queue::Receiver;
use super::report::Staleness;
use super::trace::{Done, Trace};
use crate::backend::failure;
use crate::error::{Error, message_of, of_device};
use crate::learner::Metric;
use crate::place::lost;

/// The steps of a chunk, as all workers take them.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub steps: Range<usize>,
    /// Steps between two looks at the metrics.
    pub check_every: usize,
}

/// One of those who train the sections of a chain at the same time, for one chunk.
pub(super) trait Member {
    /// Takes the step that its [`Log`] has entered.
    ///
    /// # Errors
    ///
    /// If it cannot, because a neighbour has stopped or a metric is not finite.
    fn take_step(&mut self, lesson: Lesson) -> Result<(), Halt>;

    /// Does what is left after the last step. Default: nothing.
    ///
    /// # Errors
    ///
    /// As [`take_step`](Self::take_step).
    fn finish(&mut self) -> Result<(), Halt> {
        Ok(())
    }

    /// Where it computes, if its sections have parameters.
    fn device(&self) -> Option<Device>;

    fn log(&mut self) -> &mut Log;

    /// The log alone. If the member stops early, its neighbours hear of it, as its ends of the queues
    /// are dropped.
    fn into_log(self) -> Log;
}

/// What a worker keeps of its steps.
pub(super) struct Log {
    course: Course,
    lessons: Receiver<Lesson>,
    /// The step that it is at.
    pub step: usize,
    /// What learning rates are multiplied by in that step.
    pub rate_factor: f64,
    pub notes: Notes,
    /// Of the interface on top of it.
    pub staleness: Staleness,
    pub waited: Waited,
}

/// Why a worker has not come to the end of its course.
pub(super) enum Halt {
    /// Another one has stopped.
    Stopped,
    /// A metric is not finite.
    NotFinite { step: usize, metric: Metric },
    /// It has panicked, its server is lost, or its device has failed.
    Failed { step: usize, message: String },
}

/// What a worker leaves.
pub(super) struct Outcome {
    pub end: Result<(), Halt>,
    pub notes: Vec<Note>,
    /// Of the interface on top of it.
    pub staleness: Staleness,
    /// The time that it did not wait for others.
    pub busy: Duration,
    /// What it did in some of the steps.
    pub done: Vec<Done>,
}

impl Log {
    pub fn new(course: &Course, lessons: Receiver<Lesson>) -> Self {
        Self {
            course: course.clone(),
            lessons,
            step: course.steps.start,
            rate_factor: 1.0,
            notes: Notes::default(),
            staleness: Staleness::default(),
            waited: Waited {
                time: Duration::ZERO,
                trace: Trace::new(&course.steps),
            },
        }
    }

    /// Takes down a metric of the step that it is at.
    pub fn note(&mut self, metric: Metric, value: Tensor<1>) {
        self.notes.take(self.step, metric, value);
    }

    fn enter(&mut self, step: usize) -> Result<Lesson, Halt> {
        self.waited.trace.enter(step);
        let lesson = self.waited.receive(&mut self.lessons)?;
        (self.step, self.rate_factor) = (lesson.step, lesson.rate_factor);
        Ok(lesson)
    }
}

/// Takes all steps of the course.
pub(super) fn run(mut member: impl Member) -> Outcome {
    let start = Instant::now();
    let end = catch_unwind(AssertUnwindSafe(|| match take_steps(&mut member) {
        // What stopped the others may have come from here.
        Err(Halt::Stopped) => why_stopped(&mut member),
        end => end,
    }));
    let end = end.unwrap_or_else(|panic| {
        Err(Halt::Failed {
            step: member.log().step,
            message: cause_of(&member, &*panic),
        })
    });
    let log = member.into_log();
    Outcome {
        end,
        staleness: log.staleness,
        notes: log.notes.into_vec(),
        busy: start.elapsed().saturating_sub(log.waited.time),
        done: log.waited.trace.into_done(),
    }
}

fn take_steps(member: &mut impl Member) -> Result<(), Halt> {
    let Course { steps, check_every } = member.log().course.clone();
    for (taken, step) in (1_usize..).zip(steps) {
        let lesson = member.log().enter(step)?;
        member.take_step(lesson)?;
        if taken.is_multiple_of(check_every) {
            member.log().notes.check()?;
        }
    }
    member.finish()?;
    member.log().notes.check()
}

/// What a member that others have stopped may have stopped them by.
///
/// # Errors
///
/// With that, or if there is nothing, that they have stopped.
fn why_stopped(member: &mut impl Member) -> Result<(), Halt> {
    if let Some(error) = member.device().and_then(|device| lost(&device)) {
        return Err(Halt::Failed {
            step: member.log().step,
            message: error.to_string(),
        });
    }
    member.log().notes.check().and(Err(Halt::Stopped))
}

/// Why a member panicked: because its server is lost or its device failed, or else what the panic says.
/// How to go on is for [`Error::Worker`] to say.
fn cause_of(member: &impl Member, panic: &(dyn Any + Send)) -> String {
    let lost = member.device().and_then(|device| lost(&device));
    let message = message_of(panic);
    match lost.or_else(|| failure(&message)) {
        Some(Error::Device { reason }) => of_device(&reason),
        Some(error) => error.to_string(),
        None => message,
    }
}
