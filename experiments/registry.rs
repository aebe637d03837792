//! The experiments as the rest of the program sees them: commands with a name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use burn::tensor::Device;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};
use dni::run::{Checkpoint, RunFolder};
use serde_json::Value;

use crate::experiment::{self, Experiment, Outline};
use crate::source::TestDataArgs;
use crate::tasks;

/// An experiment, whatever it is.
#[derive(Debug)]
pub struct Entry {
    pub name: &'static str,
    /// The flag that says how long its runs are.
    pub length: &'static str,
    /// Steps after which the time of a step can be told.
    pub trial_steps: usize,
    command: fn() -> Command,
    run: fn(&ArgMatches) -> anyhow::Result<()>,
    results: fn(&ArgMatches) -> anyhow::Result<Value>,
    /// Says what a call would do, and refuses what it could not.
    pub outline: fn(&ArgMatches) -> anyhow::Result<Outline>,
    /// Measures a run that was trained earlier.
    pub evaluate: fn(Checkpoint, &TestDataArgs, &Device) -> anyhow::Result<BTreeMap<String, f64>>,
}

impl Entry {
    pub const fn of<E: Experiment>() -> Self {
        Self {
            name: E::NAME,
            length: E::LENGTH,
            trial_steps: E::TRIAL_STEPS,
            command: || E::Args::augment_args(Command::new(E::NAME)).about(E::ABOUT),
            run: experiment::run::<E>,
            results: experiment::results::<E>,
            outline: experiment::outline::<E>,
            evaluate: experiment::evaluate::<E>,
        }
    }

    /// Its command, with all flags.
    pub fn command(&self) -> Command {
        (self.command)()
    }

    /// Trains in a folder what words of the command line ask for, or goes on with it there, one run at a
    /// time; the results.
    pub fn results_in(
        &self,
        folder: &Path,
        words: impl Iterator<Item = OsString>,
        quiet: bool,
    ) -> anyhow::Result<Value> {
        let is_begun = folder.join(RunFolder::SETTINGS).exists();
        let place = if is_begun { "--resume" } else { "--run-dir" };
        let own = [place.into(), folder.into(), "--jobs=1".into()].into_iter();
        let own = own.chain(quiet.then(|| "--quiet".into()));
        let flags = self.command().try_get_matches_from(words.chain(own))?;
        (self.results)(&flags)
    }

    /// The experiment of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        tasks::ALL.iter().find(|entry| entry.name == name)
    }
}

/// The command of an experiment, with its flags.
#[derive(Debug, Clone)]
pub struct Call {
    entry: &'static Entry,
    flags: ArgMatches,
}

impl Call {
    pub fn run(&self) -> anyhow::Result<()> {
        (self.entry.run)(&self.flags)
    }
}

impl FromArgMatches for Call {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = matches.subcommand();
        let given = given.and_then(|(name, flags)| Some((Entry::find(name)?, flags.clone())));
        match given {
            Some((entry, flags)) => Ok(Self { entry, flags }),
            None => Err(Error::raw(
                ErrorKind::InvalidSubcommand,
                "this is no experiment",
            )),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Call {
    fn augment_subcommands(program: Command) -> Command {
        program.subcommands(tasks::ALL.iter().map(Entry::command))
    }

    fn augment_subcommands_for_update(program: Command) -> Command {
        Self::augment_subcommands(program)
    }

    fn has_subcommand(name: &str) -> bool {
        Entry::find(name).is_some()
    }
}
