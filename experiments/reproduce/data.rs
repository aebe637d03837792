//! What tables.toml says, and the table that it makes under a budget.

use std::sync::LazyLock;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Deserialize;

use super::call::{Call, Work};
use super::claim::Claim;
use super::scope::{PerScope, Scope};
use super::study::{Cell, Figure, Row, Study};
use super::track::{Races, Track};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    table: Vec<Table>,
    races: Races,
}

/// A table of experiments/README.md, or one that belongs there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// As it is called on the command line and in the comments of a page.
    pub name: String,
    about: String,
    #[serde(default)]
    network: PerScope<String>,
    #[serde(default)]
    seeds: PerScope<usize>,
    #[serde(default)]
    pub corner: String,
    #[serde(default)]
    digits: usize,
    figure: Option<String>,
    /// Whether figures are shares.
    #[serde(default)]
    percent: bool,
    /// Whether the figures of all seeds are told, which are few and whole.
    #[serde(default)]
    pub each_seed: bool,
    /// What there are several of.
    #[serde(default = "seed")]
    pub sample: String,
    /// The head of published figures, if there are any.
    pub published: Option<String>,
    #[serde(default)]
    note: PerScope<String>,
    race: Option<Track>,
    #[serde(default)]
    calls: Vec<Calls>,
    #[serde(default)]
    columns: Vec<Line>,
    #[serde(default)]
    rows: Vec<Line>,
    #[serde(default)]
    claims: Vec<Vec<String>>,
}

fn seed() -> String {
    "seed".to_string()
}

/// Calls that differ in a word.
#[derive(Debug, Deserialize)]
struct Calls {
    folder: String,
    row: Option<String>,
    #[serde(default)]
    each: PerScope<Vec<String>>,
    line: PerScope<String>,
    #[serde(flatten)]
    lasts: Lasts,
}

/// How long they last.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Lasts {
    Training {
        methods: Vec<String>,
        steps: PerScope<Vec<usize>>,
    },
    Timing {
        cases: usize,
        repetitions: PerScope<usize>,
    },
}

/// A row or a column.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    key: Option<String>,
    name: Option<String>,
    method: Option<String>,
    backend: Option<String>,
    figure: Option<String>,
    digits: Option<usize>,
    #[serde(default)]
    published: Vec<String>,
}

/// A claim as it is written: a text, and what must hold.
pub type Says = [String];

static FILE: LazyLock<File> = LazyLock::new(|| {
    toml::from_str(include_str!("tables.toml")).expect("a test reads the tables of the program")
});

/// All tables, in the order of the help.
pub fn tables() -> &'static [Table] {
    &FILE.table
}

/// Reads the name of a table.
pub fn parser() -> impl TypedValueParser<Value = &'static Table> {
    let names = tables().iter();
    let names = names.map(|table| PossibleValue::new(&*table.name).help(&*table.about));
    PossibleValuesParser::new(names).map(|name| {
        let found = tables().iter().find(|table| table.name == name);
        found.expect("no other name is possible")
    })
}

