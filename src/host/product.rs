//! Products of matrices in host memory, by the `gemm` crate.
//!
//! It reaches over nine tenths of what a core can multiply, in whatever vector instructions the
//! processor has (`benches/product`). Only a right factor of whole columns it turns around slowly,
//! so that is laid out here first.

use gemm::Parallelism;
use rayon::prelude::*;

use super::SHARE;

/// A matrix in host memory: rows that lie one after the other, or the transpose of such.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Whether the values lie column after column.
    is_transposed: bool,
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
            is_transposed: false,
        }
    }

    /// The transpose of the matrix, which moves nothing.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            is_transposed: !self.is_transposed,
            ..self
        }
    }

    /// Its values, row after row.
    pub fn to_rows(self) -> Vec<f32> {
        if self.is_transposed {
            transpose(self.values, self.rows)
        } else {
            self.values.to_vec()
        }
    }

    /// From a column to the next, and from a row to the next.
    fn strides(self) -> [isize; 2] {
        // Slices are never longer than `isize::MAX`.
        let strides = if self.is_transposed {
            [self.rows, 1]
        } else {
            [1, self.columns]
        };
        strides.map(|stride| stride as isize)
    }
}

/// A matrix whose rows are `width` long, column after column.
fn transpose(values: &[f32], width: usize) -> Vec<f32> {
    /// So many columns at a time: their values are then next to each other in every row.
    const COLUMNS: usize = 4;
    /// So many rows at a time as stay in the cache with all of them.
    const ROWS: usize = 128;
    let height = values.len() / width;
    let mut out = vec![0.0; values.len()];
    let turn = |(i, out): (usize, &mut [f32])| {
        let columns = i * COLUMNS..(i * COLUMNS + COLUMNS).min(width);
        for (rows, first) in values.chunks(ROWS * width).zip((0..height).step_by(ROWS)) {
            for (out, column) in out.chunks_exact_mut(height).zip(columns.clone()) {
                let row = rows.chunks_exact(width);
                for (out, row) in out[first..].iter_mut().zip(row) {
                    *out = row[column];
                }
            }
        }
    };
    let columns = out.par_chunks_mut((COLUMNS * height).max(1)).enumerate();
    columns
        .with_min_len(SHARE.div_ceil(COLUMNS * height.max(1)))
        .for_each(turn);
    out
}

/// `A B`, row after row, on all kernel threads.
///
/// # Panics
///
/// If `A` has not as many columns as `B` has rows.
pub fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    let mut out = vec![0.0; a.rows * b.columns];
    multiply(&mut out, false, a, b, kernel_threads());
    out
}

/// `out <- out + A B`, on all kernel threads.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn accumulate(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out, true, a, b, kernel_threads());
}

/// `out <- A B`, on this thread.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn write_product(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out, false, a, b, Parallelism::None);
}

/// `out <- out + A B`, on this thread.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn add_product(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out, true, a, b, Parallelism::None);
}

fn kernel_threads() -> Parallelism {
    match rayon::current_num_threads() {
        1 => Parallelism::None,
        threads => Parallelism::Rayon(threads),
    }
}

/// `out <- A B`, or that added to what is there.
fn multiply(out: &mut [f32], add: bool, a: Matrix, b: Matrix, threads: Parallelism) {
    /// Fewer rows of `A` do not pay for a layout of `B`.
    const FEW: usize = 8;
    if b.is_transposed && a.rows >= FEW {
        let rows = b.to_rows();
        return multiply(out, add, a, Matrix::new(&rows, b.columns), threads);
    }
    assert!(a.columns == b.rows, "the factors do not fit");
    assert!(
        out.len() == a.rows * b.columns,
        "the product does not fit into its place"
    );
    let ([a_column, a_row], [b_column, b_row]) = (a.strides(), b.strides());
    // SAFETY: all three matrices lie in slices that are as long as their sizes and strides say:
    // `out` by the assertion above, the factors because `Matrix::new` alone makes them.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            b.columns as isize,
            add,
            a.values.as_ptr(),
            a_column,
            a_row,
            b.values.as_ptr(),
            b_column,
            b_row,
            1.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7) % 13) as f32 - 6.0).collect()
    }

    fn by_hand(a: Matrix, b: Matrix) -> Vec<f32> {
        let at = |m: Matrix, i: usize, j: usize| {
            let [column, row] = m.strides().map(isize::unsigned_abs);
            m.values[i * row + j * column]
        };
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
                    let mut twice = expected.clone();
                    accumulate(&mut twice, a, b);
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
