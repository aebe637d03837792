//! Truncated backpropagation through time with a synthetic future.
//!
//! A core is unrolled over windows of `T` steps. Truncated backpropagation takes the gradient that
//! would come from after the window for zero; an interface at the window's end predicts it:
//!
//! ```text
//! theta - alpha (sum_{tau = t}^{t + T} dL_tau/dtheta + delta_hat_T dh_T/dtheta)
//! ```
//!
//! Its synthesizer looks at the state one step further, when the first input of the next window has
//! been seen, and learns from the gradient that arrives at the state before that step: that of
//! the next window's losses and of the future predicted at *its* end.

mod learn;
mod quality;

pub use crate::cores::{
    Arrived, Core, Deltas, Embedded, Gru, GruConfig, Lstm, LstmConfig, Sequence, Tick, Unrolled,
    View, WindowGradients,
};

use std::sync::Arc;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, assert_shape};

use crate::batch::Data;
use crate::interface::{Contract, FutureTerms, Interface};
use crate::loss::{LossFunction, Reduction};
use crate::optimizer::Optimizer;
use crate::pass::{Input, LocalGradients, plain};
use crate::section::Section;
use crate::trained::{AnyCore, AnySection, Trained};

/// A window of sequences, side by side.
#[derive(Debug, Clone)]
pub struct Window {
    /// The inputs, and where sequences begin.
    pub sequence: Sequence,
    /// What should be answered, as the [loss](LossFunction) wants it: numbers, `[steps, batch, outputs]`,
    /// or classes, `[steps, batch]`.
    pub targets: Data<3>,
    /// The weight of each answer in the loss, `[steps, batch]`: zero where none is required. None if
    /// all count alike.
    pub weights: Option<Tensor<2>>,
    /// The first step of the next window; none if all sequences end with this one, which have no
    /// future then.
    pub next: Option<Sequence>,
}

/// What one training step computed, for tests and measurements.
#[derive(Debug, Clone)]
pub struct WindowStep {
    /// The outputs before the update, `[steps, batch, outputs]`.
    pub outputs: Tensor<3>,
    /// `delta_hat - delta` at the state before the window, `[batch, state]`, in the synthesizer's
    /// unit; none without an interface.
    pub residual: Option<Tensor<2>>,
    /// What the auxiliary task misses, `[batch, state]`, in the same unit; none without it, or
    /// where there is no next window to look forward to.
    pub auxiliary_residual: Option<Tensor<2>>,
}

/// The synthetic future at the end of a window.
pub struct Future {
    interface: Interface,
    scale: f64,
    scales_targets: bool,
    auxiliary: Option<Box<dyn AnySection>>,
}

impl Future {
    /// A future that an interface predicts from the state, all of which counts.
    pub fn new(interface: Interface) -> Self {
        Self {
            interface,
            scale: 1.0,
            scales_targets: true,
            auxiliary: None,
        }
    }

    /// Sets what the synthetic gradient is multiplied by where the core learns from it; the
    /// paper's experiments have 0.1.
    ///
    /// # Panics
    ///
    /// If it is negative or not finite.
    pub fn with_scale(mut self, scale: f64) -> Self {
        assert!(
            scale >= 0.0 && scale.is_finite(),
            "the scale of a future must be a number from 0 on, got {scale}"
        );
        self.scale = scale;
        self
    }

    /// Sets whether the future is also scaled in what the synthesizer learns from, which then is
    /// the gradient of a loss that counts the less the later it is. Default: yes, as it comes for
    /// free; otherwise every window is unrolled twice, unless the scale is one.
    pub fn with_scaled_targets(mut self, scales_targets: bool) -> Self {
        self.scales_targets = scales_targets;
        self
    }

    /// Adds the auxiliary task, the paper's "DNI + Aux": to predict, from the state after the first
    /// step of a window, the synthetic gradient at its end. Its loss is that of the interface, and
    /// flows into the core. `model` goes from `[batch, state]` to the same.
    pub fn with_auxiliary(mut self, model: impl Section, optimizer: Optimizer) -> Self {
        self.auxiliary = Some(Box::new(Trained::new(model, optimizer)));
        self
    }

    /// The interface.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The terms of the interface.
    pub fn contract(&self) -> Contract {
        let terms = FutureTerms {
            scale: self.scale,
            scales_targets: self.scales_targets,
            auxiliary: self.auxiliary.is_some(),
        };
        Contract {
            future: Some(terms),
            ..self.interface.contract()
        }
    }

    /// `delta_hat` at the state after a window, zero for sequences that end there.
    fn predict(&self, core: &dyn AnyCore, state: &Tensor<2>, next: &Sequence) -> Tensor<2> {
        let tick = core.step(next, 0, state.clone());
        let delta_hat = self
            .interface
            .predict_view(core.view(tick.state), None)
            .delta_hat();
        // What a sequence that begins does is not the doing of the one before.
        next.kept(delta_hat, 0)
    }
}

