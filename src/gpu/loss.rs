//! Losses and their gradients, for outputs and targets `[rows, features]`, or classes `[rows]`.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::{Buffer, one_each};

/// Which of the usual losses, see `loss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    SquaredError,
    BinaryCrossEntropy,
    CrossEntropy,
    /// Cross-entropy by the number of the class, a whole number in a float.
    Class,
}

/// The loss of each row, `[rows]`.
pub(crate) fn of_each(kind: Kind, output: &Buffer, target: &Buffer, rows: usize) -> Buffer {
    let losses = output.new_beside([rows]);
    let (count, dim) = one_each(output.client(), rows);
    // SAFETY: every index is that of a row and a feature.
    unsafe {
        loss_kernel::launch_unchecked(
            output.client(),
            count,
            dim,
            output.arg(),
            target.arg(),
            losses.arg(),
            output.len() / rows,
            kind,
        );
    };
    losses
}

/// `weight` times the gradient of each row's own loss at the output, `[rows, features]`.
pub(crate) fn gradient_of_each(
    kind: Kind,
    output: &Buffer,
    target: &Buffer,
    rows: usize,
    weight: f32,
) -> Buffer {
    let gradient = output.new_like();
    let (count, dim) = one_each(output.client(), rows);
    // SAFETY: every index is that of a row and a feature.
    unsafe {
        loss_gradient_kernel::launch_unchecked(
            output.client(),
            count,
            dim,
            output.arg(),
            target.arg(),
            gradient.arg(),
            rows,
            output.len() / rows,
            weight,
            kind,
        );
    };
    gradient
}

/// The largest logit of a row, and the sum of `exp(z - largest)`.
#[cube]
fn largest_and_sum(output: &[f32], start: usize, features: usize) -> (f32, f32) {
    let mut largest = output[start];
    for k in 1..features {
        largest = max(largest, output[start + k]);
    }
    let mut sum = 0.0f32;
    for k in 0..features {
        sum += (output[start + k] - largest).exp();
    }
    (largest, sum)
}

/// One unit for each row.
#[cube(launch_unchecked)]
fn loss_kernel(
    output: &[f32],
    target: &[f32],
    losses: &mut [f32],
    features: usize,
    #[comptime] kind: Kind,
) {
    if ABSOLUTE_POS >= losses.len() {
        terminate!();
    }
    let start = ABSOLUTE_POS * features;
    let mut loss = 0.0f32;
    if comptime!(kind == Kind::Class) {
        let (largest, sum) = largest_and_sum(output, start, features);
        let normaliser = largest + sum.ln();
        // Found by looking at all: a class that there is not must not be read. Its loss is infinite,
        // as this overflows, and the next look at the losses finds it.
        loss = 3e38f32 * (sum + 2.0);
        for k in 0..features {
            let is_class = f32::cast_from(k) == target[ABSOLUTE_POS];
            loss = select(is_class, normaliser - output[start + k], loss);
        }
    } else if comptime!(kind == Kind::CrossEntropy) {
        let (largest, sum) = largest_and_sum(output, start, features);
        let normaliser = largest + sum.ln();
        for k in 0..features {
            loss += target[start + k] * (normaliser - output[start + k]);
        }
    } else if comptime!(kind == Kind::BinaryCrossEntropy) {
        for k in 0..features {
            let z = output[start + k];
            let above = select(z < 0.0, 0.0, z);
            loss += above - z * target[start + k] + ((-z.abs()).exp() + 1.0).ln();
        }
    } else {
        for k in 0..features {
            let error = output[start + k] - target[start + k];
            loss += 0.5 * error * error;
        }
    }
    losses[ABSOLUTE_POS] = loss;
}

/// One unit for each row.
#[cube(launch_unchecked)]
fn loss_gradient_kernel(
    output: &[f32],
    target: &[f32],
    gradient: &mut [f32],
    rows: usize,
    features: usize,
    weight: f32,
    #[comptime] kind: Kind,
) {
    if ABSOLUTE_POS >= rows {
        terminate!();
    }
    let start = ABSOLUTE_POS * features;
    if comptime!(kind == Kind::Class) {
        let (largest, sum) = largest_and_sum(output, start, features);
        let scale = 1.0 / sum;
        for k in 0..features {
            let is_class = f32::cast_from(k) == target[ABSOLUTE_POS];
            let probability = scale * (output[start + k] - largest).exp();
            gradient[start + k] = weight * (probability - select(is_class, 1.0, 0.0));
        }
    } else if comptime!(kind == Kind::CrossEntropy) {
        let (largest, sum) = largest_and_sum(output, start, features);
        let mut of_targets = 0.0f32;
        for k in 0..features {
            of_targets += target[start + k];
        }
        let scale = of_targets / sum;
        for k in 0..features {
            let probability = scale * (output[start + k] - largest).exp();
            gradient[start + k] = weight * (probability - target[start + k]);
        }
    } else if comptime!(kind == Kind::BinaryCrossEntropy) {
        for k in 0..features {
            let probability = 1.0 / (1.0 + (-output[start + k]).exp());
            gradient[start + k] = weight * (probability - target[start + k]);
        }
    } else {
        for k in 0..features {
            gradient[start + k] = weight * (output[start + k] - target[start + k]);
        }
    }
}
