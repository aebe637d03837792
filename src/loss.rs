//! Losses at the top of a network, and their gradients at the output.

use std::any::Any;
use std::sync::Arc;

use burn::tensor::{Bool, IndexingUpdateOp, Int, Tensor, activation, assert_shape};
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Data, bounded};
#[cfg(feature = "wgpu")]
use crate::gpu::{self, Buffer, loss};
#[cfg(feature = "wgpu")]
use crate::host::in_f32;
use crate::message::{cut, receive};
use crate::place::carry;

/// A loss function: it compares each row of an output with the row's target.
///
/// An output has one row for each example, or several, such as one for each token of a text.
/// [`Loss`] has the usual losses. One of your own:
///
/// ```
/// use burn::tensor::Tensor;
/// use dni::{Chain, Data, LossFunction};
///
/// /// `sum_k |output_k - target_k|`
/// struct AbsoluteError;
///
/// impl LossFunction for AbsoluteError {
///     fn of_each(&self, output: Tensor<2>, target: Data) -> Tensor<1> {
///         let Data::Numbers(target) = target else { panic!("it takes numbers") };
///         (output - target).abs().sum_dim(1).squeeze_dim(1)
///     }
/// }
///
/// let chain = Chain::new(AbsoluteError);
/// ```
pub trait LossFunction: Any + Send + Sync {
    /// The loss of each row, `[rows]`, of an output, `[rows, features]`. The target lies on the
    /// output's device.
    fn of_each(&self, output: Tensor<2>, target: Data) -> Tensor<1>;

    /// The gradient of each row's own loss at the output, `[rows, features]`, on the output's
    /// device.
    ///
    /// By default autodiff computes it. Override it only where a closed form is cheaper, and test
    /// it against the default.
    ///
    /// # Panics
    ///
    /// If the loss does not depend on the output.
    fn gradient_of_each(&self, output: Tensor<2>, target: Data) -> Tensor<2> {
        let output = cut(output);
        let losses = self.of_each(output.clone(), target.on_tape());
        let mut gradients = losses.sum().backward();
        receive(&output, &mut gradients).expect("a loss depends on the output")
    }

    /// [`gradient_of_each`](Self::gradient_of_each) times `weight`. Override it only where it costs
    /// less than that product.
    fn weighted_gradient(&self, output: Tensor<2>, target: Data, weight: f64) -> Tensor<2> {
        times(self.gradient_of_each(output, target), weight)
    }
}

fn times(gradient: Tensor<2>, weight: f64) -> Tensor<2> {
    match weight {
        1.0 => gradient,
        _ => gradient.mul_scalar(weight),
    }
}

/// The usual losses between an output and a target, both `[rows, features]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `1/2 |output - target|^2` for each row.
    SquaredError,
    /// Cross-entropy of independent bits, summed over the features; the output holds logits.
    BinaryCrossEntropy,
    /// Cross-entropy of a class, `-sum_k t_k log softmax(z)_k`; the output holds logits `z`. The
    /// target `t` is one-hot, or other weights of the classes, or one class number for each row.
    CrossEntropy,
}

/// How the losses of a batch's rows are combined into the loss that is minimised.
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
    /// The weight of one row's loss in a batch of `batch` rows.
    pub fn weight(self, batch: usize) -> f64 {
        match self {
            Self::Mean => 1.0 / batch as f64,
            Self::Sum => 1.0,
        }
    }

    /// `tensor` times the weight of one row.
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

impl LossFunction for Loss {
    /// # Panics
    ///
    /// If the shape of the target is not that of the output, or the target has classes where the
    /// loss compares numbers, or a class that the output does not have (in host memory; elsewhere the
    /// loss of its row is not finite).
    fn of_each(&self, output: Tensor<2>, target: Data) -> Tensor<1> {
        let [rows, _] = output.dims();
        let target = match target {
            Data::Numbers(target) => target,
            Data::Integers(classes) => {
                let classes = self.column(classes, rows);
                #[cfg(feature = "wgpu")]
                if gpu::suits(&output) {
                    let [output, classes] = [output, in_f32(classes.float())].map(Buffer::of);
                    return loss::of_each(loss::Kind::Class, &output, &classes, rows).into_tensor();
                }
                let (classes, unknown) = known(classes, &output);
                let log_probabilities = activation::log_softmax(output, 1);
                let losses = log_probabilities.gather(1, classes).neg();
                // The next look at the loss finds it.
                let losses = match unknown {
                    Some(unknown) => losses.mask_fill(unknown, f32::NAN),
                    None => losses,
                };
                return losses.reshape([rows]);
            }
        };
        assert_same_shape(&output, &target);
        #[cfg(feature = "wgpu")]
        if gpu::suits(&output) && gpu::suits(&target) {
            let [output, target] = [output, target].map(Buffer::of);
            return loss::of_each(self.kind(), &output, &target, rows).into_tensor();
        }
        let terms = match self {
            Self::SquaredError => (output - target).square() * 0.5,
            // -y log s(z) - (1 - y) log(1 - s(z)) = max(z, 0) - z y + log(1 + exp(-|z|))
            Self::BinaryCrossEntropy => {
                activation::relu(output.clone()) - output.clone() * target
                    + output.abs().neg().exp().log1p()
            }
            Self::CrossEntropy => activation::log_softmax(output, 1).neg() * target,
        };
        terms.sum_dim(1).reshape([rows])
    }

