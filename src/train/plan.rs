//! How long a run trains, and what happens on the way.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::learner::Chunk;
use crate::schedule::LrSchedule;

/// How long and how a run trains.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<S> {
    /// Steps in all.
    pub steps: usize,
    /// The time limit: the run ends at the next record after it. None for no limit.
    pub time: Option<Duration>,
    /// What steps depend on besides their batches.
    pub schedule: S,
    /// The factors of learning rates.
    pub rates: LrSchedule,
    /// Steps between two [`Event::Progress`](super::Event::Progress).
    pub record_every: usize,
    /// Steps between two [evaluations](super::Task::evaluate); there is also one after the last
    /// step. None for no evaluation.
    pub evaluate_every: Option<usize>,
    /// Steps between two [comparisons](super::Task::compare) of synthetic with true gradients;
    /// there is also one after the last step. None for no comparison.
    pub compare_every: Option<usize>,
    /// Steps between two checks of the losses for NaN and infinity. Each check waits for the
    /// device, so checking every step suits a CPU only.
    pub check_every: usize,
    /// The least time between two checkpoints.
    pub save_every: Duration,
}

impl<S> Plan<S> {
    /// A plan with constant rates and no evaluations or comparisons. Losses are checked every step
    /// and recorded every hundredth, and checkpoints are at least a minute apart.
    pub fn new(steps: usize, schedule: impl Into<S>) -> Self {
        Self {
            steps,
            time: None,
            schedule: schedule.into(),
            rates: LrSchedule::default(),
            record_every: 100,
            evaluate_every: None,
            compare_every: None,
            check_every: 1,
            save_every: Duration::from_secs(60),
        }
    }

    /// Refuses a plan that asks for something every zero steps.
    ///
    /// # Errors
    ///
    /// With what it is.
    pub(super) fn check(&self) -> Result<()> {
        let every = [
            ("record_every", Some(self.record_every)),
            ("evaluate_every", self.evaluate_every),
            ("compare_every", self.compare_every),
            ("check_every", Some(self.check_every)),
        ];
        match every.iter().find(|(_, steps)| *steps == Some(0)) {
            Some((name, _)) => Err(Error::Invalid(format!(
                "{name} of a plan is a number of steps from 1 on, got 0"
            ))),
            None => Ok(()),
        }
    }

    /// Whether the network is to be evaluated after so many steps.
    pub(super) fn evaluates_after(&self, steps: usize) -> bool {
        self.is_due(self.evaluate_every, steps)
    }

    /// Whether its synthetic gradients are to be compared after so many steps.
    pub(super) fn compares_after(&self, steps: usize) -> bool {
        self.is_due(self.compare_every, steps)
    }

    /// Whether something that happens every so often, and at the end, does after so many steps.
    fn is_due(&self, every: Option<usize>, steps: usize) -> bool {
        every.is_some_and(|every| steps.is_multiple_of(every) || steps == self.steps)
    }

    /// Whether figures are to be recorded after so many steps.
    pub(super) fn records_after(&self, steps: usize) -> bool {
        steps.is_multiple_of(self.record_every)
            || steps == self.steps
            || self.evaluates_after(steps)
            || self.compares_after(steps)
    }

    /// The next steps: up to `at_once` of them, and none beyond the next record.
    pub(super) fn chunk(&self, step: usize, at_once: usize) -> Chunk<'_, S> {
        let most = step.saturating_add(at_once);
        let end = (step + 1..most).find(|&step| self.records_after(step));
        Chunk {
            steps: step..end.unwrap_or(most),
            schedule: &self.schedule,
            rates: &self.rates,
            check_every: self.check_every,
        }
    }

    /// Whether a run that is so far has come to its end.
    pub(super) fn is_done(&self, progress: Progress) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zero_steps_is_refused() {
        let plan = Plan::<()>::new(10, ());
        assert!(plan.check().is_ok());
        let mut spoilt = [(); 4].map(|()| plan.clone());
        spoilt[0].record_every = 0;
        spoilt[1].evaluate_every = Some(0);
        spoilt[2].compare_every = Some(0);
        spoilt[3].check_every = 0;
        let names = [
            "record_every",
            "evaluate_every",
            "compare_every",
            "check_every",
        ];
        for (plan, name) in spoilt.iter().zip(names) {
            let error = plan.check().expect_err("it is refused").to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
