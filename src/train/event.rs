//! The events of a run: one enum, many listeners.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Result;
use crate::learner::Activity;
use crate::quality::Quality;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Training begins, or continues, after `step` of `steps` steps.
    Started {
        /// Steps done so far.
        step: usize,
        /// Steps in all; none if time alone ends the run.
        steps: Option<usize>,
    },
    /// A few more steps are done.
    Progress(Scalars),
    /// The network was [evaluated](super::Task::evaluate).
    Evaluated {
        /// Steps done so far.
        step: usize,
        /// The metrics by name.
        // Runs of any age have this name in their logs.
        #[serde(rename = "figures")]
        metrics: BTreeMap<String, f64>,
    },
    /// The synthetic gradients were [compared](super::Task::compare) with the true ones.
    Compared {
        /// Steps done so far.
        step: usize,
        /// How good they are at every interface, from the bottom up.
        interfaces: Vec<Quality>,
    },
    /// What [workers](crate::learner::Learner::timeline) did in a few steps before an evaluation.
    Traced {
        /// Steps done so far.
        step: usize,
        /// What each of them did, and when.
        activities: Vec<Activity>,
    },
    /// A checkpoint of the state after `step` steps is about to be written. The first checkpoint
    /// comes with `Started` instead, the last with `Interrupted` or `Finished`.
    Saved {
        /// Steps done so far.
        step: usize,
    },
    /// Training was asked to stop and can be resumed.
    Interrupted {
        /// Steps done so far.
        step: usize,
    },
    /// All steps are done.
    Finished {
        /// Steps done.
        step: usize,
        /// Seconds spent in training, those before an interruption included.
        seconds: f64,
    },
}

/// The metrics of one moment in training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scalars {
    /// Steps done so far.
    pub step: usize,
    /// Seconds spent in training so far.
    pub seconds: f64,
    /// The mean training loss over the steps since the last such event.
    pub loss: f64,
    /// For every interface from the bottom up, the mean of its loss `1/2 |delta_hat - delta|^2` per
    /// example over those of these steps in which it learned, in the unit of its synthesizer; none
    /// if it never learned.
    pub synthesizer_losses: Vec<Option<f64>>,
    /// The same for its input model, `1/2 |h_hat - h|^2`.
    pub input_losses: Vec<Option<f64>>,
    /// The same for its auxiliary task.
    pub auxiliary_losses: Vec<Option<f64>>,
    /// The factor of all learning rates in the last step, from the plan's
    /// [schedule](super::Plan::rates).
    pub rate_factor: f64,
}

impl Scalars {
    /// The names of the losses of interfaces in the files of a run.
    pub(crate) const LOSSES: [&str; 3] = ["synthesizer_loss", "input_loss", "auxiliary_loss"];

    /// The losses of these names, each for every interface from the bottom up.
    pub(crate) fn losses(&self) -> [&[Option<f64>]; 3] {
        [
            &self.synthesizer_losses,
            &self.input_losses,
            &self.auxiliary_losses,
        ]
    }
}

/// A listener to the events of a run: a progress bar, a log, a dashboard.
pub trait Listener {
    /// Receives an event.
    ///
    /// # Errors
    ///
    /// If it cannot do its part, such as writing a file; the run then ends.
    fn hear(&mut self, event: &Event) -> Result<()>;
}
