//! Updates of parameters on a graphics adapter, gathered from all of a module and made at once.

use burn::optim::{AdamState, AdaptiveMomentumState, DynState, LearningRate, SgdState};
use burn::tensor::Tensor;

use super::adam::constants;
use super::lent::InPlace;
use crate::gpu::Buffer;
use crate::gpu::update::{self, Adam, Sgd};

/// Updates that are still to be made.
#[derive(Default)]
pub(super) struct Gathered {
    sgd: Vec<Sgd>,
    adam: Vec<Adam>,
}

impl Gathered {
    /// Adds the update of a parameter, which is the tensor that it returns and so is the state: both
    /// have their new values when all is [made](Self::make).
    pub fn add<const D: usize>(
        &mut self,
        rule: InPlace,
        learning_rate: LearningRate,
        theta: Tensor<D>,
        gradient: Tensor<D>,
        state: &mut Option<DynState>,
    ) -> Tensor<D> {
        let (theta, gradient) = (Buffer::owned(theta), Buffer::of(gradient));
        let updated = theta.clone().into_tensor();
        match rule {
            InPlace::Sgd => {
                self.sgd.push(Sgd {
                    theta,
                    gradient,
                    rate: learning_rate as f32,
                });
                *state = Some(DynState::create(SgdState::<D>::new(None), D));
            }
            InPlace::Adam => {
                let before = state.take().map(DynState::downcast::<AdamState<D>>);
                let (time, moments) = match before {
                    Some(AdamState { momentum }) => {
                        (momentum.time, [momentum.moment_1, momentum.moment_2])
                    }
                    None => (0, [(); 2].map(|()| updated.zeros_like())),
                };
                let (time, moments) = (time + 1, moments.map(Buffer::owned));
                let [moment_1, moment_2] = moments.clone().map(Buffer::into_tensor::<D>);
                let momentum = AdaptiveMomentumState::new(time, moment_1, moment_2);
                *state = Some(DynState::create(AdamState::new(momentum), D));
                self.adam.push(Adam {
                    theta,
                    gradient,
                    moments,
                    constants: constants(time, learning_rate),
                });
            }
        }
        updated
    }

    /// Makes all of them.
    pub fn make(self) {
        update::sgd(&self.sgd);
        update::adam(&self.adam);
    }
}
