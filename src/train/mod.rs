//! The training loop. It needs no disk: it saves to a [`Checkpointer`], and `()` is one that keeps
//! nothing.

mod event;
mod losses;
mod plan;

pub use event::{Event, Listener, Scalars};
pub use plan::{Plan, Progress};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::learner::{Learner, Network};
use crate::quality::Quality;

use losses::Losses;

/// Values that a [task](Task) wants to remember, by name.
pub type Notes = BTreeMap<String, f64>;

/// What a run trains on.
pub trait Task<L: Learner> {
    /// The batch of a step, counted from 0. It must be a function of the step and of the task's
    /// [notes](Self::notes), so that a resumed run gets the same batches.
    fn batch(&mut self, step: usize) -> L::Batch;

    /// Receives the loss of every step, in order, as soon as it has been read; from a learner that
    /// takes [several steps at once](Learner::at_once), after all of them. Default: ignores it.
    fn hear(&mut self, _loss: f64) {}

    /// Metrics of the network at inference, by name, such as the error on a test set, for
    /// [`Event::Evaluated`]. Default: none.
    ///
    /// # Errors
    ///
    /// If a file that the task writes cannot be written.
    fn evaluate(&mut self, _learner: &L) -> Result<BTreeMap<String, f64>> {
        Ok(BTreeMap::new())
    }

    /// How good the learner's synthetic gradients are at every interface, for [`Event::Compared`].
    /// Default: none.
    fn compare(&mut self, _learner: &L) -> Vec<Quality> {
        Vec::new()
    }

    /// Whether training should end before the plan does; asked after every record.
    /// Default: no.
    fn is_done(&self) -> bool {
        false
    }

    /// Which data the task trains on, for the checkpoint: a resumed run refuses others. Default:
    /// unknown.
    fn data(&self) -> Option<Fingerprint> {
        None
    }

    /// What its next batches depend on besides the step, for the checkpoint. Names that begin with
    /// `record.` are reserved for the training loop and refused. Default: nothing.
    fn notes(&self) -> Notes {
        Notes::new()
    }

    /// Restores what it [noted](Self::notes) when a run is resumed.
    fn recall(&mut self, _notes: &Notes) {}
}

/// Saves a run, so that it can be resumed as if it had never stopped. It receives every event
/// before the other listeners do. `()` keeps nothing.
pub trait Checkpointer: Listener {
    /// Records which data the network is trained on.
    ///
    /// # Errors
    ///
    /// If the run was trained on [other](Fingerprint::check) data before.
    fn set_data(&mut self, met: Option<Fingerprint>) -> Result<()>;

    /// The notes of the checkpoint from which the run is resumed.
    fn notes(&self) -> Notes;

    /// Saves a checkpoint.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn save(&mut self, network: &impl Network, notes: &Notes, progress: Progress) -> Result<()>;
}

impl Listener for () {
    fn hear(&mut self, _event: &Event) -> Result<()> {
        Ok(())
    }
}

impl Checkpointer for () {
    fn set_data(&mut self, _met: Option<Fingerprint>) -> Result<()> {
        Ok(())
    }

    fn notes(&self) -> Notes {
        Notes::new()
    }

    fn save(&mut self, _: &impl Network, _: &Notes, _: Progress) -> Result<()> {
        Ok(())
    }
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// All steps are done.
    Finished(Progress),
    /// Training was asked to stop; the last checkpoint has everything.
    Interrupted(Progress),
}

