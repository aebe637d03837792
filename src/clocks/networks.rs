//! The two networks, each with the way back through one of its windows.

use burn::optim::{GradientsParams, StateSink, StateSource};
use burn::tensor::{Tensor, assert_shape};

use crate::batch::Data;
use crate::cores::{Core, Deltas, Sequence, Unrolled};
use crate::error::Result;
use crate::optimizer::Optimizer;
use crate::pass::{Input, LocalGradients, Pass};
use crate::section::Section;
use crate::trained::{AnyCore, AnySection, Trained};

/// The network that ticks at every step, the paper's A: its input goes through a front end into a
/// recurrent core. An answer and a message are computed from the core's last output in a window.
pub struct FastNetwork {
    front: Box<dyn AnySection>,
    core: Box<dyn AnyCore>,
    readout: Box<dyn AnySection>,
    head: Box<dyn AnySection>,
    state: Option<Tensor<2>>,
}

/// The network that ticks once in a window of the fast one, the paper's B: messages go into a
/// recurrent core. An answer is computed from the core's last output in a span.
pub struct SlowNetwork {
    core: Box<dyn AnyCore>,
    readout: Box<dyn AnySection>,
    state: Option<Tensor<2>>,
}

/// A window of the fast network, remembered.
pub(super) struct FastWindow {
    front: Pass,
    unrolled: Unrolled,
    readout: Pass,
    head: Pass,
}

/// Gradients of the loss at what a window of the fast network sends out.
pub(super) struct FastDeltas {
    /// At its answer, `[batch, classes]`.
    pub answer: Tensor<2>,
    /// At its message, `[batch, message]`; none if there is none.
    pub message: Option<Tensor<2>>,
    /// At the state after it, `[batch, state]`; none where time is cut.
    pub state: Option<Tensor<2>>,
}

/// What they leave behind.
pub(super) struct FastGradients {
    front: GradientsParams,
    core: GradientsParams,
    readout: GradientsParams,
    head: Option<GradientsParams>,
    /// At the state before the window, `[batch, state]`.
    pub state: Tensor<2>,
}

/// A span of the slow network, remembered.
pub(super) struct SlowSpan {
    unrolled: Unrolled,
    readout: Pass,
}

/// What the gradient at its answer leaves behind.
pub(super) struct SlowGradients {
    core: GradientsParams,
    readout: GradientsParams,
    /// At every message, `[ticks, batch, message]`.
    pub messages: Tensor<3>,
}

impl FastNetwork {
    /// A network of parts, each with its own optimizer. `front` maps the network's input to the
    /// core's input, `readout` and `head` map the core's output to the answer and to the message.
    pub fn new(
        front: (impl Section, Optimizer),
        core: (impl Core, Optimizer),
        readout: (impl Section, Optimizer),
        head: (impl Section, Optimizer),
    ) -> Self {
        Self {
            front: Box::new(Trained::new(front.0, front.1)),
            core: Box::new(Trained::new(core.0, core.1)),
            readout: Box::new(Trained::new(readout.0, readout.1)),
            head: Box::new(Trained::new(head.0, head.1)),
            state: None,
        }
    }

    /// The front end in its current state, if it is of type `S`.
    pub fn front<S: Section>(&self) -> Option<&S> {
        self.front.as_any().downcast_ref()
    }

    /// The core in its current state, if it is of type `C`.
    pub fn core<C: Core>(&self) -> Option<&C> {
        self.core.as_any().downcast_ref()
    }

    /// The readout in its current state, if it is of type `S`.
    pub fn readout<S: Section>(&self) -> Option<&S> {
        self.readout.as_any().downcast_ref()
    }

    /// The head, which makes messages, in its current state, if it is of type `S`.
    pub fn head<S: Section>(&self) -> Option<&S> {
        self.head.as_any().downcast_ref()
    }

    /// The window of these inputs, from the state that the last one left.
    pub(super) fn unroll(&mut self, inputs: Data<3>) -> FastWindow {
        let [steps, _] = inputs.steps();
        let front = self.front.pass(inputs.into_rows().into());
        let sequence = in_steps(front.output.clone(), steps);
        let state = state_before(&mut self.state, self.core.as_ref(), &sequence);
        let unrolled = self.core.unroll(sequence, state);
        self.state = Some(unrolled.last.clone());
        let last = last_output(&unrolled.outputs);
        FastWindow {
            readout: self.readout.pass(Input::Message(last.clone())),
            head: self.head.pass(Input::Message(last)),
            front,
            unrolled,
        }
    }

    /// A copy for measurements, which goes on from a state; none is the zero state.
    pub(super) fn observer(&self, state: Option<Tensor<2>>) -> Self {
        Self {
            front: self.front.observer(),
            core: self.core.observer(),
            readout: self.readout.observer(),
            head: self.head.observer(),
            state,
        }
    }

