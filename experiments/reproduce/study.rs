//! What a table is: calls, the figures that are taken from their results, and claims about them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

use super::call::Call;
use super::data::Scope;
use super::race;
use crate::results;

/// A table of experiments/README.md, or one that belongs there, under a budget.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Study {
    #[serde(skip)]
    pub scope: Scope,
    seeds: usize,
    pub corner: String,
    pub digits: usize,
    figure: String,
    /// Whether the figures of all seeds are told, which are few and whole.
    pub each_seed: bool,
    /// What there are several of; seeds if it does not say.
    pub sample: Option<String>,
    /// The head of published figures, if there are any.
    pub published: Option<String>,
    /// What else is to be known about the figures, as sentences.
    pub note: String,
    /// Of a race, the mean error on the test images, in percent, that counts as arrived.
    pub limit: Option<f64>,
    pub calls: Vec<Call>,
    pub columns: Vec<Line>,
    pub rows: Vec<Line>,
    /// Of each its text, and what must hold.
    pub claims: Vec<Vec<String>>,
}

/// A row or a column.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Line {
    key: Option<String>,
    name: Option<String>,
    figure: Option<String>,
    /// Digits after the point.
    pub digits: Option<usize>,
    /// One for each column, if there are any.
    published: Vec<String>,
    /// What the results of its figures say of themselves.
    method: Option<String>,
    backend: Option<String>,
}

/// A cell of a table: its row and its column of figures.
pub type Place = (usize, usize);

/// The figures of every cell that has some.
pub type Samples = BTreeMap<Place, Vec<f64>>;

/// A figure of a result by its place there, a JSON pointer. Errors are shares, told in percent.
pub fn figure_of(result: &Value, pointer: &str) -> Option<f64> {
    let value = result.pointer(pointer)?.as_f64()?;
    let is_share = pointer.ends_with("/error");
    Some(if is_share { 100.0 * value } else { value })
}

impl Study {
    /// What was read, as that of a budget.
    pub fn of(mut self, scope: Scope) -> Self {
        self.scope = scope;
        for call in &mut self.calls {
            call.seeds = if call.is_pace { 1 } else { self.seeds };
            // Words may stand for nothing.
            call.line = call.line.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        // It may have nothing for some rows.
        let used: BTreeSet<usize> = self.places().map(|(row, _)| row).collect();
        let mut rows = 0..;
        self.rows
            .retain(|_| used.contains(&rows.next().unwrap_or(0)));
        self
    }

    /// The calls with their numbers, as people count.
    pub fn numbered(&self) -> impl Iterator<Item = (String, &Call)> {
        let calls = self.calls.iter().enumerate();
        calls.map(|(i, call)| (format!("{} of {}", i + 1, self.calls.len()), call))
    }

    /// The cells that have figures.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let columns = 0..self.columns.len();
        let row = move |row| columns.clone().map(move |column| (row, column));
        let places = (0..self.rows.len()).flat_map(row);
        places.filter(|&(row, column)| {
            let (row, column) = (&self.rows[row], &self.columns[column]);
            self.calls.iter().any(|call| call.belongs_to(row, column))
        })
    }

    /// The figures of a cell by the reports of all calls: one for each result that has it, or in a race
    /// those of the best.
    ///
    /// # Errors
    ///
    /// If results lack it.
    pub fn values(&self, (row, column): Place, reports: &[Value]) -> anyhow::Result<Vec<f64>> {
        let (row, column) = (&self.rows[row], &self.columns[column]);
        let pointer = row.figure.as_ref().or(column.figure.as_ref());
        let pointer = pointer.unwrap_or(&self.figure);
        let own = |column: &Line, is_pace: bool| -> Vec<&Value> {
            let calls = self.calls.iter().zip(reports);
            let own = |call: &Call| call.is_pace == is_pace && call.belongs_to(row, column);
            calls
                .filter(|(call, _)| own(call))
                .map(|(_, report)| report)
                .collect()
        };
        let (reports, near) = (own(column, false), own(&self.columns[0], false));
        if let Some(limit) = self.limit {
            let pace = own(column, true).first().copied();
            return Ok(race::of_best(&reports, &near, pace, pointer, limit));
        }
        let of: Vec<_> = column.of().chain(row.of()).collect();
        let results = reports.iter().flat_map(|report| results::all(report));
        let results = results.filter(|result| of.iter().all(|[key, name]| result[key] == **name));
        let values = results.map(|result| {
            let value = figure_of(result, pointer);
            value.with_context(|| format!("a result has no {pointer}"))
        });
        let values: Vec<f64> = values.collect::<anyhow::Result<_>>()?;
        let mut failures = reports.iter().flat_map(|report| results::failures(report));
        if values.is_empty() && failures.next().is_none() {
            bail!("there are no results of {of:?}");
        }
        Ok(values)
    }
}

impl Line {
    /// What the results of its figures say of themselves, by its name in a result.
    pub fn of(&self) -> impl Iterator<Item = [&str; 2]> {
        let of = [("method", &self.method), ("backend", &self.backend)].into_iter();
        of.filter_map(|(key, name)| Some([key, name.as_deref()?]))
    }

    fn own(&self) -> Option<&str> {
        self.of().next().map(|[_, name]| name)
    }

    /// What it is called in claims, and by calls.
    pub fn key(&self) -> &str {
        let key = self.key.as_deref().or(self.own());
        key.unwrap_or_else(|| self.name())
    }

    /// What it is called in the table.
    pub fn name(&self) -> &str {
        self.name.as_deref().or(self.own()).unwrap_or_default()
    }

    /// The published figure in a column, empty if there is none.
    pub fn published(&self, column: usize) -> &str {
        self.published.get(column).map_or("", String::as_str)
    }
}
