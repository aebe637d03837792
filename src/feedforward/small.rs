//! The training step of a chain of small dense layers, in place.
//!
//! A step of the notebook's networks is a few microseconds of arithmetic; taken through passes, it
//! spends twice as long on making small tensors and handing them around. Here parameters and the
//! states of optimizers are lent out by their owners and changed where they lie, and gradients are
//! no tensors. It is the [general step](super::step) in the same order, and equals it bit for bit; a
//! chain that is not of this kind takes that one.

use burn::tensor::Tensor;

use super::layer::Small;
use super::{Chain, Step};
use crate::batch::Batch;
use crate::credit::Credit;
use crate::host::Values;
use crate::host::dense::Layer;
use crate::interface::Interface;
use crate::loss::{Loss, LossFunction, Reduction};
use crate::section::Dense;
use crate::synthesizer::LinearSynthesizer;

impl Chain {
    /// The step of a chain of dense sections without batch norm, all of them small, with linear
    /// synthesizers if the credit uses some, optimizers that lend and all values in host memory.
    /// None, and nothing has been done, if it is not like that.
    pub(super) fn small_step(
        &mut self,
        batch: &Batch,
        credit: Credit,
        learners: &[bool],
    ) -> Option<Step> {
        let (data, loss) = (Data::of(batch)?, self.objective.usual()?);
        let mut network = Network {
            sections: Vec::with_capacity(self.sections.len()),
            interfaces: Vec::with_capacity(self.interfaces.len()),
            loss,
            reduction: self.objective.reduction,
            data: &data,
        };
        for (s, &learns) in self.sections.iter_mut().zip(learners) {
            let owner = s.section.as_any_mut().downcast_mut()?;
            // Without credit only the top learns.
            let is_top = network.sections.len() + 1 == learners.len();
            let learns = learns && (is_top || credit != Credit::None);
            let section = Small::of(owner, data.batch, learns)?;
            if section.layer.inputs != network.features() {
                return None;
            }
            network.sections.push(section);
        }
        if network.features() != data.targets {
            return None;
        }
        if credit.uses_synthesizers() {
            // A synthesizer learns what the section above it sends down.
            for (i, interface) in self.interfaces.iter_mut().enumerate() {
                let interface = SmallInterface::of(interface, &data, learners[i + 1])?;
                if interface.synthesizer.layer.outputs != network.sections[i].layer.outputs {
                    return None;
                }
                network.interfaces.push(interface);
            }
        }
        Some(match credit {
            Credit::Synthetic => network.decoupled_step(learners),
            Credit::Mixed { lambda } => network.locked_step(Some(lambda), learners),
            Credit::Backprop | Credit::Delayed => network.locked_step(None, learners),
            Credit::None => network.top_step(learners),
        })
    }
}

/// The layers of a chain at work on a batch.
struct Network<'a> {
    sections: Vec<Small<'a, Dense>>,
    /// None if the credit uses no synthesizers.
    interfaces: Vec<SmallInterface<'a>>,
    loss: Loss,
    reduction: Reduction,
    data: &'a Data,
}

