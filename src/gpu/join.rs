//! Matrices side by side.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::{Buffer, one_each};

/// `[left; right]` of `rows` rows, `[rows, features of both]`.
pub(crate) fn side_by_side(left: &Buffer, right: &Buffer, rows: usize) -> Buffer {
    let widths = [left, right].map(|part| part.len() / rows);
    let both = left.new_beside([rows, widths[0] + widths[1]]);
    let (count, dim) = one_each(left.client(), both.len());
    // SAFETY: every index is that of a row and a feature of its matrix.
    unsafe {
        side_by_side_kernel::launch_unchecked(
            left.client(),
            count,
            dim,
            left.arg(),
            right.arg(),
            both.arg(),
            widths[0],
            widths[1],
        );
    };
    both
}

/// One unit for each number of both.
#[cube(launch_unchecked)]
fn side_by_side_kernel(
    left: &[f32],
    right: &[f32],
    both: &mut [f32],
    left_width: usize,
    right_width: usize,
) {
    if ABSOLUTE_POS >= both.len() {
        terminate!();
    }
    let row = ABSOLUTE_POS / (left_width + right_width);
    let column = ABSOLUTE_POS % (left_width + right_width);
    if column < left_width {
        both[ABSOLUTE_POS] = left[row * left_width + column];
    } else {
        both[ABSOLUTE_POS] = right[row * right_width + column - left_width];
    }
}
