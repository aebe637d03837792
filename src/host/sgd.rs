//! Gradient descent in one loop.

use super::instructions::vectorized;

/// `theta <- theta - rate g`
pub(crate) fn update(theta: &mut [f32], gradient: &[f32], rate: f32) {
    vectorized(
        #[inline(always)]
        || {
            for (theta, &g) in theta.iter_mut().zip(gradient) {
                *theta -= rate * g;
            }
        },
    );
}
