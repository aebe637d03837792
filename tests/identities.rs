//! Identities that decoupled training must satisfy, on every backend: they hold for any network,
//! so small ones do.

mod common;

use std::array;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::module::{Module, ModuleDisplay, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use common::{
    ACTIVATIONS, Checks, Gated, Notes, Watched, bits, differences, numbers, on_devices,
    on_every_device, random, seeded, tensor, values,
};
use dni::message::{cut, inject, receive};
use dni::{
    Activation, Backend, Batch, Chain, Credit, Dense, DenseConfig, GradientState, Init, Input,
    Interface, LinearSynthesizerConfig, Loss, MlpSynthesizerConfig, Optimizer, Pass, Quality,
    Reduction, Section, Synthesizer, TargetScale,
};
use proptest::prelude::*;
use rand::rngs::ChaCha8Rng;

/// The features of every message, from the data to the output.
const SIZES: [usize; 4] = [3, 5, 4, 2];

/// A power of two, so that the mean over a batch rounds nothing.
const BATCH: usize = 4;

fn batch(seed: u64, device: &Device) -> Batch {
    let rng = &mut seeded(seed);
    let input = random([BATCH, SIZES[0]], rng, device);
    let target = random([BATCH, SIZES[3]], rng, device);
    Batch::labelled(input, target)
}

/// Three sections, drawn from one seed.
fn three<S>(new: impl Fn(usize, usize, &mut ChaCha8Rng) -> S) -> [S; 3] {
    let rng = &mut seeded(1);
    array::from_fn(|i| new(SIZES[i], SIZES[i + 1], rng))
}

fn three_dense(device: &Device) -> [Dense; 3] {
    three(|inputs, outputs, rng| {
        DenseConfig::new(inputs, outputs)
            .with_activation(Activation::Tanh)
            .init(rng, device)
    })
}

/// Interfaces on top of the first and second of three sections, whose conditioned synthesizers
/// answer something other than zero.
fn two_interfaces(device: &Device) -> [Interface; 2] {
    let rng = &mut seeded(2);
    array::from_fn(|i| {
        let synthesizer = LinearSynthesizerConfig::new(SIZES[i + 1])
            .with_contexts(SIZES[3])
            .with_init(Init::FanIn)
            .init(rng, device);
        Interface::new(synthesizer, Optimizer::sgd(0.1))
    })
}

fn zero_interfaces(device: &Device) -> [Interface; 2] {
    array::from_fn(|i| {
        let synthesizer = LinearSynthesizerConfig::new(SIZES[i + 1]).init(&mut seeded(0), device);
        Interface::new(synthesizer, Optimizer::sgd(0.1))
    })
}

/// A chain of three sections whose parameters can be read.
struct Net {
    chain: Chain,
    notes: [Notes; 3],
}

impl Net {
    fn new<S: Section + ModuleDisplay>(sections: &[S; 3], interfaces: [Interface; 2]) -> Self {
        let watched = sections.each_ref().map(|s| Watched::new(s.clone()));
        let notes = watched.each_ref().map(|(_, notes)| notes.clone());
        let [(f1, _), (f2, _), (f3, _)] = watched;
        let [below_f2, below_f3] = interfaces;
        let chain = Chain::new(Loss::SquaredError)
            .section("f1", f1, Optimizer::sgd(1.0))
            .interface(below_f2)
            .section("f2", f2, Optimizer::sgd(1.0))
            .interface(below_f3)
            .section("f3", f3, Optimizer::sgd(1.0));
        Self { chain, notes }
    }

    /// The parameters of every section, from the bottom up.
    fn parameters(&self, batch: &Batch) -> [Vec<Vec<f32>>; 3] {
        self.chain.predict(batch.input.clone());
        self.notes.each_ref().map(Notes::read)
    }

    /// What every synthesizer answers to a message of its own width.
    fn answers(&self, device: &Device) -> Vec<Vec<f32>> {
        let answer = |interface: &Interface| {
            let rng = &mut seeded(3);
            let terms = interface.contract();
            let message = random([BATCH, terms.features], rng, device);
            let context = random([BATCH, SIZES[3]], rng, device);
            values(interface.predict(message, Some(context)).delta_hat())
        };
        self.chain.interfaces().iter().map(answer).collect()
    }
}

/// BP(lambda) for three sections, written out as in the paper: what becomes of the sections, and
/// `delta_hat - delta` and `delta` at both interfaces.
struct ByHand<S> {
    sections: [S; 3],
    residuals: [Tensor<2>; 2],
    deltas: [Tensor<2>; 2],
}

fn by_hand<S: Section>(
    sections: &[S; 3],
    interfaces: &[Interface; 2],
    batch: &Batch,
    lambda: f64,
) -> ByHand<S> {
    // `valid` makes copies whose batch norms share no running statistics with the originals.
    let [f1, f2, f3] = sections.each_ref().map(Module::valid);
    let pass1 = f1.pass(Input::from(batch.input.clone()));
    let pass2 = f2.pass(Input::Message(pass1.output.clone()));
    let pass3 = f3.pass(Input::Message(pass2.output.clone()));
    let synthetic = |i: usize, h: &Tensor<2>| {
        let prediction = interfaces[i].predict(h.clone(), batch.context.clone());
        prediction.delta_hat()
    };
    let delta_hat1 = synthetic(0, &pass1.output);
    let delta_hat2 = synthetic(1, &pass2.output);
    let mixed = |delta_hat: &Tensor<2>, delta: &Tensor<2>| {
        delta_hat.clone() * (1.0 - lambda) + delta.clone() * lambda
    };

    let (output, target) = (pass3.output.clone(), numbers(&batch.target));
    let below3 = pass3.back((output - target) / BATCH as f64);
    let delta2 = below3.input.expect("the input was a message");
    let below2 = pass2.back(mixed(&delta_hat2, &delta2));
    let delta1 = below2.input.expect("the input was a message");
    let below1 = pass1.back(mixed(&delta_hat1, &delta1));

    ByHand {
        sections: [
            Optimizer::sgd(1.0).update(f1, below1.parameters),
            Optimizer::sgd(1.0).update(f2, below2.parameters),
            Optimizer::sgd(1.0).update(f3, below3.parameters),
        ],
        residuals: [delta_hat1 - delta1.clone(), delta_hat2 - delta2.clone()],
        deltas: [delta1, delta2],
    }
}

/// Knows the gradient: what a perfect synthesizer would answer to one batch.
#[derive(Module, Debug)]
struct Oracle {
    #[module(skip)]
    delta: Tensor<2>,
}

impl Synthesizer for Oracle {
    fn forward(&self, _message: Tensor<2>, _context: Option<Tensor<2>>) -> Tensor<2> {
        self.delta.clone()
    }

    fn features(&self) -> usize {
        self.delta.dims()[1]
    }

    fn contexts(&self) -> usize {
        0
    }

    fn pass(&self, _message: Tensor<2>, _context: Option<Tensor<2>>) -> Pass {
        Pass::new(self.delta.clone(), |_, _| None)
    }
}

/// Interfaces that know the true gradients of a batch at both messages.
fn oracles<S: Section>(sections: &[S; 3], batch: &Batch, device: &Device) -> [Interface; 2] {
    let truth = by_hand(sections, &zero_interfaces(device), batch, 1.0);
    truth.deltas.map(|delta| {
        Interface::new(Oracle { delta }, Optimizer::sgd(1.0)).with_scale(TargetScale::Loss)
    })
}

/// With the true gradient in the synthesizer's place a decoupled step is a step of backprop.
#[test]
fn with_the_true_gradient_a_decoupled_step_equals_backprop() {
    fn check<S: Section + ModuleDisplay>(
        name: &str,
        sections: [S; 3],
        device: &Device,
        checks: &mut Checks,
    ) {
        let batch = batch(10, device);
        let mut backprop = Net::new(&sections, zero_interfaces(device));
        let mut decoupled = Net::new(&sections, oracles(&sections, &batch, device));
        let before = backprop.parameters(&batch);
        backprop.chain.step(batch.clone(), Credit::Backprop);
        decoupled.chain.step(batch.clone(), Credit::Synthetic);
        let [expected, actual] = [&backprop, &decoupled].map(|net| net.parameters(&batch));
        for i in 0..3 {
            checks.that(
                format!("{name}: section {i} stood still"),
                before[i] != expected[i],
            );
            checks.all_close(
                format!("{name}: the change of section {i}"),
                &differences(&actual[i], &before[i]),
                &differences(&expected[i], &before[i]),
                1e-5,
            );
        }
    }

    on_every_device(|device, checks| {
        for activation in ACTIVATIONS {
            for bias in [true, false] {
                let dense = three(|inputs, outputs, rng| {
                    DenseConfig::new(inputs, outputs)
                        .with_activation(activation)
                        .with_bias(bias)
                        .init(rng, device)
                });
                check(
                    &format!("{activation:?}, bias {bias}"),
                    dense,
                    device,
                    checks,
                );
            }
        }
        let normed = three(|inputs, outputs, rng| {
            DenseConfig::new(inputs, outputs)
                .with_activation(Activation::Tanh)
                .with_batch_norm(true)
                .init(rng, device)
        });
        check("batch norm", normed, device, checks);
        let gated = three(|inputs, outputs, rng| Gated {
            value: DenseConfig::new(inputs, outputs).linear().init(rng, device),
            gate: DenseConfig::new(inputs, outputs).linear().init(rng, device),
        });
        check("a user's own", gated, device, checks);
    });
}

/// Checks that the sections below the top kept their parameters bit for bit, and the top did not.
fn only_the_top_moved(
    before: &[Vec<Vec<f32>>; 3],
    after: &[Vec<Vec<f32>>; 3],
    checks: &mut Checks,
) {
    for i in 0..2 {
        let stands_still = bits(&before[i]) == bits(&after[i]);
        checks.that(format!("section {i} stands still"), stands_still);
    }
    checks.that("the top moves", before[2] != after[2]);
}

/// A synthesizer that starts at zero leaves the sections below the top as they are on the first
/// step, bit for bit; the top learns.
#[test]
fn a_zero_synthesizer_moves_nothing_below_the_top() {
    on_every_device(|device, checks| {
        let batch = batch(11, device);
        let mut net = Net::new(&three_dense(device), zero_interfaces(device));
        let before = net.parameters(&batch);
        net.chain.step(batch.clone(), Credit::Synthetic);
        let after = net.parameters(&batch);
        only_the_top_moved(&before, &after, checks);
    });
}

/// "No bprop" changes the top, as backprop would, and nothing else.
#[test]
fn without_credit_only_the_top_learns() {
    on_every_device(|device, checks| {
        let batch = batch(12, device);
        let sections = three_dense(device);
        let mut net = Net::new(&sections, two_interfaces(device));
        let mut backprop = Net::new(&sections, two_interfaces(device));
        let before = net.parameters(&batch);
        let answers = net.answers(device);
        net.chain.step(batch.clone(), Credit::None);
        backprop.chain.step(batch.clone(), Credit::Backprop);
        let after = net.parameters(&batch);
        only_the_top_moved(&before, &after, checks);
        checks.all_same("the top", &after[2], &backprop.parameters(&batch)[2]);
        checks.all_same("the synthesizers", &net.answers(device), &answers);
    });
}

/// The gradient stops at a cut: above it is there and right, below it is absent.
#[test]
fn nothing_flows_through_a_cut() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(4);
        let leaf = random([2, 3], rng, device).autodiff().require_grad();
        let below = leaf.clone() * 2.0;
        let delta = random([2, 3], rng, device);

        let message = cut(below.clone());
        let mut gradients = inject(message.clone() * 3.0, delta.clone());
        let above = receive(&message, &mut gradients).map(values);
        checks.that(
            "the cut changed the values",
            values(message) == values(below.clone()),
        );
        checks.close(
            "the gradient at the cut",
            &above.unwrap_or_default(),
            &values(delta.clone() * 3.0),
            1e-6,
        );
        checks.that(
            "a gradient below the cut",
            receive(&leaf, &mut gradients).is_none(),
        );

        // Without the cut it would have been there.
        let mut gradients = inject(below * 3.0, delta);
        checks.that(
            "no gradient at the leaf",
            receive(&leaf, &mut gradients).is_some(),
        );
    });
}

