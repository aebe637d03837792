//! `dni sweep EXPERIMENT`: runs by every combination of several values of flags, and which did best.
//!
//! Each combination is a call of the experiment in a folder of its own, which keeps its results: what was
//! interrupted goes on where it stopped, and what is finished is not made again.

mod flags;
mod rows;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::bail;
use clap::error::ErrorKind;
use clap::{ArgMatches, Command, Error, FromArgMatches, Subcommand};
use dni::report;
use dni::run::RunFolder;
use serde_json::Value;

use crate::args::{Misuse, threads};
use crate::comparison::{self, ends_all, on_threads};
use crate::experiment::Outline;
use crate::registry::Entry;
use crate::session::{self, Interrupted};
use crate::shell::{program, quoted, quoted_path};
use crate::{memory, output, overall, results, runs, tasks};
use flags::{Combination, Given};
use rows::{Rows, Sort};

/// How to say what is swept.
pub const HELP: &str = "\
Give a flag several values: between commas, where the flag takes no list itself, or by repeating it.
  dni sweep adder --lr 0.001,0.003 --synthesizer linear:16,linear:32 --method cdni --seeds 3
  dni sweep adder --layers 64,32 --layers 128,64 --lr-schedule constant --lr-schedule 300:0.1,400:0.1
Every combination is run, by all --method and --seeds, on all processors. The same command with
--run-dir goes on with a sweep that was stopped; what is finished is not made again.";

/// The command, with the experiment and its flags.
#[derive(Debug, Clone)]
pub struct Sweep {
    entry: &'static Entry,
    matches: ArgMatches,
}

