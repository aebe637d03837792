//! What is bypassed for speed equals what it bypasses: batch norm, convolutions, synthesizers and
//! Adam on the host against autodiff and burn. (The plain dense section is held against the tape in
//! `identities.rs`.)

mod common;

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use common::{ACTIVATIONS, Checks, on_every_device, parameters, random, seeded, values};
use dni::data::ImageShape;
use dni::{
    Conv, ConvConfig, ConvSynthesizerConfig, DenseConfig, Init, Input, LabelSynthesizerConfig,
    LinearSynthesizerConfig, LowRankSynthesizerConfig, Mlp, MlpSynthesizerConfig, Optimizer, Pass,
    Pool, Section, Synthesizer,
};

/// Compares two passes through one module: outputs, gradients of the input and of every parameter.
fn compare<M: Module>(name: &str, module: &M, [ours, tape]: [Pass; 2], checks: &mut Checks) {
    let output = values(ours.output.clone());
    checks.close(
        format!("{name}: output"),
        &output,
        &values(tape.output.clone()),
        1e-5,
    );
    let [batch, features] = ours.output.dims();
    let delta = random([batch, features], &mut seeded(5), &ours.output.device());
    let [ours, tape] = [ours, tape].map(|pass| {
        let gradients = pass.back(delta.clone());
        // With a learning rate of one the step is the gradient.
        let count = gradients.parameters.len();
        let after = Optimizer::sgd(1.0).update(module.clone(), gradients.parameters);
        let values = parameters(&after).into_iter().map(|(_, v)| values(v));
        (
            count,
            values.collect::<Vec<_>>(),
            gradients.input.map(common::values),
        )
    });
    checks.that(format!("{name}: number of gradients"), ours.0 == tape.0);
    checks.all_close(format!("{name}: parameters"), &ours.1, &tape.1, 1e-5);
    checks.that(format!("{name}: has no gradients"), ours.0 > 0);
    match (ours.2, tape.2) {
        (Some(ours), Some(tape)) => checks.close(format!("{name}: input"), &ours, &tape, 1e-5),
        (None, None) => {}
        _ => checks.that(format!("{name}: input wanted"), false),
    }
}

/// Batch norm: output, gradients and running statistics, below and above the size of the small
/// host kernels.
#[test]
fn batch_norm_equals_the_tape() {
    on_every_device(|device, checks| {
        for sizes in [[6, 3, 5], [70, 65, 67]] {
            let [batch, inputs, outputs] = sizes;
            for activation in ACTIVATIONS {
                let name = format!("{sizes:?}, {activation:?}");
                let new = || {
                    DenseConfig::new(inputs, outputs)
                        .with_activation(activation)
                        .with_batch_norm(true)
                        .init(&mut seeded(1), device)
                        .valid()
                };
                let (ours, taped) = (new(), new());
                let rng = &mut seeded(2);
                // Twice, as the statistics are a moving mean.
                for _ in 0..2 {
                    let input = random([batch, inputs], rng, device) * 3.0 + 0.5;
                    let input = Input::Message(input);
                    let passes = [
                        ours.pass(input.clone()),
                        Pass::on_tape(&taped, input, Section::forward),
                    ];
                    // Parameters have the identifiers of one of the two.
                    let [a, b] = passes;
                    compare_norm(&name, [a, b], checks);
                }
                let input = random([batch, inputs], rng, device);
                checks.close(
                    format!("{name}: in use"),
                    &values(ours.valid().forward(input.clone())),
                    &values(taped.valid().forward(input)),
                    1e-5,
                );
            }
        }
    });
}

fn compare_norm(name: &str, passes: [Pass; 2], checks: &mut Checks) {
    let [batch, features] = passes[0].output.dims();
    let delta = random(
        [batch, features],
        &mut seeded(5),
        &passes[0].output.device(),
    );
    let [ours, tape] = passes.map(|pass| {
        let output = values(pass.output.clone());
        let gradients = pass.back(delta.clone());
        vec![output, gradients.input.map(values).unwrap_or_default()]
    });
    checks.all_close(format!("{name}: output and input"), &ours, &tape, 1e-4);
}

/// The gradients of every parameter, where both passes go through the same module.
#[test]
fn layers_in_a_row_have_the_gradients_of_the_tape() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(3);
        for batch_norm in [false, true] {
            let layers = [[4, 6], [6, 5], [5, 3]].map(|[inputs, outputs]| {
                DenseConfig::new(inputs, outputs)
                    .with_activation(dni::Activation::Tanh)
                    .with_batch_norm(batch_norm)
                    .init(rng, device)
            });
            let mlp = Mlp::new(layers.to_vec()).valid();
            let input = random([7, 4], rng, device);
            for input in [Input::Data(input.clone()), Input::Message(input)] {
                let passes = [
                    mlp.pass(input.clone()),
                    Pass::on_tape(&mlp, input, Section::forward),
                ];
                compare(&format!("batch norm {batch_norm}"), &mlp, passes, checks);
            }
        }
    });
}

