//! Backpropagation in a pipeline, the rival of decoupled workers that also splits the network.
//!
//! A batch goes through the workers in micro-batches, all of them up and then all of them down, the
//! newest first; the gradients of a step are those of the whole batch, and every section is updated
//! once (GPipe, Huang et al., arXiv:1811.06965):
//!
//! ```text
//! worker above            f1  f2  f3  b3  b2  b1  update
//! worker below    f1  f2  f3              b3  b2  b1  update
//! ```
//!
//! So all workers wait for the first message and for the last gradient in every step, and for both
//! ways of a link. With one micro-batch this is backpropagation on several places, one after another.
//!
//! The result is that of one thread but for rounding, and for batch norm, which takes its statistics
//! of each micro-batch by itself. With one micro-batch it is the same bit for bit.

use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use super::member::{Halt, Log, Member};
use super::messages::{Answer, Lesson, Message, Target, ToAbove, ToBelow, matrix};
use crate::batch::Part;
use crate::feedforward::Group;
use crate::learner::{Doing, Metric};
use crate::pass::{Input, Pass};
use crate::place::Coming;

/// A worker of a pipeline: neighbouring sections.
pub(super) struct Stage<'a> {
    pub log: Log,
    pub group: Group<'a>,
    /// Its lowest section, counted from that of the chain.
    pub first: usize,
    pub micro_batches: usize,
    pub below: Option<ToBelow>,
    pub above: Option<ToAbove>,
}

impl Member for Stage<'_> {
    fn take_step(&mut self, lesson: Lesson) -> Result<(), Halt> {
        let learners = &lesson.learners[self.first..];
        self.group.set_rate_factor(self.log.rate_factor);
        let batch = self.group.bring(lesson.batch, self.below.is_none());
        let parts = batch.parts(self.micro_batches);
        let mut runs = Vec::with_capacity(parts.len());
        for part in &parts {
            runs.push(self.forward(part)?);
        }
        self.note_metrics(&parts, &runs);
        let sections = 0..self.group.len();
        let mut gradients: Vec<Vec<_>> = sections.map(|_| Vec::new()).collect();
        for (part, passes) in parts.into_iter().zip(runs).rev() {
            self.backward(part, passes, learners, &mut gradients)?;
        }
        for (i, gradients) in gradients.into_iter().enumerate() {
            let begun = self.log.waited.trace.begin();
            self.group.update_by_sum(i, gradients);
            self.trace(begun, i);
        }
        Ok(())
    }

    fn device(&self) -> Option<Device> {
        self.group.device()
    }

    fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    fn into_log(self) -> Log {
        self.log
    }
}

impl Stage<'_> {
    /// Runs all sections on a micro-batch or what has come of it, and sends up what comes out.
    fn forward(&mut self, part: &Part) -> Result<Vec<Pass>, Halt> {
        let mut input = match &mut self.below {
            Some(below) => {
                let message = self.log.waited.receive(&mut below.messages)?;
                Input::Message(matrix(message.output)?)
            }
            None => Input::from(part.batch.input.clone()),
        };
        let mut passes = Vec::with_capacity(self.group.len());
        for i in 0..self.group.len() {
            let begun = self.log.waited.trace.begin();
            let pass = self.group.pass(i, input);
            input = Input::Message(pass.output.clone());
            passes.push(pass);
            self.trace(begun, i);
        }
        if let Some(above) = &mut self.above {
            let (output, _) = input.into_parts();
            above.messages.send(Message {
                step: self.log.step,
                output: Coming::sent_for(output),
            })?;
        }
        Ok(passes)
    }

    /// Sends the gradient of the loss, or what has come from above, back through all sections, and
    /// what comes out down; adds to the gradients of every section.
    fn backward(
        &mut self,
        part: Part,
        passes: Vec<Pass>,
        learners: &[bool],
        gradients: &mut [Vec<GradientsParams>],
    ) -> Result<(), Halt> {
        let mut delta = match &mut self.above {
            Some(above) => {
                let answer = self.log.waited.receive(&mut above.answers)?;
                let delta = answer.target.map(|target| matrix(target.delta));
                delta.transpose()?
            }
            None => Some(self.group.part_gradient(output_of(&passes), &part)),
        };
        for (i, pass) in passes.into_iter().enumerate().rev() {
            let begun = self.log.waited.trace.begin();
            // Nothing passes a section that rests.
            delta = delta.filter(|_| learners[i]).and_then(|delta| {
                let local = pass.back(delta);
                gradients[i].push(local.parameters);
                local.input
            });
            self.trace(begun, i);
        }
        if let Some(below) = &mut self.below {
            below.answers.send(Answer {
                step: self.log.step,
                target: delta.map(|delta| Target {
                    delta: Coming::sent_for(delta),
                    at: None,
                }),
            })?;
        }
        Ok(())
    }

    /// Takes down the metrics of a batch that has run.
    fn note_metrics(&mut self, parts: &[Part], runs: &[Vec<Pass>]) {
        for i in 0..self.group.len() {
            let sums = runs.iter().map(|passes| passes[i].output.clone().sum());
            let sum = sums.reduce(|a, b| a + b).expect("there is a part");
            self.log.note(Metric::Output(self.first + i), sum);
        }
        if self.above.is_none() {
            let parts = parts.iter().zip(runs);
            let losses = parts.map(|(part, run)| self.group.part_loss(output_of(run), part));
            let loss = losses.reduce(|a, b| a + b).expect("there is a part");
            self.log.note(Metric::Loss, loss);
        }
    }

    /// Something that was done with section `i` of its own has ended.
    fn trace(&mut self, begun: Option<Instant>, i: usize) {
        let trace = &mut self.log.waited.trace;
        trace.end(begun, Doing::Section, Some(self.first + i));
    }
}

/// What comes out of the highest section.
fn output_of(passes: &[Pass]) -> Tensor<2> {
    let highest = passes.last().expect("a worker has a section");
    highest.output.clone()
}