impl FromArgMatches for Sweep {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = matches.subcommand();
        let given = given.and_then(|(name, flags)| Some((Entry::find(name)?, flags.clone())));
        match given {
            Some((entry, matches)) => Ok(Self { entry, matches }),
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

impl Subcommand for Sweep {
    fn augment_subcommands(command: Command) -> Command {
        command
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands(tasks::ALL.iter().map(flags::command))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Entry::find(name).is_some()
    }
}

/// A combination, ready to run.
struct Call {
    entry: &'static Entry,
    combination: Combination,
    /// The words that it is called by, but for its folder.
    words: Vec<String>,
    outline: Outline,
}

/// `dni sweep`.
pub fn run(sweep: Sweep) -> anyhow::Result<()> {
    let given = Given::new(sweep.entry, &sweep.matches)?;
    let is_quiet = given.has("quiet");
    let sort = Sort::new(given.of_all("sort"));
    let stop = session::asked_to_stop(is_quiet)?;
    let kernel_threads = given.of_all("kernel_threads").map(threads);
    let kernel_threads = kernel_threads.transpose().map_err(Misuse)?.unwrap_or(1);
    session::prepare_kernels(kernel_threads)?;
    // Whatever is wrong is found out before anything runs.
    let calls = calls(sweep.entry, &given)?;
    let jobs = jobs(&given, &calls, kernel_threads)?;
    let folder = given.of_all("run_dir").map(PathBuf::from);
    let name = format!("sweep-{}", sweep.entry.name);
    let folder = folder.map_or_else(|| session::make_folder(&name), Ok)?;
    let _lock = session::take(&folder)?;
    let all: usize = calls.iter().map(|call| call.outline.runs).sum();
    if !is_quiet {
        let combinations = calls.len();
        output::say(&format!(
            "{all} runs of {combinations} combinations, {jobs} at the same time"
        ));
    }
    let results = results(&calls, &folder, (jobs, kernel_threads), is_quiet, stop);
    let results = results.map_err(|error| Interrupted::within(error, || go_on(&given, &folder)))?;

    let (groups, _) = runs::read(std::slice::from_ref(&folder))?;
    let page = folder.join("report.html");
    dni::run::write_atomically(&page, report::html(&groups).as_bytes())?;
    let done = || calls.iter().map(|call| &call.combination).zip(&results);
    // Which figures there are shows now: one that there is not must not cost the table.
    let (rows, unsorted) = match Rows::new(done(), &sort) {
        Ok(rows) => (rows, None),
        Err(Misuse(why)) => (Rows::new(done(), &Sort::new(None))?, Some(why)),
    };
    let report = rows.to_json(sweep.entry.name);
    results::write(&folder, &report)?;
    output::print(&match given.of_all("format") {
        Some("json") => report.to_string() + "\n",
        _ => format!(
            "{}runs: {}\nreport: {}\n",
            rows.to_text(&given.swept()),
            folder.display(),
            page.display()
        ),
    })?;
    if let Some(why) = unsorted {
        bail!("sorted by how well the task was learned instead: {why}");
    }
    match rows.failures() {
        0 => Ok(()),
        failed => bail!("{failed} of {all} runs failed; the results say which, and why"),
    }
}

/// The calls of all combinations, each of which must be one that could be made alone.
fn calls(entry: &'static Entry, given: &Given) -> anyhow::Result<Vec<Call>> {
    if !matches!(given.of_all("format"), None | Some("text" | "json")) {
        return Err(Misuse("choose --format text or json".to_string()).into());
    }
    let combinations = given.combinations().into_iter();
    let calls = combinations.map(|combination| {
        let words = given.words(&combination);
        let flags = entry.command().try_get_matches_from(&words);
        let flags = flags.map_err(|error| Misuse(said(&error)))?;
        Ok(Call {
            outline: (entry.outline)(&flags)?,
            entry,
            combination,
            words,
        })
    });
    calls.collect()
}

/// The reason that clap has for an error, in one line.
fn said(error: &Error) -> String {
    let text = error.to_string();
    let text = text.trim_start_matches("error: ");
    text.lines().next().unwrap_or(text).to_string()
}

/// How many combinations are made at the same time.
fn jobs(given: &Given, calls: &[Call], kernel_threads: usize) -> anyhow::Result<usize> {
    let is_alone = calls.iter().any(|call| call.outline.is_alone);
    let asked = given.of_all("jobs").map(threads).transpose();
    let jobs = comparison::jobs(
        asked.map_err(Misuse)?,
        is_alone,
        kernel_threads,
        calls.len(),
    )?;
    for call in calls {
        let least = call.outline.memory.saturating_mul(jobs as u128);
        memory::check(least, call.outline.backend)?;
    }
    Ok(jobs)
}

/// The results of every call, some at the same time.
fn results(
    calls: &[Call],
    folder: &Path,
    (jobs, kernel_threads): (usize, usize),
    is_quiet: bool,
    stop: &AtomicBool,
) -> anyhow::Result<Vec<Value>> {
    let folders = calls
        .iter()
        .map(|call| folder.join(call.combination.folder()));
    let folders: Vec<PathBuf> = folders.collect();
    let kept = calls
        .iter()
        .zip(&folders)
        .map(|(call, folder)| call.kept(folder));
    let kept: Vec<Option<Value>> = kept.collect::<anyhow::Result<_>>()?;
    let to_make = calls.iter().zip(&kept).filter(|(_, kept)| kept.is_none());
    let runs = to_make.map(|(call, _)| call.outline.runs).sum();
    let _expected = overall::expect(runs, jobs, is_quiet);
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(call) = calls.get(i) else {
                break;
            };
            let result = match &kept[i] {
                Some(report) => Ok(report.clone()),
                None => call.make(&folders[i], stop),
            };
            is_over.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((i, result));
        }
        done
    };
    let mut done = on_threads(jobs, kernel_threads, work)?;
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

impl Call {
    /// The results in its folder, if they are there and whole.
    ///
    /// # Errors
    ///
    /// If they are those of other settings.
    fn kept(&self, folder: &Path) -> anyhow::Result<Option<Value>> {
        let settings = folder.join(RunFolder::SETTINGS);
        let Ok(text) = fs::read_to_string(&settings) else {
            return Ok(None);
        };
        let [there, wanted] =
            [&text, &self.outline.settings].map(|text| text.parse::<toml::Table>());
        if there.is_err() || there != wanted {
            return Err(Misuse(format!(
                "'{}' holds runs of other settings than those of this sweep; choose another folder \
                 with --run-dir",
                folder.display()
            ))
            .into());
        }
        // Who calls again may have removed the cause of a failure.
        let kept = results::read(folder)?;
        Ok(kept.filter(|report| report["failures"].is_null()))
    }

    /// Makes its runs, or goes on with them. That one fails is among the results.
    fn make(&self, folder: &Path, stop: &AtomicBool) -> anyhow::Result<Value> {
        if stop.load(Ordering::Relaxed) {
            let at = format!("the beginning of {}", self.combination);
            let command = String::new();
            return Err(Interrupted { at, command }.into());
        }
        let words = self.words.iter().map(OsString::from);
        match self.entry.results_in(folder, words, true) {
            Err(error) if !ends_all(&error) => {
                let combination = &self.combination;
                let told = output::told(&error);
                output::say(&format!("{combination} is given up: {told}"));
                Ok(results::failed("all", &error))
            }
            report => report,
        }
    }
}

/// The command that goes on where the sweep has stopped.
fn go_on(given: &Given, folder: &Path) -> String {
    let words = given.all_words().into_iter();
    let words: Vec<String> = words.map(|word| quoted(&word)).collect();
    let (words, folder) = (words.join(" "), quoted_path(folder));
    format!("{} sweep {words} --run-dir {folder}", program())
}
