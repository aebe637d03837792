//! Small dense layers in fused loops.
//!
//! For matrices of a few thousand elements a tensor library spends most of its time around the
//! arithmetic: allocating, dispatching, and packing panels for products that are over before that
//! pays. The notebook's networks are of that size.

use pulp::{Simd, WithSimd};

use super::elementwise::{activate, differentiate};
use super::instructions::vectorized;
use super::vector::{load, store};
use crate::section::Activation;

/// Up to how many multiplications per product these loops beat the tensor library's.
const MOST_MULTIPLICATIONS: usize = 1 << 18;

/// The sizes of a dense layer at work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layer {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub activation: Activation,
}

/// What a backward pass through one layer computes.
pub(crate) struct Gradients {
    /// `x^T dz`, `[inputs, outputs]`
    pub weight: Vec<f32>,
    /// The sum of `dz` over the batch, `[outputs]`
    pub bias: Vec<f32>,
    /// `dz W^T`, `[batch, inputs]`, if asked for
    pub input: Option<Vec<f32>>,
}

impl Layer {
    /// Whether these loops are the faster ones.
    pub fn is_small(self) -> bool {
        self.batch * self.inputs * self.outputs <= MOST_MULTIPLICATIONS
    }

    /// `h = a(x W + b)`
    pub fn forward(self, x: &[f32], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let mut h = vec![0.0; self.batch * self.outputs];
        vectorized(Forward {
            layer: self,
            x,
            w,
            bias,
            h: &mut h,
        });
        h
    }

    /// The gradients of `<h, delta>`; `dz = delta * a'(z)` overwrites `delta`.
    pub fn backward(
        self,
        x: &[f32],
        w: &[f32],
        h: &[f32],
        delta: &mut [f32],
        wants_input: bool,
    ) -> Gradients {
        let mut gradients = Gradients {
            weight: vec![0.0; self.inputs * self.outputs],
            bias: vec![0.0; self.outputs],
            input: wants_input.then(|| vec![0.0; self.batch * self.inputs]),
        };
        vectorized(Backward {
            layer: self,
            x,
            w,
            h,
            dz: delta,
            gradients: &mut gradients,
        });
        gradients
    }
}

// All that follows is inlined into the two `with_simd`, which pulp compiles for several processors.

struct Forward<'a> {
    layer: Layer,
    x: &'a [f32],
    w: &'a [f32],
    bias: Option<&'a [f32]>,
    h: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let outputs = self.layer.outputs;
        if let Some(bias) = self.bias {
            for row in self.h.chunks_exact_mut(outputs) {
                row.copy_from_slice(bias);
            }
        }
        add_product(simd, self.h, outputs, Left::Rows(self.x), self.w);
        activate(self.layer.activation, self.h);
    }
}

struct Backward<'a> {
    layer: Layer,
    x: &'a [f32],
    w: &'a [f32],
    h: &'a [f32],
    dz: &'a mut [f32],
    gradients: &'a mut Gradients,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Layer {
            batch,
            inputs,
            outputs,
            ..
        } = self.layer;
        let Gradients {
            weight,
            bias,
            input,
        } = self.gradients;
        differentiate(self.layer.activation, self.h, self.dz);
        for dz in self.dz.chunks_exact(outputs) {
            for (sum, &dz) in bias.iter_mut().zip(dz) {
                *sum += dz;
            }
        }
        add_product(simd, weight, outputs, Left::Columns(self.x), self.dz);
        if let Some(input) = input {
            // As the transpose of W dz^T: transposing dz and the result moves fewer values than
            // transposing W, and neither is read column by column.
            let dz = transpose(self.dz, outputs);
            let mut transposed = vec![0.0; inputs * batch];
            add_product(simd, &mut transposed, batch, Left::Rows(self.w), &dz);
            *input = transpose(&transposed, batch);
        }
    }
}

