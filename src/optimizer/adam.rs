//! Adam, in one loop where the tensors lie in host memory.

use burn::optim::{
    Adam, AdamConfig, AdamState, AdaptiveMomentumState, LearningRate, Optimizer as Rule,
};
use burn::tensor::{DType, Device, Tensor};

use crate::host::{self, Values, adam::Constants};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// burn's Adam with the constants of its paper.
///
/// Taken as tensor operations an update reads and writes ten tensors of the parameter's size; the
/// loop reads four and writes three. States are burn's either way.
#[derive(Clone)]
pub(super) struct FusedAdam {
    /// For the first step, and for devices other than the host and adapters.
    rule: Adam,
}

impl FusedAdam {
    pub fn new() -> Self {
        Self {
            rule: Self::config().build(),
        }
    }

    /// Its constants.
    pub fn config() -> AdamConfig {
        AdamConfig::new()
            .with_beta_1(BETA_1)
            .with_beta_2(BETA_2)
            .with_epsilon(EPSILON)
    }
}

/// The constants of update `time`, counted from 1.
pub(super) fn constants(time: usize, learning_rate: LearningRate) -> Constants {
    let power = i32::try_from(time).unwrap_or(i32::MAX);
    let correction_2 = (1.0 - BETA_2.powi(power)).sqrt();
    let correction = correction_2 / (1.0 - BETA_1.powi(power));
    Constants {
        beta_1: BETA_1,
        beta_2: BETA_2,
        rate: learning_rate as f32 * correction,
        epsilon: EPSILON * correction_2,
    }
}

impl Rule for FusedAdam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: LearningRate,
        theta: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        match state {
            Some(state) if theta.dtype() == DType::F32 && host::suits(&theta.device()) => {
                let (mut theta, gradient) = (Values::of(theta), Values::of(gradient));
                let mut state = HostState::of(state);
                state.step(learning_rate, theta.as_mut_slice(), gradient.as_slice());
                (theta.into_tensor(), Some(state.into_state()))
            }
            state => self.rule.step(learning_rate, theta, gradient, state),
        }
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        <Adam as Rule>::to_device(state, device)
    }
}

/// The state of one parameter where it lies in host memory.
pub(super) struct HostState {
    /// How many updates it has seen.
    time: usize,
    moments: [Values; 2],
}

impl HostState {
    pub fn of<const D: usize>(state: AdamState<D>) -> Self {
        let AdaptiveMomentumState {
            time,
            moment_1,
            moment_2,
            ..
        } = state.momentum;
        Self {
            time,
            moments: [moment_1, moment_2].map(Values::of),
        }
    }

    pub fn into_state<const D: usize>(self) -> AdamState<D> {
        let [moment_1, moment_2] = self.moments.map(Values::into_tensor);
        AdamState::new(AdaptiveMomentumState::new(self.time, moment_1, moment_2))
    }

    /// One update.
    pub fn step(&mut self, learning_rate: LearningRate, theta: &mut [f32], gradient: &[f32]) {
        self.time += 1;
        let constants = constants(self.time, learning_rate);
        let [moment_1, moment_2] = &mut self.moments;
        host::adam::update(
            theta,
            gradient,
            moment_1.as_mut_slice(),
            moment_2.as_mut_slice(),
            constants,
        );
    }
}
