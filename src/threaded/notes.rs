//! The metrics that a worker takes down.

use burn::tensor::{Device, Tensor};

use super::member::Halt;
use crate::backend;
use crate::learner::{Metric, side_by_side};
use crate::place::{is_remote, lost};

/// A metric of a step.
pub(super) struct Note {
    pub step: usize,
    pub metric: Metric,
    /// `[1]`
    pub value: Tensor<1>,
}

/// Metrics, which stay on the device until they are looked at.
#[derive(Default)]
pub(super) struct Notes {
    taken: Vec<Note>,
    /// How many have been looked at.
    checked: usize,
}

impl Notes {
    pub fn take(&mut self, step: usize, metric: Metric, value: Tensor<1>) {
        self.taken.push(Note {
            step,
            metric,
            value,
        });
    }

    /// Looks at those that nobody has looked at.
    ///
    /// # Errors
    ///
    /// If one is not finite, or the device has failed.
    pub fn check(&mut self) -> Result<(), Halt> {
        let checked = std::mem::replace(&mut self.checked, self.taken.len());
        let new = &mut self.taken[checked..];
        if new.is_empty() {
            return Ok(());
        }
        let values = new.iter().map(|note| note.value.clone()).collect();
        let values = backend::read(side_by_side(values)).map_err(|error| {
            // What fails on a server is the server.
            let lost = new.iter().find_map(|note| lost(&note.value.device()));
            Halt::Failed {
                step: new[new.len() - 1].step,
                message: lost.unwrap_or(error).to_string(),
            }
        })?;
        for (note, value) in new.iter_mut().zip(&values) {
            if is_remote(&note.value.device()) {
                // It is here now, and stays if the server does not.
                note.value = Tensor::from_floats([*value], &Device::flex());
            }
        }
        let culprits = new.iter().zip(values).filter(|(_, v)| !v.is_finite());
        let culprits = culprits.map(|(note, _)| (note.step, note.metric));
        match culprits.min() {
            Some((step, metric)) => Err(Halt::NotFinite { step, metric }),
            None => Ok(()),
        }
    }

    pub fn into_vec(self) -> Vec<Note> {
        self.taken
    }
}