/// BP(1) is backprop for the sections, while the synthesizers, which backprop leaves alone, learn:
/// a warm-up.
#[test]
fn bp_1_equals_backprop_and_warms_synthesizers_up() {
    on_every_device(|device, checks| {
        let sections = three_dense(device);
        let mut backprop = Net::new(&sections, zero_interfaces(device));
        let mut mixed = Net::new(&sections, zero_interfaces(device));
        for seed in 0..3 {
            let batch = batch(seed, device);
            backprop.chain.step(batch.clone(), Credit::Backprop);
            mixed.chain.step(batch, Credit::Mixed { lambda: 1.0 });
        }
        let probe = batch(13, device);
        let [actual, expected] = [&mixed, &backprop].map(|net| net.parameters(&probe).concat());
        checks.all_same("the sections", &actual, &expected);
        let silent = |net: &Net| net.answers(device).concat().iter().all(|&v| v == 0.0);
        checks.that("backprop trained a synthesizer", silent(&backprop));
        for (i, answer) in mixed.answers(device).iter().enumerate() {
            checks.that(
                format!("synthesizer {i} did not learn"),
                answer.iter().any(|&v| v != 0.0),
            );
        }
    });
}

/// BP(0) is DNI: sections, synthesizers and residuals, over several steps.
#[test]
fn bp_0_equals_dni() {
    on_every_device(|device, checks| {
        let sections = three_dense(device);
        let mut dni = Net::new(&sections, two_interfaces(device));
        let mut mixed = Net::new(&sections, two_interfaces(device));
        for seed in 0..4 {
            let batch = batch(seed, device);
            let expected = dni.chain.step(batch.clone(), Credit::Synthetic);
            let actual = mixed.chain.step(batch, Credit::Mixed { lambda: 0.0 });
            let [actual, expected] = [actual, expected].map(|step| {
                step.residuals
                    .into_iter()
                    .flatten()
                    .map(values)
                    .collect::<Vec<_>>()
            });
            checks.all_same("the residuals", &actual, &expected);
        }
        let probe = batch(14, device);
        let [actual, expected] = [&mixed, &dni].map(|net| net.parameters(&probe).concat());
        checks.all_same("the sections", &actual, &expected);
        checks.all_same(
            "the synthesizers",
            &mixed.answers(device),
            &dni.answers(device),
        );
    });
}

