//! A table as it stands in a page: our figures beside published ones, how many there are, and verdicts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::data::Scope;
use super::study::{Place, Samples, Study};
use crate::table::Table;
use crate::{results, stats};

/// What stands for an infinite figure.
pub const NOT_REACHED: &str = "not reached";

impl Study {
    /// The table, how much there is of it and whether its claims are reached, in Markdown.
    ///
    /// # Errors
    ///
    /// If results lack a figure.
    pub fn to_markdown(&self, reports: &[Value]) -> anyhow::Result<String> {
        let figures = |place| Ok((place, self.values(place, reports)?));
        let samples: anyhow::Result<Samples> = self.places().map(figures).collect();
        let mut text = self.render(&samples?);
        for [run, error] in reports.iter().flat_map(results::failures) {
            text += &format!("- Failed: {run}: {error}\n");
        }
        Ok(text)
    }

    /// The same of figures that have been found.
    pub fn render(&self, samples: &Samples) -> String {
        let mut head = vec![self.corner.as_str()];
        for column in &self.columns {
            head.push(column.name());
            head.extend(self.published.as_deref());
        }
        let mut table = Table::new(head);
        for (i, row) in self.rows.iter().enumerate() {
            let mut cells = vec![row.name().to_string()];
            for column in 0..self.columns.len() {
                let values = samples.get(&(i, column));
                let ours = values.map(|values| self.summary(values, self.digits(i)));
                cells.push(ours.unwrap_or_default());
                let published = self.published.as_ref();
                cells.extend(published.map(|_| row.published(column).to_string()));
            }
            table.add(cells);
        }
        let mut text = format!("{}\n{}\n\n", table.to_markdown(), self.caption(samples));
        for claim in &self.claims {
            text += &format!("- {}\n", self.verdict(claim, samples));
        }
        text
    }

    /// Digits after the point in a row.
    fn digits(&self, row: usize) -> usize {
        self.rows[row].digits.unwrap_or(self.digits)
    }

    /// The mean of some figures and their spread.
    fn summary(&self, values: &[f64], digits: usize) -> String {
        match values {
            [] => "-".to_string(),
            _ if values.contains(&f64::INFINITY) => NOT_REACHED.to_string(),
            _ if self.each_seed => {
                let each: Vec<String> = values.iter().map(f64::to_string).collect();
                format!("{:.digits$} ({})", stats::mean(values), each.join(", "))
            }
            _ => stats::summary(values, digits),
        }
    }

    /// The budget, and how many figures each is a mean of.
    fn caption(&self, samples: &Samples) -> String {
        let is_finite = |values: &&Vec<f64>| values.iter().all(|value| value.is_finite());
        let arrived = samples.values().filter(is_finite);
        let counts = arrived.map(Vec::len).filter(|count| *count > 0);
        let least = counts.clone().min().unwrap_or(0);
        let most = counts.max().unwrap_or(0);
        let from = match least == most {
            true => String::new(),
            false => format!("{least} to "),
        };
        let sample = self.sample.as_deref().unwrap_or("seed");
        let plural = if most == 1 { "" } else { "s" };
        let spread = match self.each_seed {
            _ if most < 2 => "",
            true => ", each in brackets",
            false => ", ± their standard deviation",
        };
        let (budget, note) = (self.scope.name(), &self.note);
        let caption = format!("Budget {budget}: n = {from}{most} {sample}{plural}{spread}. {note}");
        caption.trim_end().to_string()
    }

    /// A claim, whether it is reached, and the figures that are in its way.
    fn verdict(&self, claim: &[String], samples: &Samples) -> String {
        let (text, comparisons) = claim.split_first().expect("a claim has a text");
        // As it is printed, so that a reader comes to the same verdict.
        let printed = |place: Place| {
            let values = samples.get(&place).map_or(&[][..], Vec::as_slice);
            format!("{:.*}", self.digits(place.0), stats::mean(values))
        };
        let figure = |place| printed(place).parse().unwrap_or(f64::NAN);
        let failing = |text: &String| {
            let failing = self.failing(text, figure);
            failing.unwrap_or_else(|| panic!("there is no such comparison: {text}"))
        };
        let failures: BTreeSet<Place> = comparisons.iter().flat_map(failing).collect();
        let failures = failures.into_iter().map(|(row, column)| {
            let name = self.rows[row].name();
            let name = match name.parse::<f64>() {
                Ok(_) => format!("{} {name}", self.corner),
                Err(_) => name.to_string(),
            };
            let title = self.columns[column].name();
            format!("{name}, {title}: {}", printed((row, column)))
        });
        let failures: Vec<String> = failures.collect();
        let verdict = match failures[..] {
            [] => "**reached**".to_string(),
            _ => format!("**not reached** ({})", failures.join("; ")),
        };
        let is_quick = self.scope == Scope::Quick;
        let how = if is_quick {
            ", on the quick budget"
        } else {
            ""
        };
        format!("{text}: {verdict}{how}.")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reproduce::tests::study;

    const TABLE: &str = r#"
        corner = "method"
        digits = 2
        figure = "/test/error"
        published = "paper"
        note = "So much for that."
        calls = [{ folder = "all", line = "images", methods = ["backprop", "dni"], steps = 1 }]
        columns = [{ name = "error %", key = "error" }]
        rows = [
            { method = "backprop", name = "all of it", published = ["2.0"] },
            { method = "dni", name = "decoupled", published = ["2.0"] },
        ]
        claims = [
            ["Backprop is good", "error[backprop] <= 2"],
            ["DNI is", "error[dni] <= published", "error <= published"],
            ["It is 2.52", "error[dni] <= 2.52"],
        ]
    "#;

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
        let mut study = study(TABLE);
        let text = study.to_markdown(&reports).unwrap();
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
        study.scope = Scope::Quick;
        let quick = study.to_markdown(&reports).unwrap();
        assert!(quick.contains("Budget quick: n = 2 seeds"), "{quick}");
        let told = quick.matches(", on the quick budget.\n");
        assert_eq!(told.count(), 3, "{quick}");
        study.each_seed = true;
        assert_eq!(study.summary(&[1.0, 1.0, 2.0], 1), "1.3 (1, 1, 2)");
        for results in [json!([]), json!([{"method": "backprop"}])] {
            let lacking = json!({"results": results});
            assert!(study.to_markdown(&[lacking]).is_err());
        }
    }
}
