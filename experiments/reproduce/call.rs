//! A command line of this program that is a part of a table: run in a folder, or not again if that
//! holds its results.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Parser;
use dni::run::RunFolder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::peer;
use crate::registry::Entry;
use crate::{Cli, Command, bench, output, results};

/// A command line of an experiment or of the bench.
#[derive(Debug, Clone)]
pub struct Call {
    /// The name of its folder in that of the table. Calls whose steps take the same time share what
    /// comes before a `/`.
    pub name: String,
    /// The command and its flags, but for those that [`Work`] stands for.
    pub line: String,
    pub work: Work,
}

/// How much a call does.
#[derive(Debug, Clone)]
pub enum Work {
    /// So many runs of each method, from the seeds 1, 2 and so on.
    Training {
        methods: Vec<String>,
        steps: usize,
        seeds: usize,
    },
    /// A measurement of the bench, with so many repetitions of each of its cases.
    Timing { repetitions: usize, cases: usize },
    /// Runs of another program, as those of a training.
    Peer { steps: usize, seeds: usize },
}

/// The results of a call, in its folder: the report, as the experiment leaves it there, and the command.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    /// None if this command has not come to its end: an experiment alone does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(flatten)]
    report: Value,
}

/// The runs of a call that have failed, and why, by its report.
pub fn failures(report: &Value) -> Vec<String> {
    let failures = report["failures"].as_array().into_iter().flatten();
    let told = |failure: &Value| {
        let [run, error] = ["run", "error"].map(|key| failure[key].as_str().unwrap_or_default());
        format!("{run}: {error}")
    };
    failures.map(told).collect()
}

/// The report of a call whose only run has failed.
pub fn failed_report(call: &Call, error: &anyhow::Error) -> Value {
    let failure = json!({"run": call.to_string(), "error": output::told(error)});
    json!({"results": [], "failures": [failure]})
}

impl Call {
    /// The results: those in the folder, or else of runs that begin there or go on.
    pub fn results(&self, folder: &Path, quiet: bool) -> anyhow::Result<Value> {
        if let Some(report) = self.finished(folder)? {
            return Ok(report);
        }
        let is_begun = folder.join(RunFolder::SETTINGS).exists();
        let place = if is_begun { "--resume" } else { "--run-dir" };
        let report = self.run(place, folder, quiet)?;
        // Who calls again may have removed the cause.
        if report.is_null() || !failures(&report).is_empty() {
            return Ok(report);
        }
        let stored = Stored {
            command: Some(self.to_string()),
            report,
        };
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder '{}'", folder.display()))?;
        let text = serde_json::to_string(&stored)? + "\n";
        dni::run::write_atomically(&folder.join(results::FILE), text.as_bytes())?;
        Ok(stored.report)
    }

    /// The results, if the folder holds them.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or are those of another command.
    pub fn finished(&self, folder: &Path) -> anyhow::Result<Option<Value>> {
        let path = folder.join(results::FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read '{}'", path.display()));
            }
        };
        let mut stored: Stored = serde_json::from_str(&text)
            .with_context(|| format!("'{}' is damaged; remove it", path.display()))?;
        let Some(command) = stored.command else {
            return Ok(None);
        };
        if command != self.to_string() {
            bail!(
                "'{}' has the results of 'dni {command}', where those of 'dni {self}' are wanted; \
                 choose another folder with --run-dir",
                path.display(),
            );
        }
        // Older versions kept the report apart.
        Ok(Some(match stored.report.get_mut("report") {
            Some(report) => report.take(),
            None => stored.report,
        }))
    }

    /// Runs it in a folder that `place` (`--run-dir` or `--resume`) makes a new or an old one.
    pub fn run(&self, place: &str, folder: &Path, quiet: bool) -> anyhow::Result<Value> {
        if self.is_peer() {
            return peer::results(self, quiet);
        }
        let line = self.to_string();
        let mut words: Vec<_> = line.split(' ').map(Into::into).collect();
        if self.entry().is_some() {
            words.extend([place.into(), folder.as_os_str().to_owned()]);
            // Its seconds are figures.
            words.extend(["--jobs", "1"].map(Into::into));
        }
        words.extend(quiet.then(|| "--quiet".into()));
        let program = std::ffi::OsString::from("dni");
        let cli = Cli::try_parse_from([program].into_iter().chain(words))?;
        Ok(match cli.command {
            Command::Experiment(call) => call.results()?,
            Command::Bench(args) => serde_json::to_value(bench::compare(&args)?)?,
            _ => bail!("'dni {self}' has no results"),
        })
    }

    /// Whether it runs another program.
    pub fn is_peer(&self) -> bool {
        matches!(self.work, Work::Peer { .. })
    }

    /// The length of each of its runs.
    pub fn steps(&self) -> usize {
        match self.work {
            Work::Training { steps, .. } | Work::Peer { steps, .. } => steps,
            Work::Timing { .. } => 0,
        }
    }

    /// Its experiment, unless it is another program or the bench.
    pub fn entry(&self) -> Option<&'static Entry> {
        Entry::find(self.line.split(' ').next()?)
    }

    /// A few steps of one of its methods, on little data: enough to time a step.
    pub fn trial(&self, method: &str, steps: usize) -> Self {
        let fewer = self.entry().map_or(&[][..], |entry| entry.trial);
        let own = |flag: &str| self.line.split(' ').any(|word| word == flag);
        let fewer = fewer.iter().filter(|(flag, _)| !own(flag));
        let fewer: String = fewer.map(|(flag, n)| format!(" {flag} {n}")).collect();
        Self {
            name: "trial".to_string(),
            line: format!("{}{fewer}", self.line),
            work: Work::Training {
                methods: vec![method.to_string()],
                steps,
                seeds: 1,
            },
        }
    }
}

/// The command line, without the program's name.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.line)?;
        match &self.work {
            Work::Training {
                methods,
                steps,
                seeds,
            } => {
                let length = self.entry().map_or("--steps", |entry| entry.length);
                let methods = methods.join(",");
                write!(f, " {length} {steps} --seeds {seeds} --method {methods}")
            }
            Work::Timing { repetitions, .. } => write!(f, " --repetitions {repetitions}"),
            Work::Peer { steps, seeds } => write!(f, " --steps {steps} --seeds {seeds}"),
        }
    }
}
