//! Synthesizers: the models `M` that predict gradients, `delta_hat = M(h, c)`.

mod conv;
mod label;
mod least_squares;
mod linear;
mod low_rank;
mod mlp;

pub use conv::{ConvSynthesizer, ConvSynthesizerConfig};
pub use label::{LabelSynthesizer, LabelSynthesizerConfig};
pub use least_squares::{LeastSquaresSynthesizer, LeastSquaresSynthesizerConfig};
pub use linear::{LinearSynthesizer, LinearSynthesizerConfig};
pub use low_rank::{LowRankSynthesizer, LowRankSynthesizerConfig};
pub use mlp::{MlpSynthesizer, MlpSynthesizerConfig};

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Tensor, assert_shape};

use crate::pass::{Input, Pass};

/// A model that predicts the gradient of the loss at a message, the *synthetic gradient*
/// `delta_hat = M(h, c)`: any burn module.
///
/// The context `c` is privileged information, given to synthesizers only: with the label as
/// context the paper speaks of conditional DNI, cDNI. Start the last layer at zero, so that the
/// first synthetic gradients are zero and not noise.
pub trait Synthesizer: Module + ModuleDisplay + 'static {
    /// `delta_hat = M(h, c)`: message `[batch, features]` and context `[batch, contexts]` to
    /// `[batch, features]`.
    fn forward(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2>;

    /// Features of the message.
    fn features(&self) -> usize;

    /// Features of the context, zero if the synthesizer takes none.
    fn contexts(&self) -> usize;

    /// Whether its gradients are already steps, which an optimizer may multiply by the learning
    /// rate but must not rescale. Default: no.
    fn takes_own_steps(&self) -> bool {
        false
    }

    /// The prediction, with the backward pass from which the synthesizer learns.
    ///
    /// By default autodiff does it; override it only where a closed form is cheaper.
    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        Pass::on_tape(self, Input::Data(message), |synthesizer, message| {
            synthesizer.forward(message, context)
        })
    }
}

/// `[h; c]`: message and context side by side, `[batch, features + contexts]`.
///
/// # Panics
///
/// If there is a context where the synthesizer takes none (`contexts` is zero), or none where it
/// takes one, or one of another width.
fn conditioned(message: Tensor<2>, context: Option<Tensor<2>>, contexts: usize) -> Tensor<2> {
    match checked(context, contexts) {
        Some(context) => Tensor::cat(vec![message, context], 1),
        None => message,
    }
}

/// The context, `[batch, contexts]`.
///
/// # Panics
///
/// As [`conditioned`].
fn checked(context: Option<Tensor<2>>, contexts: usize) -> Option<Tensor<2>> {
    match &context {
        Some(context) => assert_shape!(context, [_, contexts]),
        None => assert!(
            contexts == 0,
            "this synthesizer was built for a context of {contexts} features and got none"
        ),
    }
    context
}
