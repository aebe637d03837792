//! One forward pass, remembered: the output and the way back through it.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::message::{inject, receive};

/// What a gradient leaves behind on its way back through one section.
pub struct LocalGradients {
    /// `delta * dh/dtheta` for every parameter.
    pub parameters: GradientsParams,
    /// `delta * dh/dx`, of shape `[batch, features]`, if the input was [cut](crate::message::cut).
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
    /// `input` is a [cut](crate::message::cut) message, or data as it is: then
    /// [`LocalGradients::input`] stays `None`.
    pub fn on_tape<M: Module + 'static>(
        module: &M,
        input: Tensor<2>,
        forward: impl FnOnce(&M, Tensor<2>) -> Tensor<2>,
    ) -> Self {
        // Layers such as batch norm take "on an autodiff device" for "in training".
        let input = input.autodiff();
        let message = forward(module, input.clone());
        let module = module.clone();
        Self::new(message.clone().inner(), move |delta| {
            let mut gradients = inject(message, delta);
            LocalGradients {
                input: receive(&input, &mut gradients),
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
