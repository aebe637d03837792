//! Episodes of Copy and Repeat Copy that get harder as a network learns them: the paper's curriculum.

use std::collections::{BTreeMap, VecDeque};

use burn::tensor::Device;
use dni::data::{CopyEpisodes, CopyLevel, Stream, generator};
use dni::train::{Notes, Task};
use dni::{Quality, Recurrent, Window};
use serde::Serialize;

use super::{Copy, Settings};
use crate::recurrent;

/// Episodes that get harder as soon as they are answered well enough.
pub struct Curriculum {
    seed: u64,
    batch: usize,
    unroll: usize,
    reach: usize,
    repeat: bool,
    device: Device,
    /// The level at hand.
    pub level: CopyLevel,
    /// The episodes at hand, drawn when they are needed.
    episodes: Option<CopyEpisodes>,
    /// Their number and level, and the step within them.
    episode: u64,
    episode_level: CopyLevel,
    at: usize,
    /// Windows whose loss has not been heard.
    asked: VecDeque<Asked>,
    /// The sum of the losses heard of these episodes, and the steps heard of in all.
    loss: f64,
    heard: usize,
    /// The error of the last episodes in bits.
    pub bits: Option<f64>,
    /// The step at which each level was solved.
    solved: Vec<usize>,
}

/// A window that was asked for.
struct Asked {
    steps: usize,
    level: CopyLevel,
    is_last: bool,
}

impl Curriculum {
    /// The error per bit of the answers, in bits, below which the next level comes: the paper's.
    const GOOD_ENOUGH: f64 = 0.15;
    /// Episodes that the synthetic future is looked at in.
    const LOOKED_AT: usize = 16;

    pub fn new(settings: &Settings<Copy>, seed: u64, device: &Device) -> Self {
        Self {
            seed,
            batch: settings.run.batch_size,
            unroll: settings.network.unroll,
            reach: settings.network.reach(),
            repeat: settings.task.repeat,
            device: device.clone(),
            level: CopyLevel::FIRST,
            episodes: None,
            episode: 0,
            episode_level: CopyLevel::FIRST,
            at: 0,
            asked: VecDeque::new(),
            loss: 0.0,
            heard: 0,
            bits: None,
            solved: Vec::new(),
        }
    }

    /// The levels solved, each with its step.
    pub fn solved(&self) -> Vec<Solved> {
        let levels = std::iter::successors(Some(CopyLevel::FIRST), |level| {
            Some(level.next(self.repeat))
        });
        let levels = levels.zip(&self.solved);
        levels
            .map(|(level, &step)| Solved {
                symbols: level.symbols,
                repeats: level.repeats,
                step,
            })
            .collect()
    }

    /// The hardest level solved.
    pub fn hardest_solved(&self) -> Option<CopyLevel> {
        let solved = self.solved();
        solved.last().map(|solved| CopyLevel {
            symbols: solved.symbols,
            repeats: solved.repeats,
        })
    }

    /// The measure of the paper's table for the hardest level solved: the symbols that were copied,
    /// or the steps of an episode of Repeat Copy.
    pub fn longest(&self) -> usize {
        self.hardest_solved().map_or(0, |level| {
            if self.repeat {
                level.steps()
            } else {
                level.symbols
            }
        })
    }

    /// Episodes that nobody learns from, always the same of a level.
    fn unseen(&self, level: CopyLevel, episodes: usize) -> CopyEpisodes {
        let rng = &mut generator(self.seed, Stream::Measured);
        CopyEpisodes::draw(level, episodes, rng)
    }

    /// The error per bit of the answers to episodes of a level that nobody has learned from, in
    /// bits.
    pub fn error(&self, network: &Recurrent, level: CopyLevel) -> f64 {
        const EPISODES: usize = 200;
        let episodes = self.unseen(level, EPISODES);
        let whole = episodes.window(0, level.steps(), &self.device);
        let (outputs, _) = network.predict(&whole.sequence, None);
        let nats = network.losses(outputs, &whole).sum();
        let answered = EPISODES * level.answers() * CopyEpisodes::OUTPUTS;
        f64::from(nats.into_scalar::<f32>()) / answered as f64 / std::f64::consts::LN_2
    }
}

