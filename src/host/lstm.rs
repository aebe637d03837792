//! The gates of a long short-term memory, forward and backward, in loops that vectorise.
//!
//! Gates lie side by side in the order i, f, g, o: `[batch, 4 * units]`. All else is
//! `[batch, units]`.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::SHARE;
use super::elementwise::{activate, tanh};
use super::instructions::vectorized;
use crate::activation::Activation;

/// One step forward.
pub(crate) struct Forward<'a> {
    pub units: usize,
    /// The sum of all that goes into the gates; becomes the gates.
    pub gates: &'a mut [f32],
    /// `c_{t-1}`
    pub before: &'a [f32],
    /// Becomes `c_t = f c_{t-1} + i g`.
    pub cell: &'a mut [f32],
    /// Becomes `tanh(c_t)`.
    pub squashed: &'a mut [f32],
    /// Becomes `h_t = o tanh(c_t)`.
    pub output: &'a mut [f32],
}

impl Forward<'_> {
    /// Makes the step on all kernel threads.
    pub fn run(self) {
        let units = self.units;
        let wide = rows_each(self.gates.len(), units) * units;
        let before = self.before.par_chunks(wide);
        let made = self.cell.par_chunks_mut(wide);
        let made = made.zip(self.squashed.par_chunks_mut(wide));
        let made = made.zip(self.output.par_chunks_mut(wide));
        let rows = self.gates.par_chunks_mut(4 * wide).zip(before).zip(made);
        rows.for_each(|((gates, before), ((cell, squashed), output))| {
            vectorized(Forward {
                units,
                gates,
                before,
                cell,
                squashed,
                output,
            });
        });
    }
}

/// How many rows of gates each kernel thread takes, of so many values in all.
fn rows_each(values: usize, units: usize) -> usize {
    let shares = rayon::current_num_threads().min(values / SHARE).max(1);
    (values / (4 * units)).div_ceil(shares).max(1)
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let units = self.units;
        let rows = self.gates.chunks_exact_mut(4 * units);
        let before = self.before.chunks_exact(units);
        let cells = self.cell.chunks_exact_mut(units);
        let squashed = self.squashed.chunks_exact_mut(units);
        let outputs = self.output.chunks_exact_mut(units);
        let made = cells.zip(squashed).zip(outputs);
        for ((row, before), ((cell, squashed), output)) in rows.zip(before).zip(made) {
            // i and f lie side by side.
            let (sigmoids, rest) = row.split_at_mut(2 * units);
            let (g, o) = rest.split_at_mut(units);
            activate(Activation::Sigmoid, sigmoids);
            activate(Activation::Sigmoid, o);
            for z in g.iter_mut() {
                *z = tanh(*z);
            }
            let (i, f) = sigmoids.split_at(units);
            for k in 0..units {
                cell[k] = f[k] * before[k] + i[k] * g[k];
                squashed[k] = tanh(cell[k]);
                output[k] = o[k] * squashed[k];
            }
        }
    }
}

/// A state `[batch, 2 * units]` as an interface sees it: the cell through tanh.
pub(crate) struct View<'a> {
    pub units: usize,
    /// The state; becomes `[h; tanh(c)]`.
    pub message: &'a mut [f32],
    /// Becomes the derivative, `[1; 1 - tanh(c)^2]`.
    pub slope: &'a mut [f32],
}

impl View<'_> {
    pub fn run(self) {
        vectorized(self);
    }
}

impl WithSimd for View<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.message.chunks_exact_mut(2 * self.units);
        for (message, slope) in rows.zip(self.slope.chunks_exact_mut(2 * self.units)) {
            let (ones, slope) = slope.split_at_mut(self.units);
            ones.fill(1.0);
            for (cell, slope) in message[self.units..].iter_mut().zip(slope) {
                *cell = tanh(*cell);
                *slope = 1.0 - *cell * *cell;
            }
        }
    }
}

/// The way back through one step.
pub(crate) struct Backward<'a> {
    pub units: usize,
    /// The gates; become `dL/dz`, the gradient at the sums into them.
    pub gates: &'a mut [f32],
    /// `c_{t-1}`
    pub before: &'a [f32],
    /// `tanh(c_t)`
    pub squashed: &'a [f32],
    /// `dL/dh_t`
    pub dh: &'a [f32],
    /// `dL/dc_t` but for what comes through `h_t`; becomes `dL/dc_{t-1}`.
    pub dc: &'a mut [f32],
}

impl Backward<'_> {
    /// Makes the step on all kernel threads.
    pub fn run(self) {
        let units = self.units;
        let wide = rows_each(self.gates.len(), units) * units;
        let states = self.before.par_chunks(wide);
        let states = states.zip(self.squashed.par_chunks(wide));
        let deltas = self.dh.par_chunks(wide);
        let deltas = deltas.zip(self.dc.par_chunks_mut(wide));
        let rows = self.gates.par_chunks_mut(4 * wide).zip(states).zip(deltas);
        rows.for_each(|((gates, (before, squashed)), (dh, dc))| {
            vectorized(Backward {
                units,
                gates,
                before,
                squashed,
                dh,
                dc,
            });
        });
    }
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let units = self.units;
        let rows = self.gates.chunks_exact_mut(4 * units);
        let before = self.before.chunks_exact(units);
        let squashed = self.squashed.chunks_exact(units);
        let deltas = self.dh.chunks_exact(units);
        let deltas = deltas.zip(self.dc.chunks_exact_mut(units));
        for (((row, before), squashed), (dh, dc)) in rows.zip(before).zip(squashed).zip(deltas) {
            let (i, rest) = row.split_at_mut(units);
            let (f, rest) = rest.split_at_mut(units);
            let (g, o) = rest.split_at_mut(units);
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::instructions::tests::{agree_in_all_instructions, values};

    /// A step forward, one back, and a view: all that they make.
    fn step(units: usize, batch: usize) -> Vec<f32> {
        let size = units * batch;
        let mut gates = values(4 * size);
        let [mut cell, mut squashed, mut output] = [(); 3].map(|()| vec![0.0; size]);
        let before = values(size);
        let forward = Forward {
            units,
            gates: &mut gates,
            before: &before,
            cell: &mut cell,
            squashed: &mut squashed,
            output: &mut output,
        };
        forward.run();
        let mut dc = values(size);
        let backward = Backward {
            units,
            gates: &mut gates,
            before: &before,
            squashed: &squashed,
            dh: &values(size),
            dc: &mut dc,
        };
        backward.run();
        let (mut message, mut slope) = (values(2 * size), vec![0.0; 2 * size]);
        let view = View {
            units,
            message: &mut message,
            slope: &mut slope,
        };
        view.run();
        [gates, cell, squashed, output, dc, message, slope].concat()
    }

    #[test]
    fn steps_are_the_same_in_all_instructions() {
        agree_in_all_instructions(|| step(11, 3));
    }

    #[test]
    fn steps_are_the_same_on_any_number_of_threads() {
        // Enough for three threads, of which the last has fewer rows.
        const SIZES: [usize; 2] = [64, 4 * SHARE / (4 * 64) - 1];
        let made = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().expect("some threads are to be had");
            pool.install(|| step(SIZES[0], SIZES[1]))
        });
        assert!(made[0] == made[1] && made[0] == made[2]);
    }
}
