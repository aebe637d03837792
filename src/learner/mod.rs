//! What a training loop needs to know about the network that it trains, whatever its kind.

mod timeline;

pub use timeline::{Activity, Doing};

use std::fmt;
use std::ops::Range;

use burn::optim::{StateSink, StateSource};
use burn::tensor::Tensor;

use crate::error::Result;
#[cfg(feature = "wgpu")]
use crate::gpu::{self, Buffer, sum};
use crate::interface::Contract;
use crate::place::carry;
use crate::schedule::LrSchedule;

/// A network as a run records and saves it: names for its logs, and its state for a checkpoint.
pub trait Network {
    /// The name of every interface, in the order of their [contracts](Self::contracts).
    fn interface_names(&self) -> Vec<&str>;

    /// The terms of all interfaces, which a checkpoint keeps.
    fn contracts(&self) -> Vec<Contract>;

    /// The part that a metric belongs to, for the error that the metric is not finite.
    fn culprit(&self, metric: Metric) -> String;

    /// The first part with a parameter that is NaN or infinite.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    fn find_not_finite(&self) -> Result<Option<String>>;

    /// Writes parameters, optimizer states and whatever else the next step depends on.
    ///
    /// # Errors
    ///
    /// If a parameter cannot be written.
    fn save(&self, sink: &mut StateSink) -> Result<()>;

    /// Reads back what [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// If a parameter is missing or has another shape.
    fn load(&mut self, source: &mut StateSource) -> Result<()>;
}

/// A network that a run can train.
pub trait Learner: Network {
    /// What it learns from in one step.
    type Batch;

    /// What its steps depend on besides their batches.
    type Schedule;

    /// Takes one step, counted from 0, and returns its metrics.
    fn learn(&mut self, batch: Self::Batch, schedule: &Self::Schedule, step: usize) -> Metrics;

    /// The most steps that it takes before it can be inspected. Default: one.
    fn at_once(&self) -> usize {
        1
    }

    /// The fewest steps that it should take before it is inspected, because a stop costs it time.
    /// Default: one.
    fn at_least(&self) -> usize {
        1
    }

    /// Takes several steps and returns the metrics of each. `batches` makes the batch of a step.
    /// Default: one step after another.
    ///
    /// # Errors
    ///
    /// If it cannot take all of them; the network may then be between two steps.
    fn learn_chunk(
        &mut self,
        batches: &mut dyn FnMut(usize) -> Self::Batch,
        chunk: &Chunk<Self::Schedule>,
    ) -> Result<Vec<Metrics>> {
        let learn = |step| {
            let batch = batches(step);
            self.set_rate_factor(chunk.rates.factor(step));
            self.learn(batch, chunk.schedule, step)
        };
        Ok(chunk.steps.clone().map(learn).collect())
    }

    /// What its workers, if any, did in a few of the last steps, for [`Event::Traced`]: at most a
    /// few hundred entries. Default: nothing.
    ///
    /// [`Event::Traced`]: crate::train::Event::Traced
    fn timeline(&self) -> &[Activity] {
        &[]
    }

    /// Multiplies all learning rates by `factor`, which replaces the factor set before.
    fn set_rate_factor(&mut self, factor: f64);
}

/// Steps that a learner takes before it is inspected.
#[derive(Debug, Clone)]
pub struct Chunk<'a, S> {
    /// The steps, counted from 0.
    pub steps: Range<usize>,
    /// What they depend on besides their batches.
    pub schedule: &'a S,
    /// The factors of learning rates.
    pub rates: &'a LrSchedule,
    /// Steps between two checks of metrics for NaN and infinity.
    pub check_every: usize,
}

/// The metrics of a step, `[1]` each; they stay on the device until they are read.
pub type Metrics = Vec<(Metric, Tensor<1>)>;

/// What a metric of a step measures. All must stay finite. If several are not, the first in this
/// order is the likely cause: the lowest section whose output is not finite spoils all above it,
/// and a synthesizer, an input model or an auxiliary model spoils the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// The sum of a section's output.
    Output(usize),
    /// The loss of the synthesizer of an interface, `1/2 |delta_hat - delta|^2` per example.
    Synthesizer(usize),
    /// The loss of the input model of an interface, `1/2 |h_hat - h|^2` per example.
    InputModel(usize),
    /// The loss of the auxiliary task of an interface.
    Auxiliary(usize),
    /// The loss.
    Loss,
}

/// Its name in a checkpoint, which `Metric::named` reads.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(i) => write!(f, "output.{i}"),
            Self::Synthesizer(i) => write!(f, "synthesizer.{i}"),
            Self::InputModel(i) => write!(f, "input.{i}"),
            Self::Auxiliary(i) => write!(f, "auxiliary.{i}"),
            Self::Loss => f.write_str("loss"),
        }
    }
}

impl Metric {
    /// The metric of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if name == "loss" {
            return Some(Self::Loss);
        }
        let (kind, i) = name.split_once('.')?;
        let metric = match kind {
            "output" => Self::Output,
            "synthesizer" => Self::Synthesizer,
            "input" => Self::InputModel,
            "auxiliary" => Self::Auxiliary,
            _ => return None,
        };
        i.parse().ok().map(metric)
    }

    /// The mean of `1/2 |residual|^2` over a batch `[batch, features]`.
    pub(crate) fn loss_of(residual: Tensor<2>) -> Tensor<1> {
        let [batch, _] = residual.dims();
        #[cfg(feature = "wgpu")]
        if let Some(residual) = summed_at_once(&residual) {
            return sum::weighed_squares(&residual, 0.5 / batch as f32).into_tensor();
        }
        residual.square().sum().mul_scalar(0.5 / batch as f64)
    }

    /// The sum of all values.
    pub(crate) fn sum_of<const D: usize>(values: Tensor<D>) -> Tensor<1> {
        #[cfg(feature = "wgpu")]
        if let Some(values) = summed_at_once(&values) {
            return sum::sum(&values).into_tensor();
        }
        values.sum()
    }
}

/// The values on an adapter, if one kernel is to sum them.
#[cfg(feature = "wgpu")]
fn summed_at_once<const D: usize>(values: &Tensor<D>) -> Option<Buffer> {
    let values = gpu::suits(values).then(|| Buffer::of(values.clone()));
    values.filter(sum::is_small)
}

/// Metrics in one tensor, where the first of them lies.
///
/// # Panics
///
/// If there are none.
pub(crate) fn side_by_side(metrics: Vec<Tensor<1>>) -> Tensor<1> {
    let device = metrics[0].device();
    let metrics = metrics.into_iter().map(|metric| carry(metric, &device));
    let metrics: Vec<_> = metrics.collect();
    #[cfg(feature = "wgpu")]
    if metrics.iter().all(gpu::suits) {
        let metrics: Vec<_> = metrics.into_iter().map(Buffer::of).collect();
        return sum::end_to_end(&metrics).into_tensor();
    }
    Tensor::cat(metrics, 0)
}
