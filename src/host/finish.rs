//! What follows the product of a dense layer: bias or batch norm, then the activation.
//!
//! All matrices are `[batch, features]`, row after row.

use rayon::prelude::*;

use super::SHARE;
use super::elementwise::{activate, differentiate};
use super::instructions::vectorized;
use crate::activation::Activation;

/// `h = a(z + b)` in the place of `z`.
pub(crate) fn biased(z: &mut [f32], bias: Option<&[f32]>, activation: Activation) {
    let width = bias.map_or(1, <[f32]>::len);
    let rows = SHARE.div_ceil(width) * width;
    z.par_chunks_mut(rows).for_each(|z| {
        vectorized(
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
    });
}

/// `dz = delta * a'(z)` in the place of `delta`, and its sum over the batch: the gradient of the
/// bias.
pub(crate) fn biased_backward(
    h: &[f32],
    delta: &mut [f32],
    features: usize,
    activation: Activation,
) -> Vec<f32> {
    let mut sums = vec![0.0; features];
    let width = band_width(delta.len(), features);
    let bands = bands_mut(delta, features, width)
        .zip(bands(h, features, width))
        .zip(sums.par_chunks_mut(width));
    bands.for_each(|((delta, h), sums)| {
        vectorized(
            #[inline(always)]
            || {
                for (delta, h) in delta.into_iter().zip(h) {
                    differentiate(activation, h, delta);
                    add(sums, delta);
                }
            },
        );
    });
    sums
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
    let features = gamma.len();
    let share = features as f32 / z.len() as f32;
    let width = band_width(z.len(), features);
    let [mut mean, mut variance, mut inverse_deviation] = [(); 3].map(|()| vec![0.0; features]);
    let mut output = vec![0.0; z.len()];
    bands_mut(&mut z, features, width)
        .zip(bands_mut(&mut output, features, width))
        .zip(
            mean.par_chunks_mut(width)
                .zip(variance.par_chunks_mut(width)),
        )
        .zip(inverse_deviation.par_chunks_mut(width))
        .zip(gamma.par_chunks(width).zip(beta.par_chunks(width)))
        .for_each(
            |((((mut z, output), (mean, variance)), inverse), (gamma, beta))| {
                vectorized(
                    #[inline(always)]
                    || {
                        for row in &z {
                            add(mean, row);
                        }
                        mean.iter_mut().for_each(|mean| *mean *= share);
                        for row in &mut z {
                            for ((z, &mean), variance) in
                                row.iter_mut().zip(&*mean).zip(&mut *variance)
                            {
                                *z -= mean;
                                *variance += *z * *z;
                            }
                        }
                        for (variance, inverse) in variance.iter_mut().zip(&mut *inverse) {
                            *variance *= share;
                            *inverse = 1.0 / (*variance + epsilon).sqrt();
                        }
                        for (row, output) in z.into_iter().zip(output) {
                            let scales = inverse.iter().zip(gamma).zip(beta);
                            let pairs = row.iter_mut().zip(&mut *output);
                            for ((z, h), ((&inverse, &gamma), &beta)) in pairs.zip(scales) {
                                *z *= inverse;
                                *h = gamma * *z + beta;
                            }
                            activate(activation, output);
                        }
                    },
                );
            },
        );
    Normalised {
        output,
        mean,
        variance,
        kept: Kept {
            x_hat: z,
            inverse_deviation,
        },
    }
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
    let features = gamma.len();
    let share = features as f32 / delta.len() as f32;
    let width = band_width(delta.len(), features);
    let mut gradients = NormGradients {
        gamma: vec![0.0; features],
        beta: vec![0.0; features],
    };
    let scale: Vec<f32> = kept
        .inverse_deviation
        .iter()
        .zip(gamma)
        .map(|(inverse, gamma)| inverse * gamma)
        .collect();
    bands_mut(delta, features, width)
        .zip(bands(h, features, width).zip(bands(&kept.x_hat, features, width)))
        .zip(gradients.gamma.par_chunks_mut(width))
        .zip(gradients.beta.par_chunks_mut(width))
        .zip(scale.par_chunks(width))
        .for_each(|((((mut delta, (h, x_hat)), gamma), beta), scale)| {
            vectorized(
                #[inline(always)]
                || {
                    for ((row, h), x_hat) in delta.iter_mut().zip(h).zip(&x_hat) {
                        differentiate(activation, h, row);
                        let sums = gamma.iter_mut().zip(&mut *beta);
                        for ((&mut g, &x_hat), (gamma, beta)) in
                            row.iter_mut().zip(*x_hat).zip(sums)
                        {
                            *gamma += g * x_hat;
                            *beta += g;
                        }
                    }
                    for (row, x_hat) in delta.into_iter().zip(x_hat) {
                        let sums = gamma.iter().zip(&*beta).zip(scale);
                        for ((g, &x_hat), ((&gamma, &beta), &scale)) in
                            row.iter_mut().zip(x_hat).zip(sums)
                        {
                            *g = scale * (*g - share * (beta + x_hat * gamma));
                        }
                    }
                },
            );
        });
    gradients
}

/// How many features each kernel thread takes of a matrix with so many values: sums over the batch
/// are then whole in one thread, and the same on any number of them.
fn band_width(values: usize, features: usize) -> usize {
    /// A line of the processor's cache.
    const LINE: usize = 16;
    let bands = rayon::current_num_threads()
        .min(values.div_ceil(SHARE))
        .max(1);
    features.div_ceil(bands).next_multiple_of(LINE)
}

/// The rows of a matrix in bands of columns.
fn bands(rows: &[f32], features: usize, width: usize) -> rayon::vec::IntoIter<Vec<&[f32]>> {
    let mut bands = vec![Vec::with_capacity(rows.len() / features); features.div_ceil(width)];
    for row in rows.chunks_exact(features) {
        for (band, part) in bands.iter_mut().zip(row.chunks(width)) {
            band.push(part);
        }
    }
    bands.into_par_iter()
}

/// The same, to be written.
fn bands_mut(
    rows: &mut [f32],
    features: usize,
    width: usize,
) -> rayon::vec::IntoIter<Vec<&mut [f32]>> {
    let count = rows.len() / features;
    let bands = 0..features.div_ceil(width);
    let mut bands: Vec<_> = bands.map(|_| Vec::with_capacity(count)).collect();
    for row in rows.chunks_exact_mut(features) {
        for (band, part) in bands.iter_mut().zip(row.chunks_mut(width)) {
            band.push(part);
        }
    }
    bands.into_par_iter()
}

#[inline(always)]
fn add(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::instructions::tests::{agree_in_all_instructions, values};

    const FEATURES: usize = 19;
    const ACTIVATIONS: [Activation; 4] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Tanh,
        Activation::Sigmoid,
    ];

    #[test]
    fn bias_and_activation_are_the_same_in_all_instructions() {
        for activation in ACTIVATIONS {
            agree_in_all_instructions(|| {
                let (mut h, mut delta) = (values(7 * FEATURES), values(7 * FEATURES));
                biased(&mut h, Some(&values(FEATURES)), activation);
                let bias = biased_backward(&h, &mut delta, FEATURES, activation);
                [h, delta, bias].concat()
            });
        }
    }

    #[test]
    fn batch_norm_is_the_same_in_all_instructions() {
        for activation in ACTIVATIONS {
            agree_in_all_instructions(|| {
                let (gamma, beta) = (values(FEATURES), values(FEATURES));
                let mut delta = values(7 * FEATURES);
                let Normalised {
                    output,
                    mean,
                    variance,
                    kept,
                } = normalised(values(7 * FEATURES), &gamma, &beta, 1e-5, activation);
                let gradients = normalised_backward(&kept, &output, &gamma, &mut delta, activation);
                [
                    output,
                    mean,
                    variance,
                    delta,
                    gradients.gamma,
                    gradients.beta,
                ]
                .concat()
            });
        }
    }
}
