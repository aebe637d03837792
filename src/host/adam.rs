//! Adam's update in one loop.

use rayon::prelude::*;

use super::SHARE;
use super::instructions::vectorized;

/// The constants of one update, those of its step count included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constants {
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Learning rate times the correction of both moments' bias.
    pub rate: f32,
    /// Epsilon times the correction of the second moment's bias.
    pub epsilon: f32,
}

/// `m <- beta_1 m + (1 - beta_1) g`, `v <- beta_2 v + (1 - beta_2) g^2`,
/// `theta <- theta - rate m / (sqrt(v) + epsilon)`, on all kernel threads.
pub(crate) fn update(
    theta: &mut [f32],
    gradient: &[f32],
    moment_1: &mut [f32],
    moment_2: &mut [f32],
    constants: Constants,
) {
    let moments = moment_1
        .par_chunks_mut(SHARE)
        .zip(moment_2.par_chunks_mut(SHARE));
    theta
        .par_chunks_mut(SHARE)
        .zip(gradient.par_chunks(SHARE))
        .zip(moments)
        .for_each(|((theta, gradient), (m, v))| update_share(theta, gradient, m, v, constants));
}

fn update_share(
    theta: &mut [f32],
    gradient: &[f32],
    moment_1: &mut [f32],
    moment_2: &mut [f32],
    constants: Constants,
) {
    vectorized(
        #[inline(always)]
        || {
            let Constants {
                beta_1,
                beta_2,
                rate,
                epsilon,
            } = constants;
            let moments = moment_1.iter_mut().zip(moment_2);
            for ((theta, &g), (m, v)) in theta.iter_mut().zip(gradient).zip(moments) {
                *m = beta_1 * *m + (1.0 - beta_1) * g;
                *v = beta_2 * *v + (1.0 - beta_2) * (g * g);
                *theta -= rate * *m / (v.sqrt() + epsilon);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::instructions::tests::{agree_in_all_instructions, values};

    #[test]
    fn updates_are_the_same_in_all_instructions() {
        agree_in_all_instructions(|| {
            let [mut theta, gradient, mut moment_1] = [(); 3].map(|()| values(53));
            let mut moment_2: Vec<f32> = values(53).iter().map(|value| value * value).collect();
            let constants = Constants {
                beta_1: 0.9,
                beta_2: 0.999,
                rate: 0.1,
                epsilon: 1e-8,
            };
            update(
                &mut theta,
                &gradient,
                &mut moment_1,
                &mut moment_2,
                constants,
            );
            [theta, moment_1, moment_2].concat()
        });
    }
}