/// Trains `learner` from `start` to the end of the plan, or of the task if that comes first.
///
/// The `checkpointer`, such as the run's [folder](crate::run::RunFolder), saves at the start, from
/// time to time, when `stop` is set, and at the end. A stop takes effect after the current step, or
/// after the current [chunk](Learner::learn_chunk), which takes about a second; a run resumed from
/// there ends as it would have ended without the stop.
///
/// # Errors
///
/// If the plan asks for something every zero steps, if a resumed run meets other
/// [data](Task::data), if a loss or a parameter is no longer finite or the device fails, both of
/// which leave the last good checkpoint in place, or if the checkpointer, a listener or an
/// evaluation fails.
///
/// # Panics
///
/// As [`Learner::learn`] does, and where burn itself reads from a device that has failed, such as to
/// save a checkpoint; [`backend::failure`](crate::backend::failure) tells that from other panics.
///
/// # Examples
///
/// A run that keeps nothing but the trained network:
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use burn::tensor::{Device, Tensor};
/// use dni::data::{Stream, generator};
/// use dni::train::{Plan, Progress, Task, train};
/// use dni::{Batch, Chain, Credit, DenseConfig, Loss, Optimizer};
///
/// struct Xor(Batch);
///
/// impl Task<Chain> for Xor {
///     fn batch(&mut self, _step: usize) -> Batch {
///         self.0.clone()
///     }
/// }
///
/// let (device, rng) = (Device::flex(), &mut generator(1, Stream::Parameters));
/// let mut chain = Chain::new(Loss::BinaryCrossEntropy)
///     .section("hidden", DenseConfig::new(2, 8).init(rng, &device), Optimizer::adam(1e-2))
///     .section("output", DenseConfig::new(8, 1).linear().init(rng, &device), Optimizer::adam(1e-2));
///
/// let input = Tensor::from_floats([[0., 0.], [0., 1.], [1., 0.], [1., 1.]], &device);
/// let target = Tensor::from_floats([[0.], [1.], [1.], [0.]], &device);
/// let mut task = Xor(Batch::new(input, target));
///
/// let (plan, start) = (Plan::new(500, Credit::Backprop), Progress::default());
/// let never = AtomicBool::new(false);
/// train(&mut chain, &mut task, &plan, start, &mut (), &mut [], &never)?;
/// assert!(chain.loss_of(&task.0) < 0.1);
/// # Ok::<(), dni::Error>(())
/// ```
pub fn train<L: Learner>(
    learner: &mut L,
    task: &mut impl Task<L>,
    plan: &Plan<L::Schedule>,
    start: Progress,
    checkpointer: &mut impl Checkpointer,
    listeners: &mut [&mut dyn Listener],
    stop: &AtomicBool,
) -> Result<Outcome> {
    plan.check()?;
    checkpointer.set_data(task.data())?;
    if plan.is_done(start) || task.is_done() {
        return Ok(Outcome::Finished(start));
    }
    let mut tell = |checkpointer: &mut dyn Listener, event: Event| -> Result<()> {
        checkpointer.hear(&event)?;
        listeners.iter_mut().try_for_each(|l| l.hear(&event))
    };
    let clock = Instant::now();
    let now = |step| Progress {
        step,
        seconds: start.seconds + clock.elapsed().as_secs_f64(),
    };
    let mut step = start.step;
    let mut losses = Losses::new(step, &checkpointer.notes());
    let mut saved = Instant::now();
    let mut pace = Pace::default();
    tell(
        checkpointer,
        Event::Started {
            step,
            steps: plan.time.is_none().then_some(plan.steps),
        },
    )?;
    if step == 0 {
        check_parameters(learner, step)?;
        checkpointer.save(learner, &notes_of(task)?, start)?;
    }
    let (is_finished, progress) = loop {
        let at_once = pace.steps(learner.at_least(), learner.at_once());
        let chunk = plan.chunk(step, at_once);
        let begun = Instant::now();
        let metrics = learner.learn_chunk(&mut |step| task.batch(step), &chunk)?;
        pace.note(chunk.steps.len(), begun.elapsed());
        metrics.into_iter().for_each(|metrics| losses.add(metrics));
        step = chunk.steps.end;

        let record = plan.records_after(step);
        let is_asked_to_stop = stop.load(Ordering::Relaxed);
        if record || is_asked_to_stop || losses.pending() >= plan.check_every {
            losses
                .read(learner)?
                .into_iter()
                .for_each(|loss| task.hear(loss));
        }
        if !record && is_asked_to_stop {
            break (false, now(step));
        }
        if !record {
            continue;
        }
        // What is looked at from here on is no training.
        let reached = now(step);
        let rate_factor = plan.rates.factor(step - 1);
        let scalars = losses.take_means(learner, reached, rate_factor);
        tell(checkpointer, Event::Progress(scalars))?;
        if plan.evaluates_after(step) {
            let metrics = task.evaluate(learner)?;
            tell(checkpointer, Event::Evaluated { step, metrics })?;
            let activities = learner.timeline().to_vec();
            if !activities.is_empty() {
                tell(checkpointer, Event::Traced { step, activities })?;
            }
        }
        if plan.compares_after(step) {
            let interfaces = task.compare(learner);
            if !interfaces.is_empty() {
                tell(checkpointer, Event::Compared { step, interfaces })?;
            }
        }
        let is_finished = plan.is_done(now(step)) || task.is_done();
        if is_finished || stop.load(Ordering::Relaxed) {
            break (is_finished, reached);
        }
        if saved.elapsed() >= plan.save_every {
            check_parameters(learner, step)?;
            tell(checkpointer, Event::Saved { step })?;
            checkpointer.save(learner, &notes_of(task)?, now(step))?;
            saved = Instant::now();
        }
    };
    check_parameters(learner, step)?;
    let (event, outcome) = if is_finished {
        let seconds = progress.seconds;
        (
            Event::Finished { step, seconds },
            Outcome::Finished(progress),
        )
    } else {
        (Event::Interrupted { step }, Outcome::Interrupted(progress))
    };
    tell(checkpointer, event)?;
    let mut notes = notes_of(task)?;
    notes.extend(losses.notes());
    checkpointer.save(learner, &notes, progress)?;
    Ok(outcome)
}

