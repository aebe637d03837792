//! What a table is: calls, the figures that are taken from their results, and claims about them.

use std::ops::Range;

use anyhow::{Context, bail};
use serde_json::Value;

use super::call::{self, Call};
use super::claim::{Claim, Place};
use super::race::Race;
use super::scope::Scope;
use crate::stats;
use crate::table::Table;

/// A table under a budget.
#[derive(Debug, Clone)]
pub struct Study {
    pub calls: Vec<Call>,
    /// What the rows are, in the corner.
    pub corner: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    pub spread: Spread,
    /// What there may be several of: a seed or a measurement.
    pub sample: &'static str,
    pub claims: Vec<Claim>,
    /// What else is to be known about the figures, as sentences.
    pub notes: Vec<&'static str>,
}

/// A column of figures, and the head of that with the published ones, if there are any.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: &'static str,
    pub reference: Option<&'static str>,
}

/// A row of figures.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    /// Digits after the point.
    pub digits: usize,
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// A figure of ours and the published one.
#[derive(Debug, Clone)]
pub struct Cell {
    pub figure: Option<Figure>,
    pub reference: &'static str,
}

/// Where a figure is found.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The calls whose results have it.
    pub calls: Range<usize>,
    /// What the results that have it say of themselves, as method and its name.
    pub of: Vec<[&'static str; 2]>,
    /// Its place in a result, as a JSON pointer.
    pub pointer: &'static str,
    /// What it is multiplied by.
    pub times: f64,
    /// Which of the calls has it, if not all.
    pub race: Option<Race>,
}

/// How the spread over seeds is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// By the standard deviation.
    Deviation,
    /// By all figures, which are few and whole.
    Each,
}

/// What stands for an infinite figure.
pub const NOT_REACHED: &str = "not reached";

/// The figures of every cell that has some, by row and column.
pub type Samples = Vec<Vec<Option<Vec<f64>>>>;

impl Column {
    pub fn new(name: &'static str, reference: impl Into<Option<&'static str>>) -> Self {
        Self {
            name,
            reference: reference.into(),
        }
    }
}

impl Figure {
    /// The figure at `pointer` of a method in the results of one call.
    pub fn of_method(call: usize, method: &'static str, pointer: &'static str) -> Self {
        Self {
            calls: call..call + 1,
            of: vec![["method", method]],
            pointer,
            times: 1.0,
            race: None,
        }
    }

    /// A share, in percent.
    pub fn in_percent(self) -> Self {
        Self {
            times: 100.0,
            ..self
        }
    }

    /// Its results in some reports.
    pub fn results<'a>(&self, reports: &'a [Value]) -> Vec<&'a Value> {
        let results = reports.iter();
        let results = results.filter_map(|report| report["results"].as_array());
        let is_wanted = |result: &&Value| self.of.iter().all(|[key, name]| result[key] == **name);
        results.flatten().filter(is_wanted).collect()
    }

    /// Its values, one for each result that has it.
    fn values(&self, reports: &[Value]) -> anyhow::Result<Vec<f64>> {
        if let Some(race) = &self.race {
            let values = race.values(self, reports).into_iter();
            return Ok(values.map(|value| self.times * value).collect());
        }
        let reports = &reports[self.calls.clone()];
        let mut all = reports.iter();
        let has_failures = all.any(|report| !call::failures(report).is_empty());
        let values = self.results(reports).into_iter().map(|result| {
            let value = result.pointer(self.pointer).and_then(Value::as_f64);
            let value = value.with_context(|| format!("a result has no {}", self.pointer))?;
            Ok(self.times * value)
        });
        let values: Vec<f64> = values.collect::<anyhow::Result<_>>()?;
        if values.is_empty() && !has_failures {
            bail!("there are no results of {:?}", self.of);
        }
        Ok(values)
    }
}

impl Study {
    /// The table, how much there is of it and whether its claims are reached, in Markdown.
    ///
    /// # Errors
    ///
    /// If results lack a figure.
    pub fn to_markdown(&self, scope: Scope, reports: &[Value]) -> anyhow::Result<String> {
        let mut text = self.render(scope, &self.samples(reports)?);
        for failure in reports.iter().flat_map(call::failures) {
            text += &format!("- Failed: {failure}\n");
        }
        Ok(text)
    }

