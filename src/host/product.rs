//! Products of matrices in host memory, by the `gemm` crate.
//!
//! It runs in whatever vector instructions the processor has; `benches/product` holds it against what
//! a core can multiply. Only where few rows multiply a transpose it takes long, so
//! these are turned around here.

use std::ops::Range;

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
    let mut out = vec![0.0; values.len()];
    write_transpose(&mut out, values, width);
    out
}

/// The same, into its place, on all kernel threads.
fn write_transpose(out: &mut [f32], values: &[f32], width: usize) {
    let height = values.len() / width;
    out.par_chunks_mut((SIDE * height).max(1))
        .enumerate()
        .with_min_len(SHARE.div_ceil(SIDE * height.max(1)))
        .for_each(|(i, out)| write_columns(values, width, i * SIDE, out));
}

/// Rows and columns of the square that is turned around at a time: a cache line.
const SIDE: usize = 16;

/// Writes at most [`SIDE`] columns of a matrix, from `first` on, one after the other.
///
/// A square at a time goes through a copy, so that every cache line is read and written once: those
/// of matrices whose width is a power of two keep each other out of the cache.
fn write_columns(values: &[f32], width: usize, first: usize, out: &mut [f32]) {
    let height = values.len() / width;
    let mut square = [[0.0; SIDE]; SIDE];
    for (i, rows) in values.chunks(SIDE * width).enumerate() {
        let rows = rows.chunks_exact(width);
        let count = rows.len();
        for (copy, row) in square.iter_mut().zip(rows) {
            match row[first..].first_chunk() {
                Some(whole) => *copy = *whole,
                None => copy[..width - first].copy_from_slice(&row[first..]),
            }
        }
        for (j, out) in out.chunks_exact_mut(height).enumerate() {
            let column: [f32; SIDE] = std::array::from_fn(|r| square[r][j]);
            out[i * SIDE..][..count].copy_from_slice(&column[..count]);
        }
    }
}

/// `A B`, row after row, on all kernel threads.
///
/// # Panics
///
/// If `A` has not as many columns as `B` has rows.
pub fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    let mut out = vec![0.0; a.rows * b.columns];
    multiply(&mut out, false, a, b, rayon::current_num_threads());
    out
}

/// `out <- out + A B`, on all kernel threads.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn accumulate(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out, true, a, b, rayon::current_num_threads());
}

/// `out <- A B`, on this thread.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn write_product(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out, false, a, b, 1);
}

/// `out <- out + A B`, on this thread.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn add_product(out: &mut [f32], a: Matrix, b: Matrix) {
    multiply(out, true, a, b, 1);
}

/// `out <- A B`, or that added to what is there.
fn multiply(out: &mut [f32], add: bool, a: Matrix, b: Matrix, threads: usize) {
    /// So few rows of `A` that `gemm` takes longer over laying out `B^T` than over the product, if
    /// it is as large as this.
    const FEW: usize = 128;
    const LARGE: usize = 1 << 12;
    if add || !b.is_transposed || a.rows > FEW || b.values.len() < LARGE {
        return gemm(out, add, a, b, threads);
    }
    // A B = (B^T A^T)^T, where all that is turned around is the result.
    let mut turned = vec![0.0; out.len()];
    gemm(&mut turned, false, b.transposed(), a.transposed(), threads);
    write_transpose(out, &turned, a.rows);
}

/// The same with both factors read as they lie. Each thread makes some of the columns, so that none
/// lays out what another does; `gemm`'s own threads gain less.
fn gemm(out: &mut [f32], add: bool, a: Matrix, b: Matrix, threads: usize) {
    /// So many multiplications are worth another thread.
    const MANY: usize = 1 << 19;
    /// Columns come in cache lines.
    const LINE: usize = 16;
    assert!(a.columns == b.rows, "the factors do not fit");
    assert!(
        out.len() == a.rows * b.columns,
        "the product does not fit into its place"
    );
    let shares = threads.min(out.len() * a.columns / MANY).max(1);
    let width = b.columns.div_ceil(shares).next_multiple_of(LINE);
    let out = Out(out.as_mut_ptr());
    let firsts: Vec<usize> = (0..b.columns).step_by(width).collect();
    firsts.into_par_iter().for_each(|first| {
        let columns = first..b.columns.min(first + width);
        // SAFETY: the matrices lie in slices that are as long as their sizes and strides say, `out`
        // by the assertion above and the factors because `Matrix::new` alone makes them; `out` is
        // borrowed until all shares are done, and no two of them have a column in common.
        unsafe { out.write_columns(add, a, b, columns) }
    });
}

/// Where a product goes, row after row, for several threads.
struct Out(*mut f32);

// SAFETY: threads only call `write_columns`, whose callers keep them apart.
unsafe impl Sync for Out {}

impl Out {
    /// Some columns of `A B`, written or added.
    ///
    /// # Safety
    ///
    /// `self` points to the values of a matrix of as many rows as `A` and columns as `B`, which has
    /// these columns and as many rows as `A` has columns; nobody else reads or writes them.
    unsafe fn write_columns(&self, add: bool, a: Matrix, b: Matrix, columns: Range<usize>) {
        let ([a_column, a_row], [b_column, b_row]) = (a.strides(), b.strides());
        let first = columns.start as isize;
        // SAFETY: as this function's.
        unsafe {
            gemm::gemm(
                a.rows,
                columns.len(),
                a.columns,
                self.0.offset(first),
                1,
                b.columns as isize,
                add,
                a.values.as_ptr(),
                a_column,
                a_row,
                b.values.as_ptr().offset(first * b_column),
                b_column,
                b_row,
                1.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::instructions::tests::in_all_instructions;

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
        in_all_instructions(|_| check_products());
    }

    fn check_products() {
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 7),
            (40, 17, 33),
            (9, 64, 100),
            (70, 3, 32),
            (13, 8, 31),
            (5, 9, 48),
            (20, 33, 16),
            // Enough for several threads.
            (130, 70, 150),
            // Few rows of a large transpose.
            (20, 100, 80),
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
