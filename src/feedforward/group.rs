//! Neighbouring sections of a chain, and the decoupled step of one of them.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use super::{Chain, NamedSection};
use crate::batch::{Batch, Part};
use crate::interface::{Interface, Prediction};
use crate::loss::{Objective, Reduction};
use crate::pass::{Input, Pass};
use crate::unlock::GuessedMessage;

/// Neighbouring sections, lent out with the interfaces on top of them: those of a whole chain, or
/// those that a worker trains. Sections are counted from the lowest of the group.
pub(crate) struct Group<'a> {
    sections: &'a mut [NamedSection],
    /// One on top of each section, but for the last one of the chain; empty if they rest.
    interfaces: &'a mut [Interface],
    has_top: bool,
    objective: &'a Objective,
}

/// Why there is an interface on top of the highest section of a group.
const ON_TOP: &str = "a section that is answered has an interface on top of it";

/// What a section leaves when it has taken its decoupled step.
pub(crate) struct SectionStep {
    /// `h_i`, `[batch, features]`
    pub output: Tensor<2>,
    /// What it sends up; none at the top of the chain.
    pub sent: Option<Sent>,
    /// The gradient at its input; none if it did not learn or the input was data.
    pub target: Option<Tensor<2>>,
}

/// What a section sends up in a decoupled step.
pub(crate) struct Sent {
    /// `h_i`
    pub message: Tensor<2>,
    /// What the input model of the section above makes of the network's input.
    guess: Option<GuessedMessage>,
    /// The synthesizer's, if anybody needs it.
    pub prediction: Option<Prediction>,
}

impl Chain {
    /// All sections.
    pub(super) fn group(&mut self) -> Group<'_> {
        Group {
            sections: &mut self.sections,
            interfaces: &mut self.interfaces,
            has_top: true,
            objective: &self.objective,
        }
    }

    /// The sections in groups of these sizes, from the bottom up; if the interfaces `rest`,
    /// without them.
    ///
    /// # Panics
    ///
    /// If the sizes do not add up to the number of sections.
    pub(crate) fn groups(&mut self, sizes: &[usize], rest: bool) -> Vec<Group<'_>> {
        let sections = self.sections.len();
        assert!(
            sizes.iter().sum::<usize>() == sections,
            "{sizes:?} are no groups of {sections} sections"
        );
        let mut group = self.group();
        if rest {
            group.interfaces = &mut [];
        }
        let mut groups = Vec::with_capacity(sizes.len());
        for &size in sizes {
            let (sections, above) = group.sections.split_at_mut(size);
            let on_top = size.min(group.interfaces.len());
            let (interfaces, interfaces_above) = group.interfaces.split_at_mut(on_top);
            groups.push(Group {
                sections,
                interfaces,
                has_top: above.is_empty(),
                ..group
            });
            (group.sections, group.interfaces) = (above, interfaces_above);
        }
        groups
    }
}

