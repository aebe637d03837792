//! The table of a sweep: a row for each combination and method, sorted by a figure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::flags::Combination;
use crate::args::Misuse;
use crate::table::Table;
use crate::{results, stats};

/// What a table is sorted by.
pub struct Sort {
    /// The figure; none for how well the task was learned.
    figure: Option<String>,
    is_greatest_first: bool,
}

impl Sort {
    /// By a figure as the flag names it.
    pub fn new(flag: Option<&str>) -> Self {
        let greatest = flag.and_then(|name| name.strip_prefix('-'));
        Self {
            figure: greatest.or(flag).map(String::from),
            is_greatest_first: greatest.is_some(),
        }
    }

    fn pointer(&self) -> String {
        let figure = self.figure.as_deref().unwrap_or("measure.value");
        format!("/{}", figure.replace('.', "/"))
    }
}

/// The rows of a table, the best first.
pub struct Rows {
    rows: Vec<Row>,
    failures: Vec<Value>,
    /// The title of the figure, and whether it is a share.
    title: String,
    is_share: bool,
}

/// The runs of a method by one combination.
struct Row {
    combination: Combination,
    method: String,
    /// The figure of each run.
    figures: Vec<f64>,
    results: Vec<Value>,
}

impl Rows {
    /// The rows of all results, by their combinations.
    pub fn new<'a>(
        done: impl Iterator<Item = (&'a Combination, &'a Value)>,
        sort: &Sort,
    ) -> Result<Self, Misuse> {
        let (mut rows, mut failures): (Vec<Row>, Vec<Value>) = (Vec::new(), Vec::new());
        for (combination, report) in done {
            for [run, error] in results::failures(report) {
                failures.push(json!({"run": format!("{combination}: {run}"), "error": error}));
            }
            for result in results::all(report) {
                let method = text(&result["method"]);
                let known = rows
                    .iter_mut()
                    .find(|row| row.combination == *combination && row.method == method);
                match known {
                    Some(row) => row.results.push(result.clone()),
                    None => rows.push(Row {
                        combination: combination.clone(),
                        method,
                        figures: Vec::new(),
                        results: vec![result.clone()],
                    }),
                }
            }
        }
        for row in &mut rows {
            let figures = row.results.iter().map(|result| figure(result, sort));
            row.figures = figures.collect::<Result<_, _>>()?;
        }
        let first = rows.first().map(|row| row.results[0]["measure"].clone());
        let measure = first.unwrap_or_default();
        let is_greatest_first = match &sort.figure {
            Some(_) => sort.is_greatest_first,
            None => measure["less_is_better"] == false,
        };
        rows.sort_by(|a, b| {
            let order = a.mean().total_cmp(&b.mean());
            match is_greatest_first {
                true => order.reverse(),
                false => order,
            }
        });
        Ok(Self {
            rows,
            failures,
            is_share: sort.figure.is_none() && measure["is_share"] == true,
            title: match &sort.figure {
                Some(name) => name.clone(),
                None => text(&measure["name"])
                    .trim_start_matches("of the ")
                    .to_string(),
            },
        })
    }

    /// How many runs have failed.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// All there is to say.
    pub fn to_json(&self, experiment: &str) -> Value {
        let rows = self.rows.iter().map(|row| {
            let flags = row.combination.0.iter().cloned();
            let flags: BTreeMap<String, String> = flags.collect();
            json!({
                "flags": flags,
                "method": row.method,
                "figure": row.mean(),
                "deviation": stats::deviation(&row.figures),
                "results": row.results,
            })
        });
        let mut report = json!({
            "experiment": "sweep",
            "of": experiment,
            "sorted_by": self.title,
            "rows": rows.collect::<Vec<_>>(),
        });
        if !self.failures.is_empty() {
            report["failures"] = self.failures.clone().into();
        }
        report
    }

    /// The table, and what has failed.
    pub fn to_text(&self, swept: &[&str]) -> String {
        let percent = if self.is_share { " %" } else { "" };
        let figure = format!("{}{percent}", self.title);
        let mut table = Table::new(
            ["method"]
                .into_iter()
                .chain(swept.iter().copied())
                .chain([figure.as_str(), "steps/s"]),
        );
        for row in &self.rows {
            let values = row.combination.0.iter().map(|(_, value)| value.clone());
            let (factor, digits) = if self.is_share { (100.0, 2) } else { (1.0, 4) };
            let figures: Vec<f64> = row.figures.iter().map(|figure| factor * figure).collect();
            let speeds = row
                .results
                .iter()
                .filter_map(|r| r["steps_per_second"].as_f64());
            let ends = [
                stats::summary(&figures, digits),
                format!("{:.0}", stats::mean(&speeds.collect::<Vec<_>>())),
            ];
            table.add([row.method.clone()].into_iter().chain(values).chain(ends));
        }
        let failures = self.failures.iter();
        let failures =
            failures.map(|f| format!("failed: {}: {}\n", text(&f["run"]), text(&f["error"])));
        table.to_text() + &failures.collect::<String>()
    }
}

