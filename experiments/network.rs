//! The networks of the image experiments.

use burn::tensor::Device;
use clap::ValueEnum;
use dni::data::ImageShape;
use dni::{Chain, DenseConfig, Init, InputModel, Interface, Loss, Mlp, Optimizer, TargetScale};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::args::Misuse;
use crate::synthesizer::SynthesizerKind;

/// The kind of the hidden layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// Dense, batch norm, relu
    Fcn,
    /// 5x5 convolution, batch norm, relu, pooling over 3x3: the greatest in the first layer, the
    /// mean in the others
    Cnn,
}

/// The shape of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub model: Model,
    /// The hidden layers and the output layer.
    pub depth: usize,
    /// Of the hidden layers of an fcn.
    pub units: usize,
    /// Of the hidden layers of a cnn.
    pub channels: usize,
    /// Whether layers train on synthetic inputs.
    pub unlock: bool,
    /// Hidden units of what makes these.
    pub input_units: usize,
}

/// What a network is built for and with.
pub struct Parts<'a> {
    pub image: ImageShape,
    pub classes: usize,
    /// None for no interfaces.
    pub synthesizer: Option<&'a SynthesizerKind>,
    /// Features of the label that synthesizers see.
    pub contexts: usize,
    pub lr: f64,
    pub synthesizer_lr: f64,
    pub target_scale: TargetScale,
    pub device: &'a Device,
}

impl Network {
    /// Builds it. Layers are drawn first, so that they start alike whatever stands between them.
    pub fn chain(&self, parts: &Parts, rng: &mut impl Rng) -> Result<Chain, Misuse> {
        let hidden = vec![self.units; self.depth - 1];
        let mut inputs = parts.image.len();
        let mut layers = Vec::with_capacity(self.depth);
        for &units in &hidden {
            let config = DenseConfig::new(inputs, units)
                .with_batch_norm(true)
                .with_init(Init::He);
            layers.push(config.init(rng, parts.device));
            inputs = units;
        }
        let output = DenseConfig::new(inputs, parts.classes).linear();
        layers.push(output.init(rng, parts.device));
        let mut chain = Chain::new(Loss::CrossEntropy);
        for (i, layer) in layers.into_iter().enumerate() {
            let name = match i + 1 == self.depth {
                true => "output".to_string(),
                false => format!("hidden{}", i + 1),
            };
            chain = chain.section(name, layer, Optimizer::adam(parts.lr));
            if i + 1 < self.depth
                && let Some(synthesizer) = parts.synthesizer
            {
                chain = chain.interface(self.interface(synthesizer, hidden[i], parts, rng)?);
            }
        }
        Ok(chain)
    }

    fn interface(
        &self,
        synthesizer: &SynthesizerKind,
        features: usize,
        parts: &Parts,
        rng: &mut impl Rng,
    ) -> Result<Interface, Misuse> {
        let optimizer = Optimizer::adam(parts.synthesizer_lr);
        let interface =
            synthesizer.interface(features, parts.contexts, optimizer, rng, parts.device)?;
        let interface = interface.with_scale(parts.target_scale);
        Ok(match self.unlock {
            true => interface.with_input_model(self.input_model(features, parts, rng)),
            false => interface,
        })
    }

    /// One hidden layer from the network's input to a message.
    fn input_model(&self, features: usize, parts: &Parts, rng: &mut impl Rng) -> InputModel {
        let hidden = DenseConfig::new(parts.image.len(), self.input_units)
            .with_batch_norm(true)
            .with_init(Init::He);
        let output = DenseConfig::new(self.input_units, features).linear();
        let layers = vec![
            hidden.init(rng, parts.device),
            output.init(rng, parts.device),
        ];
        InputModel::new(Mlp::new(layers), Optimizer::adam(parts.synthesizer_lr))
    }

    /// Refuses what cannot be built.
    pub fn check(&self, image: ImageShape) -> Result<(), Misuse> {
        let sizes = [self.depth, self.units, self.channels, self.input_units];
        if sizes.contains(&0) {
            return Err(Misuse(
                "depth, units and channels must be at least 1".to_string(),
            ));
        }
        let _ = image;
        Ok(())
    }
}
