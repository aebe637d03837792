//! The linear synthesizer: `delta_hat = h A + c B + C`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::{Synthesizer, checked, conditioned};
use crate::init::Init;
use crate::pass::{Input, Pass};
use crate::section::{Activation, Dense, DenseConfig, Section};

/// How to build a [`LinearSynthesizer`].
#[derive(Debug, Clone, PartialEq)]
pub struct LinearSynthesizerConfig {
    /// Features of the message, and of its gradient.
    pub features: usize,
    /// Features of the context. Default: zero, no context.
    pub contexts: usize,
    /// The initial values. Default: [`Init::Zeros`], as in the paper.
    pub init: Init,
}

impl LinearSynthesizerConfig {
    /// A synthesizer without context.
    pub fn new(features: usize) -> Self {
        Self {
            features,
            contexts: 0,
            init: Init::Zeros,
        }
    }

    /// Sets the features of the context.
    pub fn with_contexts(mut self, contexts: usize) -> Self {
        self.contexts = contexts;
        self
    }

    /// Sets the distribution of the initial values.
    pub fn with_init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Builds the synthesizer; `rng` draws the initial values, if they are not zero.
    ///
    /// # Panics
    ///
    /// If there are no features.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> LinearSynthesizer {
        LinearSynthesizer {
            map: DenseConfig::new(self.features + self.contexts, self.features)
                .with_activation(Activation::Identity)
                .with_init(self.init)
                .init(rng, device),
        }
    }
}

/// `delta_hat = h A + c B + C`, the paper's choice for cDNI and the form studied by Czarnecki et
/// al. (arXiv:1703.00522).
///
/// `A` is the upper rows of one matrix, `B` the lower rows.
#[derive(Module, Debug)]
pub struct LinearSynthesizer {
    /// The map from `[h; c]` to `delta_hat`.
    pub map: Dense,
}

impl Synthesizer for LinearSynthesizer {
    fn forward(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        self.map
            .forward(conditioned(message, context, self.contexts()))
    }

    fn features(&self) -> usize {
        self.map.outputs()
    }

    fn contexts(&self) -> usize {
        self.map.inputs() - self.map.outputs()
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        match checked(context, self.contexts()) {
            Some(context) => self.map.pass_with_context(Input::Data(message), context),
            None => self.map.pass(Input::Data(message)),
        }
    }
}
