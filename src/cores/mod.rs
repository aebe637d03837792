//! Recurrent cores: one network, applied to itself through time.

mod embedded;
#[cfg(feature = "wgpu")]
mod gpu;
mod gru;
mod inputs;
mod lstm;

pub use embedded::Embedded;
pub use gru::{Gru, GruConfig};
pub use lstm::{Lstm, LstmConfig};

use burn::module::{Module, ModuleDisplay};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, assert_shape};

use crate::batch::Data;
use crate::message::{cut, inject_all, receive};
use crate::pass::{collect, plain, tracked};

/// A recurrent core, `(y_t, s_t) = f(x_t, s_{t-1})`: any burn module with a step.
///
/// A state of several parts, such as that of an LSTM, has them side by side.
pub trait Core: Module + ModuleDisplay + 'static {
    /// Features of the state.
    fn state_features(&self) -> usize;

    /// How an interface sees a state, `[batch, state]`.
    ///
    /// By default as it is. A state that can grow without bound should be seen through something
    /// that cannot: what is predicted there would grow with it, and the state with that.
    fn view(&self, state: Tensor<2>) -> View {
        View {
            slope: None,
            message: state,
        }
    }

    /// One step: input `[batch, inputs]` and state `[batch, state]` to output `[batch, outputs]`
    /// and state.
    fn step(&self, input: Tensor<2>, state: Tensor<2>) -> Tick;

    /// One step where the window has tokens, `[batch]`, in place of numbers. A token that the core
    /// does not know must not pass in silence: ours refuse it in host memory and answer NaN elsewhere.
    ///
    /// # Panics
    ///
    /// By default, as a core takes numbers.
    fn step_tokens(&self, _tokens: Tensor<1, Int>, _state: Tensor<2>) -> Tick {
        panic!("{NO_TOKENS}")
    }

    /// All steps of a window, remembered so that gradients can go back through time. The inputs may
    /// be tokens.
    ///
    /// By default autodiff does it. Override it only where a closed form is cheaper, and test it
    /// against [`Unrolled::on_tape`].
    fn unroll(&self, sequence: Sequence, state: Tensor<2>) -> Unrolled {
        Unrolled::on_tape(self, sequence, state)
    }
}

/// What becomes of tokens where a core takes numbers.
const NO_TOKENS: &str = "this core takes numbers, but the window has integers; put it into Embedded, which \
                         has a row of numbers for each token, or say what it does with them \
                         (Core::step_tokens)";

/// One step of a core on what it sees, numbers `[batch, inputs]` or tokens `[batch, 1]`.
pub(crate) fn advance(core: &impl Core, input: Data, state: Tensor<2>) -> Tick {
    match input {
        Data::Numbers(numbers) => core.step(numbers, state),
        Data::Integers(tokens) => core.step_tokens(tokens.squeeze_dim(1), state),
    }
}

/// What comes of one step.
#[derive(Debug, Clone)]
pub struct Tick {
    /// `y_t`, `[batch, outputs]`
    pub output: Tensor<2>,
    /// `s_t`, `[batch, state]`
    pub state: Tensor<2>,
}

/// A state as an interface sees it. The gradient at the state is predicted as `slope M(message)`.
#[derive(Debug, Clone)]
pub struct View {
    /// What the synthesizer is shown, `[batch, state]`.
    pub message: Tensor<2>,
    /// What its answer is multiplied by, `[batch, state]`; none for one.
    pub slope: Option<Tensor<2>>,
}

/// What goes into the steps of a window.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// `x_t`: numbers, `[steps, batch, inputs]`, or tokens, `[steps, batch]`.
    pub inputs: Data<3>,
    /// Before each step one for a sequence that goes on and zero for one that begins, which
    /// starts from the zero state: `[steps, batch]`. None if none begins.
    pub keep_mask: Option<Tensor<2>>,
}

impl Sequence {
    /// Sequences of which none begins: numbers, `[steps, batch, inputs]`, or tokens, `[steps, batch]`.
    pub fn new(inputs: impl Into<Data<3>>) -> Self {
        Self {
            inputs: inputs.into(),
            keep_mask: None,
        }
    }

