//! Gradients against central finite differences, on every backend.
//!
//! The backends compute in f32, so a difference quotient has two errors: the functions' curvature,
//! about `STEP^2 / 6` times the third derivative, and rounding, about `1e-7 |f| / STEP`. Messages,
//! parameters and losses here are of order one and smooth, and scalars are summed up in f64 on the
//! host, so that with a step of 1/128 both stay near 1e-5; [`ABSOLUTE`] and [`RELATIVE`] leave room
//! for steeper ones. A step that is a power of two adds no error of its own. The relu networks are
//! drawn from seeds for which no unit is within a step of its kink.

mod common;

use burn::module::{Module, ModuleDisplay, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, Tensor};
use common::{
    ACTIVATIONS, Checks, Gated, Watched, floats, on_every_device, parameters, random, seeded,
    tensor, values,
};
use dni::data::ImageShape;
use dni::message::{cut, inject, receive};
use dni::{
    Activation, ConvConfig, ConvSynthesizerConfig, Data, DenseConfig, Init, Input, Interface,
    LinearSynthesizerConfig, Loss, LossFunction, MlpSynthesizerConfig, Optimizer, Pool, Section,
    Synthesizer, TargetScale,
};

const STEP: f32 = 1.0 / 128.0;
const ABSOLUTE: f64 = 3e-4;
const RELATIVE: f64 = 1e-3;

/// The central difference quotient of `f` in every element of `point`.
fn numerical(point: &[f32], f: impl Fn(Vec<f32>) -> f64) -> Vec<f64> {
    let quotient = |i: usize| {
        let at = |step: f32| {
            let mut point = point.to_vec();
            point[i] += step;
            f(point)
        };
        (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP)
    };
    (0..point.len()).map(quotient).collect()
}

/// The central difference quotient of `f` in every trainable parameter of a module.
fn numerical_in_parameters<M: Module>(
    module: &M,
    f: impl Fn(&M) -> f64,
) -> Vec<(ParamId, Vec<f64>)> {
    let quotients = |(id, value): (ParamId, Tensor<1>)| {
        let of_values = |values| f(&module.clone().map(&mut Replace { id, values }));
        (id, numerical(&values(value), of_values))
    };
    parameters(module).into_iter().map(quotients).collect()
}

/// Gives one parameter other values.
struct Replace {
    id: ParamId,
    values: Vec<f32>,
}

impl ModuleMapper for Replace {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.id != self.id {
            return param;
        }
        param.map(|old| tensor(self.values.clone(), old.dims(), &old.device()))
    }
}

/// `<a, b>`, in f64.
fn dot(a: Tensor<2>, b: &[f32]) -> f64 {
    let products = values(a).into_iter().zip(b);
    products.map(|(a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// What `inject` sends back is `delta * dh/d(.)`, for the input and for a parameter alike.
#[test]
fn inject_sends_back_the_gradient_of_the_product() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(1);
        let [x, w] = [[2, 3], [3, 2]].map(|shape| random(shape, rng, device));
        let delta = random([2, 2], rng, device);
        let message = |x: Tensor<2>, w: Tensor<2>| x.matmul(w).tanh();

        let input = cut(x.clone());
        let weight = w.clone().autodiff().require_grad();
        let mut gradients = inject(message(input.clone(), weight.clone()), delta.clone());
        let [at_input, at_weight] =
            [&input, &weight].map(|leaf| receive(leaf, &mut gradients).map(values));

        let delta = values(delta);
        let expected = numerical(&values(x.clone()), |x| {
            dot(message(tensor(x, [2, 3], device), w.clone()), &delta)
        });
        let at_input = at_input.unwrap_or_default();
        checks.each_close("input", &at_input, &expected, ABSOLUTE, RELATIVE);
        let expected = numerical(&values(w), |w| {
            dot(message(x.clone(), tensor(w, [3, 2], device)), &delta)
        });
        let at_weight = at_weight.unwrap_or_default();
        checks.each_close("weight", &at_weight, &expected, ABSOLUTE, RELATIVE);
    });
}