/// The left factor of a product.
enum Left<'a> {
    /// A matrix, row after row.
    Rows(&'a [f32]),
    /// The transpose of a matrix that is stored row after row.
    Columns(&'a [f32]),
}

/// Rows of a product that are summed up together, in registers.
const ROWS: usize = 6;

/// `out += A B`: `out` is `[rows, width]`, `A` `[rows, depth]` and `B` `[depth, width]`.
#[inline(always)]
fn add_product<S: Simd>(simd: S, out: &mut [f32], width: usize, a: Left, b: &[f32]) {
    let (rows, depth) = (out.len() / width, b.len() / width);
    let mut factors = vec![[0.0; ROWS]; depth];
    for (block, out) in out.chunks_mut(ROWS * width).enumerate() {
        let first = block * ROWS;
        match a {
            Left::Rows(a) => {
                let a = a[first * depth..].chunks_exact(depth);
                for (r, row) in a.take(ROWS).enumerate() {
                    for (factors, &value) in factors.iter_mut().zip(row) {
                        factors[r] = value;
                    }
                }
            }
            Left::Columns(a) => {
                for (factors, row) in factors.iter_mut().zip(a.chunks_exact(rows)) {
                    match row[first..].first_chunk() {
                        Some(whole) => *factors = *whole,
                        None => factors
                            .iter_mut()
                            .zip(&row[first..])
                            .for_each(|(f, &v)| *f = v),
                    }
                }
            }
        }
        for start in (0..width).step_by(S::F32_LANES) {
            let end = (start + S::F32_LANES).min(width);
            let mut sums = [simd.splat_f32s(0.0); ROWS];
            for (factors, b) in factors.iter().zip(b.chunks_exact(width)) {
                let b = load(simd, &b[start..end]);
                for (sum, &factor) in sums.iter_mut().zip(factors) {
                    *sum = simd.mul_add_e_f32s(simd.splat_f32s(factor), b, *sum);
                }
            }
            for (row, sum) in out.chunks_exact_mut(width).zip(sums) {
                let row = &mut row[start..end];
                store(simd, row, simd.add_f32s(load(simd, row), sum));
            }
        }
    }
}

/// The transpose of a matrix whose rows are `width` long.
#[inline(always)]
fn transpose(matrix: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; matrix.len()];
    for (column, out) in out.chunks_exact_mut(matrix.len() / width).enumerate() {
        for (out, row) in out.iter_mut().zip(matrix.chunks_exact(width)) {
            *out = row[column];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::instructions::tests::{
        agree_in_all_instructions, in_all_instructions, values,
    };

    #[test]
    fn layers_are_the_same_in_all_instructions() {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Sigmoid] {
            let layer = Layer {
                batch: 7,
                inputs: 21,
                outputs: 19,
                activation,
            };
            agree_in_all_instructions(|| {
                let (x, w) = (values(7 * 21), values(21 * 19));
                let h = layer.forward(&x, &w, Some(&values(19)));
                let mut delta = values(7 * 19);
                let gradients = layer.backward(&x, &w, &h, &mut delta, true);
                let input = gradients.input.expect("it was asked for");
                [h, delta, gradients.weight, gradients.bias, input].concat()
            });
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so_under_every_activation() {
        in_all_instructions(|_| check_not_a_number());
    }

    fn check_not_a_number() {
        use Activation::{Identity, Relu, Sigmoid, Tanh};
        for activation in [Identity, Relu, Sigmoid, Tanh] {
            let layer = Layer {
                batch: 1,
                inputs: 1,
                outputs: 1,
                activation,
            };
            let (x, w) = ([1.0], [f32::NAN]);
            let h = layer.forward(&x, &w, None);
            assert!(h[0].is_nan(), "{activation:?} forward");
            let gradients = layer.backward(&x, &w, &h, &mut [1.0], true);
            let input = gradients.input.expect("it was asked for");
            assert!(input[0].is_nan(), "{activation:?} backward");
        }
    }
}
