//! Small dense layers in fused loops.
//!
//! For matrices of a few thousand elements a tensor library spends most of its time around the
//! arithmetic: allocating, dispatching, and packing panels for products that are over before that
//! pays. The notebook's networks are of that size.

use pulp::{Simd, WithSimd};

use super::elementwise::{activate, differentiate};
use super::instructions::vectorized;
use super::vector::{load, store};
use crate::activation::Activation;

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

/// What becomes of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    /// `out <- A B`
    Write,
    /// `out <- out + A B`
    Add,
    /// `out <- out - rate A B`: gradient descent, where the product is the gradient of `out`.
    Descend { rate: f32 },
}

impl Layer {
    /// Whether these loops are the faster ones.
    pub fn is_small(self) -> bool {
        self.batch * self.inputs * self.outputs <= MOST_MULTIPLICATIONS
    }

    /// `h = a(x W + b)`. The features of `x` may come in parts, each `[batch, some features]`.
    pub fn forward(self, x: &[&[f32]], w: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let mut h = Vec::with_capacity(self.batch * self.outputs);
        match bias {
            Some(bias) => (0..self.batch).for_each(|_| h.extend_from_slice(bias)),
            None => h.resize(self.batch * self.outputs, 0.0),
        }
        vectorized(Forward {
            product: Product {
                out: &mut h,
                width: self.outputs,
                a: Left::Rows(x),
                b: w,
                keep: Keep::Add,
            },
            activation: self.activation,
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
        self.differentiate(h, delta);
        let mut weight = vec![0.0; self.inputs * self.outputs];
        self.keep_weight_gradient(&[x], delta, &mut weight, Keep::Write);
        let mut bias = vec![0.0; self.outputs];
        self.keep_bias_gradient(delta, &mut bias, Keep::Write);
        Gradients {
            weight,
            bias,
            input: wants_input.then(|| self.input_gradient(w, delta)),
        }
    }

    /// `dz = delta * a'(z)`, in the place of `delta`.
    pub fn differentiate(self, h: &[f32], delta: &mut [f32]) {
        vectorized(Differentiate {
            activation: self.activation,
            h,
            delta,
        });
    }

    /// Keeps `x^T dz`, `[inputs, outputs]`, in `out`. The features of `x` may come in parts.
    pub fn keep_weight_gradient(self, x: &[&[f32]], dz: &[f32], out: &mut [f32], keep: Keep) {
        let mut rest = out;
        for x in x {
            let features = x.len() / self.batch;
            let (out, below) = rest.split_at_mut(features * self.outputs);
            multiply(out, self.outputs, Left::Columns(x), dz, keep);
            rest = below;
        }
    }

    /// Keeps the sum of `dz` over the batch, `[outputs]`, in `out`: the product of ones and `dz`.
    pub fn keep_bias_gradient(self, dz: &[f32], out: &mut [f32], keep: Keep) {
        let ones = vec![1.0; self.batch];
        multiply(out, self.outputs, Left::Columns(&ones), dz, keep);
    }

    /// `dz W^T`, `[batch, inputs]`.
    pub fn input_gradient(self, w: &[f32], dz: &[f32]) -> Vec<f32> {
        // As the transpose of W dz^T: transposing dz and the result moves fewer values than
        // transposing W, and neither is read column by column.
        let dz = transposed(dz, self.outputs);
        let mut out = vec![0.0; self.inputs * self.batch];
        let a = Left::Rows(&[w]);
        multiply(&mut out, self.batch, a, &dz, Keep::Write);
        transposed(&out, self.batch)
    }
}

/// The transpose of a matrix whose rows are `width` long.
fn transposed(matrix: &[f32], width: usize) -> Vec<f32> {
    let rows = matrix.len() / width;
    let mut out = vec![0.0; matrix.len()];
    for (i, row) in matrix.chunks_exact(width).enumerate() {
        for (out, &value) in out[i..].iter_mut().step_by(rows).zip(row) {
            *out = value;
        }
    }
    out
}

/// The left factor of a product.
#[derive(Clone, Copy)]
enum Left<'a> {
    /// A matrix, row after row, whose columns may come in parts.
    Rows(&'a [&'a [f32]]),
    /// The transpose of a matrix that is stored row after row.
    Columns(&'a [f32]),
}

/// Makes `A B`, whose rows are `width` long, and keeps it in `out`.
fn multiply(out: &mut [f32], width: usize, a: Left, b: &[f32], keep: Keep) {
    vectorized(Product {
        out,
        width,
        a,
        b,
        keep,
    });
}

struct Product<'a> {
    out: &'a mut [f32],
    width: usize,
    a: Left<'a>,
    b: &'a [f32],
    keep: Keep,
}

// All that follows is inlined into the `with_simd`, which pulp compiles for several processors.

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.make(simd);
    }
}

/// A product and what an activation makes of it.
struct Forward<'a> {
    product: Product<'a>,
    activation: Activation,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.product.make(simd);
        activate(self.activation, self.product.out);
    }
}

// No closure: the compiler may leave the body of one outside of the code for these instructions.
struct Differentiate<'a> {
    activation: Activation,
    h: &'a [f32],
    delta: &'a mut [f32],
}

