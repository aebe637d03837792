//! What a call of an experiment is: methods side by side, each from several seeds, one run after
//! another, in a folder that can be resumed.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, bail};
use burn::tensor::Device;
use clap::Args;
use dni::Backend;
use dni::learner::Learner;
use dni::run::{Checkpoint, RunFolder};
use dni::train::{Plan, Progress, Task};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::{
    CallArgs, Format, LengthArgs, MachineArgs, Misuse, OutputArgs, SeedArgs, check_threads, set,
};
use crate::progress::Busy;
use crate::session::{self, Interrupted, Session};
use crate::sites::Lost;
use crate::{dashboard, memory, output, results, shell};

/// The settings of an experiment: everything that decides what happens, written to the folder, and
/// enough to repeat it.
pub trait Settings: Clone + PartialEq + Serialize + DeserializeOwned + Sync {
    /// The name of the experiment.
    const NAME: &'static str;

    /// The ways to train that it compares.
    type Method: Copy + PartialEq + Display + Sync;

    /// The one by which others are measured: that of true gradients.
    const REFERENCE: &'static str = "backprop";

    /// The flags of its command, [`CallArgs`] among them.
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
    fn runs(&self) -> Vec<(M, u64)>
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

/// A call of an experiment, ready to run.
pub struct Comparison<S> {
    pub settings: S,
    pub device: Device,
    session: Session,
    /// Runs at the same time.
    jobs: usize,
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

/// What came of the runs of a call.
#[derive(Debug, Serialize)]
pub struct Outcomes<R> {
    pub results: Vec<R>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// A run that has failed.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// The run.
    run: String,
    /// Why.
    error: String,
}

impl<S: Settings> Comparison<S> {
    /// A new call, or one that goes on in the folder of an earlier one, and what it needs.
    ///
    /// `from_flags` changes settings by the flags given: those of the folder, or those of the
    /// preset or the default if there are none. `prepare` finds out whether the runs can begin, and
    /// may load what all of them need: only then a folder is made.
    pub fn open<P>(
        CallArgs { machine, output }: &CallArgs,
        from_flags: impl Fn(Option<&S>) -> S,
        prepare: impl FnOnce(&S) -> anyhow::Result<P>,
    ) -> anyhow::Result<(Self, P)> {
        if output.dashboard {
            dashboard::check()?;
        }
        let new_session = |folder| Session::new(S::NAME, folder, output);
        let saved = output.resume.as_deref();
        let saved = saved.map(|folder| session::read_settings(folder, S::NAME));
        let saved: Option<S> = saved.transpose()?;
        session::prepare_kernels(match &saved {
            Some(saved) => saved.common().kernel_threads,
            None => machine.kernel_threads.unwrap_or(1),
        })?;
        let mut settings = match &saved {
            Some(saved) => resumed(saved, from_flags)?,
            None => from_flags(None),
        };
        settings.check()?;
        settings.resolve();
        let backend = settings.common().backend;
        let jobs = jobs(&settings, output)?;
        memory::check(settings.memory().saturating_mul(jobs as u128), backend)?;
        // Two at work in one folder would spoil each other's files.
        let resumed = output.resume.clone().map(new_session).transpose()?;
        if let Some(folder) = &output.run_dir {
            session::check_free(folder)?;
        }
        let text = session::write_settings(&settings)?;
        let busy = Busy::new(format!("looking for {backend}"), output.quiet);
        let device = backend.device()?;
        busy.set("getting the data ready");
        let prepared = prepare(&settings)?;
        drop(busy);
        let session = match resumed {
            Some(session) => {
                session.rename()?;
                if saved.is_some_and(|saved| settings.is_longer_than(&saved)) {
                    session.lengthen(text);
                }
                session
            }
            None => {
                let folder = output.run_dir.clone();
                let folder = folder.map_or_else(|| session::make_folder(S::NAME), Ok)?;
                let session = new_session(folder)?;
                session.create(&text)?;
                session
            }
        };
        let asked = machine.backend.map(|backend| backend.resolve());
        if asked.is_some_and(|asked| asked != backend) {
            session.say(&format!(
                "going on with backend {backend}, as the folder says"
            ));
        }
        let comparison = Self {
            settings,
            device,
            session,
            jobs,
        };
        Ok((comparison, prepared))
    }

