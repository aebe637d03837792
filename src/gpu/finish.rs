//! What follows the product of a dense layer: bias or batch norm, then the activation.
//!
//! All matrices are `[rows, features]`, row after row. What is summed over the rows is summed by
//! cubes of units that stand [`WIDTH`] features wide and [`LANES`] rows deep.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::activation::{activate, differentiate};
use super::{Buffer, one_each};
use crate::activation::Activation;

/// Features of a cube: so many neighbours are read in one go.
const WIDTH: usize = 16;
/// Rows that a cube goes through at the same time.
const LANES: usize = 16;

/// `h = a(z + b)` in the place of `z`.
pub(crate) fn biased(z: &Buffer, bias: Option<&Buffer>, activation: Activation) {
    let features = bias.map_or(1, Buffer::len);
    let (count, dim) = one_each(z.client(), z.len());
    // SAFETY: no unit reads or writes past an end; all features have a bias.
    unsafe {
        biased_kernel::launch_unchecked(
            z.client(),
            count,
            dim,
            z.arg(),
            bias.map(Buffer::arg).into(),
            features,
            activation,
        );
    };
}

/// `dz = delta * a'(z)`, and its sum over the rows: the gradient of the bias, `[features]`.
pub(crate) fn biased_backward(
    h: &Buffer,
    delta: &Buffer,
    features: usize,
    activation: Activation,
) -> [Buffer; 2] {
    let rows = h.len() / features;
    let (dz, sums) = (h.new_beside([rows, features]), h.new_beside([features]));
    let (count, dim) = columns(features);
    // SAFETY: every index is that of a row and a feature.
    unsafe {
        biased_backward_kernel::launch_unchecked(
            h.client(),
            count,
            dim,
            h.arg(),
            delta.arg(),
            dz.arg(),
            sums.arg(),
            rows,
            features,
            activation,
        );
    };
    [dz, sums]
}

/// The sum of every feature over the rows, `[features]`.
pub(crate) fn column_sums(z: &Buffer, features: usize) -> Buffer {
    let sums = z.new_beside([features]);
    let (count, dim) = columns(features);
    // SAFETY: every index is that of a row and a feature.
    unsafe {
        column_sums_kernel::launch_unchecked(
            z.client(),
            count,
            dim,
            z.arg(),
            sums.arg(),
            z.len() / features,
            features,
        );
    };
    sums
}

/// Batch norm with its parameters and running statistics, `[features]` each.
pub(crate) struct Norm {
    pub gamma: Buffer,
    pub beta: Buffer,
    pub running_mean: Buffer,
    pub running_variance: Buffer,
    /// The share of a batch in the running statistics.
    pub momentum: f32,
    pub epsilon: f32,
}

/// What batch norm makes of a batch; see [`host::finish`](crate::host::finish).
pub(crate) struct Normalised {
    /// `h`
    pub output: Buffer,
    /// The running statistics after it: mean and variance.
    pub running: [Buffer; 2],
    /// What the way back needs.
    pub kept: Kept,
}

/// What the way back through batch norm needs.
pub(crate) struct Kept {
    z: Buffer,
    /// Of each feature the mean, then of each the inverse of the deviation.
    statistics: Buffer,
}

/// The gradients at and in batch norm.
pub(crate) struct NormGradients {
    pub z: Buffer,
    pub gamma: Buffer,
    pub beta: Buffer,
}

/// `h = a(gamma x_hat + beta)` with `x_hat = (z - mean) / sqrt(variance + epsilon)` over the rows.
pub(crate) fn normalised(z: Buffer, norm: &Norm, activation: Activation) -> Normalised {
    let features = norm.gamma.len();
    let rows = z.len() / features;
    let output = z.new_beside([rows, features]);
    let statistics = z.new_beside([2 * features]);
    let running = [(); 2].map(|()| z.new_beside([features]));
    let (count, dim) = columns(features);
    // SAFETY: every index is that of a row and a feature.
    unsafe {
        normalised_kernel::launch_unchecked(
            z.client(),
            count,
            dim,
            z.arg(),
            norm.gamma.arg(),
            norm.beta.arg(),
            norm.running_mean.arg(),
            norm.running_variance.arg(),
            output.arg(),
            statistics.arg(),
            running[0].arg(),
            running[1].arg(),
            rows,
            features,
            norm.momentum,
            norm.epsilon,
            activation,
        );
    };
    Normalised {
        output,
        running,
        kept: Kept { z, statistics },
    }
}

