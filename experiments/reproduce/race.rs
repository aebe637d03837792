//! Races: how long a method takes to an error, at its own best of a grid of settings.
//!
//! A cell has the calls of that grid, which train the same method in other ways, shorter ones first; and
//! perhaps one for the pace in which the steps of the best are taken. A cell without a grid has that of
//! its row's first column.

use serde_json::Value;

use super::call::Call;
use super::study::{Study, figure_of};
use crate::{results, stats};

/// What the best call of a cell has, for each seed: that with the least time of those that arrive. Infinite
/// if none does; nothing if none in the row's first column, `near` each other, has run, or not that for
/// the pace.
pub fn of_best(
    own: &[&Value],
    near: &[&Value],
    pace: Option<&Value>,
    pointer: &str,
    limit: f64,
) -> Vec<f64> {
    if near.iter().all(|report| each(report, "/steps").is_empty()) {
        return Vec::new();
    }
    let grid = if own.is_empty() { near } else { own };
    let arrived = grid.iter().filter(|report| arrives(report, limit));
    let seconds = |report: &Value| stats::mean(&each(report, "/seconds"));
    let best = arrived.min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
    let pace = pace.map(|pace| each(pace, "/steps_per_second"));
    match (best, pace) {
        (None, _) => vec![f64::INFINITY],
        (Some(best), None) => each(best, pointer),
        (Some(_), Some(pace)) if pace.is_empty() => pace,
        (Some(best), Some(pace)) => {
            let steps = each(best, "/steps").into_iter();
            steps.map(|steps| steps / stats::mean(&pace)).collect()
        }
    }
}

/// Whether the results of a call are good enough. None are not.
fn arrives(report: &Value, limit: f64) -> bool {
    stats::mean(&each(report, "/test/error")) <= limit
}

/// A figure of all results, not a number for those that have none.
fn each(report: &Value, pointer: &str) -> Vec<f64> {
    let figures = results::all(report).map(|result| figure_of(result, pointer));
    figures.map(|figure| figure.unwrap_or(f64::NAN)).collect()
}

impl Study {
    /// Whether no figure depends on a call any more, by the reports of those before: in a race what comes
    /// after a shorter one that has arrived, or after none has in the first column of its row.
    pub fn can_do_without(&self, call: usize, reports: &[Value]) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        let own = &self.calls[call];
        // Without rows or columns a call belongs to all of them.
        let is_first = |call: &Call| {
            call.columns.is_empty() || call.columns.iter().any(|key| key == self.columns[0].key())
        };
        let shares_row = |other: &Call| {
            let are_all = own.rows.is_empty() || other.rows.is_empty();
            are_all || other.rows.iter().any(|row| own.rows.contains(row))
        };
        let is_near = |other: &Call| is_first(other) && shares_row(other);
        let is_shorter = |other: &Call| {
            (&other.rows, &other.columns) == (&own.rows, &own.columns) && other.steps < own.steps
        };
        let has_arrived = |is_meant: &dyn Fn(&Call) -> bool| {
            let before = self.calls[..call].iter().zip(reports);
            let mut meant = before.filter(|(other, _)| !other.is_pace && is_meant(other));
            meant.any(|(_, report)| arrives(report, limit))
        };
        let needs_near = own.is_pace || !is_first(own);
        has_arrived(&is_shorter) || needs_near && !has_arrived(&is_near)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reproduce::data::{self, Scope};

    /// Its folder, its error in percent on average, seconds and steps.
    type Ran = (&'static str, f64, f64, usize);

    /// The dense race, to 60 % in 20 or 40 steps, and its reports of two seeds. Other calls have none.
    fn race(ran: &[Ran]) -> (Study, Vec<Value>) {
        let study = data::study("race", Scope::Quick);
        let report = |call: &Call| {
            let mut ran = ran.iter();
            let ran = ran.find(|(folder, ..)| call.folder == format!("fcn-{folder}"));
            let Some(&(_, error, seconds, steps)) = ran else {
                return Value::Null;
            };
            let result = |more: f64| {
                json!({
                    "seconds": seconds + more,
                    "steps": steps,
                    "steps_per_second": steps as f64 / seconds,
                    "test": {"error": (error + more) / 100.0},
                })
            };
            json!({"results": [result(-0.1), result(0.1)]})
        };
        let reports = study.calls.iter().map(report).collect();
        (study, reports)
    }

    #[test]
    fn the_best_is_the_first_to_arrive() {
        let row = |name: &str, ran: &[Ran]| {
            let (study, reports) = race(ran);
            let table = study.to_markdown(&reports).expect("figures may be missing");
            let row = table.lines().find(|line| line.contains(name));
            let cells = row.expect("there is one").split('|').skip(2).map(str::trim);
            cells.collect::<Vec<_>>().join("|")
        };
        let ran = [
            ("backprop-near/lr0.002-steps20", 60.5, 1.0, 20),
            ("backprop-near/lr0.002-steps40", 59.0, 3.0, 40),
            ("kernel-threads-near/pace", 90.0, 1.0, 2),
            ("cdni-near/lr0.002-steps20", 59.0, 4.0, 20),
            ("cdni-20ms/lr0.002-steps20", 61.0, 5.0, 20),
            ("cdni-20ms/lr0.002-steps40", 58.0, 6.0, 40),
        ];
        let late = [("backprop-near/lr0.002-steps20", 90.0, 1.0, 20)];
        for (name, ran, cells) in [
            (
                "one thread",
                &ran[..],
                "3.00 ± 0.14|40.00 ± 0.00|59.00 ± 0.14|||",
            ),
            // Its steps at its pace.
            (
                "kernel threads",
                &ran,
                "20.00 ± 0.00|40.00 ± 0.00|59.00 ± 0.14|||",
            ),
            (
                "cDNI",
                &ran,
                "4.00 ± 0.14|20.00 ± 0.00|59.00 ± 0.14|6.00 ± 0.14|not reached|",
            ),
            (
                "one thread",
                &late,
                "not reached|not reached|not reached|||",
            ),
            ("one thread", &[], "-|-|-|||"),
        ] {
            assert_eq!(row(name, ran), cells);
        }
    }

    #[test]
    fn longer_runs_and_those_far_apart_are_left_out_when_nothing_depends_on_them() {
        let without = |folder: &str, ran: &[Ran]| {
            let (study, reports) = race(ran);
            let mut calls = study.calls.iter();
            let call = calls.position(|call| call.folder == format!("fcn-{folder}"));
            let call = call.expect("there is one");
            study.can_do_without(call, &reports[..call])
        };
        let short = "backprop-near/lr0.002-steps20";
        assert!(!without(short, &[]));
        for (error, is_needless) in [(90.0, false), (50.0, true)] {
            let ran = [(short, error, 1.0, 20)];
            assert_eq!(without("backprop-near/lr0.002-steps40", &ran), is_needless);
            // Nobody asks for the pace of what does not arrive.
            assert_eq!(without("kernel-threads-near/pace", &ran), !is_needless);
        }
        let far = "cdni-20ms/lr0.002-steps20";
        assert!(without(far, &[]), "it did not arrive nearby");
        let near = ("cdni-near/lr0.002-steps40", 50.0, 1.0, 40);
        assert!(!without(far, &[near]));
    }
}
