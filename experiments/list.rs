//! `dni list`: the runs that there are.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dni::report::Record;
use serde::Serialize;

use crate::args::Format;
use crate::runs::Damaged;
use crate::table::Table;
use crate::{figure, output, runs};

/// Flags of `dni list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Folders of runs, or folders that hold such folders at any depth
    #[arg(default_value = "runs", value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Column to sort by
    #[arg(long, value_enum, value_name = "COLUMN", default_value_t)]
    sort: Column,

    /// List only runs whose line contains this text, in lower or upper case
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Form of the list on stdout
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Column {
    /// The folder
    Run,
    /// The experiment, then the method
    Experiment,
    /// Steps done, the most first
    Steps,
    /// The name of the best figure, then its value, the best first
    Figure,
    /// When the run was started, the latest first
    #[default]
    Date,
}

/// A run, as far as its folder says it.
#[derive(Debug, Serialize)]
struct Listed {
    run: String,
    /// What the person calls it, and finds it by.
    name: Option<String>,
    tags: Vec<String>,
    experiment: String,
    method: String,
    seed: Option<i64>,
    /// Steps done.
    steps: usize,
    is_finished: bool,
    /// The best that it has come to.
    figure: Option<Best>,
    seconds: f64,
    date: Option<String>,
}

/// The best value of a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Best {
    name: String,
    value: f64,
}

/// `dni list`.
pub fn run(args: ListArgs) -> anyhow::Result<()> {
    let runs = runs::find(&args.runs)?;
    let (mut listed, mut damaged) = (Vec::new(), 0);
    for run in &runs {
        match Listed::read(run) {
            Ok(run) => listed.push(run),
            Err(error) => {
                damaged += 1;
                output::say(&format!("left out: {error}"));
            }
        }
    }
    if let Some(text) = args.filter.map(|text| text.to_lowercase()) {
        listed.retain(|run| run.row().join(" ").to_lowercase().contains(&text));
    }
    listed.sort_by(|a, b| args.sort.order(a, b));
    output::print(&match args.format {
        Format::Json => serde_json::to_string(&serde_json::json!({ "runs": listed }))? + "\n",
        Format::Text => table(&listed).to_text(),
    })?;
    let all = runs.len();
    Damaged { damaged, all }.check()
}

impl Column {
    fn order(self, a: &Listed, b: &Listed) -> Ordering {
        let order = match self {
            Self::Run => Ordering::Equal,
            Self::Experiment => (&a.experiment, &a.method).cmp(&(&b.experiment, &b.method)),
            Self::Steps => b.steps.cmp(&a.steps),
            Self::Figure => Best::order(a.figure.as_ref(), b.figure.as_ref()),
            Self::Date => b.date.cmp(&a.date),
        };
        order.then_with(|| a.run.cmp(&b.run))
    }
}

impl Listed {
    fn read(folder: &Path) -> dni::Result<Self> {
        // Of every curve its extremes will do.
        let record = Record::read(folder, 1)?;
        let of_run = |name: &str| record.settings.get("run").and_then(|run| run.get(name));
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let methods = of_run("methods").and_then(toml::Value::as_array);
        let methods = methods.map(|methods| methods.iter().map(text).collect::<Vec<_>>());
        let (name, tags, date) = match record.origin.clone() {
            Some(origin) => (origin.name, origin.tags, origin.date),
            None => (None, Vec::new(), None),
        };
        Ok(Self {
            run: folder.display().to_string(),
            name,
            tags,
            experiment: of_run("experiment").map(text).unwrap_or_default(),
            method: methods.unwrap_or_default().join(","),
            seed: of_run("seed").and_then(toml::Value::as_integer),
            steps: record.steps,
            is_finished: record.is_finished,
            figure: Best::of(&record),
            seconds: record.seconds,
            date,
        })
    }

    fn row(&self) -> Vec<String> {
        let steps = match self.is_finished {
            true => self.steps.to_string(),
            false => format!("{}, not at its end", self.steps),
        };
        vec![
            self.run.clone(),
            self.name.clone().unwrap_or_default(),
            self.tags.join(", "),
            self.experiment.clone(),
            self.method.clone(),
            self.seed.map_or("-".to_string(), |seed| seed.to_string()),
            steps,
            self.figure.as_ref().map_or("-".to_string(), Best::told),
            format!("{:.1}", self.seconds),
            self.date.clone().unwrap_or("-".to_string()),
        ]
    }
}

impl Best {
    /// That of what the network was measured by on what it did not learn from, or else of its loss.
    fn of(record: &Record) -> Option<Self> {
        let of_network = || {
            let curves = record.curves.iter();
            curves.filter(|(quantity, _)| quantity.interface.is_none())
        };
        let kinds: [fn(&str) -> bool; 4] = [
            figure::is_share,
            Self::is_better_high,
            |name| name.contains("bits"),
            |name| name == "loss",
        ];
        let mut kinds = kinds.into_iter();
        let (quantity, curve) =
            kinds.find_map(|is_one| of_network().find(|(quantity, _)| is_one(&quantity.name)))?;
        let point = curve.points().next()?;
        Some(Self {
            name: quantity.name.clone(),
            value: match Self::is_better_high(&quantity.name) {
                true => point.most,
                false => point.least,
            },
        })
    }

    fn is_better_high(name: &str) -> bool {
        name == "longest"
    }

    /// Figures by their names, then the better ones first; runs without any last.
    fn order(a: Option<&Self>, b: Option<&Self>) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => a.name.cmp(&b.name).then_with(|| {
                let order = a.value.total_cmp(&b.value);
                match Self::is_better_high(&a.name) {
                    true => order.reverse(),
                    false => order,
                }
            }),
            _ => b.is_some().cmp(&a.is_some()),
        }
    }

    fn told(&self) -> String {
        figure::told(&self.name, self.value)
    }
}

/// Columns of names and tags only where there are some.
fn table(listed: &[Listed]) -> Table {
    const TITLES: [&str; 10] = [
        "run",
        "name",
        "tags",
        "experiment",
        "method",
        "seed",
        "steps",
        "best",
        "seconds",
        "began",
    ];
    let rows: Vec<Vec<String>> = listed.iter().map(Listed::row).collect();
    let is_shown = |column: usize| {
        let is_optional = ["name", "tags"].contains(&TITLES[column]);
        !is_optional || rows.iter().any(|row| !row[column].is_empty())
    };
    let shown: Vec<usize> = (0..TITLES.len()).filter(|&i| is_shown(i)).collect();
    let mut table = Table::new(shown.iter().map(|&i| TITLES[i]));
    for row in rows {
        table.add(shown.iter().map(|&i| row[i].clone()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_come_first_and_those_without_a_figure_last() {
        let best = |name: &str, value| {
            let name = name.to_string();
            Some(Best { name, value })
        };
        let mut all = [
            None,
            best("test_error", 0.5),
            best("longest", 3.0),
            best("test_error", 0.25),
            best("longest", 7.0),
        ];
        all.sort_by(|a, b| Best::order(a.as_ref(), b.as_ref()));
        let told = all.map(|best| best.as_ref().map_or("-".to_string(), Best::told));
        assert_eq!(
            told,
            [
                "longest 7",
                "longest 3",
                "test error 25.00 %",
                "test error 50.00 %",
                "-"
            ]
        );
    }
}
