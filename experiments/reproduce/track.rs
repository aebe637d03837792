//! The runs of a race: of every method a grid of settings, by two workers on one machine and with links
//! between them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::call::{Call, Work};
use super::data::Line;
use super::race::{ERROR, Race, SECONDS};
use super::scope::{PerScope, Scope};
use super::study::{Cell, Figure, Row};

/// What lies between two workers: its name and its flags. The first is the machine's memory.
const LINKS: [[&str; 2]; 3] = [
    ["near", ""],
    ["20ms", "--link 20ms,1Gbit"],
    ["150ms", "--link 150ms,1Gbit"],
];

/// Steps that are enough to know a pace by, with each link: on one machine the first ones are slower, and
/// over a link all take as long.
const PACE_STEPS: [usize; 3] = [200, 20, 20];

/// What all races have in common.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Races {
    pub columns: Vec<Line>,
    pub racers: Vec<Racer>,
    pub claims: Vec<Vec<String>>,
}

/// How two workers, or two threads, share the work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Racer {
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
    pub title: String,
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
    /// All runs, and a row for every method.
    pub fn runs(&self, racers: &[Racer], digits: usize, scope: Scope) -> (Vec<Call>, Vec<Row>) {
        let mut grids = Grids {
            track: self,
            scope,
            calls: Vec::new(),
            near: BTreeMap::new(),
        };
        let rows = racers.iter().map(|racer| Row {
            key: racer.key.clone(),
            name: racer.name.clone(),
            digits,
            cells: grids.cells(racer),
        });
        let rows = rows.collect();
        (grids.calls, rows)
    }
}

/// The runs of a race, as they are added row by row.
struct Grids<'a> {
    track: &'a Track,
    scope: Scope,
    calls: Vec<Call>,
    /// The runs of every method so far on one machine.
    near: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Grids<'a> {
    /// The figures of a method, in the order of the columns.
    fn cells(&mut self, racer: &'a Racer) -> Vec<Cell> {
        let near = match &racer.steps_of {
            Some(other) => self.near[other.as_str()].clone(),
            None => self.grid(racer, 0),
        };
        self.near.insert(&racer.key, near.clone());
        let limit = *self.track.limit.of(self.scope);
        let race = |pace, nearer| Race {
            limit,
            pace,
            nearer,
        };
        let mut cells = Vec::with_capacity(LINKS.len() + 2);
        for link in 0..LINKS.len() {
            let changes = match link {
                // Its steps are those of the other one.
                0 if racer.steps_of.is_some() => Changes::Pace,
                0 => Changes::None,
                _ => racer.link,
            };
            cells.push(match changes {
                Changes::None if link > 0 => Cell::default(),
                Changes::None => racer.cell(near.clone(), race(None, None), SECONDS),
                Changes::Pace => {
                    let pace = Some(self.pace(racer, link));
                    racer.cell(near.clone(), race(pace, None), SECONDS)
                }
                Changes::Grid => {
                    let far = self.grid(racer, link);
                    racer.cell(far, race(None, Some(near.clone())), SECONDS)
                }
            });
        }
        let learned = ["/steps", ERROR];
        let learned = learned.map(|at| racer.cell(near.clone(), race(None, None), at));
        cells.splice(1..1, learned);
        cells
    }

    /// The runs of a method over its grid, shorter ones first.
    fn grid(&mut self, racer: &Racer, link: usize) -> Vec<usize> {
        let (track, first) = (self.track, self.calls.len());
        for &steps in track.steps.of(self.scope) {
            for rate in track.rates.of(self.scope) {
                let run = format!("lr{rate}-steps{steps}");
                let call = self.call(
                    racer,
                    link,
                    &run,
                    rate,
                    (steps, *track.seeds.of(self.scope)),
                );
                self.calls.push(call);
            }
        }
        (first..self.calls.len()).collect()
    }

    /// A short run of a method, for its pace.
    fn pace(&mut self, racer: &Racer, link: usize) -> usize {
        let rate = &self.track.rates.of(self.scope)[0];
        let call = self.call(racer, link, "pace", rate, (PACE_STEPS[link], 1));
        self.calls.push(call);
        self.calls.len() - 1
    }

    fn call(
        &self,
        racer: &Racer,
        link: usize,
        run: &str,
        rate: &str,
        (steps, seeds): (usize, usize),
    ) -> Call {
        let track = self.track;
        let network = track.network.of(self.scope);
        let flags = racer
            .flags
            .replace("{sections}", track.sections.of(self.scope));
        let flags = flags.replace("{synthesizer}", &track.synthesizer);
        let flags = flags.replace("{blind_synthesizer}", &track.blind_synthesizer);
        let [place, link] = LINKS[link];
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
            name: format!("{}-{}-{place}/{run}", track.folder, racer.key),
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
