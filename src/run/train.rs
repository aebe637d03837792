//! The training loop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::losses::Losses;
use super::{Burst, Event, Learner, Listener, Network, Notes, RunFolder};
use crate::data::Fingerprint;
use crate::error::{Error, Result};
use crate::quality::Quality;
use crate::schedule::Drops;

/// What a run trains on.
pub trait Task<L: Learner> {
    /// The batch of a step, counted from 0: a function of the step and of what the task
    /// [notes](Self::notes), so that a resumed run sees what it would have seen.
    fn batch(&mut self, step: usize) -> L::Batch;

    /// Hears the loss of every step, in their order, as soon as it has been read: with a learner
    /// that takes [several steps at once](Learner::at_once) after all of them. Default: nobody
    /// listens.
    fn hear(&mut self, _loss: f64) {}

    /// Figures of the network in use, by name, such as the error on a test set: for
    /// [`Event::Evaluated`]. Default: none.
    ///
    /// # Errors
    ///
    /// If a file that it leaves cannot be written.
    fn evaluate(&mut self, _learner: &L) -> Result<BTreeMap<String, f64>> {
        Ok(BTreeMap::new())
    }

    /// How good the learner's synthetic gradients are at every interface: for [`Event::Compared`].
    /// Default: nobody looks.
    fn compare(&mut self, _learner: &L) -> Vec<Quality> {
        Vec::new()
    }

    /// Whether training has come to its end before the plan has; asked after every record.
    /// Default: no.
    fn is_done(&self) -> bool {
        false
    }

    /// What its examples are, for the checkpoint: a run that goes on refuses others. Default: that
    /// is not said.
    fn data(&self) -> Option<Fingerprint> {
        None
    }

    /// What its next batches depend on besides the step, for the checkpoint. Default: nothing.
    fn notes(&self) -> Notes {
        Notes::new()
    }

    /// Takes up what it [noted](Self::notes) when a run goes on.
    fn recall(&mut self, _notes: &Notes) {}
}

/// How long and in which way a run trains.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<S> {
    /// Steps in all.
    pub steps: usize,
    /// The time after which it ends all the same, at the next record; none for no limit.
    pub time: Option<Duration>,
    /// What steps depend on besides their batches.
    pub schedule: S,
    /// Drops of the learning rates.
    pub drops: Drops,
    /// Steps between two [`Event::Progress`].
    pub record_every: usize,
    /// Steps between two [evaluations](Task::evaluate), of which there is one after the last step,
    /// too; none for no evaluation.
    pub evaluate_every: Option<usize>,
    /// Steps between two [comparisons](Task::compare) of synthetic gradients with true ones, of
    /// which there is one after the last step, too; none for no comparison.
    pub compare_every: Option<usize>,
    /// Steps between two looks at the losses for NaN and infinity. Each look waits for the
    /// device, so every step is right for a CPU only.
    pub check_every: usize,
    /// The least time between two checkpoints.
    pub save_every: Duration,
}

impl<S> Plan<S> {
    /// A plan of constant rates in which nothing is evaluated or compared, losses are looked at every
    /// step and recorded every hundredth, and checkpoints are a minute apart.
    pub fn new(steps: usize, schedule: impl Into<S>) -> Self {
        Self {
            steps,
            time: None,
            schedule: schedule.into(),
            drops: Drops::default(),
            record_every: 100,
            evaluate_every: None,
            compare_every: None,
            check_every: 1,
            save_every: Duration::from_secs(60),
        }
    }

    /// Whether the network is to be evaluated after so many steps.
    fn evaluates_after(&self, steps: usize) -> bool {
        self.is_due(self.evaluate_every, steps)
    }

    /// Whether its synthetic gradients are to be compared after so many steps.
    fn compares_after(&self, steps: usize) -> bool {
        self.is_due(self.compare_every, steps)
    }

    /// Whether something that happens every so often, and at the end, does after so many steps.
    fn is_due(&self, every: Option<usize>, steps: usize) -> bool {
        every.is_some_and(|every| steps.is_multiple_of(every) || steps == self.steps)
    }

    /// Whether figures are to be recorded after so many steps.
    fn records_after(&self, steps: usize) -> bool {
        steps.is_multiple_of(self.record_every)
            || steps == self.steps
            || self.evaluates_after(steps)
            || self.compares_after(steps)
    }

