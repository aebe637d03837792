//! The convolutional synthesizer: layers of convolution, batch norm and relu, then a convolution.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::{Synthesizer, checked};
use crate::image::ImageShape;
use crate::init::Init;
use crate::pass::{Input, Pass};
use crate::section::{Conv, ConvConfig, forward_through, pass_through};

/// How to build a [`ConvSynthesizer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvSynthesizerConfig {
    /// The shape of the message, and of its gradient.
    pub message: ImageShape,
    /// Channels of each hidden layer; the paper's networks use `[64, 64]` for MNIST and
    /// `[128, 128]` for CIFAR-10. With none the synthesizer is one linear convolution.
    pub hidden: Vec<usize>,
    /// Rows and columns of the kernels, an odd number. Default: 5, as in the paper.
    pub kernel: usize,
    /// Features of the context. Default: zero, no context.
    pub contexts: usize,
    /// Whether hidden layers have batch norm. Default: yes, as in the paper.
    pub batch_norm: bool,
}

impl ConvSynthesizerConfig {
    /// A synthesizer with the given hidden layers, kernels of 5 x 5 and no context.
    pub fn new(message: ImageShape, hidden: Vec<usize>) -> Self {
        Self {
            message,
            hidden,
            kernel: 5,
            contexts: 0,
            batch_norm: true,
        }
    }

    /// Sets the rows and columns of the kernels.
    pub fn with_kernel(mut self, kernel: usize) -> Self {
        self.kernel = kernel;
        self
    }

    /// Sets the features of the context.
    pub fn with_contexts(mut self, contexts: usize) -> Self {
        self.contexts = contexts;
        self
    }

    /// Sets whether hidden layers are batch-normalised.
    pub fn with_batch_norm(mut self, batch_norm: bool) -> Self {
        self.batch_norm = batch_norm;
        self
    }

    /// Builds the synthesizer; `rng` draws the initial values of the hidden layers. The last one
    /// is zero at the start.
    ///
    /// # Panics
    ///
    /// If a size is zero or the kernel is even.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> ConvSynthesizer {
        let mut input = ImageShape {
            channels: self.message.channels + self.contexts,
            ..self.message
        };
        let mut layers = Vec::with_capacity(self.hidden.len() + 1);
        for &channels in &self.hidden {
            let layer = ConvConfig::new(input, channels)
                .with_kernel(self.kernel)
                .with_batch_norm(self.batch_norm)
                .init(rng, device);
            input = layer.output_shape();
            layers.push(layer);
        }
        let output = ConvConfig::new(input, self.message.channels)
            .with_kernel(self.kernel)
            .linear()
            .with_init(Init::Zeros);
        layers.push(output.init(rng, device));
        ConvSynthesizer {
            layers,
            contexts: self.contexts,
        }
    }
}

/// `delta_hat = W_n * relu(norm(W_{n-1} * ... [h; c])) + b`, the paper's choice for convolutional
/// networks.
///
/// A context adds one channel for each of its features, with the feature's value in every pixel:
/// the paper's masks, in which the label's channel is all ones and the others zero.
#[derive(Module, Debug)]
pub struct ConvSynthesizer {
    /// The layers, from the bottom up; the last one is zero at the start.
    pub layers: Vec<Conv>,
    contexts: usize,
}

impl ConvSynthesizer {
    /// The shape of the message, and of its gradient.
    fn message_shape(&self) -> ImageShape {
        self.layers[self.layers.len() - 1].output_shape()
    }

    /// `[h; c]`: the channels of the message, then those of the context.
    fn input(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        match checked(context, self.contexts) {
            Some(context) => {
                let ImageShape { height, width, .. } = self.message_shape();
                Tensor::cat(vec![message, masks(context, height * width)], 1)
            }
            None => message,
        }
    }
}

/// Each value of a context, `[batch, contexts]`, in every pixel of a channel, `[batch, contexts *
/// pixels]`.
fn masks(context: Tensor<2>, pixels: usize) -> Tensor<2> {
    context
        .unsqueeze_dim::<3>(2)
        .repeat_dim(2, pixels)
        .flatten(1, 2)
}

impl Synthesizer for ConvSynthesizer {
    fn forward(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        forward_through(&self.layers, self.input(message, context))
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        let input = Input::Data(self.input(message, context));
        pass_through(&self.layers, input)
    }

    fn features(&self) -> usize {
        self.message_shape().len()
    }

    fn contexts(&self) -> usize {
        self.contexts
    }
}
