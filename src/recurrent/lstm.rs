//! The long short-term memory.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};
use rand::Rng;

use super::core::{Core, Tick};
use crate::init::Init;

/// How to build an [`Lstm`].
#[derive(Debug, Clone, PartialEq)]
pub struct LstmConfig {
    /// Features of the input.
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
/// The output is `h`, the state `[h; c]`.
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
    /// Units: features of the output, and of each of the two parts of the state.
    pub fn units(&self) -> usize {
        self.state_weight.dims()[0]
    }
}

impl Core for Lstm {
    fn state_features(&self) -> usize {
        2 * self.units()
    }

    fn step(&self, input: Tensor<2>, state: Tensor<2>) -> Tick {
        let units = self.units();
        let [before, cell] = halves(state, units);
        let z = input.matmul(self.input_weight.val())
            + before.matmul(self.state_weight.val())
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
}

/// The two parts of a state, `[batch, units]` each.
fn halves(state: Tensor<2>, units: usize) -> [Tensor<2>; 2] {
    let [batch, _] = state.dims();
    [0, 1].map(|i| {
        let part = i * units..(i + 1) * units;
        state.clone().slice([0..batch, part])
    })
}
