//! What users bring themselves: losses, tokens, classes and weights, gradients over several batches,
//! dropout, and parts changed by name.

mod common;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{StateSink, StateSource};
use burn::tensor::{Device, Int, Tensor};
use common::{numbers, on_every_device, random, said, seeded, values};
use dni::learner::Network;
use dni::threaded::Threaded;
use dni::{
    Activation, Batch, Chain, Credit, Data, Dense, DenseConfig, Dropout, GradientState, Interface,
    LinearSynthesizerConfig, Loss, LossFunction, LrSchedule, Mlp, Optimizer, Reduction, Section,
};

const INPUTS: usize = 4;
const WIDTH: usize = 5;
const CLASSES: usize = 3;
const BATCH: usize = 6;
const CREDITS: [Credit; 3] = [
    Credit::Backprop,
    Credit::Synthetic,
    Credit::Mixed { lambda: 0.5 },
];

fn dense(inputs: usize, outputs: usize, seed: u64, device: &Device) -> Dense {
    let config = DenseConfig::new(inputs, outputs).with_activation(Activation::Tanh);
    config.init(&mut seeded(seed), device)
}

/// Two sections, the lower one of any kind.
fn chain(loss: impl LossFunction, lower: impl Section, optimizer: Optimizer) -> Chain {
    let device = lower.devices().into_iter().next().unwrap_or_default();
    let synthesizer = LinearSynthesizerConfig::new(WIDTH).init(&mut seeded(3), &device);
    Chain::new(loss)
        .section("lower", lower, optimizer.clone())
        .interface(Interface::new(synthesizer, optimizer.clone()))
        .section("upper", dense(WIDTH, CLASSES, 2, &device), optimizer)
}

fn two_layers(loss: impl LossFunction, optimizer: Optimizer, device: &Device) -> Chain {
    chain(loss, dense(INPUTS, WIDTH, 1, device), optimizer)
}

/// Everything that a checkpoint of a chain would have.
fn saved(chain: &Chain) -> Vec<Vec<f32>> {
    let mut sink = StateSink::default();
    chain.save(&mut sink).expect("it can be saved");
    let mut tensors = sink.tensors;
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let tensors = tensors.into_iter();
    tensors
        .map(|(_, data)| data.iter::<f32>().collect())
        .collect()
}

/// What a checkpoint of one has, in the other.
fn go_on(from: &Chain, to: &mut Chain) -> dni::Result<()> {
    let mut sink = StateSink::default();
    from.save(&mut sink)?;
    let mut source = StateSource::new(sink.scalars.into_iter().collect());
    for (name, data) in sink.tensors {
        source.insert_tensor(name, data);
    }
    to.load(&mut source)
}

/// The square of the error, without a gradient in closed form.
struct Squared;

impl LossFunction for Squared {
    fn of_each(&self, output: Tensor<2>, target: Data) -> Tensor<1> {
        let target = target.numbers().expect("it compares numbers");
        let squares = (output - target.clone()).square() * 0.5;
        squares.sum_dim(1).squeeze_dim(1)
    }
}

/// A loss that autodiff differentiates trains as one in closed form does.
#[test]
fn a_loss_of_ones_own_is_minimised_as_the_librarys() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(5);
        let batch = Batch::new(
            random([BATCH, INPUTS], rng, device),
            random([BATCH, CLASSES], rng, device),
        );
        for reduction in [Reduction::Mean, Reduction::Sum] {
            for credit in CREDITS {
                let adam = || Optimizer::adam(0.01);
                let mut own = two_layers(Squared, adam(), device).with_reduction(reduction);
                let usual = two_layers(Loss::SquaredError, adam(), device);
                let mut usual = usual.with_reduction(reduction);
                for _ in 0..3 {
                    own.step(batch.clone(), credit);
                    usual.step(batch.clone(), credit);
                }
                let what = format!("{credit:?}, {reduction:?}");
                checks.all_close(what, &saved(&own), &saved(&usual), 1e-4);
                checks.close(
                    "the loss",
                    &[own.loss_of(&batch)],
                    &[usual.loss_of(&batch)],
                    1e-5,
                );
            }
        }
    });
}

