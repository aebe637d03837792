//! A chain of sections with interfaces between them, and its training step.
//!
//! [`Chain::step`] is the reference: one thread, every section in turn, in the paper's order. Every
//! other schedule must agree with it.

mod changing;
mod group;
mod layer;
mod learn;
mod small;
mod step;

pub(crate) use group::{Group, Sent};

pub use changing::SectionMut;
pub use learn::ChainSchedule;

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::batch::{Batch, Data};
use crate::credit::Credit;
use crate::error::Result;
use crate::interface::{Interface, Prediction};
use crate::loss::{LossFunction, Objective, Reduction};
use crate::optimizer::Optimizer;
use crate::pass::{Input, Pass};
use crate::place::is_remote;
use crate::quality::Quality;
use crate::section::Section;
use crate::trained::{AnySection, Trained};
use crate::unlock::InputModel;

/// The tensors of one training step, to be inspected; nothing is read back from the device.
#[derive(Debug, Clone)]
pub struct Step {
    /// The messages `h_1 .. h_{N-1}` of this step, `[batch, features]`.
    pub messages: Vec<Tensor<2>>,
    /// The output `h_N` before the update, `[batch, outputs]`.
    pub output: Tensor<2>,
    /// `delta_hat - delta` at every interface from the bottom up, `[batch, features]`, in the
    /// unit of its synthesizer; none where the synthesizer did not learn in this step. Empty if
    /// the credit uses no synthesizers.
    pub residuals: Vec<Option<Tensor<2>>>,
    /// `h_hat - h` at every interface from the bottom up, `[batch, features]`; none where no
    /// [input model](crate::unlock::InputModel) learned in this step.
    pub input_residuals: Vec<Option<Tensor<2>>>,
}

/// A feed-forward network: sections `f_1 .. f_N` with an interface between each two.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use dni::{Batch, Chain, Credit, DenseConfig, Interface, LinearSynthesizerConfig, Loss, Optimizer};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let (device, rng) = (Device::flex(), &mut ChaCha8Rng::seed_from_u64(1));
/// let synthesizer = LinearSynthesizerConfig::new(8).with_contexts(1).init(rng, &device);
/// let mut chain = Chain::new(Loss::BinaryCrossEntropy)
///     .section("hidden", DenseConfig::new(2, 8).init(rng, &device), Optimizer::adam(1e-2))
///     .interface(Interface::new(synthesizer, Optimizer::adam(3e-2)))
///     .section("output", DenseConfig::new(8, 1).linear().init(rng, &device), Optimizer::adam(1e-2));
///
/// let input = Tensor::from_floats([[0., 0.], [0., 1.], [1., 0.], [1., 1.]], &device);
/// let target = Tensor::<2>::from_floats([[0.], [1.], [1.], [0.]], &device);
/// let batch = Batch::new(input, target.clone()).with_context(target);
/// for _ in 0..500 {
///     chain.step(batch.clone(), Credit::Synthetic);
/// }
/// assert!(chain.loss_of(&batch) < 0.1);
/// ```
pub struct Chain {
    objective: Objective,
    sections: Vec<NamedSection>,
    /// `interfaces[i]` stands on top of `sections[i]`.
    interfaces: Vec<Interface>,
    /// What all learning rates are multiplied by, besides the factor of a schedule.
    rate_factor: f64,
}

struct NamedSection {
    name: String,
    section: Box<dyn AnySection>,
}

impl Chain {
    /// An empty chain that minimises the mean of a loss over the batch.
    pub fn new(loss: impl LossFunction) -> Self {
        Self {
            objective: Objective {
                loss: Arc::new(loss),
                reduction: Reduction::default(),
            },
            sections: Vec::new(),
            interfaces: Vec::new(),
            rate_factor: 1.0,
        }
    }

