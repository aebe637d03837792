//! The synthesizer that sees the label only: `delta_hat = c B + C`.

use burn::module::Module;
use burn::tensor::{Device, Tensor, assert_shape};
use rand::Rng;

use super::Synthesizer;
use crate::init::Init;
use crate::pass::{Input, Pass};
use crate::section::{Dense, DenseConfig, Section};

/// How to build a [`LabelSynthesizer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSynthesizerConfig {
    /// Features of the message, and of its gradient.
    pub features: usize,
    /// Features of the context.
    pub contexts: usize,
}

impl LabelSynthesizerConfig {
    /// A synthesizer for messages of `features` from contexts of `contexts` features.
    pub fn new(features: usize, contexts: usize) -> Self {
        Self { features, contexts }
    }

    /// Builds the synthesizer; all its parameters are zero at the start.
    ///
    /// # Panics
    ///
    /// If a size is zero.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> LabelSynthesizer {
        LabelSynthesizer {
            map: DenseConfig::new(self.contexts, self.features)
                .linear()
                .with_init(Init::Zeros)
                .init(rng, device),
        }
    }
}

/// `delta_hat = c B + C`: one estimate of the gradient for each class, whatever the message. It
/// costs next to nothing and knows next to nothing (the "per-label stale gradient" of Czarnecki et
/// al., arXiv:1703.00522).
#[derive(Module, Debug)]
pub struct LabelSynthesizer {
    /// The map from `c` to `delta_hat`.
    pub map: Dense,
}

impl LabelSynthesizer {
    fn input(&self, context: Option<Tensor<2>>) -> Tensor<2> {
        let contexts = self.contexts();
        let context = context.expect("a synthesizer that sees the label only needs a context");
        assert_shape!(context, [_, contexts]);
        context
    }
}

impl Synthesizer for LabelSynthesizer {
    fn forward(&self, _message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        self.map.forward(self.input(context))
    }

    fn features(&self) -> usize {
        self.map.outputs()
    }

    fn contexts(&self) -> usize {
        self.map.inputs()
    }

    fn pass(&self, _message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        self.map.pass(Input::Data(self.input(context)))
    }
}
