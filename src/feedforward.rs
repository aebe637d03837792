//! A chain of sections with interfaces between them, and its training step.
//!
//! [`Chain::step`] is the reference: one thread, every section in turn, in the paper's order. Every
//! other schedule must agree with it.

use std::any::Any;

use burn::optim::{StateSink, StateSource};
use burn::tensor::Tensor;

use crate::credit::Credit;
use crate::error::Result;
use crate::interface::{Contract, Interface, Prediction};
use crate::loss::{Loss, Reduction};
use crate::optimizer::Optimizer;
use crate::pass::{Input, Pass};
use crate::quality::Quality;
use crate::section::Section;
use crate::trained::{AnyTrained, Trained};

/// One batch: what the network sees, what it should answer, and what only synthesizers may know.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[batch, inputs]`
    pub input: Tensor<2>,
    /// `[batch, outputs]`, as the [`Loss`] wants it.
    pub target: Tensor<2>,
    /// `[batch, contexts]`, for the synthesizers that take one: in cDNI the label.
    pub context: Option<Tensor<2>>,
}

impl Batch {
    /// The same values without a tape, should the caller's tensors have one.
    fn off_tape(self) -> Self {
        Self {
            input: self.input.inner(),
            target: self.target.inner(),
            context: self.context.map(Tensor::inner),
        }
    }
}

/// What one training step leaves for those who want to look; nothing is computed unless asked.
#[derive(Debug, Clone)]
pub struct Step {
    /// The messages `h_1 .. h_{N-1}` of this step, `[batch, features]`.
    pub messages: Vec<Tensor<2>>,
    /// The output `h_N` before the update, `[batch, outputs]`.
    pub output: Tensor<2>,
    /// `delta_hat - delta` at every interface from the bottom up, `[batch, features]`, in the
    /// unit of its synthesizer; empty if the credit uses no synthesizers.
    pub residuals: Vec<Tensor<2>>,
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
/// let batch = Batch { input, context: Some(target.clone()), target };
/// for _ in 0..500 {
///     chain.step(batch.clone(), Credit::Synthetic);
/// }
/// assert!(chain.loss_of(&batch) < 0.1);
/// ```
pub struct Chain {
    loss: Loss,
    reduction: Reduction,
    sections: Vec<NamedSection>,
    /// `interfaces[i]` stands on top of `sections[i]`.
    interfaces: Vec<Interface>,
}

struct NamedSection {
    name: String,
    section: Box<dyn AnySection>,
}

impl Chain {
    /// An empty chain under a loss, which is reduced to its mean over the batch.
    pub fn new(loss: Loss) -> Self {
        Self {
            loss,
            reduction: Reduction::default(),
            sections: Vec::new(),
            interfaces: Vec::new(),
        }
    }

