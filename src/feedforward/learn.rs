//! A chain as a run trains it.

use burn::optim::{StateSink, StateSource};
use burn::tensor::Tensor;

use super::{Chain, Step};
use crate::batch::Batch;
use crate::credit::Credit;
use crate::error::Result;
use crate::interface::{Contract, Interface};
use crate::learner::{Learner, Metric, Metrics, Network};
use crate::schedule::Sparse;

/// The credit that sections learn with, and which of them learn in which step.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainSchedule {
    /// The credit.
    pub credit: Credit,
    /// Which sections learn in which step; none for all of them in every step.
    pub sparse: Option<Sparse>,
    /// Steps at the start in which sections learn by backprop while synthesizers and input models
    /// learn but are not used; zero for none. Credits without synthesizers ignore it.
    pub warm_up: usize,
}

impl From<Credit> for ChainSchedule {
    /// Every section learns in every step, from the first on.
    fn from(credit: Credit) -> Self {
        Self {
            credit,
            sparse: None,
            warm_up: 0,
        }
    }
}

impl ChainSchedule {
    /// Whether a step, counted from 0, is one of the warm-up.
    fn warms_up(&self, step: usize) -> bool {
        step < self.warm_up && self.credit.uses_synthesizers()
    }

    /// Which of `sections` sections learn in a step, counted from 0, from the bottom up.
    pub(crate) fn learners(&self, step: usize, sections: usize) -> Vec<bool> {
        let mut learners = match &self.sparse {
            Some(sparse) => sparse.learners(step, sections),
            None => vec![true; sections],
        };
        if self.credit == Credit::None {
            learners[..sections.saturating_sub(1)].fill(false);
        }
        learners
    }
}

impl Learner for Chain {
    type Batch = Batch;
    type Schedule = ChainSchedule;

    fn learn(&mut self, batch: Batch, schedule: &ChainSchedule, step: usize) -> Metrics {
        let answered = batch.clone();
        let learners = schedule.learners(step, self.sections.len());
        let done = match schedule.warms_up(step) {
            true => self.warm_up_step(batch, &learners),
            false => self.sparse_step(batch, schedule.credit, &learners),
        };
        self.metrics(done, &answered)
    }

    fn set_rate_factor(&mut self, factor: f64) {
        let factor = self.with_rate_factor(factor);
        self.group().set_rate_factor(factor);
    }
}

impl Chain {
    /// What the first part with a parameter that is not finite makes.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub(crate) fn not_finite(&self) -> Result<Option<Metric>> {
        for (i, s) in self.sections.iter().enumerate() {
            if !s.section.is_finite()? {
                return Ok(Some(Metric::Output(i)));
            }
            let interface = self.interfaces.get(i);
            if !interface.map_or(Ok(true), Interface::is_finite)? {
                return Ok(Some(Metric::Synthesizer(i)));
            }
        }
        Ok(None)
    }

    fn metrics(&self, step: Step, batch: &Batch) -> Metrics {
        let loss = self.objective.mean(step.output.clone(), batch);
        let mut metrics = vec![(Metric::Loss, loss)];
        metrics.extend(losses_of(step.residuals, Metric::Synthesizer));
        metrics.extend(losses_of(step.input_residuals, Metric::InputModel));
        let outputs = step.messages.into_iter().chain([step.output]).enumerate();
        metrics.extend(outputs.map(|(i, output)| (Metric::Output(i), Metric::sum_of(output))));
        metrics
    }
}

/// The loss of every interface that has a residual.
fn losses_of(
    residuals: Vec<Option<Tensor<2>>>,
    metric: fn(usize) -> Metric,
) -> impl Iterator<Item = (Metric, Tensor<1>)> {
    let residuals = residuals.into_iter().enumerate();
    residuals.filter_map(move |(i, residual)| Some((metric(i), Metric::loss_of(residual?))))
}

impl Network for Chain {
    fn interface_names(&self) -> Vec<&str> {
        Chain::interface_names(self)
    }

    fn contracts(&self) -> Vec<Contract> {
        self.interfaces.iter().map(Interface::contract).collect()
    }

    fn culprit(&self, metric: Metric) -> String {
        let on_top = |what: &str, i: usize| {
            let below = &self.sections[i].name;
            format!("{what} on top of section '{below}'")
        };
        match metric {
            Metric::Output(i) => format!("section '{}'", self.sections[i].name),
            Metric::Synthesizer(i) => on_top("the synthesizer", i),
            Metric::InputModel(i) => on_top("the input model", i),
            Metric::Auxiliary(i) => on_top("the auxiliary task", i),
            Metric::Loss => "the loss".to_string(),
        }
    }

    fn find_not_finite(&self) -> Result<Option<String>> {
        let metric = self.not_finite()?;
        Ok(metric.map(|metric| self.culprit(metric)))
    }

    fn save(&self, sink: &mut StateSink) -> Result<()> {
        for (i, s) in self.sections.iter().enumerate() {
            s.section.save(&format!("section.{i}"), sink)?;
        }
        for (i, interface) in self.interfaces.iter().enumerate() {
            interface.save(&format!("interface.{i}"), sink)?;
        }
        Ok(())
    }

    fn load(&mut self, source: &mut StateSource) -> Result<()> {
        for (i, s) in self.sections.iter_mut().enumerate() {
            s.section.load(&format!("section.{i}"), source)?;
        }
        for (i, interface) in self.interfaces.iter_mut().enumerate() {
            interface.load(&format!("interface.{i}"), source)?;
        }
        Ok(())
    }
}
