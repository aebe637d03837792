//! The training steps of a chain, one for each way of waiting.

use burn::tensor::Tensor;

use super::group::Sent;
use super::{Chain, Step};
use crate::batch::Batch;
use crate::pass::{Input, Pass, beside};

impl Chain {
    /// DNI: each section is updated as soon as it has run, with the gradient that its interface
    /// predicts; the interface below it learns from what this sends back (paper, section 2.1).
    ///
    /// Where an interface has an input model, the section above runs on that model's guess instead
    /// of the message (paper, section 3.3).
    pub(super) fn decoupled_step(&mut self, batch: Batch, learners: &[bool]) -> Step {
        let top = self.sections.len() - 1;
        let mut messages = Vec::with_capacity(top + 1);
        let mut residuals = Vec::with_capacity(top);
        let mut input_residuals = Vec::with_capacity(top);
        let mut group = self.group();
        let mut below: Option<Sent> = None;
        for i in 0..=top {
            let input = match &below {
                None => Input::from(batch.input.clone()),
                Some(sent) => sent.received(),
            };
            let pass = group.pass(i, input);
            let done = group.section_step(i, pass, &batch, learners);
            if let Some(below) = below {
                let was_sent = learners[i - 1];
                let (residual, input_residual) = group.learn(i - 1, below, done.target, was_sent);
                residuals.push(residual);
                input_residuals.push(input_residual);
            }
            messages.push(done.output);
            below = done.sent;
        }
        let output = messages.pop().expect("a chain that steps has a section");
        Step {
            messages,
            output,
            residuals,
            input_residuals,
        }
    }

    /// Backprop and BP(lambda): all sections run, then credit goes down from the top and waits
    /// at every section (paper, supplement, "BP(lambda)").
    pub(super) fn locked_step(
        &mut self,
        batch: Batch,
        lambda: Option<f64>,
        learners: &[bool],
    ) -> Step {
        let (passes, output) = self.forward_passes(batch.input.clone());
        let messages = messages_of(&passes);
        let mut predictions = match lambda {
            Some(_) => self.predictions(&passes, &batch.context),
            None => Vec::new(),
        };
        let mut residuals = Vec::with_capacity(predictions.len());
        let mut credit = Some(self.objective.gradient(output.clone(), &batch));
        for (i, pass) in passes.into_iter().enumerate().rev() {
            let arrived = credit
                .filter(|_| learners[i])
                .and_then(|credit| self.sections[i].give_credit(pass, credit));
            credit = match (lambda, predictions.pop(), arrived) {
                (Some(lambda), Some(prediction), Some(delta)) => {
                    let mixed = mix(&prediction.delta_hat(), delta.clone(), lambda);
                    residuals.push(Some(self.interfaces[i - 1].learn(prediction, delta)));
                    Some(mixed)
                }
                (Some(_), Some(prediction), None) => {
                    residuals.push(None);
                    Some(prediction.delta_hat())
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
        let (mut passes, output) = self.forward_passes(batch.input.clone());
        let messages = messages_of(&passes);
        let delta = self.objective.gradient(output.clone(), &batch);
        let top = learners.len() - 1;
        if let Some(pass) = passes.pop().filter(|_| learners[top]) {
            self.sections[top].give_credit(pass, delta);
        }
        Step {
            messages,
            output,
            residuals: Vec::new(),
            input_residuals: Vec::new(),
        }
    }
}

/// The outputs of all sections below the top.
fn messages_of(passes: &[Pass]) -> Vec<Tensor<2>> {
    let below_top = &passes[..passes.len() - 1];
    below_top.iter().map(|pass| pass.output.clone()).collect()
}

/// `(1 - lambda) delta_hat + lambda delta`
fn mix(delta_hat: &Tensor<2>, delta: Tensor<2>, lambda: f64) -> Tensor<2> {
    let delta = beside(delta, delta_hat);
    delta_hat.clone().mul_scalar(1.0 - lambda) + delta.mul_scalar(lambda)
}
