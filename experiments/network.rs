//! The networks of the image experiments.

use std::time::Duration;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use clap::{Args, ValueEnum};
use dni::data::ImageShape;
use dni::{
    Chain, Conv, ConvConfig, ConvSynthesizerConfig, Dense, DenseConfig, Init, Input, InputModel,
    Interface, Loss, Mlp, Optimizer, Pass, Pool, Section, TargetScale,
};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive};
use crate::memory::{FLOAT, OF_PARAMETER};
use crate::sections::{add_dense, layer_name};
use crate::synthesizer::SynthesizerKind;

/// The kind of the hidden layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// Dense layers with batch norm and relu
    Fcn,
    /// 5x5 convolutions with batch norm, relu and 3x3 pooling: max in the first layer, average in
    /// the others
    Cnn,
}

/// What fits into memory, with what training keeps of it.
const MOST_PARAMETERS: u128 = 1 << 28;

/// More layers than anybody has trained.
const MOST_DEPTH: usize = 100_000;

/// Classes of all images.
const CLASSES: usize = 10;

/// Rows and columns that a cnn pools over.
pub const POOL: usize = 3;

/// A layer.
enum Layer {
    Dense(Dense),
    Conv(Conv),
}

/// Convolutions as one section, with the output layer if that is above them.
#[derive(Module, Debug)]
struct ConvNet {
    /// From the bottom up, at least one.
    layers: Vec<Conv>,
    output: Option<Dense>,
}

impl Section for ConvNet {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let layers = self.layers.iter();
        let message = layers.fold(input, |below, layer| layer.forward(below));
        match &self.output {
            Some(output) => output.forward(message),
            None => message,
        }
    }

    fn pass(&self, input: Input) -> Pass {
        let first = self.layers[0].pass(input);
        let pass = self.layers[1..].iter().fold(first, then);
        match &self.output {
            Some(output) => then(pass, output),
            None => pass,
        }
    }

    fn predict(&self, input: Tensor<2>) -> Tensor<2> {
        let layers = self.layers.iter();
        let message = layers.fold(input, |below, layer| layer.predict(below));
        match &self.output {
            Some(output) => output.predict(message),
            None => message,
        }
    }
}

/// The pass through a layer above others.
fn then(below: Pass, above: &impl Section) -> Pass {
    let message = Input::Message(below.output.clone());
    below.then(above.pass(message))
}

/// The shape of a network.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// Kind of the hidden layers: fully connected or convolutional
    #[arg(long, value_enum, default_value = "fcn")]
    pub model: Model,

    /// Layers as the paper counts them, the output layer included
    #[arg(long, value_name = "N", value_parser = positive, default_value = "4")]
    pub depth: usize,

    /// Units of the hidden layers of an fcn
    #[arg(long, value_name = "N", value_parser = positive, default_value = "256")]
    pub units: usize,

    /// Channels of the hidden layers of a cnn
    #[arg(long, value_name = "N", value_parser = positive, default_value = "64")]
    pub channels: usize,

    /// Stride of the 3x3 pooling windows of a cnn, in pixels; with 1 and 2 they overlap
    // The paper does not say it.
    #[arg(long, value_name = "N", value_parser = positive, default_value_t = POOL)]
    #[serde(default = "side_by_side")]
    pub pool_stride: usize,

    /// Complete unlock: layers train on synthetic inputs as well
    #[arg(long)]
    pub unlock: bool,

    /// Hidden units of the input models, which make the synthetic inputs
    #[arg(long, value_name = "N", value_parser = positive, default_value = "256")]
    pub input_units: usize,
}

fn side_by_side() -> usize {
    POOL
}

/// What a network is built for and with.
pub struct Parts<'a> {
    pub image: ImageShape,
    pub classes: usize,
    /// The layers of each section.
    pub sections: Vec<usize>,
    /// None for no interfaces.
    pub synthesizer: Option<&'a SynthesizerKind>,
    /// Features of the label that synthesizers see.
    pub contexts: usize,
    pub lr: f64,
    pub synthesizer_lr: f64,
    pub target_scale: TargetScale,
    pub device: &'a Device,
}

