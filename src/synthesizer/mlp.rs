//! The multi-layer synthesizer: hidden layers of linear, batch norm and relu, then a linear one.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::{Synthesizer, conditioned};
use crate::init::Init;
use crate::pass::{Input, Pass};
use crate::section::{DenseConfig, Mlp, Section};

/// How to build an [`MlpSynthesizer`].
#[derive(Debug, Clone, PartialEq)]
pub struct MlpSynthesizerConfig {
    /// Features of the message, and of its gradient.
    pub features: usize,
    /// Units of each hidden layer; the paper's MNIST network uses `[1024, 1024]`.
    pub hidden: Vec<usize>,
    /// Features of the context. Default: zero, no context.
    pub contexts: usize,
    /// Whether hidden layers have batch norm. Default: yes, as in the paper; without it they learn
    /// far more slowly.
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
        let mut layers = Vec::with_capacity(self.hidden.len() + 1);
        for &units in &self.hidden {
            let layer = DenseConfig::new(inputs, units).with_batch_norm(self.batch_norm);
            layers.push(layer.init(rng, device));
            inputs = units;
        }
        let output = DenseConfig::new(inputs, self.features)
            .linear()
            .with_init(Init::Zeros);
        layers.push(output.init(rng, device));
        MlpSynthesizer {
            map: Mlp::new(layers),
            contexts: self.contexts,
        }
    }
}

/// `delta_hat = W_n relu(norm(W_{n-1} ... [h; c])) + b`, the paper's choice for DNI without labels.
#[derive(Module, Debug)]
pub struct MlpSynthesizer {
    /// The map from `[h; c]` to `delta_hat`; its last layer is zero at the start.
    pub map: Mlp,
    contexts: usize,
}

impl Synthesizer for MlpSynthesizer {
    fn forward(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        self.map
            .forward(conditioned(message, context, self.contexts))
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        let input = conditioned(message, context, self.contexts);
        self.map.pass(Input::Data(input))
    }

    fn features(&self) -> usize {
        self.map.outputs()
    }

    fn contexts(&self) -> usize {
        self.contexts
    }
}