fn classes(device: &Device) -> Tensor<1, Int> {
    Tensor::from_ints([0, 2, 1, 1, 0, 2], device)
}

/// The number of a class is as good as its one-hot.
#[test]
fn classes_are_targets() {
    on_every_device(|device, checks| {
        let input = random([BATCH, INPUTS], &mut seeded(5), device);
        let one_hot = classes(device).one_hot::<2>(CLASSES).float();
        let batches = [
            Batch::new(input.clone(), classes(device)),
            Batch::new(input, one_hot),
        ];
        let build = || two_layers(Loss::CrossEntropy, Optimizer::adam(0.01), device);
        for credit in CREDITS {
            let [by_number, by_one_hot] = batches.each_ref().map(|batch| {
                let mut chain = build();
                for _ in 0..3 {
                    chain.step(batch.clone(), credit);
                }
                let mut found = saved(&chain);
                found.push(vec![chain.loss_of(batch)]);
                found
            });
            checks.all_close(format!("{credit:?}"), &by_number, &by_one_hot, 1e-4);
        }
    });
}

/// A class that there is not is refused in host memory; elsewhere its loss is not finite.
#[test]
fn unknown_classes_are_found_everywhere() {
    on_every_device(|device, checks| {
        let output = || random([2, CLASSES], &mut seeded(5), device);
        let classes = |other: i32| Data::from(Tensor::<1, Int>::from_ints([0, other], device));
        for other in [-1, CLASSES as i32] {
            let losses = || values(Loss::CrossEntropy.of_each(output(), classes(other)));
            if *device == Device::flex() {
                let refused = said(|| drop(losses()));
                checks.that("refused", refused.contains("is not among the 3"));
                continue;
            }
            let losses = losses();
            checks.that("known", losses[0].is_finite());
            checks.that("unknown", !losses[1].is_finite());
            let gradient = Loss::CrossEntropy.gradient_of_each(output(), classes(other));
            let known = Loss::CrossEntropy.gradient_of_each(output(), classes(1));
            let of_first = |gradient| values(gradient)[..CLASSES].to_vec();
            checks.close("the others", &of_first(gradient), &of_first(known), 1e-5);
        }
    });
}

/// What has no weight is not learned from; what has twice the weight counts as two.
#[test]
fn weights_say_what_counts() {
    on_every_device(|device, checks| {
        let input = random([BATCH, INPUTS], &mut seeded(5), device);
        let half = BATCH / 2;
        let first = Batch::new(
            input.clone().narrow(0, 0, half),
            classes(device).narrow(0, 0, half),
        );
        let weights = Tensor::from_floats([[2.0], [2.0], [2.0], [0.0], [0.0], [0.0]], device);
        let whole = Batch::new(input, classes(device)).with_weights(weights);
        let trained = |batch: &Batch| {
            let mut chain = two_layers(Loss::CrossEntropy, Optimizer::sgd(0.1), device);
            let loss = chain.loss_of(batch);
            for _ in 0..3 {
                chain.step(batch.clone(), Credit::Backprop);
            }
            let mut found = saved(&chain);
            found.push(vec![loss]);
            found
        };
        checks.all_close("weights", &trained(&whole), &trained(&first), 1e-5);
    });
}

/// A dense layer on each token of a text, as its one-hot.
#[derive(Module, Debug)]
struct OneHot {
    dense: Dense,
}

impl Section for OneHot {
    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [texts, time] = tokens.dims();
        let tokens = tokens.reshape([texts * time]);
        tokens.one_hot::<2>(INPUTS).float()
    }

    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.dense.forward(input)
    }
}