impl Network<'_> {
    /// See [`Chain::decoupled_step`].
    fn decoupled_step(&mut self, learners: &[bool]) -> Step {
        let top = self.sections.len() - 1;
        let mut outputs: Vec<Vec<f32>> = Vec::with_capacity(top + 1);
        let mut residuals = Vec::with_capacity(top);
        let mut below = None;
        for (i, &learns) in learners.iter().enumerate() {
            let h = self.forward(i, &outputs);
            let is_needed = i < top && (learns || learners[i + 1]);
            let prediction = is_needed.then(|| self.interfaces[i].predict(&h, self.data));
            outputs.push(h);
            let arrived = if learns {
                let delta = match &prediction {
                    Some(prediction) => self.interfaces[i].delta_hat(prediction),
                    None => self.true_gradient(&outputs[i]),
                };
                self.give_credit(i, &outputs, delta)
            } else {
                None
            };
            if i > 0 {
                let learned = Option::zip(below, arrived);
                residuals.push(learned.map(|(prediction, delta)| {
                    self.learn(i - 1, &outputs[i - 1], prediction, delta)
                }));
            }
            below = prediction;
        }
        let input_residuals = vec![None; top];
        self.leave(outputs, residuals, input_residuals)
    }

    /// See [`Chain::locked_step`].
    fn locked_step(&mut self, lambda: Option<f64>, learners: &[bool]) -> Step {
        let outputs = self.outputs();
        let interfaces = self.interfaces.iter().zip(&outputs);
        let mut predictions: Vec<_> = interfaces
            .map(|(interface, h)| interface.predict(h, self.data))
            .collect();
        let mut residuals = Vec::with_capacity(predictions.len());
        let mut credit = Some(self.true_gradient(&outputs[outputs.len() - 1]));
        for i in (0..outputs.len()).rev() {
            let arrived = credit
                .filter(|_| learners[i])
                .and_then(|credit| self.give_credit(i, &outputs, credit));
            let prediction = if i > 0 { predictions.pop() } else { None };
            credit = match (lambda.zip(prediction), arrived) {
                (Some((lambda, prediction)), Some(delta)) => {
                    let mut mixed = self.interfaces[i - 1].delta_hat(&prediction);
                    mix(&mut mixed, &delta, lambda);
                    residuals.push(Some(self.learn(i - 1, &outputs[i - 1], prediction, delta)));
                    Some(mixed)
                }
                (Some((_, prediction)), None) => {
                    residuals.push(None);
                    Some(self.interfaces[i - 1].delta_hat(&prediction))
                }
                (None, arrived) => arrived,
            };
        }
        residuals.reverse();
        self.leave(outputs, residuals, Vec::new())
    }

    /// See [`Chain::top_step`].
    fn top_step(&mut self, learners: &[bool]) -> Step {
        let outputs = self.outputs();
        let top = outputs.len() - 1;
        if learners[top] {
            let delta = self.true_gradient(&outputs[top]);
            self.give_credit(top, &outputs, delta);
        }
        self.leave(outputs, Vec::new(), Vec::new())
    }

    /// Features of the output of the sections so far.
    fn features(&self) -> usize {
        let top = self.sections.last();
        top.map_or(self.data.inputs, |section| section.layer.outputs)
    }

    fn forward(&self, i: usize, outputs: &[Vec<f32>]) -> Vec<f32> {
        self.sections[i].forward(&[self.data.input_of(i, outputs)])
    }

    /// The outputs of all sections.
    fn outputs(&self) -> Vec<Vec<f32>> {
        let mut outputs = Vec::with_capacity(self.sections.len());
        for i in 0..self.sections.len() {
            outputs.push(self.forward(i, &outputs));
        }
        outputs
    }

    /// See [`Objective::gradient`](crate::loss::Objective::gradient).
    fn true_gradient(&self, output: &[f32]) -> Vec<f32> {
        if self.loss == Loss::SquaredError {
            let weight = self.reduction.weight(self.data.batch) as f32;
            let pairs = output.iter().zip(self.data.target.as_slice());
            return pairs
                .map(|(output, target)| (output - target) * weight)
                .collect();
        }
        let shape = [self.data.batch, self.data.targets];
        let [output, target] = [output, self.data.target.as_slice()]
            .map(|values| Values::new(values.to_vec(), shape).into_tensor());
        let gradient = self.loss.gradient_of_each(output, target.into());
        Values::of(self.reduction.apply(gradient))
            .as_slice()
            .to_vec()
    }

    /// Sends `delta` back through section `i` and updates it; what arrives below, unless that is
    /// data.
    fn give_credit(
        &mut self,
        i: usize,
        outputs: &[Vec<f32>],
        mut delta: Vec<f32>,
    ) -> Option<Vec<f32>> {
        let section = &mut self.sections[i];
        section.layer.differentiate(&outputs[i], &mut delta);
        let arrived = (i > 0).then(|| section.input_gradient(&delta));
        section.update(&[self.data.input_of(i, outputs)], &delta);
        arrived
    }

    /// See [`Interface::learn`]: of interface `i`, which predicted for `message`. Returns the
    /// residual.
    fn learn(
        &mut self,
        i: usize,
        message: &[f32],
        prediction: Vec<f32>,
        mut delta: Vec<f32>,
    ) -> Vec<f32> {
        let interface = &mut self.interfaces[i];
        let mut residual = prediction;
        let scale = interface.unit.map_or(1.0, |unit| unit.recip() as f32);
        let weight = self.reduction.weight(self.data.batch) as f32;
        for (residual, delta) in residual.iter_mut().zip(&mut delta) {
            *residual -= *delta * scale;
            *delta = *residual * weight;
        }
        let seen = interface.seen(message, self.data);
        interface.synthesizer.update(&seen, &delta);
        residual
    }

    /// What the step leaves.
    fn leave(
        &self,
        outputs: Vec<Vec<f32>>,
        residuals: Vec<Option<Vec<f32>>>,
        input_residuals: Vec<Option<Tensor<2>>>,
    ) -> Step {
        let batch = self.data.batch;
        let tensor = |values: Vec<f32>| {
            let features = values.len() / batch;
            Values::new(values, [batch, features]).into_tensor()
        };
        let mut messages: Vec<Tensor<2>> = outputs.into_iter().map(tensor).collect();
        let output = messages.pop().expect("a chain has a section");
        let residuals = residuals.into_iter().map(|r| r.map(tensor)).collect();
        Step {
            messages,
            output,
            residuals,
            input_residuals,
        }
    }
}