    /// The next steps: up to `at_once` of them, and none beyond the next record.
    fn burst(&self, step: usize, at_once: usize) -> Burst<'_, S> {
        let most = step.saturating_add(at_once);
        let end = (step + 1..most).find(|&step| self.records_after(step));
        Burst {
            steps: step..end.unwrap_or(most),
            schedule: &self.schedule,
            drops: &self.drops,
            check_every: self.check_every,
        }
    }

    /// Whether a run that is so far has come to its end.
    fn is_done(&self, progress: Progress) -> bool {
        let time_is_up = self
            .time
            .is_some_and(|time| progress.seconds >= time.as_secs_f64());
        progress.step >= self.steps || (time_is_up && self.records_after(progress.step))
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Seconds spent in training.
    pub seconds: f64,
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// All steps are done.
    Finished(Progress),
    /// It was asked to stop; the last checkpoint has everything.
    Interrupted(Progress),
}

/// Trains `learner` from `start` to the end of the plan, or of the task if that comes first.
///
/// The run's folder hears every event before the listeners do, and gets a checkpoint at the start,
/// from time to time, when `stop` is set, and at the end, when its curves are drawn. A stop takes
/// effect after the step at hand, or the [burst](Learner::learn_burst), which is kept to about a
/// second; a run that goes on from there leaves what it would have left without it.
///
/// # Errors
///
/// If a loss or a parameter is no longer finite, which leaves the last good checkpoint in place, if
/// a run that goes on meets other [data](Task::data), or if the folder, a listener or an evaluation
/// fails.
///
/// # Panics
///
/// As [`Learner::learn`] does.
pub fn train<L: Learner>(
    learner: &mut L,
    task: &mut impl Task<L>,
    plan: &Plan<L::Schedule>,
    start: Progress,
    folder: &mut RunFolder,
    listeners: &mut [&mut dyn Listener],
    stop: &AtomicBool,
) -> Result<Outcome> {
    folder.set_data(task.data())?;
    if plan.is_done(start) || task.is_done() {
        return Ok(Outcome::Finished(start));
    }
    let mut tell = |folder: &mut RunFolder, event: Event| -> Result<()> {
        folder.hear(&event)?;
        listeners.iter_mut().try_for_each(|l| l.hear(&event))
    };
    let clock = Instant::now();
    let now = |step| Progress {
        step,
        seconds: start.seconds + clock.elapsed().as_secs_f64(),
    };
    let mut step = start.step;
    let mut losses = Losses::new(step, folder.notes());
    let mut saved = Instant::now();
    let mut pace = Pace::default();
    tell(
        folder,
        Event::Started {
            step,
            steps: plan.time.is_none().then_some(plan.steps),
        },
    )?;
    if step == 0 {
        folder.save(learner, &task.notes(), start)?;
    }
    let (is_finished, progress) = loop {
        let at_once = pace.steps(learner.at_least(), learner.at_once());
        let burst = plan.burst(step, at_once);
        let begun = Instant::now();
        let figures = learner.learn_burst(&mut |step| task.batch(step), &burst)?;
        pace.note(burst.steps.len(), begun.elapsed());
        figures.into_iter().for_each(|figures| losses.add(figures));
        step = burst.steps.end;

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
        let scalars = losses.take_means(learner, reached);
        tell(folder, Event::Progress(scalars))?;
        if plan.evaluates_after(step) {
            let figures = task.evaluate(learner)?;
            tell(folder, Event::Evaluated { step, figures })?;
            let activities = learner.timeline().to_vec();
            if !activities.is_empty() {
                tell(folder, Event::Traced { step, activities })?;
            }
        }
        if plan.compares_after(step) {
            let interfaces = task.compare(learner);
            if !interfaces.is_empty() {
                tell(folder, Event::Compared { step, interfaces })?;
            }
        }
        let is_finished = plan.is_done(now(step)) || task.is_done();
        if is_finished || stop.load(Ordering::Relaxed) {
            break (is_finished, reached);
        }
        if saved.elapsed() >= plan.save_every {
            check_parameters(learner, step)?;
            tell(folder, Event::Saved { step })?;
            folder.save(learner, &task.notes(), now(step))?;
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
    tell(folder, event)?;
    let mut notes = task.notes();
    notes.extend(losses.notes());
    folder.save(learner, &notes, progress)?;
    folder.draw_curves()?;
    Ok(outcome)
}

/// How many steps a learner may take at once so that a stop need not wait for long.
#[derive(Default)]
struct Pace {
    /// Of the last burst; none before the first.
    seconds_per_step: Option<f64>,
}

impl Pace {
    /// How long a burst may take.
    const SECONDS: f64 = 1.0;
    /// Steps of a burst when nobody knows yet how long they take.
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
    match network.find_not_finite() {
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
