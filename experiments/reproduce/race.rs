//! Races: how long a method takes to an error, at its own best of a grid of settings.

use serde_json::Value;

use super::call::Call;
use super::study::Figure;
use crate::stats;

/// Where a result has the time of its training, and its error.
pub const SECONDS: &str = "/seconds";
pub const ERROR: &str = "/test/error";

/// What makes the figure of a cell one of a race: its calls are a grid, in which each trains the same
/// method in another way, shorter ones first.
#[derive(Debug)]
pub struct Race {
    /// The mean error on the test images, in percent, that counts as arrived.
    pub limit: f64,
    /// The call in whose pace the steps of the best are taken, where that is all that differs; none for
    /// their own.
    pub pace: Option<usize>,
    /// The same method with workers nearer to each other: what does not arrive there arrives nowhere.
    pub nearer: Option<Vec<usize>>,
}

impl Race {
    /// What the best call of a grid has, for each seed: that with the least time of those that arrive.
    /// Infinite if none does; nothing if none has run.
    pub fn values(&self, figure: &Figure, reports: &[Value]) -> Vec<f64> {
        let attempts = figure
            .calls
            .iter()
            .map(|&call| figure.results(&reports[call]));
        let attempts: Vec<_> = attempts.filter(|results| !results.is_empty()).collect();
        if attempts.is_empty() && self.nearer.is_none() {
            return Vec::new();
        }
        let arrived = attempts
            .into_iter()
            .filter(|results| self.is_won_by(results));
        let best = arrived.min_by(|a, b| mean(a, SECONDS).total_cmp(&mean(b, SECONDS)));
        let Some(best) = best else {
            return vec![f64::INFINITY];
        };
        let Some(pace) = self.pace else {
            let values = each(&best, &figure.pointer).into_iter();
            return values.map(|value| figure.times * value).collect();
        };
        match &figure.results(&reports[pace])[..] {
            [] => Vec::new(),
            pace => {
                let pace = mean(pace, "/steps_per_second");
                let steps = each(&best, "/steps").into_iter();
                steps.map(|steps| steps / pace).collect()
            }
        }
    }

    fn is_won_by(&self, results: &[&Value]) -> bool {
        100.0 * mean(results, ERROR) <= self.limit
    }

    /// Whether its figure does not depend on a call that has not run, by the reports of those before: it is
    /// no part of it, or would come too late.
    pub fn can_do_without(
        &self,
        call: usize,
        figure: &Figure,
        calls: &[Call],
        reports: &[Value],
    ) -> bool {
        let is_won = |grid: &[usize]| {
            let mut reports = grid.iter().filter_map(|&call| reports.get(call));
            reports.any(|report| self.is_won_by(&figure.results(report)))
        };
        if self.pace == Some(call) {
            return !is_won(&figure.calls);
        }
        if !figure.calls.contains(&call) || self.nearer.as_deref().is_some_and(|near| !is_won(near))
        {
            return true;
        }
        let steps = |call: usize| calls[call].steps;
        let mut earlier = figure.calls.iter().filter(|other| **other < call);
        earlier.any(|&other| steps(other) < steps(call) && is_won(&[other]))
    }
}

/// The values of some results, not a number for those that have none.
fn each(results: &[&Value], pointer: &str) -> Vec<f64> {
    let values = results
        .iter()
        .map(|result| result.pointer(pointer)?.as_f64());
    values.map(|value| value.unwrap_or(f64::NAN)).collect()
}

/// Not a number if there are none.
fn mean(results: &[&Value], pointer: &str) -> f64 {
    stats::mean(&each(results, pointer))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reproduce::data;
    use crate::reproduce::scope::Scope;
    use crate::reproduce::study::Study;

    /// Name, error in percent on average, seconds and steps.
    type Ran<'a> = (&'a str, f64, f64, usize);

    /// The dense race, to 60 % in 20 or 40 steps, and its reports of two seeds. Other calls have none.
    fn race(ran: &[Ran]) -> (Study, Vec<Value>) {
        let study = data::study("race", Scope::Quick);
        let report = |call: &Call| {
            let mut ran = ran.iter();
            let ran = ran.find(|(name, ..)| call.name == format!("fcn-{name}"));
            let (_, error, seconds, steps) = *ran?;
            let result = |more: f64| {
                json!({
                    "method": call.methods[0],
                    "seconds": seconds + more,
                    "steps": steps,
                    "steps_per_second": steps as f64 / seconds,
                    "test": {"error": (error + more) / 100.0},
                })
            };
            Some(json!({"results": [result(-0.1), result(0.1)]}))
        };
        let reports = study
            .calls
            .iter()
            .map(|call| report(call).unwrap_or_default());
        let reports = reports.collect();
        (study, reports)
    }

    /// The cells of a row.
    fn row(name: &str, ran: &[Ran]) -> String {
        let (study, reports) = race(ran);
        let table = study.to_markdown(&reports).expect("figures may be missing");
        let row = table.lines().find(|line| line.contains(name));
        let words: Vec<&str> = row.expect("there is one").split_whitespace().collect();
        words.join(" ")
    }

    #[test]
    fn the_best_is_the_first_to_arrive() {
        let ran = [
            ("backprop-near/lr0.002-steps20", 60.5, 1.0, 20),
            ("backprop-near/lr0.002-steps40", 59.0, 3.0, 40),
            ("kernel-threads-near/pace", 90.0, 1.0, 2),
            ("cdni-near/lr0.002-steps20", 59.0, 4.0, 20),
            ("cdni-20ms/lr0.002-steps20", 61.0, 5.0, 20),
            ("cdni-20ms/lr0.002-steps40", 58.0, 6.0, 40),
        ];
        let alone = "| backprop, one thread | 3.00 ± 0.14 | 40.00 ± 0.00 | 59.00 ± 0.14 | | |";
        assert_eq!(row("one thread", &ran), alone);
        // Its steps at its pace.
        let paced = "kernel threads | 20.00 ± 0.00 | 40.00 ± 0.00 | 59.00 ± 0.14 | | |";
        assert!(row("kernel threads", &ran).ends_with(paced));
        let far = "| 4.00 ± 0.14 | 20.00 ± 0.00 | 59.00 ± 0.14 | 6.00 ± 0.14 | not reached |";
        assert!(row("cDNI", &ran).ends_with(far));
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
        let without = |name: &str, ran: &[Ran]| {
            let (study, reports) = race(ran);
            let mut calls = study.calls.iter();
            let call = calls.position(|call| call.name == format!("fcn-{name}"));
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
        assert!(!without(
            far,
            &[("cdni-near/lr0.002-steps40", 50.0, 1.0, 40)]
        ));
    }
}
