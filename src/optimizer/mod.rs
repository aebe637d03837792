//! burn's optimizers, one for each section and each synthesizer.
//!
//! burn's own `ModuleOptimizer` does the same and more: learning rates by parameter path, several
//! groups, several devices. Every section has its own optimizer here, so none of that is needed;
//! and its saved state can only be read back onto burn's default device, which is the GPU as soon
//! as the build has one. So the update rules (SGD, Adam and all others) are burn's, and what finds
//! parameter, gradient and state is the code below.

mod accumulation;
mod adam;
#[cfg(feature = "wgpu")]
mod gpu;
mod lent;
mod rule;
mod sgd;

pub(crate) use lent::Lent;
pub use rule::{Constants, UpdateRule};

use std::fmt;
use std::sync::Arc;

use burn::grad_clipping::{GradientClipping, GradientClippingConfig};
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{
    DynOptimizer, DynState, GradientsParams, LearningRate, Optimizer as Rule, SgdConfig, StateSink,
    StateSource,
};
use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::optimizer::accumulation::Accumulation;
use crate::optimizer::adam::FusedAdam;
use crate::optimizer::lent::InPlace;
use crate::optimizer::rule::Terms;
use crate::optimizer::sgd::FusedSgd;
use crate::pass::learning;

/// An update rule of burn with its learning rate and its state for each parameter of one module.
#[derive(Clone)]
pub struct Optimizer {
    rule: Arc<dyn DynOptimizer>,
    clipping: Option<GradientClipping>,
    accumulation: Option<Accumulation>,
    /// By which a checkpoint knows rule and clipping.
    terms: Terms,
    /// How parameters can be changed where they lie, if that is known.
    in_place: Option<InPlace>,
    learning_rate: LearningRate,
    /// What the schedule multiplies it by.
    rate_factor: f64,
    states: Vec<Option<DynState>>,
}

impl Optimizer {
    /// Any of burn's update rules by its configuration, for instance `AdamWConfig::new()`, clipping
    /// included, or a rule of your own.
    ///
    /// # Panics
    ///
    /// If the learning rate is negative or not finite, or a clipping threshold is not a number
    /// above 0.
    pub fn new<R: UpdateRule>(rule: R, learning_rate: LearningRate) -> Self {
        let optimizer = Self::of(rule.rule(), Terms::of(&rule), None, learning_rate);
        match rule.clipping() {
            Some(clipping) => optimizer.with_clipping(clipping),
            None => optimizer,
        }
    }

    fn of(
        rule: impl Rule,
        terms: Terms,
        in_place: Option<InPlace>,
        learning_rate: LearningRate,
    ) -> Self {
        let mut optimizer = Self {
            rule: Arc::new(rule),
            in_place,
            clipping: None,
            accumulation: None,
            terms,
            learning_rate,
            rate_factor: 1.0,
            states: Vec::new(),
        };
        optimizer.set_learning_rate(learning_rate);
        optimizer
    }

    /// Plain stochastic gradient descent.
    pub fn sgd(learning_rate: LearningRate) -> Self {
        let terms = Terms::of(&SgdConfig::new());
        Self::of(FusedSgd::new(), terms, Some(InPlace::Sgd), learning_rate)
    }

    /// Adam with the constants of its paper; burn's default epsilon is a thousand times larger, too
    /// large for the small gradients of synthesizers.
    pub fn adam(learning_rate: LearningRate) -> Self {
        let terms = Terms::of(&FusedAdam::config());
        Self::of(FusedAdam::new(), terms, Some(InPlace::Adam), learning_rate)
    }

    /// Clips gradients before the rule sees them: each value, or the norm of each parameter's
    /// gradient separately.
    ///
    /// # Panics
    ///
    /// If the threshold is not a number above 0.
    pub fn with_clipping(mut self, clipping: GradientClippingConfig) -> Self {
        self.clipping = Some(self.terms.clip(&clipping));
        // What is changed where it lies has no gradient that could be clipped before.
        self.in_place = None;
        self
    }