/// Every credit is the recursion `g_i = (1 - lambda) delta_hat_i + lambda g_{i+1} dh_{i+1}/dh_i`,
/// and a step returns `delta_hat_i - g_{i+1} dh_{i+1}/dh_i`, which in the synthesizers' unit is a
/// batch size larger.
#[test]
fn every_lambda_equals_the_mixture_by_hand() {
    on_every_device(|device, checks| {
        let batch = batch(15, device);
        let sections = three_dense(device);
        let credits = [
            (Credit::Synthetic, 0.0),
            (Credit::Mixed { lambda: 0.3 }, 0.3),
            (Credit::Mixed { lambda: 0.8 }, 0.8),
            (Credit::Mixed { lambda: 1.0 }, 1.0),
        ];
        for (credit, lambda) in credits {
            let expected = by_hand(&sections, &two_interfaces(device), &batch, lambda);
            let mut net = Net::new(&sections, two_interfaces(device));
            let residuals = net.chain.step(batch.clone(), credit).residuals;

            let after = net.parameters(&batch);
            for (i, (actual, section)) in after.iter().zip(&expected.sections).enumerate() {
                let by_hand = common::floats(section).into_iter();
                let by_hand: Vec<_> = by_hand.map(|(_, value)| values(value)).collect();
                checks.all_close(format!("{credit:?}, section {i}"), actual, &by_hand, 1e-6);
            }
            let by_hand = expected
                .residuals
                .map(|residual| values(residual * BATCH as f64));
            let residuals: Vec<_> = residuals.into_iter().flatten().map(values).collect();
            checks.all_close(format!("{credit:?}, residuals"), &residuals, &by_hand, 1e-5);
        }
    });
}

