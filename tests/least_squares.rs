//! Recursive least squares: a step is the Newton step, what was seen before fades as it should,
//! and a probe learns what it guesses.

mod common;

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::SgdConfig;
use burn::optim::momentum::MomentumConfig;
use burn::tensor::{Device, Tensor, activation};
use common::kept::restore;
use common::{on_devices, on_every_device, random, said, seeded, tensor, values};
use dni::{
    Backend, Batch, Chain, Credit, DenseConfig, Interface, LeastSquaresSynthesizerConfig, Loss,
    Optimizer, TargetScale,
};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

const FEATURES: usize = 6;
const CLASSES: usize = 3;
const BATCH: usize = 96;

fn config() -> LeastSquaresSynthesizerConfig {
    LeastSquaresSynthesizerConfig::new(FEATURES, 4).with_contexts(CLASSES)
}

/// One class for each example, in turn, `[batch, CLASSES]`.
fn classes(batch: usize, device: &Device) -> Tensor<2> {
    let one_hot =
        |i: usize| (0..CLASSES).map(move |class| f32::from(u8::from(i % CLASSES == class)));
    tensor(
        (0..batch).flat_map(one_hot).collect(),
        [batch, CLASSES],
        device,
    )
}

/// A regression of its own: predicts at `message` and learns `delta`. Gives what it predicted.
fn regress(
    interface: &mut Interface,
    message: &Tensor<2>,
    context: &Tensor<2>,
    delta: &Tensor<2>,
) -> Tensor<2> {
    let prediction = interface.predict(message.clone(), Some(context.clone()));
    let delta_hat = prediction.delta_hat();
    interface.learn(prediction, delta.clone());
    delta_hat
}

fn norm(tensor: Tensor<2>) -> f64 {
    let squares = values(tensor).into_iter().map(|v| f64::from(v * v));
    squares.sum::<f64>().sqrt()
}

/// With a rate of one and hardly a ridge, one step from zero finds any target that is linear in
/// what the synthesizer sees; at a rate of 1/4 a quarter of it.
#[test]
fn a_full_step_solves_the_regression() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(1);
        let synthesizer = config().with_ridge(3e-5).init(rng, device);
        let message = random([32, FEATURES], rng, device);
        let context = classes(32, device);
        let seen = Tensor::cat(
            vec![
                message.clone().matmul(synthesizer.down.weight.val()),
                context.clone(),
            ],
            1,
        );
        let delta = seen.matmul(random([4 + CLASSES, FEATURES], rng, device)) + 0.5;
        for rate in [1.0, 0.25] {
            let mut interface = Interface::new(synthesizer.clone(), Optimizer::sgd(rate))
                .with_scale(TargetScale::Loss);
            let before = regress(&mut interface, &message, &context, &delta);
            checks.that("it does not start at zero", norm(before) == 0.0);
            let after = interface
                .predict(message.clone(), Some(context.clone()))
                .delta_hat();
            checks.close(
                format!("rate {rate}"),
                &values(after),
                &values(delta.clone() * rate),
                5e-3,
            );
        }
    });
}

/// The second moments are exponentially weighted means without the bias of their start: two steps
/// of one half equal the closed form.
#[test]
fn what_was_seen_fades() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(2);
        let synthesizer = LeastSquaresSynthesizerConfig::new(1, 1)
            .with_forgetting(0.5)
            .with_ridge(1e-6)
            .init(rng, device);
        let u = values(synthesizer.down.weight.val())[0];
        let mut interface =
            Interface::new(synthesizer, Optimizer::sgd(0.5)).with_scale(TargetScale::Loss);
        // Of mean zero, so that the one has nothing to do.
        let steps = [1.0_f32, 3.0].map(|x| tensor(vec![x, -x], [2, 1], device));
        for message in &steps {
            let prediction = interface.predict(message.clone(), None);
            interface.learn(prediction, message.clone());
        }
        // v <- v + 1/2 (u x)(x - v u x) / S with S_1 = u^2, S_2 = (S_1 / 4 + 9 u^2 / 2) / (3 / 4).
        let after_one = 0.5 / u;
        let moment = (0.25 + 4.5) / 0.75 * u * u;
        let after_two = after_one + 0.5 * 9.0 * u * (1.0 - after_one * u) / moment;
        let answer = interface.predict(steps[0].clone(), None).delta_hat();
        checks.close(
            "after two steps",
            &values(answer),
            &[after_two * u, -after_two * u],
            1e-4,
        );
    });
}

/// Classes drawn with these probabilities, one-hot.
fn drawn(probabilities: &[f32], rng: &mut ChaCha8Rng, device: &Device) -> Tensor<2> {
    let one_hot = probabilities.chunks_exact(CLASSES).flat_map(|p| {
        let threshold: f32 = rng.random();
        let [first, second] = [p[0], p[0] + p[1]].map(|sum| usize::from(sum <= threshold));
        (0..CLASSES).map(move |class| f32::from(u8::from(class == first + second)))
    });
    tensor(
        one_hot.collect(),
        [probabilities.len() / CLASSES, CLASSES],
        device,
    )
}

