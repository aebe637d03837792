//! How well sums are answered.

use burn::tensor::{Device, Tensor};
use dni::data::Examples;
use dni::{Activation, Chain};
use serde::Serialize;

use super::settings::{Preset, Settings};

/// How well sums are answered.
#[derive(Debug, Serialize)]
pub struct Measures {
    /// The share of bits that are right.
    pub bit_accuracy: f64,
    /// The share of sums of which all bits are right.
    pub exact: f64,
    /// The notebook's 'Loss', for its presets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notebook_loss: Option<f64>,
}

impl Measures {
    pub fn of(settings: &Settings, chain: &Chain, examples: &Examples, device: &Device) -> Self {
        let (input, target) = examples.all(device);
        let read = |tensor: Tensor<2>| {
            let values = tensor.into_data().try_into_vec::<f32>();
            values.expect("outputs are f32")
        };
        let (output, target) = (read(chain.predict(input)), read(target));
        let one = match settings.output_activation {
            Activation::Sigmoid => 0.5,
            _ => 0.0,
        };
        let right: Vec<bool> = output
            .iter()
            .zip(&target)
            .map(|(&output, &target)| (output > one) == (target > 0.5))
            .collect();
        let exact = right
            .chunks_exact(settings.bits)
            .filter(|bits| bits.iter().all(|&right| right))
            .count();
        Self {
            bit_accuracy: right.iter().filter(|&&right| right).count() as f64 / right.len() as f64,
            exact: exact as f64 / examples.len() as f64,
            notebook_loss: settings
                .preset
                .map(|preset| notebook_loss(preset, &output, &target)),
        }
    }
}

/// What the notebook prints as 'Loss', for all examples at once. Its two programs differ: the
/// first multiplies the error by the derivative of the sigmoid.
fn notebook_loss(preset: Preset, output: &[f32], target: &[f32]) -> f64 {
    output
        .iter()
        .zip(target)
        .map(|(&h, &y)| match preset {
            Preset::NotebookBackprop => f64::from(((h - y) * h * (1.0 - h)).abs()),
            Preset::NotebookDni => f64::from((h - y).abs()),
        })
        .sum()
}
