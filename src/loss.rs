//! Losses at the top of a network, and their gradients at the output.

use burn::tensor::{Tensor, activation, assert_shape};
use serde::{Deserialize, Serialize};

use crate::pass::beside;

/// A loss between an output and a target, both `[batch, features]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `1/2 |output - target|^2` for each example.
    SquaredError,
    /// Cross-entropy of independent bits, summed over the features; the output holds logits.
    BinaryCrossEntropy,
    /// Cross-entropy of a class, `-sum_k t_k log softmax(z)_k`; the output holds logits `z`, the target
    /// `t` is one-hot, or any other weights of the classes.
    CrossEntropy,
}

/// How the losses of the examples of a batch make up the loss that is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reduction {
    /// Their mean: learning rates do not depend on the batch size.
    #[default]
    Mean,
    /// Their sum, as in the notebook.
    Sum,
}

impl Reduction {
    /// The weight of one example's loss in a batch of `batch` examples.
    pub fn weight(self, batch: usize) -> f64 {
        match self {
            Self::Mean => 1.0 / batch as f64,
            Self::Sum => 1.0,
        }
    }

    /// `tensor` times the weight of one example.
    pub(crate) fn apply(self, tensor: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Mean => {
                let weight = self.weight(tensor.dims()[0]);
                tensor.mul_scalar(weight)
            }
            Self::Sum => tensor,
        }
    }
}

impl Loss {
    /// The loss of each example, `[batch]`, where the output lies.
    ///
    /// # Panics
    ///
    /// If the shapes differ.
    pub fn of_each(self, output: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
        assert_same_shape(&output, &target);
        let target = beside(target, &output);
        let [batch, _] = output.dims();
        let terms = match self {
            Self::SquaredError => (output - target).square() * 0.5,
            // -y log s(z) - (1 - y) log(1 - s(z)) = max(z, 0) - z y + log(1 + exp(-|z|))
            Self::BinaryCrossEntropy => {
                activation::relu(output.clone()) - output.clone() * target
                    + output.abs().neg().exp().log1p()
            }
            Self::CrossEntropy => activation::log_softmax(output, 1).neg() * target,
        };
        terms.sum_dim(1).reshape([batch])
    }

    /// The loss of the batch, `[1]`: the mean over its examples, whatever the reduction, so that
    /// figures compare.
    pub fn mean(self, output: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
        self.of_each(output, target).mean()
    }

    /// `delta_N = dL/dh_N`, the true gradient of the reduced loss at the output,
    /// `[batch, features]`, where that lies.
    ///
    /// # Panics
    ///
    /// If the shapes differ.
    pub fn gradient(self, output: Tensor<2>, target: Tensor<2>, reduction: Reduction) -> Tensor<2> {
        assert_same_shape(&output, &target);
        let target = beside(target, &output);
        let predicted = match self {
            Self::SquaredError => output,
            Self::BinaryCrossEntropy => activation::sigmoid(output),
            // d/dz_j = softmax(z)_j sum_k t_k - t_j
            Self::CrossEntropy => activation::softmax(output, 1) * target.clone().sum_dim(1),
        };
        reduction.apply(predicted - target)
    }
}

/// Tensors of different shapes would broadcast in silence.
fn assert_same_shape(output: &Tensor<2>, target: &Tensor<2>) {
    let [batch, features] = output.dims();
    assert_shape!(target, [batch, features]);
}
