//! Sections: the pieces of network between two interfaces (the paper calls them modules).

mod activation;
mod dense;
mod mlp;

pub use activation::Activation;
pub use dense::{Dense, DenseConfig};
pub use mlp::Mlp;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;

use crate::pass::{Input, Pass};

/// A piece of network, `h_i = f_i(h_{i-1})`: any burn module with a forward pass.
///
/// Messages are of rank two. A section that works on images or sequences reshapes inside.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::{LayerNorm, Linear};
/// use burn::tensor::{Tensor, activation::gelu};
///
/// #[derive(Module, Debug)]
/// struct Mine {
///     linear: Linear,
///     norm: LayerNorm,
/// }
///
/// impl dni::Section for Mine {
///     fn forward(&self, input: Tensor<2>) -> Tensor<2> {
///         gelu(self.norm.forward(self.linear.forward(input)))
///     }
/// }
/// ```
pub trait Section: Module + ModuleDisplay + 'static {
    /// `h = f(x)`: `[batch, inputs]` to `[batch, outputs]`.
    fn forward(&self, input: Tensor<2>) -> Tensor<2>;

    /// The forward pass in training, remembered so that a gradient can go back through it.
    ///
    /// By default autodiff does it. Override it only where the local gradient has a closed form
    /// that is cheaper, and test it against the default.
    fn pass(&self, input: Input) -> Pass {
        Pass::on_tape(self, input, Self::forward)
    }
}