impl Task<Recurrent> for Curriculum {
    fn batch(&mut self, _step: usize) -> Window {
        if self.at == 0 {
            self.episode_level = self.level;
        }
        let (seed, level, batch) = (self.seed, self.episode_level, self.batch);
        let stream = Stream::Episode(self.episode);
        let episodes = self
            .episodes
            .get_or_insert_with(|| CopyEpisodes::draw(level, batch, &mut generator(seed, stream)));
        let window = episodes.window(self.at, self.unroll, &self.device);
        let [steps, _] = window.sequence.dims();
        self.at += steps;
        let is_last = window.next.is_none();
        self.asked.push_back(Asked {
            steps,
            level,
            is_last,
        });
        if is_last {
            (self.episodes, self.at) = (None, 0);
            self.episode += 1;
        }
        window
    }

    fn hear(&mut self, loss: f64) {
        let asked = self.asked.pop_front();
        let asked = asked.expect("there is a loss for every window, and no other");
        self.heard += 1;
        self.loss += loss * asked.steps as f64;
        if !asked.is_last {
            return;
        }
        let answered = asked.level.answers() * CopyEpisodes::OUTPUTS;
        let bits = self.loss / answered as f64 / std::f64::consts::LN_2;
        self.loss = 0.0;
        self.bits = Some(bits);
        if bits < Self::GOOD_ENOUGH && asked.level == self.level {
            self.solved.push(self.heard);
            self.level = self.level.next(self.repeat);
        }
    }

    fn evaluate(&mut self, _network: &Recurrent) -> dni::Result<BTreeMap<String, f64>> {
        let mut figures = BTreeMap::from([("longest".to_string(), self.longest() as f64)]);
        figures.extend(self.bits.map(|bits| ("bits".to_string(), bits)));
        Ok(figures)
    }

    /// On the level at hand, where the last window before the answers ends and the future stands for all
    /// of these; of nothing if an episode is a single window.
    fn compare(&mut self, network: &Recurrent) -> Vec<Quality> {
        let read = self.level.symbols + 2;
        let before = (read / self.unroll).max(1);
        let episodes = self.unseen(self.level, Self::LOOKED_AT);
        let windows = episodes.windows(self.unroll, &self.device);
        recurrent::quality(network, &windows, before, self.reach)
    }

    fn notes(&self) -> Notes {
        let mut notes = Notes::new();
        let mut note = |name: &str, value: f64| notes.insert(name.to_string(), value);
        for (name, level) in [("level", self.level), ("episode", self.episode_level)] {
            note(&format!("{name}.symbols"), level.symbols as f64);
            note(&format!("{name}.repeats"), level.repeats as f64);
        }
        note("episode", self.episode as f64);
        note("at", self.at as f64);
        note("loss", self.loss);
        note("heard", self.heard as f64);
        if let Some(bits) = self.bits {
            note("bits", bits);
        }
        for (i, &step) in self.solved.iter().enumerate() {
            note(&format!("solved.{i}"), step as f64);
        }
        notes
    }

    fn recall(&mut self, notes: &Notes) {
        let note = |name: &str| notes.get(name).copied();
        let count = |name: &str| note(name).unwrap_or_default() as usize;
        let level = |name: &str| CopyLevel {
            symbols: count(&format!("{name}.symbols")),
            repeats: count(&format!("{name}.repeats")),
        };
        (self.level, self.episode_level) = (level("level"), level("episode"));
        self.episode = count("episode") as u64;
        self.at = count("at");
        self.loss = note("loss").unwrap_or_default();
        self.heard = count("heard");
        self.bits = note("bits");
        let solved = (0..).map_while(|i| note(&format!("solved.{i}")));
        self.solved = solved.map(|step| step as usize).collect();
    }
}

/// A level that was solved.
#[derive(Debug, Serialize)]
pub struct Solved {
    symbols: usize,
    repeats: usize,
    /// The training step after which it was.
    step: usize,
}