    /// `[steps, batch]`
    pub fn dims(&self) -> [usize; 2] {
        self.inputs.steps()
    }

    /// The [`keep_mask`](Self::keep_mask) of sequences that all begin with the window, `[steps, batch]`.
    pub fn beginning([steps, batch]: [usize; 2], device: &Device) -> Tensor<2> {
        let begin = Tensor::zeros([1, batch], device);
        Tensor::ones([steps, batch], device).slice_assign([0..1, 0..batch], begin)
    }

    /// The same from after the first zeroing on: for a state that has seen to it.
    pub(crate) fn begun(mut self) -> Self {
        self.keep_mask = self.keep_mask.map(|keep_mask| {
            let [_, batch] = keep_mask.dims();
            let begun = Tensor::ones([1, batch], &keep_mask.device());
            keep_mask.slice_assign([0..1, 0..batch], begun)
        });
        self
    }

    /// The same values without a tape.
    pub(crate) fn off_tape(self) -> Self {
        Self {
            inputs: self.inputs.off_tape(),
            keep_mask: self.keep_mask.map(plain),
        }
    }

    /// The state before step `t`, with that of the sequences that begin set to zero.
    pub fn kept(&self, state: Tensor<2>, t: usize) -> Tensor<2> {
        match &self.keep_mask {
            Some(keep_mask) => {
                let [_, batch] = self.dims();
                let keep = keep_mask.clone().narrow(0, t, 1).reshape([batch, 1]);
                state * keep
            }
            None => state,
        }
    }
}

/// Gradients of the loss at what a window sends out.
pub struct Deltas {
    /// At every output, `[steps, batch, outputs]`.
    pub outputs: Tensor<3>,
    /// At the state after the first step, `[batch, state]`, beyond what comes through later steps.
    pub first: Option<Tensor<2>>,
    /// At the state after the last step, `[batch, state]`: the future.
    pub last: Option<Tensor<2>>,
}

/// What gradients leave behind on their way back through a window.
pub struct WindowGradients {
    /// The sum over all steps for every parameter.
    pub parameters: GradientsParams,
    /// At the state before the first step, `[batch, state]`.
    pub state: Tensor<2>,
    /// At every input, `dL/dx_t`, `[steps, batch, inputs]`.
    pub inputs: Tensor<3>,
}

/// What arrives at what went into a window.
pub struct Arrived {
    /// At the state before the first step, `[batch, state]`.
    pub state: Tensor<2>,
    /// At every input, `[steps, batch, inputs]`, if it was wanted; tokens have none.
    pub inputs: Option<Tensor<3>>,
}

/// The way back through a window: registers the gradients of the parameters and returns those of
/// what went in. The flag says whether the gradients at the inputs are wanted.
type Back = dyn FnOnce(Deltas, bool, &mut GradientsParams) -> Arrived + Send;

/// The steps of a window and the way back through them.
pub struct Unrolled {
    /// `y_t`, `[steps, batch, outputs]`, without a tape.
    pub outputs: Tensor<3>,
    /// The state after the first step, `[batch, state]`.
    pub first: Tensor<2>,
    /// The state after the last step, `[batch, state]`.
    pub last: Tensor<2>,
    back: Box<Back>,
}

impl Unrolled {
    /// A window whose way back is given in closed form. It must agree with autodiff.
    ///
    /// `back` takes the gradients at what the window sends out and whether those at its inputs are
    /// wanted, registers the gradient of every parameter and returns what arrives.
    pub fn new(
        outputs: Tensor<3>,
        [first, last]: [Tensor<2>; 2],
        back: impl FnOnce(Deltas, bool, &mut GradientsParams) -> Arrived + Send + 'static,
    ) -> Self {
        Self {
            outputs,
            first,
            last,
            back: Box::new(back),
        }
    }

