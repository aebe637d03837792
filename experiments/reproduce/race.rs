//! Races: how long methods take to an error, each at its own best of a grid of settings, by two workers on
//! one machine and with a link between them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::call::{Call, Work};
use super::claim::Claim;
use super::data::{PerScope, Says, Scope};
use super::study::{Cell, Figure, Row, Study};
use crate::stats;

/// What lies between two workers: its name, its flags, and the column of times. The first is the
/// machine's memory.
const LINKS: [[&str; 3]; 3] = [
    ["near", "", "one machine, s"],
    ["20ms", "--link 20ms,1Gbit", "link 20 ms, s"],
    ["150ms", "--link 150ms,1Gbit", "link 150 ms, s"],
];

/// Steps that are enough to know a pace by, with each link: on one machine the first ones are slower, and
/// over a link all take as long.
const PACE_STEPS: [usize; 3] = [200, 20, 20];

const SECONDS: &str = "/seconds";
const ERROR: &str = "/test/error";

/// What all races have in common.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Races {
    racers: Vec<Racer>,
    claims: Vec<Says>,
}

/// How two workers, or two threads, share the work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Racer {
    key: String,
    name: String,
    method: String,
    #[serde(default)]
    flags: String,
    #[serde(default)]
    link: Changes,
    /// The method in whose steps it learns the same.
    steps_of: Option<String>,
}

/// What a link changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Changes {
    /// Nothing: there are no workers that it could lie between.
    #[default]
    None,
    /// The time of a step.
    Pace,
    /// What is learned, as gradients come late: there is a grid of its own.
    Grid,
}

/// A network and the grid of settings in which every method looks for its own best.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    title: String,
    folder: String,
    network: PerScope<String>,
    /// Where the only interface stands: the layers of each section.
    sections: PerScope<String>,
    /// The flags of synthesizers that see the label.
    #[serde(default)]
    synthesizer: String,
    /// The flags of those that do not.
    #[serde(default)]
    blind_synthesizer: String,
    /// The error that counts, in percent.
    limit: PerScope<f64>,
    rates: PerScope<Vec<String>>,
    steps: PerScope<Vec<usize>>,
    seeds: PerScope<usize>,
}

impl Track {
    pub fn study(&self, races: &Races, scope: Scope, note: &str) -> Study {
        let mut grids: Vec<(&str, Vec<usize>)> = Vec::new();
        let mut calls = Vec::new();
        let mut rows = Vec::with_capacity(races.racers.len());
        for racer in &races.racers {
            let of_other = |(key, _): &&(&str, _)| Some(*key) == racer.steps_of.as_deref();
            let near = match grids.iter().find(of_other) {
                Some((_, grid)) => grid.clone(),
                None => self.grid(racer, 0, scope, &mut calls),
            };
            grids.push((&racer.key, near.clone()));
            let times = (0..LINKS.len()).map(|link| {
                let changes = match link {
                    // Its steps are those of the other one.
                    0 if racer.steps_of.is_some() => Changes::Pace,
                    0 => Changes::None,
                    _ if racer.link == Changes::None => return None,
                    _ => racer.link,
                };
                let race = self.race(scope);
                Some(match changes {
                    Changes::None => (near.clone(), race),
                    Changes::Pace => {
                        let pace = Some(self.pace(racer, link, scope, &mut calls));
                        (near.clone(), Race { pace, ..race })
                    }
                    Changes::Grid => {
                        let nearer = Some(near.clone());
                        let far = self.grid(racer, link, scope, &mut calls);
                        (far, Race { nearer, ..race })
                    }
                })
            });
            let times: Vec<Cell> = times
                .map(|found| match found {
                    Some((calls, race)) => racer.cell(calls, race, SECONDS),
                    None => Cell::default(),
                })
                .collect();
            let of_grid = |pointer| racer.cell(near.clone(), self.race(scope), pointer);
            let learned = [of_grid("/steps"), of_grid(ERROR)];
            let (here, far) = times.split_at(1);
            rows.push(Row {
                key: racer.key.clone(),
                name: racer.name.clone(),
                digits: 2,
                cells: [here, &learned, far].concat(),
            });
        }
        let [near, links @ ..] = LINKS;
        let keys = [near[0], "steps", "error"].into_iter();
        let keys: Vec<&str> = keys.chain(links.map(|link| link[0])).collect();
        let names = [near[2], "steps", "error %"].into_iter();
        let names = names.chain(links.map(|link| link[2]));
        let claims = races.claims.iter();
        Study {
            claims: claims
                .map(|says| Claim::new(says, &self.title, &keys, &rows))
                .collect(),
            calls,
            corner: "method".to_string(),
            columns: names.map(str::to_string).collect(),
            published: None,
            rows,
            each_seed: false,
            sample: "seed".to_string(),
            note: note.to_string(),
        }
    }