/// What the readout makes of a window.
struct Read {
    /// The network's, `[steps, batch, outputs]`.
    outputs: Tensor<3>,
    /// The gradients of the readout's parameters.
    parameters: GradientsParams,
    /// That at the core's outputs, `[steps, batch, features]`.
    at_core: Tensor<3>,
}

/// A recurrent network: a core, and a section that reads its outputs.
pub struct Recurrent {
    loss: Arc<dyn LossFunction>,
    core: Box<dyn AnyCore>,
    readout: Box<dyn AnySection>,
    future: Option<Future>,
    state: Option<Tensor<2>>,
}

impl Recurrent {
    /// A network that learns by truncated backpropagation through time, each part with its own
    /// optimizer. The readout goes from the core's outputs to those of the network.
    ///
    /// The loss is summed over the steps of a window and averaged over the batch.
    pub fn new(
        loss: impl LossFunction,
        core: (impl Core, Optimizer),
        readout: (impl Section, Optimizer),
    ) -> Self {
        Self {
            loss: Arc::new(loss),
            core: Box::new(Trained::new(core.0, core.1)),
            readout: Box::new(Trained::new(readout.0, readout.1)),
            future: None,
            state: None,
        }
    }

    /// Gives windows a synthetic future.
    pub fn with_future(mut self, future: Future) -> Self {
        self.future = Some(future);
        self
    }

    /// The loss.
    pub fn loss(&self) -> &dyn LossFunction {
        &*self.loss
    }

    /// The core as it is now, if it is of type `C`.
    pub fn core<C: Core>(&self) -> Option<&C> {
        self.core.as_any().downcast_ref()
    }

    /// The readout as it is now, if it is of type `S`.
    pub fn readout<S: Section>(&self) -> Option<&S> {
        self.readout.as_any().downcast_ref()
    }

    /// The synthetic future, if there is one.
    pub fn future(&self) -> Option<&Future> {
        self.future.as_ref()
    }

    /// The state after the last window, `[batch, state]`; none before the first.
    pub fn state(&self) -> Option<&Tensor<2>> {
        self.state.as_ref()
    }

    /// Sets the state before the next window; none for the zero state.
    pub fn set_state(&mut self, state: Option<Tensor<2>>) {
        self.state = state.map(plain);
    }

    /// The zero state.
    fn zero_state(&self, batch: usize, device: &Device) -> Tensor<2> {
        Tensor::zeros([batch, self.core.state_features()], device)
    }

    /// One training step on one window, which goes on from the state that the last one left.
    ///
    /// # Panics
    ///
    /// If the window has no step or a shape does not fit.
    pub fn step(&mut self, window: Window) -> WindowStep {
        let window = window.off_tape();
        let [_, batch] = window.sequence.dims();
        let device = window.sequence.inputs.device();
        let state = match self.state.take() {
            Some(state) => state,
            None => self.zero_state(batch, &device),
        };
        let features = self.core.state_features();
        assert_shape!(state, [batch, features]);
        let state = window.sequence.kept(state, 0);
        // What begins has been seen to; the target below is the gradient at this state.
        let sequence = window.sequence.clone().begun();

        let unrolled = self.core.unroll(sequence.clone(), state.clone());
        let last = unrolled.last.clone();
        let Read {
            outputs,
            parameters,
            at_core: at_outputs,
        } = self.read(&unrolled, &window);
        self.readout.update(parameters);

        let future = self.future.as_mut();
        let mut step = WindowStep {
            outputs,
            residual: None,
            auxiliary_residual: None,
        };
        let (parameters, _) = match future {
            None => unrolled.back(Deltas {
                outputs: at_outputs,
                first: None,
                last: None,
            }),
            Some(future) => {
                let core = self.core.as_ref();
                let view = core.view(unrolled.first.clone());
                let prediction = future.interface.predict_view(view, None);
                let next = window.next.as_ref();
                let delta_hat = next.map(|next| future.predict(core, &last, next));
                let (first, auxiliary_residual) = future.look_ahead(&unrolled.first, &delta_hat);
                step.auxiliary_residual = auxiliary_residual;
                // The whole future, where the core learns from less of it.
                let whole = delta_hat.clone().filter(|_| future.is_split());
                let target = whole.map(|whole| {
                    let deltas = Deltas {
                        outputs: at_outputs.clone(),
                        first: None,
                        last: Some(whole),
                    };
                    core.unroll(sequence, state).back(deltas).1
                });
                let (parameters, arrived) = unrolled.back(Deltas {
                    outputs: at_outputs,
                    first,
                    last: delta_hat.map(|delta| delta.mul_scalar(future.scale)),
                });
                let target = target.unwrap_or_else(|| arrived.clone());
                step.residual = Some(future.interface.learn(prediction, target));
                (parameters, arrived)
            }
        };
        self.core.update(parameters);
        self.state = Some(last);
        step
    }