fn texts(device: &Device) -> Batch {
    let tokens = Tensor::<2, Int>::from_ints([[0, 1, 3], [2, 2, 1], [3, 0, 0], [1, 3, 2]], device);
    let next = Tensor::<2, Int>::from_ints([[1, 2, 0], [2, 1, 0], [0, 0, 2], [2, 2, 1]], device);
    let weights = [
        [1.0, 1.0, 1.0],
        [1.0, 1.0, 0.5],
        [1.0, 0.0, 0.0],
        [2.0, 1.0, 1.0],
    ];
    Batch::new(tokens, next).with_weights(Tensor::from_floats(weights, device))
}

fn on_texts(device: &Device) -> Chain {
    let lower = OneHot {
        dense: dense(INPUTS, WIDTH, 1, device),
    };
    chain(Loss::CrossEntropy, lower, Optimizer::sgd(0.1))
}

/// Tokens are embedded by the lowest section: the same as numbers that are so already.
#[test]
fn tokens_are_embedded_by_the_lowest_section() {
    on_every_device(|device, checks| {
        let batch = texts(device);
        let Data::Integers(tokens) = &batch.input else {
            unreachable!("texts are tokens")
        };
        let embedded = on_texts(device)
            .get::<OneHot>("lower")
            .map(|lower| lower.embed(tokens.clone()));
        let as_numbers = Batch {
            input: embedded.expect("it is one").into(),
            ..batch.clone()
        };
        for credit in CREDITS {
            let [mut chain, mut same] = [(); 2].map(|()| on_texts(device));
            for _ in 0..3 {
                chain.step(batch.clone(), credit);
                same.step(as_numbers.clone(), credit);
            }
            checks.all_close(format!("{credit:?}"), &saved(&chain), &saved(&same), 1e-5);
            let output = values(chain.predict(batch.input.clone()));
            let expected = values(same.predict(as_numbers.input.clone()));
            checks.close("in use", &output, &expected, 1e-5);
            let qualities = chain.quality(&batch);
            checks.that(
                "quality",
                qualities.len() == 1 && qualities[0].state == GradientState::Alive,
            );
        }
    });
}

/// Workers, a pipeline of micro-batches and copies with a share each take texts apart between two
/// examples, with all their rows.
#[test]
fn workers_train_on_texts() {
    let device = &Device::flex();
    let (batch, rates) = (texts(device), LrSchedule::default());
    let by_workers = |mut workers: Threaded, credit: Credit| {
        let steps = workers.train(0..4, &credit.into(), &rates, |_| batch.clone());
        steps.expect("workers can train on texts");
        saved(workers.chain())
    };
    let by_one = |credit| {
        let mut chain = on_texts(device);
        for _ in 0..4 {
            chain.step(batch.clone(), credit);
        }
        saved(&chain)
    };
    let mut checks = common::Checks::default();
    let workers = Threaded::new(on_texts(device), &[1, 1]).expect("two sections, two workers");
    let decoupled = by_workers(workers, Credit::Synthetic);
    checks.all_close("decoupled", &decoupled, &by_one(Credit::Synthetic), 1e-5);
    let pipeline = Threaded::pipeline(on_texts(device), &[1, 1], 2).expect("two of two texts");
    let pipeline = by_workers(pipeline, Credit::Backprop);
    checks.all_close("pipeline", &pipeline, &by_one(Credit::Backprop), 1e-5);
    let copies = Threaded::data_parallel(on_texts(device), 2).expect("two copies");
    let copies = by_workers(copies, Credit::Backprop);
    checks.all_close("copies", &copies, &by_one(Credit::Backprop), 1e-5);
    checks.finish();
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let device = &Device::flex();
    let input = random([BATCH, INPUTS], &mut seeded(5), device);
    let step = |loss: Loss, batch: Batch| {
        said(|| {
            two_layers(loss, Optimizer::sgd(0.1), device).step(batch, Credit::Backprop);
        })
    };
    let of_classes = Batch::new(input.clone(), classes(device));
    let compared = step(Loss::SquaredError, of_classes.clone());
    assert!(compared.contains("choose Loss::CrossEntropy"), "{compared}");
    let few = Batch::new(input.clone(), classes(device).narrow(0, 0, 2));
    let few = step(Loss::CrossEntropy, few);
    assert!(few.contains("6 rows needs as many classes, not 2"), "{few}");
    let [below, beyond] = [-1, CLASSES as i32].map(|class| {
        let mut classes = [0; BATCH];
        classes[2] = class;
        let classes = Tensor::<1, Int>::from_ints(classes, device);
        step(Loss::CrossEntropy, Batch::new(input.clone(), classes))
    });
    assert!(below.contains("the class -1 is not among the 3"), "{below}");
    assert!(beyond.contains("the class 3 is not among"), "{beyond}");
    let weights = of_classes.with_weights(Tensor::ones([2, 1], device));
    let weights = step(Loss::CrossEntropy, weights);
    assert!(
        weights.contains("6 rows needs as many weights"),
        "{weights}"
    );
    let tokens = step(Loss::CrossEntropy, texts(device));
    assert!(tokens.contains("Section::embed"), "{tokens}");
    assert!(said(|| drop(Optimizer::sgd(0.1).accumulating(0))).contains("at least one"));
    assert!(said(|| drop(Dropout::new(1.0, 1, device))).contains("probability"));
}