    /// One update of every part, on the sum of the gradients of some windows.
    pub(super) fn update(&mut self, gradients: impl IntoIterator<Item = FastGradients>) {
        let [mut front, mut core, mut readout, mut head] = [const { Vec::new() }; 4];
        for of_window in gradients {
            front.push(of_window.front);
            core.push(of_window.core);
            readout.push(of_window.readout);
            head.extend(of_window.head);
        }
        self.front.update_by_sum(front);
        self.core.update_by_sum(core);
        self.readout.update_by_sum(readout);
        self.head.update_by_sum(head);
    }

    /// Answer and message of a window in use, and the state after it; no state is the zero state.
    pub(super) fn predict(
        &self,
        inputs: Data<3>,
        state: Option<Tensor<2>>,
    ) -> ([Tensor<2>; 2], Tensor<2>) {
        let [steps, _] = inputs.steps();
        let sequence = in_steps(self.front.predict(inputs.into_rows().into()), steps);
        let (last, state) = last_of(self.core.as_ref(), &sequence, state);
        let sections = [&self.readout, &self.head];
        (
            sections.map(|section| section.predict(Input::Message(last.clone()))),
            state,
        )
    }

    pub(super) fn set_rate_factor(&mut self, factor: f64) {
        self.front.set_rate_factor(factor);
        self.core.set_rate_factor(factor);
        self.readout.set_rate_factor(factor);
        self.head.set_rate_factor(factor);
    }

    pub(super) fn is_finite(&self) -> Result<bool> {
        let mut is_finite = self.core.is_finite()?;
        for section in [&self.front, &self.readout, &self.head] {
            is_finite &= section.is_finite()?;
        }
        Ok(is_finite)
    }

    pub(super) fn save(&self, sink: &mut StateSink) -> Result<()> {
        self.front.save("fast.front", sink)?;
        self.core.save("fast.core", sink)?;
        self.readout.save("fast.readout", sink)?;
        self.head.save("fast.head", sink)?;
        save_state(&self.state, "fast", sink);
        Ok(())
    }

    pub(super) fn load(&mut self, source: &mut StateSource) -> Result<()> {
        self.front.load("fast.front", source)?;
        self.core.load("fast.core", source)?;
        self.readout.load("fast.readout", source)?;
        self.head.load("fast.head", source)?;
        self.state = load_state(self.core.as_ref(), "fast", source);
        Ok(())
    }
}

impl FastWindow {
    /// `[batch, classes]`
    pub fn answer(&self) -> Tensor<2> {
        self.readout.output.clone()
    }

    /// `[batch, message]`, without a tape: the cut between the two networks.
    pub fn message(&self) -> Tensor<2> {
        self.head.output.clone()
    }

    /// Sends gradients back through the window.
    pub fn back(self, deltas: FastDeltas) -> FastGradients {
        let [steps, batch, _] = self.unrolled.outputs.dims();
        let answered = self.readout.back(deltas.answer);
        let sent = deltas.message.map(|delta| self.head.back(delta));
        let (head, at_head) = sent.map(LocalGradients::into_parts).unzip();
        let (readout, at_readout) = answered.into_parts();
        let at_last = match at_head {
            Some(at_head) => at_readout + at_head,
            None => at_readout,
        };
        let core = self.unrolled.back_to_inputs(Deltas {
            outputs: at_last_output(at_last, steps),
            first: None,
            last: deltas.state,
        });
        let [_, _, features] = core.inputs.dims();
        let at_front = core.inputs.reshape([steps * batch, features]);
        FastGradients {
            front: self.front.back(at_front).parameters,
            core: core.parameters,
            readout,
            head,
            state: core.state,
        }
    }
}

impl SlowNetwork {
    /// A network of parts, each with its own optimizer. The readout maps the core's output to the
    /// answer.
    pub fn new(core: (impl Core, Optimizer), readout: (impl Section, Optimizer)) -> Self {
        Self {
            core: Box::new(Trained::new(core.0, core.1)),
            readout: Box::new(Trained::new(readout.0, readout.1)),
            state: None,
        }
    }

    /// The core in its current state, if it is of type `C`.
    pub fn core<C: Core>(&self) -> Option<&C> {
        self.core.as_any().downcast_ref()
    }

    /// The readout in its current state, if it is of type `S`.
    pub fn readout<S: Section>(&self) -> Option<&S> {
        self.readout.as_any().downcast_ref()
    }

    /// The span of these messages, `[ticks, batch, message]`, from the state that the last one
    /// left.
    pub(super) fn unroll(&mut self, messages: Tensor<3>) -> SlowSpan {
        let sequence = Sequence::new(messages);
        let state = state_before(&mut self.state, self.core.as_ref(), &sequence);
        let unrolled = self.core.unroll(sequence, state);
        self.state = Some(unrolled.last.clone());
        let last = last_output(&unrolled.outputs);
        SlowSpan {
            readout: self.readout.pass(Input::Message(last)),
            unrolled,
        }
    }

    /// A copy for measurements, which goes on from a state; none is the zero state.
    pub(super) fn observer(&self, state: Option<Tensor<2>>) -> Self {
        Self {
            core: self.core.observer(),
            readout: self.readout.observer(),
            state,
        }
    }

