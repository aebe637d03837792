//! What a table is: calls, the figures that are taken from their results, and claims about them.

use anyhow::{Context, bail};
use serde_json::Value;

use super::call::{self, Call};
use super::claim::{self, Place};
use super::data::{Line, Table};
use super::race::Race;
use super::scope::Scope;
use crate::{stats, table};

/// A table under a budget.
#[derive(Debug)]
pub struct Study {
    pub table: Table,
    pub scope: Scope,
    pub calls: Vec<Call>,
    /// Of each row and column, if there is one.
    pub figures: Vec<Vec<Option<Figure>>>,
}

/// Where a figure is found.
#[derive(Debug)]
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
    /// Its results in a report.
    pub fn results<'a>(&self, report: &'a Value) -> Vec<&'a Value> {
        let results = report["results"].as_array().into_iter().flatten();
        let is_own = |result: &&Value| self.of.iter().all(|[key, name]| result[key] == **name);
        results.filter(is_own).collect()
    }

    /// Its values, one for each result that has it.
    fn values(&self, reports: &[Value]) -> anyhow::Result<Vec<f64>> {
        if let Some(race) = &self.race {
            return Ok(race.values(self, reports));
        }
        let reports = self.calls.iter().map(|call| &reports[*call]);
        let results = reports.clone().flat_map(|report| self.results(report));
        let values = results.map(|result| {
            let value = result.pointer(&self.pointer).and_then(Value::as_f64);
            let value = value.with_context(|| format!("a result has no {}", self.pointer))?;
            Ok(self.times * value)
        });
        let values: Vec<f64> = values.collect::<anyhow::Result<_>>()?;
        if values.is_empty() && reports.flat_map(call::failures).next().is_none() {
            bail!("there are no results of {:?}", self.of);
        }
        Ok(values)
    }
}