impl Group<'_> {
    /// How many sections it has.
    pub fn len(&self) -> usize {
        self.sections.len()
    }

    /// Where the parameters of its sections lie, if there are any.
    pub fn device(&self) -> Option<Device> {
        let homes = self.sections.iter().find_map(|s| s.section.home());
        homes.cloned()
    }

    /// How the loss of a batch is made up.
    pub fn reduction(&self) -> Reduction {
        self.objective.reduction
    }

    /// Multiplies all learning rates by `factor`, which replaces the factor before.
    pub fn set_rate_factor(&mut self, factor: f64) {
        for s in &mut *self.sections {
            s.section.set_rate_factor(factor);
        }
        for interface in &mut *self.interfaces {
            interface.set_rate_factor(factor);
        }
    }

    /// DNI for section `i`, which has just run: it is updated at once, with the gradient that the
    /// interface on top of it predicts or, at the top of the chain, that of the loss.
    ///
    /// `learners` says which sections learn in this step, from the lowest of the group to that
    /// above it.
    pub fn section_step(
        &mut self,
        i: usize,
        pass: Pass,
        batch: &Batch,
        learners: &[bool],
    ) -> SectionStep {
        let output = pass.output.clone();
        let is_top = self.has_top && i + 1 == self.sections.len();
        let sent = (!is_top).then(|| self.send(i, output.clone(), batch, learners));
        let delta = learners[i].then(|| match &sent {
            Some(sent) => sent.delta_hat(),
            None => self.true_gradient(output.clone(), batch),
        });
        SectionStep {
            output,
            sent,
            target: delta.and_then(|delta| self.give_credit(i, pass, delta)),
        }
    }

    /// Runs section `i`.
    pub fn pass(&self, i: usize, input: Input) -> Pass {
        self.sections[i].section.pass(input)
    }

    /// Sends `delta` back through section `i` and updates it; what arrives below.
    pub fn give_credit(&mut self, i: usize, pass: Pass, delta: Tensor<2>) -> Option<Tensor<2>> {
        self.sections[i].give_credit(pass, delta)
    }

    /// The gradient of the loss of a whole batch at the output for a part of it, of the highest
    /// section, which is the chain's.
    pub fn part_gradient(&self, output: Tensor<2>, part: &Part) -> Tensor<2> {
        let delta = self.true_gradient(output, &part.batch);
        match self.objective.reduction {
            Reduction::Mean => part.weigh(delta),
            Reduction::Sum => delta,
        }
    }

    /// What a part of a batch adds to the mean loss of that.
    pub fn part_loss(&self, output: Tensor<2>, part: &Part) -> Tensor<1> {
        part.weigh(self.mean_loss(output, &part.batch))
    }

    /// Updates section `i` by the sum of some gradients; none leave it as it is.
    pub fn update_by_sum(&mut self, i: usize, gradients: Vec<GradientsParams>) {
        self.sections[i].section.update_by_sum(gradients);
    }

    /// A copy of gradients of section `i`, which shares their values.
    pub fn copy_of(&self, i: usize, gradients: &GradientsParams) -> GradientsParams {
        self.sections[i].section.copy_of(gradients)
    }

    /// The size of gradients of section `i`.
    pub fn bytes_of(&self, i: usize, gradients: &GradientsParams) -> usize {
        size_of::<f32>() * self.sections[i].section.numbers_in(gradients)
    }

    /// A batch where the sections compute. Its input, which is most of it, stays where it is unless the
    /// lowest of them runs on it or is given a guess by it, or an interface among them makes one.
    pub fn bring(&self, batch: Batch, sees_input: bool) -> Batch {
        let sees_input = sees_input || self.interfaces.iter().any(Interface::guesses);
        match self.device() {
            Some(device) => batch.on(&device, sees_input),
            None => batch,
        }
    }

    /// The gradient of the loss at the output of the highest section, which is the chain's.
    pub fn true_gradient(&self, output: Tensor<2>, batch: &Batch) -> Tensor<2> {
        self.objective.gradient(output, batch)
    }

    /// What section `i` sends up with its message.
    fn send(&self, i: usize, message: Tensor<2>, batch: &Batch, learners: &[bool]) -> Sent {
        let Some(interface) = self.interfaces.get(i) else {
            return Sent {
                message,
                guess: None,
                prediction: None,
            };
        };
        let guess = interface.guess(&batch.input);
        // A section that rests sends no message: above it the guess must do.
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

    /// Lets the interface on top of section `i` learn: its synthesizer from the gradient that came
    /// down, its input model from the message, if one `was_sent`. Returns the residuals of both; none if
    /// the interface rests.
    pub fn learn(
        &mut self,
        i: usize,
        sent: Sent,
        target: Option<Tensor<2>>,
        was_sent: bool,
    ) -> (Option<Tensor<2>>, Option<Tensor<2>>) {
        let Some(interface) = self.interfaces.get_mut(i) else {
            return (None, None);
        };
        let residual = sent
            .prediction
            .zip(target)
            .map(|(prediction, target)| interface.learn(prediction, target));
        let input_residual = sent
            .guess
            .filter(|_| was_sent)
            .map(|guess| interface.learn_input(guess, sent.message));
        (residual, input_residual)
    }

    /// Sets the factor of the learning rates of the interface on top of the highest section, which
    /// learns from steps that are past.
    pub fn set_rate_factor_on_top(&mut self, factor: f64) {
        let interface = self.interfaces.last_mut();
        interface.expect(ON_TOP).set_rate_factor(factor);
    }

    /// Lets the synthesizer on top of the highest section learn the gradient `delta`. Returns its
    /// residual.
    pub fn learn_on_top(&mut self, prediction: Prediction, delta: Tensor<2>) -> Tensor<2> {
        let interface = self.interfaces.last_mut();
        interface.expect(ON_TOP).learn(prediction, delta)
    }

    /// The mean loss of the highest section's output, which is the chain's.
    pub fn mean_loss(&self, output: Tensor<2>, batch: &Batch) -> Tensor<1> {
        self.objective.mean(output, batch)
    }
}

impl Sent {
    /// What the section above runs on.
    pub fn received(&self) -> Input {
        Input::Message(match &self.guess {
            Some(guess) => guess.message.clone(),
            None => self.message.clone(),
        })
    }

    fn delta_hat(&self) -> Tensor<2> {
        let prediction = self.prediction.as_ref();
        let prediction = prediction.expect("there is one for a section that learns");
        prediction.delta_hat()
    }
}

impl NamedSection {
    /// Sends `delta` back through the section and updates it; what arrives below.
    pub(super) fn give_credit(&mut self, pass: Pass, delta: Tensor<2>) -> Option<Tensor<2>> {
        let gradients = pass.back(delta);
        self.section.update(gradients.parameters);
        gradients.input
    }
}