    /// The same of figures that have been found.
    pub fn render(&self, scope: Scope, samples: &Samples) -> String {
        let mut text = self.table(samples).to_markdown();
        text += &format!("\n{}\n\n", self.caption(scope, samples));
        for claim in &self.claims {
            text += &format!("- {}\n", self.verdict(claim, scope, samples));
        }
        text
    }

    fn samples(&self, reports: &[Value]) -> anyhow::Result<Samples> {
        let values = |cell: &Cell| -> anyhow::Result<Option<Vec<f64>>> {
            let values = cell.figure.as_ref().map(|figure| figure.values(reports));
            values.transpose()
        };
        let rows = self.rows.iter();
        rows.map(|row| row.cells.iter().map(values).collect())
            .collect()
    }

    fn table(&self, samples: &Samples) -> Table {
        let heads = self.columns.iter().flat_map(|column| {
            let ours = [column.name].into_iter();
            ours.chain(column.reference)
        });
        let mut table = Table::new([self.corner].into_iter().chain(heads));
        for (row, samples) in self.rows.iter().zip(samples) {
            let mut line = vec![row.name.clone()];
            for ((cell, column), values) in row.cells.iter().zip(&self.columns).zip(samples) {
                let values = values.as_ref();
                line.push(values.map_or(String::new(), |v| self.spread.summary(v, row.digits)));
                if column.reference.is_some() {
                    line.push(cell.reference.to_string());
                }
            }
            table.add(line);
        }
        table
    }

    /// The budget, and how many figures each is a mean of.
    fn caption(&self, scope: Scope, samples: &Samples) -> String {
        let arrived = samples.iter().flatten().flatten();
        let arrived = arrived.filter(|values| values.iter().all(|value| value.is_finite()));
        let counts = arrived.map(Vec::len).filter(|count| *count > 0);
        let (least, most) = (counts.clone().min(), counts.max());
        let (least, most) = (least.unwrap_or(0), most.unwrap_or(0));
        let sample = self.sample;
        let of = match (least == most, most) {
            (true, 1) => format!("n = 1 {sample}"),
            (true, _) => format!("n = {most} {sample}s"),
            (false, _) => format!("n = {least} to {most} {sample}s"),
        };
        let spread = match self.spread {
            _ if most < 2 => "",
            Spread::Deviation => ", ± their standard deviation",
            Spread::Each => ", each in brackets",
        };
        let mut caption = format!("Budget {}: {of}{spread}.", scope.name());
        for note in &self.notes {
            caption += &format!(" {note}");
        }
        caption
    }

    /// A claim, whether it is reached, and the figures that are in its way.
    fn verdict(&self, claim: &Claim, scope: Scope, samples: &Samples) -> String {
        // As it is printed, so that a reader comes to the same verdict.
        let figure = |(row, column): Place| {
            let values = samples[row][column].as_deref().unwrap_or_default();
            let digits = self.rows[row].digits;
            let printed = format!("{:.digits$}", stats::mean(values));
            printed.parse().unwrap_or(f64::NAN)
        };
        let failures = claim.failures(figure);
        let verdict = match failures[..] {
            [] => "**reached**".to_string(),
            _ => {
                let told = failures.iter().map(|&(row, column)| {
                    let Row { name, digits, .. } = &self.rows[row];
                    let column_name = self.columns[column].name;
                    let is_number = name.parse::<f64>().is_ok();
                    let what = if is_number { self.corner } else { "" };
                    let name = format!("{what} {name}");
                    let value = figure((row, column));
                    format!("{}, {column_name}: {value:.digits$}", name.trim_start())
                });
                let told: Vec<String> = told.collect();
                format!("**not reached** ({})", told.join("; "))
            }
        };
        let text = &claim.text;
        match scope {
            Scope::Quick => format!("{text}: {verdict}, on the quick budget."),
            Scope::Standard | Scope::Paper => format!("{text}: {verdict}."),
        }
    }
}