/// The parts of a batch.
fn halves(batch: &Batch) -> [Batch; 2] {
    let half = BATCH / 2;
    [0, half].map(|from| {
        let rows = |data: &Data| numbers(data).narrow(0, from, half);
        Batch::new(rows(&batch.input), rows(&batch.target))
    })
}

/// A step for every two halves of a batch is one for the batch, and a checkpoint between the two
/// keeps the first; other terms are refused.
#[test]
fn gradients_of_several_batches_make_one_step() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(5);
        let batches: Vec<Batch> = (0..3)
            .map(|_| {
                let input = random([BATCH, INPUTS], rng, device);
                Batch::new(input, random([BATCH, CLASSES], rng, device))
            })
            .collect();
        let build = |optimizer| two_layers(Loss::SquaredError, optimizer, device);
        for optimizer in [Optimizer::sgd(0.1), Optimizer::adam(0.01)] {
            let mut whole = build(optimizer.clone());
            let mut halved = build(optimizer.clone().accumulating(2));
            for batch in &batches {
                whole.step(batch.clone(), Credit::Backprop);
                let [first, second] = halves(batch);
                halved.step(first, Credit::Backprop);
                let mut resumed = build(optimizer.clone().accumulating(2));
                go_on(&halved, &mut resumed).expect("it is of the same terms");
                resumed.step(second, Credit::Backprop);
                halved = resumed;
            }
            let lower = |chain: &Chain| {
                let lower: &Dense = chain.get("lower").expect("it is dense");
                values(lower.weight.val())
            };
            let what = format!("{optimizer:?}");
            checks.close(&what, &lower(&halved), &lower(&whole), 1e-4);
            let other = go_on(&halved, &mut build(optimizer.clone().accumulating(3)));
            let other = other.expect_err("terms differ").to_string();
            checks.that(&other, other.contains("accumulated over 2 updates"));
            checks.that(&what, go_on(&halved, &mut build(optimizer)).is_err());
        }
    });
}

#[derive(Module, Debug)]
struct Dropping {
    dense: Dense,
    dropout: Dropout,
}

impl Section for Dropping {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.dropout.forward(self.dense.forward(input))
    }
}

fn dropping(device: &Device) -> Chain {
    let lower = Dropping {
        dense: dense(INPUTS, WIDTH, 1, device),
        dropout: Dropout::new(0.25, 9, device),
    };
    chain(Loss::SquaredError, lower, Optimizer::adam(0.01))
}

/// Draws belong to the run: one that goes on draws what it would have drawn, and looking at the
/// network in between changes nothing.
#[test]
fn dropout_goes_on_as_if_nothing_had_been() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(5);
        let input = random([BATCH, INPUTS], rng, device);
        let batch = Batch::new(input, random([BATCH, CLASSES], rng, device));
        for credit in CREDITS {
            let mut whole = dropping(device);
            let mut first = dropping(device);
            for _ in 0..4 {
                whole.step(batch.clone(), credit);
                first.step(batch.clone(), credit);
                first.quality(&batch);
                first.loss_of(&batch);
            }
            let mut second = dropping(device);
            go_on(&first, &mut second).expect("it is the same network");
            for _ in 0..4 {
                whole.step(batch.clone(), credit);
                second.step(batch.clone(), credit);
            }
            checks.all_same(format!("{credit:?}"), &saved(&second), &saved(&whole));
        }
    });
}