/// In cDNI with either synthesizer the loss is the same on every backend.
#[test]
fn the_loss_is_the_same_on_every_backend() {
    let losses = |device: &Device, with_mlp: bool| {
        let rng = &mut seeded(5);
        let mut chain = Chain::new(Loss::BinaryCrossEntropy);
        for i in 0..2 {
            let [features, contexts] = [SIZES[i + 1], SIZES[3]];
            let section = DenseConfig::new(SIZES[i], features).init(rng, device);
            let linear = LinearSynthesizerConfig::new(features).with_contexts(contexts);
            let mlp = MlpSynthesizerConfig::new(features, vec![6]).with_contexts(contexts);
            let optimizer = Optimizer::sgd(0.3);
            let interface = if with_mlp {
                Interface::new(mlp.init(rng, device), optimizer)
            } else {
                Interface::new(linear.init(rng, device), optimizer)
            };
            chain = chain
                .section(format!("f{i}"), section, Optimizer::sgd(0.3))
                .interface(interface);
        }
        let top = DenseConfig::new(SIZES[2], SIZES[3])
            .linear()
            .init(rng, device);
        let mut chain = chain.section("top", top, Optimizer::sgd(0.3));
        let losses = (0..5).map(|seed| {
            let batch = batch(seed, device);
            chain.step(batch.clone(), Credit::Synthetic);
            chain.loss_of(&batch)
        });
        losses.collect::<Vec<_>>()
    };
    let flex = [false, true].map(|with_mlp| losses(&Device::flex(), with_mlp));
    on_every_device(|device, checks| {
        for (with_mlp, expected) in [false, true].into_iter().zip(&flex) {
            let actual = losses(device, with_mlp);
            let name = if with_mlp { "MLP" } else { "linear" };
            checks.that(
                format!("{name}: the loss stood still"),
                (actual[0] - actual[4]).abs() > 1e-3,
            );
            checks.close(name, &actual, expected, 1e-5);
        }
    });
}

