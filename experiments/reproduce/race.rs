//! Races: how long a method takes to an error, at its own best of a grid of settings.

use std::collections::BTreeSet;

use serde_json::Value;

use super::call::Call;
use super::study::{Figure, Study};
use crate::stats;

/// Where a result has the time of its training, and its error.
pub const SECONDS: &str = "/seconds";
pub const ERROR: &str = "/test/error";

/// What makes the figure of a cell one of a race: its calls are a grid, in which each trains the same
/// method in another way, shorter ones first.
#[derive(Debug, Clone)]
pub struct Race {
    /// The mean error on the test images, in percent, that counts as arrived.
    pub limit: f64,
    /// The call in whose pace the steps of the best are taken, where that is all that differs; none for
    /// their own.
    pub pace: Option<usize>,
    /// The same method with workers nearer to each other: what does not arrive there arrives nowhere.
    pub nearer: Option<Vec<usize>>,
}

/// The results of a call, if it has any.
struct Attempt<'a>(Vec<&'a Value>);

impl<'a> Attempt<'a> {
    fn of(report: &'a Value, figure: &Figure) -> Option<Self> {
        let results = figure.results([report].into_iter());
        (!results.is_empty()).then_some(Self(results))
    }

    fn mean(&self, pointer: &str) -> f64 {
        stats::mean(&self.each(pointer))
    }

    fn each(&self, pointer: &str) -> Vec<f64> {
        let value = |result: &&'a Value| result.pointer(pointer).and_then(Value::as_f64);
        let values = self.0.iter().map(value);
        values.map(|value| value.unwrap_or(f64::NAN)).collect()
    }

    fn arrives(&self, race: &Race) -> bool {
        100.0 * self.mean(ERROR) <= race.limit
    }
}

impl Race {
    /// What the best call of a grid has at a pointer, for each seed: that with the least time of those
    /// that arrive. Infinite if none does; nothing if none has run.
    pub fn values(&self, figure: &Figure, reports: &[Value]) -> Vec<f64> {
        let calls = figure.calls.iter();
        let mut attempts = calls
            .filter_map(|&call| Attempt::of(&reports[call], figure))
            .peekable();
        if attempts.peek().is_none() && self.nearer.is_none() {
            return Vec::new();
        }
        let arrived = attempts.filter(|attempt| attempt.arrives(self));
        let best = arrived.min_by(|a, b| a.mean(SECONDS).total_cmp(&b.mean(SECONDS)));
        let Some(best) = best else {
            return vec![f64::INFINITY];
        };
        let pace = self.pace.filter(|_| figure.pointer == SECONDS);
        let Some(pace) = pace else {
            return best.each(&figure.pointer);
        };
        let pace = Attempt::of(&reports[pace], figure);
        let values = pace.map(|pace| {
            let pace = pace.mean("/steps_per_second");
            let steps = best.each("/steps").into_iter();
            steps.map(|steps| steps / pace).collect()
        });
        values.unwrap_or_default()
    }

    /// Whether one of some calls arrives.
    fn is_won(&self, figure: &Figure, calls: &[usize], reports: &[Value]) -> bool {
        let mut reports = calls.iter().filter_map(|&call| reports.get(call));
        let attempt = |report| Attempt::of(report, figure);
        reports.any(|report| attempt(report).is_some_and(|attempt| attempt.arrives(self)))
    }

    /// Whether nothing depends on a call that has not run, by the reports of those before.
    fn is_decided_without(
        &self,
        figure: &Figure,
        call: usize,
        calls: &[Call],
        reports: &[Value],
    ) -> bool {
        if self.pace == Some(call) {
            return !self.is_won(figure, &figure.calls, reports);
        }
        let nearer = self.nearer.as_ref();
        if nearer.is_some_and(|nearer| !self.is_won(figure, nearer, reports)) {
            return true;
        }
        let mut grid = figure.calls.iter().filter(|other| **other < call);
        grid.any(|&other| {
            let is_shorter = calls[other].steps() < calls[call].steps();
            is_shorter && self.is_won(figure, &[other], reports)
        })
    }
}

impl Figure {
    /// The calls that it may be taken from.
    pub fn depends_on(&self) -> BTreeSet<usize> {
        let pace = self.race.as_ref().and_then(|race| race.pace);
        self.calls.iter().copied().chain(pace).collect()
    }
}

