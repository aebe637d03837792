//! Dropout with reproducible draws.

use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;

use crate::rng::{Stream, generator};

/// Sets elements of a tensor to zero at random while its section trains, and scales the others so
/// that the mean stays the same (Srivastava et al., "Dropout: a simple way to prevent neural
/// networks from overfitting", 2014).
///
/// The choice is a function of the seed and of how often the dropout has been applied; that count
/// is saved with the parameters of the section. So a resumed run draws what it would have drawn,
/// and evaluations in between change nothing; burn's own dropout draws from a generator that
/// belongs to the device. The count is read back from the device in every step.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::Linear;
/// use burn::tensor::Tensor;
/// use dni::{Dropout, Section};
///
/// #[derive(Module, Debug)]
/// struct Mine {
///     linear: Linear,
///     dropout: Dropout,
/// }
///
/// impl Section for Mine {
///     fn forward(&self, input: Tensor<2>) -> Tensor<2> {
///         self.linear.forward(self.dropout.forward(input))
///     }
/// }
/// ```
#[derive(Module, Debug)]
pub struct Dropout {
    probability: f64,
    seed: u64,
    /// How often it has been applied, `[1]`.
    applied: RunningState<Tensor<1>>,
    /// Off in a module that is frozen.
    training: Param<Flag>,
}

/// The count starts again where 32-bit floats would stop counting.
const COUNTED: f32 = 16_777_216.0;

impl Dropout {
    /// Dropout with this probability. Give each dropout of a network its own seed, drawn from that
    /// of the run.
    ///
    /// # Panics
    ///
    /// If the probability is not from 0 up to, but not including, 1.
    pub fn new(probability: f64, seed: u64, device: &Device) -> Self {
        assert!(
            (0.0..1.0).contains(&probability),
            "the probability of dropout is from 0 up to, but not including, 1, not {probability}"
        );
        Self {
            probability,
            seed,
            applied: RunningState::new(Tensor::zeros([1], device)),
            training: Param::from_bool(true),
        }
    }

    /// Drops elements of `input` in training; returns it unchanged otherwise.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let learns = self.training.is_enabled() && input.device().is_autodiff();
        match learns && self.probability > 0.0 {
            true => self.dropped(input),
            false => input,
        }
    }

    fn dropped<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let applied = self.applied.value_sync().inner();
        let number = applied.clone().into_scalar::<f32>();
        let next = (number + 1.0) % COUNTED;
        self.applied.update(applied.zeros_like() + next);
        let rng = &mut generator(self.seed, Stream::Dropout(number as u64));
        let kept = (1.0 - self.probability).recip() as f32;
        let factors: Vec<f32> = (0..input.shape().num_elements())
            .map(|_| match rng.random_bool(self.probability) {
                true => 0.0,
                false => kept,
            })
            .collect();
        let device = input.device().without_autodiff();
        let factors = Tensor::<D>::from_data(TensorData::new(factors, input.dims()), &device);
        input * factors.autodiff()
    }
}
