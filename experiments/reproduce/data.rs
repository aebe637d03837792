//! What tables.toml says under a budget, and the calls, rows and claims that it stands for.

use std::mem;
use std::sync::LazyLock;

use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Deserialize;

use super::call::Call;
use super::scope::Scope;
use super::study::{Figure, Study};
use super::track::{Races, Track};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    table: Vec<Table>,
    races: Races,
}

/// A table of experiments/README.md, or one that belongs there.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    /// As it is called on the command line and in the comments of a page.
    pub name: String,
    about: String,
    network: String,
    pub seeds: usize,
    pub corner: String,
    pub digits: usize,
    figure: String,
    /// Whether figures are shares.
    percent: bool,
    /// Whether the figures of all seeds are told, which are few and whole.
    pub each_seed: bool,
    /// What there are several of; seeds if it does not say.
    pub sample: Option<String>,
    /// The head of published figures, if there are any.
    pub published: Option<String>,
    /// What else is to be known about the figures, as sentences.
    pub note: String,
    race: Option<Track>,
    calls: Vec<Calls>,
    pub columns: Vec<Line>,
    pub rows: Vec<Line>,
    /// Of each its text, and what must hold.
    pub claims: Vec<Vec<String>>,
}

/// Calls that differ in a word.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    folder: String,
    row: Option<String>,
    #[serde(default = "once")]
    each: Vec<String>,
    line: String,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    steps: Vec<usize>,
    seconds: Option<f64>,
}

fn once() -> Vec<String> {
    vec![String::new()]
}

/// A row or a column.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Line {
    key: Option<String>,
    name: Option<String>,
    method: Option<String>,
    backend: Option<String>,
    pub figure: Option<String>,
    /// Digits after the point.
    pub digits: Option<usize>,
    /// One for each column, if there are any.
    published: Vec<String>,
}

/// All tables under a budget, in the order of the help, and what races have in common.
fn read(scope: Scope) -> File {
    let all = toml::from_str(include_str!("tables.toml"));
    let file = all.and_then(|all| scope.of(all).try_into());
    file.expect("a test reads the tables of the program")
}

/// All tables as they are without a budget.
static STANDARD: LazyLock<File> = LazyLock::new(|| read(Scope::Standard));

/// The names of all tables, and what they are about.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tables = STANDARD.table.iter();
    tables.map(|table| (&*table.name, &*table.about))
}

/// Reads the name of a table.
pub fn parser() -> PossibleValuesParser {
    let values = names().map(|(name, about)| PossibleValue::new(name).help(about));
    PossibleValuesParser::new(values)
}

/// The table of a name under a budget.
///
/// # Panics
///
/// If there is none, which [`parser`] refuses.
pub fn study(name: &str, scope: Scope) -> Study {
    let File { table, races } = read(scope);
    let mut tables = table.into_iter();
    let found = tables.find(|table| table.name == name);
    let mut table = found.expect("no other name is possible");
    let Some(track) = &table.race else {
        return table.study(scope);
    };
    let of_network = |text: String| text.replace("{}", &track.title);
    let claims = races.claims.iter().cloned();
    let claims = claims.map(|claim| claim.into_iter().map(of_network).collect());
    table.claims = claims.collect();
    let (calls, figures);
    (table.rows, calls, figures) = track.runs(&races, table.seeds);
    table.columns = races.columns;
    Study {
        table,
        scope,
        calls,
        figures,
    }
}

impl Table {
    /// The table under a budget, which is no race.
    pub fn study(mut self, scope: Scope) -> Study {
        let (rows_of, calls): (Vec<_>, Vec<_>) = self.calls().unzip();
        let rows = mem::take(&mut self.rows).into_iter().map(|row| {
            let is_own = |of: &Option<String>| of.as_deref().is_none_or(|own| own == row.key());
            let own = (0..calls.len()).filter(|&call| is_own(&rows_of[call]));
            let own: Vec<usize> = own.collect();
            let columns = self.columns.iter();
            let figures = columns.map(|column| self.figure(&row, column, &own, &calls));
            let figures: Vec<_> = figures.collect();
            (row, figures)
        });
        // A budget may have nothing for some of them.
        let rows = rows.filter(|(_, figures)| figures.iter().any(Option::is_some));
        let (rows, figures) = rows.unzip();
        self.rows = rows;
        Study {
            table: self,
            scope,
            calls,
            figures,
        }
    }

    /// All calls, with the rows that their results belong to.
    fn calls(&self) -> impl Iterator<Item = (Option<String>, Call)> {
        let each = self.calls.iter().flat_map(|calls| {
            let words = calls.each.iter().enumerate();
            words.map(move |(i, word)| (calls, i, word))
        });
        each.map(|(calls, i, word)| {
            let fill = |text: &str| text.replace("{}", word);
            let call = Call {
                name: fill(&calls.folder),
                line: fill(&calls.line.replace("{network}", &self.network)),
                methods: calls.methods.clone(),
                steps: *calls.steps.get(i).or(calls.steps.last()).unwrap_or(&0),
                seeds: self.seeds,
                seconds: calls.seconds,
            };
            (calls.row.as_deref().map(fill), call)
        })
    }

    /// What stands in a row and a column, if any of the row's calls has it.
    fn figure(&self, row: &Line, column: &Line, own: &[usize], calls: &[Call]) -> Option<Figure> {
        let of: Vec<_> = column.of().chain(row.of()).collect();
        let trains = |call: &usize| {
            let methods = &calls[*call].methods;
            methods.is_empty() || of.iter().all(|[_, name]| methods.contains(name))
        };
        let own: Vec<usize> = own.iter().copied().filter(trains).collect();
        let pointer = row.figure.as_ref().or(column.figure.as_ref());
        (!own.is_empty()).then(|| Figure {
            calls: own,
            pointer: pointer.unwrap_or(&self.figure).clone(),
            times: if self.percent { 100.0 } else { 1.0 },
            of,
            race: None,
        })
    }
}

impl Line {
    pub fn new(key: &str, name: &str) -> Self {
        Self {
            key: Some(key.to_string()),
            name: Some(name.to_string()),
            ..Self::default()
        }
    }

    /// What it is called in claims.
    pub fn key(&self) -> &str {
        let key = self.key.as_deref().or(self.method.as_deref());
        key.or(self.backend.as_deref())
            .unwrap_or_else(|| self.name())
    }

    /// What it is called in the table.
    pub fn name(&self) -> &str {
        let name = self.name.as_deref().or(self.method.as_deref());
        name.or(self.backend.as_deref()).unwrap_or_default()
    }

    /// The published figure in a column, empty if there is none.
    pub fn published(&self, column: usize) -> &str {
        self.published.get(column).map_or("", String::as_str)
    }

    /// What the results of its figures say of themselves.
    fn of(&self) -> impl Iterator<Item = [String; 2]> {
        let of = [("method", &self.method), ("backend", &self.backend)].into_iter();
        of.filter_map(|(key, name)| Some([key.to_string(), name.clone()?]))
    }
}