    /// One update of every part.
    pub(super) fn update(&mut self, gradients: SlowGradients) {
        self.core.update(gradients.core);
        self.readout.update(gradients.readout);
    }

    /// The answer of a span in use, and the state after it; no state is the zero state.
    pub(super) fn predict(
        &self,
        messages: Tensor<3>,
        state: Option<Tensor<2>>,
    ) -> (Tensor<2>, Tensor<2>) {
        let (last, state) = last_of(self.core.as_ref(), &Sequence::new(messages), state);
        (self.readout.predict(Input::Message(last)), state)
    }

    pub(super) fn set_rate_factor(&mut self, factor: f64) {
        self.core.set_rate_factor(factor);
        self.readout.set_rate_factor(factor);
    }

    pub(super) fn is_finite(&self) -> Result<bool> {
        Ok(self.core.is_finite()? && self.readout.is_finite()?)
    }

    pub(super) fn save(&self, sink: &mut StateSink) -> Result<()> {
        self.core.save("slow.core", sink)?;
        self.readout.save("slow.readout", sink)?;
        save_state(&self.state, "slow", sink);
        Ok(())
    }

    pub(super) fn load(&mut self, source: &mut StateSource) -> Result<()> {
        self.core.load("slow.core", source)?;
        self.readout.load("slow.readout", source)?;
        self.state = load_state(self.core.as_ref(), "slow", source);
        Ok(())
    }
}

impl SlowSpan {
    /// `[batch, classes]`
    pub fn answer(&self) -> Tensor<2> {
        self.readout.output.clone()
    }

    /// Sends the gradient at the answer, `[batch, classes]`, back through the span, on to the
    /// messages.
    pub fn back(self, delta: Tensor<2>) -> SlowGradients {
        let [ticks, _, _] = self.unrolled.outputs.dims();
        let (readout, at_last) = self.readout.back(delta).into_parts();
        let core = self.unrolled.back_to_inputs(Deltas {
            outputs: at_last_output(at_last, ticks),
            first: None,
            last: None,
        });
        SlowGradients {
            core: core.parameters,
            readout,
            messages: core.inputs,
        }
    }
}

impl LocalGradients {
    /// Those of the parameters, and that at the input, which was a message.
    fn into_parts(self) -> (GradientsParams, Tensor<2>) {
        let input = self.input.expect("the input was a message");
        (self.parameters, input)
    }
}

/// The rows of all steps, `[steps * batch, features]`, as a window.
fn in_steps(rows: Tensor<2>, steps: usize) -> Sequence {
    let [count, features] = rows.dims();
    Sequence::new(rows.reshape([steps, count / steps, features]))
}

/// The state that a window goes on from, `[batch, state]`.
fn state_before(
    kept: &mut Option<Tensor<2>>,
    core: &dyn AnyCore,
    sequence: &Sequence,
) -> Tensor<2> {
    let ([_, batch], features) = (sequence.dims(), core.state_features());
    let state = kept
        .take()
        .unwrap_or_else(|| Tensor::zeros([batch, features], &sequence.inputs.device()));
    assert_shape!(state, [batch, features]);
    state
}

/// `y_T`, `[batch, outputs]`, of the outputs `[steps, batch, outputs]`.
fn last_output(outputs: &Tensor<3>) -> Tensor<2> {
    let [steps, batch, features] = outputs.dims();
    let last = outputs.clone().narrow(0, steps - 1, 1);
    last.reshape([batch, features])
}

/// The gradient at all outputs, `[steps, batch, outputs]`, of which the last alone is read.
fn at_last_output(delta: Tensor<2>, steps: usize) -> Tensor<3> {
    let [batch, features] = delta.dims();
    let zeros = Tensor::zeros([steps, batch, features], &delta.device());
    let last = delta.reshape([1, batch, features]);
    zeros.slice_assign([steps - 1..steps, 0..batch, 0..features], last)
}

/// The output and the state after the last step, in use; no state is the zero state.
fn last_of(
    core: &dyn AnyCore,
    sequence: &Sequence,
    mut state: Option<Tensor<2>>,
) -> (Tensor<2>, Tensor<2>) {
    let [steps, _] = sequence.dims();
    let mut last = None;
    for t in 0..steps {
        let before = state_before(&mut state, core, sequence);
        let tick = core.step(sequence, t, before);
        (last, state) = (Some(tick.output), Some(tick.state));
    }
    last.zip(state).expect("a window has a step")
}

fn save_state(state: &Option<Tensor<2>>, network: &str, sink: &mut StateSink) {
    if let Some(state) = state {
        sink.push_tensor(network, "state", state.to_data());
    }
}

fn load_state(core: &dyn AnyCore, network: &str, source: &mut StateSource) -> Option<Tensor<2>> {
    let state = source.take_tensor(network, "state");
    state.map(|state| Tensor::from_data(state, &core.device()))
}
