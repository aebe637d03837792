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

    /// At most `count` rows, from `first` on.
    fn rows_from(self, first: usize, count: usize) -> Self {
        Self {
            values: &self.values[first * self.row_stride..],
            rows: count.min(self.rows - first),
            ..self
        }
    }
}

/// The transpose of a matrix that lies row after row, with `columns` columns, as one that does, too.
///
/// For a right factor that is used more than once: `gemm` takes as long to gather columns as it
/// does to multiply them with 64 rows.
pub(crate) fn transpose(values: &[f32], columns: usize) -> Vec<f32> {
    // Squares that stay in the cache.
    const SIDE: usize = 16;
    let rows = values.len() / columns;
    let mut out = vec![0.0; values.len()];
    for first_column in (0..columns).step_by(SIDE) {
        for first_row in (0..rows).step_by(SIDE) {
            for column in first_column..(first_column + SIDE).min(columns) {
                for row in first_row..(first_row + SIDE).min(rows) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    out
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
    on_all_threads(&mut out, false, a, b);
    out
}

/// `out <- out + A B`. With several kernel threads each makes some of the rows.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn accumulate(out: &mut [f32], a: Matrix, b: Matrix) {
    on_all_threads(out, true, a, b);
}

fn on_all_threads(out: &mut [f32], add: bool, a: Matrix, b: Matrix) {
    let rows = a.rows.div_ceil(rayon::current_num_threads()).max(1);
    if rows >= a.rows {
        multiply(out, add, a, b);
    } else {
        out.par_chunks_mut(rows * b.columns)
            .enumerate()
            .for_each(|(i, out)| multiply(out, add, a.rows_from(i * rows, rows), b));
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
    assert!(
        out.len() == a.rows * b.columns,
        "the product does not fit into its place"
    );
    let panel = panel_width();
    for start in (0..b.columns).step_by(panel) {
        let width = panel.min(b.columns - start);
        let right = &b.values[start * b.column_stride..];
        let [stride, one] = [b.columns, 1].map(isize::try_from).map(strided);
        let [a_rows, a_columns] = [a.row_stride, a.column_stride]
            .map(isize::try_from)
            .map(strided);
        let [b_rows, b_columns] = [b.row_stride, b.column_stride]
            .map(isize::try_from)
            .map(strided);
        // SAFETY: the slices hold `rows x depth`, `depth x width` and, from the panel's first
        // column on, `rows x width` values at these strides, and `out` is ours alone.
        unsafe {
            gemm::gemm(
                a.rows,
                width,
                a.columns,
                out[start..].as_mut_ptr(),
                one,
                stride,
                add,
                a.values.as_ptr(),
                a_columns,
                a_rows,
                right.as_ptr(),
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
                    assert_eq!(product(a, b), by_hand(a, b), "{m} x {k} x {n}");
                }
            }
        }
    }

    #[test]
    fn a_transpose_has_columns_for_rows() {
        for (rows, columns) in [(1, 5), (33, 16), (17, 40)] {
            let matrix = values(rows * columns);
            let transposed = transpose(&matrix, columns);
            for (i, value) in transposed.iter().enumerate() {
                assert_eq!(*value, matrix[i % rows * columns + i / rows]);
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
