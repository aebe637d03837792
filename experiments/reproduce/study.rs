//! What a table is: calls, the figures that are taken from their results, and claims about them.

use anyhow::{Context, bail};
use serde_json::Value;

use super::call::{self, Call};
use super::claim::{Claim, Place};
use super::data::Table;
use super::race::Race;
use super::scope::Scope;
use crate::{stats, table};

/// A table under a budget.
#[derive(Debug)]
pub struct Study<'a> {
    pub table: &'a Table,
    pub calls: Vec<Call>,
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
    pub claims: Vec<Claim>,
    /// What else is to be known about the figures, as sentences.
    pub note: &'a str,
}

/// A row of figures.
#[derive(Debug, Clone)]
pub struct Row {
    /// What it is called in claims.
    pub key: String,
    pub name: String,
    /// Digits after the point.
    pub digits: usize,
    /// One for each column.
    pub cells: Vec<Cell>,
}

/// A figure of ours and the published one.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    pub figure: Option<Figure>,
    pub published: String,
}

/// Where a figure is found.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The calls whose results have it.
    pub calls: Vec<usize>,
    /// What the results that have it say of themselves, as method and its name.
    pub of: Vec<[String; 2]>,
    /// Its place in a result, as a JSON pointer.
    pub pointer: String,
    /// What it is multiplied by.
    pub times: f64,
    /// Which of the calls has it, if not all.
    pub race: Option<Race>,
}

/// What stands for an infinite figure.
pub const NOT_REACHED: &str = "not reached";

/// The figures of every cell that has some, by row and column.
pub type Samples = Vec<Vec<Option<Vec<f64>>>>;