/// What a task notes.
///
/// # Errors
///
/// If the name of a note is one of the loop's own.
fn notes_of<L: Learner>(task: &impl Task<L>) -> Result<Notes> {
    let notes = task.notes();
    match notes.keys().find(|name| name.starts_with(Losses::NOTE)) {
        Some(name) => Err(Error::Invalid(format!(
            "the task's note '{name}' has a name reserved for the training loop; do not begin it \
             with '{}'",
            Losses::NOTE
        ))),
        None => Ok(notes),
    }
}

/// How many steps a learner may take at once so that a stop need not wait for long.
#[derive(Default)]
struct Pace {
    /// Of the last chunk; none before the first.
    seconds_per_step: Option<f64>,
}

impl Pace {
    /// How long a chunk may take.
    const SECONDS: f64 = 1.0;
    /// Steps of a chunk when nobody knows yet how long they take.
    const FIRST: usize = 10;

    fn steps(&self, at_least: usize, at_once: usize) -> usize {
        let steps = self.seconds_per_step.map(|seconds| Self::SECONDS / seconds);
        let steps = steps.map_or(Self::FIRST, |steps| steps as usize);
        at_once.min(steps.max(at_least))
    }

    fn note(&mut self, steps: usize, time: Duration) {
        self.seconds_per_step = Some(time.as_secs_f64() / steps as f64);
    }
}

/// Looks at the parameters before they are saved: the loss of a step says nothing of its update.
///
/// # Errors
///
/// If one is not finite.
fn check_parameters(network: &impl Network, step: usize) -> Result<()> {
    match network.find_not_finite()? {
        Some(what) => Err(Error::NotFinite { what, step }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_at_once_takes_about_a_second() {
        let mut pace = Pace::default();
        assert_eq!(pace.steps(1, 1), 1);
        assert_eq!(pace.steps(1, 100), Pace::FIRST);
        for (steps, time, expected) in [
            (10, Duration::from_secs(10), 1),
            (1, Duration::from_secs(10), 1),
            (10, Duration::from_millis(500), 20),
            (10, Duration::from_millis(1), 100),
            (10, Duration::ZERO, 100),
        ] {
            pace.note(steps, time);
            assert_eq!(pace.steps(1, 100), expected);
        }
    }
}
