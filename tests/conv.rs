//! Convolutional sections and synthesizers: values by hand, shapes, and what is refused.

mod common;

use burn::tensor::{Device, Tensor};
use common::{on_every_device, random, seeded, tensor, values};
use dni::data::ImageShape;
use dni::{
    Batch, Chain, ConvConfig, ConvSynthesizerConfig, Credit, DenseConfig, Init, Input, Interface,
    Loss, LossFunction, Optimizer, Pool, Section, Synthesizer,
};

fn image(channels: usize, height: usize, width: usize) -> ImageShape {
    ImageShape {
        channels,
        height,
        width,
    }
}

/// A kernel that counts up, on an image that counts up, with zeros beyond the edges.
#[test]
fn a_convolution_is_the_sum_over_its_window() {
    on_every_device(|device, checks| {
        let mut conv = ConvConfig::new(image(1, 2, 3), 1)
            .with_kernel(3)
            .linear()
            .with_init(Init::Zeros)
            .init(&mut seeded(1), device);
        let kernel = (1..=9).map(|v| v as f32).collect::<Vec<_>>();
        conv.weight = conv
            .weight
            .map(|_| Tensor::<1>::from_floats(kernel.as_slice(), device).reshape([1, 1, 3, 3]));
        conv.bias = conv
            .bias
            .map(|bias| bias.map(|_| Tensor::from_floats([0.5], device)));
        let input = tensor(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1, 6], device);
        // At the top left: 5 * 1 + 6 * 2 + 8 * 4 + 9 * 5 = 94.
        let expected = [94.0, 154.0, 106.0, 58.0, 91.0, 58.0].map(|v| v + 0.5);
        checks.close(
            "forward",
            &values(conv.forward(input.clone())),
            &expected,
            1e-6,
        );
        let pass = conv.pass(Input::Data(input));
        checks.close("pass", &values(pass.output), &expected, 1e-6);
    });
}

/// Channel after channel, row after row; what does not fill a window is not seen.
#[test]
fn pooling_takes_whole_windows() {
    on_every_device(|device, checks| {
        // A kernel of one that copies channel 0 and negates channel 1.
        let config = ConvConfig::new(image(2, 3, 5), 2)
            .with_kernel(1)
            .with_bias(false)
            .linear();
        let copy = Tensor::<1>::from_floats([1.0, 0.0, 0.0, -1.0], device);
        let input: Vec<f32> = (0..30).map(|v| v as f32).collect();
        for (pool, expected) in [
            (Pool::max(2), [6.0, 8.0, -15.0, -17.0]),
            (Pool::avg(2), [3.0, 5.0, -18.0, -20.0]),
        ] {
            let mut conv = config.clone().with_pool(pool).init(&mut seeded(1), device);
            conv.weight = conv.weight.map(|_| copy.clone().reshape([2, 2, 1, 1]));
            let shape = conv.output_shape();
            checks.that(format!("{pool:?}: {shape:?}"), shape == image(2, 1, 2));
            let output = conv.forward(tensor(input.clone(), [1, 30], device));
            checks.close(format!("{pool:?}"), &values(output), &expected, 1e-6);
        }
    });
}

#[test]
fn the_papers_pooling_leaves_9_of_28_and_3_of_9_pixels() {
    let first = ConvConfig::new(image(1, 28, 28), 64).with_pool(Pool::max(3));
    assert_eq!(first.output_shape(), image(64, 9, 9));
    let second = ConvConfig::new(first.output_shape(), 64).with_pool(Pool::avg(3));
    assert_eq!(second.output_shape(), image(64, 3, 3));
    let overlapping = Pool::max(3).with_stride(2).output_shape(image(4, 28, 27));
    assert_eq!(overlapping, image(4, 13, 13));
}

#[test]
#[should_panic(expected = "smaller than a pooling window")]
fn an_image_that_cannot_be_pooled_is_refused() {
    let config = ConvConfig::new(image(1, 2, 9), 4).with_pool(Pool::max(3));
    config.init(&mut seeded(1), &Device::flex());
}

#[test]
#[should_panic(expected = "it must be odd")]
fn an_even_kernel_is_refused() {
    let config = ConvConfig::new(image(1, 9, 9), 4).with_kernel(4);
    config.init(&mut seeded(1), &Device::flex());
}

/// The label comes in as masks: a channel for each class, all ones for that of the example.
#[test]
fn the_context_is_a_mask_for_each_feature() {
    on_every_device(|device, checks| {
        let mut synthesizer = ConvSynthesizerConfig::new(image(1, 2, 2), vec![])
            .with_kernel(1)
            .with_contexts(3)
            .init(&mut seeded(1), device);
        let message = random([2, 4], &mut seeded(2), device);
        let context = tensor(vec![0.0, 0.0, 1.0, 1.0, 0.0, 0.0], [2, 3], device);
        let start = values(synthesizer.forward(message.clone(), Some(context.clone())));
        checks.that("it starts at zero", start == [0.0; 8]);
        // One weight for the message and one for each class.
        let weight = Tensor::<1>::from_floats([0.0, 10.0, 20.0, 30.0], device);
        let layer = &mut synthesizer.layers[0];
        layer.weight = layer.weight.clone().map(|_| weight.reshape([1, 4, 1, 1]));
        let answer = values(synthesizer.forward(message, Some(context)));
        let expected = [30.0, 30.0, 30.0, 30.0, 10.0, 10.0, 10.0, 10.0];
        checks.close("by class", &answer, &expected, 1e-6);
    });
}

/// A small net as the paper's learns, by backprop and by cDNI.
#[test]
fn a_convolutional_net_learns() {
    on_every_device(|device, checks| {
        for credit in [Credit::Backprop, Credit::Synthetic] {
            let rng = &mut seeded(3);
            let conv = ConvConfig::new(image(1, 6, 6), 4)
                .with_kernel(3)
                .with_batch_norm(true)
                .with_pool(Pool::max(3));
            let message = conv.output_shape();
            let synthesizer = ConvSynthesizerConfig::new(message, vec![4])
                .with_kernel(3)
                .with_contexts(2);
            let interface = Interface::new(synthesizer.init(rng, device), Optimizer::adam(0.01));
            let output = DenseConfig::new(message.len(), 2)
                .linear()
                .init(rng, device);
            let mut chain = Chain::new(Loss::CrossEntropy)
                .section("conv", conv.init(rng, device), Optimizer::adam(0.01))
                .interface(interface)
                .section("output", output, Optimizer::adam(0.01));
            let target = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], device);
            let target = target.repeat_dim(0, 4);
            let batch = Batch::labelled(random([8, 36], rng, device), target);
            let loss = |output: Tensor<2>| {
                let losses = Loss::CrossEntropy.of_each(output, batch.target.clone());
                values(losses.mean())[0]
            };
            let first = loss(chain.step(batch.clone(), credit).output);
            for _ in 0..30 {
                chain.step(batch.clone(), credit);
            }
            let last = loss(chain.step(batch.clone(), credit).output);
            let what = format!("{credit:?}: from {first} to {last}");
            checks.that(what, last < 0.5 * first);
        }
    });
}
