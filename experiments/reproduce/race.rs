//! A race: how long a method takes to an error, at its own best of a grid of settings.

use std::ops::Range;

use serde_json::Value;

use super::call::{Call, Work};
use super::study::{Figure, Study};
use crate::stats;

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
    pub nearer: Option<Range<usize>>,
}

/// The figures that a race is decided by.
struct Attempt<'a> {
    results: Vec<&'a Value>,
}

impl<'a> Attempt<'a> {
    /// That of a call, if it has results.
    fn of(report: &'a Value, figure: &Figure) -> Option<Self> {
        let results = figure.results(std::slice::from_ref(report));
        (!results.is_empty()).then_some(Self { results })
    }

    fn mean(&self, pointer: &str) -> f64 {
        stats::mean(&self.each(pointer))
    }

    fn each(&self, pointer: &str) -> Vec<f64> {
        let value = |result: &&'a Value| result.pointer(pointer).and_then(Value::as_f64);
        let values = self.results.iter().map(value);
        values.map(|value| value.unwrap_or(f64::NAN)).collect()
    }

    fn arrives(&self, race: &Race) -> bool {
        100.0 * self.mean("/test/error") <= race.limit
    }
}

impl Race {
    /// What the best call of a grid has at a pointer, for each seed: that with the least time of those
    /// that arrive. Infinite if none does; nothing if none has run.
    pub fn values(&self, figure: &Figure, reports: &[Value]) -> Vec<f64> {
        let attempts = reports[figure.calls.clone()].iter();
        let mut attempts = attempts
            .filter_map(|report| Attempt::of(report, figure))
            .peekable();
        if attempts.peek().is_none() && self.nearer.is_none() {
            return Vec::new();
        }
        let arrived = attempts.filter(|attempt| attempt.arrives(self));
        let best = arrived.min_by(|a, b| a.mean("/seconds").total_cmp(&b.mean("/seconds")));
        let Some(best) = best else {
            return vec![f64::INFINITY];
        };
        let pace = self.pace.filter(|_| figure.pointer == "/seconds");
        let Some(pace) = pace else {
            return best.each(figure.pointer);
        };
        match Attempt::of(&reports[pace], figure) {
            Some(pace) => {
                let pace = pace.mean("/steps_per_second");
                let steps = best.each("/steps").into_iter();
                steps.map(|steps| steps / pace).collect()
            }
            None => Vec::new(),
        }
    }

    /// Whether one of some calls arrives.
    fn is_won(&self, figure: &Figure, calls: Range<usize>, reports: &[Value]) -> bool {
        let mut reports = reports.get(calls).unwrap_or_default().iter();
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
            return !self.is_won(figure, figure.calls.clone(), reports);
        }
        let nearer = self.nearer.clone();
        if nearer.is_some_and(|nearer| !self.is_won(figure, nearer, reports)) {
            return true;
        }
        let steps = |call: &Call| match call.work {
            Work::Training { steps, .. } | Work::Peer { steps, .. } => steps,
            Work::Timing { .. } => 0,
        };
        let mut shorter = figure.calls.clone();
        shorter.end = call;
        let is_shorter = |other: &usize| steps(&calls[*other]) < steps(&calls[call]);
        let mut shorter = shorter.filter(is_shorter);
        shorter.any(|other| self.is_won(figure, other..other + 1, reports))
    }
}

impl Study {
    /// Whether there are races in it.
    pub fn is_race(&self) -> bool {
        let cells = self.rows.iter().flat_map(|row| &row.cells);
        let mut figures = cells.filter_map(|cell| cell.figure.as_ref());
        figures.any(|figure| figure.race.is_some())
    }