impl Table {
    /// The table under a budget.
    pub fn study(&self, scope: Scope) -> Study<'_> {
        match &self.race {
            Some(track) => {
                let races = &FILE.races;
                let (calls, rows) = track.runs(&races.racers, self.digits, scope);
                self.made(
                    scope,
                    calls,
                    rows,
                    (&races.columns, &races.claims, &track.title),
                )
            }
            None => {
                let (calls, rows) = self.runs(scope);
                self.made(scope, calls, rows, (&self.columns, &self.claims, ""))
            }
        }
    }

    fn made(
        &self,
        scope: Scope,
        calls: Vec<Call>,
        rows: Vec<Row>,
        (columns, claims, name): (&[Line], &[Vec<String>], &str),
    ) -> Study<'_> {
        let keys: Vec<&str> = columns.iter().map(Line::key).collect();
        let claims = claims.iter();
        Study {
            table: self,
            calls,
            columns: columns
                .iter()
                .map(|column| column.name().to_string())
                .collect(),
            claims: claims
                .map(|says| Claim::new(says, name, &keys, &rows))
                .collect(),
            rows,
            note: self.note.of(scope),
        }
    }

    /// Its calls, and the rows of their figures.
    fn runs(&self, scope: Scope) -> (Vec<Call>, Vec<Row>) {
        let (rows_of, calls): (Vec<_>, Vec<_>) = self.calls(scope).into_iter().unzip();
        let rows = self.rows.iter().map(|row| {
            let is_own =
                |call: &usize| rows_of[*call].as_deref().is_none_or(|own| own == row.key());
            let own: Vec<usize> = (0..calls.len()).filter(is_own).collect();
            Row {
                key: row.key().to_string(),
                name: row.name().to_string(),
                digits: row.digits.unwrap_or(self.digits),
                cells: self.cells(row, &own, &calls),
            }
        });
        // A budget may have nothing for some of them.
        let has_figures = |row: &Row| row.cells.iter().any(|cell| cell.figure.is_some());
        let rows = rows.filter(has_figures).collect();
        (calls, rows)
    }

    /// All calls, with the rows that their results belong to.
    fn calls(&self, scope: Scope) -> Vec<(Option<String>, Call)> {
        let mut all = Vec::new();
        for calls in &self.calls {
            let once = [String::new()];
            let each = match &calls.each.of(scope)[..] {
                [] => &once,
                each => each,
            };
            for (i, word) in each.iter().enumerate() {
                let fill = |text: &str| text.replace("{}", word);
                let line = calls
                    .line
                    .of(scope)
                    .replace("{network}", self.network.of(scope));
                let call = Call {
                    name: fill(&calls.folder),
                    line: fill(&line),
                    work: self.work(&calls.lasts, i, scope),
                };
                all.push((calls.row.as_deref().map(fill), call));
            }
        }
        all
    }

    /// What the call of number `i` of some does.
    fn work(&self, lasts: &Lasts, i: usize, scope: Scope) -> Work {
        match lasts {
            Lasts::Training { methods, steps } => {
                let steps = steps.of(scope);
                Work::Training {
                    methods: methods.clone(),
                    steps: steps[i.min(steps.len() - 1)],
                    seeds: *self.seeds.of(scope),
                }
            }
            Lasts::Timing { cases, repetitions } => Work::Timing {
                repetitions: *repetitions.of(scope),
                cases: *cases,
            },
        }
    }

    /// The cells of a row, whose results some of the calls have.
    fn cells(&self, row: &Line, own: &[usize], calls: &[Call]) -> Vec<Cell> {
        let cells = self.columns.iter().enumerate().map(|(i, column)| {
            let of: Vec<_> = column.of().chain(row.of()).collect();
            let trains = |call: &usize| match &calls[*call].work {
                Work::Training { methods, .. } => of.iter().all(|[_, name]| methods.contains(name)),
                _ => true,
            };
            let calls: Vec<usize> = own.iter().copied().filter(trains).collect();
            let pointer = row.figure.as_ref().or(column.figure.as_ref());
            let pointer = pointer.or(self.figure.as_ref());
            Cell {
                figure: (!calls.is_empty()).then(|| Figure {
                    calls,
                    of,
                    pointer: pointer.cloned().unwrap_or_default(),
                    times: if self.percent { 100.0 } else { 1.0 },
                    race: None,
                }),
                published: row.published.get(i).cloned().unwrap_or_default(),
            }
        });
        cells.collect()
    }
}

impl Line {
    /// What it is called in claims.
    fn key(&self) -> &str {
        let key = self.key.as_deref().or(self.method.as_deref());
        key.or(self.backend.as_deref())
            .unwrap_or_else(|| self.name())
    }

    /// What it is called in the table.
    fn name(&self) -> &str {
        let name = self.name.as_deref().or(self.method.as_deref());
        name.or(self.backend.as_deref()).unwrap_or_default()
    }

    /// What the results of its figures say of themselves.
    fn of(&self) -> impl Iterator<Item = [String; 2]> {
        let method = self.method.iter().map(|method| ["method", method]);
        let of = method.chain(self.backend.iter().map(|backend| ["backend", backend]));
        of.map(|of| of.map(str::to_string))
    }
}