impl Study {
    /// All figures.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().flatten().flatten()
    }

    /// Whether there are races in it.
    pub fn is_race(&self) -> bool {
        self.figures().any(|figure| figure.race.is_some())
    }

    /// Whether no figure depends on a call any more, by the reports of those before.
    pub fn can_do_without(&self, call: usize, reports: &[Value]) -> bool {
        let mut figures = self.figures();
        figures.all(|figure| match &figure.race {
            Some(race) => race.can_do_without(call, figure, &self.calls, reports),
            None => !figure.calls.contains(&call),
        })
    }

    /// The table, how much there is of it and whether its claims are reached, in Markdown.
    ///
    /// # Errors
    ///
    /// If results lack a figure.
    pub fn to_markdown(&self, reports: &[Value]) -> anyhow::Result<String> {
        let values = |figure: &Option<Figure>| {
            let figure = figure.as_ref();
            figure.map(|figure| figure.values(reports)).transpose()
        };
        let rows = self.figures.iter();
        let samples = rows.map(|row| row.iter().map(values).collect());
        let mut text = self.render(&samples.collect::<anyhow::Result<_>>()?);
        for failure in reports.iter().flat_map(call::failures) {
            text += &format!("- Failed: {failure}\n");
        }
        Ok(text)
    }

    /// The same of figures that have been found.
    pub fn render(&self, samples: &Samples) -> String {
        let Table {
            corner,
            columns,
            rows,
            published,
            claims,
            ..
        } = &self.table;
        // Ours, and the published one beside it.
        let pair = |ours: String, other: &str| {
            let other = published.as_ref().map(|_| other.to_string());
            [Some(ours)].into_iter().chain([other]).flatten()
        };
        let head = published.as_deref().unwrap_or_default();
        let heads = columns.iter().map(Line::name);
        let heads = heads.flat_map(|name| pair(name.to_string(), head));
        let mut table = table::Table::new([corner.clone()].into_iter().chain(heads));
        for (i, (row, samples)) in rows.iter().zip(samples).enumerate() {
            let cells = samples.iter().enumerate().flat_map(|(column, values)| {
                let values = values.as_ref();
                let ours = values.map(|values| self.summary(values, self.digits(i)));
                pair(ours.unwrap_or_default(), row.published(column))
            });
            table.add([row.name().to_string()].into_iter().chain(cells));
        }
        let mut text = format!("{}\n{}\n\n", table.to_markdown(), self.caption(samples));
        for claim in claims {
            text += &format!("- {}\n", self.verdict(claim, samples));
        }
        text
    }

    /// Digits after the point in a row.
    fn digits(&self, row: usize) -> usize {
        self.table.rows[row].digits.unwrap_or(self.table.digits)
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
    fn caption(&self, samples: &Samples) -> String {
        let arrived = samples.iter().flatten().flatten();
        let arrived = arrived.filter(|values| values.iter().all(|value| value.is_finite()));
        let counts = arrived.map(Vec::len).filter(|count| *count > 0);
        let least = counts.clone().min().unwrap_or(0);
        let most = counts.max().unwrap_or(0);
        let sample = self.table.sample.as_deref().unwrap_or("seed");
        let of = match (least == most, most) {
            (true, 1) => format!("1 {sample}"),
            (true, _) => format!("{most} {sample}s"),
            (false, _) => format!("{least} to {most} {sample}s"),
        };
        let spread = match self.table.each_seed {
            _ if most < 2 => "",
            true => ", each in brackets",
            false => ", ± their standard deviation",
        };
        let (budget, note) = (self.scope.name(), &self.table.note);
        let caption = format!("Budget {budget}: n = {of}{spread}. {note}");
        caption.trim_end().to_string()
    }

    /// A claim, whether it is reached, and the figures that are in its way.
    fn verdict(&self, claim: &[String], samples: &Samples) -> String {
        let (text, comparisons) = claim.split_first().expect("a claim has a text");
        // As it is printed, so that a reader comes to the same verdict.
        let printed = |(row, column): Place| {
            let values = samples[row][column].as_deref().unwrap_or_default();
            format!("{:.*}", self.digits(row), stats::mean(values))
        };
        let figure = |place| printed(place).parse().unwrap_or(f64::NAN);
        let failures = claim::failures(comparisons, self, figure).into_iter();
        let failures = failures.map(|(row, column)| {
            let name = self.table.rows[row].name();
            let name = match name.parse::<f64>() {
                Ok(_) => format!("{} {name}", self.table.corner),
                Err(_) => name.to_string(),
            };
            let title = self.table.columns[column].name();
            format!("{name}, {title}: {}", printed((row, column)))
        });
        let failures: Vec<String> = failures.collect();
        let verdict = match failures[..] {
            [] => "**reached**".to_string(),
            _ => format!("**not reached** ({})", failures.join("; ")),
        };
        let how = match self.scope {
            Scope::Quick => ", on the quick budget",
            _ => "",
        };
        format!("{text}: {verdict}{how}.")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &str = r#"
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

    fn study(table: &str, scope: Scope) -> Study {
        toml::from_str::<Table>(table).unwrap().study(scope)
    }

    /// Results of two seeds, beside those of another method. The mean of DNI is 2.524, which stands there
    /// as 2.52, and so it is judged.
    #[test]
    fn results_make_a_table_with_verdicts() {
        let result = |method: &str, error: f64| json!({"method": method, "test": {"error": error}});
        let reports = [json!({"results": [
            result("backprop", 0.0150),
            result("backprop", 0.0170),
            result("dni", 0.0100),
            result("dni", 0.04048),
            result("cdni", 0.5),
        ]})];
        let text = study(TABLE, Scope::Standard).to_markdown(&reports);
        assert_eq!(
            text.unwrap(),
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
        let text = study(TABLE, Scope::Quick).to_markdown(&reports).unwrap();
        assert!(text.contains("Budget quick: n = 2 seeds"), "{text}");
        assert_eq!(
            text.matches(", on the quick budget.\n").count(),
            3,
            "{text}"
        );
    }

    #[test]
    fn whole_figures_are_all_told() {
        let study = study(&TABLE.replace("percent", "each_seed"), Scope::Standard);
        assert_eq!(study.summary(&[1.0, 1.0, 2.0], 1), "1.3 (1, 1, 2)");
    }

    #[test]
    fn results_that_lack_a_figure_are_an_error() {
        for results in [json!([]), json!([{"method": "backprop"}])] {
            let report = json!({"results": results});
            let text = study(TABLE, Scope::Standard).to_markdown(&[report]);
            assert!(text.is_err());
        }
    }
}