/// A target that is nonlinear in the message but linear in `p - c`, as gradients of a
/// cross-entropy are, is learned with a probe much better than without.
#[test]
fn a_probe_finds_what_is_left_to_learn() {
    on_devices(&[Backend::Flex], |device, checks| {
        let [plain, probe] = [false, true].map(|with_probe| {
            let rng = &mut seeded(3);
            let config = LeastSquaresSynthesizerConfig::new(FEATURES, FEATURES);
            let config = config.with_contexts(CLASSES).with_probe(with_probe);
            let mut interface = Interface::new(config.init(rng, device), Optimizer::sgd(0.2));
            let up = random([CLASSES, FEATURES], rng, device);
            let map = random([FEATURES, CLASSES], rng, device) * 4.0;
            let (mut error, mut size) = (0.0, 0.0);
            for step in 0..200 {
                let message = random([BATCH, FEATURES], rng, device);
                let p = activation::softmax(message.clone().matmul(map.clone()), 1);
                let context = drawn(&values(p.clone()), rng, device);
                let delta = (p - context.clone()).matmul(up.clone());
                let delta_hat = regress(
                    &mut interface,
                    &message,
                    &context,
                    &(delta.clone() / BATCH as f32),
                );
                if step >= 150 {
                    error += norm(delta_hat * BATCH as f32 - delta.clone()).powi(2);
                    size += norm(delta).powi(2);
                }
            }
            (error / size).sqrt()
        });
        checks.that(
            format!("with a probe {probe:.3}, without {plain:.3}"),
            probe < 0.7 * plain,
        );
    });
}

/// `U` stays as it was drawn, and a prediction that nothing was learned from leaves no trace.
#[test]
fn looking_changes_nothing() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(4);
        let message = random([8, FEATURES], rng, device);
        let (context, delta) = (classes(8, device), random([8, FEATURES], rng, device));
        let learn = |looks: usize| {
            let synthesizer = config().with_probe(true).init(&mut seeded(5), device);
            let mut interface = Interface::new(synthesizer, Optimizer::sgd(0.2));
            for _ in 0..3 {
                for _ in 0..looks {
                    interface.predict(message.clone() * 3.0, Some(context.clone()));
                }
                regress(&mut interface, &message, &context, &delta);
            }
            let after = interface.predict(message.clone(), Some(context.clone()));
            values(after.delta_hat())
        };
        checks.close("looking", &learn(2), &learn(0), 1e-6);
    });
}

/// What diverged is seen as such, not hidden and not a panic.
#[test]
fn what_is_not_finite_stays_so() {
    on_devices(&[Backend::Flex], |device, checks| {
        let rng = &mut seeded(6);
        let mut interface = Interface::new(config().init(rng, device), Optimizer::sgd(0.2));
        let message = Tensor::full([8, FEATURES], f32::NAN, device);
        let context = classes(8, device);
        let delta = random([8, FEATURES], rng, device);
        regress(&mut interface, &message, &context, &delta);
        checks.that(
            "it is finite",
            !interface.is_finite().expect("the device works"),
        );
    });
}

fn network(device: &Device) -> Chain {
    let rng = &mut seeded(7);
    let first = DenseConfig::new(4, FEATURES).with_batch_norm(true);
    let synthesizer = config().with_probe(true).init(rng, device);
    Chain::new(Loss::CrossEntropy)
        .section("first", first.init(rng, device), Optimizer::adam(0.01))
        .interface(Interface::new(synthesizer, Optimizer::sgd(0.2)))
        .section(
            "top",
            DenseConfig::new(FEATURES, CLASSES)
                .linear()
                .init(rng, device),
            Optimizer::adam(0.01),
        )
}

/// The second moments are in the checkpoint: a restored network goes on as the saved one.
#[test]
fn a_checkpoint_keeps_what_was_seen() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(8);
        let mut batch = || {
            let target = classes(9, device);
            Batch::labelled(random([9, 4], rng, device), target)
        };
        let mut chain = network(device);
        for _ in 0..5 {
            chain.step(batch(), Credit::Synthetic);
        }
        let mut restored = network(device);
        restore(&chain, &mut restored);
        let batch = batch();
        let [a, b] = [chain, restored].map(|mut chain| {
            chain.step(batch.clone(), Credit::Synthetic);
            chain.quality(&batch)[0].absolute_error
        });
        let tolerance = if checks.are_exact() { 0.0 } else { 1e-6 };
        let [a, b] = [a, b].map(|figure| figure.expect("it is a number") as f32);
        checks.close("after one more step", &[a], &[b], tolerance);
    });
}

#[test]
#[should_panic(expected = "there is none")]
fn a_probe_without_a_context_is_refused() {
    let config = LeastSquaresSynthesizerConfig::new(4, 2).with_probe(true);
    config.init(&mut seeded(1), &Device::flex());
}

#[test]
#[should_panic(expected = "forgetting must be")]
fn nothing_is_kept_for_ever() {
    let config = LeastSquaresSynthesizerConfig::new(4, 2).with_forgetting(1.0);
    config.init(&mut seeded(1), &Device::flex());
}

/// Any other optimizer than plain descent would rescale its steps.
#[test]
fn an_optimizer_that_rescales_its_steps_is_refused() {
    let device = &Device::flex();
    let clipping = || GradientClippingConfig::Norm(1.0);
    let momentum = SgdConfig::new().with_momentum(Some(MomentumConfig::new()));
    let synthesizer = || config().init(&mut seeded(1), device);
    for optimizer in [
        Optimizer::adam(0.1),
        Optimizer::new(momentum, 0.1),
        Optimizer::sgd(0.1).with_clipping(clipping()),
    ] {
        let said = said(|| drop(Interface::new(synthesizer(), optimizer)));
        assert!(said.contains("give it Optimizer::sgd"), "{said}");
    }
    Interface::new(synthesizer(), Optimizer::sgd(0.1));
}
