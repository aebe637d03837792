//! Two networks that tick at different rates: the paper's multi-network system.
//!
//! A *fast* network (the paper's A) ticks at every step of a stream. Every `T` steps, at the end of
//! a *window*, it answers a question about that window and sends a message up. A *slow* network
//! (B) ticks once for each message. Every `T^2` steps, at the end of a *span*, it answers a
//! question about the whole span:
//!
//! ```text
//! stream  x x x x  x x x x  x x x x  x x x x      T = 4
//! fast    o o o o  o o o o  o o o o  o o o o
//! answer        a        a        a        a
//! message       m_1      m_2      m_3      m_4
//! slow          o        o        o        o
//! answer                                   a
//! ```
//!
//! The slow network needs information that the fast one has to send, so the gradient at a message
//! must come back down. [`Feedback`] says how. *Coupled*, it comes when the span is over: both
//! networks are unrolled over all of it, and the fast one is update-locked for `T^2` steps.
//! *Decoupled*, an interface predicts it from the message at once, so that the fast network learns
//! at the rate of its own clock; the interface learns from the gradients that arrive when the slow
//! network has answered.
//!
//! An interface predicts the mean gradient over everything that is possible given its message.
//! Where the slow network answers as well as its messages allow, that mean is zero: nothing then
//! asks for more informative messages. A *conditional* interface, which sees what the message
//! should say, does ask for them.

mod learn;
mod networks;
mod quality;

pub use networks::{FastNetwork, SlowNetwork};

use std::sync::Arc;

use burn::tensor::{Tensor, assert_shape};

use crate::batch::Data;
use crate::interface::{Interface, Prediction};
use crate::loss::{LossFunction, Reduction};
use crate::pass::plain;
use networks::FastDeltas;

/// `T^2` steps of several streams side by side.
#[derive(Debug, Clone)]
pub struct Span {
    /// The input at every step: numbers, `[T^2, batch, inputs]`, or tokens, `[T^2, batch]`, which the
    /// front end of the fast network [embeds](crate::Section::embed).
    pub inputs: Data<3>,
    /// The targets of the fast network at the end of every window, as the [loss](LossFunction)
    /// takes them: `[T, batch, classes]`, or the number of the class, `[T, batch]`.
    pub fast_targets: Data<3>,
    /// The target of the slow network at the end, `[batch, classes]`, or the number of the class,
    /// `[batch, 1]`.
    pub slow_targets: Data,
    /// What a conditional synthesizer sees beside the message of every window,
    /// `[T, batch, contexts]`; other feedback ignores it.
    pub contexts: Option<Tensor<3>>,
}

/// What one training step computed, to be inspected.
#[derive(Debug, Clone)]
pub struct SpanStep {
    /// The answers of the fast network, each before the update that it led to,
    /// `[T, batch, classes]`.
    pub fast_outputs: Tensor<3>,
    /// The answer of the slow network before the update, `[batch, classes]`.
    pub slow_outputs: Tensor<2>,
    /// `delta_hat - delta` at every message, `[batch, message]`, in the synthesizer's unit; empty
    /// without an interface.
    pub residuals: Vec<Tensor<2>>,
}

/// The states that both networks keep between spans.
#[derive(Debug, Clone)]
pub struct ClockStates {
    /// The state of the fast network, `[batch, state]`.
    pub fast: Tensor<2>,
    /// The state of the slow network, `[batch, state]`.
    pub slow: Tensor<2>,
}

/// How the slow network's gradient reaches the fast one.
pub enum Feedback {
    /// Not at all: the fast network learns from its own loss alone, every `T` steps.
    None,
    /// By backpropagation: both networks learn every `T^2` steps.
    Coupled,
    /// By prediction: the fast network learns every `T` steps.
    Synthetic {
        /// Predicts the gradient at a message from the message, and from the window's context if
        /// its synthesizer takes one.
        interface: Interface,
        /// The factor of the synthetic gradient where the fast network learns from it.
        scale: f64,
    },
}

/// Two networks of different clocks, and how they learn.
pub struct Clocks {
    loss: Arc<dyn LossFunction>,
    period: usize,
    fast: FastNetwork,
    slow: SlowNetwork,
    feedback: Feedback,
}