impl Row {
    fn mean(&self) -> f64 {
        stats::mean(&self.figures)
    }
}

/// The figure of a result that a table is sorted by.
fn figure(result: &Value, sort: &Sort) -> Result<f64, Misuse> {
    let found = result.pointer(&sort.pointer());
    found.and_then(Value::as_f64).ok_or_else(|| {
        let mut names = Vec::new();
        name_figures("", result, &mut names);
        Misuse(format!(
            "the results have no figure '{}' to sort by; choose --sort from {}",
            sort.figure.as_deref().unwrap_or("measure.value"),
            names.join(", ")
        ))
    })
}

/// The names of all figures of a result.
fn name_figures(prefix: &str, value: &Value, names: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = format!("{prefix}{name}");
        match value {
            Value::Number(_) => names.push(name),
            Value::Object(_) => name_figures(&format!("{name}."), value, names),
            _ => {}
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(sort: Option<&str>) -> Result<Rows, Misuse> {
        let run = |method: &str, error: f64, speed: f64| {
            json!({
                "method": method,
                "steps_per_second": speed,
                "test": {"error": error},
                "measure": {
                    "name": "of the test images wrong",
                    "value": error, "less_is_better": true, "is_share": true,
                },
            })
        };
        let of = |rate: &str| Combination(vec![("lr".to_string(), rate.to_string())]);
        let combinations = [of("0.1"), of("0.2")];
        let failure = json!({"run": "dni, seed 2", "error": "it broke"});
        let reports = [
            json!({"results": [run("dni", 0.5, 10.0), run("dni", 0.25, 10.0), run("cdni", 0.3, 5.0)]}),
            json!({"results": [run("dni", 0.125, 20.0)], "failures": [failure]}),
        ];
        Rows::new(combinations.iter().zip(&reports), &Sort::new(sort))
    }

    #[test]
    fn the_best_comes_first() {
        let rows = rows(None).unwrap_or_else(|misuse| panic!("{misuse}"));
        assert_eq!(
            rows.to_text(&["lr"]),
            "method   lr  test images wrong %  steps/s\n\
             dni     0.2                12.50       20\n\
             cdni    0.1                30.00        5\n\
             dni     0.1        37.50 ± 17.68       10\n\
             failed: lr=0.2: dni, seed 2: it broke\n"
        );
        assert_eq!(rows.failures(), 1);
        assert_eq!(rows.to_json("images")["rows"][0]["flags"]["lr"], "0.2");
    }

    #[test]
    fn any_figure_sorts_and_others_are_named() {
        let first = |sort| {
            let rows = rows(Some(sort)).unwrap_or_else(|misuse| panic!("{misuse}"));
            rows.to_json("images")["rows"][0]["figure"].as_f64()
        };
        assert_eq!(first("steps_per_second"), Some(5.0));
        assert_eq!(first("-steps_per_second"), Some(20.0));
        assert_eq!(first("test.error"), Some(0.125));
        let reason = rows(Some("eror")).err().map(|misuse| misuse.0);
        assert!(reason.is_some_and(|reason| reason.contains("test.error")));
    }
}
