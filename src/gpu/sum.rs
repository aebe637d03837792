//! Sums over all values of a tensor, and numbers side by side: the figures of a step.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::*;

use super::{Buffer, one_each};

/// Up to how many values one cube sums faster than two kernels of many cubes.
const MOST_VALUES: usize = 1 << 18;

/// Whether these sums are the faster ones.
pub(crate) fn is_small(values: &Buffer) -> bool {
    values.len() <= MOST_VALUES
}

/// The sum of all values, `[1]`.
pub(crate) fn sum(values: &Buffer) -> Buffer {
    sum_of(values, 1.0, false)
}

/// `weight` times the sum of the squares of all values, `[1]`.
pub(crate) fn weighed_squares(values: &Buffer, weight: f32) -> Buffer {
    sum_of(values, weight, true)
}

fn sum_of(values: &Buffer, weight: f32, is_squared: bool) -> Buffer {
    let total = values.new_beside([1]);
    let (count, dim) = lone_cube(values.client(), values.len());
    // SAFETY: no unit reads past the end.
    unsafe {
        sum_kernel::launch_unchecked(
            values.client(),
            count,
            dim,
            values.arg(),
            total.arg(),
            weight,
            dim.x as usize,
            is_squared,
        );
    };
    total
}

/// All values of some tensors in one, `[values]`.
///
/// # Panics
///
/// If there are none.
pub(crate) fn end_to_end(parts: &[Buffer]) -> Buffer {
    /// A kernel is compiled for every number of parts.
    const MOST_AT_ONCE: usize = 16;
    let client = parts[0].client();
    let bindings = client.properties().hardware.max_bindings as usize;
    let most = MOST_AT_ONCE.min(bindings - 1);
    let all = parts[0].new_beside([parts.iter().map(Buffer::len).sum()]);
    let mut start = 0;
    for parts in parts.chunks(most) {
        let values = parts.iter().map(Buffer::len).sum();
        let (count, dim) = one_each(client, values);
        let args = parts.iter().map(Buffer::arg).collect();
        // SAFETY: no unit reads past the end of a part, or writes past the end of all.
        unsafe {
            end_to_end_kernel::launch_unchecked(client, count, dim, args, all.arg(), start);
        };
        start += values;
    }
    all
}

/// How a kernel is launched that sums `values` values in a single cube, whose units stand in a row.
pub(super) fn lone_cube(client: &Client, values: usize) -> (CubeCount, CubeDim) {
    let most = client.properties().hardware.max_units_per_cube.min(1024);
    let units = (values as u32).next_power_of_two().clamp(1, most);
    (CubeCount::Static(1, 1, 1), CubeDim::new_1d(units))
}

/// The sum of what the units of a cube have, a power of two of them, for all of them.
#[cube]
pub(super) fn sum_of_units(value: f32, #[comptime] units: usize) -> f32 {
    let mut shared = Shared::<[f32]>::new_slice(units);
    let unit = UNIT_POS as usize;
    shared[unit] = value;
    let mut active = CUBE_DIM as usize / 2;
    while active > 0 {
        sync_cube();
        if unit < active {
            let other = shared[unit + active];
            shared[unit] += other;
        }
        active /= 2;
    }
    sync_cube();
    shared[0]
}

#[cube(launch_unchecked)]
fn sum_kernel(
    values: &[f32],
    total: &mut [f32],
    weight: f32,
    #[comptime] units: usize,
    #[comptime] is_squared: bool,
) {
    let mut sum = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < values.len() {
        let value = values[at];
        if comptime!(is_squared) {
            sum += value * value;
        } else {
            sum += value;
        }
        at += units;
    }
    let sum = sum_of_units(sum, units);
    if UNIT_POS == 0 {
        total[0] = weight * sum;
    }
}

/// One unit for each value of the parts.
#[cube(launch_unchecked)]
fn end_to_end_kernel(parts: Sequence<Box<[f32]>>, all: &mut [f32], start: usize) {
    let mut begin = 0;
    for part in parts {
        let end = begin + part.len();
        if ABSOLUTE_POS >= begin && ABSOLUTE_POS < end {
            all[start + ABSOLUTE_POS] = part[ABSOLUTE_POS - begin];
        }
        begin = end;
    }
}
