//! Sparse updates, complete unlock and drops of the learning rate.

mod common;

use burn::tensor::{Device, Tensor};
use common::{Notes, Watched, on_every_device, random, seeded, values};
use dni::learner::{Learner, Metric};
use dni::{
    Activation, Batch, Chain, ChainSchedule, Credit, Dense, DenseConfig, Init, InputModel,
    Interface, LinearSynthesizerConfig, Loss, Optimizer, Sparse,
};

const SIZES: [usize; 4] = [3, 5, 4, 2];
const BATCH: usize = 8;

fn batch(seed: u64, device: &Device) -> Batch {
    let rng = &mut seeded(seed);
    let input = random([BATCH, SIZES[0]], rng, device);
    let target = random([BATCH, SIZES[3]], rng, device);
    Batch::labelled(input, target)
}

fn sections(device: &Device) -> [Dense; 3] {
    let rng = &mut seeded(1);
    [0, 1, 2].map(|i| {
        DenseConfig::new(SIZES[i], SIZES[i + 1])
            .with_activation(Activation::Tanh)
            .init(rng, device)
    })
}

/// The parameters of several models.
type Models = Vec<Vec<Vec<f32>>>;

/// A chain whose every parameter can be read, synthesizers that answer something, and Adam, whose
/// state would show a step too many.
struct Net {
    chain: Chain,
    sections: [Notes; 3],
    synthesizers: [Notes; 2],
}

impl Net {
    fn new(device: &Device, input_models: Option<[InputModel; 2]>, rate: f64) -> Self {
        let watched = sections(device).map(Watched::new);
        let notes = watched.each_ref().map(|(_, notes)| notes.clone());
        let rng = &mut seeded(2);
        let synthesizers = [1, 2].map(|i| {
            let config = LinearSynthesizerConfig::new(SIZES[i]).with_contexts(SIZES[3]);
            Watched::new(config.with_init(Init::FanIn).init(rng, device))
        });
        let synthesizer_notes = synthesizers.each_ref().map(|(_, notes)| notes.clone());
        let mut interfaces = synthesizers
            .map(|(synthesizer, _)| Interface::new(synthesizer, Optimizer::adam(rate)))
            .into_iter()
            .collect::<Vec<_>>();
        if let Some(models) = input_models {
            let pairs = interfaces.into_iter().zip(models);
            interfaces = pairs.map(|(i, model)| i.with_input_model(model)).collect();
        }
        let mut interfaces = interfaces.into_iter();
        let mut chain = Chain::new(Loss::SquaredError);
        for (i, (section, _)) in watched.into_iter().enumerate() {
            chain = chain.section(format!("f{i}"), section, Optimizer::adam(rate));
            if let Some(interface) = interfaces.next() {
                chain = chain.interface(interface);
            }
        }
        Self {
            chain,
            sections: notes,
            synthesizers: synthesizer_notes,
        }
    }

    /// The parameters of every section and every synthesizer, from the bottom up.
    fn parameters(&self, batch: &Batch) -> (Models, Models) {
        self.chain.predict(batch.input.clone());
        for (interface, features) in self.chain.interfaces().iter().zip(&SIZES[1..]) {
            let message = Tensor::zeros([BATCH, *features], &batch.input.device());
            interface.predict(message, batch.context.clone());
        }
        (
            self.sections.each_ref().map(Notes::read).to_vec(),
            self.synthesizers.each_ref().map(Notes::read).to_vec(),
        )
    }
}

/// Whoever is not chosen keeps parameters and optimizer states, whatever the credit, and so does
/// the synthesizer below it.
#[test]
fn a_section_that_rests_keeps_everything() {
    on_every_device(|device, checks| {
        let learners = [[true, false, true], [false, true, false], [false; 3]];
        for credit in [
            Credit::Synthetic,
            Credit::Mixed { lambda: 0.5 },
            Credit::Backprop,
            Credit::Delayed,
            Credit::None,
        ] {
            for chosen in learners {
                let mut net = Net::new(device, None, 0.1);
                let batches = [1, 2, 3].map(|seed| batch(seed, device));
                net.chain.step(batches[0].clone(), credit);
                let before = net.parameters(&batches[0]);
                let step = net.chain.sparse_step(batches[1].clone(), credit, &chosen);
                let after = net.parameters(&batches[0]);
                let name = format!("{credit:?}, {chosen:?}");
                // Credit that comes from above does not pass a section that rests.
                let reached = |i: usize| match credit {
                    Credit::Synthetic | Credit::Mixed { .. } => chosen[i],
                    Credit::Backprop | Credit::Delayed => chosen[i..].iter().all(|&c| c),
                    Credit::None => i == 2 && chosen[i],
                };
                for i in 0..3 {
                    let moved = before.0[i] != after.0[i];
                    checks.that(format!("{name}: section {i}"), moved == reached(i));
                }
                for i in 0..2 {
                    let learns = credit.uses_synthesizers() && reached(i + 1);
                    let moved = before.1[i] != after.1[i];
                    checks.that(format!("{name}: synthesizer {i}"), moved == learns);
                    if credit.uses_synthesizers() {
                        let residual = step.residuals[i].is_some();
                        checks.that(format!("{name}: residual {i}"), residual == learns);
                    }
                }
            }
        }
    });
}

