//! The long short-term memory.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, activation, assert_shape};
use rand::Rng;

use super::inputs::{HostInputs, sent};
use super::{Arrived, Core, Deltas, Sequence, Tick, Unrolled, View};
use crate::batch::Data;
#[cfg(feature = "wgpu")]
use crate::gpu;
use crate::host::lstm::{self, Backward, Forward};
use crate::host::product::{Matrix, accumulate, product};
use crate::host::{self, Values};
use crate::init::Init;

/// How to build an [`Lstm`].
#[derive(Debug, Clone, PartialEq)]
pub struct LstmConfig {
    /// Features of the input, or how many tokens there are.
    pub inputs: usize,
    /// Units: features of the output, and of each of the two parts of the state.
    pub units: usize,
    /// The initial bias of the forget gates, which lets a memory last from the start. Default: 1.
    pub forget_bias: f32,
}

impl LstmConfig {
    /// An LSTM of `units` units.
    pub fn new(inputs: usize, units: usize) -> Self {
        Self {
            inputs,
            units,
            forget_bias: 1.0,
        }
    }

    /// Sets the initial bias of the forget gates.
    pub fn with_forget_bias(mut self, forget_bias: f32) -> Self {
        self.forget_bias = forget_bias;
        self
    }

    /// Builds the core; `rng` draws the initial weights, uniform in `+-1/sqrt(units)`.
    ///
    /// # Panics
    ///
    /// If a size is zero.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> Lstm {
        let Self {
            inputs,
            units,
            forget_bias,
        } = *self;
        let [input_weight, state_weight] = gate_weights(inputs, units, 4, rng, device);
        let bias = (0..4 * units).map(|i| match i / units {
            1 => forget_bias,
            _ => 0.0,
        });
        Lstm {
            input_weight,
            state_weight,
            bias: Init::given(bias.collect(), device),
        }
    }
}

/// The weights from the input and from the output before to all gates, uniform in
/// `+-1/sqrt(units)`: `[inputs, gates * units]` and `[units, gates * units]`.
pub(super) fn gate_weights(
    inputs: usize,
    units: usize,
    gates: usize,
    rng: &mut impl Rng,
    device: &Device,
) -> [Param<Tensor<2>>; 2] {
    assert!(
        inputs > 0 && units > 0,
        "a core needs an input and a unit, got {inputs} and {units}"
    );
    let bound = (units as f32).sqrt().recip();
    [inputs, units].map(|rows| Init::uniform([rows, gates * units], bound, rng, device))
}

/// `i, f, o = s(x W + h U + b)`, `g = tanh(x W + h U + b)`, `c_t = f c_{t-1} + i g`,
/// `h_t = o tanh(c_t)`, all gates from one product (Hochreiter and Schmidhuber, 1997; Gers et al.,
/// 2000).
///
/// The output is `h`, the state `[h; c]`. A token stands for its one-hot `x`, so that `x W` is a row of
/// `W`; with a large vocabulary use [`Embedded`](super::Embedded).
#[derive(Module, Debug)]
pub struct Lstm {
    /// `W`, `[inputs, 4 * units]`, for the gates i, f, g and o.
    pub input_weight: Param<Tensor<2>>,
    /// `U`, `[units, 4 * units]`.
    pub state_weight: Param<Tensor<2>>,
    /// `b`, `[4 * units]`.
    pub bias: Param<Tensor<1>>,
}

impl Lstm {
    /// Features of the input, or how many tokens it knows.
    pub fn inputs(&self) -> usize {
        self.input_weight.dims()[0]
    }

    /// Units: features of the output, and of each of the two parts of the state.
    pub fn units(&self) -> usize {
        self.state_weight.dims()[0]
    }
}

impl Core for Lstm {
    fn state_features(&self) -> usize {
        2 * self.units()
    }

    /// The cell as `tanh(c)`, with its derivative for the slope: a cell that is full, which no
    /// gradient reaches any more, is predicted none. Without that it would be driven on for good.
    fn view(&self, state: Tensor<2>) -> View {
        if host::suits(&state.device()) && !state.is_autodiff() {
            return self.host_view(state);
        }
        #[cfg(feature = "wgpu")]
        if gpu::suits(&state) {
            return self.gpu_view(state);
        }
        let [output, cell] = halves(state, self.units());
        let cell = cell.tanh();
        let slope = cell.clone().square().neg().add_scalar(1.0);
        View {
            slope: Some(Tensor::cat(vec![output.ones_like(), slope], 1)),
            message: Tensor::cat(vec![output, cell], 1),
        }
    }

    fn step(&self, input: Tensor<2>, state: Tensor<2>) -> Tick {
        self.advance(input.into(), state)
    }

    fn step_tokens(&self, tokens: Tensor<1, Int>, state: Tensor<2>) -> Tick {
        self.advance(tokens.into(), state)
    }