/// The unit of a linear synthesizer under SGD is only a unit: prediction, target and therefore
/// the step are all `B` times larger, so that `delta_hat` is the same at the same learning rate.
/// Under a summed loss there is but one unit.
#[test]
fn the_target_scale_is_only_a_unit() {
    on_every_device(|device, checks| {
        for reduction in [Reduction::Mean, Reduction::Sum] {
            let [per_example, loss] = [TargetScale::PerExample, TargetScale::Loss].map(|scale| {
                let interfaces = zero_interfaces(device).map(|i| i.with_scale(scale));
                let mut net = Net::new(&three_dense(device), interfaces);
                net.chain = net.chain.with_reduction(reduction);
                for seed in 0..4 {
                    net.chain.step(batch(seed, device), Credit::Synthetic);
                }
                let residuals = net
                    .chain
                    .step(batch(4, device), Credit::Synthetic)
                    .residuals;
                let unit = match (reduction, scale) {
                    (Reduction::Mean, TargetScale::PerExample) => BATCH as f64,
                    _ => 1.0,
                };
                let residuals = residuals.into_iter().flatten().map(|r| values(r / unit));
                let parameters = net.parameters(&batch(5, device)).concat();
                (
                    net.answers(device),
                    parameters,
                    residuals.collect::<Vec<_>>(),
                )
            });
            checks.that(
                format!("{reduction:?}: delta_hat is zero"),
                loss.0.concat().iter().any(|&v| v != 0.0),
            );
            checks.all_same(format!("{reduction:?}, delta_hat"), &per_example.0, &loss.0);
            checks.all_same(format!("{reduction:?}, sections"), &per_example.1, &loss.1);
            checks.all_same(format!("{reduction:?}, residuals"), &per_example.2, &loss.2);
        }
    });
}

/// An oracle's gradients are perfect, zero ones say nothing, and both know how long the true one is.
#[test]
fn quality_tells_truth_from_silence() {
    on_every_device(|device, checks| {
        let batch = batch(16, device);
        let sections = three_dense(device);
        let truth = by_hand(&sections, &zero_interfaces(device), &batch, 1.0);
        let norms = truth.deltas.map(|delta| {
            let squares = values(delta).into_iter().map(|v| f64::from(v).powi(2));
            squares.sum::<f64>().sqrt()
        });
        let cases = [
            ("oracle", oracles(&sections, &batch, device), 1.0, 0.0),
            ("zero", zero_interfaces(device), 0.0, 1.0),
        ];
        for (name, interfaces, cosine, relative_error) in cases {
            let qualities = Net::new(&sections, interfaces).chain.quality(&batch);
            let names: Vec<_> = qualities.iter().map(|q| q.name.as_str()).collect();
            checks.that(format!("{name}: {names:?}"), names == ["f1", "f2"]);
            for (quality, norm) in qualities.iter().zip(norms) {
                checks.that(
                    format!("{name}: {quality:?}"),
                    is_close(quality.cosine, cosine, 1e-5)
                        && is_close(quality.relative_error, relative_error, 1e-5)
                        && is_close(quality.norm, norm, 1e-5 * norm),
                );
            }
        }
    });
}

