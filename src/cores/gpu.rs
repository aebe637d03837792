//! The LSTM on a graphics adapter.

use burn::tensor::{Tensor, assert_shape};

use super::inputs::{gradient, sent};
use super::{Arrived, Deltas, Lstm, Sequence, Tick, Unrolled, View};
use crate::batch::Data;
use crate::gpu::lstm::{self, Steps};
use crate::gpu::product::product;
use crate::gpu::{Buffer, finish};

impl Lstm {
    pub(super) fn gpu_view(&self, state: Tensor<2>) -> View {
        let [message, slope] = lstm::view(&Buffer::of(state), self.units());
        View {
            message: message.into_tensor(),
            slope: Some(slope.into_tensor()),
        }
    }

    pub(super) fn gpu_step(&self, input: Data, state: Tensor<2>) -> Tick {
        let batch = input.examples();
        let steps = self.gpu_steps(input, [1, batch], None, state);
        Tick {
            state: steps.state(0),
            output: steps
                .outputs
                .into_tensor::<3>()
                .reshape([batch, self.units()]),
        }
    }

    /// What the inputs send into the gates is one product for all steps, and so are the gradients of
    /// both weights.
    pub(super) fn gpu_unroll(&self, sequence: &Sequence, state: Tensor<2>) -> Unrolled {
        let ([count, batch], inputs, units) = (sequence.dims(), self.inputs(), self.units());
        let x = sequence.inputs.clone().into_rows();
        let keep_mask = sequence.keep_mask.clone();
        let steps = self.gpu_steps(x.clone(), [count, batch], keep_mask, state);
        let states = [steps.state(0), steps.state(1)];
        let outputs = steps.outputs.clone().into_tensor();

        let [input_weight, state_weight] =
            [&self.input_weight, &self.state_weight].map(|weight| weight.val().inner());
        let ids = [self.input_weight.id, self.state_weight.id, self.bias.id];
        Unrolled::new(outputs, states, move |deltas, wants_inputs, parameters| {
            let Deltas {
                outputs,
                first,
                last,
            } = deltas;
            let deltas = lstm::Deltas {
                outputs: Buffer::of(outputs),
                first: first.map(Buffer::of),
                last: last.map(Buffer::of),
            };
            let dc = steps.gates.new_beside([batch, units]);
            let mut dh = None;
            for t in (0..count).rev() {
                steps.backward(t, &deltas, dh.as_ref(), &dc);
                let dz = rows(&steps.gates, [count, batch, 4 * units], t);
                dh = Some(Buffer::of(product(dz, state_weight.clone().transpose())));
            }
            let dh = dh.expect("a window has a step");
            let dz = steps.gates.clone().into_tensor::<3>();
            let dz = dz.reshape([count * batch, 4 * units]);
            let h = rows_up_to(&steps.h, [count + 1, batch, units], count);
            let sums = finish::column_sums(&Buffer::of(dz.clone()), 4 * units);
            let are_numbers = x.numbers().is_some();
            let of_inputs = match x {
                Data::Numbers(x) => product(x.transpose(), dz.clone()),
                tokens => gradient(tokens, dz.clone(), inputs),
            };
            parameters.register(ids[0], of_inputs);
            parameters.register(ids[1], product(h.transpose(), dz.clone()));
            parameters.register(ids[2], sums.into_tensor::<1>());
            Arrived {
                state: steps.arrived(&dh, &dc).into_tensor(),
                // dL/dx_t = dz_t W^T, one product for all steps.
                inputs: (wants_inputs && are_numbers).then(|| {
                    let delta = product(dz, input_weight.transpose());
                    delta.reshape([count, batch, inputs])
                }),
            }
        })
    }

    /// All steps forward, from the inputs of all of them, one below the other.
    fn gpu_steps(
        &self,
        x: Data,
        [count, batch]: [usize; 2],
        keep_mask: Option<Tensor<2>>,
        state: Tensor<2>,
    ) -> Steps {
        let units = self.units();
        assert_shape!(state, [batch, 2 * units]);
        assert!(count > 0, "a window needs a step");
        let [input_weight, state_weight] =
            [&self.input_weight, &self.state_weight].map(|weight| weight.val().inner());
        let bias = Buffer::of(self.bias.val().inner());
        let gates = match x {
            Data::Numbers(x) => product(x, input_weight),
            tokens => sent(tokens, input_weight),
        };
        let gates: Tensor<3> = gates.reshape([count, batch, 4 * units]);
        let steps = Steps::new(
            Buffer::owned(gates),
            &Buffer::of(state),
            units,
            keep_mask.map(Buffer::of),
        );
        for t in 0..count {
            let h = rows(&steps.h, [count + 1, batch, units], t);
            let recurrent = Buffer::of(product(h, state_weight.clone()));
            steps.forward(t, &recurrent, &bias);
        }
        steps
    }
}

impl Steps {
    /// The state after the first (0) or the last (1) step, `[batch, 2 * units]`.
    fn state(&self, which: usize) -> Tensor<2> {
        rows(&self.states, [2, self.batch, 2 * self.units], which)
    }
}

/// Step `t` of what lies one step after the other, `[steps, batch, features]`.
fn rows(of_all: &Buffer, [_, batch, features]: [usize; 3], t: usize) -> Tensor<2> {
    let all = of_all.clone().into_tensor::<3>();
    all.narrow(0, t, 1).reshape([batch, features])
}

/// The first `steps` steps of the same, `[steps * batch, features]`.
fn rows_up_to(of_all: &Buffer, [_, batch, features]: [usize; 3], steps: usize) -> Tensor<2> {
    let all = of_all.clone().into_tensor::<3>();
    all.narrow(0, 0, steps).reshape([steps * batch, features])
}