    fn unroll(&self, sequence: Sequence, state: Tensor<2>) -> Unrolled {
        #[cfg(feature = "wgpu")]
        if gpu::suits(&state) {
            return self.gpu_unroll(&sequence, state);
        }
        if host::suits(&state.device()) {
            self.host_unroll(&sequence, state)
        } else {
            Unrolled::on_tape(self, sequence, state)
        }
    }
}

impl Lstm {
    fn advance(&self, input: Data, state: Tensor<2>) -> Tick {
        let weight = self.state_weight.val();
        let at_input = input.numbers().is_some_and(Tensor::is_autodiff);
        let on_tape = at_input || state.is_autodiff() || weight.is_autodiff();
        if host::suits(&state.device()) && !on_tape {
            return self.host_step(input, state);
        }
        #[cfg(feature = "wgpu")]
        if gpu::suits(&state) && !on_tape {
            return self.gpu_step(input, state);
        }
        let units = self.units();
        let [before, cell] = halves(state, units);
        let z = sent(input, self.input_weight.val())
            + before.matmul(weight)
            + self.bias.val().unsqueeze();
        let gate = |k: usize| {
            z.clone()
                .slice([0..z.dims()[0], k * units..(k + 1) * units])
        };
        let [i, f, o] = [0, 1, 3].map(|k| activation::sigmoid(gate(k)));
        let cell = f * cell + i * gate(2).tanh();
        let output = o * cell.clone().tanh();
        Tick {
            state: Tensor::cat(vec![output.clone(), cell], 1),
            output,
        }
    }

    fn host_view(&self, state: Tensor<2>) -> View {
        let (dims, device) = (state.dims(), state.device());
        let mut message = Values::of(state);
        let mut slope = vec![0.0; dims[0] * dims[1]];
        let view = lstm::View {
            units: self.units(),
            message: message.as_mut_slice(),
            slope: &mut slope,
        };
        view.run();
        View {
            message: message.into_tensor(),
            slope: Some(host::tensor(slope, dims, &device)),
        }
    }

    /// `x W + b`, the part of the sums into the gates that comes from the inputs, for many steps
    /// at once.
    fn host_sent(&self, x: &HostInputs) -> Vec<f32> {
        let weight = Values::of(self.input_weight.val().inner());
        let bias = Values::of(self.bias.val().inner());
        x.sent(weight.as_slice(), bias.as_slice())
    }

    fn host_step(&self, input: Data, state: Tensor<2>) -> Tick {
        let (batch, units, device) = (input.examples(), self.units(), state.device());
        assert_shape!(state, [batch, 2 * units]);
        let mut gates = self.host_sent(&HostInputs::of(input, self.inputs()));
        let weight = Values::of(self.state_weight.val().inner());
        let [h, before] = parts(Values::of(state).as_slice(), units);
        let u = Matrix::new(weight.as_slice(), 4 * units);
        accumulate(&mut gates, Matrix::new(&h, units), u);
        let [mut cell, mut squashed, mut output] = [(); 3].map(|()| vec![0.0; batch * units]);
        let step = Forward {
            units,
            gates: &mut gates,
            before: &before,
            cell: &mut cell,
            squashed: &mut squashed,
            output: &mut output,
        };
        step.run();
        Tick {
            state: host::tensor(joined([&output, &cell], units), [batch, 2 * units], &device),
            output: host::tensor(output, [batch, units], &device),
        }
    }

