//! The networks of the image experiments.

use burn::tensor::Device;
use clap::ValueEnum;
use dni::data::ImageShape;
use dni::{
    Chain, Conv, ConvConfig, ConvSynthesizerConfig, Dense, DenseConfig, Init, InputModel,
    Interface, Loss, Mlp, Optimizer, Pool, TargetScale,
};
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

/// What fits into memory, with what training keeps of it.
const MOST_PARAMETERS: u128 = 1 << 28;

/// Rows and columns that a cnn pools over.
pub const POOL: usize = 3;

/// A hidden layer.
enum Layer {
    Dense(Dense),
    Conv(Conv),
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
    /// Rows, or columns, from one window that a cnn pools over to the next. (The paper does not say
    /// it.)
    #[serde(default = "side_by_side")]
    pub pool_stride: usize,
    /// Whether layers train on synthetic inputs.
    pub unlock: bool,
    /// Hidden units of what makes these.
    pub input_units: usize,
}

fn side_by_side() -> usize {
    POOL
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
        let messages = self.messages(parts.image)?;
        let mut layers = Vec::with_capacity(messages.len());
        let mut below = parts.image;
        for (i, &message) in messages.iter().enumerate() {
            layers.push(self.layer(i, below, parts.device, rng));
            below = message;
        }
        let output = DenseConfig::new(below.len(), parts.classes).linear();
        let output = output.init(rng, parts.device);
        let mut chain = Chain::new(Loss::CrossEntropy);
        for (i, (layer, &message)) in layers.into_iter().zip(&messages).enumerate() {
            let (name, optimizer) = (format!("hidden{}", i + 1), Optimizer::adam(parts.lr));
            chain = match layer {
                Layer::Dense(layer) => chain.section(name, layer, optimizer),
                Layer::Conv(layer) => chain.section(name, layer, optimizer),
            };
            if let Some(synthesizer) = parts.synthesizer {
                chain = chain.interface(self.interface(synthesizer, message, parts, rng)?);
            }
        }
        Ok(chain.section("output", output, Optimizer::adam(parts.lr)))
    }

    /// The shape of every message, from the bottom up.
    ///
    /// # Errors
    ///
    /// If an image gets too small to be pooled once more.
    fn messages(&self, image: ImageShape) -> Result<Vec<ImageShape>, Misuse> {
        let mut messages = Vec::with_capacity(self.depth);
        let mut below = image;
        for i in 0..self.depth - 1 {
            if self.model == Model::Cnn && below.height.min(below.width) < POOL {
                return Err(Misuse(format!(
                    "a cnn pools over {POOL}x{POOL} pixels in each of its {} hidden layers, and \
                     after {i} of them images of {}x{} have {}x{} left; choose --depth {} at most",
                    self.depth - 1,
                    image.height,
                    image.width,
                    below.height,
                    below.width,
                    i + 1
                )));
            }
            below = match self.model {
                Model::Fcn => ImageShape {
                    channels: self.units,
                    height: 1,
                    width: 1,
                },
                Model::Cnn => self.convolution(i, below).output_shape(),
            };
            messages.push(below);
        }
        Ok(messages)
    }

    fn layer(&self, i: usize, below: ImageShape, device: &Device, rng: &mut impl Rng) -> Layer {
        match self.model {
            Model::Fcn => {
                let config = DenseConfig::new(below.len(), self.units);
                let config = config.with_batch_norm(true).with_init(Init::He);
                Layer::Dense(config.init(rng, device))
            }
            Model::Cnn => Layer::Conv(self.convolution(i, below).init(rng, device)),
        }
    }

    fn convolution(&self, i: usize, below: ImageShape) -> ConvConfig {
        let pool = if i == 0 {
            Pool::max(POOL)
        } else {
            Pool::avg(POOL)
        };
        let pool = pool.with_stride(self.pool_stride);
        ConvConfig::new(below, self.channels)
            .with_batch_norm(true)
            .with_init(Init::He)
            .with_pool(pool)
    }

    fn interface(
        &self,
        synthesizer: &SynthesizerKind,
        message: ImageShape,
        parts: &Parts,
        rng: &mut impl Rng,
    ) -> Result<Interface, Misuse> {
        let optimizer = Optimizer::adam(parts.synthesizer_lr);
        let interface = match synthesizer {
            SynthesizerKind::Conv(hidden) if self.model == Model::Cnn => {
                let config = ConvSynthesizerConfig::new(message, hidden.clone());
                let config = config.with_contexts(parts.contexts);
                Interface::new(config.init(rng, parts.device), optimizer)
            }
            other => {
                other.interface(message.len(), parts.contexts, optimizer, rng, parts.device)?
            }
        };
        let interface = interface.with_scale(parts.target_scale);
        Ok(match self.unlock {
            true => interface.with_input_model(self.input_model(message.len(), parts, rng)),
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

    /// About how many parameters the hidden layers have, and at least one for each layer.
    fn parameters(&self, image: ImageShape) -> u128 {
        let [inputs, width, kernel] = match self.model {
            Model::Fcn => [image.len(), self.units, 1],
            Model::Cnn => [image.channels, self.channels, 25],
        }
        .map(|size| size as u128);
        let input_models = match self.unlock {
            true => self.input_units as u128 * image.len() as u128,
            false => 0,
        };
        let above = width
            .saturating_mul(width)
            .saturating_mul(kernel)
            .saturating_add(input_models);
        let first = inputs * width * kernel;
        first.saturating_add(above.saturating_mul(self.depth as u128 - 1))
    }

    /// Refuses what cannot be built.
    pub fn check(&self, image: ImageShape) -> Result<(), Misuse> {
        let sizes = [self.depth, self.units, self.channels, self.input_units];
        if sizes.contains(&0) {
            return Err(Misuse(
                "depth, units and channels must be at least 1".to_string(),
            ));
        }
        if !(1..=POOL).contains(&self.pool_stride) {
            return Err(Misuse(format!(
                "a cnn pools over windows of {POOL}x{POOL} pixels that overlap or lie side by \
                 side; choose --pool-stride 1 to {POOL}, not {}",
                self.pool_stride
            )));
        }
        if self.parameters(image) > MOST_PARAMETERS {
            return Err(Misuse(format!(
                "the layers would have over {MOST_PARAMETERS} parameters; choose fewer units, \
                 channels or layers"
            )));
        }
        self.messages(image).map(|_| ())
    }
}
