//! The gates of a long short-term memory, forward and backward, in loops that vectorise.
//!
//! Gates lie side by side in the order i, f, g, o: `[batch, 4 * units]`.

use pulp::Arch;

use super::elementwise::{sigmoid, tanh};

/// What one step keeps for its way back, beside the gates themselves.
pub(crate) struct Cells<'a> {
    /// `c_{t-1}`, `[batch, units]`
    pub before: &'a [f32],
    /// `tanh(c_t)`, `[batch, units]`
    pub squashed: &'a mut [f32],
}

/// One step: `z`, the sum of all that goes into the gates, becomes the gates;
/// `c_t = f c_{t-1} + i g` and `h_t = o tanh(c_t)`, both `[batch, units]`.
pub(crate) fn forward(z: &mut [f32], units: usize, cells: Cells, cell: &mut [f32], h: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let rows = z.chunks_exact_mut(4 * units);
            let before = cells.before.chunks_exact(units);
            let squashed = cells.squashed.chunks_exact_mut(units);
            let made = cell.chunks_exact_mut(units).zip(h.chunks_exact_mut(units));
            for (((z, before), squashed), (cell, h)) in rows.zip(before).zip(squashed).zip(made) {
                let [i, f, g, o] = gates_mut(z, units);
                for gate in [&mut *i, &mut *f, &mut *o] {
                    gate.iter_mut().for_each(|z| *z = sigmoid(*z));
                }
                g.iter_mut().for_each(|z| *z = tanh(*z));
                for k in 0..units {
                    cell[k] = f[k] * before[k] + i[k] * g[k];
                    squashed[k] = tanh(cell[k]);
                    h[k] = o[k] * squashed[k];
                }
            }
        },
    );
}

/// The way back through one step: from `dL/dh_t` and `dL/dc_t`. The gates become `dL/dz`, and
/// `dL/dc_t` becomes `dL/dc_{t-1}`.
pub(crate) fn backward(gates: &mut [f32], units: usize, cells: Cells, dh: &[f32], dc: &mut [f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let rows = gates.chunks_exact_mut(4 * units);
            let before = cells.before.chunks_exact(units);
            let squashed = cells.squashed.chunks_exact(units);
            let deltas = dh.chunks_exact(units).zip(dc.chunks_exact_mut(units));
            for (((gates, before), squashed), (dh, dc)) in
                rows.zip(before).zip(squashed).zip(deltas)
            {
                let [i, f, g, o] = gates_mut(gates, units);
                for k in 0..units {
                    let tanh = squashed[k];
                    let (input, forget, new, output) = (i[k], f[k], g[k], o[k]);
                    let dcell = dc[k] + dh[k] * output * (1.0 - tanh * tanh);
                    i[k] = dcell * new * input * (1.0 - input);
                    f[k] = dcell * before[k] * forget * (1.0 - forget);
                    g[k] = dcell * input * (1.0 - new * new);
                    o[k] = dh[k] * tanh * output * (1.0 - output);
                    dc[k] = dcell * forget;
                }
            }
        },
    );
}

#[inline(always)]
fn gates_mut(row: &mut [f32], units: usize) -> [&mut [f32]; 4] {
    let (i, rest) = row.split_at_mut(units);
    let (f, rest) = rest.split_at_mut(units);
    let (g, o) = rest.split_at_mut(units);
    [i, f, g, &mut o[..units]]
}
