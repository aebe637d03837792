//! How good a synthetic gradient is, measured against the true one.

use std::fmt;

use burn::tensor::{Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use crate::pass::beside;

/// A synthetic gradient compared with the true gradient at the same message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The section whose message it is.
    pub name: String,
    /// Whether the two can be compared.
    pub state: GradientState,
    /// `<delta_hat, delta> / (|delta_hat| |delta|)` over the whole batch: 1 if the direction is
    /// right, 0 if `delta_hat` says nothing, as zero does. None where the two cannot be compared.
    pub cosine: Option<f64>,
    /// `|delta_hat - delta| / |delta|`: 0 if right, 1 for a synthesizer that answers zero. None
    /// where the two cannot be compared.
    pub relative_error: Option<f64>,
    /// `|delta|`, the norm of the true gradient of the reduced loss; none if it is not finite.
    pub norm: Option<f64>,
    /// The sum of `|delta_hat - delta|` over all elements, the notebook's "Synthetic Loss"; none if
    /// it is not finite.
    pub absolute_error: Option<f64>,
}

/// Whether a synthetic gradient can be compared with the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientState {
    /// Both are finite, and the true gradient is not zero.
    Alive,
    /// The true gradient is zero, or its square underflows in 32-bit floats: there is no direction
    /// to predict, and nothing below learns from it.
    Dead,
    /// One of the two is NaN or infinite, or its square overflows.
    Broken,
}

impl Quality {
    /// What the files of a run have of it, by name.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let metrics = [
            ("cosine", self.cosine),
            ("relative_error", self.relative_error),
            ("norm", self.norm),
        ];
        let known = |(name, metric): (_, Option<f64>)| Some((name, metric?));
        metrics.into_iter().filter_map(known)
    }

    /// Compares `delta_hat` with `delta`, both `[batch, features]`.
    ///
    /// # Panics
    ///
    /// If the shapes differ.
    pub fn measure(name: String, delta_hat: Tensor<2>, delta: Tensor<2>) -> Self {
        let [batch, features] = delta.dims();
        assert_shape!(delta_hat, [batch, features]);
        let delta = beside(delta, &delta_hat);
        let dot = sum(delta_hat.clone() * delta.clone());
        let norm_hat = sum(delta_hat.clone().square()).sqrt();
        let norm = sum(delta.clone().square()).sqrt();
        let difference = delta_hat - delta;
        let error = sum(difference.clone().square()).sqrt();
        let state = if !(dot.is_finite() && norm_hat.is_finite() && norm.is_finite()) {
            GradientState::Broken
        } else if norm == 0.0 {
            GradientState::Dead
        } else {
            GradientState::Alive
        };
        let if_alive = |figure: f64| (state == GradientState::Alive).then_some(figure);
        let number = |figure: f64| figure.is_finite().then_some(figure);
        Self {
            name,
            state,
            // A synthesizer that answers zero says nothing.
            cosine: if_alive(if norm_hat > 0.0 {
                dot / (norm_hat * norm)
            } else {
                0.0
            }),
            relative_error: if_alive(error / norm),
            norm: number(norm),
            absolute_error: number(sum(difference.abs())),
        }
    }
}

/// What synthetic gradients at an interface were worth over a run, as one number: the mean of their
/// cosines, each weighted by the norm of the true gradient that it was compared with,
///
/// ```text
/// sum_t |delta_t| cos_t  /  sum_t |delta_t|
/// ```
///
/// Once a network has learned its task, the true gradient is small and mostly noise, which no
/// synthesizer predicts: the cosine at the end of a run says little about the run. The norm weights
/// each comparison by how much there was to learn.
///
/// ```
/// use dni::quality::WeightedCosine;
///
/// let mut worth = WeightedCosine::default();
/// worth.add(Some(0.9), Some(1.0));
/// worth.add(Some(0.1), Some(0.001));
/// assert!(worth.mean() > Some(0.89));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WeightedCosine {
    weighted: f64,
    norms: f64,
}

impl WeightedCosine {
    /// Adds a comparison by its [cosine](Quality::cosine) and the [norm](Quality::norm) of the true
    /// gradient. A comparison that lacks one of them is ignored.
    pub fn add(&mut self, cosine: Option<f64>, norm: Option<f64>) {
        if let Some((cosine, norm)) = cosine.zip(norm) {
            self.weighted += norm * cosine;
            self.norms += norm;
        }
    }

    /// Adds all comparisons of another run.
    pub fn merge(&mut self, other: Self) {
        self.weighted += other.weighted;
        self.norms += other.norms;
    }

    /// The mean, from -1 to 1; none if nothing could be compared.
    pub fn mean(&self) -> Option<f64> {
        (self.norms > 0.0).then(|| self.weighted / self.norms)
    }
}

impl fmt::Display for GradientState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Broken => "broken",
        })
    }
}

fn sum(tensor: Tensor<2>) -> f64 {
    f64::from(tensor.sum().into_scalar::<f32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "delta_hat")]
    fn gradients_of_other_shapes_are_no_comparison() {
        let device = burn::tensor::Device::flex();
        let one = Tensor::<2>::ones([1, 3], &device);
        Quality::measure("it".to_string(), Tensor::ones([4, 3], &device), one);
    }

    #[test]
    fn a_cosine_counts_as_much_as_its_gradient_is_long() {
        let mut worth = WeightedCosine::default();
        assert_eq!(worth.mean(), None);
        worth.add(None, Some(5.0));
        worth.add(Some(-1.0), None);
        assert_eq!(worth.mean(), None, "nothing could be compared");
        worth.add(Some(1.0), Some(3.0));
        worth.add(Some(-1.0), Some(1.0));
        assert_eq!(worth.mean(), Some(0.5));
    }

    #[test]
    fn runs_count_together_as_one() {
        let [mut first, mut second] = [WeightedCosine::default(); 2];
        first.add(Some(1.0), Some(1.0));
        second.add(Some(0.0), Some(3.0));
        first.merge(second);
        assert_eq!(first.mean(), Some(0.25));
    }
}