fn is_close(figure: Option<f64>, expected: f64, tolerance: f64) -> bool {
    figure.is_some_and(|figure| (figure - expected).abs() < tolerance)
}

/// A gradient of zero is predicted by whoever predicts zero, one that is no number by nobody:
/// neither is a success.
#[test]
fn a_dead_gradient_and_a_broken_one_are_no_success() {
    on_every_device(|device, checks| {
        let measure = |delta_hat: [f32; 2], delta: [f32; 2]| {
            let of = |values: [f32; 2]| tensor(values.to_vec(), [1, 2], device);
            Quality::measure("f1".to_string(), of(delta_hat), of(delta))
        };
        const ZERO: [f32; 2] = [0.0, 0.0];
        const ONE: [f32; 2] = [0.0, 1.0];
        for (delta_hat, delta, state) in [
            (ONE, ONE, GradientState::Alive),
            (ZERO, ONE, GradientState::Alive),
            (ZERO, ZERO, GradientState::Dead),
            (ONE, ZERO, GradientState::Dead),
            (ONE, [f32::NAN, 1.0], GradientState::Broken),
            (ZERO, [f32::NAN, 1.0], GradientState::Broken),
            ([f32::NAN, 1.0], ONE, GradientState::Broken),
            ([f32::NAN, 1.0], ZERO, GradientState::Broken),
            (ONE, [f32::INFINITY, 1.0], GradientState::Broken),
        ] {
            let quality = measure(delta_hat, delta);
            let is_alive = state == GradientState::Alive;
            checks.that(
                format!("{delta_hat:?} for {delta:?}: {quality:?}"),
                quality.state == state
                    && quality.cosine.is_some() == is_alive
                    && quality.relative_error.is_some() == is_alive,
            );
            let text = serde_json::to_string(&quality).expect("it is JSON");
            let word = format!("\"state\":\"{state}\"");
            checks.that(format!("{text} without {word}"), text.contains(&word));
            let read: Quality = serde_json::from_str(&text).expect("it reads back");
            checks.that(format!("{text} reads back as {read:?}"), read == quality);
        }
    });
}

/// Measuring leaves no trace: neither in parameters nor in running statistics nor in what comes
/// after.
#[test]
fn quality_leaves_the_training_as_it_was() {
    let train = |device: &Device, measure: bool| {
        let sections = three(|inputs, outputs, rng| {
            DenseConfig::new(inputs, outputs)
                .with_batch_norm(true)
                .init(rng, device)
        });
        let rng = &mut seeded(6);
        let interfaces = array::from_fn(|i| {
            let synthesizer = MlpSynthesizerConfig::new(SIZES[i + 1], vec![6]).init(rng, device);
            Interface::new(synthesizer, Optimizer::adam(0.01))
        });
        let mut net = Net::new(&sections, interfaces);
        for seed in 0..3 {
            net.chain.step(batch(seed, device), Credit::Synthetic);
            if measure {
                net.chain.quality(&batch(7, device));
            }
        }
        let probe = batch(17, device);
        let mut state = net.parameters(&probe).concat();
        state.extend(net.answers(device));
        state.push(values(net.chain.predict(probe.input)));
        state
    };
    on_every_device(|device, checks| {
        checks.all_same("the chain", &train(device, true), &train(device, false));
    });
}

/// The top of a regression that ends at an interface: its output is the message.
#[derive(Module, Debug)]
struct Through;

impl Section for Through {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        input
    }
}