/// `(1 - lambda) delta_hat + lambda delta`, in the place of `delta_hat`.
fn mix(delta_hat: &mut [f32], delta: &[f32], lambda: f64) {
    let (of_hat, of_delta) = ((1.0 - lambda) as f32, lambda as f32);
    for (delta_hat, delta) in delta_hat.iter_mut().zip(delta) {
        *delta_hat = *delta_hat * of_hat + delta * of_delta;
    }
}

/// An interface whose synthesizer is a small layer.
struct SmallInterface<'a> {
    synthesizer: Small<'a, LinearSynthesizer>,
    /// One unit of the synthesizer in units of the reduced loss, if they differ.
    unit: Option<f64>,
    /// Features of the context that it takes.
    contexts: usize,
}

impl<'a> SmallInterface<'a> {
    /// None if the synthesizer is another one, wants another context or has an input model beside
    /// it.
    fn of(interface: &'a mut Interface, data: &Data, learns: bool) -> Option<Self> {
        if interface.guesses() {
            return None;
        }
        let unit = interface.unit(data.batch);
        let owner = interface.synthesizer().downcast_mut()?;
        let synthesizer = Small::of(owner, data.batch, learns)?;
        let Layer {
            inputs, outputs, ..
        } = synthesizer.layer;
        let contexts = inputs - outputs;
        (contexts == 0 || contexts == data.contexts).then_some(Self {
            synthesizer,
            unit,
            contexts,
        })
    }

    /// `[h; c]`, in parts.
    fn seen<'b>(&self, message: &'b [f32], data: &'b Data) -> Vec<&'b [f32]> {
        let context = data.context.as_ref().filter(|_| self.contexts > 0);
        let context = context.map(Values::as_slice);
        [message].into_iter().chain(context).collect()
    }

    /// What it makes of a message, in its own unit.
    fn predict(&self, message: &[f32], data: &Data) -> Vec<f32> {
        self.synthesizer.forward(&self.seen(message, data))
    }

    /// A prediction in units of the reduced loss.
    fn delta_hat(&self, prediction: &[f32]) -> Vec<f32> {
        match self.unit {
            Some(unit) => {
                let unit = unit as f32;
                prediction.iter().map(|value| value * unit).collect()
            }
            None => prediction.to_vec(),
        }
    }
}

/// A batch in host memory.
struct Data {
    input: Values,
    target: Values,
    context: Option<Values>,
    batch: usize,
    /// Features of the input, of the target and of the context.
    inputs: usize,
    targets: usize,
    contexts: usize,
}

