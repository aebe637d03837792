//! What surrounds the training of every experiment: folders, resuming, Ctrl-C, progress.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};
use std::time::SystemTime;

use anyhow::{Context, bail};
use dni::report;
use dni::run::{Learner, Listener, Outcome, Plan, Progress, RunFolder, Task, TensorBoard, train};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::{Misuse, OutputArgs};
use crate::dashboard::{self, Dashboard};
use crate::origin::origin;
use crate::output;
use crate::progress::Bar;
use crate::shell::quoted;

/// One call of the program: a folder with one run in it, or a folder of runs.
pub struct Session {
    pub experiment: &'static str,
    pub folder: PathBuf,
    pub quiet: bool,
    tensorboard: bool,
    dashboard: bool,
    stop: &'static AtomicBool,
}

/// A run was asked to stop, and has saved: no failure of its own.
#[derive(Debug, thiserror::Error)]
#[error("interrupted at {at}; go on with: {command}")]
pub struct Interrupted {
    /// The run, and how far it is.
    pub at: String,
    /// What to call.
    pub command: String,
}

impl Session {
    /// A session whose runs go to `folder`. From now on Ctrl-C asks the run to save and stop; a
    /// second one ends the program at once.
    pub fn new(
        experiment: &'static str,
        folder: PathBuf,
        output: &OutputArgs,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            experiment,
            folder,
            quiet: output.quiet,
            tensorboard: output.tensorboard,
            dashboard: output.dashboard,
            stop: asked_to_stop(output.quiet)?,
        })
    }

    /// Makes the folder of a new session and writes its settings and origin.
    pub fn create(&self, settings: &str) -> anyhow::Result<()> {
        if self.folder.join(RunFolder::SETTINGS).exists() {
            bail!(
                "the folder '{}' holds a run already; go on with it by --resume {}, or choose \
                 another with --run-dir",
                self.folder.display(),
                quoted(&self.folder.display().to_string())
            );
        }
        // Logs are written under fixed names: nothing of the user's may stand there.
        let is_empty = |folder: &Path| {
            std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
        };
        if self.folder.exists() && !is_empty(&self.folder) {
            bail!(
                "the folder '{}' is not empty; choose a new or an empty one with --run-dir",
                self.folder.display()
            );
        }
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create the folder '{}'", self.folder.display()))?;
        dni::run::write_atomically(&self.folder.join(RunFolder::SETTINGS), settings.as_bytes())?;
        origin().write(&self.folder)?;
        Ok(())
    }

    /// Trains one run of the session, from its checkpoint if it has one.
    ///
    /// `label` names it on the screen, `folder` is its own.
    pub fn train<L: Learner>(
        &self,
        label: &str,
        folder: &Path,
        settings: &impl dni::run::Settings,
        learner: &mut L,
        task: &mut impl Task<L>,
        plan: &Plan<L::Schedule>,
    ) -> anyhow::Result<Progress> {
        let (mut run_folder, start) = match RunFolder::open(folder, settings, learner)? {
            Some((mut run_folder, checkpoint)) => {
                // Before anything of another shape is met.
                run_folder.set_data(task.data())?;
                task.recall(checkpoint.notes());
                (run_folder, checkpoint.restore(learner)?)
            }
            None => (
                RunFolder::create(folder, settings, learner)?,
                Progress::default(),
            ),
        };
        let mut progress: Box<dyn Listener> = match self.dashboard {
            true => Box::new(
                Dashboard::open(label, &write_settings(settings)?, self.stop)
                    .context("cannot take over the terminal for --dashboard")?,
            ),
            false => Box::new(Bar::new(label, self.quiet)),
        };
        let board = || TensorBoard::create(folder, &learner.interface_names());
        let mut board = self.tensorboard.then(board).transpose()?;
        let mut listeners: Vec<&mut dyn Listener> = vec![progress.as_mut()];
        listeners.extend(board.as_mut().map(|board| board as &mut dyn Listener));
        let outcome = train(
            learner,
            task,
            plan,
            start,
            &mut run_folder,
            &mut listeners,
            self.stop,
        )
        .with_context(|| format!("{label} failed"))?;
        match outcome {
            Outcome::Finished(progress) => Ok(progress),
            Outcome::Interrupted(progress) => Err(Interrupted {
                at: format!("step {} of {label}", progress.step),
                command: self.go_on(),
            }
            .into()),
        }
    }

    /// The command that goes on where this call has stopped.
    pub fn go_on(&self) -> String {
        let folder = self.folder.display().to_string();
        format!("dni {} --resume {}", self.experiment, quoted(&folder))
    }

    /// Draws the curves of all runs together.
    pub fn draw_curves(&self) -> anyhow::Result<()> {
        let groups = report::read(std::slice::from_ref(&self.folder))?;
        let drawing = report::plot(&groups).to_svg();
        dni::run::write_atomically(&self.folder.join(RunFolder::CURVES), drawing.as_bytes())?;
        Ok(())
    }

    /// Says something on stderr.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            output::say(text);
        }
    }
}

