//! Synthesizers by name.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use dni::{
    Interface, LabelSynthesizerConfig, LeastSquaresSynthesizerConfig, LinearSynthesizerConfig,
    LowRankSynthesizerConfig, MlpSynthesizerConfig, Optimizer,
};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive};
use crate::method::Method;

/// The shape of a synthesizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SynthesizerKind {
    /// One linear map.
    Linear,
    /// One linear map of this rank.
    LowRank(usize),
    /// One linear map of this rank, by recursive least squares.
    Rls(usize),
    /// The same with a probe that guesses the label.
    Probe(usize),
    /// A linear map of the label alone.
    Label,
    /// Hidden layers with batch norm and relu, then a linear map.
    Mlp(Vec<usize>),
    /// Hidden convolutions with batch norm and relu, then a plain one.
    Conv(Vec<usize>),
}

impl fmt::Display for SynthesizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear => f.pad("linear"),
            Self::LowRank(rank) => f.pad(&format!("linear:{rank}")),
            Self::Rls(rank) => f.pad(&format!("rls:{rank}")),
            Self::Probe(rank) => f.pad(&format!("probe:{rank}")),
            Self::Label => f.pad("label"),
            Self::Mlp(units) => f.pad(&format!("mlp:{}", joined(units))),
            Self::Conv(channels) => f.pad(&format!("conv:{}", joined(channels))),
        }
    }
}

fn joined(sizes: &[usize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    sizes.join("x")
}

/// Sizes from 1, with x between them.
fn separated(sizes: &str) -> Result<Vec<usize>, String> {
    sizes.split('x').map(size).collect()
}

fn size(text: &str) -> Result<usize, String> {
    positive(text).map_err(|error| format!("the size '{text}': {error}"))
}

impl FromStr for SynthesizerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = match text.split_once(':') {
            None if text == "linear" => Ok(Self::Linear),
            None if text == "label" => Ok(Self::Label),
            Some(("linear", rank)) => size(rank).map(Self::LowRank),
            Some(("rls", rank)) => size(rank).map(Self::Rls),
            Some(("probe", rank)) => size(rank).map(Self::Probe),
            Some(("mlp", units)) => separated(units).map(Self::Mlp),
            Some(("conv", channels)) => separated(channels).map(Self::Conv),
            _ => Err("there is no such synthesizer".to_string()),
        };
        kind.map_err(|error| {
            format!(
                "{error}; choose linear, linear:RANK, rls:RANK, probe:RANK, label, mlp:UNITS or \
                 conv:CHANNELS, with x between the sizes of several hidden layers, as in \
                 mlp:256x256"
            )
        })
    }
}

impl TryFrom<String> for SynthesizerKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SynthesizerKind> for String {
    fn from(kind: SynthesizerKind) -> Self {
        kind.to_string()
    }
}

/// What a synthesizer has to do with.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// Whether messages are images.
    pub images: bool,
    /// Whether a label is one class of several.
    pub classes: bool,
}