/// The way back through a section gives the gradient of `<h, delta>` in every parameter and in
/// the input.
fn check_section<S: Section>(name: &str, section: &S, device: &Device, checks: &mut Checks) {
    const SHAPE: [usize; 2] = [6, 2];
    let rng = &mut seeded(14);
    let input = random(SHAPE, rng, device);
    let pass = section.pass(Input::Message(input.clone()));
    let delta = random(pass.output.dims(), rng, device);
    let gradients = pass.back(delta.clone());
    let delta = values(delta);
    // The output in training, where batch norm takes the statistics of the batch.
    let product =
        |section: &S, input: Tensor<2>| dot(section.pass(Input::Message(input)).output, &delta);

    let expected = numerical(&values(input.clone()), |x| {
        product(section, tensor(x, SHAPE, device))
    });
    let at_input = gradients.input.map(values).unwrap_or_default();
    checks.each_close(
        format!("{name}: input"),
        &at_input,
        &expected,
        ABSOLUTE,
        RELATIVE,
    );

    let expected = numerical_in_parameters(section, |section| product(section, input.clone()));
    checks.that(
        format!("{name}: {} gradients", gradients.parameters.len()),
        gradients.parameters.len() == expected.len(),
    );
    // With a learning rate of one the step is the gradient.
    let after = Optimizer::sgd(1.0).update(section.clone(), gradients.parameters);
    let steps = parameters(section).into_iter().zip(parameters(&after));
    for (i, ((_, expected), ((_, before), (_, after)))) in expected.iter().zip(steps).enumerate() {
        let what = format!("{name}: parameter {i}");
        checks.each_close(what, &values(before - after), expected, ABSOLUTE, RELATIVE);
    }
}

/// Every type of section has the gradients of its output.
#[test]
fn sections_have_their_gradients() {
    on_every_device(|device, checks| {
        let config = DenseConfig::new(2, 3);
        for activation in ACTIVATIONS {
            for bias in [true, false] {
                let config = config.clone().with_activation(activation).with_bias(bias);
                let section = config.init(&mut seeded(2), device);
                let name = format!("{activation:?}, bias {bias}");
                check_section(&name, &section, device, checks);
            }
        }
        let normed = config
            .clone()
            .with_activation(Activation::Tanh)
            .with_batch_norm(true);
        check_section(
            "batch norm",
            &normed.init(&mut seeded(2), device),
            device,
            checks,
        );
        // One channel of 1 x 2 pixels, the features of this test.
        let image = ImageShape {
            channels: 1,
            height: 1,
            width: 2,
        };
        for batch_norm in [false, true] {
            let config = ConvConfig::new(image, 2)
                .with_kernel(3)
                .with_activation(Activation::Tanh)
                .with_batch_norm(batch_norm);
            for pool in [None, Some(Pool::avg(1)), Some(Pool::max(1))] {
                let config = match pool {
                    Some(pool) => config.clone().with_pool(pool),
                    None => config.clone(),
                };
                let name = format!("convolution, batch norm {batch_norm}, {pool:?}");
                check_section(&name, &config.init(&mut seeded(6), device), device, checks);
            }
        }
        let rng = &mut seeded(2);
        let [value, gate] = [(); 2].map(|()| config.clone().linear().init(rng, device));
        check_section("a user's own", &Gated { value, gate }, device, checks);
    });
}