/// Linear regression on synthetic gradients reaches the least-squares optimum, with the linear
/// synthesizer between output and loss (Czarnecki et al., 2017, Theorem 1) and between two linear
/// sections.
///
/// The inputs are a full factorial design, the target is linear in them but for their product,
/// which is orthogonal to every linear function. So the optimum is what the product contributes:
/// `(0.4^2 + 0.2^2) / 2 = 0.1`.
#[test]
fn linear_regression_reaches_the_optimum() {
    const OPTIMUM: f32 = 0.1;
    let points = [[-1.0f32, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]];
    let target = |[a, b]: [f32; 2]| {
        [
            0.5 + a - 0.7 * b + 0.4 * a * b,
            -0.3 + 0.2 * a + 0.6 * b - 0.2 * a * b,
        ]
    };
    on_every_device(|device, checks| {
        let rng = &mut seeded(8);
        let targets = points.map(target);
        let target: Tensor<2> = tensor(targets.concat(), [4, 2], device);
        let batch = Batch::labelled(tensor(points.concat(), [4, 2], device), target);
        let mut bottom = || {
            let synthesizer = LinearSynthesizerConfig::new(2)
                .with_contexts(2)
                .init(rng, device);
            let section = DenseConfig::new(2, 2).linear().init(rng, device);
            Chain::new(Loss::SquaredError)
                .section("linear", section, Optimizer::sgd(0.2))
                .interface(Interface::new(synthesizer, Optimizer::sgd(0.3)))
        };
        let below_the_loss = bottom().section("loss", Through, Optimizer::sgd(0.0));
        let top = DenseConfig::new(2, 2).linear().init(&mut seeded(9), device);
        let between_two = bottom().section("top", top, Optimizer::sgd(0.2));
        for (name, mut chain) in [("below the loss", below_the_loss), ("between", between_two)] {
            let start = chain.loss_of(&batch) - OPTIMUM;
            for _ in 0..200 {
                chain.step(batch.clone(), Credit::Synthetic);
            }
            let gap = chain.loss_of(&batch) - OPTIMUM;
            checks.that(format!("{name}: started at the optimum"), start > 0.1);
            checks.that(
                format!("{name}: {gap:e} from the optimum"),
                gap.abs() < 1e-3,
            );
        }
    });
}

/// A dense section with values for one pass through it. All are multiples of 1/8, so that sums of
/// products are exact and no relu depends on the order of summation.
#[derive(Debug)]
struct DenseCase {
    sizes: [usize; 3],
    activation: Activation,
    bias: bool,
    seed: u64,
}

fn dense_cases() -> impl Strategy<Value = DenseCase> {
    // The host kernels end at 2^18 = 64^3 multiplications.
    let small = (1..20usize, 1..20usize, 1..20usize);
    let large = (65..72usize, 65..72usize, 65..72usize);
    let activation = prop::sample::select(ACTIVATIONS.as_slice());
    (
        prop_oneof![small, large],
        activation,
        any::<bool>(),
        any::<u64>(),
    )
        .prop_map(
            |((batch, inputs, outputs), activation, bias, seed)| DenseCase {
                sizes: [batch, inputs, outputs],
                activation,
                bias,
                seed,
            },
        )
}

