//! A recurrent network as a run trains it.

use burn::optim::{StateSink, StateSource};
use burn::tensor::Tensor;

use super::{Recurrent, Window};
use crate::error::Result;
use crate::interface::Contract;
use crate::learner::{Learner, Metric, Network};

/// The name of the interface between two windows.
pub(super) const STATE: &str = "state";

impl Learner for Recurrent {
    type Batch = Window;
    type Schedule = ();

    /// The loss is the mean over all steps and sequences of the window, those included that do not
    /// count.
    fn learn(&mut self, window: Window, (): &(), _step: usize) -> Vec<(Metric, Tensor<1>)> {
        let asked = window.clone();
        let done = self.step(window);
        let mut metrics = vec![
            (
                Metric::Loss,
                self.losses(done.outputs.clone(), &asked).mean(),
            ),
            (Metric::Output(0), Metric::sum_of(done.outputs)),
        ];
        let losses = [
            (Metric::Synthesizer(0), done.residual),
            (Metric::Auxiliary(0), done.auxiliary_residual),
        ];
        let losses = losses.into_iter();
        metrics.extend(losses.filter_map(|(metric, r)| Some((metric, Metric::loss_of(r?)))));
        metrics
    }

    fn set_rate_factor(&mut self, factor: f64) {
        self.core.set_rate_factor(factor);
        self.readout.set_rate_factor(factor);
        if let Some(future) = &mut self.future {
            future.interface.set_rate_factor(factor);
            if let Some(model) = &mut future.auxiliary {
                model.set_rate_factor(factor);
            }
        }
    }
}

impl Network for Recurrent {
    fn interface_names(&self) -> Vec<&str> {
        self.future.iter().map(|_| STATE).collect()
    }

    fn contracts(&self) -> Vec<Contract> {
        self.future.iter().map(|future| future.contract()).collect()
    }

    fn culprit(&self, metric: Metric) -> String {
        match metric {
            Metric::Output(_) => "the output",
            Metric::Synthesizer(_) => "the synthesizer at the end of a window",
            Metric::InputModel(_) => "the input model at the end of a window",
            Metric::Auxiliary(_) => "the auxiliary task",
            Metric::Loss => "the loss",
        }
        .to_string()
    }

    fn find_not_finite(&self) -> Result<Option<String>> {
        if !self.core.is_finite()? {
            return Ok(Some("the core".to_string()));
        }
        if !self.readout.is_finite()? {
            return Ok(Some("the readout".to_string()));
        }
        let Some(future) = &self.future else {
            return Ok(None);
        };
        if !future.interface.is_finite()? {
            return Ok(Some(self.culprit(Metric::Synthesizer(0))));
        }
        let auxiliary = future.auxiliary.as_ref();
        let is_finite = auxiliary.map_or(Ok(true), |auxiliary| auxiliary.is_finite())?;
        Ok((!is_finite).then(|| self.culprit(Metric::Auxiliary(0))))
    }

    /// The state that the next window goes on from is part of it.
    fn save(&self, sink: &mut StateSink) -> Result<()> {
        self.core.save("core", sink)?;
        self.readout.save("readout", sink)?;
        if let Some(future) = &self.future {
            future.interface.save("interface", sink)?;
            if let Some(model) = &future.auxiliary {
                model.save("auxiliary", sink)?;
            }
        }
        if let Some(state) = &self.state {
            sink.push_tensor("network", STATE, state.to_data());
        }
        Ok(())
    }

    fn load(&mut self, source: &mut StateSource) -> Result<()> {
        self.core.load("core", source)?;
        self.readout.load("readout", source)?;
        if let Some(future) = &mut self.future {
            future.interface.load("interface", source)?;
            if let Some(model) = &mut future.auxiliary {
                model.load("auxiliary", source)?;
            }
        }
        let device = self.core.device();
        let state = source.take_tensor("network", STATE);
        self.state = state.map(|state| Tensor::from_data(state, &device));
        Ok(())
    }
}
