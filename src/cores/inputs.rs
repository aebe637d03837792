//! What inputs send into a core, `x W`, and the gradient of `W`. A token stands for its one-hot `x`: it
//! sends a row of `W`, which nobody has to multiply.

use burn::tensor::{IndexingUpdateOp, Tensor, assert_shape};

use crate::batch::{Data, bounded};
use crate::host::Values;
use crate::host::product::{self, Matrix};
use crate::host::sparse;

/// `x W`: numbers `[rows, inputs]` or tokens `[rows, 1]` by `[inputs, columns]`. A token that the
/// weights do not have sends NaN, if it is not refused.
pub(super) fn sent(x: Data, weight: Tensor<2>) -> Tensor<2> {
    match x {
        Data::Numbers(x) => x.matmul(weight),
        Data::Integers(tokens) => {
            let [inputs, columns] = weight.dims();
            let (tokens, unknown) = bounded(tokens, inputs, |token| unknown_token(token, inputs));
            let [rows, _] = tokens.dims();
            let sent = weight.select(0, tokens.squeeze_dim(1));
            match unknown {
                Some(unknown) => sent.mask_fill(unknown.expand([rows, columns]), f32::NAN),
                None => sent,
            }
        }
    }
}

/// What is said of a token that is refused.
fn unknown_token(token: i64, inputs: usize) -> String {
    format!("token {token} is none of the {inputs} that this core knows, from 0 on")
}

/// `x^T dz`, `[inputs, columns]`, for `dz` of `[rows, columns]`.
pub(super) fn gradient(x: Data, dz: Tensor<2>, inputs: usize) -> Tensor<2> {
    match x {
        Data::Numbers(x) => x.transpose().matmul(dz),
        Data::Integers(tokens) => {
            let [_, columns] = dz.dims();
            let (tokens, _) = bounded(tokens, inputs, |token| unknown_token(token, inputs));
            let zeros = Tensor::zeros([inputs, columns], &dz.device());
            zeros.select_assign(0, tokens.squeeze_dim(1), dz, IndexingUpdateOp::Add)
        }
    }
}

/// Inputs in host memory, row after row.
pub(super) struct HostInputs {
    /// What a core takes at a step.
    inputs: usize,
    rows: Rows,
}

enum Rows {
    Numbers(Values),
    /// Where in each row the one is.
    Tokens(Vec<usize>),
}

impl HostInputs {
    /// Numbers `[rows, inputs]`, or tokens below `inputs`.
    ///
    /// # Panics
    ///
    /// If the numbers are more or fewer, or a token is not below `inputs`.
    pub fn of(x: Data, inputs: usize) -> Self {
        let rows = match x {
            Data::Numbers(x) => {
                let [rows, _] = x.dims();
                assert_shape!(x, [rows, inputs]);
                Rows::Numbers(Values::of(x))
            }
            Data::Integers(tokens) => {
                let place = |token: i64| {
                    let place = usize::try_from(token).ok().filter(|&place| place < inputs);
                    place.unwrap_or_else(|| panic!("{}", unknown_token(token, inputs)))
                };
                Rows::Tokens(tokens.into_data().iter::<i64>().map(place).collect())
            }
        };
        Self { inputs, rows }
    }

    /// Whether they have a gradient.
    pub fn are_numbers(&self) -> bool {
        matches!(self.rows, Rows::Numbers(_))
    }

    /// `b + x W`, for every row.
    pub fn sent(&self, weight: &[f32], bias: &[f32]) -> Vec<f32> {
        match &self.rows {
            Rows::Numbers(x) => {
                let x = x.as_slice();
                let mut sent = bias.repeat(x.len() / self.inputs);
                match sparse::is_sparse(x) {
                    true => sparse::accumulate(&mut sent, x, self.inputs, weight),
                    false => product::accumulate(
                        &mut sent,
                        Matrix::new(x, self.inputs),
                        Matrix::new(weight, bias.len()),
                    ),
                }
                sent
            }
            Rows::Tokens(places) => {
                let mut sent = bias.repeat(places.len());
                sparse::accumulate_rows(&mut sent, places, weight);
                sent
            }
        }
    }

    /// `x^T dz`, `[inputs, columns]`, for rows `dz` of so many columns.
    pub fn gradient(&self, dz: &[f32], columns: usize) -> Vec<f32> {
        match &self.rows {
            Rows::Numbers(x) if sparse::is_sparse(x.as_slice()) => {
                sparse::transposed_product(x.as_slice(), self.inputs, dz)
            }
            Rows::Numbers(x) => {
                let x = Matrix::new(x.as_slice(), self.inputs);
                product::product(x.transposed(), Matrix::new(dz, columns))
            }
            Rows::Tokens(places) => sparse::transposed_rows(places, self.inputs, dz),
        }
    }
}