impl Study<'_> {
    /// Whether there are races in it.
    pub fn is_race(&self) -> bool {
        self.figures().any(|figure| figure.race.is_some())
    }

    /// Whether no figure depends on a call any more, by the reports of those before: in every race that
    /// it is a part of it would come too late.
    pub fn can_do_without(&self, call: usize, reports: &[Value]) -> bool {
        let mut figures = self.figures();
        figures.all(|figure| {
            let is_decided =
                |race: &Race| race.is_decided_without(figure, call, &self.calls, reports);
            !figure.depends_on().contains(&call) || figure.race.as_ref().is_some_and(is_decided)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reproduce::call::Work;
    use crate::reproduce::data::tables;
    use crate::reproduce::scope::Scope;

    /// The dense race, to 60 % in 20 or 40 steps.
    fn study() -> Study<'static> {
        let table = tables().iter().find(|table| table.name == "race");
        table.expect("it is there").study(Scope::Quick)
    }

    /// Reports of two seeds: name, error in percent on average, seconds and steps. The other calls have
    /// none.
    fn reports(study: &Study, given: &[(&str, f64, f64, usize)]) -> Vec<Value> {
        let report = |call: &Call| {
            let found = given
                .iter()
                .find(|(name, ..)| call.name == format!("fcn-{name}"));
            let (_, error, seconds, steps) = *found?;
            let Work::Training { methods, .. } = &call.work else {
                return None;
            };
            let result = |more: f64| {
                json!({
                    "method": methods[0],
                    "seconds": seconds + more,
                    "steps": steps,
                    "steps_per_second": steps as f64 / seconds,
                    "test": {"error": (error + more) / 100.0},
                })
            };
            Some(json!({"results": [result(-0.1), result(0.1)]}))
        };
        let calls = study.calls.iter();
        calls.map(|call| report(call).unwrap_or_default()).collect()
    }

    /// The cells of a row, with such reports.
    fn row(name: &str, given: &[(&str, f64, f64, usize)]) -> String {
        let study = study();
        let table = study.to_markdown(Scope::Quick, &reports(&study, given));
        let table = table.expect("figures may be missing");
        let row = table.lines().find(|line| line.contains(name));
        let row = row
            .expect("there is one")
            .split_whitespace()
            .collect::<Vec<_>>();
        row.join(" ")
    }

    #[test]
    fn the_best_is_the_first_to_arrive() {
        let near = [
            ("backprop-near/lr0.002-steps20", 60.5, 1.0, 20),
            ("backprop-near/lr0.002-steps40", 59.0, 3.0, 40),
            ("kernel-threads-near/pace", 90.0, 1.0, 2),
            ("cdni-near/lr0.002-steps20", 59.0, 4.0, 20),
            ("cdni-20ms/lr0.002-steps20", 61.0, 5.0, 20),
            ("cdni-20ms/lr0.002-steps40", 58.0, 6.0, 40),
        ];
        let alone = "| backprop, one thread | 3.00 ± 0.14 | 40.00 ± 0.00 | 59.00 ± 0.14 | | |";
        assert_eq!(row("one thread", &near), alone);
        // Its steps at its pace.
        let paced = "kernel threads | 20.00 ± 0.00 | 40.00 ± 0.00 | 59.00 ± 0.14 | | |";
        assert!(row("kernel threads", &near).ends_with(paced));
        let far = "| 4.00 ± 0.14 | 20.00 ± 0.00 | 59.00 ± 0.14 | 6.00 ± 0.14 | not reached |";
        assert!(row("cDNI", &near).ends_with(far));
    }

    #[test]
    fn who_does_not_arrive_says_so_and_who_has_not_run_says_nothing() {
        let late = [("backprop-near/lr0.002-steps20", 90.0, 1.0, 20)];
        let none = "| not reached | not reached | not reached | | |";
        assert!(row("one thread", &late).ends_with(none));
        assert!(row("one thread", &[]).ends_with("| - | - | - | | |"));
    }

    #[test]
    fn longer_runs_and_those_far_apart_are_left_out_when_nothing_depends_on_them() {
        let study = study();
        let without = |name: &str, given: &[(&str, f64, f64, usize)]| {
            let mut calls = study.calls.iter();
            let call = calls.position(|call| call.name == format!("fcn-{name}"));
            let call = call.expect("there is one");
            study.can_do_without(call, &reports(&study, given)[..call])
        };
        let short = "backprop-near/lr0.002-steps20";
        let (lost, won) = ([(short, 90.0, 1.0, 20)], [(short, 50.0, 1.0, 20)]);
        assert!(!without(short, &[]));
        for (given, is_needless) in [(&lost, false), (&won, true)] {
            let longer = "backprop-near/lr0.002-steps40";
            assert_eq!(without(longer, given), is_needless);
            // Nobody asks for the pace of what does not arrive.
            assert_eq!(without("kernel-threads-near/pace", given), !is_needless);
        }
        let far = "cdni-20ms/lr0.002-steps20";
        assert!(without(far, &[]), "it did not arrive nearby");
        assert!(!without(
            far,
            &[("cdni-near/lr0.002-steps40", 50.0, 1.0, 40)]
        ));
    }
}