    /// Runs every method from every seed, some at the same time. One that fails among several does not
    /// keep the others from theirs.
    pub fn run<R: Send>(
        &self,
        one: impl Fn(&Run<S>) -> anyhow::Result<R> + Sync,
    ) -> anyhow::Result<Outcomes<R>> {
        if self.settings.common().backend == Backend::Wgpu {
            self.session.say(
                "wgpu compiles kernels for this device in the first steps of a network: that may \
                 take a minute",
            );
        }
        let runs = self.settings.common().runs();
        results::remove(&self.session.folder)?;
        let _shown = self.session.show(runs.len(), self.jobs)?;
        let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        // Takes one run after another until there are none.
        let work = || {
            let mut done = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(&(method, seed)) = runs.get(i) else {
                    break;
                };
                let run = self.one(method, seed, runs.len() == 1);
                let outcome = match self.session.is_to_stop() {
                    true => {
                        let at = format!("the beginning of {}", run.label);
                        Err(self.session.interrupted(at).into())
                    }
                    false => caught(|| one(&run)),
                };
                if let Err(error) = &outcome {
                    match runs.len() == 1 || ends_all(error) {
                        true => is_over.store(true, Ordering::Relaxed),
                        false => {
                            let error = output::told(error);
                            output::say(&format!("{} is given up: {error}", run.label));
                        }
                    }
                }
                done.push((i, run.label, outcome));
            }
            done
        };
        // On threads of this call: those of an earlier one of the process have its kernel threads.
        let mut done = on_threads(self.jobs, self.settings.common().kernel_threads, work)?;
        done.sort_by_key(|(i, _, _)| *i);
        let mut outcomes = Outcomes {
            results: Vec::new(),
            failures: Vec::new(),
        };
        for (_, run, outcome) in done {
            match outcome {
                Ok(result) => outcomes.results.push(result),
                Err(error) if runs.len() == 1 || ends_all(&error) => return Err(error),
                Err(error) => {
                    let error = output::told(&error);
                    outcomes.failures.push(Failure { run, error });
                }
            }
        }
        if runs.len() > 1 && !outcomes.results.is_empty() {
            self.session.draw_curves()?;
        }
        Ok(outcomes)
    }

    /// One run of the call, which may be its only one.
    fn one(&self, method: S::Method, seed: u64, is_only: bool) -> Run<'_, S> {
        let mut settings = self.settings.clone();
        let common = settings.common_mut();
        (common.methods, common.seed, common.seeds) = (vec![method], seed, 1);
        settings.resolve();
        Run {
            settings,
            method,
            seed,
            device: &self.device,
            folder: run_folder(&self.session.folder, method, seed, is_only),
            label: format!("{method}, seed {seed}"),
            session: &self.session,
        }
    }

    /// Has the command that goes on have another flag, if it was given, with a word as a shell reads
    /// it.
    pub fn go_on_with(&mut self, flag: &str, word: Option<String>) {
        self.session.go_on_with(flag, word);
    }

    /// Leaves the report of all runs beside them, where the only one has not left its own.
    pub fn keep(&self, report: &impl Serialize) -> anyhow::Result<()> {
        match self.settings.common().runs().len() {
            1 => Ok(()),
            _ => results::write(&self.session.folder, report),
        }
    }

    /// Prints a report in the form that was asked for, in which `outcomes` are those of the runs: as text
    /// with the command that shows more of them.
    pub fn print<R: Serialize, O>(
        &self,
        report: &R,
        outcomes: &Outcomes<O>,
        format: Format,
        text: impl Fn(&R) -> String,
    ) -> anyhow::Result<()> {
        let failures = &outcomes.failures;
        output::print(&match format {
            Format::Json => serde_json::to_string(report)? + "\n",
            Format::Text => {
                let failures = failures.iter();
                let failures = failures.map(|f| format!("failed: {}: {}\n", f.run, f.error));
                let folder = &self.session.folder.display().to_string();
                let (text, failures) = (text(report), failures.collect::<String>());
                let next = format!("{} report {}", shell::program(), shell::quoted(folder));
                format!("{text}{failures}runs: {folder}\nnext: {next}\n")
            }
        })
    }
}

impl<R> Outcomes<R> {
    /// Refuses to take this for a success if a run has failed.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.failures.len() {
            0 => Ok(()),
            failed => {
                let all = failed + self.results.len();
                bail!("{failed} of {all} runs failed; the results say which, and why")
            }
        }
    }
}

