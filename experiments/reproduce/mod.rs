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
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use crate::args::Misuse;
use crate::output;
use crate::progress::Busy;
use crate::session::{self, Interrupted};
use crate::shell::{self, quoted_path};
use data::Table;
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
    table: &'static Table,

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
    let study = args.table.study(args.budget);
    let folder = args.folder();
    let say = |text: &str| {
        if !args.quiet {
            output::say(text);
        }
    };
    let stop = session::asked_to_stop(args.quiet)?;
    if args.plan {
        return output::print(&args.plan(&study, &folder)?);
    }
    // Two at work on one table would spoil each other's runs.
    let _lock = session::take(&folder)?;
    if !args.quiet {
        say("timing a step of each kind that has not run yet");
        say(args.plan(&study, &folder)?.trim_end());
    }
    let mut reports = Vec::with_capacity(study.calls.len());
    for (i, call) in study.calls.iter().enumerate() {
        let number = format!("{} of {}", i + 1, study.calls.len());
        if stop.load(Ordering::Relaxed) {
            return Err(args.interrupted(number, &folder).into());
        }
        if study.can_do_without(i, &reports) {
            say(&format!("{number}: not needed, dni {call}"));
            reports.push(Value::Null);
            continue;
        }
        say(&format!("{number}: dni {call}"));
        // Our own runs say how far they are.
        let wait = || Busy::new(format!("waiting for dni {call}"), args.quiet);
        let _busy = call.is_peer().then(wait);
        reports.push(match call.results(&folder.join(&call.name), args.quiet) {
            // What a run met is its own; the others may get on.
            Err(error) if error.is::<dni::Error>() => call::failed_report(call, &error),
            // Another program may have been stopped by the same Ctrl-C.
            Err(_) if call.is_peer() && stop.load(Ordering::Relaxed) => {
                return Err(args.interrupted(number, &folder).into());
            }
            report => report.map_err(|error| args.explained(error, &folder))?,
        });
    }
    args.deliver(&study.to_markdown(args.budget, &reports)?)?;
    match reports.iter().flat_map(call::failures).count() {
        0 => Ok(()),
        failed => bail!("{failed} runs failed; the table says which, and why"),
    }
}

impl ReproduceArgs {
    fn folder(&self) -> PathBuf {
        self.run_dir.clone().unwrap_or_else(|| {
            let (table, budget) = (&self.table.name, self.budget.name());
            Path::new("runs").join(format!("reproduce-{table}-{budget}"))
        })
    }

    /// Refuses a file that the table could not be written to, before days have gone by.
    fn check_destination(&self) -> anyhow::Result<()> {
        if let Some(path) = &self.output {
            output::check_file(path)?;
        }
        if let Some(path) = &self.update {
            block::find(&read_page(path)?, &self.table.name)
                .map_err(|error| Misuse(format!("cannot update '{}': {error}", path.display())))?;
        }
        Ok(())
    }

    /// What is to run, and how long it takes.
    fn plan(&self, study: &Study<'_>, folder: &Path) -> anyhow::Result<String> {
        let (mut runs, mut time) = (0, Duration::ZERO);
        let mut text = format!(
            "{}, budget {}, in '{}':\n",
            self.table.name,
            self.budget.name(),
            folder.display()
        );
        let mut trials = estimate::Trials::new();
        let busy = Busy::new("timing steps", self.quiet);
        for (i, call) in study.calls.iter().enumerate() {
            let number = format!("{} of {}", i + 1, study.calls.len());
            busy.set(format!("timing a step of {number}: dni {call}"));
            let left = estimate::left(call, &folder.join(&call.name), &mut trials);
            let left = left.map_err(|error| self.explained(error, folder))?;
            let how_long = match left.runs {
                0 => "done".to_string(),
                runs => format!("{}, {}", counted(runs), estimate::in_words(left.time)),
            };
            writeln!(text, "  dni {call}\n    {how_long}")?;
            runs += left.runs;
            time += left.time;
        }
        writeln!(
            text,
            "in all {}, about {} (the steps that are left, times what a step took here in a trial \
             or in a run that has begun; without loading and evaluating{})",
            counted(runs),
            estimate::in_words(time),
            match study.is_race() {
                true => "; at most: what is decided is not run",
                false => "",
            }
        )?;
        Ok(text)
    }

    /// An error as one of this command: an interrupted run goes on by it.
    fn explained(&self, error: anyhow::Error, folder: &Path) -> anyhow::Error {
        match error.downcast::<Interrupted>() {
            Ok(Interrupted { at, .. }) => self.interrupted(at, folder).into(),
            Err(error) => error,
        }
    }

    /// It was asked to stop, and goes on when it is called again.
    fn interrupted(&self, at: String, folder: &Path) -> Interrupted {
        let (table, budget) = (&self.table.name, self.budget.name());
        let folder = quoted_path(folder);
        let program = shell::program();
        let mut command =
            format!("{program} reproduce {table} --budget {budget} --run-dir {folder}");
        for (flag, path) in [("--output", &self.output), ("--update", &self.update)] {
            if let Some(path) = path {
                command += &format!(" {flag} {}", quoted_path(path));
            }
        }
        Interrupted { at, command }
    }

    /// Brings the table to where it was asked for.
    fn deliver(&self, table: &str) -> anyhow::Result<()> {
        let written = match (&self.output, &self.update) {
            (Some(path), _) => {
                dni::run::write_atomically(path, table.as_bytes())?;
                path
            }
            (None, Some(path)) => {
                let page = block::replace(&read_page(path)?, &self.table.name, table)?;
                dni::run::write_atomically(path, page.as_bytes())?;
                path
            }
            (None, None) => return output::print(table),
        };
        output::print(&format!("table: {}\n", written.display()))
    }
}

fn read_page(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path)
        .map_err(|error| Misuse(format!("cannot read '{}': {error}", path.display())).into())
}

fn counted(runs: usize) -> String {
    match runs {
        1 => "1 run".to_string(),
        runs => format!("{runs} runs"),
    }
}