    /// Takes one step of the rule for every `updates` updates, by the mean of their gradients:
    /// gradient accumulation, for batches larger than what is computed at once. Clipping applies to
    /// the mean.
    ///
    /// # Panics
    ///
    /// If `updates` is zero.
    pub fn accumulating(mut self, updates: usize) -> Self {
        self.accumulation = Some(Accumulation::new(updates));
        self.terms.accumulate(updates);
        self.in_place = None;
        self
    }

    /// Whether an update is the learning rate times the gradient, and nothing else.
    pub(crate) fn is_plain_descent(&self) -> bool {
        self.terms.is_plain_descent()
    }

    /// The learning rate, without the [factor](Self::set_rate_factor) of a schedule.
    pub fn learning_rate(&self) -> LearningRate {
        self.learning_rate
    }

    /// Changes the learning rate from the next update on.
    ///
    /// # Panics
    ///
    /// If it is negative or not finite.
    pub fn set_learning_rate(&mut self, learning_rate: LearningRate) {
        assert!(
            learning_rate.is_finite() && learning_rate >= 0.0,
            "a learning rate must be finite and not negative, got {learning_rate}"
        );
        self.learning_rate = learning_rate;
    }

    /// Multiplies the learning rate by `factor` from the next update on; this replaces the previous
    /// factor. A checkpoint does not keep it: the schedule knows it for every step.
    ///
    /// # Panics
    ///
    /// If it is negative or not finite.
    pub fn set_rate_factor(&mut self, factor: f64) {
        assert!(
            factor.is_finite() && factor >= 0.0,
            "a factor of the learning rate must be finite and not negative, got {factor}"
        );
        self.rate_factor = factor;
    }

    /// `theta <- theta - alpha * step(gradient)` for every parameter that has a gradient.
    ///
    /// A parameter without one, and one that is frozen (burn's `no_grad` or `freeze`), keeps its
    /// value and its state.
    pub fn update<M: Module>(&mut self, module: M, gradients: GradientsParams) -> M {
        let learns = learning(&module);
        self.update_learning(module, gradients, &learns)
    }

    /// [`update`](Self::update) of a module of which is known which parameters
    /// [learn](learning).
    pub(crate) fn update_learning<M: Module>(
        &mut self,
        module: M,
        gradients: GradientsParams,
        learns: &[bool],
    ) -> M {
        if let Some(accumulation) = &mut self.accumulation {
            accumulation.begin();
        }
        let mut update = Update {
            optimizer: self,
            gradients,
            learns,
            index: 0,
            #[cfg(feature = "wgpu")]
            on_adapter: gpu::Gathered::default(),
        };
        let module = module.map(&mut update);
        #[cfg(feature = "wgpu")]
        update.on_adapter.make();
        module
    }

    /// Forgets all that it knows of the parameters that it has moved.
    pub(crate) fn forget(&mut self) {
        self.states.clear();
        if let Some(accumulation) = &mut self.accumulation {
            accumulation.clear();
        }
    }

    /// Writes the terms, the learning rate, and the states as `prefix.parameter.field`, parameters
    /// numbered as the module visits them.
    pub(crate) fn save(&self, prefix: &str, sink: &mut StateSink) {
        // A state has tensors and numbers only: a text is a tensor of its bytes.
        let terms = serde_json::to_vec(&self.terms).expect("plain values are always JSON");
        let length = terms.len();
        sink.push_tensor(prefix, TERMS, TensorData::new(terms, [length]));
        sink.push_scalar(prefix, "learning_rate", self.learning_rate.into());
        if let Some(accumulation) = &self.accumulation {
            accumulation.save(prefix, sink);
        }
        for (index, state) in self.states.iter().enumerate() {
            if let Some(state) = state {
                let prefix = format!("{prefix}.{index}");
                sink.push_scalar(&prefix, "rank", state.rank().into());
                self.rule.state_flatten(&prefix, state, sink);
            }
        }
    }

    /// Moves the states to another device.
    ///
    /// # Errors
    ///
    /// If one cannot be moved.
    pub(crate) fn move_to(&mut self, device: &Device) -> Result<()> {
        const ANY: &str = "optimizer";
        let mut sink = StateSink::default();
        self.save(ANY, &mut sink);
        let mut source = StateSource::new(sink.scalars.into_iter().collect());
        for (name, data) in sink.tensors {
            source.insert_tensor(name, data);
        }
        self.load(ANY, self.states.len(), &mut source, device)
    }