/// `Loss::gradient` is the gradient of the reduced `Loss::of_each`.
#[test]
fn losses_have_their_gradients() {
    const SHAPE: [usize; 2] = [2, 3];
    let one_hot = vec![0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    let shares = vec![0.25, 1.0, 0.0, 0.5, 0.75, 0.0];
    let cases = [
        (Loss::SquaredError, &shares),
        (Loss::BinaryCrossEntropy, &shares),
        (Loss::CrossEntropy, &one_hot),
        (Loss::CrossEntropy, &shares),
    ];
    on_every_device(|device, checks| {
        for (loss, target) in &cases {
            let target = tensor(target.to_vec(), SHAPE, device);
            // Logits from -2 to 2.
            let output = random(SHAPE, &mut seeded(3), device) * 2.0;
            let target = Data::from(target);
            let expected = numerical(&values(output.clone()), |output| {
                let losses = loss.of_each(tensor(output, SHAPE, device), target.clone());
                values(losses).into_iter().map(f64::from).sum::<f64>()
            });
            let actual = values(loss.gradient_of_each(output.clone(), target));
            checks.each_close(format!("{loss:?}"), &actual, &expected, ABSOLUTE, RELATIVE);
        }
    });
}

/// An interface's step descends the gradient of `1/2 |delta_hat - delta|^2`, meaned over the batch
/// in the unit of the synthesizer. With a learning rate of one the step is the gradient.
fn check_synthesizer<M>(
    name: &str,
    synthesizer: M,
    with_context: bool,
    device: &Device,
    checks: &mut Checks,
) where
    M: Synthesizer + ModuleDisplay,
{
    const BATCH: usize = 4;
    let rng = &mut seeded(11);
    let features = synthesizer.features();
    let message = random([BATCH, features], rng, device);
    let context = with_context.then(|| random([BATCH, 2], rng, device));
    let delta = random([BATCH, features], rng, device);
    for (scale, unit) in [
        (TargetScale::PerExample, BATCH as f32),
        (TargetScale::Loss, 1.0),
    ] {
        let name = format!("{name}, {scale:?}");
        let target: Vec<f32> = values(delta.clone() * (unit / BATCH as f32));
        let regression = |synthesizer: &M| {
            let prediction = synthesizer.pass(message.clone(), context.clone()).output;
            let pairs = values(prediction).into_iter().zip(&target);
            let squares = pairs.map(|(p, &t)| (f64::from(p) - f64::from(t)).powi(2));
            squares.sum::<f64>() / 2.0 / BATCH as f64
        };

        let (watched, notes) = Watched::new(synthesizer.valid());
        let mut interface = Interface::new(watched, Optimizer::sgd(1.0)).with_scale(scale);
        let prediction = interface.predict(message.clone(), context.clone());
        let before = notes.read();
        interface.learn(prediction, delta.clone() / BATCH as f32);
        interface.predict(message.clone(), context.clone());
        let step = common::differences(&before, &notes.read());

        let ids = floats(&synthesizer).into_iter().map(|(id, _)| id);
        let step: Vec<_> = ids.zip(step).collect();
        for (i, (id, expected)) in numerical_in_parameters(&synthesizer, regression)
            .into_iter()
            .enumerate()
        {
            let actual = step
                .iter()
                .find(|(other, _)| *other == id)
                .map(|(_, step)| step);
            let actual = actual.cloned().unwrap_or_default();
            let what = format!("{name}: parameter {i}");
            checks.each_close(what, &actual, &expected, ABSOLUTE, RELATIVE);
            checks.that(
                format!("{name}: parameter {i} has no gradient to find"),
                expected.iter().any(|v| v.abs() > ABSOLUTE),
            );
        }
    }
}

/// Every synthesizer learns by the gradient of its regression.
#[test]
fn synthesizers_have_their_gradients() {
    on_every_device(|device, checks| {
        for with_context in [false, true] {
            let contexts = if with_context { 2 } else { 0 };
            let linear = LinearSynthesizerConfig::new(2)
                .with_contexts(contexts)
                .with_init(Init::FanIn)
                .init(&mut seeded(7), device);
            let name = format!("linear, context {with_context}");
            check_synthesizer(&name, linear, with_context, device, checks);
            let image = ImageShape {
                channels: 1,
                height: 1,
                width: 2,
            };
            let mut conv = ConvSynthesizerConfig::new(image, vec![2])
                .with_kernel(3)
                .with_contexts(contexts)
                .with_batch_norm(false)
                .init(&mut seeded(9), device);
            let hidden = conv.layers[0].output_shape();
            conv.layers[1] = ConvConfig::new(hidden, 1)
                .with_kernel(3)
                .linear()
                .init(&mut seeded(10), device);
            let name = format!("convolution, context {with_context}");
            check_synthesizer(&name, conv, with_context, device, checks);
            for batch_norm in [false, true] {
                let rng = &mut seeded(8);
                let mut mlp = MlpSynthesizerConfig::new(2, vec![3])
                    .with_contexts(contexts)
                    .with_batch_norm(batch_norm)
                    .init(rng, device);
                // Under a last layer of zeros the hidden ones would have no gradient.
                mlp.map.layers[1] = DenseConfig::new(3, 2).linear().init(rng, device);
                let name = format!("MLP, batch norm {batch_norm}, context {with_context}");
                check_synthesizer(&name, mlp, with_context, device, checks);
            }
        }
    });
}
