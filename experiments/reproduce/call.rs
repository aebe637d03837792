//! A command line of this program that is a part of a table: run in a folder, or not again if that
//! holds its results.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Parser;
use serde::Deserialize;
use serde_json::Value;

use super::peer;
use super::study::Line;
use crate::registry::Entry;
use crate::{Cli, Command, bench, results};

/// A command line of an experiment, of the bench, or of another program beside ours.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// Its folder in that of the table. Calls whose steps take the same time share what comes before a
    /// `/`.
    pub folder: String,
    /// The keys of the rows that its results belong to; all if there are none.
    pub rows: Vec<String>,
    /// Those of the columns.
    pub columns: Vec<String>,
    /// The command and its flags, but for those of length, seeds and methods.
    pub line: String,
    /// Those of an experiment; none for others.
    pub methods: Vec<String>,
    /// The length of each run; zero for the bench.
    pub steps: usize,
    /// Runs of each method, from the seeds 1, 2 and so on.
    pub seeds: usize,
    /// Whether it is run to know the time of a step, and not for what it learns.
    pub is_pace: bool,
    /// How long a step takes, or all of it if it has none, where that is not tried.
    pub seconds: Option<f64>,
}

impl Call {
    /// Whether its results have the figures of a row and a column.
    pub fn belongs_to(&self, row: &Line, column: &Line) -> bool {
        let has = |all: &[String], name: &str| all.is_empty() || all.iter().any(|own| own == name);
        let trains = |line: &Line| line.of().all(|[_, name]| has(&self.methods, name));
        let is_there = has(&self.rows, row.key()) && has(&self.columns, column.key());
        is_there && trains(row) && trains(column)
    }

    /// The results: those in the folder, or else of runs that begin there or go on.
    ///
    /// # Errors
    ///
    /// If they cannot be had, but not if its only run has failed by itself: the others may get on.
    pub fn results(&self, folder: &Path, quiet: bool) -> anyhow::Result<Value> {
        if let Some(report) = self.finished(folder)? {
            return Ok(report);
        }
        let mut report = match self.run(folder, quiet) {
            Err(error) if error.is::<dni::Error>() => {
                return Ok(results::failed(&self.to_string(), &error));
            }
            report => report?,
        };
        // Who calls again may have removed the cause.
        if report.is_null() || results::failures(&report).next().is_some() {
            return Ok(report);
        }
        // An experiment alone does not say that this command has come to its end.
        report["command"] = self.to_string().into();
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder '{}'", folder.display()))?;
        results::write(folder, &report)?;
        Ok(report)
    }

    /// The results, if the folder holds them.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or are those of another command.
    pub fn finished(&self, folder: &Path) -> anyhow::Result<Option<Value>> {
        let Some(mut stored) = results::read(folder)? else {
            return Ok(None);
        };
        match stored["command"].as_str() {
            None => Ok(None),
            Some(command) if command != self.to_string() => bail!(
                "'{}' has the results of 'dni {command}', where those of 'dni {self}' are wanted; \
                 choose another folder with --run-dir",
                folder.join(results::FILE).display(),
            ),
            // Older versions kept the report apart.
            Some(_) => Ok(Some(match stored.get_mut("report") {
                Some(report) => report.take(),
                None => stored,
            })),
        }
    }

    /// Runs it in a folder, or goes on there.
    pub fn run(&self, folder: &Path, quiet: bool) -> anyhow::Result<Value> {
        if self.is_peer() {
            return peer::results(self, quiet);
        }
        let line = self.to_string();
        if let Some(entry) = self.entry() {
            return entry.results_in(folder, line.split(' ').map(Into::into), quiet);
        }
        let quiet = quiet.then_some("--quiet");
        let words = ["dni"].into_iter().chain(line.split(' ')).chain(quiet);
        match Cli::try_parse_from(words)?.command {
            Command::Bench(args) => Ok(serde_json::to_value(bench::compare(&args)?)?),
            _ => bail!("'dni {self}' has no results"),
        }
    }

    /// Whether it runs another program.
    pub fn is_peer(&self) -> bool {
        self.line.starts_with("pytorch ")
    }

    /// Its experiment, unless it is another program or the bench.
    pub fn entry(&self) -> Option<&'static Entry> {
        Entry::find(self.line.split(' ').next()?)
    }

    /// A few steps of one of its methods, on little data, as far as it has flags for that which are not
    /// given: enough to time a step.
    pub fn trial(&self, method: &str, steps: usize) -> Self {
        const LITTLE: [&str; 3] = [
            "--examples 1024 --test-examples 100",
            "--characters 20000",
            "--eval-every 1000000",
        ];
        let command = self.entry().map(Entry::command).unwrap_or_default();
        let mut line = self.line.clone();
        for flag in LITTLE {
            let longer = format!("{line} {flag}");
            let parsed = command.clone().try_get_matches_from(longer.split(' '));
            if parsed.is_ok() {
                line = longer;
            }
        }
        Self {
            line,
            methods: vec![method.to_string()],
            steps,
            seeds: 1,
            ..Self::default()
        }
    }
}

/// The command line, without the program's name.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.line)?;
        if self.steps > 0 {
            let length = self.entry().map_or("--steps", |entry| entry.length);
            write!(f, " {length} {} --seeds {}", self.steps, self.seeds)?;
        }
        match &self.methods[..] {
            [] => Ok(()),
            methods => write!(f, " --method {}", methods.join(",")),
        }
    }
}