    /// Reads back what [`save`](Self::save) wrote, for a module of `parameters` parameters.
    ///
    /// # Errors
    ///
    /// If the update rule, a constant of it or the clipping is another one, or a state is missing.
    pub(crate) fn load(
        &mut self,
        prefix: &str,
        parameters: usize,
        source: &mut StateSource,
        device: &Device,
    ) -> Result<()> {
        let missing = |name: String| Error::MissingTensor { name };
        let terms = source.take_tensor(prefix, TERMS);
        let terms = terms.and_then(|terms| terms.try_into_vec::<u8>().ok());
        let terms = terms.and_then(|terms| serde_json::from_slice::<Terms>(&terms).ok());
        let terms = terms.ok_or_else(|| missing(format!("{prefix}.{TERMS}")))?;
        if terms != self.terms {
            return Err(Error::Contract {
                what: format!("the update rule of {prefix}"),
                saved: terms.to_string(),
                current: self.terms.to_string(),
            });
        }
        let learning_rate = source
            .take_scalar(prefix, "learning_rate")
            .and_then(|rate| f64::try_from(rate).ok())
            .ok_or_else(|| missing(format!("{prefix}.learning_rate")))?;
        if let Some(accumulation) = &mut self.accumulation {
            let loaded = accumulation.load(prefix, parameters, source, device);
            loaded.ok_or_else(|| missing(format!("{prefix}.accumulated")))?;
        }
        let mut states = Vec::with_capacity(parameters);
        for index in 0..parameters {
            let prefix = format!("{prefix}.{index}");
            let state = match source.take_scalar(&prefix, "rank") {
                Some(rank) => {
                    let state = usize::try_from(rank)
                        .ok()
                        .and_then(|rank| self.rule.state_unflatten(rank, &prefix, source, device));
                    Some(state.ok_or_else(|| missing(prefix))?)
                }
                None => None,
            };
            states.push(state);
        }
        self.learning_rate = learning_rate;
        self.states = states;
        Ok(())
    }
}

/// Under which name a checkpoint has the terms of an optimizer.
const TERMS: &str = "rule";

impl fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimizer")
            .field("rule", &self.terms.to_string())
            .field("learning_rate", &self.learning_rate)
            .field("states", &self.states.len())
            .finish()
    }
}

/// Walks a module and updates each parameter that learns and has a gradient.
struct Update<'a> {
    optimizer: &'a mut Optimizer,
    gradients: GradientsParams,
    learns: &'a [bool],
    index: usize,
    /// What is updated at the end.
    #[cfg(feature = "wgpu")]
    on_adapter: gpu::Gathered,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let index = self.index;
        self.index += 1;
        let states = &mut self.optimizer.states;
        if states.len() <= index {
            states.resize_with(index + 1, || None);
        }
        let gradient = self.gradients.remove::<D>(param.id);
        let gradient = gradient.filter(|_| self.learns[index]);
        let gradient = match &mut self.optimizer.accumulation {
            Some(accumulation) => accumulation.take_in(index, gradient, param.val().dims()),
            None => gradient,
        };
        let Some(gradient) = gradient else {
            return param;
        };
        let gradient = match &self.optimizer.clipping {
            Some(clipping) => clipping.clip_gradient(gradient),
            None => gradient,
        };
        let rate = self.optimizer.learning_rate * self.optimizer.rate_factor;
        let (id, value, mapper) = param.consume();
        #[cfg(feature = "wgpu")]
        if let Some(rule) = self.optimizer.in_place
            && crate::gpu::suits(&gradient)
        {
            let state = &mut states[index];
            let value = self
                .on_adapter
                .add(rule, rate, value.inner(), gradient, state);
            return Param::from_mapped_value(id, value, mapper);
        }
        let (value, state) = self.optimizer.rule.step_dyn(
            D,
            rate,
            value.inner().into_bridge(),
            gradient.into_bridge(),
            states[index].take(),
        );
        states[index] = state;
        Param::from_mapped_value(id, Tensor::from_bridge(value), mapper)
    }
}
