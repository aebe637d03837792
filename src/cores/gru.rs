//! The gated recurrent unit.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, activation};
use rand::Rng;

use super::inputs::sent;
use super::lstm::gate_weights;
use super::{Core, Tick};
use crate::batch::Data;
use crate::init::Init;

/// How to build a [`Gru`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GruConfig {
    /// Features of the input, or how many tokens there are.
    pub inputs: usize,
    /// Units: features of the output, which is the state.
    pub units: usize,
}

impl GruConfig {
    /// A GRU of `units` units.
    pub fn new(inputs: usize, units: usize) -> Self {
        Self { inputs, units }
    }

    /// Builds the core; `rng` draws the initial weights, uniform in `+-1/sqrt(units)`. Biases are
    /// zero.
    ///
    /// # Panics
    ///
    /// If a size is zero.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> Gru {
        let Self { inputs, units } = *self;
        let [input_weight, state_weight] = gate_weights(inputs, units, 3, rng, device);
        let zeros = |count: usize| Init::given(vec![0.0; count], device);
        Gru {
            input_weight,
            state_weight,
            bias: zeros(3 * units),
            state_bias: zeros(units),
        }
    }
}

/// `r, z = s(x W + h U + b)`, `n = tanh(x W + b + r (h U + b'))`, `h_t = (1 - z) n + z h_{t-1}`:
/// the reset gate after the product, so that all gates come from one (Cho et al., 2014, as in
/// cuDNN).
///
/// Output and state are `h`. A token stands for its one-hot `x`, so that `x W` is a row of
/// `W`; with a large vocabulary use [`Embedded`](super::Embedded).
#[derive(Module, Debug)]
pub struct Gru {
    /// `W`, `[inputs, 3 * units]`, for r, z and n.
    pub input_weight: Param<Tensor<2>>,
    /// `U`, `[units, 3 * units]`.
    pub state_weight: Param<Tensor<2>>,
    /// `b`, `[3 * units]`.
    pub bias: Param<Tensor<1>>,
    /// `b'`, `[units]`.
    pub state_bias: Param<Tensor<1>>,
}

impl Core for Gru {
    fn state_features(&self) -> usize {
        self.state_weight.dims()[0]
    }

    fn step(&self, input: Tensor<2>, state: Tensor<2>) -> Tick {
        self.advance(input.into(), state)
    }

    fn step_tokens(&self, tokens: Tensor<1, Int>, state: Tensor<2>) -> Tick {
        self.advance(tokens.into(), state)
    }
}

impl Gru {
    fn advance(&self, input: Data, state: Tensor<2>) -> Tick {
        let [batch, units] = state.dims();
        let from_input = sent(input, self.input_weight.val()) + self.bias.val().unsqueeze();
        let from_state = state.clone().matmul(self.state_weight.val());
        let gate =
            |z: &Tensor<2>, k: usize| z.clone().slice([0..batch, k * units..(k + 1) * units]);
        let both = |k| gate(&from_input, k) + gate(&from_state, k);
        let [r, z] = [0, 1].map(|k| activation::sigmoid(both(k)));
        let candidate = gate(&from_state, 2) + self.state_bias.val().unsqueeze();
        let n = (gate(&from_input, 2) + r * candidate).tanh();
        // (1 - z) n + z h
        let output = n.clone() + z * (state - n);
        Tick {
            state: output.clone(),
            output,
        }
    }
}
