//! Products of matrices, a tile of the result at a time, which stays in registers.
//!
//! On a core with AVX-512 these reach what it can multiply; those of the `gemm` crate, which the
//! tensor backend uses, reach 0.6 of that, and for results of more than 48 columns half of it.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::vector::{load, store};

/// A matrix in host memory: rows that lie one after the other, or the transpose of such.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Values that lie row after row.
    ///
    /// # Panics
    ///
    /// If they are not whole rows.
    pub fn new(values: &'a [f32], columns: usize) -> Self {
        assert!(
            columns > 0 && values.len().is_multiple_of(columns),
            "{} values are no rows of {columns}",
            values.len()
        );
        Self {
            values,
            rows: values.len() / columns,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The transpose of the matrix, which moves nothing.
    pub fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    fn has_whole_rows(self) -> bool {
        self.column_stride == 1
    }

    /// Row `i` of a matrix of whole rows.
    #[inline(always)]
    fn row(self, i: usize) -> &'a [f32] {
        &self.values[i * self.row_stride..][..self.columns]
    }

    /// Column `k` of a transpose, from row `first` on.
    #[inline(always)]
    fn column_from(self, first: usize, k: usize) -> &'a [f32] {
        &self.values[k * self.column_stride + first..]
    }

    /// At most `count` rows, from `first` on.
    fn rows_from(self, first: usize, count: usize) -> Self {
        Self {
            values: &self.values[first * self.row_stride..],
            rows: count.min(self.rows - first),
            ..self
        }
    }

    /// Its values from column `first` on, row after row, into rows of `width`.
    fn write_columns(self, first: usize, out: &mut [f32], width: usize) {
        let columns = width.min(self.columns - first);
        if self.has_whole_rows() {
            for (i, out) in out.chunks_exact_mut(width).enumerate() {
                out[..columns].copy_from_slice(&self.row(i)[first..first + columns]);
            }
            return;
        }
        // So many rows as stay in the cache until they are whole.
        const ROWS: usize = 128;
        for (i, out) in out.chunks_mut(ROWS * width).enumerate() {
            for j in 0..columns {
                let column = self.column_from(i * ROWS, first + j);
                for (row, value) in out.chunks_exact_mut(width).zip(column) {
                    row[j] = *value;
                }
            }
        }
    }
}

/// A right factor, laid out as the tiles read it: in panels as wide as a tile, each row after row.
pub(crate) struct Panels {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// The factor `B`.
    pub fn new(b: Matrix) -> Self {
        let lanes = Arch::new().dispatch(Lanes);
        let mut values = vec![0.0; b.rows * b.columns.next_multiple_of(lanes)];
        let panels = values.chunks_mut((b.rows * VECTORS * lanes).max(1));
        for (i, panel) in panels.enumerate() {
            let width = panel.len() / b.rows;
            b.write_columns(i * VECTORS * lanes, panel, width);
        }
        Self {
            values,
            rows: b.rows,
            columns: b.columns,
        }
    }

    /// `A B`, row after row.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit.
    pub fn product(&self, a: Matrix) -> Vec<f32> {
        let mut out = vec![0.0; a.rows * self.columns];
        let b = Right::Panels(self);
        on_all_threads(&mut out, a, |out, a| b.multiply(out, false, a));
        out
    }

    /// `out <- out + A B`.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit.
    pub fn accumulate(&self, out: &mut [f32], a: Matrix) {
        let b = Right::Panels(self);
        on_all_threads(out, a, |out, a| b.multiply(out, true, a));
    }
}

/// `A B`, row after row.
///
/// With several kernel threads each makes some of the rows.
///
/// # Panics
///
/// If `A` has not as many columns as `B` has rows.
pub(crate) fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    let mut out = vec![0.0; a.rows * b.columns];
    with_layout(a, b, |b| {
        on_all_threads(&mut out, a, |out, a| b.multiply(out, false, a));
    });
    out
}

/// `out <- out + A B`. With several kernel threads each makes some of the rows.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn accumulate(out: &mut [f32], a: Matrix, b: Matrix) {
    with_layout(a, b, |b| {
        on_all_threads(out, a, |out, a| b.multiply(out, true, a));
    });
}