impl Clocks {
    /// Two networks; the slow one ticks every `period` steps, `T`. The loss of each is averaged
    /// over the batch.
    ///
    /// # Panics
    ///
    /// If the period is zero, or the scale of synthetic gradients negative or not finite.
    pub fn new(
        loss: impl LossFunction,
        period: usize,
        fast: FastNetwork,
        slow: SlowNetwork,
        feedback: Feedback,
    ) -> Self {
        assert!(period > 0, "a clock needs a period of at least one step");
        if let Feedback::Synthetic { scale, .. } = feedback {
            assert!(
                scale >= 0.0 && scale.is_finite(),
                "the scale of synthetic gradients must be a number from 0 on, got {scale}"
            );
        }
        Self {
            loss: Arc::new(loss),
            period,
            fast,
            slow,
            feedback,
        }
    }

    /// The loss.
    pub fn loss(&self) -> &dyn LossFunction {
        &*self.loss
    }

    /// The fast network.
    pub fn fast(&self) -> &FastNetwork {
        &self.fast
    }

    /// The slow network.
    pub fn slow(&self) -> &SlowNetwork {
        &self.slow
    }

    /// One training step on one span, from the states that the last step left.
    ///
    /// # Panics
    ///
    /// If a shape does not fit.
    pub fn step(&mut self, span: Span) -> SpanStep {
        let span = span.off_tape(self.period);
        match self.feedback {
            Feedback::Coupled => self.coupled_step(&span),
            Feedback::Synthetic { .. } | Feedback::None => self.decoupled_step(&span),
        }
    }

    /// Both networks are unrolled over the span; then gradients go back through all of it.
    fn coupled_step(&mut self, span: &Span) -> SpanStep {
        let windows = (0..self.period).map(|k| self.fast.unroll(span.window(k, self.period)));
        let windows: Vec<_> = windows.collect();
        let answers: Vec<_> = windows.iter().map(|window| window.answer()).collect();
        let messages = windows.iter().map(|window| window.message()).collect();
        let slow = self.slow.unroll(Tensor::stack(messages, 0));
        let slow_outputs = slow.answer();
        let slow_gradients = slow.back(self.slow_loss_gradient(&slow_outputs, span));

        let mut gradients = Vec::with_capacity(self.period);
        let mut at_state = None;
        for (k, window) in windows.into_iter().enumerate().rev() {
            let of_window = window.back(FastDeltas {
                answer: self.fast_loss_gradient(&answers[k], span, k),
                message: Some(at(&slow_gradients.messages, k)),
                state: at_state,
            });
            at_state = Some(of_window.state.clone());
            gradients.push(of_window);
        }
        self.fast.update(gradients);
        self.slow.update(slow_gradients);
        SpanStep {
            fast_outputs: Tensor::stack(answers, 0),
            slow_outputs,
            residuals: Vec::new(),
        }
    }

    /// The fast network learns at the end of every window, the slow one, and the interface between
    /// them, at the end of the span.
    fn decoupled_step(&mut self, span: &Span) -> SpanStep {
        let [mut answers, mut messages] = [(); 2].map(|()| Vec::with_capacity(self.period));
        let mut predictions = Vec::with_capacity(self.period);
        for k in 0..self.period {
            let window = self.fast.unroll(span.window(k, self.period));
            let (answer, message) = (window.answer(), window.message());
            let prediction = self.feedback.predict(&message, span.context(k));
            let gradients = window.back(FastDeltas {
                answer: self.fast_loss_gradient(&answer, span, k),
                message: self.feedback.synthetic_gradient(&prediction),
                state: None,
            });
            self.fast.update([gradients]);
            answers.push(answer);
            messages.push(message);
            predictions.extend(prediction);
        }
        let slow = self.slow.unroll(Tensor::stack(messages, 0));
        let slow_outputs = slow.answer();
        let slow_gradients = slow.back(self.slow_loss_gradient(&slow_outputs, span));
        let residuals = self.feedback.learn(predictions, &slow_gradients.messages);
        self.slow.update(slow_gradients);
        SpanStep {
            fast_outputs: Tensor::stack(answers, 0),
            slow_outputs,
            residuals,
        }
    }

    /// At the answer to window `k`, `[batch, classes]`.
    fn fast_loss_gradient(&self, answer: &Tensor<2>, span: &Span, k: usize) -> Tensor<2> {
        self.loss_gradient(answer, span.fast_targets.step(k))
    }

    /// At the answer to the span, `[batch, classes]`.
    fn slow_loss_gradient(&self, answer: &Tensor<2>, span: &Span) -> Tensor<2> {
        self.loss_gradient(answer, span.slow_targets.clone())
    }

    fn loss_gradient(&self, answer: &Tensor<2>, target: Data) -> Tensor<2> {
        let weight = Reduction::Mean.weight(answer.dims()[0]);
        self.loss.weighted_gradient(answer.clone(), target, weight)
    }

