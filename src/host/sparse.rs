//! Products with a left factor that is mostly zero, as one-hot characters are: rows of the other
//! factor, added up. Where the left factor is known to be one-hot, the places of the ones are enough.

use pulp::{Simd, WithSimd};

use super::instructions::vectorized;

/// Whether it is cheaper to pick rows than to multiply all.
pub(crate) fn is_sparse(values: &[f32]) -> bool {
    let entries = vectorized(
        #[inline(always)]
        || values.iter().filter(|&&value| value != 0.0).count(),
    );
    entries * 8 <= values.len()
}

/// `out <- out + A B` for `A` of `inputs` columns, row after row.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn accumulate(out: &mut [f32], a: &[f32], inputs: usize, b: &[f32]) {
    let columns = out.len() / (a.len() / inputs);
    assert!(b.len() == inputs * columns, "the factors do not fit");
    for (out, a) in out.chunks_exact_mut(columns).zip(a.chunks_exact(inputs)) {
        for (k, entry) in entries(a) {
            add_row(out, entry, &b[k * columns..(k + 1) * columns]);
        }
    }
}

/// `A^T B` for `A` of `inputs` columns, row after row.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn transposed_product(a: &[f32], inputs: usize, b: &[f32]) -> Vec<f32> {
    let columns = b.len() / (a.len() / inputs);
    let mut out = vec![0.0; inputs * columns];
    accumulate_transposed(&mut out, a, inputs, b);
    out
}

/// `out <- out + A^T B` for `A` of `inputs` columns, row after row.
///
/// # Panics
///
/// If the sizes do not fit.
pub(crate) fn accumulate_transposed(out: &mut [f32], a: &[f32], inputs: usize, b: &[f32]) {
    let columns = b.len() / (a.len() / inputs);
    assert!(
        out.len() == inputs * columns,
        "the product does not fit into its place"
    );
    for (a, b) in a.chunks_exact(inputs).zip(b.chunks_exact(columns)) {
        for (k, entry) in entries(a) {
            add_row(&mut out[k * columns..(k + 1) * columns], entry, b);
        }
    }
}

/// `out <- out + A B` for one-hot rows of `A`, of which only the places of the ones are given.
///
/// # Panics
///
/// If the sizes do not fit, or `B` has no such row.
pub(crate) fn accumulate_rows(out: &mut [f32], places: &[usize], b: &[f32]) {
    let columns = out.len() / places.len();
    for (out, &k) in out.chunks_exact_mut(columns).zip(places) {
        add_row(out, 1.0, &b[k * columns..(k + 1) * columns]);
    }
}

/// `A^T B` for one-hot rows of `A`, of `inputs` columns, of which only the places of the ones are
/// given.
///
/// # Panics
///
/// If the sizes do not fit, or `A` has no such column.
pub(crate) fn transposed_rows(places: &[usize], inputs: usize, b: &[f32]) -> Vec<f32> {
    let columns = b.len() / places.len();
    let mut out = vec![0.0; inputs * columns];
    for (&k, b) in places.iter().zip(b.chunks_exact(columns)) {
        add_row(&mut out[k * columns..(k + 1) * columns], 1.0, b);
    }
    out
}

/// What is not zero, with its place.
fn entries(row: &[f32]) -> impl Iterator<Item = (usize, f32)> {
    let entries = row.iter().copied().enumerate();
    entries.filter(|&(_, value)| value != 0.0)
}

/// `out <- out + factor row`
fn add_row(out: &mut [f32], factor: f32, row: &[f32]) {
    vectorized(AddRow { out, factor, row });
}

struct AddRow<'a> {
    out: &'a mut [f32],
    factor: f32,
    row: &'a [f32],
}

impl WithSimd for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (out, row) in self.out.iter_mut().zip(self.row) {
            *out = self.factor.mul_add(*row, *out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::instructions::tests::in_all_instructions;
    use crate::host::product::{self, Matrix};

    /// `rows x columns` whole numbers, one in `every` not zero.
    fn values(rows: usize, columns: usize, every: usize) -> Vec<f32> {
        let value = |i: usize| match i % every {
            0 => (i % 7) as f32 - 3.0,
            _ => 0.0,
        };
        (0..rows * columns).map(value).collect()
    }

    #[test]
    fn products_are_those_of_full_matrices() {
        in_all_instructions(|_| check_products());
    }

    fn check_products() {
        let (rows, inputs, columns) = (9, 20, 33);
        let (a, b) = (values(rows, inputs, 11), values(inputs, columns, 1));
        let dz = values(rows, columns, 1);
        let mut out = dz.clone();
        accumulate(&mut out, &a, inputs, &b);
        let mut expected = dz.clone();
        let a_matrix = Matrix::new(&a, inputs);
        product::accumulate(&mut expected, a_matrix, Matrix::new(&b, columns));
        assert_eq!(out, expected);
        assert_eq!(
            transposed_product(&a, inputs, &dz),
            product::product(a_matrix.transposed(), Matrix::new(&dz, columns))
        );
    }

    #[test]
    fn places_of_ones_are_one_hot_rows() {
        in_all_instructions(|_| check_places());
    }

    fn check_places() {
        let (places, inputs, columns) = ([3, 0, 3, 11], 12, 33);
        let mut a = vec![0.0; places.len() * inputs];
        for (row, place) in a.chunks_exact_mut(inputs).zip(places) {
            row[place] = 1.0;
        }
        let thirds = |i: usize| i as f32 / 3.0;
        let b: Vec<f32> = (0..inputs * columns).map(thirds).collect();
        let dz: Vec<f32> = (0..places.len() * columns).map(thirds).collect();
        let [mut by_places, mut by_rows] = [dz.clone(), dz.clone()];
        accumulate_rows(&mut by_places, &places, &b);
        accumulate(&mut by_rows, &a, inputs, &b);
        assert_eq!(by_places, by_rows);
        assert_eq!(
            transposed_rows(&places, inputs, &dz),
            transposed_product(&a, inputs, &dz)
        );
    }

    #[test]
    fn only_what_is_mostly_zero_is_sparse() {
        assert!(is_sparse(&values(4, 16, 8)));
        assert!(!is_sparse(&values(4, 16, 3)));
    }
}