    /// Sets the reduction of the loss.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        for interface in &mut self.interfaces {
            interface.set_reduction(reduction);
        }
        self
    }

    /// Adds a section on top, with its own optimizer.
    ///
    /// # Panics
    ///
    /// If interfaces have been left out below it: either every two sections have one between
    /// them, or none.
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
        self.sections.push(NamedSection {
            name: name.into(),
            section: Box::new(Trained::new(section, optimizer)),
        });
        self
    }

    /// Adds the interface between the section added last and the one that follows.
    ///
    /// # Panics
    ///
    /// If there is no section below it, or already an interface on top of that.
    pub fn interface(mut self, mut interface: Interface) -> Self {
        assert!(
            self.interfaces.len() + 1 == self.sections.len(),
            "an interface stands on top of a section, one on each"
        );
        interface.set_reduction(self.reduction);
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

    /// The section of this name as it is now, if it is of type `S`.
    pub fn get<S: Section>(&self, name: &str) -> Option<&S> {
        let s = self.sections.iter().find(|s| s.name == name)?;
        s.section.as_any().downcast_ref()
    }

    /// The interfaces, from the bottom up.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The loss.
    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// One training step on one batch.
    ///
    /// # Panics
    ///
    /// If a shape does not fit, a synthesizer wants a context that the batch has not, the chain
    /// or the batch is empty, the credit needs interfaces and there are none, or its lambda is not
    /// from 0 to 1.
    pub fn step(&mut self, batch: Batch, credit: Credit) -> Step {
        assert!(!self.sections.is_empty(), "a chain needs a section");
        assert!(batch.input.dims()[0] > 0, "a batch needs an example");
        if let Credit::Mixed { lambda } = credit {
            assert!(
                (0.0..=1.0).contains(&lambda),
                "lambda must be from 0 to 1, got {lambda}"
            );
        }
        let batch = batch.off_tape();
        assert!(
            !credit.uses_synthesizers() || self.interfaces.len() + 1 == self.sections.len(),
            "{credit:?} needs an interface between each two sections"
        );
        match credit {
            Credit::Synthetic => self.decoupled_step(batch),
            Credit::Mixed { lambda } => self.locked_step(batch, Some(lambda)),
            Credit::Backprop => self.locked_step(batch, None),
            Credit::None => self.top_step(batch),
        }
    }

    /// DNI: each section is updated as soon as it has run, with the gradient that its interface
    /// predicts; the interface below it learns from what this sends back (paper, section 2.1).
    fn decoupled_step(&mut self, batch: Batch) -> Step {
        let top = self.sections.len() - 1;
        let mut messages = Vec::with_capacity(top);
        let mut residuals = Vec::with_capacity(top);
        let mut below = None;
        let mut input = Input::Data(batch.input);
        for i in 0..top {
            let pass = self.sections[i].section.pass(input);
            let message = pass.output.clone();
            let prediction = self.interfaces[i].predict(message.clone(), batch.context.clone());
            let delta_hat = prediction.delta_hat.clone();
            residuals.extend(self.give_credit(i, pass, delta_hat, below));
            below = Some(prediction);
            messages.push(message.clone());
            input = Input::Message(message);
        }
        let pass = self.sections[top].section.pass(input);
        let output = pass.output.clone();
        let delta = self.true_gradient(&output, &batch.target);
        residuals.extend(self.give_credit(top, pass, delta, below));
        Step {
            messages,
            output,
            residuals,
        }
    }

    /// Sends `delta` back through section `i`, updates it, and lets the interface below it learn.
    fn give_credit(
        &mut self,
        i: usize,
        pass: Pass,
        delta: Tensor<2>,
        below: Option<Prediction>,
    ) -> Option<Tensor<2>> {
        let gradients = pass.back(delta);
        self.sections[i].section.update(gradients.parameters);
        let (prediction, target) = below.zip(gradients.input)?;
        Some(self.interfaces[i - 1].learn(prediction, target))
    }

    /// Backprop and BP(lambda): all sections run, then credit goes down from the top and waits
    /// at every section (paper, supplement, "BP(lambda)").
    fn locked_step(&mut self, batch: Batch, lambda: Option<f64>) -> Step {
        let (passes, output) = self.forward_passes(batch.input);
        let messages = messages_of(&passes);
        let mut predictions = match lambda {
            Some(_) => self.predictions(&passes, &batch.context),
            None => Vec::new(),
        };
        let mut residuals = Vec::with_capacity(predictions.len());
        let mut credit = self.true_gradient(&output, &batch.target);
        for (i, pass) in passes.into_iter().enumerate().rev() {
            let gradients = pass.back(credit);
            self.sections[i].section.update(gradients.parameters);
            let Some(delta) = gradients.input else {
                break;
            };
            credit = match (lambda, predictions.pop()) {
                (Some(lambda), Some(prediction)) => {
                    let mixed = mix(&prediction.delta_hat, delta.clone(), lambda);
                    residuals.push(self.interfaces[i - 1].learn(prediction, delta));
                    mixed
                }
                _ => delta,
            };
        }
        residuals.reverse();
        Step {
            messages,
            output,
            residuals,
        }
    }

    /// "No bprop": only the top learns. The parameters below it stay as they are.
    fn top_step(&mut self, batch: Batch) -> Step {
        let (mut passes, output) = self.forward_passes(batch.input);
        let messages = messages_of(&passes);
        let delta = self.true_gradient(&output, &batch.target);
        if let (Some(pass), Some(top)) = (passes.pop(), self.sections.last_mut()) {
            top.section.update(pass.back(delta).parameters);
        }
        Step {
            messages,
            output,
            residuals: Vec::new(),
        }
    }

    /// Runs every section on the cut message of the one below.
    fn forward_passes(&self, input: Tensor<2>) -> (Vec<Pass>, Tensor<2>) {
        let mut passes = Vec::with_capacity(self.sections.len());
        let mut input = Input::Data(input);
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

    fn true_gradient(&self, output: &Tensor<2>, target: &Tensor<2>) -> Tensor<2> {
        self.loss
            .gradient(output.clone(), target.clone(), self.reduction)
    }

    /// The output for `input`, `[batch, inputs]` to `[batch, outputs]`, as in use: without a
    /// tape, batch norm with its running statistics, no synthesizers.
    ///
    /// # Panics
    ///
    /// If the input does not have the features of the first section.
    pub fn predict(&self, input: Tensor<2>) -> Tensor<2> {
        self.sections
            .iter()
            .fold(input.inner(), |message, s| s.section.predict(message))
    }

    /// The mean loss of the examples of a batch, read back from the device.
    ///
    /// # Panics
    ///
    /// If a shape does not fit.
    pub fn loss_of(&self, batch: &Batch) -> f32 {
        self.loss
            .mean(
                self.predict(batch.input.clone()),
                batch.target.clone().inner(),
            )
            .into_scalar()
    }

    /// How good the synthetic gradients are on a batch, for every interface from the bottom up:
    /// the answer to "does this really work?".
    ///
    /// It compares each prediction with the true gradient by backprop through all sections above,
    /// and leaves the chain as it was.
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
        let (passes, output) = observer.forward_passes(batch.input);
        let predictions = observer.predictions(&passes, &batch.context);
        let mut qualities = Vec::with_capacity(predictions.len());
        let mut delta = observer.true_gradient(&output, &batch.target);
        let above_first = passes.into_iter().skip(1);
        for (pass, (i, m)) in above_first.zip(predictions.into_iter().enumerate()).rev() {
            let Some(below) = pass.back(delta).input else {
                break;
            };
            let name = observer.sections[i].name.clone();
            qualities.push(Quality::measure(name, m.delta_hat, below.clone()));
            delta = below;
        }
        qualities.reverse();
        qualities
    }

    /// A copy for measurements, which leaves this one untouched.
    fn observer(&self) -> Self {
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
            ..*self
        }
    }

    /// The first section or interface, from the bottom up, with a parameter that is NaN or
    /// infinite.
    pub fn find_not_finite(&self) -> Option<String> {
        let interface = |i: usize| self.interfaces.get(i);
        self.sections.iter().enumerate().find_map(|(i, s)| {
            if !s.section.is_finite() {
                return Some(format!("section '{}'", s.name));
            }
            interface(i)
                .filter(|interface| !interface.is_finite())
                .map(|_| format!("the synthesizer on top of section '{}'", s.name))
        })
    }

    /// The terms of all interfaces, which a checkpoint keeps.
    pub fn contracts(&self) -> Vec<Contract> {
        self.interfaces.iter().map(Interface::contract).collect()
    }

    /// Writes parameters and optimizer states of all sections and synthesizers.
    pub(crate) fn save(&self, sink: &mut StateSink) -> Result<()> {
        for (i, s) in self.sections.iter().enumerate() {
            s.section.save(&format!("section.{i}"), sink)?;
        }
        for (i, interface) in self.interfaces.iter().enumerate() {
            interface.save(&format!("interface.{i}"), sink)?;
        }
        Ok(())
    }

    /// Reads back what [`save`](Self::save) wrote.
    pub(crate) fn load(&mut self, source: &mut StateSource) -> Result<()> {
        for (i, s) in self.sections.iter_mut().enumerate() {
            s.section.load(&format!("section.{i}"), source)?;
        }
        for (i, interface) in self.interfaces.iter_mut().enumerate() {
            interface.load(&format!("interface.{i}"), source)?;
        }
        Ok(())
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

/// A section of any type with its optimizer.
trait AnySection: AnyTrained {
    fn pass(&self, input: Input) -> Pass;
    fn predict(&self, input: Tensor<2>) -> Tensor<2>;
    fn observer(&self) -> Box<dyn AnySection>;
    fn as_any(&self) -> &dyn Any;
}

impl<S: Section> AnySection for Trained<S> {
    fn pass(&self, input: Input) -> Pass {
        self.module().pass(input)
    }

    fn predict(&self, input: Tensor<2>) -> Tensor<2> {
        self.module().valid().forward(input)
    }

    fn observer(&self) -> Box<dyn AnySection> {
        Box::new(Trained::observer(self))
    }

    fn as_any(&self) -> &dyn Any {
        self.module()
    }
}