/// A step in which a section rests leaves no trace in its optimizer: the next is as if there had
/// been none.
#[test]
fn resting_does_not_advance_an_optimizer() {
    on_every_device(|device, checks| {
        let [first, second, third] = [1, 2, 3].map(|seed| batch(seed, device));
        let nobody = [false; 3];
        let mut with = Net::new(device, None, 0.1);
        let mut without = Net::new(device, None, 0.1);
        for net in [&mut with, &mut without] {
            net.chain.step(first.clone(), Credit::Synthetic);
        }
        with.chain.sparse_step(second, Credit::Synthetic, &nobody);
        for net in [&mut with, &mut without] {
            net.chain.step(third.clone(), Credit::Synthetic);
        }
        let (a, b) = (with.parameters(&first), without.parameters(&first));
        checks.that("a rest was counted as a step", a == b);
    });
}

/// Probability one is the plain step.
#[test]
fn probability_one_equals_the_plain_step() {
    on_every_device(|device, checks| {
        let sparse = Sparse::new(1.0, 7).expect("it is a probability");
        for credit in [
            Credit::Synthetic,
            Credit::Mixed { lambda: 0.3 },
            Credit::Backprop,
        ] {
            let (mut a, mut b) = (Net::new(device, None, 0.1), Net::new(device, None, 0.1));
            for step in 0..3 {
                let batch = batch(step as u64, device);
                a.chain.step(batch.clone(), credit);
                b.chain
                    .sparse_step(batch, credit, &sparse.learners(step, 3));
            }
            let batch = batch(0, device);
            let same = a.parameters(&batch) == b.parameters(&batch);
            checks.that(format!("{credit:?}"), same);
        }
    });
}

#[test]
#[should_panic(expected = "3 sections need as many entries")]
fn learners_must_be_as_many_as_sections() {
    let device = &Device::flex();
    let mut net = Net::new(device, None, 0.1);
    net.chain
        .sparse_step(batch(1, device), Credit::Synthetic, &[true; 2]);
}

/// Input models that know the messages: those of a network that does not learn are its own lower
/// sections.
fn knowing_models(device: &Device) -> [InputModel; 2] {
    let [f1, f2, _] = sections(device);
    let both = dni::Mlp::new(vec![f1.clone(), f2]);
    // They would not stay right if they learned.
    [
        InputModel::new(f1, Optimizer::sgd(0.0)),
        InputModel::new(both, Optimizer::sgd(0.0)),
    ]
}

/// With the true messages in the input models' place an unlocked step is a decoupled one.
#[test]
fn with_the_true_messages_an_unlocked_step_equals_a_decoupled_one() {
    on_every_device(|device, checks| {
        let batch = batch(1, device);
        let mut unlocked = Net::new(device, Some(knowing_models(device)), 0.1);
        let mut decoupled = Net::new(device, None, 0.1);
        let step = unlocked.chain.step(batch.clone(), Credit::Synthetic);
        decoupled.chain.step(batch.clone(), Credit::Synthetic);
        let (a, b) = (unlocked.parameters(&batch), decoupled.parameters(&batch));
        for (a, b) in a.0.iter().chain(&a.1).zip(b.0.iter().chain(&b.1)) {
            checks.all_close("parameters", a, b, 1e-5);
        }
        for residual in step.input_residuals {
            let residual = residual.map(values).unwrap_or(vec![1.0]);
            let is_zero = residual.iter().all(|v| v.abs() < 1e-5);
            checks.that("the models know the messages", is_zero);
        }
    });
}

fn learning_models(device: &Device) -> [InputModel; 2] {
    let rng = &mut seeded(4);
    [1, 2].map(|i| {
        let model = DenseConfig::new(SIZES[0], SIZES[i]).linear();
        InputModel::new(model.init(rng, device), Optimizer::adam(0.05))
    })
}

/// Input models learn the messages, and a section above does not see what lies below it.
#[test]
fn input_models_learn_and_unlock() {
    on_every_device(|device, checks| {
        let batch = batch(1, device);
        let mut net = Net::new(device, Some(learning_models(device)), 1e-4);
        let mut losses = Vec::new();
        for _ in 0..60 {
            let step = net.chain.step(batch.clone(), Credit::Synthetic);
            let residuals = step.input_residuals.into_iter().flatten();
            let loss: f32 = residuals.map(|r| values(r.square().sum())[0]).sum();
            losses.push(loss);
        }
        let (first, last) = (losses[0], losses[59]);
        checks.that(format!("{first} to {last}"), last < first / 3.0);
        checks.that(
            "the columns of their losses",
            net.chain
                .interfaces()
                .iter()
                .all(|i| i.contract().synthetic_inputs),
        );
    });
}