impl DenseCase {
    /// Compares the section's own pass with the tape's.
    fn check(&self, device: &Device, checks: &mut Checks) {
        let rng = &mut seeded(self.seed);
        let [batch, inputs, outputs] = self.sizes;
        let mut eighths = |shape| (random(shape, rng, device) * 8.0).round() / 8.0;
        let input = Input::Message(eighths([batch, inputs]));
        let delta = eighths([batch, outputs]);
        let mut dense = DenseConfig::new(inputs, outputs)
            .with_activation(self.activation)
            .with_bias(self.bias)
            .init(&mut seeded(0), device);
        let weight = eighths([inputs, outputs]);
        let bias = eighths([1, outputs]).reshape([outputs]);
        dense.weight = dense.weight.map(|_| weight);
        dense.bias = dense.bias.map(|param| param.map(|_| bias));

        let passes = [
            dense.pass(input.clone()),
            Pass::on_tape(&dense, input, Section::forward),
        ];
        let [closed, tape] = passes.map(|pass| {
            let output = values(pass.output.clone());
            let gradients = pass.back(delta.clone());
            let parameters = gradients.parameters;
            let weight = parameters.get::<2>(dense.weight.id).map(values);
            let bias = dense.bias.as_ref().and_then(|b| parameters.get::<1>(b.id));
            let input = gradients.input.map(values);
            vec![
                output,
                weight.unwrap_or_default(),
                bias.map(values).unwrap_or_default(),
                input.unwrap_or_default(),
            ]
        });
        checks.that(
            "the tape has no gradients",
            !tape[1].is_empty() && tape[2].is_empty() != self.bias && !tape[3].is_empty(),
        );
        for (i, (closed, tape)) in closed.iter().zip(&tape).enumerate() {
            let what = ["output", "weight", "bias", "input"][i];
            let tape: Vec<_> = tape.iter().copied().map(f64::from).collect();
            // The slope of a saturated tanh is a small difference of values of order one.
            checks.each_close(format!("{self:?}: {what}"), closed, &tape, 2e-5, 1e-5);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The dense section's closed form is what the tape computes: in the host kernels of `flex`,
    /// above their size, and in the tensor ops of other backends, for which `ndarray` stands here,
    /// since `wgpu` compiles its kernels anew for every size.
    #[test]
    fn the_dense_closed_form_equals_the_tape(case in dense_cases()) {
        on_devices(&[Backend::Flex, Backend::Ndarray], |device, checks| case.check(device, checks));
    }
}

/// Batch norm over one example answers the same for every example: nothing would be learned.
#[test]
fn a_batch_of_one_under_batch_norm_is_refused() {
    on_every_device(|device, checks| {
        for width in [2, 64] {
            let rng = &mut seeded(1);
            let dense = DenseConfig::new(3, width).with_batch_norm(true);
            let mut chain = Chain::new(Loss::SquaredError)
                .section("normed", dense.init(rng, device), Optimizer::sgd(0.1))
                .interface(Interface::new(
                    LinearSynthesizerConfig::new(width).init(rng, device),
                    Optimizer::sgd(0.1),
                ))
                .section(
                    "output",
                    DenseConfig::new(width, 2).linear().init(rng, device),
                    Optimizer::sgd(0.1),
                );
            let mut step = |examples: usize| {
                let rng = &mut seeded(2);
                let target = random([examples, 2], rng, device);
                let batch = Batch::labelled(random([examples, 3], rng, device), target);
                let learned = catch_unwind(AssertUnwindSafe(|| {
                    chain.step(batch.clone(), Credit::Synthetic);
                }));
                // In use the running statistics serve for one as for many.
                assert!(chain.loss_of(&batch).is_finite());
                learned.map_err(|panic| panic.downcast_ref::<&str>().map(|said| said.to_string()))
            };
            checks.that("two examples", step(2).is_ok());
            let said = step(1).err().flatten().unwrap_or_default();
            let is_clear = said.contains("a batch of one example");
            checks.that(format!("one example: {said}"), is_clear);
        }
    });
}

/// Data of other numbers are converted, parameters of other numbers refused, on every backend.
#[test]
fn everything_is_computed_in_32_bit_floats() {
    on_devices(&[Backend::Flex, Backend::Ndarray], |device, checks| {
        let batch = batch(3, device);
        let wide = |tensor: &Tensor<2>| tensor.clone().cast(FloatDType::F64);
        let wide = Batch {
            context: batch.context.as_ref().map(wide),
            ..Batch::new(wide(&numbers(&batch.input)), wide(&numbers(&batch.target)))
        };
        let trained = |batch: &Batch| {
            let sections = three_dense(device);
            let mut net = Net::new(&sections, zero_interfaces(device));
            for _ in 0..2 {
                net.chain.step(batch.clone(), Credit::Synthetic);
            }
            (net.parameters(batch), net.chain.loss_of(batch))
        };
        checks.that("other numbers", trained(&wide) == trained(&batch));

        let section = DenseConfig::new(3, 2).init(&mut seeded(1), device);
        let section = section.map(&mut Widen);
        let build = || Chain::new(Loss::SquaredError).section("f", section, Optimizer::sgd(0.1));
        let panic = catch_unwind(AssertUnwindSafe(build)).err();
        let said = panic.and_then(|panic| panic.downcast::<String>().ok());
        let is_clear = said.is_some_and(|said| said.contains("F64"));
        checks.that("parameters of other numbers are taken", is_clear);
    });
}

struct Widen;

impl ModuleMapper for Widen {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|value| value.cast(FloatDType::F64))
    }
}