    /// Whether no figure depends on a call any more, by the reports of those before: in every race that
    /// it is a part of it would come too late.
    pub fn can_do_without(&self, call: usize, reports: &[Value]) -> bool {
        let cells = self.rows.iter().flat_map(|row| &row.cells);
        let figures = cells.filter_map(|cell| cell.figure.as_ref());
        let mut depend = figures.filter(|figure| {
            let pace = figure.race.as_ref().and_then(|race| race.pace);
            figure.calls.contains(&call) || pace == Some(call)
        });
        depend.all(|figure| {
            let race = figure.race.as_ref();
            race.is_some_and(|race| race.is_decided_without(figure, call, &self.calls, reports))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reproduce::study::{Cell, Column, Row, Spread};

    /// A grid of two rates and two lengths, and a call for the pace of others.
    fn study() -> Study {
        let call = |name: &str, steps| Call {
            name: name.to_string(),
            command: "images",
            flags: String::new(),
            work: Work::Training {
                methods: &["backprop"],
                steps,
                seeds: 2,
            },
        };
        let figure = |pointer, calls, pace, nearer| Cell {
            figure: Some(Figure {
                race: Some(Race {
                    limit: 2.5,
                    pace,
                    nearer,
                }),
                calls,
                pointer,
                ..Figure::of_method(0, "backprop", "")
            }),
            reference: "",
        };
        Study {
            calls: vec![
                call("a", 10),
                call("b", 10),
                call("c", 20),
                call("pace", 2),
                call("far", 10),
            ],
            corner: "method",
            columns: ["s", "steps", "far, by pace", "far"]
                .map(|name| Column::new(name, None))
                .to_vec(),
            rows: vec![Row {
                name: "backprop".to_string(),
                digits: 1,
                cells: vec![
                    figure("/seconds", 0..3, None, None),
                    figure("/steps", 0..3, None, None),
                    figure("/seconds", 0..3, Some(3), None),
                    figure("/seconds", 4..5, None, Some(0..3)),
                ],
            }],
            spread: Spread::Deviation,
            sample: "seed",
            claims: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Two seeds whose errors are so many percent on average.
    fn report(error: f64, seconds: f64, steps: usize) -> Value {
        let result = |more: f64| {
            json!({
                "method": "backprop",
                "seconds": seconds + more,
                "steps": steps,
                "steps_per_second": steps as f64 / seconds,
                "test": {"error": (error + more) / 100.0},
            })
        };
        json!({"results": [result(-0.1), result(0.1)]})
    }

    fn figures(reports: &[Value]) -> Vec<String> {
        let table = study().to_markdown(crate::reproduce::scope::Scope::Standard, reports);
        let table = table.expect("figures may be missing");
        let row = table.lines().nth(2).expect("there is a row");
        let cells = row.split('|').skip(2).map(|cell| cell.trim().to_string());
        cells.filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn the_best_is_the_first_to_arrive() {
        let reports = [
            report(2.6, 1.0, 10),
            report(2.4, 3.0, 10),
            Value::Null,
            report(50.0, 1.0, 2),
            report(2.5, 7.0, 10),
        ];
        assert_eq!(
            figures(&reports),
            ["3.0 ± 0.1", "10.0 ± 0.0", "5.0 ± 0.0", "7.0 ± 0.1"]
        );
    }

    #[test]
    fn who_does_not_arrive_says_so_and_who_has_not_run_says_nothing() {
        let late = report(9.0, 1.0, 10);
        let reports = [late.clone(), late.clone(), late, Value::Null, Value::Null];
        assert_eq!(figures(&reports), ["not reached"; 4]);
        let nobody = [const { Value::Null }; 5];
        assert_eq!(figures(&nobody)[..3], ["-", "-", "-"]);
    }

    #[test]
    fn longer_runs_and_those_far_apart_are_left_out_when_nothing_depends_on_them() {
        let study = study();
        let (late, early) = (report(9.0, 1.0, 10), report(2.0, 1.0, 10));
        let without = |call, reports: &[Value]| study.can_do_without(call, reports);
        assert!(!without(0, &[]));
        // As long as the first, with another rate.
        assert!(!without(1, std::slice::from_ref(&early)));
        assert!(without(2, &[early.clone(), late.clone()]));
        assert!(!without(2, &[late.clone(), late.clone()]));
        let lost = [late.clone(), late.clone(), late.clone()];
        assert!(without(3, &lost) && without(4, &lost));
        let won = [late.clone(), early, Value::Null];
        assert!(!without(3, &won) && !without(4, &won));
    }
}