/// `out <- A B`, on this thread.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn write_product(out: &mut [f32], a: Matrix, b: Matrix) {
    with_layout(a, b, |b| b.multiply(out, false, a));
}

/// `out <- out + A B`, on this thread.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn add_product(out: &mut [f32], a: Matrix, b: Matrix) {
    with_layout(a, b, |b| b.multiply(out, true, a));
}

/// Makes the rows of a product with `A`, on each kernel thread some.
fn on_all_threads(out: &mut [f32], a: Matrix, make: impl Fn(&mut [f32], Matrix) + Sync) {
    let rows = a.rows.div_ceil(rayon::current_num_threads()).max(1);
    if rows >= a.rows {
        make(out, a);
    } else {
        let columns = out.len() / a.rows;
        out.par_chunks_mut(rows * columns)
            .enumerate()
            .for_each(|(i, out)| make(out, a.rows_from(i * rows, rows)));
    }
}

/// Calls `work` with `B` laid out in panels, or as it is where few rows multiply it.
fn with_layout(a: Matrix, b: Matrix, work: impl FnOnce(Right)) {
    const FEW: usize = 4 * ROWS;
    let whole = b.columns.is_multiple_of(Arch::new().dispatch(Lanes));
    if a.rows <= FEW && b.has_whole_rows() && whole {
        work(Right::Rows(b));
    } else {
        work(Right::Panels(&Panels::new(b)));
    }
}

/// Rows of a tile that is two vectors wide, and of one of a single vector.
const ROWS: usize = 6;
const ROWS_OF_ONE: usize = 8;
/// Vectors of a row of a tile: so many that the processor's registers hold a tile.
const VECTORS: usize = 2;

/// The right factor of a product.
#[derive(Clone, Copy)]
enum Right<'a> {
    Panels(&'a Panels),
    /// Whole rows of whole vectors.
    Rows(Matrix<'a>),
}

impl Right<'_> {
    /// `out <- A B`, or that added to `out`, on this thread.
    fn multiply(self, out: &mut [f32], add: bool, a: Matrix) {
        let [depth, columns] = match self {
            Right::Panels(b) => [b.rows, b.columns],
            Right::Rows(b) => [b.rows, b.columns],
        };
        assert!(a.columns == depth, "the factors do not fit");
        assert!(
            out.len() == a.rows * columns,
            "the product does not fit into its place"
        );
        Arch::new().dispatch(Product {
            out,
            columns,
            add,
            a,
            b: self,
        });
    }
}

/// Floats of a vector.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

struct Product<'a> {
    out: &'a mut [f32],
    columns: usize,
    add: bool,
    a: Matrix<'a>,
    b: Right<'a>,
}

// All that follows is inlined into `with_simd`, which pulp compiles for several processors.

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let depth = self.a.columns;
        for first in (0..self.columns).step_by(VECTORS * S::F32_LANES) {
            let is_wide = self.columns - first > S::F32_LANES;
            match self.b {
                Right::Panels(b) => {
                    let (panel, _) = S::as_simd_f32s(&b.values[first * depth..]);
                    if is_wide {
                        let rows: &[[S::f32s; VECTORS]] = panel.as_chunks().0;
                        self.make_columns::<S, ROWS, VECTORS>(simd, first, &rows[..depth]);
                    } else {
                        let rows: &[[S::f32s; 1]] = panel.as_chunks().0;
                        self.make_columns::<S, ROWS_OF_ONE, 1>(simd, first, &rows[..depth]);
                    }
                }
                Right::Rows(b) => {
                    let rows = RowsFrom { simd, b, first };
                    if is_wide {
                        self.make_columns::<S, ROWS, VECTORS>(simd, first, rows);
                    } else {
                        self.make_columns::<S, ROWS_OF_ONE, 1>(simd, first, rows);
                    }
                }
            }
        }
    }
}

/// `V` vectors of every row of a right factor.
trait Vectors<S: Simd, const V: usize>: Copy {
    fn of_row(self, k: usize) -> [S::f32s; V];
}

impl<S: Simd, const V: usize> Vectors<S, V> for &[[S::f32s; V]] {
    #[inline(always)]
    fn of_row(self, k: usize) -> [S::f32s; V] {
        self[k]
    }
}

