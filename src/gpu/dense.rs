//! Small dense layers whole: a launch forward, a launch back.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::activation::{activate, differentiate};
use super::{Buffer, one_each};
use crate::activation::Activation;

/// Up to how many multiplications per product a unit for each result beats a product in tiles, on a
/// driver that computes on the CPU.
const MOST_MULTIPLICATIONS: usize = 1 << 16;

/// A dense layer at work on a batch.
pub(crate) struct Layer {
    /// `x`, `[batch, inputs]`.
    pub x: Buffer,
    /// `W`, `[inputs, outputs]`.
    pub weight: Buffer,
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub activation: Activation,
}

/// What a backward pass through one layer computes.
pub(crate) struct Gradients {
    /// `x^T dz`, `[inputs, outputs]`
    pub weight: Buffer,
    /// The sum of `dz` over the batch, `[outputs]`
    pub bias: Buffer,
    /// `dz W^T`, `[batch, inputs]`, if asked for
    pub input: Option<Buffer>,
}

impl Layer {
    /// Whether these kernels are the faster ones.
    pub fn is_small(batch: usize, inputs: usize, outputs: usize) -> bool {
        batch * inputs * outputs <= MOST_MULTIPLICATIONS
    }

    /// `h = a(x W + b)`, `[batch, outputs]`.
    pub fn forward(&self, bias: Option<&Buffer>) -> Buffer {
        let h = self.x.new_beside([self.batch, self.outputs]);
        let (count, dim) = one_each(self.x.client(), h.len());
        // SAFETY: every index is that of a row and a column of its matrix.
        unsafe {
            forward_kernel::launch_unchecked(
                self.x.client(),
                count,
                dim,
                self.x.arg(),
                self.weight.arg(),
                bias.map(Buffer::arg).into(),
                h.arg(),
                self.inputs,
                self.outputs,
                self.activation,
            );
        };
        h
    }

    /// The gradients of `<h, delta>`.
    pub fn backward(&self, h: &Buffer, delta: &Buffer, wants_input: bool) -> Gradients {
        let weight = self.x.new_beside([self.inputs, self.outputs]);
        let bias = self.x.new_beside([self.outputs]);
        let input = wants_input.then(|| self.x.new_beside([self.batch, self.inputs]));
        let units = weight.len() + bias.len() + input.as_ref().map_or(0, Buffer::len);
        let (count, dim) = one_each(self.x.client(), units);
        // SAFETY: every index is that of a row and a column of its matrix.
        unsafe {
            backward_kernel::launch_unchecked(
                self.x.client(),
                count,
                dim,
                self.x.arg(),
                self.weight.arg(),
                h.arg(),
                delta.arg(),
                weight.arg(),
                bias.arg(),
                input.as_ref().map(Buffer::arg).into(),
                self.batch,
                self.inputs,
                self.outputs,
                self.activation,
            );
        };
        Gradients {
            weight,
            bias,
            input,
        }
    }
}

/// One unit for each of `h`.
#[cube(launch_unchecked)]
fn forward_kernel(
    x: &[f32],
    weight: &[f32],
    bias: ComptimeOption<Box<[f32]>>,
    h: &mut [f32],
    inputs: usize,
    outputs: usize,
    #[comptime] activation: Activation,
) {
    if ABSOLUTE_POS >= h.len() {
        terminate!();
    }
    let row = ABSOLUTE_POS / outputs;
    let column = ABSOLUTE_POS % outputs;
    let mut z = 0.0f32;
    for k in 0..inputs {
        z += x[row * inputs + k] * weight[k * outputs + column];
    }
    #[comptime]
    if let ComptimeOption::Some(bias) = bias {
        z += bias[column];
    }
    h[ABSOLUTE_POS] = activate(z, activation);
}

/// One unit for each number of the gradients, one gradient after the other.
#[cube(launch_unchecked)]
fn backward_kernel(
    x: &[f32],
    weight: &[f32],
    h: &[f32],
    delta: &[f32],
    of_weight: &mut [f32],
    of_bias: &mut [f32],
    of_input: ComptimeOption<Box<[f32]>>,
    batch: usize,
    inputs: usize,
    outputs: usize,
    #[comptime] activation: Activation,
) {
    let after_weight = inputs * outputs;
    let after_bias = after_weight + outputs;
    let mut sum = 0.0f32;
    if ABSOLUTE_POS < after_weight {
        let i = ABSOLUTE_POS / outputs;
        let j = ABSOLUTE_POS % outputs;
        for row in 0..batch {
            let at = row * outputs + j;
            sum += x[row * inputs + i] * differentiate(h[at], delta[at], activation);
        }
        of_weight[ABSOLUTE_POS] = sum;
    } else if ABSOLUTE_POS < after_bias {
        let j = ABSOLUTE_POS - after_weight;
        for row in 0..batch {
            let at = row * outputs + j;
            sum += differentiate(h[at], delta[at], activation);
        }
        of_bias[j] = sum;
    } else {
        #[comptime]
        if let ComptimeOption::Some(mut of_input) = of_input {
            let input = ABSOLUTE_POS - after_bias;
            if input < batch * inputs {
                let row = input / inputs;
                let i = input % inputs;
                for j in 0..outputs {
                    let at = row * outputs + j;
                    sum += differentiate(h[at], delta[at], activation) * weight[i * outputs + j];
                }
                of_input[input] = sum;
            }
        }
    }
}
