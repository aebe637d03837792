//! What the settings of an experiment are, and those that all experiments share.

use std::fmt::Display;
use std::time::Duration;

use clap::Args;
use dni::Backend;
use dni::train::Plan;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::{LengthArgs, MachineArgs, Misuse, SeedArgs, check_threads, set};

/// The settings of an experiment: everything that decides what happens, written to the folder, and
/// enough to repeat it.
pub trait Settings: Clone + PartialEq + Serialize + DeserializeOwned + Sync {
    /// The name of the experiment.
    const NAME: &'static str;

    /// The ways to train that it compares.
    type Method: Copy + PartialEq + Display + Sync;

    /// The one by which others are measured: that of true gradients.
    const REFERENCE: &'static str = "backprop";

    /// The flags of its command, [`CallArgs`](crate::args::CallArgs) among them.
    type Args: Args;

    /// The one that says how long its runs are.
    const LENGTH: &'static str = "--steps";

    /// `base`, or else the preset or the default, changed by the flags that were given.
    fn from_args(base: Option<&Self>, args: &Self::Args) -> Self;

    fn common(&self) -> &Common<Self::Method>;
    fn common_mut(&mut self) -> &mut Common<Self::Method>;

    /// Refuses what could not be trained, before anything is.
    fn check(&self) -> Result<(), Misuse>;

    /// Bytes that a run needs at the very least.
    fn memory(&self) -> u128;

    /// Whether a run takes the machine for itself. Default: on wgpu.
    fn is_alone(&self) -> bool {
        self.common().backend == Backend::Wgpu
    }

    /// Takes over how long `other` is to train.
    fn set_length(&mut self, other: &Self) {
        self.common_mut().steps = other.common().steps;
    }

    /// Whether it is to train longer than `other`.
    fn is_longer_than(&self, other: &Self) -> bool {
        self.common().steps > other.common().steps
    }

    /// Writes down what is used where nothing was said, so that another default tomorrow changes no
    /// run of today. In settings of a single run every value is then in its place.
    fn resolve(&mut self);
}

/// The settings that all experiments share.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common<M> {
    pub experiment: String,
    pub backend: Backend,
    pub kernel_threads: usize,
    pub methods: Vec<M>,
    pub seed: u64,
    pub seeds: usize,
    pub steps: usize,
    pub batch_size: usize,
}

impl<M: PartialEq + Display> Common<M> {
    /// One run of each method, on one thread.
    pub fn new(experiment: &str, methods: Vec<M>, steps: usize, batch_size: usize) -> Self {
        Self {
            experiment: experiment.to_string(),
            backend: Backend::Flex,
            kernel_threads: 1,
            methods,
            seed: 1,
            seeds: 1,
            steps,
            batch_size,
        }
    }

    /// Methods and seeds of all runs.
    pub fn runs(&self) -> Vec<(M, u64)>
    where
        M: Copy,
    {
        let seeds = self.seed..self.seed + self.seeds as u64;
        let of_method = |&method: &M| seeds.clone().map(move |seed| (method, seed));
        self.methods.iter().flat_map(of_method).collect()
    }

    /// The method and the seed of the settings of a single run.
    pub fn only(&self) -> Result<(M, u64), Misuse>
    where
        M: Copy,
    {
        match self.methods[..] {
            [method] => Ok((method, self.seed)),
            _ => Err(Misuse("these are settings of several runs".to_string())),
        }
    }

    /// Changes what flags were given for, but for a length in epochs.
    pub fn set(&mut self, length: &LengthArgs, machine: &MachineArgs) {
        set(&mut self.steps, &length.steps);
        self.set_seeds(&length.seeds, machine);
    }

    /// The same without a length.
    pub fn set_seeds(&mut self, seeds: &SeedArgs, machine: &MachineArgs) {
        set(&mut self.seed, &seeds.seed);
        set(&mut self.seeds, &seeds.seeds);
        if let Some(backend) = machine.backend {
            self.backend = backend.resolve();
        }
        set(&mut self.kernel_threads, &machine.kernel_threads);
    }

    /// Makes the run so many passes through the examples long, if that is wished.
    pub fn set_epochs(&mut self, length: &LengthArgs, examples: usize) {
        if let Some(epochs) = length.epochs {
            self.steps = epochs.saturating_mul(examples / self.batch_size);
        }
    }

    /// Refuses what would never end, what is given twice, and what no flag accepts but a settings
    /// file that was edited may hold.
    pub fn check(&self) -> Result<(), Misuse> {
        // TOML has no larger numbers.
        const MOST: u64 = i64::MAX as u64;
        const MOST_SEEDS: usize = 1_000_000;
        for (i, method) in self.methods.iter().enumerate() {
            if self.methods[..i].contains(method) {
                return Err(Misuse(format!(
                    "the method {method} is given twice; name each method once"
                )));
            }
        }
        if self.seeds > MOST_SEEDS {
            return Err(Misuse(format!(
                "{} runs of each method are too many; choose --seeds up to {MOST_SEEDS}",
                self.seeds
            )));
        }
        check_threads(self.kernel_threads)?;
        if self.steps as u64 > MOST {
            return Err(Misuse(format!(
                "that many steps would never end; choose up to {MOST}"
            )));
        }
        if self.seed.saturating_add(self.seeds as u64) > MOST {
            return Err(Misuse(format!(
                "the seed {} is too large; choose seeds below {MOST}",
                self.seed
            )));
        }
        if self.steps == 0 || self.seeds == 0 || self.kernel_threads == 0 {
            return Err(Misuse(
                "steps, seeds and kernel threads must be at least 1".to_string(),
            ));
        }
        if self.methods.is_empty() {
            return Err(Misuse("there is no method to run".to_string()));
        }
        Ok(())
    }

    /// Refuses batches of one example where there is batch norm, which cannot learn from them.
    pub fn check_norm(&self, has_batch_norm: bool) -> Result<(), Misuse> {
        match has_batch_norm && self.batch_size == 1 {
            true => Err(Misuse(
                "batch norm cannot learn from batches of one example; choose a batch size of 2 or \
                 more"
                    .to_string(),
            )),
            false => Ok(()),
        }
    }

    /// A plan of a run whose figures are recorded 200 times or more, up to `most` steps apart.
    pub fn plan<S>(&self, most: usize, evaluate_every: usize, schedule: impl Into<S>) -> Plan<S> {
        let record_every = (self.steps / 200).clamp(1, most);
        Plan {
            record_every,
            evaluate_every: Some(evaluate_every),
            compare_every: Some(self.compare_every(record_every)),
            check_every: self.check_every(record_every),
            save_every: Duration::from_secs(10),
            ..Plan::new(self.steps, schedule)
        }
    }

    /// Steps between two comparisons of synthetic gradients with true ones, where figures are
    /// recorded so often. Each costs about as much as a step: more would slow the run down.
    pub fn compare_every(&self, record_every: usize) -> usize {
        let least = (self.steps / 100).max(100);
        least.next_multiple_of(record_every)
    }

    /// Steps between two looks at the losses, where figures are recorded so often.
    pub fn check_every(&self, record_every: usize) -> usize {
        check_every(self.backend, record_every)
    }
}

/// Steps between two looks at the losses on a backend, where figures are recorded so often.
pub fn check_every(backend: Backend, record_every: usize) -> usize {
    match backend {
        Backend::Wgpu => record_every,
        Backend::Flex | Backend::Ndarray => 1,
    }
}
