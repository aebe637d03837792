//! A table of numbers for tokens, below a core.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use rand::Rng;

use super::inputs::{gradient, sent};
use super::{Arrived, Core, Sequence, Tick, Unrolled, View};
use crate::batch::Data;
use crate::init::Init;

/// A core that sees each token as a learned vector, `x_t = E[token_t]`: for large vocabularies, such as
/// the words of a language.
///
/// ```
/// use burn::tensor::Device;
/// use dni::data::{Stream, generator};
/// use dni::{Embedded, LstmConfig};
///
/// let (device, rng) = (Device::flex(), &mut generator(1, Stream::Parameters));
/// let (words, width) = (5_000, 32);
/// let core = Embedded::new(words, width, LstmConfig::new(width, 64).init(rng, &device), rng, &device);
/// ```
#[derive(Module, Debug)]
pub struct Embedded<C: Module> {
    /// `E`, `[tokens, width]`.
    pub table: Param<Tensor<2>>,
    /// The core, which takes rows of the table.
    pub core: C,
}

impl<C: Core> Embedded<C> {
    /// A table of `width` numbers for each of so many tokens, below a core that has as many inputs;
    /// `rng` draws them, uniform in `+-sqrt(3)`, so that their variance is one.
    ///
    /// # Panics
    ///
    /// If a size is zero. The first step panics if the core does not have `width` inputs.
    pub fn new(tokens: usize, width: usize, core: C, rng: &mut impl Rng, device: &Device) -> Self {
        assert!(
            tokens > 0 && width > 0,
            "a table needs a token and a number, got {tokens} and {width}"
        );
        Self {
            table: Init::uniform([tokens, width], 3_f32.sqrt(), rng, device),
            core,
        }
    }
}

impl<C: Core> Core for Embedded<C> {
    fn state_features(&self) -> usize {
        self.core.state_features()
    }

    fn view(&self, state: Tensor<2>) -> View {
        self.core.view(state)
    }

    /// Numbers go into the core as they are.
    fn step(&self, input: Tensor<2>, state: Tensor<2>) -> Tick {
        self.core.step(input, state)
    }

    fn step_tokens(&self, tokens: Tensor<1, Int>, state: Tensor<2>) -> Tick {
        self.core.step(sent(tokens.into(), self.table.val()), state)
    }

    /// One look into the table for all steps, and one sum of what comes back to its rows.
    fn unroll(&self, sequence: Sequence, state: Tensor<2>) -> Unrolled {
        let [steps, batch] = sequence.dims();
        let tokens = match sequence.inputs.clone().into_rows() {
            Data::Numbers(_) => return self.core.unroll(sequence, state),
            tokens => tokens,
        };
        let table = self.table.val().inner();
        let ([known, width], id) = (table.dims(), self.table.id);
        let rows = sent(tokens.clone(), table);
        let embedded = Sequence {
            inputs: rows.reshape([steps, batch, width]).into(),
            ..sequence
        };
        let unrolled = self.core.unroll(embedded, state);
        let states = [unrolled.first.clone(), unrolled.last.clone()];
        Unrolled::new(
            unrolled.outputs.clone(),
            states,
            move |deltas, _, parameters| {
                let Arrived { state, inputs } = (unrolled.back)(deltas, true, parameters);
                let at_rows = inputs.expect("numbers have a gradient");
                let at_rows = at_rows.reshape([steps * batch, width]);
                parameters.register(id, gradient(tokens, at_rows, known));
                Arrived {
                    state,
                    inputs: None,
                }
            },
        )
    }
}
