//! What surrounds the training of every experiment: folders, resuming, Ctrl-C, progress.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use dni::learner::Learner;
use dni::report;
use dni::run::{FolderLock, Origin, RunFolder, TensorBoard};
use dni::train::{Checkpointer as _, Listener, Outcome, Plan, Progress, Task, train};
use serde::Serialize;

use crate::args::{Format, OutputArgs, check_threads};
use crate::dashboard::{self, Dashboard};
use crate::origin::origin;
use crate::overall::{self, AtWork, Expected};
use crate::progress::Bar;
use crate::shell::{self, quoted, quoted_path};
use crate::{output, results, signals};

/// One call of the program: a folder with one run in it, or a folder of runs.
pub struct Session {
    pub experiment: &'static str,
    pub folder: PathBuf,
    pub quiet: bool,
    tensorboard: bool,
    /// Whether a dashboard is wished, and the one that is on the terminal.
    wants_dashboard: bool,
    dashboard: Mutex<Option<Dashboard>>,
    /// What the person calls its runs, and finds them by, if that is said.
    name: Option<String>,
    tags: Vec<String>,
    /// Flags of the command that goes on, beside the folder.
    flags: String,
    stop: &'static AtomicBool,
    /// Held until a run in this very folder takes it.
    lock: Mutex<Option<FolderLock>>,
    /// The settings of a longer call, until a run goes on by them.
    longer: Mutex<Option<String>>,
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

impl Interrupted {
    /// The error of a part of a command as that of the whole, which goes on by `command`.
    pub fn within(error: anyhow::Error, command: impl FnOnce() -> String) -> anyhow::Error {
        match error.downcast::<Self>() {
            Ok(Self { at, .. }) => {
                let command = command();
                Self { at, command }.into()
            }
            Err(error) => error,
        }
    }
}

impl Session {
    /// A session whose runs go to `folder`, where from now on no other process may be at work. Ctrl-C
    /// asks the run to save and stop; a second one ends the program at once.
    pub fn new(
        experiment: &'static str,
        folder: PathBuf,
        output: &OutputArgs,
    ) -> anyhow::Result<Self> {
        let lock = take(&folder)?;
        let mut flags = String::new();
        let given = [
            ("--tensorboard", output.tensorboard),
            ("--dashboard", output.dashboard),
            ("--format json", output.format == Format::Json),
        ];
        for (flag, _) in given.iter().filter(|(_, is_given)| *is_given) {
            flags += &format!(" {flag}");
        }
        Ok(Self {
            experiment,
            folder,
            quiet: output.quiet,
            tensorboard: output.tensorboard,
            wants_dashboard: output.dashboard,
            dashboard: Mutex::new(None),
            name: output.name.clone(),
            tags: output.tags.clone(),
            flags,
            stop: asked_to_stop(output.quiet)?,
            lock: Mutex::new(Some(lock)),
            longer: Mutex::new(None),
        })
    }

    /// Writes the settings and origin of a new session.
    pub fn create(&self, settings: &str) -> anyhow::Result<()> {
        self.named(origin()).write(&self.folder)?;
        self.write_settings(settings)
    }

    /// Gives runs that are there already another name or other tags, if they are said.
    pub fn rename(&self) -> anyhow::Result<()> {
        if self.name.is_none() && self.tags.is_empty() {
            return Ok(());
        }
        let known = Origin::find(&self.folder)?;
        Ok(self
            .named(known.unwrap_or_else(origin))
            .write(&self.folder)?)
    }

    /// An origin with the name and the tags that were said.
    fn named(&self, mut origin: Origin) -> Origin {
        origin.name = self.name.clone().or(origin.name);
        if !self.tags.is_empty() {
            origin.tags.clone_from(&self.tags);
        }
        origin
    }

    fn write_settings(&self, settings: &str) -> anyhow::Result<()> {
        dni::run::write_atomically(&self.folder.join(RunFolder::SETTINGS), settings.as_bytes())?;
        Ok(())
    }

    /// Replaces the settings as soon as a run goes on by them: if none can, they stay as they are.
    pub fn lengthen(&self, settings: String) {
        held(&self.longer).replace(settings);
    }

    /// Has the command that goes on have another flag, if it was given, with a word as a shell reads
    /// it.
    pub fn go_on_with(&mut self, flag: &str, word: Option<String>) {
        if let Some(word) = word {
            self.flags += &format!(" {flag} {word}");
        }
    }

    /// Whether it was asked to stop.
    pub fn is_to_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The error of a session that was stopped here.
    pub fn interrupted(&self, at: String) -> Interrupted {
        Interrupted {
            at,
            command: self.go_on(),
        }
    }

