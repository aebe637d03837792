//! Sections: the pieces of network between two interfaces (the paper calls them modules).

mod conv;
mod dense;
mod dropout;
mod finish;
#[cfg(feature = "wgpu")]
mod gpu;
mod mlp;

pub use crate::activation::Activation;
pub use crate::image::{Pool, PoolKind};
pub use conv::{Conv, ConvConfig};
pub use dense::{Dense, DenseConfig};
pub use dropout::Dropout;
pub use mlp::Mlp;

use burn::module::{Module, ModuleDisplay};
use burn::nn::Linear;
use burn::tensor::{Int, Tensor};

use crate::pass::{Input, NO_TOKENS, Pass};

/// A piece of network, `h_i = f_i(h_{i-1})`: any burn module with a forward pass.
///
/// Messages have rank two, `[rows, features]`: one row for each example, or several, such as one
/// for each token of a text. Layers that treat each row by itself, as synthesizers and dense layers
/// do, need not know which rows form an example; layers that mix rows, as attention does, reshape
/// inside.
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

    /// Embeds integers, such as tokens, `[batch, items]`, as the input of
    /// [`forward`](Self::forward), `[rows, inputs]`. Called only on the lowest section of a
    /// network, and only for integers.
    ///
    /// # Panics
    ///
    /// By default, as a section takes numbers.
    fn embed(&self, _tokens: Tensor<2, Int>) -> Tensor<2> {
        panic!("{NO_TOKENS}")
    }

    /// The forward pass in training, with its backward pass.
    ///
    /// By default autodiff does it. Override it only where the local gradient has a closed form
    /// that is cheaper, and test it against the default.
    fn pass(&self, input: Input) -> Pass {
        match input {
            Input::Tokens(tokens) => Pass::of_tokens(self, tokens, |section, tokens| {
                section.forward(section.embed(tokens))
            }),
            input => Pass::on_tape(self, input, Self::forward),
        }
    }

    /// `h` at inference: the input has no tape, and the module is [`valid`](Module::valid), so that
    /// batch norm uses its running statistics.
    ///
    /// By default this is [`forward`](Self::forward). Override it only where there is a cheaper way,
    /// and test it against the default.
    fn predict(&self, input: Tensor<2>) -> Tensor<2> {
        self.forward(input)
    }
}

/// burn's own dense layer, `h = x W + b`. [`Dense`] does the same, faster.
impl Section for Linear {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        Self::forward(self, input)
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
