//! One forward pass with its backward pass.

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Gradients, Int, Tensor, assert_shape};

use crate::host::in_f32;
use crate::message::{cut, inject, receive};
use crate::place::{carry, carry_integers};

/// The input of a section.
#[derive(Debug, Clone)]
pub enum Input {
    /// Data, `[batch, features]`. Their gradient is not computed.
    Data(Tensor<2>),
    /// Data that are integers, such as the tokens of a text, `[batch, items]`.
    Tokens(Tensor<2, Int>),
    /// The message of the section below, `[batch, features]`, whose gradient the interface
    /// between the two will learn from.
    Message(Tensor<2>),
}

impl Input {
    /// The device on which it lies.
    pub fn device(&self) -> Device {
        match self {
            Self::Data(input) | Self::Message(input) => input.device(),
            Self::Tokens(tokens) => tokens.device(),
        }
    }

    /// The same input on a device.
    pub fn on(self, device: &Device) -> Self {
        match self {
            Self::Data(input) => Self::Data(carry(input, device)),
            Self::Tokens(tokens) => Self::Tokens(carry_integers(tokens, device)),
            Self::Message(input) => Self::Message(carry(input, device)),
        }
    }

    /// The values, `[batch, features]`, and whether their gradient is needed.
    ///
    /// # Panics
    ///
    /// If they are integers.
    pub fn into_parts(self) -> (Tensor<2>, bool) {
        match self {
            Self::Data(input) => (input, false),
            Self::Message(input) => (input, true),
            Self::Tokens(_) => panic!("{NO_TOKENS}"),
        }
    }
}

/// What becomes of tokens where numbers are needed.
pub(crate) const NO_TOKENS: &str = "this section takes numbers, but the batch has integers; let a \
                                    section of your own that embeds them (Section::embed) be the \
                                    lowest";

/// The gradients from one backward pass through a section.
pub struct LocalGradients {
    /// `delta * dh/dtheta` for every parameter.
    pub parameters: GradientsParams,
    /// `delta * dh/dx`, `[batch, features]`, if the input was a [message](Input::Message).
    pub input: Option<Tensor<2>>,
}

/// One forward pass `h = f(x)` with its backward pass: from `delta = dL/dh` to [`LocalGradients`].
///
/// Automatic differentiation libraries call this pair a vector-Jacobian product. The backward pass
/// can be taken once; dropping the pass discards it.
pub struct Pass {
    /// The output `h`, `[batch, features]`, without a tape.
    pub output: Tensor<2>,
    back: Box<Back>,
}

/// From `delta` at the output to the gradient at the input, if that is wanted. The gradients of
/// parameters are registered on the way.
type Back = dyn FnOnce(Tensor<2>, &mut GradientsParams) -> Option<Tensor<2>> + Send;

impl Pass {
    /// A pass whose backward pass is given in closed form.
    ///
    /// `back` takes `delta = dL/dh`, `[batch, features]`, registers the gradient of every parameter
    /// and returns that of the input if it was a [message](Input::Message). It must agree with
    /// autodiff; the library's own closed forms are tested against it.
    pub fn new(
        output: Tensor<2>,
        back: impl FnOnce(Tensor<2>, &mut GradientsParams) -> Option<Tensor<2>> + Send + 'static,
    ) -> Self {
        Self {
            output,
            back: Box::new(back),
        }
    }

