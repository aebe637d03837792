//! One forward pass, remembered: the output and the way back through it.

use burn::module::{Flag, Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::message::{cut, inject, receive};

/// What goes into a section.
#[derive(Debug, Clone)]
pub enum Input {
    /// Data, `[batch, features]`. Nobody asks for its gradient.
    Data(Tensor<2>),
    /// The message of the section below, `[batch, features]`, whose gradient the interface
    /// between the two will learn from.
    Message(Tensor<2>),
}

impl Input {
    /// The values, `[batch, features]`, and whether their gradient is wanted.
    pub fn into_parts(self) -> (Tensor<2>, bool) {
        match self {
            Self::Data(input) => (input, false),
            Self::Message(input) => (input, true),
        }
    }
}

/// What a gradient leaves behind on its way back through one section.
pub struct LocalGradients {
    /// `delta * dh/dtheta` for every parameter.
    pub parameters: GradientsParams,
    /// `delta * dh/dx`, `[batch, features]`, if the input was a [message](Input::Message).
    pub input: Option<Tensor<2>>,
}

/// One forward pass `h = f(x)` and the way back: from `delta = dL/dh` to [`LocalGradients`].
///
/// It is the same pair that automatic differentiation libraries call a vector-Jacobian product.
/// The way back can be taken once; dropping the pass forgets it.
pub struct Pass {
    /// The output `h`, `[batch, features]`, without a tape.
    pub output: Tensor<2>,
    back: Box<dyn FnOnce(Tensor<2>) -> LocalGradients + Send>,
}

impl Pass {
    /// A pass whose way back is given in closed form.
    ///
    /// `back` must agree with autodiff; the library's own are tested for it.
    pub fn new(
        output: Tensor<2>,
        back: impl FnOnce(Tensor<2>) -> LocalGradients + Send + 'static,
    ) -> Self {
        Self {
            output,
            back: Box::new(back),
        }
    }

    /// A pass through any burn module, by autodiff.
    ///
    /// The module is put on the tape for this pass only: between steps parameters are kept
    /// without one, since tracking them costs as much as a small layer does.
    ///
    /// # Panics
    ///
    /// If the output depends on no parameter that learns and on no message.
    pub fn on_tape<M: Module + 'static>(
        module: &M,
        input: Input,
        forward: impl FnOnce(&M, Tensor<2>) -> Tensor<2>,
    ) -> Self {
        let module = module.clone().map(&mut Track);
        let (input, wants_input) = input.into_parts();
        let input = if wants_input {
            cut(input)
        } else {
            // Layers such as batch norm take "on an autodiff device" for "in training".
            input.inner().autodiff()
        };
        let message = forward(&module, input.clone());
        Self::new(message.clone().inner(), move |delta| {
            let mut gradients = inject(message, delta);
            // A module that does not look at its input sends no gradient to it.
            let below = wants_input.then(|| {
                receive(&input, &mut gradients).unwrap_or_else(|| input.inner().zeros_like())
            });
            LocalGradients {
                input: below,
                parameters: GradientsParams::from_grads(gradients, &module),
            }
        })
    }

    /// Sends `delta`, the gradient of the loss at [`output`](Self::output), back through the pass.
    ///
    /// # Panics
    ///
    /// If the shape of `delta` is not that of the output.
    pub fn back(self, delta: Tensor<2>) -> LocalGradients {
        (self.back)(delta)
    }
}

/// Puts every parameter into training, unless the user froze it. Unlike [`Module::train`] it leaves
/// the running statistics of batch norm shared with the original, which is to see them change.
struct Track;

impl ModuleMapper for Track {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.train()
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.train()
    }
}