/// A quarter of the elements is dropped, others in each step, and the mean stays; in use none is.
#[test]
fn dropout_drops_its_share() {
    on_every_device(|device, checks| {
        let dropout = Dropout::new(0.25, 9, device);
        let ones = Tensor::<2>::ones([100, 100], device);
        checks.that(
            "in use",
            values(dropout.forward(ones.clone())) == values(ones.clone()),
        );
        let [first, second] = [(); 2].map(|()| values(dropout.forward(ones.clone().autodiff())));
        for drawn in [&first, &second] {
            let dropped = drawn.iter().filter(|value| **value == 0.0).count();
            checks.that(
                format!("{dropped} of 10000"),
                (2_200..2_800).contains(&dropped),
            );
            let kept = drawn
                .iter()
                .filter(|value| (**value - 4.0 / 3.0).abs() < 1e-6);
            checks.that("the others", kept.count() + dropped == 10_000);
        }
        checks.that("always the same", first != second);
        let again = Dropout::new(0.25, 9, device);
        let again = values(again.forward(ones.autodiff()));
        checks.that("the same seed, the same draws", again == first);
    });
}

/// burn's own linear layer is a section; it, its rate and its interface are changed by name.
#[test]
fn parts_are_changed_by_name() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(5);
        let input = random([BATCH, INPUTS], rng, device);
        let batch = Batch::new(input, random([BATCH, CLASSES], rng, device));
        let linear = LinearConfig::new(INPUTS, WIDTH).init(device);
        let mut chain = chain(Loss::SquaredError, linear, Optimizer::adam(0.01));
        let weight = |chain: &Chain| {
            let linear: &Linear = chain.get("lower").expect("it is linear");
            values(linear.weight.val())
        };
        let step = |chain: &mut Chain| {
            let before = weight(chain);
            chain.step(batch.clone(), Credit::Backprop);
            before != weight(chain)
        };
        checks.that("it learns", step(&mut chain));
        let lower = |chain: &mut Chain, change: fn(Linear) -> Linear| {
            let mut lower = chain.section_mut("lower").expect("it has this name");
            lower.change(change).expect("it is linear");
        };
        lower(&mut chain, Module::freeze);
        checks.that("frozen, it rests", !step(&mut chain));
        lower(&mut chain, Module::unfreeze);
        checks.that("it learns again", step(&mut chain));
        let mut section = chain.section_mut("lower").expect("it has this name");
        section.set_learning_rate(0.0);
        checks.that("without a rate, it rests", !step(&mut chain));
        chain
            .section_mut("lower")
            .expect("it is there")
            .set_learning_rate(0.01);
        // Without a bias there is one parameter less, and the optimizer begins anew.
        lower(&mut chain, |linear| Linear {
            bias: None,
            ..linear
        });
        checks.that("it learns without a bias", step(&mut chain));
        checks.that(
            "no bias",
            chain
                .get::<Linear>("lower")
                .is_some_and(|l| l.bias.is_none()),
        );

        let mut section = chain.section_mut("lower").expect("it has this name");
        let error = section
            .change(|mlp: Mlp| mlp)
            .expect_err("it is no Mlp")
            .to_string();
        checks.that(
            &error,
            error.contains("'lower'") && error.contains("Linear"),
        );
        let names = (chain.names(), chain.interface_names());
        checks.that("names", names == (vec!["lower", "upper"], vec!["lower"]));
        checks.that("no such section", chain.section_mut("middle").is_none());
        checks.that("no such interface", chain.interface_mut("upper").is_none());
        let interface = chain.interface_mut("lower").expect("it has one");
        interface.set_learning_rate(0.5);
    });
}
