//! The settings of experiments with recurrent networks: a task of theirs, and what they have in common.

use std::fmt;

use burn::tensor::Device;
use clap::Args;
use dni::{Loss, Recurrent};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::args::{CallArgs, Misuse, set};
use crate::budget::{Budget, BudgetArgs};
use crate::comparison::{self, Common};
use crate::experiment::Saved;
use crate::flags::{self, Flags};
use crate::recurrent::{RecurrentMethod, RecurrentNetwork, TrainingArgs};

/// What an experiment with a recurrent network is about: its own settings, and those that it begins with.
pub trait SequenceTask:
    Args + Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Sync
{
    /// The name of the experiment.
    const NAME: &'static str;

    /// The loss of its answers.
    const LOSS: Loss;

    /// Its flags that are no settings.
    type Call: Args + fmt::Debug;

    /// The settings that hold where no flag was given.
    fn standard() -> Settings<Self>;

    /// Values of an input and of an answer; 1 of each where only the data says how many there are.
    fn sizes(&self) -> (usize, usize);

    /// Refuses what could not be trained with such batches. Default: nothing.
    fn check(&self, _batch: usize) -> Result<(), Misuse> {
        Ok(())
    }

    /// Bytes that its data needs at the very least. Default: none worth counting.
    fn memory(&self) -> u128 {
        0
    }

    /// Makes of what flags say what is meant. Default: that is the same.
    fn complete(&mut self, _flags: &Flags<Self>) {}

    /// Writes down what is used where nothing was said. Default: everything was.
    fn resolve(&mut self, _budget: Budget) {}
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings<T> {
    pub run: Common<RecurrentMethod>,
    pub budget: Budget,
    #[serde(flatten)]
    pub task: T,
    pub network: RecurrentNetwork,
}

/// Flags of such an experiment.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct SequenceArgs<T: SequenceTask> {
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    network: Flags<RecurrentNetwork>,
    #[command(flatten)]
    pub task: Flags<T>,
    #[command(flatten)]
    pub length: BudgetArgs,
    #[command(flatten)]
    pub own: T::Call,
    #[command(flatten)]
    pub call: CallArgs,
}

impl<T: SequenceTask> Settings<T> {
    /// Runs of all methods for so many steps, with so many sequences side by side.
    pub fn new(steps: usize, batch_size: usize, network: RecurrentNetwork) -> Self {
        let methods = RecurrentMethod::ALL.to_vec();
        Self {
            run: Common::new(T::NAME, methods, steps, batch_size),
            budget: Budget::Steps(steps),
            task: flags::standard(),
            network,
        }
    }

    /// The network of one run, whose inputs and answers have the sizes of the task.
    pub fn build(
        &self,
        method: RecurrentMethod,
        seed: u64,
        device: &Device,
    ) -> Result<Recurrent, Misuse> {
        let (inputs, answers) = self.task.sizes();
        self.network
            .build(method, seed, (T::LOSS, inputs, answers), device)
    }
}

impl<T: SequenceTask> Saved<'_, Settings<T>> {
    /// The network as it was trained.
    pub fn network(self) -> anyhow::Result<Recurrent> {
        let mut network = self.settings.build(self.method, self.seed, self.device)?;
        self.checkpoint.restore(&mut network)?;
        Ok(network)
    }
}

impl<T: SequenceTask> comparison::Settings for Settings<T> {
    const NAME: &'static str = T::NAME;
    const REFERENCE: &'static str = "bptt";
    const LENGTH: &'static str = "--budget";

    type Method = RecurrentMethod;
    type Args = SequenceArgs<T>;

    fn from_args(base: Option<&Self>, args: &SequenceArgs<T>) -> Self {
        let mut s = base.cloned().unwrap_or_else(T::standard);
        s.budget = args.length.set(&mut s.run, s.budget, &args.call.machine);
        set(&mut s.run.methods, &args.training.methods);
        set(&mut s.run.batch_size, &args.training.batch_size);
        args.network.set(&mut s.network);
        args.task.set(&mut s.task);
        s.task.complete(&args.task);
        s
    }

    fn common(&self) -> &Common<RecurrentMethod> {
        &self.run
    }

    fn common_mut(&mut self) -> &mut Common<RecurrentMethod> {
        &mut self.run
    }

    fn check(&self) -> Result<(), Misuse> {
        self.run.check()?;
        self.run
            .check_norm(self.network.synthesizer.has_batch_norm())?;
        self.network.check()?;
        self.task.check(self.run.batch_size)
    }

    fn memory(&self) -> u128 {
        let (inputs, _) = self.task.sizes();
        let network = self.network.memory(self.run.batch_size, inputs);
        network.saturating_add(self.task.memory())
    }

    fn set_length(&mut self, other: &Self) {
        (self.budget, self.run.steps) = (other.budget, other.run.steps);
    }

    fn is_longer_than(&self, other: &Self) -> bool {
        self.budget.is_longer_than(other.budget)
    }

    fn resolve(&mut self) {
        self.network.resolve();
        self.task.resolve(self.budget);
    }
}
