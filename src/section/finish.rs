//! What follows a section's product on the host: bias or batch norm, then the activation.

use burn::module::{Module, Param, ParamId, RunningState};
use burn::nn::BatchNorm;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use super::Activation;
use crate::host::finish::{self, Kept};
use crate::host::{self, Values};

/// `h = a(z + b)` or `h = a(norm(z))`, made from the rows of `z`, and what its way back needs.
pub(super) struct Finish {
    activation: Activation,
    device: Device,
    /// Features of a row.
    features: usize,
    kind: Kind,
}

enum Kind {
    Plain,
    Bias(ParamId),
    Norm {
        kept: Kept,
        gamma: Values,
        ids: [ParamId; 2],
    },
}

impl Finish {
    /// `h` from `z`, `[rows, features]`, and the way back. The running statistics of the norm
    /// move towards those of the rows.
    pub fn forward(
        mut z: Vec<f32>,
        features: usize,
        bias: Option<&Param<Tensor<1>>>,
        norm: Option<&BatchNorm>,
        activation: Activation,
        device: Device,
    ) -> (Vec<f32>, Self) {
        let (h, kind) = match norm {
            Some(norm) => normalised(z, norm, activation, &device),
            None => {
                let values = bias.map(|bias| Values::of(bias.val().inner()));
                finish::biased(&mut z, values.as_ref().map(Values::as_slice), activation);
                (z, bias.map_or(Kind::Plain, |bias| Kind::Bias(bias.id)))
            }
        };
        let finish = Self {
            activation,
            device,
            features,
            kind,
        };
        (h, finish)
    }

    /// `dz` in the place of `delta = dL/dh`. Registers the gradients of bias or norm.
    pub fn backward(self, h: &[f32], delta: &mut [f32], parameters: &mut GradientsParams) {
        let Self {
            activation,
            features,
            ..
        } = self;
        let mut register = |id, gradient| {
            parameters.register(id, host::tensor::<1>(gradient, [features], &self.device));
        };
        match self.kind {
            Kind::Norm { kept, gamma, ids } => {
                let gradients =
                    finish::normalised_backward(&kept, h, gamma.as_slice(), delta, activation);
                register(ids[0], gradients.gamma);
                register(ids[1], gradients.beta);
            }
            Kind::Bias(id) => {
                register(id, finish::biased_backward(h, delta, features, activation));
            }
            Kind::Plain => {
                finish::biased_backward(h, delta, features, activation);
            }
        }
    }
}

/// Whether a norm is frozen with burn's `freeze`: also in training it takes its running statistics
/// then, and leaves them as they are.
pub(super) fn rests(norm: &BatchNorm) -> bool {
    !norm.training.clone().train().is_enabled()
}

/// Refuses batch norm over a single row, which is its own mean: its output would be that of every
/// other row, and nothing below would learn.
///
/// # Panics
///
/// If there is one row.
pub(super) fn check_norm(rows: usize) {
    assert!(
        rows > 1,
        "batch norm cannot learn from a batch of one example, as this is its own mean; give it 2 or \
         more in every batch, the last one included, or build the section without batch norm"
    );
}

fn normalised(
    z: Vec<f32>,
    norm: &BatchNorm,
    activation: Activation,
    device: &Device,
) -> (Vec<f32>, Kind) {
    let features = norm.gamma.dims()[0];
    check_norm(z.len() / features);
    let gamma = Values::of(norm.gamma.val().inner());
    let beta = Values::of(norm.beta.val().inner());
    let normalised = finish::normalised(
        z,
        gamma.as_slice(),
        beta.as_slice(),
        norm.epsilon as f32,
        activation,
    );
    for (running, of_batch) in [
        (&norm.running_mean, normalised.mean),
        (&norm.running_var, normalised.variance),
    ] {
        let features = of_batch.len();
        let of_batch = host::tensor(of_batch, [features], device);
        track(running, norm.momentum, of_batch);
    }
    let kind = Kind::Norm {
        kept: normalised.kept,
        gamma,
        ids: [norm.gamma.id, norm.beta.id],
    };
    (normalised.output, kind)
}

/// Moves a running statistic towards that of a batch.
fn track(running: &RunningState<Tensor<1>>, momentum: f64, of_batch: Tensor<1>) {
    let before = running.value_sync().inner();
    running.update(before * (1.0 - momentum) + of_batch * momentum);
}
