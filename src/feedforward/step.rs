//! The training steps of a chain, one for each way of waiting.

use burn::tensor::Tensor;

use super::{Batch, Chain, Step};
use crate::interface::Prediction;
use crate::pass::{Input, Pass};
use crate::unlock::GuessedMessage;

/// What a section sends up in a decoupled step.
struct Sent {
    /// `h_i`
    message: Tensor<2>,
    /// What the input model of the section above makes of the network's input.
    guess: Option<GuessedMessage>,
    /// The synthesizer's, if anybody needs it.
    prediction: Option<Prediction>,
}

impl Chain {
    /// DNI: each section is updated as soon as it has run, with the gradient that its interface
    /// predicts; the interface below it learns from what this sends back (paper, section 2.1).
    ///
    /// Where an interface has an input model, the section above runs on that model's guess instead
    /// of the message (paper, section 3.3).
    pub(super) fn decoupled_step(&mut self, batch: Batch, learners: &[bool]) -> Step {
        let top = self.sections.len() - 1;
        let mut step = Step {
            messages: Vec::with_capacity(top),
            output: batch.input.clone(),
            residuals: Vec::with_capacity(top),
            input_residuals: Vec::with_capacity(top),
        };
        let mut below: Option<Sent> = None;
        for i in 0..=top {
            let pass = self.sections[i].section.pass(match &below {
                None => Input::Data(batch.input.clone()),
                Some(sent) => Input::Message(sent.received()),
            });
            let message = pass.output.clone();
            let sent = (i < top).then(|| self.send(i, message.clone(), &batch, learners));
            let delta = learners[i].then(|| match &sent {
                Some(sent) => sent.delta_hat(),
                None => self.true_gradient(&message, &batch.target),
            });
            let target = delta.and_then(|delta| self.give_credit(i, pass, delta));
            if let Some(below) = below {
                let (residual, input_residual) =
                    self.learn_below(i, below, target, learners[i - 1]);
                step.residuals.push(residual);
                step.input_residuals.push(input_residual);
            }
            match sent {
                Some(_) => step.messages.push(message),
                None => step.output = message,
            }
            below = sent;
        }
        step
    }

    /// What section `i` sends up with its message, if that goes to another section.
    fn send(&self, i: usize, message: Tensor<2>, batch: &Batch, learners: &[bool]) -> Sent {
        let interface = &self.interfaces[i];
        let guess = interface.guess(&batch.input);
        // A section that rests sends nothing in earnest: above it the guess must do.
        let at = match &guess {
            Some(guess) if !learners[i] => guess.message.clone(),
            _ => message.clone(),
        };
        let is_needed = learners[i] || learners[i + 1];
        let prediction = is_needed.then(|| interface.predict(at, batch.context.clone()));
        Sent {
            message,
            guess,
            prediction,
        }
    }

    /// Sends `delta` back through section `i` and updates it; what arrives below.
    fn give_credit(&mut self, i: usize, pass: Pass, delta: Tensor<2>) -> Option<Tensor<2>> {
        let gradients = pass.back(delta);
        self.sections[i].section.update(gradients.parameters);
        gradients.input
    }

    /// Lets the interface below section `i` learn: its synthesizer from the gradient that came
    /// down, its input model from the message, if that `was_sent` in earnest. Returns the
    /// residuals of both.
    fn learn_below(
        &mut self,
        i: usize,
        below: Sent,
        target: Option<Tensor<2>>,
        was_sent: bool,
    ) -> (Option<Tensor<2>>, Option<Tensor<2>>) {
        let interface = &mut self.interfaces[i - 1];
        let residual = below
            .prediction
            .zip(target)
            .map(|(prediction, target)| interface.learn(prediction, target));
        let input_residual = below
            .guess
            .filter(|_| was_sent)
            .map(|guess| interface.learn_input(guess, below.message));
        (residual, input_residual)
    }

    /// Backprop and BP(lambda): all sections run, then credit goes down from the top and waits
    /// at every section (paper, supplement, "BP(lambda)").
    pub(super) fn locked_step(
        &mut self,
        batch: Batch,
        lambda: Option<f64>,
        learners: &[bool],
    ) -> Step {
        let (passes, output) = self.forward_passes(batch.input);
        let messages = messages_of(&passes);
        let mut predictions = match lambda {
            Some(_) => self.predictions(&passes, &batch.context),
            None => Vec::new(),
        };
        let mut residuals = Vec::with_capacity(predictions.len());
        let mut credit = Some(self.true_gradient(&output, &batch.target));
        for (i, pass) in passes.into_iter().enumerate().rev() {
            let arrived = credit
                .filter(|_| learners[i])
                .and_then(|credit| self.give_credit(i, pass, credit));
            credit = match (lambda, predictions.pop(), arrived) {
                (Some(lambda), Some(prediction), Some(delta)) => {
                    let mixed = mix(&prediction.delta_hat, delta.clone(), lambda);
                    residuals.push(Some(self.interfaces[i - 1].learn(prediction, delta)));
                    Some(mixed)
                }
                (Some(_), Some(prediction), None) => {
                    residuals.push(None);
                    Some(prediction.delta_hat)
                }
                (_, _, arrived) => arrived,
            };
        }
        residuals.reverse();
        Step {
            messages,
            output,
            residuals,
            input_residuals: Vec::new(),
        }
    }

    /// "No bprop": only the top learns. The parameters below it stay as they are.
    pub(super) fn top_step(&mut self, batch: Batch, learners: &[bool]) -> Step {
        let (mut passes, output) = self.forward_passes(batch.input);
        let messages = messages_of(&passes);
        let delta = self.true_gradient(&output, &batch.target);
        let top = learners.len() - 1;
        if let Some(pass) = passes.pop().filter(|_| learners[top]) {
            self.give_credit(top, pass, delta);
        }
        Step {
            messages,
            output,
            residuals: Vec::new(),
            input_residuals: Vec::new(),
        }
    }
}

impl Sent {
    /// What the section above runs on.
    fn received(&self) -> Tensor<2> {
        match &self.guess {
            Some(guess) => guess.message.clone(),
            None => self.message.clone(),
        }
    }

    fn delta_hat(&self) -> Tensor<2> {
        let prediction = self.prediction.as_ref();
        let prediction = prediction.expect("there is one for a section that learns");
        prediction.delta_hat.clone()
    }
}

/// The outputs of all sections below the top.
fn messages_of(passes: &[Pass]) -> Vec<Tensor<2>> {
    let below_top = &passes[..passes.len() - 1];
    below_top.iter().map(|pass| pass.output.clone()).collect()
}

/// `(1 - lambda) delta_hat + lambda delta`
fn mix(delta_hat: &Tensor<2>, delta: Tensor<2>, lambda: f64) -> Tensor<2> {
    delta_hat.clone().mul_scalar(1.0 - lambda) + delta.mul_scalar(lambda)
}
