//! Two networks of different clocks as a run trains them.

use burn::optim::{StateSink, StateSource};
use burn::tensor::Tensor;

use super::{Clocks, Feedback, Span};
use crate::error::Result;
use crate::interface::Contract;
use crate::learner::{Learner, Metric, Network};

/// The name of the interface between the two networks.
pub(super) const MESSAGE: &str = "message";

impl Learner for Clocks {
    type Batch = Span;
    type Schedule = ();

    /// The loss is the mean of the fast network's over its answers plus that of the slow one.
    fn learn(&mut self, span: Span, (): &(), _step: usize) -> Vec<(Metric, Tensor<1>)> {
        let fast_targets = span.fast_targets.clone().off_tape().into_rows();
        let slow_targets = span.slow_targets.clone().off_tape();
        let done = self.step(span);
        let mean = |output, target| self.loss.of_each(output, target).mean();
        let fast_loss = mean(in_rows(done.fast_outputs.clone()), fast_targets);
        let slow_loss = mean(done.slow_outputs.clone(), slow_targets);
        let mut metrics = vec![
            (Metric::Loss, fast_loss + slow_loss),
            (Metric::Output(FAST), Metric::sum_of(done.fast_outputs)),
            (Metric::Output(SLOW), Metric::sum_of(done.slow_outputs)),
        ];
        if !done.residuals.is_empty() {
            let residuals = Tensor::cat(done.residuals, 0);
            metrics.push((Metric::Synthesizer(0), Metric::loss_of(residuals)));
        }
        metrics
    }

    fn set_rate_factor(&mut self, factor: f64) {
        self.fast.set_rate_factor(factor);
        self.slow.set_rate_factor(factor);
        if let Feedback::Synthetic { interface, .. } = &mut self.feedback {
            interface.set_rate_factor(factor);
        }
    }
}

/// The networks, as metrics count them.
const FAST: usize = 0;
const SLOW: usize = 1;

/// `[rows, batch, features]` as `[rows * batch, features]`.
fn in_rows(tensor: Tensor<3>) -> Tensor<2> {
    let [rows, batch, features] = tensor.dims();
    tensor.reshape([rows * batch, features])
}

impl Network for Clocks {
    fn interface_names(&self) -> Vec<&str> {
        match self.feedback {
            Feedback::Synthetic { .. } => vec![MESSAGE],
            Feedback::None | Feedback::Coupled => Vec::new(),
        }
    }

    fn contracts(&self) -> Vec<Contract> {
        match &self.feedback {
            Feedback::Synthetic { interface, .. } => vec![interface.contract()],
            Feedback::None | Feedback::Coupled => Vec::new(),
        }
    }

    fn culprit(&self, metric: Metric) -> String {
        match metric {
            Metric::Output(FAST) => "the fast network",
            Metric::Output(_) => "the slow network",
            Metric::Synthesizer(_) => "the synthesizer between the networks",
            Metric::InputModel(_) => "the input model between the networks",
            Metric::Auxiliary(_) => "the auxiliary task",
            Metric::Loss => "the loss",
        }
        .to_string()
    }

    fn find_not_finite(&self) -> Result<Option<String>> {
        let interface_is_finite = match &self.feedback {
            Feedback::Synthetic { interface, .. } => interface.is_finite()?,
            Feedback::None | Feedback::Coupled => true,
        };
        let parts = [
            (self.fast.is_finite()?, Metric::Output(FAST)),
            (self.slow.is_finite()?, Metric::Output(SLOW)),
            (interface_is_finite, Metric::Synthesizer(0)),
        ];
        let spoilt = parts.into_iter().find(|(is_finite, _)| !is_finite);
        Ok(spoilt.map(|(_, metric)| self.culprit(metric)))
    }

    /// The states that the next span goes on from are part of it.
    fn save(&self, sink: &mut StateSink) -> Result<()> {
        self.fast.save(sink)?;
        self.slow.save(sink)?;
        match &self.feedback {
            Feedback::Synthetic { interface, .. } => interface.save("interface", sink),
            Feedback::None | Feedback::Coupled => Ok(()),
        }
    }

    fn load(&mut self, source: &mut StateSource) -> Result<()> {
        self.fast.load(source)?;
        self.slow.load(source)?;
        match &mut self.feedback {
            Feedback::Synthetic { interface, .. } => interface.load("interface", source),
            Feedback::None | Feedback::Coupled => Ok(()),
        }
    }
}
