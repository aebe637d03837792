//! The training loop.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use super::{Event, Listener, RunFolder, Scalars};
use crate::credit::Credit;
use crate::error::{Error, Result};
use crate::feedforward::{Batch, Chain, Step};
use crate::schedule::{Drops, Sparse};

/// What a run trains on.
pub trait Task {
    /// The batch of a step, counted from 0: a function of the step alone, so that a resumed run
    /// sees what it would have seen.
    fn batch(&mut self, step: usize) -> Batch;

    /// Figures of the network in use, by name, such as the error on a test set: for
    /// [`Event::Evaluated`]. Default: none.
    fn evaluate(&mut self, _chain: &Chain) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
}

/// How long and with which credit a run trains.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Steps in all.
    pub steps: usize,
    /// The credit.
    pub credit: Credit,
    /// Which sections learn in which step; none for all of them in every step.
    pub sparse: Option<Sparse>,
    /// Drops of the learning rates.
    pub drops: Drops,
    /// Steps at the start in which sections learn by backprop while synthesizers learn without
    /// being applied; zero for none.
    pub warm_up: usize,
    /// Steps between two [`Event::Progress`].
    pub record_every: usize,
    /// Steps between two [evaluations](Task::evaluate); none for no evaluation.
    pub evaluate_every: Option<usize>,
    /// Steps between two looks at the losses for NaN and infinity. Each look waits for the
    /// device, so every step is right for a CPU only.
    pub check_every: usize,
    /// The least time between two checkpoints.
    pub save_every: Duration,
}

impl Plan {
    /// A plan in which every section learns in every step at constant rates, nothing is evaluated,
    /// losses are looked at every step and recorded every hundredth, and checkpoints are a minute
    /// apart.
    pub fn new(steps: usize, credit: Credit) -> Self {
        Self {
            steps,
            credit,
            sparse: None,
            drops: Drops::default(),
            warm_up: 0,
            record_every: 100,
            evaluate_every: None,
            check_every: 1,
            save_every: Duration::from_secs(60),
        }
    }

    /// The credit of a step, counted from 0.
    fn credit_of(&self, step: usize) -> Credit {
        if step < self.warm_up && self.credit.uses_synthesizers() {
            Credit::Mixed { lambda: 1.0 }
        } else {
            self.credit
        }
    }

    /// One step of training, counted from 0.
    fn step(&self, chain: &mut Chain, batch: Batch, step: usize) -> Step {
        chain.set_rate_factor(self.drops.factor(step));
        let credit = self.credit_of(step);
        match &self.sparse {
            Some(sparse) => {
                let learners = sparse.learners(step, chain.names().len());
                chain.sparse_step(batch, credit, &learners)
            }
            None => chain.step(batch, credit),
        }
    }

    /// Whether the network is to be evaluated after so many steps.
    fn evaluates_after(&self, steps: usize) -> bool {
        self.evaluate_every
            .is_some_and(|every| steps.is_multiple_of(every))
    }

    /// Whether figures are to be recorded after so many steps.
    fn records_after(&self, steps: usize) -> bool {
        steps.is_multiple_of(self.record_every)
            || steps == self.steps
            || self.evaluates_after(steps)
    }
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Seconds spent in training.
    pub seconds: f64,
}

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// All steps are done.
    Finished(Progress),
    /// It was asked to stop; the last checkpoint has everything.
    Interrupted(Progress),
}

/// Trains `chain` from `start` to the plan's last step.
///
/// The run's folder hears every event before the listeners do, and gets a checkpoint at the start,
/// from time to time, when `stop` is set, and at the end.
///
/// # Errors
///
/// If a loss or a parameter is no longer finite, which leaves the last good checkpoint in place, or
/// if the folder or a listener fails.
///
/// # Panics
///
/// As [`Chain::step`] does.
pub fn train(
    chain: &mut Chain,
    task: &mut dyn Task,
    plan: &Plan,
    start: Progress,
    folder: &mut RunFolder,
    listeners: &mut [&mut dyn Listener],
    stop: &AtomicBool,
) -> Result<Outcome> {
    if start.step >= plan.steps {
        return Ok(Outcome::Finished(start));
    }
    let mut tell = |folder: &mut RunFolder, event: Event| -> Result<()> {
        folder.hear(&event)?;
        listeners.iter_mut().try_for_each(|l| l.hear(&event))
    };
    let clock = Instant::now();
    let now = |step| Progress {
        step,
        seconds: start.seconds + clock.elapsed().as_secs_f64(),
    };
    let mut step = start.step;
    let mut losses = Losses::new(chain, step);
    let mut saved = Instant::now();
    tell(
        folder,
        Event::Started {
            step,
            steps: plan.steps,
        },
    )?;
    if step == 0 {
        folder.save(chain, start)?;
    }
    // Stopping where figures are recorded leaves those figures, too, as if nothing had happened.
    while step < plan.steps && !(plan.records_after(step) && stop.load(Ordering::Relaxed)) {
        let batch = task.batch(step);
        let target = batch.target.clone();
        let done = plan.step(chain, batch, step);
        step += 1;
        losses.add(chain, done, target);

        let record = plan.records_after(step);
        if record || losses.pending() >= plan.check_every {
            losses.read()?;
        }
        if record {
            let scalars = losses.take_means(now(step));
            tell(folder, Event::Progress(scalars))?;
            if plan.evaluates_after(step) {
                let figures = task.evaluate(chain);
                tell(folder, Event::Evaluated { step, figures })?;
            }
            if saved.elapsed() >= plan.save_every && step < plan.steps {
                check_parameters(chain, step)?;
                tell(folder, Event::Saved { step })?;
                folder.save(chain, now(step))?;
                saved = Instant::now();
            }
        }
    }
    losses.read()?;
    check_parameters(chain, step)?;
    let progress = now(step);
    let (event, outcome) = if step < plan.steps {
        (Event::Interrupted { step }, Outcome::Interrupted(progress))
    } else {
        let seconds = progress.seconds;
        (
            Event::Finished { step, seconds },
            Outcome::Finished(progress),
        )
    };
    tell(folder, event)?;
    folder.save(chain, progress)?;
    Ok(outcome)
}

