//! The runs of a race: of every method a grid of settings, by two workers on one machine and with links
//! between them.

use std::collections::BTreeMap;
use std::mem;

use serde::Deserialize;

use super::call::Call;
use super::data::Line;
use super::race::{ERROR, Race, SECONDS};
use super::study::Figure;

/// What all races have in common.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Races {
    pub columns: Vec<Line>,
    pub claims: Vec<Vec<String>>,
    /// The command line of a run of ours.
    line: String,
    /// The first is the machine's memory.
    links: Vec<Link>,
    racers: Vec<Racer>,
}

/// What lies between two workers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    key: String,
    flags: String,
    /// Steps that are enough to know a pace by.
    pace_steps: usize,
}

/// How two workers, or two threads, share the work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Racer {
    key: String,
    name: String,
    /// None for another program, which has a line of its own.
    method: Option<String>,
    line: Option<String>,
    #[serde(default)]
    flags: String,
    #[serde(default)]
    link: Changes,
    /// The method in whose steps it learns the same.
    steps_of: Option<String>,
}

/// What a link changes.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
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
    /// What stands for {names} in command lines.
    words: BTreeMap<String, String>,
    /// The error that counts, in percent.
    limit: f64,
    rates: Vec<String>,
    steps: Vec<usize>,
}

/// The runs of a race so far.
struct Started<'a> {
    races: &'a Races,
    track: &'a Track,
    calls: Vec<Call>,
}

impl Track {
    /// A row for every method, all runs, and the figures of every row and column.
    pub fn runs(
        &self,
        races: &Races,
        seeds: usize,
    ) -> (Vec<Line>, Vec<Call>, Vec<Vec<Option<Figure>>>) {
        let mut started = Started {
            races,
            track: self,
            calls: Vec::new(),
        };
        let (mut rows, mut figures) = (Vec::new(), Vec::new());
        let mut nearby: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for racer in &races.racers {
            let near = match &racer.steps_of {
                Some(other) => nearby[other.as_str()].clone(),
                None => started.grid(racer, 0, seeds),
            };
            let columns = races.columns.iter();
            figures.push(
                columns
                    .map(|at| started.figure(racer, at, &near, seeds))
                    .collect(),
            );
            rows.push(Line::new(&racer.key, &racer.name));
            nearby.insert(&racer.key, near);
        }
        (rows, started.calls, figures)
    }
}

impl Started<'_> {
    /// What a column, by a figure or by a link, has of a method that is at work `near` each other.
    fn figure(&mut self, racer: &Racer, at: &Line, near: &[usize], seeds: usize) -> Option<Figure> {
        let mut links = self.races.links.iter();
        let link = links.position(|link| link.key == at.key()).unwrap_or(0);
        let (mut calls, mut pace, mut nearer) = (near.to_vec(), None, None);
        match (link, racer.link) {
            (0, _) if racer.steps_of.is_none() || at.figure.is_some() => {}
            (0, _) | (_, Changes::Pace) => pace = Some(self.pace(racer, link)),
            (_, Changes::Grid) => {
                nearer = Some(mem::replace(&mut calls, self.grid(racer, link, seeds)))
            }
            (_, Changes::None) => return None,
        }
        // The steps may be those of another method.
        let method = racer.method.iter().filter(|_| racer.steps_of.is_none());
        let pointer = at.figure.as_deref().unwrap_or(SECONDS);
        Some(Figure {
            calls,
            of: method.map(|m| ["method".to_string(), m.clone()]).collect(),
            pointer: pointer.to_string(),
            times: if pointer == ERROR { 100.0 } else { 1.0 },
            race: Some(Race {
                limit: self.track.limit,
                pace,
                nearer,
            }),
        })
    }

    /// Starts a method over its grid, shorter runs first.
    fn grid(&mut self, racer: &Racer, link: usize, seeds: usize) -> Vec<usize> {
        let track = self.track;
        let rates = |&steps: &usize| track.rates.iter().map(move |rate| (steps, rate));
        let grid = track.steps.iter().flat_map(rates);
        grid.map(|(steps, rate)| {
            let run = format!("lr{rate}-steps{steps}");
            self.run(racer, link, &run, rate, (steps, seeds))
        })
        .collect()
    }

    /// Starts a short run of a method, for its pace.
    fn pace(&mut self, racer: &Racer, link: usize) -> usize {
        let steps = self.races.links[link].pace_steps;
        self.run(racer, link, "pace", &self.track.rates[0], (steps, 1))
    }

    fn run(
        &mut self,
        racer: &Racer,
        link: usize,
        run: &str,
        rate: &str,
        (steps, seeds): (usize, usize),
    ) -> usize {
        let (track, link, length) = (self.track, &self.races.links[link], steps.to_string());
        let line = racer.line.as_ref().unwrap_or(&self.races.line);
        let words = track.words.iter().map(|(name, word)| (&**name, &**word));
        let words = [("flags", &*racer.flags)].into_iter().chain(words);
        let own = [("rate", rate), ("steps", &length), ("link", &link.flags)];
        let line = words.chain(own).fold(line.clone(), |line, (name, word)| {
            line.replace(&format!("{{{name}}}"), word)
        });
        self.calls.push(Call {
            name: format!("{}-{}-{}/{run}", track.folder, racer.key, link.key),
            line: line.split_whitespace().collect::<Vec<_>>().join(" "),
            methods: racer.method.iter().cloned().collect(),
            steps,
            seeds,
            seconds: None,
        });
        self.calls.len() - 1
    }
}
