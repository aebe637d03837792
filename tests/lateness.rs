//! Gradients that come late: workers train as an explicit simulation of the same delay does, bit for
//! bit.

mod common;

use std::collections::VecDeque;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use common::{bits, random, seeded, values};
use dni::learner::{Chunk, Learner};
use dni::threaded::Threaded;
use dni::{
    Activation, Batch, Chain, ChainSchedule, Credit, Data, Dense, DenseConfig, Init, Input,
    InputModel, Interface, LinearSynthesizerConfig, Loss, LossFunction, LrSchedule, Optimizer,
    Pass, Reduction, Section, Sparse,
};

const INPUTS: usize = 7;
const WIDTH: usize = 5;
const CLASSES: usize = 3;
const BATCH: usize = 6;

const RATE: f64 = 0.01;
const SYNTHESIZER_RATE: f64 = 0.03;

/// The steps of each chunk, at the end of which nothing is left behind.
const CHUNKS: [std::ops::Range<usize>; 3] = [0..13, 13..14, 14..25];

fn batch(step: usize) -> Batch {
    let (rng, device) = (&mut seeded(1_000 + step as u64), &Device::flex());
    let input = random([BATCH, INPUTS], rng, device);
    let target = random([BATCH, CLASSES], rng, device);
    Batch::labelled(input, target)
}

fn drops() -> LrSchedule {
    LrSchedule::drops(vec![(7, 0.5), (19, 0.1)]).expect("the drops are in order")
}

/// A module and what moves it.
struct Part<M> {
    module: Option<M>,
    optimizer: Optimizer,
    rate: f64,
}

impl<M: Module> Part<M> {
    fn new(module: M, rate: f64) -> Self {
        Self {
            module: Some(module),
            optimizer: Optimizer::adam(rate),
            rate,
        }
    }

    fn module(&self) -> &M {
        self.module.as_ref().expect("only an update takes it")
    }

    fn update(&mut self, gradients: burn::optim::GradientsParams, factor: f64) {
        self.optimizer.set_learning_rate(self.rate * factor);
        let module = self.module.take().expect("only an update takes it");
        self.module = Some(self.optimizer.update(module, gradients));
    }
}

/// Two sections and what stands between them.
struct Parts {
    lower: Part<Dense>,
    upper: Part<Dense>,
    interface: Interface,
    input_model: Part<Dense>,
}

impl Parts {
    fn new() -> Self {
        let (rng, device) = (&mut seeded(1), &Device::flex());
        let lower = DenseConfig::new(INPUTS, WIDTH).with_activation(Activation::Tanh);
        let synthesizer = LinearSynthesizerConfig::new(WIDTH)
            .with_contexts(CLASSES)
            .with_init(Init::FanIn);
        let lower = lower.init(rng, device);
        let upper = DenseConfig::new(WIDTH, CLASSES).linear().init(rng, device);
        let synthesizer = synthesizer.init(rng, device);
        let model = DenseConfig::new(INPUTS, WIDTH).init(rng, device);
        Self {
            lower: Part::new(lower, RATE),
            upper: Part::new(upper, RATE),
            interface: Interface::new(synthesizer, Optimizer::adam(SYNTHESIZER_RATE)),
            input_model: Part::new(model, SYNTHESIZER_RATE),
        }
    }

    /// The same as a chain.
    fn chain(self, is_unlocked: bool) -> Chain {
        let [lower, upper, model] = [self.lower, self.upper, self.input_model]
            .map(|part| (part.module.expect("nobody updates it"), part.optimizer));
        let interface = match is_unlocked {
            true => self
                .interface
                .with_input_model(InputModel::new(model.0, model.1)),
            false => self.interface,
        };
        Chain::new(Loss::SquaredError)
            .section("lower", lower.0, lower.1)
            .interface(interface)
            .section("upper", upper.0, upper.1)
    }

    /// The upper section's step on what comes up, or a guess of it; the gradient that goes down.
    fn upper_step(&mut self, input: Tensor<2>, target: &Data, factor: f64) -> Tensor<2> {
        let pass = self.upper.module().pass(Input::Message(input));
        let output = pass.output.clone();
        let delta = Loss::SquaredError.gradient_of_each(output, target.clone());
        let delta = delta * Reduction::Mean.weight(BATCH);
        let gradients = pass.back(delta);
        self.upper.update(gradients.parameters, factor);
        gradients.input.expect("the input was a message")
    }