/// Whether Ctrl-C has asked the runs of this process to stop. The first call begins to listen.
pub fn asked_to_stop(quiet: bool) -> anyhow::Result<&'static AtomicBool> {
    static ASKED: AtomicBool = AtomicBool::new(false);
    static LISTENING: OnceLock<Result<(), ctrlc::Error>> = OnceLock::new();
    let listening = LISTENING.get_or_init(|| {
        ctrlc::set_handler(move || {
            if ASKED.swap(true, Ordering::Relaxed) {
                dashboard::leave();
                std::process::exit(1);
            }
            if !quiet && !dashboard::is_on() {
                output::say("stopping as soon as the figures are in; once more stops at once");
            }
        })
    });
    if let Err(error) = listening {
        bail!("cannot listen for Ctrl-C: {error}");
    }
    Ok(&ASKED)
}

/// Makes the folder of a new session that was given none. Of two programs that start in the same
/// second each has its own.
pub fn make_folder(experiment: &str) -> anyhow::Result<PathBuf> {
    let runs = Path::new("runs");
    let now = dni::run::utc(SystemTime::now()).replace(['-', ':', 'Z'], "");
    let name = format!("{experiment}-{}", now.replace('T', "-"));
    let cannot = |path: &Path| format!("cannot create the folder '{}'", path.display());
    std::fs::create_dir_all(runs).with_context(|| cannot(runs))?;
    let mut path = runs.join(&name);
    for i in 2.. {
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                path = runs.join(format!("{name}-{i}"));
            }
            result => {
                result.with_context(|| cannot(&path))?;
                break;
            }
        }
    }
    Ok(path)
}

/// Sets the number of threads of the CPU backends: the first thing that an experiment does, before
/// anything starts a thread. It holds for all experiments of the process.
pub fn prepare_kernels(threads: usize) -> anyhow::Result<()> {
    static FIRST: Once = Once::new();
    // SAFETY: the program has started no other thread yet that could read the environment.
    FIRST.call_once(|| unsafe { std::env::set_var("MATMUL_NUM_THREADS", threads.to_string()) });
    dni::backend::set_kernel_threads(threads)?;
    Ok(())
}

/// Reads the settings of a session of an experiment that is to go on.
pub fn read_settings<S: DeserializeOwned>(folder: &Path, experiment: &str) -> anyhow::Result<S> {
    let path = folder.join(RunFolder::SETTINGS);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        if folder.exists() {
            Misuse(format!(
                "cannot resume: '{}' cannot be read ({error}); is it the folder of a run?",
                path.display()
            ))
        } else {
            Misuse(format!(
                "cannot resume: there is no folder '{}'",
                folder.display()
            ))
        }
    })?;
    if let Some(other) = experiment_of(&text).filter(|found| found != experiment) {
        return Err(Misuse(format!(
            "cannot resume: the folder holds runs of the experiment '{other}'; use dni {other} \
             --resume"
        ))
        .into());
    }
    toml::from_str(&text).map_err(|error| {
        Misuse(format!(
            "cannot resume: '{}' is not whole, or of another experiment or version: {error}",
            path.display()
        ))
        .into()
    })
}

/// The experiment that these settings are of, as far as they can be read.
pub fn experiment_of(settings: &str) -> Option<String> {
    let settings: toml::Table = settings.parse().ok()?;
    let experiment = settings.get("run")?.get("experiment")?.as_str()?;
    Some(experiment.to_string())
}

/// Settings as they stand in a file.
pub fn write_settings(settings: &impl Serialize) -> anyhow::Result<String> {
    toml::to_string(settings).context("cannot write the settings as TOML")
}