impl Figure {
    /// Its results in some reports.
    pub fn results<'a>(&self, reports: impl Iterator<Item = &'a Value>) -> Vec<&'a Value> {
        let results = reports.filter_map(|report| report["results"].as_array());
        let is_wanted = |result: &&Value| self.of.iter().all(|[key, name]| result[key] == **name);
        results.flatten().filter(is_wanted).collect()
    }

    /// Its values, one for each result that has it.
    fn values(&self, reports: &[Value]) -> anyhow::Result<Vec<f64>> {
        if let Some(race) = &self.race {
            let values = race.values(self, reports).into_iter();
            return Ok(values.map(|value| self.times * value).collect());
        }
        let reports = self.calls.iter().map(|call| &reports[*call]);
        let has_failures = reports
            .clone()
            .any(|report| !call::failures(report).is_empty());
        let values = self.results(reports).into_iter().map(|result| {
            let value = result.pointer(&self.pointer).and_then(Value::as_f64);
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

impl Study<'_> {
    /// All figures.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let cells = self.rows.iter().flat_map(|row| &row.cells);
        cells.filter_map(|cell| cell.figure.as_ref())
    }

    /// The table, how much there is of it and whether its claims are reached, in Markdown.
    ///
    /// # Errors
    ///
    /// If results lack a figure.
    pub fn to_markdown(&self, scope: Scope, reports: &[Value]) -> anyhow::Result<String> {
        let values = |cell: &Cell| -> anyhow::Result<Option<Vec<f64>>> {
            let figure = cell.figure.as_ref();
            figure.map(|figure| figure.values(reports)).transpose()
        };
        let rows = self.rows.iter();
        let samples = rows.map(|row| row.cells.iter().map(values).collect());
        let mut text = self.render(scope, &samples.collect::<anyhow::Result<_>>()?);
        for failure in reports.iter().flat_map(call::failures) {
            text += &format!("- Failed: {failure}\n");
        }
        Ok(text)
    }

    /// The same of figures that have been found.
    pub fn render(&self, scope: Scope, samples: &Samples) -> String {
        let mut text = self.rendered(samples).to_markdown();
        text += &format!("\n{}\n\n", self.caption(scope, samples));
        for claim in &self.claims {
            text += &format!("- {}\n", self.verdict(claim, scope, samples));
        }
        text
    }

    fn rendered(&self, samples: &Samples) -> table::Table {
        let heads = self
            .columns
            .iter()
            .flat_map(|name| [Some(name), self.table.published.as_ref()]);
        let mut table = table::Table::new([&self.table.corner].into_iter().chain(heads.flatten()));
        for (row, samples) in self.rows.iter().zip(samples) {
            let mut line = vec![row.name.clone()];
            for (cell, values) in row.cells.iter().zip(samples) {
                let values = values.as_ref();
                line.push(values.map_or(String::new(), |values| self.summary(values, row.digits)));
                line.extend(
                    self.table
                        .published
                        .as_ref()
                        .map(|_| cell.published.clone()),
                );
            }
            table.add(line);
        }
        table
    }

    /// The mean of some figures and their spread.
    fn summary(&self, values: &[f64], digits: usize) -> String {
        match values {
            [] => "-".to_string(),
            _ if values.contains(&f64::INFINITY) => NOT_REACHED.to_string(),
            _ if self.table.each_seed => {
                let each: Vec<String> = values.iter().map(f64::to_string).collect();
                format!("{:.digits$} ({})", stats::mean(values), each.join(", "))
            }
            _ => stats::summary(values, digits),
        }
    }

    /// The budget, and how many figures each is a mean of.
    fn caption(&self, scope: Scope, samples: &Samples) -> String {
        let arrived = samples.iter().flatten().flatten();
        let arrived = arrived.filter(|values| values.iter().all(|value| value.is_finite()));
        let counts = arrived.map(Vec::len).filter(|count| *count > 0);
        let (least, most) = (counts.clone().min(), counts.max());
        let (least, most) = (least.unwrap_or(0), most.unwrap_or(0));
        let sample = &self.table.sample;
        let of = match (least == most, most) {
            (true, 1) => format!("n = 1 {sample}"),
            (true, _) => format!("n = {most} {sample}s"),
            (false, _) => format!("n = {least} to {most} {sample}s"),
        };
        let spread = match self.table.each_seed {
            _ if most < 2 => "",
            true => ", each in brackets",
            false => ", ± their standard deviation",
        };
        let caption = format!("Budget {}: {of}{spread}. {}", scope.name(), self.note);
        caption.trim_end().to_string()
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
        let failures = claim.failures(figure).into_iter().map(|(row, column)| {
            let Row { name, digits, .. } = &self.rows[row];
            let is_number = name.parse::<f64>().is_ok();
            let what = if is_number { &self.table.corner } else { "" };
            let (name, value) = (format!("{what} {name}"), figure((row, column)));
            let column = &self.columns[column];
            format!("{}, {column}: {value:.digits$}", name.trim_start())
        });
        let failures: Vec<String> = failures.collect();
        let verdict = match failures[..] {
            [] => "**reached**".to_string(),
            _ => format!("**not reached** ({})", failures.join("; ")),
        };
        let how = if scope == Scope::Quick {
            ", on the quick budget"
        } else {
            ""
        };
        format!("{}: {verdict}{how}.", claim.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &str = r#"
        name = "test"
        about = ""
        corner = "method"
        digits = 2
        figure = "/test/error"
        percent = true
        published = "paper"
        note = "So much for that."
        calls = [{ folder = "all", line = "images", methods = ["backprop", "dni"], steps = [1] }]
        columns = [{ name = "error %", key = "error" }]
        rows = [
            { method = "backprop", name = "all of it", published = ["2.0"] },
            { method = "dni", name = "decoupled", published = ["2.0"] },
        ]
        claims = [
            ["Backprop is good", "error[backprop] <= 2"],
            ["DNI is", "error[dni] <= published"],
            ["It is 2.52", "error[dni] <= 2.52"],
        ]
    "#;

    fn table() -> Table {
        toml::from_str(TABLE).unwrap()
    }

    /// Results of two seeds, beside those of another method. The mean of DNI is 2.524, which stands there
    /// as 2.52, and so it is judged.
    fn report() -> Value {
        let result = |method: &str, seed: u64, error: f64| json!({"method": method, "seed": seed, "test": {"error": error}});
        json!({"results": [
            result("backprop", 1, 0.0150),
            result("backprop", 2, 0.0170),
            result("dni", 1, 0.0100),
            result("dni", 2, 0.04048),
            result("cdni", 1, 0.5),
        ]})
    }

    #[test]
    fn results_make_a_table_with_verdicts() {
        let text = table()
            .study(Scope::Standard)
            .to_markdown(Scope::Standard, &[report()])
            .unwrap();
        assert_eq!(
            text,
            "\
| method    |     error % | paper |
| --------- | ----------: | ----: |
| all of it | 1.60 ± 0.14 |   2.0 |
| decoupled | 2.52 ± 2.16 |   2.0 |

Budget standard: n = 2 seeds, ± their standard deviation. So much for that.

- Backprop is good: **reached**.
- DNI is: **not reached** (decoupled, error %: 2.52).
- It is 2.52: **reached**.
"
        );
    }

    #[test]
    fn verdicts_of_a_quick_budget_say_so() {
        let text = table()
            .study(Scope::Quick)
            .to_markdown(Scope::Quick, &[report()])
            .unwrap();
        assert!(text.contains("Budget quick: n = 2 seeds"), "{text}");
        let verdicts = text.lines().filter(|line| line.starts_with("- "));
        let of_quick = verdicts.filter(|line| line.ends_with(", on the quick budget."));
        assert_eq!(of_quick.count(), 3, "{text}");
    }

    #[test]
    fn whole_figures_are_all_told() {
        let table = toml::from_str::<Table>(&TABLE.replace("percent", "each_seed")).unwrap();
        let study = table.study(Scope::Standard);
        assert_eq!(study.summary(&[1.0, 1.0, 2.0], 1), "1.3 (1, 1, 2)");
    }

    #[test]
    fn results_that_lack_a_figure_are_an_error() {
        let table = table();
        for results in [json!([]), json!([{"method": "backprop", "seed": 1}])] {
            let report = json!({"results": results});
            let study = table.study(Scope::Standard);
            assert!(study.to_markdown(Scope::Standard, &[report]).is_err());
        }
    }
}