    /// Decoupled steps whose synthesizer and input model learn `late` steps late, with the
    /// parameters and at the rate of the step that they learn in.
    fn decoupled_steps(&mut self, late: usize, is_unlocked: bool) {
        for chunk in CHUNKS {
            let mut waiting = VecDeque::new();
            for step in chunk.clone() {
                let (factor, batch) = (drops().factor(step), batch(step));
                let pass = self.lower.module().pass(Input::from(batch.input.clone()));
                let message = pass.output.clone();
                let seen = match is_unlocked {
                    true => self.guess(&batch).output,
                    false => message.clone(),
                };
                let prediction = self
                    .interface
                    .predict(message.clone(), batch.context.clone());
                let gradients = pass.back(prediction.delta_hat()).parameters;
                self.lower.update(gradients, factor);
                let delta = self.upper_step(seen, &batch.target, factor);
                waiting.push_back((batch, message, delta));
                let all = step + 1 == chunk.end;
                while waiting.len() > if all { 0 } else { late } {
                    let (batch, message, delta) = waiting.pop_front().expect("one waits");
                    self.learn(batch, message, delta, factor);
                }
            }
        }
    }

    fn guess(&self, batch: &Batch) -> Pass {
        let input = Input::from(batch.input.clone());
        self.input_model.module().pass(input)
    }

    fn learn(&mut self, batch: Batch, message: Tensor<2>, delta: Tensor<2>, factor: f64) {
        self.interface.set_learning_rate(SYNTHESIZER_RATE * factor);
        let anew = self
            .interface
            .predict(message.clone(), batch.context.clone());
        self.interface.learn(anew, delta);
        let pass = self.guess(&batch);
        let residual = pass.output.clone() - message;
        let gradients = pass.back(residual * (1.0 / BATCH as f64)).parameters;
        self.input_model.update(gradients, factor);
    }
}

/// Every number of both sections and, by what it says of a message, of the synthesizer.
fn numbers(lower: &Dense, upper: &Dense, interface: &Interface) -> Vec<Vec<f32>> {
    let mut numbers = Vec::new();
    for layer in [lower, upper] {
        numbers.push(values(layer.weight.val()));
        numbers.extend(layer.bias.as_ref().map(|bias| values(bias.val())));
    }
    let rng = &mut seeded(2);
    let message = random([BATCH, WIDTH], rng, &Device::flex());
    let prediction = interface.predict(message, batch(0).context);
    numbers.push(values(prediction.delta_hat()));
    numbers
}

fn numbers_of(chain: &Chain) -> Vec<Vec<f32>> {
    let [lower, upper] = ["lower", "upper"].map(|name| chain.get::<Dense>(name));
    let (lower, upper) = (lower.expect("it is dense"), upper.expect("it is dense"));
    numbers(lower, upper, &chain.interfaces()[0])
}

fn numbers_of_parts(parts: &Parts) -> Vec<Vec<f32>> {
    numbers(parts.lower.module(), parts.upper.module(), &parts.interface)
}

/// Takes the steps of all chunks.
fn learn(
    learner: &mut impl Learner<Batch = Batch, Schedule = ChainSchedule>,
    schedule: &ChainSchedule,
) {
    for steps in CHUNKS {
        let chunk = Chunk {
            steps,
            schedule,
            rates: &drops(),
            check_every: 3,
        };
        let done = learner.learn_chunk(&mut batch, &chunk);
        done.expect("nobody fails");
    }
}

/// Trains by two workers.
fn by_workers(mut threaded: Threaded, credit: Credit) -> Vec<Vec<f32>> {
    learn(&mut threaded, &credit.into());
    numbers_of(threaded.chain())
}

fn workers(chain: Chain) -> Threaded {
    Threaded::new(chain, &[1, 1]).expect("the split is right")
}

/// How late gradients are in the tests, among them as late as the longest chunk and later.
const LATE: [usize; 6] = [0, 1, 2, 5, 13, 40];

#[test]
fn what_comes_late_is_learned_as_if_it_were_of_today() {
    for is_unlocked in [false, true] {
        let mut seen = Vec::new();
        for late in LATE {
            let mut parts = Parts::new();
            parts.decoupled_steps(late, is_unlocked);
            let expected = numbers_of_parts(&parts);
            let threaded = workers(Parts::new().chain(is_unlocked)).with_lateness(late);
            let numbers = by_workers(threaded, Credit::Synthetic);
            let what = format!("{late} steps late, unlocked: {is_unlocked}");
            assert!(bits(&numbers) == bits(&expected), "{what}");
            seen.push(bits(&numbers));
        }
        let [.., chunk, later] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert!(chunk == later, "nothing is later than the end of a chunk");
        seen.dedup();
        assert_eq!(seen.len(), LATE.len() - 1, "lateness makes a difference");
    }
}

