//! Initial values of parameters, drawn on the host from the run's generator.
//!
//! burn's own initializers draw on the device, from one generator per process: the values would
//! depend on the backend and on what else runs. Drawn here, one seed gives the same network
//! everywhere.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};

/// The distribution of initial weights and biases.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Init {
    /// Uniform in `+-1/sqrt(fan_in)`, as burn's and PyTorch's linear layers start.
    #[default]
    FanIn,
    /// Uniform in `+-sqrt(6 / fan_in)` for weights, zero biases; for relu (He et al., 2015).
    He,
    /// Uniform in `+-sqrt(6 / (fan_in + fan_out))`, zero biases (Glorot and Bengio, 2010).
    Xavier,
    /// Normal, weights and biases alike.
    Normal {
        /// The mean.
        mean: f32,
        /// The standard deviation, not negative.
        std: f32,
    },
    /// All zero: how the last layer of a synthesizer starts, so that the first synthetic gradients
    /// are zero (paper, appendix A.1).
    Zeros,
}

impl Init {
    /// A weight `[inputs, outputs]` and a bias `[outputs]`.
    ///
    /// # Panics
    ///
    /// If a size is zero, or the mean or the standard deviation is not finite, or the latter negative.
    pub fn linear(
        self,
        inputs: usize,
        outputs: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> (Param<Tensor<2>>, Param<Tensor<1>>) {
        assert!(
            inputs > 0 && outputs > 0,
            "a layer needs at least one input and one output, got {inputs} and {outputs}"
        );
        self.layer([inputs, outputs], outputs, [inputs, outputs], rng, device)
    }

    /// A weight `[outputs, inputs, size, size]` and a bias `[outputs]`, from `inputs` to `outputs`
    /// channels.
    ///
    /// The fan-in is the number of inputs of one output value, `inputs * size^2`, the fan-out the
    /// number of output values that use one input value, `outputs * size^2`.
    ///
    /// # Panics
    ///
    /// If a size is zero, or the mean or the standard deviation is not finite, or the latter negative.
    pub fn convolution(
        self,
        inputs: usize,
        outputs: usize,
        size: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> (Param<Tensor<4>>, Param<Tensor<1>>) {
        assert!(
            inputs > 0 && outputs > 0 && size > 0,
            "a convolution needs channels and a kernel, got {inputs} to {outputs} channels and a \
             kernel of {size}"
        );
        let fans = [inputs, outputs].map(|channels| channels * size * size);
        self.layer([outputs, inputs, size, size], outputs, fans, rng, device)
    }

    /// Uniform in `+-bound`.
    pub(crate) fn uniform<const D: usize>(
        shape: [usize; D],
        bound: f32,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Param<Tensor<D>> {
        let count = shape.iter().product();
        let values = (0..count).map(|_| rng.random_range(-bound..=bound));
        parameter(TensorData::new(values.collect::<Vec<f32>>(), shape), device)
    }

    /// These values.
    pub(crate) fn given(values: Vec<f32>, device: &Device) -> Param<Tensor<1>> {
        let shape = [values.len()];
        parameter(TensorData::new(values, shape), device)
    }

    /// A weight of this shape and a bias, from the fan-in and the fan-out.
    fn layer<const D: usize>(
        self,
        shape: [usize; D],
        outputs: usize,
        [fan_in, fan_out]: [usize; 2],
        rng: &mut impl Rng,
        device: &Device,
    ) -> (Param<Tensor<D>>, Param<Tensor<1>>) {
        let (weight_bound, bias_bound) = match self {
            Self::FanIn => {
                let bound = (fan_in as f32).sqrt().recip();
                (bound, bound)
            }
            Self::He => ((6.0 / fan_in as f32).sqrt(), 0.0),
            Self::Xavier => ((6.0 / (fan_in + fan_out) as f32).sqrt(), 0.0),
            Self::Normal { .. } | Self::Zeros => (0.0, 0.0),
        };
        let weight = self.values(shape.iter().product(), weight_bound, rng);
        let bias = self.values(outputs, bias_bound, rng);
        (
            parameter(TensorData::new(weight, shape), device),
            parameter(TensorData::new(bias, [outputs]), device),
        )
    }

    fn values(self, count: usize, bound: f32, rng: &mut impl Rng) -> Vec<f32> {
        match self {
            Self::Normal { mean, std } => {
                let normal = Normal::new(mean, std).ok();
                let normal = normal.filter(|_| mean.is_finite() && std >= 0.0);
                let normal = normal.unwrap_or_else(|| {
                    panic!(
                        "a normal distribution needs a mean and a standard deviation from 0 on, got \
                         {mean} and {std}"
                    )
                });
                (0..count).map(|_| normal.sample(rng)).collect()
            }
            _ if bound == 0.0 => vec![0.0; count],
            _ => (0..count)
                .map(|_| rng.random_range(-bound..=bound))
                .collect(),
        }
    }
}

/// A trainable parameter with the given values, off the tape as all are between steps.
fn parameter<const D: usize>(data: TensorData, device: &Device) -> Param<Tensor<D>> {
    let value = Tensor::<D>::from_data(data, &device.clone().autodiff()).require_grad();
    Param::initialized(ParamId::new(), value).valid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Stream, generator};

    #[test]
    fn a_normal_distribution_that_there_is_not_is_refused() {
        let rng = &mut generator(1, Stream::Parameters);
        let mut draw = |mean, std| {
            let drawn =
                std::panic::AssertUnwindSafe(|| Init::Normal { mean, std }.values(3, 0.0, rng));
            std::panic::catch_unwind(drawn)
        };
        assert!(draw(0.0, -1.0).is_err());
        assert!(draw(0.0, f32::NAN).is_err());
        assert!(draw(f32::NAN, 1.0).is_err());
        assert_eq!(draw(2.0, 0.0).ok(), Some(vec![2.0; 3]));
    }

    #[test]
    fn kernels_are_as_wide_as_what_an_output_sees() {
        let rng = &mut generator(1, Stream::Parameters);
        let (kernels, bias) = Init::FanIn.convolution(2, 3, 5, rng, &Device::flex());
        assert_eq!((kernels.dims(), bias.dims()), ([3, 2, 5, 5], [3]));
        let largest: f32 = kernels.val().abs().max().into_scalar();
        let bound = 50_f32.sqrt().recip();
        assert!((0.9 * bound..=bound).contains(&largest), "{largest}");
    }
}
