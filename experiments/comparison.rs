//! What a call of an experiment is: methods side by side, each from several seeds, one run after
//! another, in a folder that can be resumed.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use dni::Backend;
use dni::run::{Learner, Plan, Progress, Task};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::{Format, LengthArgs, MachineArgs, Misuse, OutputArgs, SeedArgs, set};
use crate::dashboard;
use crate::output;
use crate::session::{self, Session};
use crate::table::Table;

/// The settings of an experiment: everything that decides what happens, written to the folder, and
/// enough to repeat it.
pub trait Settings: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The name of the experiment.
    const NAME: &'static str;

    /// The ways to train that it compares.
    type Method: Copy + PartialEq + Display;

    fn common(&self) -> &Common<Self::Method>;
    fn common_mut(&mut self) -> &mut Common<Self::Method>;

    /// Refuses what could not be trained, before anything is.
    fn check(&self) -> Result<(), Misuse>;

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
        for (i, method) in self.methods.iter().enumerate() {
            if self.methods[..i].contains(method) {
                return Err(Misuse(format!(
                    "the method {method} is given twice; name each method once"
                )));
            }
        }
        if self.steps as u64 > MOST {
            return Err(Misuse(format!(
                "so many steps never end; choose up to {MOST}"
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

/// A call of an experiment, ready to run.
pub struct Comparison<S> {
    pub settings: S,
    pub device: Device,
    session: Session,
}

/// The folder of a run in that of its call.
pub fn run_folder(folder: &Path, method: impl Display, seed: u64, is_alone: bool) -> PathBuf {
    match is_alone {
        true => folder.to_path_buf(),
        false => folder.join(format!("{method}-seed{seed}").replace(':', "-")),
    }
}

/// One run of a comparison.
pub struct Run<'a, S: Settings> {
    /// The settings of this run alone.
    pub settings: S,
    pub method: S::Method,
    pub seed: u64,
    pub device: &'a Device,
    pub folder: PathBuf,
    pub label: String,
    session: &'a Session,
}

impl<S: Settings> Comparison<S> {
    /// A new call, or one that goes on in the folder of an earlier one.
    ///
    /// `from_flags` changes settings by the flags given: those of the folder, or those of the
    /// preset or the default if there are none.
    pub fn open(
        machine: &MachineArgs,
        output: &OutputArgs,
        from_flags: impl Fn(Option<&S>) -> S,
    ) -> anyhow::Result<Self> {
        if output.dashboard {
            dashboard::check()?;
        }
        let saved = output.resume.as_deref();
        let saved = saved.map(|folder| session::read_settings(folder, S::NAME));
        let saved: Option<S> = saved.transpose()?;
        session::prepare_kernels(match &saved {
            Some(saved) => saved.common().kernel_threads,
            None => machine.kernel_threads.unwrap_or(1),
        })?;
        let mut settings = match saved {
            Some(saved) => resumed(saved, from_flags)?,
            None => from_flags(None),
        };
        settings.check()?;
        settings.resolve();
        let backend = settings.common().backend;
        let device = backend.device()?;
        let folder = match output.resume.clone().or(output.run_dir.clone()) {
            Some(folder) => folder,
            None => session::make_folder(S::NAME)?,
        };
        let session = Session::new(S::NAME, folder, output)?;
        if output.resume.is_none() {
            session.create(&session::write_settings(&settings)?)?;
        } else if let Some(asked) = machine.backend
            && asked.resolve() != backend
        {
            session.say(&format!(
                "going on with backend {backend}, as the folder says"
            ));
        }
        Ok(Self {
            settings,
            device,
            session,
        })
    }

    /// Runs every method from every seed.
    pub fn run<R>(&self, one: impl Fn(&Run<S>) -> anyhow::Result<R>) -> anyhow::Result<Vec<R>> {
        let Common {
            methods,
            seed,
            seeds,
            ..
        } = self.settings.common();
        let is_alone = methods.len() * seeds == 1;
        if self.settings.common().backend == Backend::Wgpu {
            self.session.say(
                "wgpu compiles kernels for this device and finds the fastest in the first steps of \
                 a network: that may take a minute",
            );
        }
        let mut results = Vec::with_capacity(methods.len() * seeds);
        for &method in methods {
            for seed in *seed..seed + *seeds as u64 {
                let mut settings = self.settings.clone();
                let common = settings.common_mut();
                (common.methods, common.seed, common.seeds) = (vec![method], seed, 1);
                settings.resolve();
                results.push(one(&Run {
                    settings,
                    method,
                    seed,
                    device: &self.device,
                    folder: run_folder(&self.session.folder, method, seed, is_alone),
                    label: format!("{method}, seed {seed}"),
                    session: &self.session,
                })?);
            }
        }
        if !is_alone {
            self.session.draw_curves()?;
        }
        Ok(results)
    }

    /// The command that goes on where this call has stopped.
    pub fn go_on(&self) -> String {
        self.session.go_on()
    }

    /// Prints a report in the form that was asked for.
    pub fn print<R: Serialize>(
        &self,
        report: &R,
        format: Format,
        table: impl Fn(&R) -> Table,
    ) -> anyhow::Result<()> {
        match format {
            Format::Json => output::print(&(serde_json::to_string(report)? + "\n")),
            Format::Text => {
                let folder = self.session.folder.display();
                let table = table(report).to_text();
                output::print(&format!("{table}runs: {folder}\n"))
            }
        }
    }
}

impl<S: Settings> Run<'_, S> {
    /// Trains, from the checkpoint if there is one.
    pub fn train<L: Learner>(
        &self,
        learner: &mut L,
        task: &mut impl Task<L>,
        plan: &Plan<L::Schedule>,
    ) -> anyhow::Result<Progress> {
        self.session.train(
            &self.label,
            &self.folder,
            &self.settings,
            learner,
            task,
            plan,
        )
    }

    /// Says how the run went on stderr.
    pub fn say(&self, text: &str) {
        self.session.say(&format!("{}: {text}", self.label));
    }
}

/// The settings of runs that are to go on. Flags that would change them are refused.
fn resumed<S: Settings>(saved: S, from_flags: impl Fn(Option<&S>) -> S) -> anyhow::Result<S> {
    saved.check()?;
    let mut asked = from_flags(Some(&saved));
    // The variable is a default, not a wish for this run.
    if std::env::var_os("DNI_BACKEND").is_some() {
        asked.common_mut().backend = saved.common().backend;
    }
    if asked != saved {
        return Err(Misuse(
            "--resume goes on under the settings in the folder; leave out the flags that differ \
             from them"
                .to_string(),
        )
        .into());
    }
    Ok(saved)
}