impl Spread {
    /// The mean of some figures and their spread.
    fn summary(self, values: &[f64], digits: usize) -> String {
        match self {
            _ if values.is_empty() => "-".to_string(),
            _ if values.contains(&f64::INFINITY) => NOT_REACHED.to_string(),
            Self::Deviation => stats::summary(values, digits),
            Self::Each => {
                let each: Vec<String> = values.iter().map(f64::to_string).collect();
                format!("{:.digits$} ({})", stats::mean(values), each.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reproduce::call::Work;
    use crate::reproduce::claim::{Comparison, Limit};

    fn study() -> Study {
        let row = |name: &str, method| Row {
            name: name.to_string(),
            digits: 2,
            cells: vec![
                Cell {
                    figure: Some(Figure::of_method(0, method, "/test/error").in_percent()),
                    reference: "2.0",
                },
                Cell {
                    figure: None,
                    reference: "",
                },
            ],
        };
        let claim = |text: &str, row, most| {
            Claim::new(text, [Comparison::at_most((row, 0), Limit::Number(most))])
        };
        Study {
            calls: vec![Call {
                name: "all".to_string(),
                command: "images",
                flags: String::new(),
                work: Work::Training {
                    methods: &["backprop", "dni"],
                    steps: 1,
                    seeds: 2,
                },
            }],
            corner: "method",
            columns: vec![Column::new("error %", "paper"), Column::new("loss", None)],
            rows: vec![row("all of it", "backprop"), row("decoupled", "dni")],
            spread: Spread::Deviation,
            sample: "seed",
            claims: vec![claim("Backprop is good", 0, 2.0), claim("DNI is", 1, 2.0)],
            notes: vec!["So much for that."],
        }
    }

    /// Results of two seeds, beside those of another method.
    fn report() -> Value {
        let result = |method: &str, seed: u64, error: f64| json!({"method": method, "seed": seed, "test": {"error": error}});
        json!({"results": [
            result("backprop", 1, 0.0150),
            result("backprop", 2, 0.0170),
            result("dni", 1, 0.0100),
            result("dni", 2, 0.0404),
            result("cdni", 1, 0.5),
        ]})
    }

    #[test]
    fn results_make_a_table_with_verdicts() {
        let text = study().to_markdown(Scope::Standard, &[report()]).unwrap();
        assert_eq!(
            text,
            "\
| method    |     error % | paper | loss |
| --------- | ----------: | ----: | ---: |
| all of it | 1.60 ± 0.14 |   2.0 |      |
| decoupled | 2.52 ± 2.15 |   2.0 |      |

Budget standard: n = 2 seeds, ± their standard deviation. So much for that.

- Backprop is good: **reached**.
- DNI is: **not reached** (decoupled, error %: 2.52).
"
        );
    }

    #[test]
    fn verdicts_of_a_quick_budget_say_so() {
        let text = study().to_markdown(Scope::Quick, &[report()]).unwrap();
        assert!(text.contains("Budget quick: n = 2 seeds"), "{text}");
        let verdicts = text.lines().filter(|line| line.starts_with("- "));
        let verdicts: Vec<&str> = verdicts.collect();
        assert_eq!(verdicts.len(), 2);
        for verdict in verdicts {
            assert!(verdict.ends_with(", on the quick budget."), "{verdict}");
        }
    }

    /// 2.504 stands there as 2.50, and so it is judged.
    #[test]
    fn figures_are_judged_as_they_are_printed() {
        let mut study = study();
        study.claims = vec![Claim::new(
            "It is 2.5",
            [Comparison::at_most((1, 0), Limit::Number(2.5))],
        )];
        let mut report = report();
        report["results"][3]["test"]["error"] = json!(0.04008);
        let text = study.to_markdown(Scope::Standard, &[report]).unwrap();
        assert!(text.contains("- It is 2.5: **reached**."), "{text}");
    }

    #[test]
    fn whole_figures_are_all_told() {
        assert_eq!(Spread::Each.summary(&[1.0, 1.0, 2.0], 1), "1.3 (1, 1, 2)");
    }

    #[test]
    fn results_that_lack_a_figure_are_an_error() {
        for results in [json!([]), json!([{"method": "backprop", "seed": 1}])] {
            let report = json!({"results": results});
            assert!(study().to_markdown(Scope::Standard, &[report]).is_err());
        }
    }
}