/// A section that rests sends nothing: the input model above it does not learn, and the
/// synthesizer on top of it learns at the guess.
#[test]
fn in_a_sparse_unlocked_step_models_learn_from_who_was_there() {
    on_every_device(|device, checks| {
        let batch = batch(1, device);
        let chosen = [false, true, true];
        let mut net = Net::new(device, Some(learning_models(device)), 0.1);
        let step = net.chain.sparse_step(batch, Credit::Synthetic, &chosen);
        let learned = |residuals: &[Option<Tensor<2>>]| {
            residuals.iter().map(Option::is_some).collect::<Vec<_>>()
        };
        checks.that(
            "input models",
            learned(&step.input_residuals) == [false, true],
        );
        checks.that("synthesizers", learned(&step.residuals) == [true, true]);
    });
}

/// Credits that wait for the sections below use the messages.
#[test]
fn input_models_rest_under_other_credits() {
    on_every_device(|device, checks| {
        let batch = batch(1, device);
        for credit in [Credit::Backprop, Credit::Mixed { lambda: 0.0 }] {
            let mut with = Net::new(device, Some(learning_models(device)), 0.1);
            let mut without = Net::new(device, None, 0.1);
            let step = with.chain.step(batch.clone(), credit);
            without.chain.step(batch.clone(), credit);
            let same = with.parameters(&batch) == without.parameters(&batch);
            checks.that(
                format!("{credit:?}"),
                same && step.input_residuals.is_empty(),
            );
        }
    });
}

/// When sections switch to guessed inputs the guesses are trained, and until then these have no
/// influence.
#[test]
fn input_models_learn_in_a_warm_up_without_being_applied() {
    on_every_device(|device, checks| {
        let batch = batch(1, device);
        let schedule = ChainSchedule {
            warm_up: 60,
            ..ChainSchedule::from(Credit::Synthetic)
        };
        let mut with = Net::new(device, Some(learning_models(device)), 0.01);
        let mut without = Net::new(device, None, 0.01);
        let mut losses = Vec::new();
        for step in 0..schedule.warm_up {
            let figures = with.chain.learn(batch.clone(), &schedule, step);
            without.chain.learn(batch.clone(), &schedule, step);
            let of_models = figures
                .into_iter()
                .filter(|(figure, _)| matches!(figure, Metric::InputModel(_)));
            losses.push(of_models.map(|(_, loss)| values(loss)[0]).sum::<f32>());
        }
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        checks.that(format!("{first} to {last}"), last < first / 3.0);
        let same = with.parameters(&batch) == without.parameters(&batch);
        checks.that("sections and synthesizers", same);

        let mut sparse = Net::new(device, Some(learning_models(device)), 0.01);
        let schedule = ChainSchedule {
            sparse: Some(Sparse::new(1e-9, 1).expect("it is a probability")),
            ..schedule
        };
        let figures = sparse.chain.learn(batch.clone(), &schedule, 0);
        let rests = figures
            .iter()
            .all(|(figure, _)| !matches!(figure, Metric::InputModel(_)));
        checks.that("nobody sends anything", rests);
    });
}

/// A factor of the learning rate is that of a smaller learning rate, for sections, synthesizers
/// and input models.
#[test]
fn a_factor_scales_every_learning_rate() {
    on_every_device(|device, checks| {
        let batch = batch(1, device);
        let net = |rate: f64| {
            let rng = &mut seeded(4);
            let models = [1, 2].map(|i| {
                let model = DenseConfig::new(SIZES[0], SIZES[i]).linear();
                InputModel::new(model.init(rng, device), Optimizer::sgd(rate))
            });
            Net::new(device, Some(models), rate)
        };
        let (mut scaled, mut small) = (net(0.1), net(0.01));
        scaled.chain.set_rate_factor(0.1);
        for _ in 0..3 {
            scaled.chain.step(batch.clone(), Credit::Synthetic);
            small.chain.step(batch.clone(), Credit::Synthetic);
        }
        let (a, b) = (scaled.parameters(&batch), small.parameters(&batch));
        for (a, b) in a.0.iter().chain(&a.1).zip(b.0.iter().chain(&b.1)) {
            checks.all_close("parameters", a, b, 1e-5);
        }
    });
}

/// Logs tell sections and interfaces by their names.
#[test]
#[should_panic(expected = "there is a section 'f' already")]
fn a_name_given_twice_is_refused() {
    let device = Device::flex();
    let [first, second, _] = sections(&device);
    let _ = Chain::new(Loss::SquaredError)
        .section("f", first, Optimizer::sgd(0.1))
        .section("f", second, Optimizer::sgd(0.1));
}