impl Data {
    /// None if it lies elsewhere, has integers or weights, or not every part has as many rows.
    fn of(batch: &Batch) -> Option<Self> {
        let input = Values::try_of(batch.input.numbers()?.clone())?;
        let target = Values::try_of(batch.target.numbers()?.clone())?;
        let context = match &batch.context {
            Some(context) => Some(Values::try_of(context.clone())?),
            None => None,
        };
        let [rows, inputs] = input.dims();
        let [of_target, targets] = target.dims();
        let [of_context, contexts] = context.as_ref().map_or([rows, 0], Values::dims);
        let counts_alike = batch.weights.is_none();
        (counts_alike && [of_target, of_context] == [rows, rows]).then_some(Self {
            input,
            target,
            context,
            batch: rows,
            inputs,
            targets,
            contexts,
        })
    }

    /// What goes into section `i`.
    fn input_of<'a>(&'a self, i: usize, outputs: &'a [Vec<f32>]) -> &'a [f32] {
        match i.checked_sub(1) {
            Some(below) => &outputs[below],
            None => self.input.as_slice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::optim::StateSink;
    use burn::tensor::{Device, TensorData};
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::interface::TargetScale;
    use crate::learner::Network as _;
    use crate::optimizer::Optimizer;
    use crate::section::{Activation, DenseConfig};
    use crate::synthesizer::LinearSynthesizerConfig;

    /// No multiples of a vector's or a tile's length.
    const SIZES: [usize; 5] = [5, 18, 35, 13, 3];
    const CREDITS: [Credit; 6] = [
        Credit::Backprop,
        Credit::Synthetic,
        Credit::Mixed { lambda: 0.3 },
        Credit::Mixed { lambda: 1.0 },
        Credit::Delayed,
        Credit::None,
    ];

    /// What distinguishes chains and their steps.
    #[derive(Debug, Clone, Copy)]
    struct Case {
        credit: Credit,
        loss: Loss,
        reduction: Reduction,
        scale: TargetScale,
        optimizer: fn(f64) -> Optimizer,
        contexts: usize,
        batch: usize,
    }

    impl Case {
        fn new(credit: Credit) -> Self {
            Self {
                credit,
                loss: Loss::SquaredError,
                reduction: Reduction::Mean,
                scale: TargetScale::PerExample,
                optimizer: Optimizer::sgd,
                contexts: 0,
                batch: 10,
            }
        }

        fn chain(&self) -> Chain {
            let (rng, device) = (&mut ChaCha8Rng::seed_from_u64(1), &Device::flex());
            let activations = [Activation::Sigmoid, Activation::Relu, Activation::Tanh];
            let mut chain = Chain::new(self.loss).with_reduction(self.reduction);
            for (i, pair) in SIZES.windows(2).enumerate() {
                let is_top = i + 2 == SIZES.len();
                let activation = activations.get(i).copied().filter(|_| !is_top);
                let mut section = DenseConfig::new(pair[0], pair[1])
                    .with_activation(activation.unwrap_or(Activation::Identity))
                    .with_bias(i != 1)
                    .init(rng, device);
                if i == 2 {
                    section.bias = section.bias.map(|bias| bias.no_grad());
                }
                chain = chain.section(format!("{i}"), section, (self.optimizer)(0.02));
                if !is_top {
                    let synthesizer =
                        LinearSynthesizerConfig::new(pair[1]).with_contexts(self.contexts);
                    let synthesizer = synthesizer.init(rng, device);
                    let interface = Interface::new(synthesizer, (self.optimizer)(0.05));
                    chain = chain.interface(interface.with_scale(self.scale));
                }
            }
            chain
        }

        fn batch(&self, rng: &mut ChaCha8Rng) -> Batch {
            let mut random = |features: usize| {
                let count = self.batch * features;
                let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
                let shape = [self.batch, features];
                Tensor::from_data(TensorData::new(values, shape), &Device::flex())
            };
            let input = random(SIZES[0]);
            let target = random(SIZES[SIZES.len() - 1]).greater_elem(0.0).float();
            Batch {
                context: (self.contexts > 0).then(|| random(self.contexts)),
                ..Batch::new(input, target)
            }
        }

        /// Takes steps here and there; all sections learn in the first.
        fn check(&self) {
            let [mut small, mut general] = [self.chain(), self.chain()];
            let rng = &mut ChaCha8Rng::seed_from_u64(2);
            for t in 0..6 {
                let batch = self.batch(rng);
                let sections = SIZES.len() - 1;
                let learners: Vec<bool> = (0..sections)
                    .map(|_| t == 0 || rng.random_bool(0.7))
                    .collect();
                let expected = general.general_step(batch.clone(), self.credit, &learners);
                let step = match t {
                    0 => small.general_step(batch, self.credit, &learners),
                    _ => {
                        let step = small.small_step(&batch, self.credit, &learners);
                        step.unwrap_or_else(|| panic!("{self:?}: it is not small"))
                    }
                };
                let what = format!("{self:?}, step {t}, learners {learners:?}");
                assert_eq!(noted(step), noted(expected), "{what}: the step");
                assert_eq!(saved(&small), saved(&general), "{what}: what it left");
            }
        }
    }

    fn bits(data: TensorData) -> Vec<u32> {
        data.iter::<f32>().map(f32::to_bits).collect()
    }

    /// The bits of all that a step leaves.
    fn noted(step: Step) -> Vec<Option<Vec<u32>>> {
        let outputs = step.messages.into_iter().chain([step.output]).map(Some);
        let residuals = step.residuals.into_iter().chain(step.input_residuals);
        let all = outputs.chain(residuals);
        all.map(|t| t.map(|t| bits(t.into_data()))).collect()
    }

    /// The bits of all parameters and states of optimizers.
    fn saved(chain: &Chain) -> Vec<(String, Vec<u32>)> {
        let mut sink = StateSink::default();
        chain.save(&mut sink).expect("it can be saved");
        let scalars = sink.scalars.len();
        let tensors = sink.tensors.into_iter().map(|(n, data)| (n, bits(data)));
        tensors
            .chain([("scalars".into(), vec![scalars as u32])])
            .collect()
    }

    #[test]
    fn it_is_the_general_step_bit_for_bit() {
        for credit in CREDITS {
            let plain = Case::new(credit);
            for loss in [
                Loss::SquaredError,
                Loss::BinaryCrossEntropy,
                Loss::CrossEntropy,
            ] {
                for reduction in [Reduction::Mean, Reduction::Sum] {
                    Case {
                        loss,
                        reduction,
                        ..plain
                    }
                    .check();
                }
            }
            Case {
                optimizer: Optimizer::adam,
                ..plain
            }
            .check();
            Case {
                contexts: 3,
                ..plain
            }
            .check();
            Case {
                scale: TargetScale::Loss,
                ..plain
            }
            .check();
            for batch in [1, 2, 7, 33] {
                Case { batch, ..plain }.check();
            }
        }
    }

    #[test]
    fn what_is_of_another_kind_is_left_as_it_is() {
        let case = Case::new(Credit::Synthetic);
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let batch = case.batch(rng);
        let all = [true; SIZES.len() - 1];
        // The first step makes the states of the optimizers.
        let mut fresh = case.chain();
        let before = saved(&fresh);
        assert!(fresh.small_step(&batch, case.credit, &all).is_none());
        assert_eq!(saved(&fresh), before);
        let (device, adam) = (&Device::flex(), || Optimizer::adam(0.1));
        let dense = |i, o| DenseConfig::new(i, o).init(&mut ChaCha8Rng::seed_from_u64(1), device);
        let norm = DenseConfig::new(8, 3)
            .with_batch_norm(true)
            .init(rng, device);
        let chain = || Chain::new(Loss::SquaredError).section("0", dense(5, 8), adam());
        let batch_norm = chain().section("1", norm, adam());
        let misfit = chain().section("1", dense(7, 3), adam());
        for mut chain in [batch_norm, misfit] {
            let before = saved(&chain);
            assert!(
                chain
                    .small_step(&batch, Credit::Backprop, &[false; 2])
                    .is_none()
            );
            assert_eq!(saved(&chain), before);
        }
    }
}
