//! `dni reproduce`: all runs of a table of experiments/README.md, and the table.
//!
//! A table is made of calls of the other commands, each in a folder of its own that keeps its
//! results, so that what was interrupted goes on where it stopped.

mod block;
mod call;
mod claim;
mod data;
mod estimate;
mod peer;
mod race;
mod scope;
mod study;
#[cfg(test)]
mod tests;
mod track;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::args::Misuse;
use crate::output;
use crate::progress::Busy;
use crate::session::{self, Interrupted};
use crate::shell::{self, quoted_path};
use call::Call;
use scope::Scope;
use study::Study;

/// Flags of `dni reproduce`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    dni reproduce notebook --budget quick\n  \
    dni reproduce sparse --plan\n  \
    dni reproduce feedforward --update experiments/README.md")]
pub struct ReproduceArgs {
    /// The table
    #[arg(value_parser = data::parser())]
    table: String,

    /// The length of the runs, and how many there are
    #[arg(long, value_enum, default_value_t)]
    budget: Scope,

    /// Show what would run and how long it would take, and end
    #[arg(long)]
    plan: bool,

    /// Folder of the runs; those that it holds already are continued
    /// [default: runs/reproduce-TABLE-BUDGET]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    run_dir: Option<PathBuf>,

    /// Write the table to a file instead of stdout
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,

    /// Put the table in its place in a page, between `<!-- dni reproduce TABLE -->` and
    /// `<!-- end -->`
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Output",
        conflicts_with = "output"
    )]
    update: Option<PathBuf>,

    /// No plan, progress or messages on stderr except errors
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// `dni reproduce`.
pub fn run(args: ReproduceArgs) -> anyhow::Result<()> {
    args.check_destination()?;
    let study = data::study(&args.table, args.budget);
    let stop = session::asked_to_stop(args.quiet)?;
    if args.plan {
        return output::print(&args.plan(&study)?);
    }
    // Two at work on one table would spoil each other's runs.
    let _lock = session::take(&args.folder())?;
    if !args.quiet {
        output::say("timing a step of each kind that has not run yet");
        output::say(args.plan(&study)?.trim_end());
    }
    let reports = args.reports(&study, stop)?;
    args.deliver(&study.to_markdown(&reports)?)?;
    match reports.iter().flat_map(call::failures).count() {
        0 => Ok(()),
        failed => bail!("{failed} runs failed; the table says which, and why"),
    }
}

/// The calls of a table with their numbers, as people count.
fn numbered(study: &Study) -> impl Iterator<Item = (String, &Call)> {
    let calls = study.calls.iter().enumerate();
    calls.map(|(i, call)| (format!("{} of {}", i + 1, study.calls.len()), call))
}

impl ReproduceArgs {
    fn folder(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| {
            let (table, budget) = (&self.table, self.budget.name());
            Path::new("runs").join(format!("reproduce-{table}-{budget}"))
        })
    }

    /// Refuses a file that the table could not be written to, before days have gone by.
    fn check_destination(&self) -> anyhow::Result<()> {
        if let Some(path) = &self.output {
            output::check_file(path)?;
        }
        if let Some(path) = &self.update {
            block::find(&read_page(path)?, &self.table)
                .map_err(|error| Misuse(format!("cannot update '{}': {error}", path.display())))?;
        }
        Ok(())
    }

    /// What is to run, and how long it takes.
    fn plan(&self, study: &Study) -> anyhow::Result<String> {
        let (table, budget, folder) = (&self.table, self.budget.name(), self.folder());
        let mut text = format!("{table}, budget {budget}, in '{}':\n", folder.display());
        let (mut all, mut time) = (0, Duration::ZERO);
        let mut known = estimate::StepTimes::new();
        let busy = Busy::new("timing steps", self.quiet);
        for (number, call) in numbered(study) {
            busy.set(format!("timing a step of {number}: dni {call}"));
            let left = estimate::left(call, &folder.join(&call.name), &mut known);
            let (runs, own) = left.map_err(|error| self.explained(error))?;
            let how_long = match runs {
                0 => "done".to_string(),
                runs => format!("{}, {}", counted(runs), estimate::in_words(own)),
            };
            writeln!(text, "  dni {call}\n    {how_long}")?;
            (all, time) = (all + runs, time + own);
        }
        writeln!(
            text,
            "in all {}, about {} (the steps that are left, times what a step took here in a trial \
             or in a run that has begun; without loading and evaluating{})",
            counted(all),
            estimate::in_words(time),
            match study.is_race() {
                true => "; at most: what is decided is not run",
                false => "",
            }
        )?;
        Ok(text)
    }

    /// The reports of all calls, which run one after another; null of those that nothing depends on.
    fn reports(&self, study: &Study, stop: &AtomicBool) -> anyhow::Result<Vec<Value>> {
        let say = |text: String| {
            if !self.quiet {
                output::say(&text);
            }
        };
        let is_to_stop = || stop.load(Ordering::Relaxed);
        let mut reports = Vec::with_capacity(study.calls.len());
        for (number, call) in numbered(study) {
            if is_to_stop() {
                return Err(self.interrupted(number).into());
            }
            if study.can_do_without(reports.len(), &reports) {
                say(format!("{number}: not needed, dni {call}"));
                reports.push(Value::Null);
                continue;
            }
            say(format!("{number}: dni {call}"));
            // Our own runs say how far they are.
            let wait = || Busy::new(format!("waiting for dni {call}"), self.quiet);
            let _busy = call.is_peer().then(wait);
            let report = call.results(&self.folder().join(&call.name), self.quiet);
            reports.push(
                report.map_err(|error| match call.is_peer() && is_to_stop() {
                    // The same Ctrl-C may have stopped the other program.
                    true => self.interrupted(number).into(),
                    false => self.explained(error),
                })?,
            );
        }
        Ok(reports)
    }

    /// An error as one of this command: an interrupted run goes on by it.
    fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<Interrupted>() {
            Ok(Interrupted { at, .. }) => self.interrupted(at).into(),
            Err(error) => error,
        }
    }

    /// It was asked to stop, and goes on when it is called again.
    fn interrupted(&self, at: String) -> Interrupted {
        let (table, budget) = (&self.table, self.budget.name());
        let mut command = format!("{} reproduce {table} --budget {budget}", shell::program());
        let folder = Some(self.folder());
        for (flag, path) in [
            ("--run-dir", &folder),
            ("--output", &self.output),
            ("--update", &self.update),
        ] {
            if let Some(path) = path {
                command += &format!(" {flag} {}", quoted_path(path));
            }
        }
        Interrupted { at, command }
    }

    /// Brings the table to where it was asked for.
    fn deliver(&self, table: &str) -> anyhow::Result<()> {
        let (path, text) = match (&self.output, &self.update) {
            (Some(path), _) => (path, table.to_string()),
            (None, Some(path)) => (path, block::replace(&read_page(path)?, &self.table, table)?),
            (None, None) => return output::print(table),
        };
        dni::run::write_atomically(path, text.as_bytes())?;
        output::print(&format!("table: {}\n", path.display()))
    }
}

fn read_page(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path)
        .map_err(|error| Misuse(format!("cannot read '{}': {error}", path.display())).into())
}

fn counted(runs: usize) -> String {
    format!("{runs} {}", if runs == 1 { "run" } else { "runs" })
}