fn image(channels: usize, height: usize, width: usize) -> ImageShape {
    ImageShape {
        channels,
        height,
        width,
    }
}

/// With a scale and a shift of the norm that are not those it begins with.
fn with_another_norm(mut conv: Conv, device: &Device) -> Conv {
    let rng = &mut seeded(9);
    conv.norm = conv.norm.map(|mut norm| {
        let features = norm.gamma.dims()[0];
        let mut drawn =
            || Param::from_tensor(random([1, features], rng, device).reshape([features]));
        (norm.gamma, norm.beta) = (drawn(), drawn());
        norm
    });
    conv
}

/// Convolutional sections of every kind: one and several channels, kernels as large as the image
/// and larger, windows of pooling that overlap, leave an edge, or leave gaps.
#[test]
fn convolutions_equal_the_tape() {
    let pools = [
        None,
        Some(Pool::max(3)),
        Some(Pool::max(3).with_stride(2)),
        Some(Pool::avg(2)),
        Some(Pool::avg(2).with_stride(1)),
        Some(Pool::max(1).with_stride(2)),
    ];
    on_every_device(|device, checks| {
        let rng = &mut seeded(7);
        let shapes = [image(1, 7, 5), image(3, 4, 8), image(2, 3, 3)];
        for (i, pool) in pools.into_iter().enumerate() {
            for (j, shape) in shapes.into_iter().enumerate() {
                let mut config = ConvConfig::new(shape, 4)
                    .with_kernel([5, 3, 1][(i + j) % 3])
                    .with_activation(ACTIVATIONS[(i + j) % ACTIVATIONS.len()])
                    .with_bias(i != 1);
                config.pool = pool;
                let input = random([6, shape.len()], rng, device) * 2.0 + 0.3;
                for batch_norm in [false, true] {
                    let conv = config.clone().with_batch_norm(batch_norm);
                    let conv = conv.init(rng, device).valid();
                    for input in [Input::Data(input.clone()), Input::Message(input.clone())] {
                        let passes = [
                            conv.pass(input.clone()),
                            Pass::on_tape(&conv, input, Section::forward),
                        ];
                        let name = format!("{config:?}, batch norm {batch_norm}");
                        compare(&name, &conv, passes, checks);
                    }
                    let in_use = with_another_norm(conv, device);
                    checks.close(
                        format!("{config:?}, batch norm {batch_norm}, in use"),
                        &values(in_use.predict(input.clone())),
                        &values(in_use.forward(input.clone())),
                        1e-5,
                    );
                }
            }
        }
    });
}

/// More windows than are copied at a time.
#[test]
fn large_convolutions_equal_the_tape() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(8);
        let shape = image(8, 20, 20);
        let conv = ConvConfig::new(shape, 5).init(rng, device).valid();
        let input = Input::Message(random([9, shape.len()], rng, device));
        let passes = [
            conv.pass(input.clone()),
            Pass::on_tape(&conv, input, Section::forward),
        ];
        compare("large", &conv, passes, checks);
    });
}

/// The statistics that a net uses are those of the tape.
#[test]
fn convolutions_keep_the_statistics_of_the_tape() {
    on_every_device(|device, checks| {
        let shape = image(2, 6, 4);
        let config = ConvConfig::new(shape, 3).with_batch_norm(true);
        let [ours, taped] = [(); 2].map(|()| config.init(&mut seeded(1), device).valid());
        let rng = &mut seeded(2);
        for _ in 0..2 {
            let input = Input::Message(random([5, shape.len()], rng, device) * 3.0 + 0.5);
            let passes = [
                ours.pass(input.clone()),
                Pass::on_tape(&taped, input, Section::forward),
            ];
            compare_norm("convolution", passes, checks);
        }
        let input = random([5, shape.len()], rng, device);
        checks.close(
            "in use",
            &values(ours.forward(input.clone())),
            &values(taped.forward(input)),
            1e-5,
        );
    });
}

#[test]
#[should_panic(expected = "cannot stand on")]
fn layers_that_do_not_fit_are_refused() {
    let device = &Device::flex();
    let layer = DenseConfig::new(3, 4).init(&mut seeded(1), device);
    Mlp::new(vec![layer.clone(), layer]);
}

fn check_synthesizer<M: Synthesizer>(
    name: &str,
    synthesizer: M,
    device: &Device,
    checks: &mut Checks,
) {
    let contexts = synthesizer.contexts();
    let context = (contexts > 0).then(|| random([5, contexts], &mut seeded(5), device));
    check_synthesizer_with(name, synthesizer, context, device, checks);
}

