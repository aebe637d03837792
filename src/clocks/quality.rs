//! How good the synthetic gradients at messages are, measured against the true ones.

use burn::tensor::Tensor;

use super::learn::MESSAGE;
use super::{ClockStates, Clocks, Feedback, Span, at};
use crate::pass::plain;
use crate::quality::Quality;

impl Clocks {
    /// How good the synthetic gradients at the messages of a span are, all messages together:
    /// compared with the gradient of the slow network's loss, by backpropagation through its span.
    /// None without an interface.
    ///
    /// The span starts from `states`; `None` means zero states. The networks are unchanged.
    ///
    /// # Panics
    ///
    /// If a shape does not fit.
    pub fn quality(&self, span: &Span, states: Option<ClockStates>) -> Option<Quality> {
        let Feedback::Synthetic { interface, .. } = &self.feedback else {
            return None;
        };
        let span = span.clone().off_tape(self.period);
        let (fast, slow) = states.map(|s| (plain(s.fast), plain(s.slow))).unzip();
        let (mut fast, mut slow) = (self.fast.observer(fast), self.slow.observer(slow));
        let interface = interface.observer();
        let windows = (0..self.period).map(|k| fast.unroll(span.window(k, self.period)).message());
        let messages: Vec<Tensor<2>> = windows.collect();
        let predictions = messages.iter().enumerate().map(|(k, message)| {
            let prediction = interface.predict(message.clone(), span.context(k));
            prediction.delta_hat()
        });
        let delta_hat = Tensor::cat(predictions.collect(), 0);
        let slow = slow.unroll(Tensor::stack(messages, 0));
        let at_answer = self.slow_loss_gradient(&slow.answer(), &span);
        let arrived = slow.back(at_answer).messages;
        let delta = (0..self.period).map(|k| at(&arrived, k)).collect();
        let delta = Tensor::cat(delta, 0);
        Some(Quality::measure(MESSAGE.to_string(), delta_hat, delta))
    }
}