/// Looks at the parameters before they are saved: the loss of a step says nothing of its update.
///
/// # Errors
///
/// If one is not finite.
fn check_parameters(chain: &Chain, step: usize) -> Result<()> {
    match chain.find_not_finite() {
        Some(what) => Err(Error::NotFinite { what, step }),
        None => Ok(()),
    }
}

/// What must stay finite in the steps since the last record: on the device until it is read.
struct Losses {
    /// The name of every section.
    sections: Vec<String>,
    /// Steps that have been read.
    read: usize,
    pending: Vec<Pending>,
    /// Over the steps read since the last record.
    means: BTreeMap<Figure, Mean>,
}

/// The figures of one step, in the order of what they are.
struct Pending {
    what: Vec<Figure>,
    figures: Tensor<1>,
}

/// What a figure is. The order is that of suspicion: the lowest section whose output is not finite
/// spoils all above it, and a synthesizer or an input model the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    /// The sum of a section's output.
    Output(usize),
    /// The loss of the synthesizer on top of a section.
    Synthesizer(usize),
    /// The loss of the input model there.
    InputModel(usize),
    Loss,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Losses {
    fn new(chain: &Chain, step: usize) -> Self {
        Self {
            sections: chain.names().into_iter().map(String::from).collect(),
            read: step,
            pending: Vec::new(),
            means: BTreeMap::new(),
        }
    }

    fn pending(&self) -> usize {
        self.pending.len()
    }

    fn add(&mut self, chain: &Chain, step: Step, target: Tensor<2>) {
        let mut figures = vec![(Figure::Loss, chain.loss().mean(step.output.clone(), target))];
        figures.extend(losses_of(step.residuals, Figure::Synthesizer));
        figures.extend(losses_of(step.input_residuals, Figure::InputModel));
        let outputs = step.messages.into_iter().chain([step.output]).enumerate();
        figures.extend(outputs.map(|(i, output)| (Figure::Output(i), output.sum())));
        let (what, figures) = figures.into_iter().unzip();
        self.pending.push(Pending {
            what,
            figures: Tensor::cat(figures, 0),
        });
    }

    /// Reads what is pending.
    ///
    /// # Errors
    ///
    /// At the first step with a figure that is not finite.
    fn read(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let (layouts, figures): (Vec<_>, Vec<_>) =
            pending.into_iter().map(|p| (p.what, p.figures)).unzip();
        let values: Vec<f32> = Tensor::cat(figures, 0)
            .into_data()
            .try_into_vec()
            .expect("losses are f32");
        let mut values = values.into_iter();
        for what in layouts {
            self.read += 1;
            let figures: Vec<(Figure, f32)> = what.into_iter().zip(&mut values).collect();
            let culprits = figures.iter().filter(|(_, value)| !value.is_finite());
            if let Some((culprit, _)) = culprits.min_by_key(|(figure, _)| *figure) {
                return Err(Error::NotFinite {
                    what: self.name(*culprit),
                    step: self.read,
                });
            }
            for (figure, value) in figures {
                let mean = self.means.entry(figure).or_default();
                mean.sum += f64::from(value);
                mean.count += 1;
            }
        }
        Ok(())
    }

    fn name(&self, figure: Figure) -> String {
        match figure {
            Figure::Output(i) => format!("section '{}'", self.sections[i]),
            Figure::Synthesizer(i) => {
                format!("the synthesizer on top of section '{}'", self.sections[i])
            }
            Figure::InputModel(i) => {
                format!("the input model on top of section '{}'", self.sections[i])
            }
            Figure::Loss => "the loss".to_string(),
        }
    }

    fn take_means(&mut self, progress: Progress) -> Scalars {
        let means = std::mem::take(&mut self.means);
        let mean = |figure: Figure| means.get(&figure).map(|mean| mean.sum / mean.count as f64);
        let of_interfaces = |figure: fn(usize) -> Figure| {
            let interfaces = 0..self.sections.len() - 1;
            interfaces.map(|i| mean(figure(i))).collect()
        };
        Scalars {
            step: progress.step,
            seconds: progress.seconds,
            loss: mean(Figure::Loss).unwrap_or(0.0),
            synthesizer_losses: of_interfaces(Figure::Synthesizer),
            input_losses: of_interfaces(Figure::InputModel),
        }
    }
}

/// The mean of `1/2 |residual|^2` over the batch, for every interface that has one.
fn losses_of(
    residuals: Vec<Option<Tensor<2>>>,
    figure: fn(usize) -> Figure,
) -> impl Iterator<Item = (Figure, Tensor<1>)> {
    let residuals = residuals.into_iter().enumerate();
    residuals.filter_map(move |(i, residual)| {
        let residual = residual?;
        let [batch, _] = residual.dims();
        let loss = residual.square().sum().mul_scalar(0.5 / batch as f64);
        Some((figure(i), loss))
    })
}