fn check_synthesizer_with<M: Synthesizer>(
    name: &str,
    synthesizer: M,
    context: Option<Tensor<2>>,
    device: &Device,
    checks: &mut Checks,
) {
    let message = random([5, synthesizer.features()], &mut seeded(4), device);
    let synthesizer = synthesizer.valid();
    let tape = Pass::on_tape(
        &synthesizer,
        Input::Data(message.clone()),
        |synthesizer, message| synthesizer.forward(message, context.clone()),
    );
    let passes = [synthesizer.pass(message, context), tape];
    compare(name, &synthesizer, passes, checks);
}

/// Every synthesizer's own pass is that of autodiff through its forward.
#[test]
fn synthesizers_equal_the_tape() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(6);
        for contexts in [0, 3] {
            let mut low_rank = LowRankSynthesizerConfig::new(6, 2)
                .with_contexts(contexts)
                .init(rng, device);
            // Under zeros the gradient of `U` would be zero.
            low_rank.up = DenseConfig::new(2 + contexts, 6)
                .linear()
                .with_init(Init::FanIn)
                .init(rng, device);
            let name = format!("low rank, {contexts} of context");
            check_synthesizer(&name, low_rank, device, checks);
            let mlp = MlpSynthesizerConfig::new(6, vec![5, 4]).with_contexts(contexts);
            let name = format!("MLP, {contexts} of context");
            check_synthesizer(&name, mlp.init(rng, device), device, checks);
        }
        for contexts in [0, 3] {
            let mut conv = ConvSynthesizerConfig::new(image(2, 3, 4), vec![4, 3])
                .with_kernel(3)
                .with_contexts(contexts)
                .init(rng, device);
            conv.layers[2] = ConvConfig::new(image(3, 3, 4), 2)
                .linear()
                .init(rng, device);
            let name = format!("convolutional, {contexts} of context");
            check_synthesizer(&name, conv, device, checks);
        }
        let label = LabelSynthesizerConfig::new(6, 3).init(rng, device);
        check_synthesizer("label", label, device, checks);
        // Layers of more than 2^18 multiplications are made otherwise than smaller ones.
        for features in [6, 250] {
            let linear = LinearSynthesizerConfig::new(features)
                .with_contexts(8)
                .with_init(Init::FanIn)
                .init(rng, device);
            let one_hot = Tensor::<2>::eye(8, device).narrow(0, 0, 5);
            let name = format!("linear, {features} features");
            check_synthesizer(&name, linear.clone(), device, checks);
            let name = format!("{name}, one-hot context");
            check_synthesizer_with(&name, linear, Some(one_hot), device, checks);
        }
    });
}

/// A label synthesizer answers by class, whatever the message; a low-rank one starts at zero.
#[test]
fn cheap_synthesizers_are_what_they_say() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(8);
        let mut label = LabelSynthesizerConfig::new(4, 2).init(rng, device);
        label.map = DenseConfig::new(2, 4).linear().init(rng, device);
        let context = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], device);
        let [a, b] = [(); 2]
            .map(|()| values(label.forward(random([3, 4], rng, device), Some(context.clone()))));
        checks.that("the message was looked at", a == b);
        checks.that("one class has two answers", a[..4] == a[8..]);
        checks.that("two classes have one answer", a[..4] != a[4..8]);
        let low_rank = LowRankSynthesizerConfig::new(4, 2).init(rng, device);
        checks.that("the rank", low_rank.down.outputs() == 2);
        let answer = values(low_rank.forward(random([3, 4], rng, device), None));
        checks.that(
            "it does not start at zero",
            answer.iter().all(|&v| v == 0.0),
        );
    });
}

/// The library's Adam is burn's with another epsilon, also with a factor of a schedule.
#[test]
fn adam_equals_burns() {
    on_every_device(|device, checks| {
        let rule = AdamConfig::new().with_epsilon(1e-8);
        let mut optimizers = [Optimizer::adam(0.01), Optimizer::new(rule, 0.01)];
        let section = DenseConfig::new(9, 7).init(&mut seeded(1), device).valid();
        let mut sections = [section.clone(), section];
        let rng = &mut seeded(2);
        for step in 0..6 {
            let weight = random([9, 7], rng, device);
            let bias = random([1, 7], rng, device).reshape([7]);
            for (section, optimizer) in sections.iter_mut().zip(&mut optimizers) {
                optimizer.set_rate_factor(if step < 3 { 1.0 } else { 0.1 });
                let mut gradients = GradientsParams::new();
                gradients.register(section.weight.id, weight.clone());
                // Without a gradient the bias and its state rest.
                if step != 2 {
                    let bias_id = section.bias.as_ref().expect("there is a bias").id;
                    gradients.register(bias_id, bias.clone());
                }
                *section = optimizer.update(section.clone(), gradients);
            }
            let [ours, burns] = sections.each_ref().map(|section| {
                let parameters = parameters(section).into_iter();
                parameters.map(|(_, v)| values(v)).collect::<Vec<_>>()
            });
            checks.all_close(format!("step {step}"), &ours, &burns, 1e-5);
        }
    });
}