    /// The answers to the inputs of a span, at inference: those of the fast network,
    /// `[T, batch, classes]`, and of the slow one, `[batch, classes]`, and the states after them.
    /// Nothing learns, and the networks keep their own states. `None` for `states` means zero
    /// states.
    ///
    /// # Panics
    ///
    /// If a shape does not fit.
    pub fn predict(
        &self,
        inputs: impl Into<Data<3>>,
        states: Option<ClockStates>,
    ) -> (Tensor<3>, Tensor<2>, ClockStates) {
        let inputs = inputs.into().off_tape();
        assert_steps(&inputs, self.period);
        let (mut fast, slow) = states.map(|s| (plain(s.fast), plain(s.slow))).unzip();
        let [mut answers, mut messages] = [(); 2].map(|()| Vec::with_capacity(self.period));
        for k in 0..self.period {
            let window = inputs.narrow(k * self.period, self.period);
            let ([answer, message], after) = self.fast.predict(window, fast);
            answers.push(answer);
            messages.push(message);
            fast = Some(after);
        }
        let (slow_answer, slow) = self.slow.predict(Tensor::stack(messages, 0), slow);
        let fast = fast.expect("a span has a window");
        let states = ClockStates { fast, slow };
        (Tensor::stack(answers, 0), slow_answer, states)
    }
}

impl Feedback {
    /// The gradient at a message as the interface sees it coming.
    fn predict(&self, message: &Tensor<2>, context: Option<Tensor<2>>) -> Option<Prediction> {
        match self {
            Self::Synthetic { interface, .. } => Some(interface.predict(message.clone(), context)),
            Self::None | Self::Coupled => None,
        }
    }

    /// What the fast network learns from: `scale * delta_hat`, `[batch, message]`.
    fn synthetic_gradient(&self, prediction: &Option<Prediction>) -> Option<Tensor<2>> {
        match (self, prediction) {
            (Self::Synthetic { scale, .. }, Some(prediction)) => {
                Some(prediction.delta_hat().mul_scalar(*scale))
            }
            _ => None,
        }
    }

    /// Regresses every prediction of a span to the gradient that arrived, `[T, batch, message]`;
    /// what they were off.
    fn learn(&mut self, predictions: Vec<Prediction>, arrived: &Tensor<3>) -> Vec<Tensor<2>> {
        let Self::Synthetic { interface, .. } = self else {
            return Vec::new();
        };
        let predictions = predictions.into_iter().enumerate();
        predictions
            .map(|(k, prediction)| interface.learn(prediction, at(arrived, k)))
            .collect()
    }
}

impl Span {
    /// The inputs of window `k`, of `T` steps.
    fn window(&self, k: usize, period: usize) -> Data<3> {
        self.inputs.narrow(k * period, period)
    }

    /// The context of window `k`, `[batch, contexts]`, if there is one.
    fn context(&self, k: usize) -> Option<Tensor<2>> {
        self.contexts.as_ref().map(|contexts| at(contexts, k))
    }

    /// The same values without a tape, should the caller's tensors have one.
    ///
    /// # Panics
    ///
    /// If it is not a span of this period.
    fn off_tape(self, period: usize) -> Self {
        let span = Self {
            inputs: self.inputs.off_tape(),
            fast_targets: self.fast_targets.off_tape(),
            slow_targets: self.slow_targets.off_tape(),
            contexts: self.contexts.map(plain),
        };
        assert_steps(&span.inputs, period);
        let [_, batch] = span.inputs.steps();
        let targets = (span.fast_targets.steps(), span.slow_targets.examples());
        assert!(
            targets == ([period, batch], batch),
            "a span of {batch} streams of period {period} has a target for each of them at every end, \
             not {targets:?}"
        );
        if let Some(contexts) = &span.contexts {
            assert_shape!(contexts, [period, batch, _]);
        }
        span
    }
}

/// # Panics
///
/// If these are not the inputs of a span of this period.
fn assert_steps(inputs: &Data<3>, period: usize) {
    let [steps, _] = inputs.steps();
    assert!(
        steps == period * period,
        "a span of period {period} has {} steps, got {steps}",
        period * period
    );
}

/// Row `k` of `[rows, batch, features]`.
fn at(tensor: &Tensor<3>, k: usize) -> Tensor<2> {
    let [_, batch, features] = tensor.dims();
    let row = tensor.clone().narrow(0, k, 1);
    row.reshape([batch, features])
}