    /// # Panics
    ///
    /// As [`of_each`](Self::of_each) does.
    fn gradient_of_each(&self, output: Tensor<2>, target: Data) -> Tensor<2> {
        #[cfg(feature = "wgpu")]
        if let Some(gradient) = self.gpu_gradient(&output, &target, 1.0) {
            return gradient;
        }
        let target = match target {
            Data::Numbers(target) => target,
            // d/dz_j = softmax(z)_j - [j is the class]
            Data::Integers(classes) => {
                let classes = self.column(classes, output.dims()[0]);
                let (classes, _) = known(classes, &output);
                let ones = Tensor::ones(classes.dims(), &output.device());
                let probabilities = activation::softmax(output, 1);
                return probabilities.scatter(1, classes, -ones, IndexingUpdateOp::Add);
            }
        };
        assert_same_shape(&output, &target);
        let predicted = match self {
            Self::SquaredError => output,
            Self::BinaryCrossEntropy => activation::sigmoid(output),
            // d/dz_j = softmax(z)_j sum_k t_k - t_j
            Self::CrossEntropy => activation::softmax(output, 1) * target.clone().sum_dim(1),
        };
        predicted - target
    }

    /// On an adapter the kernel weighs as well.
    #[cfg(feature = "wgpu")]
    fn weighted_gradient(&self, output: Tensor<2>, target: Data, weight: f64) -> Tensor<2> {
        let gradient = self.gpu_gradient(&output, &target, weight);
        gradient.unwrap_or_else(|| times(self.gradient_of_each(output, target), weight))
    }
}

impl Loss {
    /// The class of every row of an output, `[rows, 1]`.
    fn column(self, classes: Tensor<2, Int>, rows: usize) -> Tensor<2, Int> {
        assert!(
            self == Self::CrossEntropy,
            "{self:?} compares numbers, but the target has classes; give it a target of the \
             output's shape, or choose Loss::CrossEntropy"
        );
        Data::column(classes, rows)
    }

    /// `weight` times the gradient of each row's own loss, on an adapter; none elsewhere.
    #[cfg(feature = "wgpu")]
    fn gpu_gradient(self, output: &Tensor<2>, target: &Data, weight: f64) -> Option<Tensor<2>> {
        if !gpu::suits(output) {
            return None;
        }
        let (kind, target) = match target.clone() {
            Data::Numbers(target) if gpu::suits(&target) => {
                assert_same_shape(output, &target);
                (self.kind(), target)
            }
            Data::Numbers(_) => return None,
            Data::Integers(classes) => {
                let classes = self.column(classes, output.dims()[0]);
                (loss::Kind::Class, in_f32(classes.float()))
            }
        };
        let [rows, _] = output.dims();
        let [output, target] = [output.clone(), target].map(Buffer::of);
        let gradient = loss::gradient_of_each(kind, &output, &target, rows, weight as f32);
        Some(gradient.into_tensor())
    }

    #[cfg(feature = "wgpu")]
    fn kind(self) -> loss::Kind {
        match self {
            Self::SquaredError => loss::Kind::SquaredError,
            Self::BinaryCrossEntropy => loss::Kind::BinaryCrossEntropy,
            Self::CrossEntropy => loss::Kind::CrossEntropy,
        }
    }
}

/// Classes that the output has, [bounded] by them.
fn known(classes: Tensor<2, Int>, output: &Tensor<2>) -> (Tensor<2, Int>, Option<Tensor<2, Bool>>) {
    let [_, features] = output.dims();
    bounded(classes, features, |class| {
        format!(
            "the class {class} is not among the {features} of the output, which are counted from 0"
        )
    })
}

/// Tensors of different shapes would broadcast in silence.
fn assert_same_shape(output: &Tensor<2>, target: &Tensor<2>) {
    let [rows, features] = output.dims();
    assert_shape!(target, [rows, features]);
}

/// What a chain minimises: a loss and how it is reduced.
#[derive(Clone)]
pub(crate) struct Objective {
    pub loss: Arc<dyn LossFunction>,
    pub reduction: Reduction,
}

impl Objective {
    /// `delta_N = dL/dh_N`, the true gradient of the reduced loss at the output, `[rows, features]`,
    /// where that lies.
    pub fn gradient(&self, output: Tensor<2>, batch: &Batch) -> Tensor<2> {
        let target = batch.target.clone().on(&output.device());
        let weight = self.reduction.weight(output.dims()[0]);
        let gradient = self.loss.weighted_gradient(output, target, weight);
        match &batch.weights {
            Some(weights) => gradient.clone() * weights_of(weights, &gradient).unsqueeze_dim(1),
            None => gradient,
        }
    }

    /// The loss of the batch, `[1]`: the mean over its rows, whatever the reduction, so that
    /// figures compare.
    pub fn mean(&self, output: Tensor<2>, batch: &Batch) -> Tensor<1> {
        let target = batch.target.clone().on(&output.device());
        let losses = self.loss.of_each(output, target);
        let losses = match &batch.weights {
            Some(weights) => losses.clone() * weights_of(weights, &losses),
            None => losses,
        };
        losses.mean()
    }

    /// The loss, if it is one of the usual.
    pub fn usual(&self) -> Option<Loss> {
        let loss: &dyn Any = &*self.loss;
        loss.downcast_ref().copied()
    }
}

/// The weight of each row of what is weighed, where that lies.
///
/// # Panics
///
/// If there are not as many of them.
fn weights_of<const D: usize>(weights: &Tensor<2>, weighed: &Tensor<D>) -> Tensor<1> {
    let [batch, items] = weights.dims();
    let rows = weighed.dims()[0];
    assert!(
        batch * items == rows,
        "an output of {rows} rows needs as many weights, not {batch} times {items}"
    );
    carry(weights.clone().reshape([rows]), &weighed.device())
}
