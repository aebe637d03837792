//! What follows the product of a dense layer: bias or batch norm, then the activation.
//!
//! All matrices are `[batch, features]`, row after row.

use pulp::Arch;

use super::elementwise::{activate, differentiate};
use crate::section::Activation;

/// `h = a(z + b)` in the place of `z`.
pub(crate) fn biased(z: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            if let Some(bias) = bias {
                for row in z.chunks_exact_mut(bias.len()) {
                    add(row, bias);
                }
            }
            activate(activation, z);
        },
    );
}

/// `dz = delta * a'(z)` in the place of `delta`, and its sum over the batch: the gradient of the
/// bias.
pub(crate) fn biased_backward(
    h: &[f32],
    delta: &mut [f32],
    features: usize,
    activation: Activation,
) -> Vec<f32> {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            differentiate(activation, h, delta);
            let mut sums = vec![0.0; features];
            for row in delta.chunks_exact(features) {
                add(&mut sums, row);
            }
            sums
        },
    )
}

/// Batch norm in training, followed by an activation: `h = a(gamma x_hat + beta)` with
/// `x_hat = (z - mean) / sqrt(variance + epsilon)` over the batch.
pub(crate) struct Normalised {
    /// `h`
    pub output: Vec<f32>,
    /// Of each feature over the batch.
    pub mean: Vec<f32>,
    /// Of each feature over the batch, divided by the batch size.
    pub variance: Vec<f32>,
    /// What the way back needs.
    pub kept: Kept,
}

/// What the way back through batch norm needs.
pub(crate) struct Kept {
    x_hat: Vec<f32>,
    inverse_deviation: Vec<f32>,
}

/// The gradients of the scale and the shift of batch norm.
pub(crate) struct NormGradients {
    /// `[features]`
    pub gamma: Vec<f32>,
    /// `[features]`
    pub beta: Vec<f32>,
}

/// See [`Normalised`].
pub(crate) fn normalised(
    mut z: Vec<f32>,
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
    activation: Activation,
) -> Normalised {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let features = gamma.len();
            let share = features as f32 / z.len() as f32;
            let mut mean = vec![0.0; features];
            for row in z.chunks_exact(features) {
                add(&mut mean, row);
            }
            mean.iter_mut().for_each(|mean| *mean *= share);
            let mut variance = vec![0.0; features];
            for row in z.chunks_exact_mut(features) {
                for ((z, &mean), variance) in row.iter_mut().zip(&mean).zip(&mut variance) {
                    *z -= mean;
                    *variance += *z * *z;
                }
            }
            variance.iter_mut().for_each(|variance| *variance *= share);
            let inverse_deviation: Vec<f32> = variance
                .iter()
                .map(|variance| 1.0 / (variance + epsilon).sqrt())
                .collect();
            let mut output = vec![0.0; z.len()];
            for (row, output) in z
                .chunks_exact_mut(features)
                .zip(output.chunks_exact_mut(features))
            {
                let scales = inverse_deviation.iter().zip(gamma).zip(beta);
                for ((z, h), ((&inverse, &gamma), &beta)) in row.iter_mut().zip(output).zip(scales)
                {
                    *z *= inverse;
                    *h = gamma * *z + beta;
                }
            }
            activate(activation, &mut output);
            Normalised {
                output,
                mean,
                variance,
                kept: Kept {
                    x_hat: z,
                    inverse_deviation,
                },
            }
        },
    )
}

/// `dz` in the place of `delta = dL/dh`, and the gradients of scale and shift.
///
/// With `g = delta * a'`, `dz = gamma / deviation * (g - mean(g) - x_hat mean(g x_hat))`.
pub(crate) fn normalised_backward(
    kept: &Kept,
    h: &[f32],
    gamma: &[f32],
    delta: &mut [f32],
    activation: Activation,
) -> NormGradients {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let features = gamma.len();
            differentiate(activation, h, delta);
            let mut gradients = NormGradients {
                gamma: vec![0.0; features],
                beta: vec![0.0; features],
            };
            for (row, x_hat) in delta
                .chunks_exact(features)
                .zip(kept.x_hat.chunks_exact(features))
            {
                let sums = gradients.gamma.iter_mut().zip(&mut gradients.beta);
                for ((&g, &x_hat), (gamma, beta)) in row.iter().zip(x_hat).zip(sums) {
                    *gamma += g * x_hat;
                    *beta += g;
                }
            }
            let share = features as f32 / delta.len() as f32;
            let scale: Vec<f32> = kept
                .inverse_deviation
                .iter()
                .zip(gamma)
                .map(|(inverse, gamma)| inverse * gamma)
                .collect();
            for (row, x_hat) in delta
                .chunks_exact_mut(features)
                .zip(kept.x_hat.chunks_exact(features))
            {
                let sums = gradients.gamma.iter().zip(&gradients.beta).zip(&scale);
                for ((g, &x_hat), ((&gamma, &beta), &scale)) in row.iter_mut().zip(x_hat).zip(sums)
                {
                    *g = scale * (*g - share * (beta + x_hat * gamma));
                }
            }
            gradients
        },
    )
}

#[inline(always)]
fn add(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}
