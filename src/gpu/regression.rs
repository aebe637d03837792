//! What a synthesizer regresses to.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::{Buffer, one_each};

/// The residual `output - scale * delta`, and `weight` times it: the gradient at the output.
pub(crate) fn regress(output: &Buffer, delta: &Buffer, scale: f32, weight: f32) -> [Buffer; 2] {
    let client = output.client();
    let [residual, gradient] = [(); 2].map(|()| output.new_like());
    let (count, dim) = one_each(client, output.len());
    // SAFETY: no unit reads or writes past an end; all are as long.
    unsafe {
        regress_kernel::launch_unchecked(
            client,
            count,
            dim,
            output.arg(),
            delta.arg(),
            residual.arg(),
            gradient.arg(),
            scale,
            weight,
        );
    };
    [residual, gradient]
}

/// One unit for each number.
#[cube(launch_unchecked)]
fn regress_kernel(
    output: &[f32],
    delta: &[f32],
    residual: &mut [f32],
    gradient: &mut [f32],
    scale: f32,
    weight: f32,
) {
    if ABSOLUTE_POS >= output.len() {
        terminate!();
    }
    let difference = output[ABSOLUTE_POS] - scale * delta[ABSOLUTE_POS];
    residual[ABSOLUTE_POS] = difference;
    gradient[ABSOLUTE_POS] = weight * difference;
}