    /// A pass through any burn module, by autodiff.
    ///
    /// The module is put on the tape for this pass only: between steps parameters are kept without
    /// one, since tracking them costs as much as a small layer does.
    ///
    /// If all parameters of the module are frozen, the pass yields the gradient of its input only.
    ///
    /// # Panics
    ///
    /// If the output depends neither on a parameter that learns nor on the message that came in.
    pub fn on_tape<M: Module + 'static>(
        module: &M,
        input: Input,
        forward: impl FnOnce(&M, Tensor<2>) -> Tensor<2>,
    ) -> Self {
        let module = tracked(module);
        let (input, wants_input) = input.into_parts();
        if !wants_input {
            // Layers such as batch norm take "on an autodiff device" for "in training".
            let message = forward(&module, input.inner().autodiff());
            return Self::of_data(module, message);
        }
        let input = cut(input);
        let message = forward(&module, input.clone());
        Self::new(message.clone().inner(), move |delta, parameters| {
            let mut gradients = inject(message, delta);
            collect(&module, &mut gradients, parameters);
            // A module that does not look at its input sends no gradient to it.
            let below = receive(&input, &mut gradients);
            Some(below.unwrap_or_else(|| input.inner().zeros_like()))
        })
    }

    /// The same for tokens, `[batch, items]`.
    ///
    /// # Panics
    ///
    /// If the output does not depend on a parameter that learns.
    pub fn of_tokens<M: Module + 'static>(
        module: &M,
        tokens: Tensor<2, Int>,
        forward: impl FnOnce(&M, Tensor<2, Int>) -> Tensor<2>,
    ) -> Self {
        let module = tracked(module);
        let message = forward(&module, tokens.inner().autodiff());
        Self::of_data(module, message)
    }

    /// A pass of which only the gradients of the tracked module's parameters are wanted.
    fn of_data<M: Module + 'static>(module: M, message: Tensor<2>) -> Self {
        if !leaves(&module).contains(&true) {
            return Self::new(message.inner(), |_, _| None);
        }
        Self::new(message.clone().inner(), move |delta, parameters| {
            let mut gradients = inject(message, delta);
            collect(&module, &mut gradients, parameters);
            None
        })
    }

    /// This pass followed by `above`, whose input was this one's output as a
    /// [message](Input::Message).
    ///
    /// # Panics
    ///
    /// In the backward pass, if `above` sends no gradient down.
    pub fn then(self, above: Self) -> Self {
        let back = self.back;
        Self::new(above.output, move |delta, parameters| {
            let delta = (above.back)(delta, parameters);
            back(
                delta.expect("a pass above another takes its output as a message"),
                parameters,
            )
        })
    }

    /// This pass with its output multiplied by constants, elementwise.
    pub(crate) fn scaled(self, factors: Tensor<2>) -> Self {
        let back = self.back;
        Self::new(self.output * factors.clone(), move |delta, parameters| {
            back(delta * factors, parameters)
        })
    }

    /// Sends `delta`, the gradient of the loss at [`output`](Self::output), back through the pass.
    /// `delta` may lie on another device.
    ///
    /// # Panics
    ///
    /// If the shape of `delta` is not that of the output.
    pub fn back(self, delta: Tensor<2>) -> LocalGradients {
        let [batch, features] = self.output.dims();
        assert_shape!(delta, [batch, features]);
        let mut parameters = GradientsParams::new();
        let input = (self.back)(beside(delta, &self.output), &mut parameters);
        LocalGradients { parameters, input }
    }
}

/// What a user gives as the library computes with it: off the tape, in 32-bit floats.
pub(crate) fn plain<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    in_f32(tensor.inner())
}

/// A tensor on the device where another one lies.
pub(crate) fn beside(tensor: Tensor<2>, other: &Tensor<2>) -> Tensor<2> {
    carry(tensor, &other.device())
}

/// A copy of a module on the tape.
pub(crate) fn tracked<M: Module>(module: &M) -> M {
    module.clone().map(&mut Track)
}

/// Which parameters of a module learn, in the order in which it is visited: all but those that the
/// user froze. Off the tape burn keeps that to itself.
pub(crate) fn learning<M: Module>(module: &M) -> Vec<bool> {
    leaves(&tracked(&module.valid()))
}

/// Which parameters of a tracked module get a gradient, in the order in which it is visited.
fn leaves<M: Module>(tracked: &M) -> Vec<bool> {
    let mut leaves = Leaves(Vec::new());
    tracked.visit(&mut leaves);
    leaves.0
}

struct Leaves(Vec<bool>);

impl ModuleVisitor for Leaves {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.is_require_grad());
    }
}

/// Takes the gradients of a tracked module's parameters out of those of a backward pass.
pub(crate) fn collect<M: Module>(
    module: &M,
    gradients: &mut Gradients,
    parameters: &mut GradientsParams,
) {
    module.visit(&mut Collect {
        gradients,
        parameters,
    });
}

struct Collect<'a> {
    gradients: &'a mut Gradients,
    parameters: &'a mut GradientsParams,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            self.parameters.register(param.id, gradient);
        }
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
