//! A parameter and its optimizer state, lent out to be changed where they lie.

use burn::module::{Param, ParamId, ParamMapper};
use burn::optim::{AdamState, DynState, LearningRate};
use burn::tensor::Tensor;

use super::Optimizer;
use super::adam::HostState;
use crate::host::{Values, dense::Keep};

/// An update rule that is a loop over host memory.
#[derive(Debug, Clone, Copy)]
pub(super) enum InPlace {
    Sgd,
    Adam,
}

/// A parameter, `D` dimensions, on the host.
pub(crate) struct Lent<const D: usize> {
    id: ParamId,
    values: Values,
    mapper: ParamMapper<Tensor<D>>,
    rule: Rule,
}

enum Rule {
    /// It is frozen, or does not learn in this step.
    Rest,
    Sgd {
        rate: f32,
    },
    Adam {
        rate: LearningRate,
        state: Box<HostState>,
    },
}

impl Optimizer {
    /// Whether parameters can be [lent](Self::lend) out, those of them to learn which `learns` says
    /// so. The first update of a parameter, which makes its state, is none of these.
    pub(crate) fn lends(&self, learns: &[bool]) -> bool {
        let has_state = |i| matches!(self.states.get(i), Some(Some(_)));
        let mut learning = learns.iter().enumerate().filter(|(_, learns)| **learns);
        self.in_place.is_some() && learning.all(|(i, _)| has_state(i))
    }

    /// Lends out parameter `index`, whose tensor lies in host memory.
    ///
    /// # Panics
    ///
    /// If it is not one of those that [can be lent](Self::lends).
    pub(crate) fn lend<const D: usize>(
        &mut self,
        index: usize,
        param: Param<Tensor<D>>,
        learns: bool,
    ) -> Lent<D> {
        let rate = self.learning_rate * self.rate_factor;
        let rule = match self.in_place.filter(|_| learns) {
            None => Rule::Rest,
            Some(InPlace::Sgd) => Rule::Sgd { rate: rate as f32 },
            Some(InPlace::Adam) => {
                let state = self.states[index].take();
                let state = state.expect("a parameter that is lent out has a state");
                let state = HostState::of(state.downcast::<AdamState<D>>());
                let state = Box::new(state);
                Rule::Adam { rate, state }
            }
        };
        let (id, value, mapper) = param.consume();
        Lent {
            id,
            values: Values::of(value),
            mapper,
            rule,
        }
    }

    /// Takes parameter `index` back.
    pub(crate) fn take_back<const D: usize>(
        &mut self,
        index: usize,
        lent: Lent<D>,
    ) -> Param<Tensor<D>> {
        if let Rule::Adam { state, .. } = lent.rule {
            let state = state.into_state::<D>();
            self.states[index] = Some(DynState::create(state, D));
        }
        Param::from_mapped_value(lent.id, lent.values.into_tensor(), lent.mapper)
    }
}

impl<const D: usize> Lent<D> {
    /// The values, row after row.
    pub fn as_slice(&self) -> &[f32] {
        self.values.as_slice()
    }

    /// One update, if the parameter learns. `keep` makes its gradient and keeps it in a place of
    /// the same size: the parameter's own, if the rule is as simple as that.
    pub fn learn(&mut self, keep: impl FnOnce(&mut [f32], Keep)) {
        match &mut self.rule {
            Rule::Rest => {}
            Rule::Sgd { rate } => {
                keep(self.values.as_mut_slice(), Keep::Descend { rate: *rate });
            }
            Rule::Adam { rate, state } => {
                let values = self.values.as_mut_slice();
                let mut gradient = vec![0.0; values.len()];
                keep(&mut gradient, Keep::Write);
                state.step(*rate, values, &gradient);
            }
        }
    }
}
