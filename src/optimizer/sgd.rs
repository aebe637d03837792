//! Plain gradient descent, in one loop where the tensors lie in host memory.

use burn::optim::{LearningRate, Optimizer as Rule, Sgd, SgdConfig, SgdState};
use burn::tensor::{DType, Device, Tensor};

use crate::host::{self, Values};

/// burn's SGD without momentum and weight decay: `theta <- theta - alpha g`.
#[derive(Clone)]
pub(super) struct FusedSgd {
    /// For devices other than the host and adapters.
    rule: Sgd,
}

impl FusedSgd {
    pub fn new() -> Self {
        Self {
            rule: SgdConfig::new().build(),
        }
    }
}

impl Rule for FusedSgd {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: LearningRate,
        theta: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        if theta.dtype() != DType::F32 || !host::suits(&theta.device()) {
            return self.rule.step(learning_rate, theta, gradient, state);
        }
        let (mut theta, gradient) = (Values::of(theta), Values::of(gradient));
        let rate = learning_rate as f32;
        host::sgd::update(theta.as_mut_slice(), gradient.as_slice(), rate);
        (theta.into_tensor(), Some(SgdState::new(None)))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        <Sgd as Rule>::to_device(state, device)
    }
}
