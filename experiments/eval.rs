//! `dni eval`: trained networks measured again, or on other data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use dni::run::Checkpoint;
use serde::Serialize;

use crate::args::{Format, MachineArgs, Misuse};
use crate::progress::Busy;
use crate::registry::Entry;
use crate::runs::Damaged;
use crate::source::TestDataArgs;
use crate::table::Table;
use crate::{figure, output, runs, session};

/// Flags of `dni eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Folders of runs, or folders that hold such folders at any depth
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    #[command(flatten)]
    data: TestDataArgs,
    #[command(flatten)]
    machine: MachineArgs,

    /// Form of the results on stdout
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
}

/// What a network achieves.
#[derive(Debug, Serialize)]
struct Evaluation {
    run: String,
    /// Steps that it was trained for.
    step: usize,
    figures: BTreeMap<String, f64>,
}

/// `dni eval`.
pub fn run(args: EvalArgs) -> anyhow::Result<()> {
    session::prepare_kernels(args.machine.kernel_threads.unwrap_or(1))?;
    let runs = runs::find(&args.runs)?;
    let (mut evaluations, mut failures) = (Vec::new(), Vec::new());
    let busy = Busy::new("measuring", false);
    for (i, run) in runs.iter().enumerate() {
        busy.set(format!("measuring run {} of {}", i + 1, runs.len()));
        match evaluate(run, &args) {
            Ok(evaluation) => evaluations.push(evaluation),
            // What is wrong with the call is wrong for all.
            Err(error) if error.is::<Misuse>() || runs.len() == 1 => return Err(error),
            Err(error) => failures.push((run, error)),
        }
    }
    drop(busy);
    for (run, error) in &failures {
        output::say(&format!(
            "left out: '{}': {}",
            run.display(),
            output::told(error)
        ));
    }
    let damaged = Damaged {
        damaged: failures.len(),
        all: runs.len(),
    };
    match args.format {
        Format::Json => {
            let report = BTreeMap::from([("results", evaluations)]);
            output::print(&(serde_json::to_string(&report)? + "\n"))?;
        }
        Format::Text => output::print(&table(&evaluations).to_text())?,
    }
    damaged.check()
}

/// Measures the network of one run.
fn evaluate(run: &Path, args: &EvalArgs) -> anyhow::Result<Evaluation> {
    let checkpoint = Checkpoint::best_or_last(run)?;
    let step = checkpoint.progress().step;
    let backend = args
        .machine
        .backend
        .map_or(dni::Backend::Flex, |b| b.resolve());
    let device = backend.device()?;
    let experiment = runs::experiment_of(checkpoint.settings());
    let entry = experiment.and_then(|name| Entry::find(&name));
    let entry = entry.ok_or_else(|| {
        Misuse(format!(
            "'{}' is not a run of an experiment of this program",
            run.display()
        ))
    })?;
    let figures = (entry.evaluate)(checkpoint, &args.data, &device)?;
    Ok(Evaluation {
        run: run.display().to_string(),
        step,
        figures,
    })
}

/// A row for each run, errors in percent.
fn table(evaluations: &[Evaluation]) -> Table {
    let names: BTreeSet<&String> = evaluations.iter().flat_map(|e| e.figures.keys()).collect();
    let titles = names.iter().map(|name| figure::title(name));
    let mut table = Table::new(
        ["run".to_string(), "step".to_string()]
            .into_iter()
            .chain(titles),
    );
    for evaluation in evaluations {
        let cell = |name: &&String| match evaluation.figures.get(*name) {
            Some(share) if figure::is_share(name) => format!("{:.2}", 100.0 * share),
            Some(figure) => format!("{figure:.4}"),
            None => "-".to_string(),
        };
        let row = [evaluation.run.clone(), evaluation.step.to_string()];
        table.add(row.into_iter().chain(names.iter().map(cell)));
    }
    table
}
