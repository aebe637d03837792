//! Adam's update in one loop.

use pulp::Arch;

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
/// `theta <- theta - rate m / (sqrt(v) + epsilon)`.
pub(crate) fn update(
    theta: &mut [f32],
    gradient: &[f32],
    moment_1: &mut [f32],
    moment_2: &mut [f32],
    constants: Constants,
) {
    Arch::new().dispatch(
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