impl WithSimd for Differentiate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        differentiate(self.activation, self.h, self.delta);
    }
}

impl Product<'_> {
    #[inline(always)]
    fn make<S: Simd>(&mut self, simd: S) {
        // Rows of a tile: what divides them all wastes nothing.
        let rows = self.out.len() / self.width;
        let padded = |height: usize| rows.next_multiple_of(height);
        let height = [6, 5, 4].into_iter().min_by_key(|&height| padded(height));
        match height {
            _ if rows == 1 => self.in_tiles::<S, 1>(simd),
            Some(6) => self.in_tiles::<S, 6>(simd),
            Some(5) => self.in_tiles::<S, 5>(simd),
            _ => self.in_tiles::<S, 4>(simd),
        }
    }

    #[inline(always)]
    fn in_tiles<S: Simd, const R: usize>(&mut self, simd: S) {
        let mut first = 0;
        while first < self.width {
            let left = self.width - first;
            if left >= 2 * S::F32_LANES {
                self.in_columns::<S, R, 2>(
                    simd,
                    first,
                    #[inline(always)]
                    |row| whole(simd, row),
                );
                first += 2 * S::F32_LANES;
            } else if left >= S::F32_LANES {
                self.in_columns::<S, R, 1>(
                    simd,
                    first,
                    #[inline(always)]
                    |row| whole(simd, row),
                );
                first += S::F32_LANES;
            } else {
                self.in_columns::<S, R, 1>(
                    simd,
                    first,
                    #[inline(always)]
                    |row| [load(simd, row)],
                );
                first = self.width;
            }
        }
    }

    /// `V` vectors of every row, from column `first` on.
    #[inline(always)]
    fn in_columns<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        first: usize,
        vectors: impl Fn(&[f32]) -> [S::f32s; V],
    ) {
        let (width, b) = (self.width, self.b);
        let rows = self.out.len() / width;
        let end = width.min(first + V * S::F32_LANES);
        for top in (0..rows).step_by(R) {
            let mut sums = [[simd.splat_f32s(0.0); V]; R];
            // What is beyond the last row repeats it.
            let row = |r: usize| (top + r).min(rows - 1);
            match self.a {
                Left::Rows(parts) => {
                    let mut b = b;
                    for part in parts {
                        let depth = part.len() / rows;
                        let rows: [&[f32]; R] =
                            std::array::from_fn(|r| &part[row(r) * depth..][..depth]);
                        let (of_part, rest) = b.split_at(depth * width);
                        for (k, b) in of_part.chunks_exact(width).enumerate() {
                            let factors = std::array::from_fn(|r| simd.splat_f32s(rows[r][k]));
                            add(simd, &mut sums, factors, vectors(&b[first..end]));
                        }
                        b = rest;
                    }
                }
                Left::Columns(a) if top + R <= rows => {
                    for (a, b) in a.chunks_exact(rows).zip(b.chunks_exact(width)) {
                        let a = &a[top..top + R];
                        let factors = std::array::from_fn(|r| simd.splat_f32s(a[r]));
                        add(simd, &mut sums, factors, vectors(&b[first..end]));
                    }
                }
                Left::Columns(a) => {
                    let at: [usize; R] = std::array::from_fn(row);
                    for (a, b) in a.chunks_exact(rows).zip(b.chunks_exact(width)) {
                        let factors = at.map(|row| simd.splat_f32s(a[row]));
                        add(simd, &mut sums, factors, vectors(&b[first..end]));
                    }
                }
            }
            let out = self.out[top * width..].chunks_exact_mut(width);
            for (row, sums) in out.zip(sums) {
                let vectors = row[first..end].chunks_mut(S::F32_LANES);
                for (out, sum) in vectors.zip(sums) {
                    let kept = match self.keep {
                        Keep::Write => sum,
                        Keep::Add => simd.add_f32s(load(simd, out), sum),
                        Keep::Descend { rate } => {
                            let step = simd.mul_f32s(sum, simd.splat_f32s(rate));
                            simd.sub_f32s(load(simd, out), step)
                        }
                    };
                    store(simd, out, kept);
                }
            }
        }
    }
}

/// The vectors of a row of just so many.
#[inline(always)]
fn whole<S: Simd, const V: usize>(_: S, row: &[f32]) -> [S::f32s; V] {
    let vectors = S::as_simd_f32s(row).0.first_chunk();
    *vectors.expect("the row is as long as the tile")
}

/// Adds the products of a column of factors and a row of vectors to the sums of a tile.
#[inline(always)]
fn add<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; R],
    factors: [S::f32s; R],
    vectors: [S::f32s; V],
) {
    for (sums, factor) in sums.iter_mut().zip(factors) {
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            *sum = simd.mul_add_e_f32s(factor, vector, *sum);
        }
    }
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
                let h = layer.forward(&[&x], &w, Some(&values(19)));
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
            let h = layer.forward(&[&x], &w, None);
            assert!(h[0].is_nan(), "{activation:?} forward");
            let gradients = layer.backward(&x, &w, &h, &mut [1.0], true);
            let input = gradients.input.expect("it was asked for");
            assert!(input[0].is_nan(), "{activation:?} backward");
        }
    }
}
