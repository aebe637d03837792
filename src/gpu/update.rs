//! The update rules, for all parameters of a module at once.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::{Buffer, one_each};
use crate::host::adam::Constants;

/// `theta <- theta - rate g`, for one parameter.
pub(crate) struct Sgd {
    pub theta: Buffer,
    pub gradient: Buffer,
    pub rate: f32,
}

/// The update of [`host::adam`](crate::host::adam), for one parameter.
pub(crate) struct Adam {
    pub theta: Buffer,
    pub gradient: Buffer,
    pub moments: [Buffer; 2],
    pub constants: Constants,
}

/// Makes updates where the parameters lie, as many in one launch as its buffers allow.
pub(crate) fn sgd(updates: &[Sgd]) {
    for updates in in_launches(updates, |update| &update.theta, 2) {
        let units = updates.iter().map(|update| update.theta.len()).sum();
        let client = updates[0].theta.client();
        let (count, dim) = one_each(client, units);
        let parameters = updates.iter().map(|update| {
            SgdArgsLaunch::new(update.theta.arg(), update.gradient.arg(), update.rate)
        });
        // SAFETY: no unit reads or writes past the end of a parameter, and its gradient is as long.
        unsafe { sgd_kernel::launch_unchecked(client, count, dim, parameters.collect()) };
    }
}

/// Makes updates where the parameters and their moments lie, as many in one launch as its buffers
/// allow.
pub(crate) fn adam(updates: &[Adam]) {
    for updates in in_launches(updates, |update| &update.theta, 4) {
        let units = updates.iter().map(|update| update.theta.len()).sum();
        let client = updates[0].theta.client();
        let (count, dim) = one_each(client, units);
        let parameters = updates.iter().map(|update| {
            let [moment_1, moment_2] = &update.moments;
            AdamArgsLaunch::new(
                update.theta.arg(),
                update.gradient.arg(),
                moment_1.arg(),
                moment_2.arg(),
                update.constants.rate,
                update.constants.epsilon,
            )
        });
        let Constants { beta_1, beta_2, .. } = updates[0].constants;
        // SAFETY: no unit reads or writes past the end of a parameter, and its gradient and moments
        // are as long.
        unsafe {
            adam_kernel::launch_unchecked(client, count, dim, parameters.collect(), beta_1, beta_2);
        };
    }
}

/// Items in groups such that a kernel may have `buffers` for each of one group.
fn in_launches<T>(
    items: &[T],
    buffer_of: impl Fn(&T) -> &Buffer,
    buffers: usize,
) -> impl Iterator<Item = &[T]> {
    let most = items.first().map_or(1, |first| {
        let bindings = buffer_of(first).client().properties().hardware.max_bindings;
        (bindings as usize / buffers).max(1)
    });
    items.chunks(most.min(MOST_AT_ONCE))
}

/// A kernel is compiled for the number of its parameters, and every unit looks for its own among them.
const MOST_AT_ONCE: usize = 8;

#[derive(CubeType, CubeLaunch)]
struct SgdArgs {
    theta: Box<[f32]>,
    gradient: Box<[f32]>,
    rate: f32,
}

#[derive(CubeType, CubeLaunch)]
struct AdamArgs {
    theta: Box<[f32]>,
    gradient: Box<[f32]>,
    moment_1: Box<[f32]>,
    moment_2: Box<[f32]>,
    rate: f32,
    epsilon: f32,
}

/// One unit for each number of all parameters, one parameter after the other.
#[cube(launch_unchecked)]
fn sgd_kernel(parameters: Sequence<SgdArgs>) {
    let mut start = 0;
    for mut parameter in parameters {
        let end = start + parameter.theta.len();
        if ABSOLUTE_POS >= start && ABSOLUTE_POS < end {
            let at = ABSOLUTE_POS - start;
            let step = parameter.rate * parameter.gradient[at];
            parameter.theta[at] -= step;
        }
        start = end;
    }
}

/// The same.
#[cube(launch_unchecked)]
fn adam_kernel(parameters: Sequence<AdamArgs>, beta_1: f32, beta_2: f32) {
    let mut start = 0;
    for mut parameter in parameters {
        let end = start + parameter.theta.len();
        if ABSOLUTE_POS >= start && ABSOLUTE_POS < end {
            let at = ABSOLUTE_POS - start;
            let g = parameter.gradient[at];
            let m = beta_1 * parameter.moment_1[at] + (1.0 - beta_1) * g;
            let v = beta_2 * parameter.moment_2[at] + (1.0 - beta_2) * (g * g);
            parameter.moment_1[at] = m;
            parameter.moment_2[at] = v;
            parameter.theta[at] -= parameter.rate * m / (v.sqrt() + parameter.epsilon);
        }
        start = end;
    }
}
