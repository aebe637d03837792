//! The steps of a worker in an asynchronous pipeline, [`Credit::Delayed`](crate::Credit::Delayed).

use burn::tensor::Tensor;

use super::member::Halt;
use super::messages::Lesson;
use super::worker::{Recipient, Worker};
use crate::learner::{Doing, Metric};
use crate::pass::{Input, Pass};

impl Worker<'_> {
    /// Runs the sections on a batch and sends the message up; then the gradients that have come, of
    /// messages before, go back through the passes of their own steps. The highest worker has the
    /// gradient of the loss at once.
    pub(super) fn take_delayed_step(&mut self, lesson: Lesson) -> Result<(), Halt> {
        let own = self.first..self.first + self.group.len();
        let is_top = own.end == lesson.learners.len();
        let learners = lesson.learners[own].to_vec();
        let batch = self.group.bring(lesson.batch, self.sees_input());
        self.group.set_rate_factor(self.log.rate_factor);
        let mut input = self.receive(&batch, false)?;
        let mut passes = Vec::with_capacity(learners.len());
        for i in 0..learners.len() {
            let begun = self.log.waited.trace.begin();
            let pass = self.group.pass(i, input);
            let section = self.first + i;
            let trace = &mut self.log.waited.trace;
            trace.end(begun, Doing::Section, Some(section));
            let sum = Metric::sum_of(pass.output.clone());
            self.log.note(Metric::Output(section), sum);
            input = Input::Message(pass.output.clone());
            passes.push(pass);
        }
        let (output, _) = input.into_parts();
        if !is_top {
            self.send(output)?;
            self.keep(Recipient::Sections { passes, learners });
            return self.catch_up(self.manner.depth - 1);
        }
        let loss = self.group.mean_loss(output.clone(), &batch);
        self.log.note(Metric::Loss, loss);
        let delta = self.group.true_gradient(output, &batch);
        self.go_back(self.log.step, passes, &learners, Some(delta))
    }

    /// Sends a gradient back through the passes of a step, updates the sections on the way, and
    /// answers the message below. Nothing passes a section that rests.
    pub(super) fn go_back(
        &mut self,
        step: usize,
        passes: Vec<Pass>,
        learners: &[bool],
        mut delta: Option<Tensor<2>>,
    ) -> Result<(), Halt> {
        for (i, pass) in passes.into_iter().enumerate().rev() {
            let begun = self.log.waited.trace.begin();
            delta = delta
                .filter(|_| learners[i])
                .and_then(|delta| self.group.give_credit(i, pass, delta));
            let section = Some(self.first + i);
            self.log.waited.trace.end(begun, Doing::Section, section);
        }
        self.answer(step, delta, None)
    }
}
