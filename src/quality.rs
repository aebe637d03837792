//! How good a synthetic gradient is, measured against the true one.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::pass::beside;

/// A synthetic gradient compared with the true gradient at the same message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The section whose message it is.
    pub name: String,
    /// `<delta_hat, delta> / (|delta_hat| |delta|)` over the whole batch: 1 if the direction is
    /// right, 0 if it says nothing or if either is zero.
    pub cosine: f64,
    /// `|delta_hat - delta| / |delta|`: 0 if right, 1 for a synthesizer that answers zero.
    pub relative_error: f64,
    /// `|delta|`, the norm of the true gradient of the reduced loss.
    pub norm: f64,
    /// The sum of `|delta_hat - delta|` over all elements, the notebook's "Synthetic Loss".
    pub absolute_error: f64,
}

impl Quality {
    /// Compares `delta_hat` with `delta`, both `[batch, features]`.
    pub fn measure(name: String, delta_hat: Tensor<2>, delta: Tensor<2>) -> Self {
        let delta = beside(delta, &delta_hat);
        let dot = sum(delta_hat.clone() * delta.clone());
        let norm_hat = sum(delta_hat.clone().square()).sqrt();
        let norm = sum(delta.clone().square()).sqrt();
        let difference = delta_hat - delta;
        let error = sum(difference.clone().square()).sqrt();
        Self {
            name,
            cosine: ratio(dot, norm_hat * norm),
            relative_error: ratio(error, norm),
            norm,
            absolute_error: sum(difference.abs()),
        }
    }
}

fn sum(tensor: Tensor<2>) -> f64 {
    f64::from(tensor.sum().into_scalar::<f32>())
}

/// `a / b`, zero where there is nothing to divide by.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}