    /// Sets the reduction of the loss.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.objective.reduction = reduction;
        for interface in &mut self.interfaces {
            interface.set_reduction(reduction);
        }
        self
    }

    /// Adds a section on top, with its own optimizer.
    ///
    /// # Panics
    ///
    /// If there is a section of this name, or an interface is missing below it: either every two
    /// sections have an interface between them, or none.
    pub fn section(
        mut self,
        name: impl Into<String>,
        section: impl Section,
        optimizer: Optimizer,
    ) -> Self {
        assert!(
            self.interfaces.is_empty() || self.interfaces.len() == self.sections.len(),
            "put an interface between each two sections, or none at all"
        );
        let name = name.into();
        assert!(
            self.sections.iter().all(|s| s.name != name),
            "there is a section '{name}' already, and logs tell sections and interfaces by their \
             names; give each a name of its own"
        );
        self.sections.push(NamedSection {
            name,
            section: Box::new(Trained::new(section, optimizer)),
        });
        self
    }

    /// Adds the interface between the section added last and the one that follows.
    ///
    /// # Panics
    ///
    /// If there is no section below it, or that section already has an interface on top.
    pub fn interface(mut self, mut interface: Interface) -> Self {
        assert!(
            self.interfaces.len() + 1 == self.sections.len(),
            "an interface stands on top of a section, one on each"
        );
        interface.set_reduction(self.objective.reduction);
        self.interfaces.push(interface);
        self
    }

    /// The name of every section, from the bottom up.
    pub fn names(&self) -> Vec<&str> {
        self.sections.iter().map(|s| s.name.as_str()).collect()
    }

    /// The name of every interface, from the bottom up: that of the section below it.
    pub fn interface_names(&self) -> Vec<&str> {
        self.names()[..self.interfaces.len()].to_vec()
    }

    /// The section of this name in its current state, if it is of type `S`.
    pub fn get<S: Section>(&self, name: &str) -> Option<&S> {
        let s = self.sections.iter().find(|s| s.name == name)?;
        s.section.as_any().downcast_ref()
    }

    /// Takes the input model out of the interface on top of section `i`, if it has one.
    pub(crate) fn take_input_model(&mut self, i: usize) -> Option<InputModel> {
        self.interfaces.get_mut(i)?.take_input_model()
    }

    /// Puts an input model into the interface on top of section `i`.
    pub(crate) fn put_input_model(&mut self, i: usize, model: InputModel) {
        self.interfaces[i].put_input_model(model);
    }

    /// The interfaces, from the bottom up.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The loss.
    pub fn loss(&self) -> &dyn LossFunction {
        &*self.objective.loss
    }

    /// One training step on one batch, in which every section learns.
    ///
    /// # Panics
    ///
    /// If a shape does not fit, a synthesizer needs a context that the batch does not have, the
    /// chain or the batch is empty, the credit needs interfaces and there are none, or its lambda
    /// is not from 0 to 1.
    pub fn step(&mut self, batch: Batch, credit: Credit) -> Step {
        let all = vec![true; self.sections.len()];
        self.sparse_step(batch, credit, &all)
    }

    /// One training step on one batch, in which only some sections learn: `learners` says which,
    /// with one entry for each section from the bottom up.
    ///
    /// A section that does not learn sends its message up, but nothing down: the synthesizer
    /// below it has nothing to learn from, and under a credit that waits for the sections above,
    /// what lies below it gets no true gradient.
    ///
    /// # Panics
    ///
    /// As [`step`](Self::step) does, or if there is not one entry for each section.
    pub fn sparse_step(&mut self, batch: Batch, credit: Credit, learners: &[bool]) -> Step {
        self.check_step(&batch, credit, learners);
        let batch = batch.off_tape();
        match self.small_step(&batch, credit, learners) {
            Some(step) => step,
            None => self.general_step(batch, credit, learners),
        }
    }

    /// The step of a chain of any sections, through their passes.
    fn general_step(&mut self, batch: Batch, credit: Credit, learners: &[bool]) -> Step {
        match credit {
            Credit::Synthetic => self.decoupled_step(batch, learners),
            Credit::Mixed { lambda } => self.locked_step(batch, Some(lambda), learners),
            Credit::Backprop | Credit::Delayed => self.locked_step(batch, None, learners),
            Credit::None => self.top_step(batch, learners),
        }
    }

    /// One training step in which sections learn by backprop, and synthesizers and input models
    /// without being applied.
    fn warm_up_step(&mut self, batch: Batch, learners: &[bool]) -> Step {
        let input = batch.input.clone();
        let mut step = self.sparse_step(batch, Credit::Mixed { lambda: 1.0 }, learners);
        let sent = self.interfaces.iter_mut().zip(&step.messages).zip(learners);
        let residuals = sent.map(|((interface, message), learns)| {
            let guess = interface.guess(&input).filter(|_| *learns)?;
            Some(interface.learn_input(guess, message.clone()))
        });
        step.input_residuals = residuals.collect();
        step
    }

    fn check_step(&self, batch: &Batch, credit: Credit, learners: &[bool]) {
        let sections = self.sections.len();
        assert!(sections > 0, "a chain needs a section");
        assert!(batch.input.examples() > 0, "a batch needs an example");
        assert!(
            learners.len() == sections,
            "{sections} sections need as many entries in learners, not {}",
            learners.len()
        );
        if let Credit::Mixed { lambda } = credit {
            assert!(
                (0.0..=1.0).contains(&lambda),
                "lambda must be from 0 to 1, got {lambda}"
            );
        }
        assert!(
            !credit.uses_synthesizers() || self.interfaces.len() + 1 == sections,
            "{credit:?} needs an interface between each two sections"
        );
    }

    /// Moves every section to its own device, `devices` from the bottom up, with the synthesizer on
    /// top of it and the input model below it. From then on messages and gradients are copied to
    /// where they are needed, whatever the schedule.
    ///
    /// # Errors
    ///
    /// If a device does not take a state.
    ///
    /// # Panics
    ///
    /// If there is not one device for each section.
    pub fn place(&mut self, devices: &[Device]) -> Result<()> {
        let sections = self.sections.len();
        assert!(
            devices.len() == sections,
            "{sections} sections need as many devices, not {}",
            devices.len()
        );
        for (s, device) in self.sections.iter_mut().zip(devices) {
            s.section.move_to(device)?;
        }
        let pairs = devices.iter().zip(devices.iter().skip(1));
        for (interface, (below, above)) in self.interfaces.iter_mut().zip(pairs) {
            interface.move_to(below)?;
            interface.move_input_model_to(above)?;
        }
        Ok(())
    }

    /// Whether a part of it lies on a server.
    pub(crate) fn is_on_servers(&self) -> bool {
        let mut homes = self.sections.iter().filter_map(|s| s.section.home());
        homes.any(is_remote)
    }

    /// Multiplies all learning rates, those of synthesizers included, by `factor` from now on. It
    /// replaces the factor set before; the factor of an [`LrSchedule`](crate::LrSchedule)
    /// multiplies it.
    ///
    /// # Panics
    ///
    /// If it is negative or not finite.
    pub fn set_rate_factor(&mut self, factor: f64) {
        self.group().set_rate_factor(factor);
        self.rate_factor = factor;
    }

    /// What rates are multiplied by where a schedule has this factor.
    pub(crate) fn with_rate_factor(&self, of_schedule: f64) -> f64 {
        self.rate_factor * of_schedule
    }

    /// Brings everything up to date that modules keep by the thread that trained them, so that
    /// another one can go on.
    pub(crate) fn sync_statistics(&mut self) {
        for s in &mut self.sections {
            s.section.sync_statistics();
        }
        for interface in &mut self.interfaces {
            interface.sync_statistics();
        }
    }

    /// Runs every section on the cut message of the one below.
    fn forward_passes(&self, input: Data) -> (Vec<Pass>, Tensor<2>) {
        let mut passes = Vec::with_capacity(self.sections.len());
        let mut input = Input::from(input);
        for s in &self.sections {
            let pass = s.section.pass(input);
            input = Input::Message(pass.output.clone());
            passes.push(pass);
        }
        (passes, input.into_parts().0)
    }

    /// What every interface predicts for the message below it.
    fn predictions(&self, passes: &[Pass], context: &Option<Tensor<2>>) -> Vec<Prediction> {
        self.interfaces
            .iter()
            .zip(passes)
            .map(|(interface, pass)| interface.predict(pass.output.clone(), context.clone()))
            .collect()
    }

    /// The output for `input`, `[batch, inputs]` or tokens to `[rows, outputs]`, on the last
    /// section's device, at inference: without a tape, batch norm with its running statistics, no
    /// synthesizers.
    ///
    /// # Panics
    ///
    /// If the input is not what the first section takes, or there is no section.
    pub fn predict(&self, input: impl Into<Data>) -> Tensor<2> {
        let input = Input::from(input.into().off_tape());
        let output = self
            .sections
            .iter()
            .fold(input, |input, s| Input::Message(s.section.predict(input)));
        output.into_parts().0
    }

    /// The mean loss of a batch, read back from the device.
    ///
    /// # Panics
    ///
    /// If a shape does not fit.
    pub fn loss_of(&self, batch: &Batch) -> f32 {
        let batch = batch.clone().off_tape();
        let output = self.predict(batch.input.clone());
        self.objective.mean(output, &batch).into_scalar()
    }

    /// How good the synthetic gradients on a batch are, for every interface from the bottom up.
    ///
    /// It compares each prediction with the true gradient by backprop through all sections above,
    /// and leaves the chain unchanged.
    ///
    /// # Panics
    ///
    /// As [`step`](Self::step) does.
    pub fn quality(&self, batch: &Batch) -> Vec<Quality> {
        if self.interfaces.is_empty() {
            return Vec::new();
        }
        let batch = batch.clone().off_tape();
        let observer = self.observer();
        let (passes, output) = observer.forward_passes(batch.input.clone());
        let predictions = observer.predictions(&passes, &batch.context);
        let mut qualities = Vec::with_capacity(predictions.len());
        let mut delta = observer.objective.gradient(output, &batch);
        let above_first = passes.into_iter().skip(1);
        for (pass, (i, m)) in above_first.zip(predictions.into_iter().enumerate()).rev() {
            let Some(below) = pass.back(delta).input else {
                break;
            };
            let name = observer.sections[i].name.clone();
            qualities.push(Quality::measure(name, m.delta_hat(), below.clone()));
            delta = below;
        }
        qualities.reverse();
        qualities
    }

    /// A copy for measurements, which leaves this one untouched.
    pub(crate) fn observer(&self) -> Self {
        Self {
            sections: self
                .sections
                .iter()
                .map(|s| NamedSection {
                    name: s.name.clone(),
                    section: s.section.observer(),
                })
                .collect(),
            interfaces: self.interfaces.iter().map(Interface::observer).collect(),
            objective: self.objective.clone(),
            rate_factor: self.rate_factor,
        }
    }
}