/// Those from column `first` on of whole rows.
#[derive(Clone, Copy)]
struct RowsFrom<'a, S> {
    simd: S,
    b: Matrix<'a>,
    first: usize,
}

impl<S: Simd, const V: usize> Vectors<S, V> for RowsFrom<'_, S> {
    #[inline(always)]
    fn of_row(self, k: usize) -> [S::f32s; V] {
        let row = &self.b.row(k)[self.first..];
        let mut vectors = [self.simd.splat_f32s(0.0); V];
        for (vector, values) in vectors.iter_mut().zip(row.chunks_exact(S::F32_LANES)) {
            *vector = load(self.simd, values);
        }
        vectors
    }
}

impl Product<'_> {
    /// Makes `V` vectors of every row, from column `first` on.
    #[inline(always)]
    fn make_columns<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        first: usize,
        b: impl Vectors<S, V>,
    ) {
        for top in (0..self.a.rows).step_by(R) {
            let sums = tile::<S, R, V>(simd, self.a, top, b);
            self.keep(simd, top, first, sums);
        }
    }

    /// Writes a tile into its place, or adds it to what is there.
    #[inline(always)]
    fn keep<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        top: usize,
        first: usize,
        sums: [[S::f32s; V]; R],
    ) {
        let end = self.columns.min(first + V * S::F32_LANES);
        let rows = self.out[top * self.columns..].chunks_exact_mut(self.columns);
        for (row, sums) in rows.zip(sums) {
            let vectors = row[first..end].chunks_mut(S::F32_LANES);
            for (out, sum) in vectors.zip(sums) {
                let sum = if self.add {
                    simd.add_f32s(load(simd, out), sum)
                } else {
                    sum
                };
                store(simd, out, sum);
            }
        }
    }
}

/// `R` rows of `V` vectors of `A B`, from row `top` on. What is beyond the last row repeats it.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    a: Matrix,
    top: usize,
    b: impl Vectors<S, V>,
) -> [[S::f32s; V]; R] {
    let mut rows = [0; R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = (top + r).min(a.rows - 1) * a.row_stride;
    }
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    // Neither sum below overflows where a value is; checks would cost as much as the products.
    let mut column: usize = 0;
    for k in 0..a.columns {
        let vectors = b.of_row(k);
        for (sums, row) in sums.iter_mut().zip(rows) {
            let factor = simd.splat_f32s(a.values[row.wrapping_add(column)]);
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = simd.mul_add_e_f32s(factor, vector, *sum);
            }
        }
        column = column.wrapping_add(a.column_stride);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7) % 13) as f32 - 6.0).collect()
    }

    fn by_hand(a: Matrix, b: Matrix) -> Vec<f32> {
        let at = |m: Matrix, i: usize, j: usize| m.values[i * m.row_stride + j * m.column_stride];
        let entry = |i, j| (0..a.columns).map(|k| at(a, i, k) * at(b, k, j)).sum();
        (0..a.rows)
            .flat_map(|i| (0..b.columns).map(move |j| (i, j)))
            .map(|(i, j)| entry(i, j))
            .collect()
    }

    #[test]
    fn products_are_exact_for_whole_numbers_whatever_the_shape() {
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 7),
            (40, 17, 33),
            (9, 64, 100),
            (70, 3, 32),
            (13, 8, 31),
            (5, 9, 48),
            (20, 33, 16),
        ] {
            let (a, b) = (values(m * k), values(k * n));
            let (at, bt) = (values(k * m), values(n * k));
            for a in [Matrix::new(&a, k), Matrix::new(&at, m).transposed()] {
                for b in [Matrix::new(&b, n), Matrix::new(&bt, k).transposed()] {
                    let expected = by_hand(a, b);
                    assert_eq!(product(a, b), expected, "{m} x {k} x {n}");
                    let panels = Panels::new(b);
                    assert_eq!(panels.product(a), expected, "{m} x {k} x {n}, panels");
                    let mut twice = expected.clone();
                    panels.accumulate(&mut twice, a);
                    assert!(twice.iter().zip(&expected).all(|(t, e)| *t == 2.0 * e));
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "do not fit")]
    fn factors_that_do_not_fit_are_refused() {
        let values = values(6);
        product(
            Matrix::new(&values, 2),
            Matrix::new(&values, 3).transposed(),
        );
    }
}
