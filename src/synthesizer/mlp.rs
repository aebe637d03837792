//! The multi-layer synthesizer: hidden layers of linear, batch norm and relu, then a linear one.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::{Synthesizer, conditioned};
use crate::init::Init;
use crate::pass::{Input, Pass};
use crate::section::{Activation, Dense, DenseConfig, Section};

/// How to build an [`MlpSynthesizer`].
#[derive(Debug, Clone, PartialEq)]
pub struct MlpSynthesizerConfig {
    /// Features of the message, and of its gradient.
    pub features: usize,
    /// Units of each hidden layer; the paper's MNIST network uses `[1024, 1024]`.
    pub hidden: Vec<usize>,
    /// Features of the context. Default: zero, no context.
    pub contexts: usize,
    /// Whether hidden layers are batch-normalised. Default: yes, as in the paper; without, they
    /// learn far more slowly.
    pub batch_norm: bool,
}

impl MlpSynthesizerConfig {
    /// A synthesizer with the given hidden layers and no context.
    pub fn new(features: usize, hidden: Vec<usize>) -> Self {
        Self {
            features,
            hidden,
            contexts: 0,
            batch_norm: true,
        }
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

    /// Builds the synthesizer; `rng` draws the initial values of the hidden layers.
    ///
    /// # Panics
    ///
    /// If a size is zero.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> MlpSynthesizer {
        let mut inputs = self.features + self.contexts;
        let mut hidden = Vec::with_capacity(self.hidden.len());
        for &units in &self.hidden {
            let layer = DenseConfig::new(inputs, units).with_batch_norm(self.batch_norm);
            hidden.push(layer.init(rng, device));
            inputs = units;
        }
        MlpSynthesizer {
            hidden,
            output: DenseConfig::new(inputs, self.features)
                .with_activation(Activation::Identity)
                .with_init(Init::Zeros)
                .init(rng, device),
            contexts: self.contexts,
        }
    }
}

/// `delta_hat = W_n relu(norm(W_{n-1} ... [h; c])) + b`, the paper's choice for DNI without labels.
#[derive(Module, Debug)]
pub struct MlpSynthesizer {
    /// The hidden layers, from the message up.
    pub hidden: Vec<Dense>,
    /// The last layer, zero at the start.
    pub output: Dense,
    contexts: usize,
}

impl Synthesizer for MlpSynthesizer {
    fn forward(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        let input = conditioned(message, context, self.contexts);
        let top = self
            .hidden
            .iter()
            .fold(input, |input, layer| layer.forward(input));
        self.output.forward(top)
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        let input = Input::Data(conditioned(message, context, self.contexts));
        let mut layers = self.hidden.iter().chain([&self.output]);
        let first = layers.next().expect("there is always an output layer");
        layers.fold(first.pass(input), |below, layer| {
            let message = Input::Message(below.output.clone());
            below.then(layer.pass(message))
        })
    }

    fn features(&self) -> usize {
        self.output.outputs()
    }

    fn contexts(&self) -> usize {
        self.contexts
    }
}
