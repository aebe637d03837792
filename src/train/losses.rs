//! The metrics of the steps since the last record: on the device until they are read.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::{Notes, Progress, Scalars};
use crate::backend;
use crate::error::{Error, Result};
use crate::learner::{Metric, Metrics, Network, side_by_side};

/// The metrics since the last record, all of which must stay finite.
pub(super) struct Losses {
    /// Steps that have been read.
    read: usize,
    pending: Vec<Pending>,
    /// Over the steps read since the last record.
    means: BTreeMap<Metric, Mean>,
}

/// The metrics of one step, in the order of what they are.
struct Pending {
    what: Vec<Metric>,
    metrics: Tensor<1>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Losses {
    /// What the names of its notes begin with.
    pub const NOTE: &str = "record.";

    /// The metrics from a step on, with [notes](Self::notes) of those before it.
    pub fn new(step: usize, notes: &Notes) -> Self {
        let mut means: BTreeMap<Metric, Mean> = BTreeMap::new();
        for (name, value) in notes {
            let name = name.strip_prefix(Self::NOTE).unwrap_or_default();
            let Some((metric, part)) = name.rsplit_once('.') else {
                continue;
            };
            let mean = Metric::named(metric).map(|metric| means.entry(metric).or_default());
            match (mean, part) {
                (Some(mean), "sum") => mean.sum = *value,
                (Some(mean), "count") => mean.count = *value as usize,
                _ => {}
            }
        }
        Self {
            read: step,
            pending: Vec::new(),
            means,
        }
    }

    /// The metrics read since the last record, for a run that stops between two; none after a record.
    pub fn notes(&self) -> Notes {
        let notes = self.means.iter().flat_map(|(metric, mean)| {
            let name = |part| format!("{}{metric}.{part}", Self::NOTE);
            [(name("sum"), mean.sum), (name("count"), mean.count as f64)]
        });
        notes.collect()
    }

    /// Steps that have not been read.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    pub fn add(&mut self, metrics: Metrics) {
        let (what, metrics) = metrics.into_iter().unzip();
        self.pending.push(Pending {
            what,
            metrics: side_by_side(metrics),
        });
    }

    /// Reads what is pending; the losses of those steps, in their order.
    ///
    /// # Errors
    ///
    /// At the first step with a metric that is not finite, or without a loss, or if the device has
    /// failed.
    pub fn read(&mut self, network: &impl Network) -> Result<Vec<f64>> {
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let pending = std::mem::take(&mut self.pending);
        let (layouts, metrics): (Vec<_>, Vec<_>) =
            pending.into_iter().map(|p| (p.what, p.metrics)).unzip();
        let mut values = backend::read(side_by_side(metrics))?.into_iter();
        let mut losses = Vec::with_capacity(layouts.len());
        for what in layouts {
            self.read += 1;
            let metrics: Vec<(Metric, f32)> = what.into_iter().zip(&mut values).collect();
            let culprits = metrics.iter().filter(|(_, value)| !value.is_finite());
            if let Some((culprit, _)) = culprits.min_by_key(|(metric, _)| *metric) {
                return Err(Error::NotFinite {
                    what: network.culprit(*culprit),
                    step: self.read,
                });
            }
            let loss = metrics.iter().find(|(metric, _)| *metric == Metric::Loss);
            let Some((_, loss)) = loss else {
                return Err(Error::Invalid(format!(
                    "step {} has no loss; the metrics of every step need a Metric::Loss",
                    self.read
                )));
            };
            losses.push(f64::from(*loss));
            for (metric, value) in metrics {
                let mean = self.means.entry(metric).or_default();
                mean.sum += f64::from(value);
                mean.count += 1;
            }
        }
        Ok(losses)
    }

    /// What is recorded of the steps since the last record, the last with these rates.
    pub fn take_means(
        &mut self,
        network: &impl Network,
        progress: Progress,
        rate_factor: f64,
    ) -> Scalars {
        let means = std::mem::take(&mut self.means);
        let mean = |metric: Metric| means.get(&metric).map(|mean| mean.sum / mean.count as f64);
        let of_interfaces = |metric: fn(usize) -> Metric| {
            let interfaces = 0..network.interface_names().len();
            interfaces.map(|i| mean(metric(i))).collect()
        };
        Scalars {
            step: progress.step,
            seconds: progress.seconds,
            loss: mean(Metric::Loss).expect("every step that was read has one"),
            synthesizer_losses: of_interfaces(Metric::Synthesizer),
            input_losses: of_interfaces(Metric::InputModel),
            auxiliary_losses: of_interfaces(Metric::Auxiliary),
            rate_factor,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::{Chain, Loss};

    #[test]
    fn a_step_without_a_loss_is_an_error() {
        let metric = || Tensor::<1>::ones([1], &Device::flex());
        let mut losses = Losses::new(4, &Notes::new());
        losses.add(vec![
            (Metric::Output(0), metric()),
            (Metric::Loss, metric()),
        ]);
        losses.add(vec![(Metric::Output(0), metric())]);
        let error = losses.read(&Chain::new(Loss::SquaredError));
        let error = error.expect_err("the second has none").to_string();
        assert!(error.contains("step 6 has no loss"), "{error}");
    }
}
