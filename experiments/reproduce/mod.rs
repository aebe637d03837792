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
mod render;
mod study;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::args::Misuse;
use crate::progress::Busy;
use crate::session::{self, Interrupted};
use crate::shell::{self, quoted_path};
use crate::{output, overall, results};
use data::Scope;
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
    args.make(&study)
        .map_err(|error| Interrupted::within(error, || args.go_on()))
}

impl ReproduceArgs {
    /// Makes a table, or says what would run.
    fn make(&self, study: &Study) -> anyhow::Result<()> {
        let stop = session::asked_to_stop(self.quiet)?;
        if self.plan {
            return output::print(&self.plan(study)?);
        }
        // Two at work on one table would spoil each other's runs.
        let _lock = session::take(&self.folder())?;
        if !self.quiet {
            output::say("timing a step of each kind that has not run yet");
            output::say(self.plan(study)?.trim_end());
        }
        let reports = self.reports(study, stop)?;
        self.deliver(&study.to_markdown(&reports)?)?;
        match reports.iter().flat_map(results::failures).count() {
            0 => Ok(()),
            failed => bail!("{failed} runs failed; the table says which, and why"),
        }
    }

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
        let in_words = |time: Duration| overall::in_words(time.as_secs_f64());
        let counted = |runs| format!("{runs} {}", if runs == 1 { "run" } else { "runs" });
        let (mut all, mut time) = (0, Duration::ZERO);
        let mut known = estimate::StepTimes::new();
        let busy = Busy::new("timing steps", self.quiet);
        for (number, call) in study.numbered() {
            busy.set(format!("timing a step of {number}: dni {call}"));
            let (runs, own) = estimate::left(call, &folder.join(&call.folder), &mut known)?;
            let how_long = match runs {
                0 => "done".to_string(),
                runs => format!("{}, {}", counted(runs), in_words(own)),
            };
            text += &format!("  dni {call}\n    {how_long}\n");
            (all, time) = (all + runs, time + own);
        }
        let at_most = match study.limit {
            Some(_) => "; at most: what is decided is not run",
            None => "",
        };
        text += &format!(
            "in all {}, about {} (the steps that are left, times what a step took here in a trial \
             or in a run that has begun; without loading and evaluating{at_most})\n",
            counted(all),
            in_words(time),
        );
        Ok(text)
    }

    /// The reports of all calls, which run one after another; null of those that nothing depends on.
    fn reports(&self, study: &Study, stop: &AtomicBool) -> anyhow::Result<Vec<Value>> {
        let interrupted = |at| {
            let command = String::new();
            anyhow::Error::from(Interrupted { at, command })
        };
        let is_to_stop = || stop.load(Ordering::Relaxed);
        let mut reports = Vec::with_capacity(study.calls.len());
        for (number, call) in study.numbered() {
            if is_to_stop() {
                return Err(interrupted(number));
            }
            let is_needless = study.can_do_without(reports.len(), &reports);
            if !self.quiet {
                let needless = if is_needless { "not needed, " } else { "" };
                output::say(&format!("{number}: {needless}dni {call}"));
            }
            if is_needless {
                reports.push(Value::Null);
                continue;
            }
            let report = call.results(&self.folder().join(&call.folder), self.quiet);
            reports.push(match report {
                // The same Ctrl-C may have stopped the other program.
                Err(_) if call.is_peer() && is_to_stop() => return Err(interrupted(number)),
                report => report?,
            });
        }
        Ok(reports)
    }

    /// The command that goes on where this one has stopped.
    fn go_on(&self) -> String {
        let (table, budget) = (&self.table, self.budget.name());
        let mut command = format!("{} reproduce {table} --budget {budget}", shell::program());
        for (flag, path) in [
            ("--run-dir", Some(&self.folder())),
            ("--output", self.output.as_ref()),
            ("--update", self.update.as_ref()),
        ] {
            if let Some(path) = path {
                command += &format!(" {flag} {}", quoted_path(path));
            }
        }
        command
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