/// The gradients of `<h, delta>`; see [`host::finish`](crate::host::finish) for the formula.
pub(crate) fn normalised_backward(
    kept: &Kept,
    h: &Buffer,
    gamma: &Buffer,
    delta: &Buffer,
    activation: Activation,
) -> NormGradients {
    let features = gamma.len();
    let rows = h.len() / features;
    let dz = h.new_beside([rows, features]);
    let [of_gamma, of_beta] = [(); 2].map(|()| h.new_beside([features]));
    let (count, dim) = columns(features);
    // SAFETY: every index is that of a row and a feature.
    unsafe {
        normalised_backward_kernel::launch_unchecked(
            h.client(),
            count,
            dim,
            h.arg(),
            delta.arg(),
            kept.z.arg(),
            kept.statistics.arg(),
            gamma.arg(),
            dz.arg(),
            of_gamma.arg(),
            of_beta.arg(),
            rows,
            features,
            activation,
        );
    };
    NormGradients {
        z: dz,
        gamma: of_gamma,
        beta: of_beta,
    }
}

/// How a kernel is launched that sums over the rows.
fn columns(features: usize) -> (CubeCount, CubeDim) {
    let cubes = features.div_ceil(WIDTH) as u32;
    (
        CubeCount::Static(cubes, 1, 1),
        CubeDim::new_2d(WIDTH as u32, LANES as u32),
    )
}

/// One unit for each number.
#[cube(launch_unchecked)]
fn biased_kernel(
    z: &mut [f32],
    bias: ComptimeOption<Box<[f32]>>,
    features: usize,
    #[comptime] activation: Activation,
) {
    if ABSOLUTE_POS >= z.len() {
        terminate!();
    }
    let mut sum = z[ABSOLUTE_POS];
    #[comptime]
    if let ComptimeOption::Some(bias) = bias {
        sum += bias[ABSOLUTE_POS % features];
    }
    z[ABSOLUTE_POS] = activate(sum, activation);
}

/// The sum of what the units of a feature have, for all of them.
#[cube]
fn sum_of_lanes(value: f32, shared: &mut Shared<[f32]>) -> f32 {
    let column = UNIT_POS_X as usize;
    // Somebody may still be at the sum before.
    sync_cube();
    shared[UNIT_POS_Y as usize * WIDTH + column] = value;
    sync_cube();
    let mut sum = 0.0f32;
    for lane in 0..LANES {
        sum += shared[lane * WIDTH + column];
    }
    sum
}

/// The sum of a column, for every unit that stands in it.
#[cube]
fn column_sum(
    z: &[f32],
    feature: usize,
    rows: usize,
    features: usize,
    shared: &mut Shared<[f32]>,
) -> f32 {
    let mut sum = 0.0f32;
    if feature < features {
        let mut row = UNIT_POS_Y as usize;
        while row < rows {
            sum += z[row * features + feature];
            row += LANES;
        }
    }
    sum_of_lanes(sum, shared)
}

/// One column of units for each feature.
#[cube(launch_unchecked)]
fn biased_backward_kernel(
    h: &[f32],
    delta: &[f32],
    dz: &mut [f32],
    sums: &mut [f32],
    rows: usize,
    features: usize,
    #[comptime] activation: Activation,
) {
    let mut shared = Shared::<[f32]>::new_slice(WIDTH * LANES);
    let feature = ABSOLUTE_POS_X as usize;
    let mut sum = 0.0f32;
    if feature < features {
        let mut row = UNIT_POS_Y as usize;
        while row < rows {
            let at = row * features + feature;
            let g = differentiate(h[at], delta[at], activation);
            dz[at] = g;
            sum += g;
            row += LANES;
        }
    }
    let sum = sum_of_lanes(sum, &mut shared);
    if feature < features && UNIT_POS_Y == 0 {
        sums[feature] = sum;
    }
}

