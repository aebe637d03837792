//! The dense section on a graphics adapter.

use burn::module::ParamId;
use burn::nn::BatchNorm;
use burn::tensor::{Tensor, assert_shape};

use super::Dense;
use super::finish::{check_norm, rests};
use crate::gpu::dense::Layer;
use crate::gpu::finish::{self, Kept, Norm};
use crate::gpu::product::product;
use crate::gpu::{self, Buffer, join};
use crate::pass::{Input, Pass};

/// What follows a section's product, and what its way back needs.
enum Finish {
    Plain,
    Bias(ParamId),
    Norm {
        kept: Kept,
        gamma: Buffer,
        ids: [ParamId; 2],
    },
}

/// A context beside an input, `[batch, features + contexts]`, where both lie on an adapter.
pub(super) fn side_by_side(input: &Tensor<2>, context: &Tensor<2>) -> Option<Tensor<2>> {
    let both_suit = gpu::suits(input) && gpu::suits(context);
    both_suit.then(|| {
        let batch = input.dims()[0];
        let [input, context] = [input, context].map(|part| Buffer::of(part.clone()));
        join::side_by_side(&input, &context, batch).into_tensor()
    })
}

impl Dense {
    /// The pass where the input lies on an adapter; none elsewhere, or with a norm that rests.
    pub(super) fn gpu_pass(&self, input: &Input) -> Option<Pass> {
        let (Input::Data(values) | Input::Message(values)) = input else {
            return None;
        };
        if !gpu::suits(values) || self.norm.as_ref().is_some_and(rests) {
            return None;
        }
        let (values, wants_input) = input.clone().into_parts();
        let [batch, inputs] = [values.dims()[0], self.inputs()];
        assert_shape!(values, [batch, inputs]);
        let is_small = Layer::is_small(batch, inputs, self.outputs());
        Some(match self.norm.is_none() && is_small {
            true => self.small_gpu_pass(values, wants_input),
            false => self.large_gpu_pass(values, wants_input),
        })
    }

    /// Whole in two kernels.
    fn small_gpu_pass(&self, input: Tensor<2>, wants_input: bool) -> Pass {
        let [batch, inputs] = input.dims();
        let layer = Layer {
            x: Buffer::of(input),
            weight: Buffer::of(self.weight.val().inner()),
            batch,
            inputs,
            outputs: self.outputs(),
            activation: self.activation,
        };
        let bias = self.bias.as_ref().map(|b| Buffer::of(b.val().inner()));
        let bias_id = self.bias.as_ref().map(|bias| bias.id);
        let weight_id = self.weight.id;

        let h = layer.forward(bias.as_ref());
        Pass::new(h.clone().into_tensor(), move |delta, parameters| {
            let gradients = layer.backward(&h, &Buffer::of(delta), wants_input);
            if let Some(id) = bias_id {
                parameters.register(id, gradients.bias.into_tensor::<1>());
            }
            parameters.register(weight_id, gradients.weight.into_tensor::<2>());
            gradients.input.map(Buffer::into_tensor)
        })
    }

    /// As products of matrices, with one kernel for what stands between them. Updates the running statistics
    /// of batch norm.
    fn large_gpu_pass(&self, input: Tensor<2>, wants_input: bool) -> Pass {
        let weight = self.weight.val().inner();
        let weight_id = self.weight.id;
        let (activation, outputs) = (self.activation, self.outputs());
        let z = Buffer::owned(product(input.clone(), weight.clone()));
        let (h, finish) = match (&self.norm, &self.bias) {
            (Some(norm), _) => self.normalised(z, norm),
            (None, Some(bias)) => {
                finish::biased(&z, Some(&Buffer::of(bias.val().inner())), activation);
                (z, Finish::Bias(bias.id))
            }
            (None, None) => {
                finish::biased(&z, None, activation);
                (z, Finish::Plain)
            }
        };
        Pass::new(h.clone().into_tensor(), move |delta, parameters| {
            let delta = Buffer::of(delta);
            let dz: Tensor<2> = match finish {
                Finish::Norm { kept, gamma, ids } => {
                    let gradients =
                        finish::normalised_backward(&kept, &h, &gamma, &delta, activation);
                    parameters.register(ids[0], gradients.gamma.into_tensor::<1>());
                    parameters.register(ids[1], gradients.beta.into_tensor::<1>());
                    gradients.z
                }
                Finish::Bias(id) => {
                    let [dz, sums] = finish::biased_backward(&h, &delta, outputs, activation);
                    parameters.register(id, sums.into_tensor::<1>());
                    dz
                }
                Finish::Plain => {
                    finish::biased_backward(&h, &delta, outputs, activation)[0].clone()
                }
            }
            .into_tensor();
            parameters.register(weight_id, product(input.transpose(), dz.clone()));
            wants_input.then(|| product(dz, weight.transpose()))
        })
    }

    fn normalised(&self, z: Buffer, norm: &BatchNorm) -> (Buffer, Finish) {
        check_norm(z.len() / self.outputs());
        let [gamma, beta] =
            [&norm.gamma, &norm.beta].map(|parameter| Buffer::of(parameter.val().inner()));
        let [running_mean, running_variance] = [&norm.running_mean, &norm.running_var]
            .map(|running| Buffer::of(running.value_sync().inner()));
        let normalised = finish::normalised(
            z,
            &Norm {
                gamma: gamma.clone(),
                beta,
                running_mean,
                running_variance,
                momentum: norm.momentum as f32,
                epsilon: norm.epsilon as f32,
            },
            self.activation,
        );
        let [mean, variance] = normalised.running.map(Buffer::into_tensor::<1>);
        norm.running_mean.update(mean);
        norm.running_var.update(variance);
        let ids = [norm.gamma.id, norm.beta.id];
        let kept = normalised.kept;
        (normalised.output, Finish::Norm { kept, gamma, ids })
    }
}