/// Answers that have come are not taken before their time.
#[test]
fn lateness_is_what_was_asked_for() {
    let mut threaded = workers(Parts::new().chain(false)).with_lateness(3);
    let done = threaded.train(
        0..20,
        &Credit::Synthetic.into(),
        &LrSchedule::default(),
        batch,
    );
    done.expect("nobody fails");
    let staleness = threaded.report().staleness[0];
    assert_eq!((staleness.targets, staleness.most), (20, 3));
    // The last ones wait for nobody.
    assert_eq!(staleness.sum, 17 * 3 + 2 + 1);
}

impl Parts {
    /// Backpropagation in which the gradient comes to the lower section `late` steps late, goes back
    /// through the pass of its own step and moves the parameters of the step that it comes in.
    fn delayed_steps(&mut self, late: usize) {
        for chunk in CHUNKS {
            let mut waiting = VecDeque::new();
            for step in chunk.clone() {
                let (factor, batch) = (drops().factor(step), batch(step));
                let pass = self.lower.module().pass(Input::from(batch.input));
                let delta = self.upper_step(pass.output.clone(), &batch.target, factor);
                waiting.push_back((pass, delta));
                let all = step + 1 == chunk.end;
                while waiting.len() > if all { 0 } else { late } {
                    let (pass, delta) = waiting.pop_front().expect("one waits");
                    self.lower.update(pass.back(delta).parameters, factor);
                }
            }
        }
    }
}

#[test]
fn delayed_gradients_move_the_parameters_of_the_step_they_come_in() {
    for late in LATE {
        let mut parts = Parts::new();
        parts.delayed_steps(late);
        let expected = numbers_of_parts(&parts);
        let threaded = workers(Parts::new().chain(false)).with_lateness(late);
        let numbers = by_workers(threaded, Credit::Delayed);
        assert!(bits(&numbers) == bits(&expected), "{late} steps late");
    }
}

/// At the end of a chunk nothing is late: where that is must not depend on how fast the machine is.
#[test]
fn chunks_of_late_gradients_are_as_long_on_every_machine() {
    let workers = || workers(Parts::new().chain(false));
    for late in [1, 4] {
        let threaded = workers().with_lateness(late);
        assert_eq!(threaded.at_once(), threaded.at_least());
        assert!(threaded.at_once() >= 20 * late);
    }
    for prompt in [workers().with_lateness(0), workers()] {
        assert!(prompt.at_once() > prompt.at_least());
    }
}

/// Nothing late is nothing but backpropagation, also in steps in which some sections rest.
#[test]
fn delayed_gradients_that_are_not_late_are_backpropagation() {
    let sparse = Sparse::new(0.6, 5).expect("it is a probability");
    for sparse in [None, Some(sparse)] {
        let schedule = |credit: Credit| ChainSchedule {
            sparse,
            ..credit.into()
        };
        let mut locked = deep();
        learn(&mut locked, &schedule(Credit::Backprop));
        let expected = probe(&locked);
        for split in [&[5][..], &[2, 3], &[1; 5], &[2, 2, 1]] {
            let mut threaded = Threaded::new(deep(), split).expect("the split is right");
            learn(&mut threaded, &schedule(Credit::Delayed));
            assert!(probe(threaded.chain()) == expected, "{split:?}, {sparse:?}");
        }
        let mut alone = deep();
        learn(&mut alone, &schedule(Credit::Delayed));
        assert!(probe(&alone) == expected, "one thread, {sparse:?}");
    }
}

/// Five sections without interfaces.
fn deep() -> Chain {
    let rng = &mut seeded(3);
    let sizes = [INPUTS, WIDTH, WIDTH, WIDTH, WIDTH, CLASSES];
    let layers = sizes.windows(2).enumerate();
    layers.fold(Chain::new(Loss::SquaredError), |chain, (i, sizes)| {
        let layer = DenseConfig::new(sizes[0], sizes[1]).with_activation(Activation::Tanh);
        let layer = layer.with_batch_norm(i % 2 == 0).init(rng, &Device::flex());
        chain.section(format!("{i}"), layer, Optimizer::adam(RATE))
    })
}

/// Its answers to a batch, which the running statistics of batch norm are part of.
fn probe(chain: &Chain) -> Vec<Vec<u32>> {
    bits(&[values(chain.predict(batch(100).input))])
}