/// One column of units for each feature.
#[cube(launch_unchecked)]
fn column_sums_kernel(z: &[f32], sums: &mut [f32], rows: usize, features: usize) {
    let mut shared = Shared::<[f32]>::new_slice(WIDTH * LANES);
    let feature = ABSOLUTE_POS_X as usize;
    let sum = column_sum(z, feature, rows, features, &mut shared);
    if feature < features && UNIT_POS_Y == 0 {
        sums[feature] = sum;
    }
}

/// One column of units for each feature.
#[cube(launch_unchecked)]
fn normalised_kernel(
    z: &[f32],
    gamma: &[f32],
    beta: &[f32],
    running_mean: &[f32],
    running_variance: &[f32],
    h: &mut [f32],
    statistics: &mut [f32],
    new_mean: &mut [f32],
    new_variance: &mut [f32],
    rows: usize,
    features: usize,
    momentum: f32,
    epsilon: f32,
    #[comptime] activation: Activation,
) {
    let mut shared = Shared::<[f32]>::new_slice(WIDTH * LANES);
    let feature = ABSOLUTE_POS_X as usize;
    let share = 1.0 / f32::cast_from(rows);
    let mean = share * column_sum(z, feature, rows, features, &mut shared);
    let mut squares = 0.0f32;
    if feature < features {
        let mut row = UNIT_POS_Y as usize;
        while row < rows {
            let distance = z[row * features + feature] - mean;
            squares += distance * distance;
            row += LANES;
        }
    }
    let variance = share * sum_of_lanes(squares, &mut shared);
    let inverse = 1.0 / (variance + epsilon).sqrt();
    if feature < features {
        let scale = inverse * gamma[feature];
        let shift = beta[feature];
        let mut row = UNIT_POS_Y as usize;
        while row < rows {
            let at = row * features + feature;
            h[at] = activate(scale * (z[at] - mean) + shift, activation);
            row += LANES;
        }
        if UNIT_POS_Y == 0 {
            statistics[feature] = mean;
            statistics[features + feature] = inverse;
            new_mean[feature] = (1.0 - momentum) * running_mean[feature] + momentum * mean;
            new_variance[feature] =
                (1.0 - momentum) * running_variance[feature] + momentum * variance;
        }
    }
}

/// One column of units for each feature.
#[cube(launch_unchecked)]
fn normalised_backward_kernel(
    h: &[f32],
    delta: &[f32],
    z: &[f32],
    statistics: &[f32],
    gamma: &[f32],
    dz: &mut [f32],
    of_gamma: &mut [f32],
    of_beta: &mut [f32],
    rows: usize,
    features: usize,
    #[comptime] activation: Activation,
) {
    let mut shared = Shared::<[f32]>::new_slice(WIDTH * LANES);
    let feature = ABSOLUTE_POS_X as usize;
    let mut mean = 0.0f32;
    let mut inverse = 0.0f32;
    let mut sum_g = 0.0f32;
    let mut sum_gx = 0.0f32;
    if feature < features {
        mean = statistics[feature];
        inverse = statistics[features + feature];
        let mut row = UNIT_POS_Y as usize;
        while row < rows {
            let at = row * features + feature;
            let g = differentiate(h[at], delta[at], activation);
            sum_g += g;
            sum_gx += g * (z[at] - mean) * inverse;
            row += LANES;
        }
    }
    let sum_g = sum_of_lanes(sum_g, &mut shared);
    let sum_gx = sum_of_lanes(sum_gx, &mut shared);
    if feature < features {
        let share = 1.0 / f32::cast_from(rows);
        let scale = inverse * gamma[feature];
        let mut row = UNIT_POS_Y as usize;
        while row < rows {
            let at = row * features + feature;
            let g = differentiate(h[at], delta[at], activation);
            let x_hat = (z[at] - mean) * inverse;
            dz[at] = scale * (g - share * (sum_g + x_hat * sum_gx));
            row += LANES;
        }
        if UNIT_POS_Y == 0 {
            of_gamma[feature] = sum_gx;
            of_beta[feature] = sum_g;
        }
    }
}
