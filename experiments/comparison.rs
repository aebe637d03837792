//! What a call of an experiment is: methods side by side, each from several seeds, one run after
//! another, in a folder that can be resumed.

mod jobs;
mod run;
mod settings;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::bail;
use burn::tensor::Device;
use dni::Backend;
use serde::Serialize;

use crate::args::{CallArgs, Format, Misuse};
use crate::panics::caught;
use crate::progress::Busy;
use crate::session::{self, Session};
use crate::{dashboard, memory, output, results, runs, shell};
pub use jobs::{ends_all, jobs, on_threads};
pub use run::{Run, run_folder};
pub use settings::{Common, Settings, check_every};

/// A call of an experiment, ready to run.
pub struct Comparison<S> {
    pub settings: S,
    pub device: Device,
    session: Session,
    /// Runs at the same time.
    jobs: usize,
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
        let saved = saved.map(|folder| runs::read_settings(folder, S::NAME));
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
        let common = settings.common();
        let (backend, runs) = (common.backend, common.runs().len());
        let jobs = jobs(
            output.jobs,
            settings.is_alone(),
            common.kernel_threads,
            runs,
        )?;
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
                "continuing with backend {backend}, as the folder says"
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
            "--resume continues with the settings in the folder, for as many steps or more; leave \
             out the flags that differ from them"
                .to_string(),
        )
        .into());
    }
    Ok(settings)
}