    /// Reads the outputs of an unrolled window, and sends the gradient of its losses back to them.
    fn read(&self, unrolled: &Unrolled, window: &Window) -> Read {
        let [steps, batch, features] = unrolled.outputs.dims();
        let at_core = unrolled.outputs.clone();
        let pass = self
            .readout
            .pass(Input::Message(at_core.reshape([steps * batch, features])));
        let [_, outputs] = pass.output.dims();
        let read = pass.output.clone();
        let delta = self.loss_gradient(read.clone(), window);
        let LocalGradients { parameters, input } = pass.back(delta);
        let at_core = input.expect("what is read is a message");
        Read {
            outputs: read.reshape([steps, batch, outputs]),
            parameters,
            at_core: at_core.reshape([steps, batch, features]),
        }
    }

    /// The gradient at the outputs, `[steps * batch, outputs]`, of the weighted losses, summed over
    /// the steps and averaged over the batch.
    fn loss_gradient(&self, outputs: Tensor<2>, window: &Window) -> Tensor<2> {
        let [steps, batch] = window.sequence.dims();
        let targets = window.asked([steps, batch]);
        let weight = Reduction::Mean.weight(batch);
        let gradient = self.loss.weighted_gradient(outputs, targets, weight);
        match &window.weights {
            Some(weights) => {
                assert_shape!(weights, [steps, batch]);
                gradient * weights.clone().reshape([steps * batch, 1])
            }
            None => gradient,
        }
    }

    /// The weighted loss of every answer of a window, `[steps, batch]`.
    ///
    /// # Panics
    ///
    /// If a shape does not fit.
    pub fn losses(&self, outputs: Tensor<3>, window: &Window) -> Tensor<2> {
        let [steps, batch, features] = outputs.dims();
        let targets = window.asked([steps, batch]).off_tape();
        let outputs = outputs.reshape([steps * batch, features]);
        let losses = self.loss.of_each(outputs, targets);
        let losses = losses.reshape([steps, batch]);
        match &window.weights {
            Some(weights) => {
                assert_shape!(weights, [steps, batch]);
                losses * plain(weights.clone())
            }
            None => losses,
        }
    }

    /// The outputs of a window, `[steps, batch, outputs]`, and the state after it, in use: nothing
    /// learns and the network's own state stays as it is. No state is the zero state.
    ///
    /// # Panics
    ///
    /// If a shape does not fit.
    pub fn predict(&self, sequence: &Sequence, state: Option<Tensor<2>>) -> (Tensor<3>, Tensor<2>) {
        let sequence = sequence.clone().off_tape();
        let [steps, batch] = sequence.dims();
        let mut state = match state {
            Some(state) => plain(state),
            None => self.zero_state(batch, &sequence.inputs.device()),
        };
        let mut outputs = Vec::with_capacity(steps);
        for t in 0..steps {
            let tick = self.core.step(&sequence, t, state);
            outputs.push(tick.output);
            state = tick.state;
        }
        let outputs = Input::Message(Tensor::cat(outputs, 0));
        let outputs = self.readout.predict(outputs);
        let [_, features] = outputs.dims();
        (outputs.reshape([steps, batch, features]), state)
    }
}

impl Future {
    /// Whether the synthesizer learns from another future than the core.
    fn is_split(&self) -> bool {
        !self.scales_targets && self.scale != 1.0
    }

    /// The auxiliary task: one step of its model towards `delta_hat`. The gradient of its loss at
    /// the state after the first step, and what it misses.
    fn look_ahead(
        &mut self,
        first: &Tensor<2>,
        delta_hat: &Option<Tensor<2>>,
    ) -> (Option<Tensor<2>>, Option<Tensor<2>>) {
        let (Some(model), Some(delta_hat)) = (&mut self.auxiliary, delta_hat) else {
            return (None, None);
        };
        let pass = model.pass(Input::Message(first.clone()));
        let residual = self
            .interface
            .residual(pass.output.clone(), delta_hat.clone());
        let gradient = Reduction::Mean.apply(residual.clone());
        let LocalGradients { parameters, input } = pass.back(gradient);
        model.update(parameters);
        (input, Some(residual))
    }
}

impl Window {
    /// The targets, one row below the other, of outputs of `[steps, batch]`.
    ///
    /// # Panics
    ///
    /// If there are more or fewer targets than outputs.
    fn asked(&self, outputs: [usize; 2]) -> Data {
        let targets = self.targets.steps();
        assert!(
            targets == outputs,
            "the outputs of a window, [steps, batch] = {outputs:?}, need as many targets, not {targets:?}"
        );
        self.targets.clone().into_rows()
    }

    /// The same values without a tape, should the caller's tensors have one.
    fn off_tape(self) -> Self {
        Self {
            sequence: self.sequence.off_tape(),
            targets: self.targets.off_tape(),
            weights: self.weights.map(plain),
            next: self.next.map(Sequence::off_tape),
        }
    }
}