    /// A window of any core, by autodiff.
    ///
    /// # Panics
    ///
    /// If there is no step.
    pub fn on_tape<C: Core>(core: &C, sequence: Sequence, state: Tensor<2>) -> Self {
        let core = tracked(core);
        let sequence = Sequence {
            inputs: sequence.inputs.on_tape(),
            keep_mask: sequence
                .keep_mask
                .map(|keep_mask| keep_mask.inner().autodiff()),
        };
        let before = cut(state);
        let [steps, batch] = sequence.dims();
        assert!(steps > 0, "a window needs a step");
        // As leaves they cost one product a step more, but whether their gradient is wanted is known
        // only later.
        let inputs: Vec<_> = (0..steps).map(|t| leaf(sequence.inputs.step(t))).collect();
        let (mut outputs, mut states) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
        for (t, input) in inputs.iter().enumerate() {
            let state = states.last().unwrap_or(&before).clone();
            let tick = advance(&core, input.clone(), sequence.kept(state, t));
            outputs.push(tick.output);
            states.push(tick.state);
        }
        let outputs = Tensor::cat(outputs, 0);
        let (first, last) = (states[0].clone(), states[steps - 1].clone());
        let [_, features] = outputs.dims();
        Self::new(
            outputs.clone().inner().reshape([steps, batch, features]),
            [first.clone().inner(), last.clone().inner()],
            move |deltas, wants_inputs, parameters| {
                let at_outputs = [outputs, deltas.outputs.reshape([steps * batch, features])];
                let at_first = deltas.first.map(|delta| [first, delta]);
                let at_last = deltas.last.map(|delta| [last, delta]);
                let all = [Some(at_outputs), at_first, at_last];
                let mut gradients = inject_all(all.into_iter().flatten());
                // What a step does not look at gets no gradient.
                let mut arrived = |at: Tensor<2>| {
                    let delta = receive(&at, &mut gradients);
                    delta.unwrap_or_else(|| at.inner().zeros_like())
                };
                let numbers = inputs.iter().filter_map(Data::numbers).cloned();
                let numbers: Vec<_> = numbers.filter(|_| wants_inputs).collect();
                let arrived = Arrived {
                    inputs: (!numbers.is_empty())
                        .then(|| Tensor::stack(numbers.into_iter().map(&mut arrived).collect(), 0)),
                    state: arrived(before),
                };
                collect(&core, &mut gradients, parameters);
                arrived
            },
        )
    }

    /// Sends gradients back through the window: those of the parameters, and that at the state
    /// before the first step, `[batch, state]`.
    ///
    /// # Panics
    ///
    /// If a shape is not that of what it belongs to.
    pub fn back(self, deltas: Deltas) -> (GradientsParams, Tensor<2>) {
        let (parameters, arrived) = self.send_back(deltas, false);
        (parameters, arrived.state)
    }

    /// The same, and on to the inputs: for those that are messages.
    ///
    /// # Panics
    ///
    /// As [`back`](Self::back) does, and if the inputs are tokens.
    pub fn back_to_inputs(self, deltas: Deltas) -> WindowGradients {
        let (parameters, arrived) = self.send_back(deltas, true);
        let inputs = arrived.inputs;
        WindowGradients {
            parameters,
            state: arrived.state,
            inputs: inputs.expect("the inputs are numbers, as tokens have no gradient"),
        }
    }

    fn send_back(self, deltas: Deltas, wants_inputs: bool) -> (GradientsParams, Arrived) {
        let [steps, batch, outputs] = self.outputs.dims();
        let [_, state] = self.last.dims();
        let at_outputs = &deltas.outputs;
        assert_shape!(at_outputs, [steps, batch, outputs]);
        for delta in [&deltas.first, &deltas.last].into_iter().flatten() {
            assert_shape!(delta, [batch, state]);
        }
        let mut parameters = GradientsParams::new();
        let arrived = (self.back)(deltas, wants_inputs, &mut parameters);
        (parameters, arrived)
    }
}

/// Numbers as a new leaf of the tape; tokens as they are.
fn leaf(input: Data) -> Data {
    match input {
        Data::Numbers(numbers) => Data::Numbers(cut(numbers)),
        tokens => tokens,
    }
}
