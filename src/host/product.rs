//! Products of matrices, by the `gemm` crate.
//!
//! It is the library that the tensor backend uses. With AVX-512 its widest kernel, which it takes
//! for results of more than 48 columns, reaches half the speed of the next narrower one; so there
//! results are made in panels that the narrower one is right for.

use std::sync::OnceLock;

use rayon::prelude::*;

/// A matrix in host memory.
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

    /// Its columns, as many at once as the kernel makes of a result.
    fn panels(self) -> impl Iterator<Item = Self> {
        let width = panel_width();
        (0..self.columns).step_by(width).map(move |first| Self {
            values: &self.values[first * self.column_stride..],
            columns: width.min(self.columns - first),
            ..self
        })
    }

    /// Its values, row after row.
    fn write_to(self, out: &mut [f32]) {
        if self.column_stride == 1 {
            let rows = self.values.chunks(self.row_stride);
            for (out, row) in out.chunks_exact_mut(self.columns).zip(rows) {
                out.copy_from_slice(&row[..self.columns]);
            }
            return;
        }
        // So many rows of a panel as stay in the cache until they are whole.
        const ROWS: usize = 128;
        for (i, out) in out.chunks_mut(ROWS * self.columns).enumerate() {
            let first = &self.values[i * ROWS * self.row_stride..];
            for column in 0..self.columns {
                let from = first[column * self.column_stride..].iter();
                let rows = out.chunks_exact_mut(self.columns);
                for (row, value) in rows.zip(from.step_by(self.row_stride)) {
                    row[column] = *value;
                }
            }
        }
    }

    /// The distances of rows and of columns.
    fn strides(self) -> [isize; 2] {
        [self.row_stride, self.column_stride]
            .map(isize::try_from)
            .map(strided)
    }

    /// At most `count` rows, from `first` on.
    fn rows_from(self, first: usize, count: usize) -> Self {
        Self {
            values: &self.values[first * self.row_stride..],
            rows: count.min(self.rows - first),
            ..self
        }
    }
}

/// A right factor for several products, laid out once as the kernel reads it. A product with few
/// rows would take as long to lay it out as to multiply with it.
pub(crate) struct Panels {
    /// Panel after panel, each row after row.
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// The factor `B`.
    pub fn new(b: Matrix) -> Self {
        let mut values = vec![0.0; b.rows * b.columns];
        let mut rest = &mut values[..];
        for panel in b.panels() {
            let (out, after) = rest.split_at_mut(b.rows * panel.columns);
            panel.write_to(out);
            rest = after;
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
        on_all_threads(&mut out, a, |out, a| self.multiply(out, false, a));
        out
    }

    /// `out <- out + A B`.
    ///
    /// # Panics
    ///
    /// If the sizes do not fit.
    pub fn accumulate(&self, out: &mut [f32], a: Matrix) {
        on_all_threads(out, a, |out, a| self.multiply(out, true, a));
    }

    fn multiply(&self, out: &mut [f32], add: bool, a: Matrix) {
        // So many rows `gemm` multiplies without laying the factor out itself.
        const ROWS: usize = 48;
        assert!(a.columns == self.rows, "the factors do not fit");
        assert_fits(out, a, self.columns);
        let mut start = 0;
        while start < self.columns {
            let width = panel_width().min(self.columns - start);
            let values = &self.values[start * self.rows..(start + width) * self.rows];
            let panel = Matrix::new(values, width);
            for first in (0..a.rows).step_by(ROWS) {
                let out = &mut out[first * self.columns + start..];
                multiply_panel(out, self.columns, add, a.rows_from(first, ROWS), panel);
            }
            start += width;
        }
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
    on_all_threads(&mut out, a, |out, a| multiply(out, false, a, b));
    out
}

/// `out <- out + A B`. With several kernel threads each makes some of the rows.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn accumulate(out: &mut [f32], a: Matrix, b: Matrix) {
    on_all_threads(out, a, |out, a| multiply(out, true, a, b));
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

/// `out <- A B`, on this thread.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn write_product(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out, false, a, b);
}

/// `out <- out + A B`, on this thread.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn add_product(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out, true, a, b);
}

/// `out <- A B`, or that added to `out`.
fn multiply(out: &mut [f32], add: bool, a: Matrix, b: Matrix) {
    assert!(a.columns == b.rows, "the factors do not fit");
    assert_fits(out, a, b.columns);
    let mut start = 0;
    for panel in b.panels() {
        multiply_panel(&mut out[start..], b.columns, add, a, panel);
        start += panel.columns;
    }
}

fn assert_fits(out: &[f32], a: Matrix, columns: usize) {
    assert!(
        out.len() == a.rows * columns,
        "the product does not fit into its place"
    );
}

/// Some columns of a product, of which `out` has the first and whose rows are `stride` apart.
fn multiply_panel(out: &mut [f32], stride: usize, add: bool, a: Matrix, b: Matrix) {
    assert!(a.columns == b.rows && out.len() + stride >= a.rows * stride + b.columns);
    let [stride, one] = [stride, 1].map(isize::try_from).map(strided);
    let [a_rows, a_columns] = a.strides();
    let [b_rows, b_columns] = b.strides();
    // SAFETY: the slices hold `rows x depth`, `depth x columns` and `rows x columns` values at
    // these strides, and `out` is ours alone.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            one,
            stride,
            add,
            a.values.as_ptr(),
            a_columns,
            a_rows,
            b.values.as_ptr(),
            b_columns,
            b_rows,
            if add { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

fn strided(stride: Result<isize, std::num::TryFromIntError>) -> isize {
    stride.expect("a slice is never longer than that")
}

/// Columns of a result that are made at once.
fn panel_width() -> usize {
    static WIDTH: OnceLock<usize> = OnceLock::new();
    *WIDTH.get_or_init(|| {
        // Two vectors.
        if has_avx512() { 32 } else { usize::MAX }
    })
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_avx512() -> bool {
    std::is_x86_feature_detected!("avx512f")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn has_avx512() -> bool {
    false
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