    /// On the host: what the inputs send into the gates is one product for all steps, and so are
    /// the gradients of both weights.
    fn host_unroll(&self, sequence: &Sequence, state: Tensor<2>) -> Unrolled {
        let ([steps, batch], inputs, units) = (sequence.dims(), self.inputs(), self.units());
        assert_shape!(state, [batch, 2 * units]);
        assert!(steps > 0, "a window needs a step");
        let device = state.device();
        let size = batch * units;
        let x = HostInputs::of(sequence.inputs.clone().into_rows(), inputs);
        let keep_mask = sequence.keep_mask.clone().map(Values::of);
        let keep_mask = keep_mask.as_ref().map(Values::as_slice);
        let [input_weight, state_weight] =
            [&self.input_weight, &self.state_weight].map(|weight| Values::of(weight.val().inner()));

        // The sums into the gates, which become the gates.
        let mut gates = self.host_sent(&x);
        let u = Matrix::new(state_weight.as_slice(), 4 * units);
        let [mut outputs, mut cells, mut squashed] = [(); 3].map(|()| vec![0.0; steps * size]);
        let [mut h_before, mut c_before] = [(); 2].map(|()| vec![0.0; steps * size]);
        let [start_h, start_c] = parts(Values::of(state).as_slice(), units);
        for (t, gates) in gates.chunks_exact_mut(4 * size).enumerate() {
            let here = t * size..(t + 1) * size;
            for (before, made, start) in [
                (&mut h_before, &outputs, &start_h),
                (&mut c_before, &cells, &start_c),
            ] {
                let made = if t == 0 {
                    start
                } else {
                    &made[(t - 1) * size..t * size]
                };
                before[here.clone()].copy_from_slice(made);
                if let Some(keep_mask) = keep_mask {
                    scale_rows(
                        &mut before[here.clone()],
                        &keep_mask[t * batch..(t + 1) * batch],
                    );
                }
            }
            accumulate(gates, Matrix::new(&h_before[here.clone()], units), u);
            let step = Forward {
                units,
                gates,
                before: &c_before[here.clone()],
                cell: &mut cells[here.clone()],
                squashed: &mut squashed[here.clone()],
                output: &mut outputs[here],
            };
            step.run();
        }
        let state_after = |t: usize| {
            let here = t * size..(t + 1) * size;
            let state = joined([&outputs[here.clone()], &cells[here]], units);
            host::tensor(state, [batch, 2 * units], &device)
        };
        let states = [state_after(0), state_after(steps - 1)];
        let outputs = host::tensor(outputs, [steps, batch, units], &device);

        let ids = [self.input_weight.id, self.state_weight.id, self.bias.id];
        let keep_mask = sequence.keep_mask.clone();
        Unrolled::new(outputs, states, move |deltas, wants_inputs, parameters| {
            let Deltas {
                outputs,
                first,
                last,
            } = deltas;
            let outputs = Values::of(outputs);
            let keep_mask = keep_mask.map(Values::of);
            let zeros = || vec![0.0; size];
            let halves = |state: Option<Tensor<2>>| {
                state.map_or([zeros(), zeros()], |s| {
                    parts(Values::of(s).as_slice(), units)
                })
            };
            let [mut dh, mut dc] = halves(last);
            let mut first = Some(halves(first));
            // Laid out once for all steps.
            let u = Matrix::new(state_weight.as_slice(), 4 * units);
            let u = u.transposed().to_rows();
            let u = Matrix::new(&u, units);
            for (t, gates) in gates.chunks_exact_mut(4 * size).enumerate().rev() {
                let here = t * size..(t + 1) * size;
                add(&mut dh, &outputs.as_slice()[here.clone()]);
                if t == 0
                    && let Some([h, c]) = first.take()
                {
                    add(&mut dh, &h);
                    add(&mut dc, &c);
                }
                let step = Backward {
                    units,
                    gates,
                    before: &c_before[here.clone()],
                    squashed: &squashed[here],
                    dh: &dh,
                    dc: &mut dc,
                };
                step.run();
                dh = product(Matrix::new(gates, 4 * units), u);
                if let Some(keep_mask) = &keep_mask {
                    let keep_mask = &keep_mask.as_slice()[t * batch..(t + 1) * batch];
                    scale_rows(&mut dh, keep_mask);
                    scale_rows(&mut dc, keep_mask);
                }
            }
            let dz = Matrix::new(&gates, 4 * units);
            let input_gradient = x.gradient(&gates, 4 * units);
            let state_gradient = product(Matrix::new(&h_before, units).transposed(), dz);
            for (id, gradient, rows) in [
                (ids[0], input_gradient, inputs),
                (ids[1], state_gradient, units),
            ] {
                parameters.register(id, host::tensor(gradient, [rows, 4 * units], &device));
            }
            let mut bias = vec![0.0; 4 * units];
            gates
                .chunks_exact(4 * units)
                .for_each(|row| add(&mut bias, row));
            parameters.register(ids[2], host::tensor(bias, [4 * units], &device));
            Arrived {
                state: host::tensor(joined([&dh, &dc], units), [batch, 2 * units], &device),
                // dL/dx_t = dz_t W^T, one product for all steps.
                inputs: (wants_inputs && x.are_numbers()).then(|| {
                    let weight = Matrix::new(input_weight.as_slice(), 4 * units);
                    let delta = product(dz, weight.transposed());
                    host::tensor(delta, [steps, batch, inputs], &device)
                }),
            }
        })
    }
}

/// `to <- to + from`
fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// Each row times its number.
fn scale_rows(rows: &mut [f32], by: &[f32]) {
    for (row, by) in rows.chunks_exact_mut(rows.len() / by.len()).zip(by) {
        row.iter_mut().for_each(|value| *value *= by);
    }
}

/// `h` and `c` of a state `[batch, 2 * units]`.
fn parts(state: &[f32], units: usize) -> [Vec<f32>; 2] {
    [0, units].map(|start| {
        let rows = state.chunks_exact(2 * units);
        rows.flat_map(|row| &row[start..start + units])
            .copied()
            .collect()
    })
}

/// A state from its parts.
fn joined([h, c]: [&[f32]; 2], units: usize) -> Vec<f32> {
    let rows = h.chunks_exact(units).zip(c.chunks_exact(units));
    rows.flat_map(|(h, c)| h.iter().chain(c)).copied().collect()
}

/// The two parts of a state, `[batch, units]` each.
fn halves(state: Tensor<2>, units: usize) -> [Tensor<2>; 2] {
    let [batch, _] = state.dims();
    [0, 1].map(|i| {
        let part = i * units..(i + 1) * units;
        state.clone().slice([0..batch, part])
    })
}