    /// Trains one run of the session, from its checkpoint if it has one.
    ///
    /// `label` names it on the screen, and `kind` it and others that take about as long; `folder` is its
    /// own. `settings` are those that it was saved under, and those that it is to go on under.
    pub fn train<L: Learner>(
        &self,
        (label, kind): (&str, &str),
        folder: &Path,
        [saved, settings]: [&impl dni::run::Settings; 2],
        learner: &mut L,
        task: &mut impl Task<L>,
        plan: &Plan<L::Schedule>,
    ) -> anyhow::Result<Progress> {
        if folder == self.folder {
            held(&self.lock).take();
        }
        let (mut run_folder, start) = match RunFolder::open(folder, saved, learner)? {
            Some((mut run_folder, checkpoint)) => {
                // Before anything of another shape is met.
                run_folder.set_data(task.data())?;
                run_folder.set_settings(settings)?;
                task.recall(checkpoint.notes());
                (run_folder, checkpoint.restore(learner)?)
            }
            None => (
                RunFolder::create(folder, settings, learner)?,
                Progress::default(),
            ),
        };
        results::remove(folder)?;
        if let Some(settings) = held(&self.longer).take() {
            self.write_settings(&settings)?;
        }
        let settings = write_settings(settings)?;
        let show = |dashboard: &mut Dashboard| dashboard.show(label, &settings);
        let part = held(&self.dashboard).as_mut().and_then(show);
        let mut progress: Box<dyn Listener> = match part {
            Some(part) => Box::new(part),
            None => Box::new(Bar::new(label, self.quiet)),
        };
        let board = || TensorBoard::create(folder, &learner.interface_names());
        let mut board = self.tensorboard.then(board).transpose()?;
        let mut at_work = AtWork::begin(label, kind, plan);
        let mut listeners: Vec<&mut dyn Listener> = vec![&mut at_work, progress.as_mut()];
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
        .and_then(|outcome| {
            let (Outcome::Finished(end) | Outcome::Interrupted(end)) = outcome;
            // A run that was over already has its curves.
            if end != start {
                report::draw_curves(folder)?;
            }
            Ok(outcome)
        })
        .with_context(|| format!("{label} failed"))?;
        match outcome {
            Outcome::Finished(progress) => Ok(progress),
            Outcome::Interrupted(progress) => {
                let at = format!("step {} of {label}", progress.step);
                Err(self.interrupted(at).into())
            }
        }
    }

    /// Says how far all runs are, so many at the same time, as long as what this returns lives: on the
    /// dashboard, if one is wished.
    pub fn show(&self, runs: usize, jobs: usize) -> anyhow::Result<Shown<'_>> {
        let expected = overall::expect(runs, jobs, self.quiet || self.wants_dashboard);
        if self.wants_dashboard {
            let dashboard = Dashboard::open(self.stop);
            let dashboard = dashboard.context("cannot take over the terminal for --dashboard")?;
            held(&self.dashboard).replace(dashboard);
        }
        Ok(Shown {
            session: self,
            _expected: expected,
        })
    }

    /// The command that goes on where this call has stopped, from any folder.
    pub fn go_on(&self) -> String {
        let folder = quoted_path(&self.folder);
        let (program, experiment) = (shell::program(), self.experiment);
        format!("{program} {experiment} --resume {folder}{}", self.flags)
    }

    /// Draws the curves of all runs together.
    pub fn draw_curves(&self) -> anyhow::Result<()> {
        Ok(report::draw_curves(&self.folder)?)
    }

    /// Says something on stderr.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            output::say(text);
        }
    }
}

/// How far all runs are is shown as long as this lives.
pub struct Shown<'a> {
    session: &'a Session,
    _expected: Expected,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        // It waits for the thread that draws, which needs nothing of the session.
        drop(held(&self.session.dashboard).take());
    }
}

/// What several runs at the same time share. It is whole whatever panicked: it is only taken or put.
fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether Ctrl-C has asked the runs of this process to stop. The first call begins to listen.
pub fn asked_to_stop(quiet: bool) -> anyhow::Result<&'static AtomicBool> {
    /// A terminal that is closed sends its signal twice.
    const SAME: Duration = Duration::from_millis(500);
    static ASKED: AtomicBool = AtomicBool::new(false);
    static LISTENING: OnceLock<Result<(), ctrlc::Error>> = OnceLock::new();
    let listening = LISTENING.get_or_init(|| {
        let mut first = None;
        signals::listen(move || {
            let first: &mut Instant = first.get_or_insert_with(Instant::now);
            if ASKED.swap(true, Ordering::Relaxed) {
                if first.elapsed() > SAME {
                    dashboard::leave();
                    std::process::exit(1);
                }
            } else if !quiet && !dashboard::is_on() {
                output::say("stopping after this step; once more stops at once");
            }
        })
    });
    if let Err(error) = listening {
        bail!("cannot listen for Ctrl-C: {error}");
    }
    Ok(&ASKED)
}

/// Takes a folder, made if there is none, in which no other process may be at work from now on.
pub fn take(folder: &Path) -> anyhow::Result<FolderLock> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder '{}'", folder.display()))?;
    Ok(FolderLock::take(folder)?)
}

/// Refuses a folder for a new session in which something is already.
pub fn check_free(folder: &Path) -> anyhow::Result<()> {
    if folder.join(RunFolder::SETTINGS).exists() {
        bail!(
            "the folder '{}' holds a run already; continue it with --resume {}, or choose another \
             with --run-dir",
            folder.display(),
            quoted(&folder.display().to_string())
        );
    }
    // Logs are written under fixed names: nothing of the user's may stand there.
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries,
    };
    let mut entries =
        entries.with_context(|| format!("cannot use the folder '{}'", folder.display()))?;
    if entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != FolderLock::FILE)) {
        bail!(
            "the folder '{}' is not empty; choose a new or an empty one with --run-dir",
            folder.display()
        );
    }
    Ok(())
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
    check_threads(threads)?;
    // SAFETY: the program has started no other thread yet that could read the environment.
    FIRST.call_once(|| unsafe { std::env::set_var("MATMUL_NUM_THREADS", threads.to_string()) });
    dni::backend::set_kernel_threads(threads)?;
    Ok(())
}

/// Settings as they stand in a file.
pub fn write_settings(settings: &impl Serialize) -> anyhow::Result<String> {
    toml::to_string(settings).context("cannot write the settings as TOML")
}