/// Adds layers as one section.
fn add_section(
    chain: Chain,
    name: String,
    layers: impl Iterator<Item = Layer>,
    optimizer: Optimizer,
) -> Chain {
    let (mut convs, mut denses) = (Vec::new(), Vec::new());
    for layer in layers {
        match layer {
            Layer::Conv(layer) => convs.push(layer),
            Layer::Dense(layer) => denses.push(layer),
        }
    }
    match (convs.pop(), convs.is_empty() && denses.is_empty()) {
        (None, _) => add_dense(chain, name, denses, optimizer),
        (Some(only), true) => chain.section(name, only, optimizer),
        (Some(highest), false) => {
            convs.push(highest);
            let net = ConvNet {
                layers: convs,
                output: denses.pop(),
            };
            chain.section(name, net, optimizer)
        }
    }
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
        layers.push(Layer::Dense(output.init(rng, parts.device)));
        let mut chain = Chain::new(Loss::CrossEntropy);
        let (mut layers, mut below) = (layers.into_iter(), 0);
        for &size in &parts.sections {
            below += size;
            let (name, optimizer) = (layer_name(below - 1, self.depth), Optimizer::adam(parts.lr));
            chain = add_section(chain, name, layers.by_ref().take(size), optimizer);
            if let (Some(synthesizer), Some(&message)) =
                (parts.synthesizer, messages.get(below - 1))
            {
                chain = chain.interface(self.interface(synthesizer, message, parts, rng)?);
            }
        }
        Ok(chain)
    }

    /// About how long each layer takes for its part of a step, in units that do not matter: one for
    /// a multiplication in the forward pass, and as many for each gradient.
    ///
    /// # Errors
    ///
    /// If an image gets too small to be pooled once more.
    pub fn work(&self, image: ImageShape, classes: usize) -> Result<Vec<Duration>, Misuse> {
        const KERNEL: usize = 25;
        let messages = self.messages(image)?;
        let mut work = Vec::with_capacity(self.depth);
        let mut below = image;
        for &message in &messages {
            // Nobody asks for the gradient at the image.
            let products = if work.is_empty() { 2 } else { 3 };
            work.push(match self.model {
                Model::Fcn => [products, below.len(), message.len()],
                Model::Cnn => [products * KERNEL, below.len(), message.channels],
            });
            below = message;
        }
        work.push([3, below.len(), classes]);
        let product =
            |factors: [usize; 3]| factors.iter().fold(1, |a: usize, b| a.saturating_mul(*b));
        let work = work.into_iter().map(product);
        Ok(work
            .map(|units| Duration::from_nanos(units as u64))
            .collect())
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

    /// Bytes that it needs at the very least, with such synthesizers, to learn from so many images at
    /// once.
    pub fn memory(
        &self,
        image: ImageShape,
        synthesizer: Option<&SynthesizerKind>,
        batch: usize,
    ) -> u128 {
        /// Values that go with every layer, however small it is.
        const OF_LAYER: u128 = 1 << 9;
        let batch = batch as u128;
        // What cannot be built needs nothing.
        let messages = self.messages(image).unwrap_or_default();
        let of_messages = messages.iter().map(|message| {
            let features = message.len();
            let held = synthesizer.map_or(0, |kind| kind.values(features, CLASSES));
            let outputs = batch.saturating_mul(features as u128);
            held.saturating_add(outputs).saturating_add(OF_LAYER)
        });
        let inputs = batch.saturating_mul(image.len() as u128);
        let values = of_messages.fold(inputs, u128::saturating_add);
        values
            .saturating_add(OF_PARAMETER * self.parameters(image))
            .saturating_mul(FLOAT)
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
        if self.depth > MOST_DEPTH {
            return Err(Misuse(format!(
                "{} layers are too many; choose --depth {MOST_DEPTH} at most",
                self.depth
            )));
        }
        self.messages(image).map(|_| ())
    }
}
