//! One run of a comparison.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use dni::learner::Learner;
use dni::run::{Checkpoint, RunFolder};
use dni::train::{Plan, Progress, Task};

use super::Settings;
use crate::session::Session;

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
    pub session: &'a Session,
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
