//! The low-rank synthesizer: `delta_hat = [h U; c] V + b`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::{Synthesizer, checked, conditioned};
use crate::init::Init;
use crate::pass::{Input, Pass};
use crate::section::{Dense, DenseConfig, Section};

/// How to build a [`LowRankSynthesizer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowRankSynthesizerConfig {
    /// Features of the message, and of its gradient.
    pub features: usize,
    /// The rank: how many linear features of the message it uses. One above `features` only costs.
    pub rank: usize,
    /// Features of the context. Default: zero, no context.
    pub contexts: usize,
}

impl LowRankSynthesizerConfig {
    /// A synthesizer of this rank without context.
    pub fn new(features: usize, rank: usize) -> Self {
        Self {
            features,
            rank,
            contexts: 0,
        }
    }

    /// Sets the features of the context.
    pub fn with_contexts(mut self, contexts: usize) -> Self {
        self.contexts = contexts;
        self
    }

    /// Builds the synthesizer; `rng` draws the initial values of `U`. `V` is zero at the start.
    ///
    /// # Panics
    ///
    /// If there are no features, or the rank is zero.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> LowRankSynthesizer {
        LowRankSynthesizer {
            down: DenseConfig::new(self.features, self.rank)
                .linear()
                .with_bias(false)
                .init(rng, device),
            up: DenseConfig::new(self.rank + self.contexts, self.features)
                .linear()
                .with_init(Init::Zeros)
                .init(rng, device),
        }
    }
}

/// `delta_hat = [h U; c] V + b`: the linear synthesizer with `A` of low rank.
///
/// A full linear synthesizer costs two of the three products of the layer below it. This one costs
/// `2 rank / features` of that, and a cross-entropy loss of a few classes needs no more: the
/// gradients of one example's loss span as many dimensions as there are classes.
#[derive(Module, Debug)]
pub struct LowRankSynthesizer {
    /// `U`, from the message to `rank` values.
    pub down: Dense,
    /// `V` and `b`, from these values and the context to `delta_hat`.
    pub up: Dense,
}

impl Synthesizer for LowRankSynthesizer {
    fn forward(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        let values = self.down.forward(message);
        self.up
            .forward(conditioned(values, context, self.contexts()))
    }

    fn features(&self) -> usize {
        self.up.outputs()
    }

    fn contexts(&self) -> usize {
        self.up.inputs() - self.down.outputs()
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        let down = self.down.pass(Input::Data(message));
        let values = Input::Message(down.output.clone());
        down.then(match checked(context, self.contexts()) {
            Some(context) => self.up.pass_with_context(values, context),
            None => self.up.pass(values),
        })
    }
}