    /// A race in which only the error counts.
    fn race(&self, scope: Scope) -> Race {
        Race {
            limit: *self.limit.of(scope),
            pace: None,
            nearer: None,
        }
    }

    /// The runs of a method over its grid, shorter ones first.
    fn grid(&self, racer: &Racer, link: usize, scope: Scope, calls: &mut Vec<Call>) -> Vec<usize> {
        let first = calls.len();
        for &steps in self.steps.of(scope) {
            for rate in self.rates.of(scope) {
                let run = format!("lr{rate}-steps{steps}");
                let work = (steps, *self.seeds.of(scope));
                calls.push(self.call(racer, link, scope, &run, rate, work));
            }
        }
        (first..calls.len()).collect()
    }

    /// A short run of a method, for its pace.
    fn pace(&self, racer: &Racer, link: usize, scope: Scope, calls: &mut Vec<Call>) -> usize {
        let rate = &self.rates.of(scope)[0];
        calls.push(self.call(racer, link, scope, "pace", rate, (PACE_STEPS[link], 1)));
        calls.len() - 1
    }

    fn call(
        &self,
        racer: &Racer,
        link: usize,
        scope: Scope,
        run: &str,
        rate: &str,
        (steps, seeds): (usize, usize),
    ) -> Call {
        let flags = racer.flags.replace("{sections}", self.sections.of(scope));
        let flags = flags.replace("{synthesizer}", &self.synthesizer);
        let flags = flags.replace("{blind_synthesizer}", &self.blind_synthesizer);
        let network = self.network.of(scope);
        let [place, link, _] = LINKS[link];
        let (line, work) = match racer.method.as_str() {
            "pytorch" => (
                format!("pytorch {network} --batch-size 256 --lr {rate} {flags}"),
                Work::Peer { steps, seeds },
            ),
            // Evaluated at its end only.
            method => (
                format!("images {network} {flags} --lr {rate} --eval-every {steps} {link}"),
                Work::Training {
                    methods: vec![method.to_string()],
                    steps,
                    seeds,
                },
            ),
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        Call {
            name: format!("{}-{}-{place}/{run}", self.folder, racer.key),
            line: words.join(" "),
            work,
        }
    }
}

impl Racer {
    fn cell(&self, calls: Vec<usize>, race: Race, pointer: &str) -> Cell {
        let of = match self.steps_of {
            // The steps are those of another method.
            Some(_) => Vec::new(),
            None => vec![["method".to_string(), self.method.clone()]],
        };
        Cell {
            figure: Some(Figure {
                calls,
                of,
                pointer: pointer.to_string(),
                times: if pointer == ERROR { 100.0 } else { 1.0 },
                race: Some(race),
            }),
            published: String::new(),
        }
    }
}

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

impl Study {
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

    /// A grid of two rates and two lengths, and a call for the pace of others.
    fn study() -> Study {
        let call = |name: &str, steps| Call {
            name: name.to_string(),
            line: "images".to_string(),
            work: Work::Training {
                methods: vec!["backprop".to_string()],
                steps,
                seeds: 2,
            },
        };
        let figure = |pointer: &str, calls: &[usize], pace, nearer| Cell {
            figure: Some(Figure {
                calls: calls.to_vec(),
                of: vec![["method", "backprop"].map(str::to_string)],
                pointer: pointer.to_string(),
                times: 1.0,
                race: Some(Race {
                    limit: 2.5,
                    pace,
                    nearer,
                }),
            }),
            published: String::new(),
        };
        let grid = [0, 1, 2];
        Study {
            calls: vec![
                call("a", 10),
                call("b", 10),
                call("c", 20),
                call("pace", 2),
                call("far", 10),
            ],
            corner: "method".to_string(),
            columns: ["s", "steps", "far, by pace", "far"]
                .map(str::to_string)
                .to_vec(),
            published: None,
            rows: vec![Row {
                key: "backprop".to_string(),
                name: "backprop".to_string(),
                digits: 1,
                cells: vec![
                    figure(SECONDS, &grid, None, None),
                    figure("/steps", &grid, None, None),
                    figure(SECONDS, &grid, Some(3), None),
                    figure(SECONDS, &[4], None, Some(grid.to_vec())),
                ],
            }],
            each_seed: false,
            sample: "seed".to_string(),
            claims: Vec::new(),
            note: String::new(),
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
        let table = study().to_markdown(Scope::Standard, reports);
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
