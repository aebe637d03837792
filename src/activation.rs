//! Elementwise activations and their derivatives, written in terms of the output.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// An elementwise function `h = a(z)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// `h = z`
    Identity,
    /// `h = max(z, 0)`
    #[default]
    Relu,
    /// `h = tanh(z)`
    Tanh,
    /// `h = 1 / (1 + exp(-z))`
    Sigmoid,
}

impl Activation {
    /// `h = a(z)`, of any shape.
    pub fn forward<const D: usize>(self, z: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => z,
            Self::Relu => activation::relu(z),
            Self::Tanh => z.tanh(),
            Self::Sigmoid => activation::sigmoid(z),
        }
    }

    /// `dL/dz = delta * a'(z)`, from the output `h = a(z)` and `delta = dL/dh`, all
    /// `[batch, features]`.
    ///
    /// All four derivatives are functions of the output, so `z` need not be kept.
    pub fn backward(self, h: Tensor<2>, delta: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Identity => delta,
            Self::Relu => delta.mask_fill(h.lower_equal_elem(0.0), 0.0),
            Self::Tanh => delta.clone() - delta * h.clone() * h,
            Self::Sigmoid => delta * (h.clone() - h.clone() * h),
        }
    }
}