impl SynthesizerKind {
    /// Refuses a synthesizer that cannot serve a method, or such messages and labels.
    pub fn check(&self, method: Method, served: Served) -> Result<(), Misuse> {
        let refuse = |why: &str| Err(Misuse(format!("the synthesizer '{self}' {why}")));
        match self {
            Self::Conv(_) if !served.images => Err(self.needs_images()),
            Self::Probe(_) if !served.classes => refuse(
                "predicts a class, but the labels here are not classes; choose another, as \
                 rls:RANK",
            ),
            Self::Label if method.learns_blindly() => refuse(&format!(
                "sees only the label, which the method {method} does not show it; choose another, \
                 or the method cdni"
            )),
            Self::Probe(_) if method.learns_blindly() => refuse(&format!(
                "learns to predict the label, which the method {method} does not show it; choose \
                 another, as rls:RANK, or the method cdni"
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a synthesizer that cannot serve recurrent networks.
    pub fn check_for_sequences(&self) -> Result<(), Misuse> {
        match self {
            Self::Linear | Self::LowRank(_) | Self::Rls(_) | Self::Mlp(_) => Ok(()),
            Self::Probe(_) | Self::Label | Self::Conv(_) => Err(Misuse(format!(
                "the synthesizer '{self}' is for networks of images; choose linear, linear:RANK, \
                 rls:RANK or mlp:UNITS"
            ))),
        }
    }

    /// The learning rate for it, if that is no matter of the layers': least squares take their
    /// share of the error in every step.
    pub fn own_rate(&self) -> Option<f64> {
        matches!(self, Self::Rls(_) | Self::Probe(_)).then_some(0.2)
    }

    /// About how many values it holds, for messages of so many features and contexts of so many.
    pub fn values(&self, features: usize, contexts: usize) -> u128 {
        let seen = features.saturating_add(contexts);
        let through = |hidden: &[usize]| {
            let sizes: Vec<usize> = [&[seen], hidden, &[features]].concat();
            let pairs = sizes.windows(2);
            let products = pairs.map(|pair| pair[0] as u128 * pair[1] as u128);
            products.fold(0, u128::saturating_add)
        };
        match self {
            Self::Linear => through(&[]),
            Self::Label => features as u128 * contexts as u128,
            Self::LowRank(rank) => through(&[*rank]),
            // Of what it looks at it keeps the second moments.
            Self::Rls(rank) | Self::Probe(rank) => through(&[*rank, *rank]),
            Self::Mlp(hidden) => through(hidden),
            // Its kernels alone.
            Self::Conv(hidden) => {
                let pairs = hidden.windows(2);
                let products = pairs.map(|pair| pair[0] as u128 * pair[1] as u128);
                let ends = hidden.iter().map(|&channels| channels as u128);
                let kernels = products.chain(ends).fold(0, u128::saturating_add);
                kernels.saturating_mul(25)
            }
        }
    }

    /// Whether it has batch norm.
    pub fn has_batch_norm(&self) -> bool {
        matches!(self, Self::Mlp(_) | Self::Conv(_))
    }

    /// Units of the hidden layers.
    pub fn hidden(&self) -> Vec<usize> {
        match self {
            Self::Linear | Self::Label => Vec::new(),
            Self::LowRank(rank) | Self::Rls(rank) | Self::Probe(rank) => vec![*rank],
            Self::Mlp(sizes) | Self::Conv(sizes) => sizes.clone(),
        }
    }

    /// An interface for messages without a shape.
    ///
    /// # Errors
    ///
    /// If the synthesizer is one for images.
    pub fn interface(
        &self,
        features: usize,
        contexts: usize,
        optimizer: Optimizer,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<Interface, Misuse> {
        Ok(match self {
            Self::Linear => {
                let config = LinearSynthesizerConfig::new(features).with_contexts(contexts);
                Interface::new(config.init(rng, device), optimizer)
            }
            Self::LowRank(rank) => {
                let config = LowRankSynthesizerConfig::new(features, *rank);
                let config = config.with_contexts(contexts);
                Interface::new(config.init(rng, device), optimizer)
            }
            Self::Rls(rank) | Self::Probe(rank) => {
                let config = LeastSquaresSynthesizerConfig::new(features, *rank)
                    .with_contexts(contexts)
                    .with_probe(matches!(self, Self::Probe(_)));
                // Its gradients are Newton steps, which no other rule may rescale.
                let descent = Optimizer::sgd(optimizer.learning_rate());
                Interface::new(config.init(rng, device), descent)
            }
            Self::Label => {
                let config = LabelSynthesizerConfig::new(features, contexts);
                Interface::new(config.init(rng, device), optimizer)
            }
            Self::Mlp(hidden) => {
                let config = MlpSynthesizerConfig::new(features, hidden.clone());
                let config = config.with_contexts(contexts);
                Interface::new(config.init(rng, device), optimizer)
            }
            Self::Conv(_) => return Err(self.needs_images()),
        })
    }

    fn needs_images(&self) -> Misuse {
        Misuse(format!(
            "the synthesizer '{self}' is for messages that are images, those of a cnn; choose \
             another, as linear or mlp:UNITS"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_what_they_name() {
        for name in [
            "linear",
            "linear:8",
            "rls:8",
            "probe:8",
            "label",
            "mlp:64",
            "mlp:64x32",
            "conv:8x8",
        ] {
            assert_eq!(name.parse::<SynthesizerKind>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for name in [
            "",
            "mlp",
            "mlp:",
            "mlp:0",
            "mlp:64x",
            "mlp:-1",
            "conv",
            "linear:",
            "linear:0",
            "label:1",
            "rls",
            "probe:0",
            "linear:9999999999",
            "mlp:8x9999999999",
        ] {
            assert!(name.parse::<SynthesizerKind>().is_err(), "{name}");
        }
    }

    #[test]
    fn no_size_is_too_large_to_be_counted() {
        use SynthesizerKind::*;
        let most = usize::MAX;
        for kind in [
            Linear,
            LowRank(most),
            Rls(most),
            Probe(most),
            Label,
            Mlp(vec![most; 3]),
            Conv(vec![most; 3]),
        ] {
            assert!(kind.values(most, most) > u128::from(u64::MAX), "{kind}");
        }
    }
}
