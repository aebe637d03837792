//! The training loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::Tensor;

use super::{Event, Listener, RunFolder, Scalars};
use crate::credit::Credit;
use crate::error::{Error, Result};
use crate::feedforward::{Batch, Chain, Step};

/// What a run trains on.
pub trait Task {
    /// The batch of a step, counted from 0: a function of the step alone, so that a resumed run
    /// sees what it would have seen.
    fn batch(&mut self, step: usize) -> Batch;
}

/// How long and with which credit a run trains.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Steps in all.
    pub steps: usize,
    /// The credit.
    pub credit: Credit,
    /// Steps at the start in which sections learn by backprop while synthesizers learn without
    /// being applied; zero for none.
    pub warm_up: usize,
    /// Steps between two [`Event::Progress`].
    pub record_every: usize,
    /// Steps between two looks at the losses for NaN and infinity. Each look waits for the
    /// device, so every step is right for a CPU only.
    pub check_every: usize,
    /// The least time between two checkpoints.
    pub save_every: Duration,
}

impl Plan {
    /// The credit of a step, counted from 0.
    fn credit_of(&self, step: usize) -> Credit {
        if step < self.warm_up && self.credit.uses_synthesizers() {
            Credit::Mixed { lambda: 1.0 }
        } else {
            self.credit
        }
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
    while step < plan.steps
        && !(step.is_multiple_of(plan.record_every) && stop.load(Ordering::Relaxed))
    {
        let batch = task.batch(step);
        let target = batch.target.clone();
        let done = chain.step(batch, plan.credit_of(step));
        step += 1;
        losses.add(chain, done, target);

        let record = step.is_multiple_of(plan.record_every) || step == plan.steps;
        if record || losses.pending() >= plan.check_every {
            losses.read()?;
        }
        if record {
            let scalars = losses.take_means(now(step));
            tell(folder, Event::Progress(scalars))?;
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
    /// For each step since: the loss, the loss of each synthesizer in use, and the sum of each
    /// section's output.
    pending: Vec<Tensor<1>>,
    /// Sums of the losses over the steps read since the last record, and their number.
    sums: Vec<f64>,
    count: usize,
}

impl Losses {
    fn new(chain: &Chain, step: usize) -> Self {
        Self {
            sections: chain.names().into_iter().map(String::from).collect(),
            read: step,
            pending: Vec::new(),
            sums: Vec::new(),
            count: 0,
        }
    }

    fn pending(&self) -> usize {
        self.pending.len()
    }

    fn add(&mut self, chain: &Chain, step: Step, target: Tensor<2>) {
        let mut figures = vec![chain.loss().mean(step.output.clone(), target)];
        figures.extend(step.residuals.into_iter().map(|residual| {
            let [batch, _] = residual.dims();
            residual.square().sum().mul_scalar(0.5 / batch as f64)
        }));
        figures.extend(step.messages.into_iter().map(Tensor::sum));
        figures.push(step.output.sum());
        self.pending.push(Tensor::cat(figures, 0));
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
        let steps = std::mem::take(&mut self.pending);
        let width = steps[0].dims()[0];
        let values: Vec<f32> = Tensor::cat(steps, 0)
            .into_data()
            .try_into_vec()
            .expect("losses are f32");
        let losses = width - self.sections.len();
        self.sums.resize(losses, 0.0);
        for figures in values.chunks_exact(width) {
            self.read += 1;
            self.count += 1;
            let (losses, outputs) = figures.split_at(losses);
            if let Some(what) = self.culprit(losses, outputs) {
                return Err(Error::NotFinite {
                    what,
                    step: self.read,
                });
            }
            for (sum, &loss) in self.sums.iter_mut().zip(losses) {
                *sum += f64::from(loss);
            }
        }
        Ok(())
    }

    /// What is not finite in a step, if anything: the lowest section whose output is not, since it
    /// spoils all above it; else the lowest synthesizer's loss, else the loss itself.
    fn culprit(&self, losses: &[f32], outputs: &[f32]) -> Option<String> {
        let first = |figures: &[f32]| figures.iter().position(|figure| !figure.is_finite());
        if let Some(i) = first(outputs) {
            return Some(format!("section '{}'", self.sections[i]));
        }
        if let Some(i) = first(&losses[1..]) {
            return Some(format!(
                "the synthesizer on top of section '{}'",
                self.sections[i]
            ));
        }
        first(losses).map(|_| "the loss".to_string())
    }

    fn take_means(&mut self, progress: Progress) -> Scalars {
        let count = std::mem::take(&mut self.count).max(1) as f64;
        let mut means = std::mem::take(&mut self.sums)
            .into_iter()
            .map(|sum| sum / count);
        Scalars {
            step: progress.step,
            seconds: progress.seconds,
            loss: means.next().unwrap_or(0.0),
            synthesizer_losses: means.collect(),
        }
    }
}
