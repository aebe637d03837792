//! Sections: the pieces of network between two interfaces (the paper calls them modules).

mod conv;
mod dense;
mod finish;
mod mlp;

pub use crate::activation::Activation;
pub use crate::image::{Pool, PoolKind};
pub use conv::{Conv, ConvConfig};
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

    /// `h` in use: of an input without a tape, by a module that is [`valid`](Module::valid), so that
    /// batch norm takes its running statistics.
    ///
    /// By default this is [`forward`](Self::forward). Override it only where there is a cheaper way,
    /// and test it against the default.
    fn predict(&self, input: Tensor<2>) -> Tensor<2> {
        self.forward(input)
    }
}

/// One section above the other, with nothing to decouple them.
pub(crate) fn forward_through<S: Section>(sections: &[S], input: Tensor<2>) -> Tensor<2> {
    let sections = sections.iter();
    sections.fold(input, |input, section| section.forward(input))
}

/// The pass through one section above the other, of which there is at least one.
pub(crate) fn pass_through<S: Section>(sections: &[S], input: Input) -> Pass {
    let first = sections[0].pass(input);
    sections[1..].iter().fold(first, |below, section| {
        let message = Input::Message(below.output.clone());
        below.then(section.pass(message))
    })
}