/// How many runs are to be made at the same time.
fn jobs<S: Settings>(settings: &S, output: &OutputArgs) -> Result<usize, Misuse> {
    let common = settings.common();
    let is_alone = settings.is_alone();
    match output.jobs {
        Some(2..) if is_alone => Err(Misuse(
            "--jobs is for runs on flex and ndarray without workers; others take the machine for \
             themselves"
                .to_string(),
        )),
        Some(jobs) => Ok(jobs.min(common.runs().len())),
        None if is_alone => Ok(1),
        None => {
            let most = dni::backend::processors() / common.kernel_threads.max(1);
            Ok(most.clamp(1, common.runs().len()))
        }
    }
}

/// Lets so many threads work, each with as many kernel threads; what they have done.
pub fn on_threads<R: Send>(
    threads: usize,
    kernel_threads: usize,
    work: impl Fn() -> Vec<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let work = || -> anyhow::Result<Vec<R>> {
        dni::backend::set_kernel_threads(kernel_threads)?;
        Ok(work())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut done = Vec::new();
        for thread in threads {
            let own = thread.join();
            done.extend(own.unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(done)
    })
}

/// What a run does, whose panic is an error, so that it ends no other run.
fn caught<R>(run: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<R> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = dni::error::message_of(&*panic);
        Err(anyhow!(
            "it panicked: {message}; that is a fault of dni, please report it with the command"
        ))
    })
}

/// Whether an error leaves nothing to the runs that would follow.
pub fn ends_all(error: &anyhow::Error) -> bool {
    error.is::<Interrupted>() || error.is::<Lost>() || error.is::<Misuse>()
}

impl<S: Settings> Run<'_, S> {
    /// Trains, from the checkpoint if there is one.
    pub fn train<L: Learner>(
        &self,
        learner: &mut L,
        task: &mut impl Task<L>,
        plan: &Plan<L::Schedule>,
    ) -> anyhow::Result<Progress> {
        let shorter = self.shorter()?;
        let settings = [shorter.as_ref().unwrap_or(&self.settings), &self.settings];
        let names = (&*self.label, &*self.method.to_string());
        self.session
            .train(names, &self.folder, settings, learner, task, plan)
    }

    /// The settings that the run was saved under, if it was to end earlier by these, and they are the
    /// same but for that.
    fn shorter(&self) -> anyhow::Result<Option<S>> {
        let path = self.folder.join(RunFolder::CHECKPOINT);
        if !path.exists() {
            return Ok(None);
        }
        let checkpoint = Checkpoint::read(&path)?;
        // Whoever opens the folder says what is wrong with others.
        let saved = dni::run::read_settings::<S>(checkpoint.settings()).ok();
        Ok(saved.filter(|saved| {
            let mut longer = saved.clone();
            longer.set_length(&self.settings);
            longer == self.settings && self.settings.is_longer_than(saved)
        }))
    }

    /// The command that goes on where the call has stopped.
    pub fn go_on(&self) -> String {
        self.session.go_on()
    }

    /// Says how the run went on stderr.
    pub fn say(&self, text: &str) {
        self.session.say(&format!("{}: {text}", self.label));
    }
}

/// The settings of runs that are to go on, which may now be longer. Flags that would change anything
/// else are refused.
fn resumed<S: Settings>(saved: &S, from_flags: impl Fn(Option<&S>) -> S) -> anyhow::Result<S> {
    saved.check()?;
    let mut asked = from_flags(Some(saved));
    // The variable is a default, not a wish for this run.
    if std::env::var_os("DNI_BACKEND").is_some() {
        asked.common_mut().backend = saved.common().backend;
    }
    let mut settings = saved.clone();
    if asked.is_longer_than(saved) {
        settings.set_length(&asked);
    }
    if asked != settings {
        return Err(Misuse(
            "--resume goes on under the settings in the folder, for as many steps or more; leave \
             out the flags that differ from them"
                .to_string(),
        )
        .into());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_its_run() {
        let error = caught::<()>(|| panic!("lost at step {}", 3)).expect_err("it panics");
        assert!(error.to_string().contains("lost at step 3"), "{error}");
        assert!(!ends_all(&error));
        let stopped = || Interrupted {
            at: "step 3".to_string(),
            command: "dni".to_string(),
        };
        let error = caught::<()>(|| Err(stopped().into()));
        assert!(
            error.is_err_and(|error| ends_all(&error)),
            "errors stay what they are"
        );
        assert_eq!(caught(|| Ok(3)).ok(), Some(3));
    }
}
