//! Synthesizers by name.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use dni::{
    Interface, LabelSynthesizerConfig, LinearSynthesizerConfig, LowRankSynthesizerConfig,
    MlpSynthesizerConfig, Optimizer,
};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::args::Misuse;
use crate::method::Method;

/// The shape of a synthesizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SynthesizerKind {
    /// One linear map.
    Linear,
    /// One linear map of this rank.
    LowRank(usize),
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
fn separated(sizes: &str) -> Option<Vec<usize>> {
    let sizes = sizes.split('x');
    sizes
        .map(|size| size.parse().ok().filter(|&size| size > 0))
        .collect()
}

impl FromStr for SynthesizerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = match text.split_once(':') {
            None if text == "linear" => Some(Self::Linear),
            None if text == "label" => Some(Self::Label),
            Some(("linear", rank)) => {
                let rank = rank.parse().ok().filter(|&rank| rank > 0);
                rank.map(Self::LowRank)
            }
            Some(("mlp", units)) => separated(units).map(Self::Mlp),
            Some(("conv", channels)) => separated(channels).map(Self::Conv),
            _ => None,
        };
        kind.ok_or_else(|| {
            "choose linear, linear:RANK, label, mlp:UNITS or conv:CHANNELS, with x between the \
             sizes of several hidden layers, as in mlp:256x256"
                .to_string()
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

impl SynthesizerKind {
    /// Refuses a synthesizer that cannot serve a method, or messages that are no images.
    pub fn check(&self, method: Method, are_images: bool) -> Result<(), Misuse> {
        if matches!(self, Self::Conv(_)) && !are_images {
            return Err(self.needs_images());
        }
        if *self == Self::Label && method.learns_blindly() {
            return Err(Misuse(format!(
                "the synthesizer 'label' sees nothing but the label, which the method {method} \
                 keeps from it; choose another, or the method cdni"
            )));
        }
        Ok(())
    }

    /// Units of the hidden layers.
    pub fn hidden(&self) -> Vec<usize> {
        match self {
            Self::Linear | Self::Label => Vec::new(),
            Self::LowRank(rank) => vec![*rank],
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
             linear, linear:RANK, label or mlp:UNITS"
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
            "", "mlp", "mlp:", "mlp:0", "mlp:64x", "mlp:-1", "conv", "linear:", "linear:0",
            "label:1",
        ] {
            assert!(name.parse::<SynthesizerKind>().is_err(), "{name}");
        }
    }
}
