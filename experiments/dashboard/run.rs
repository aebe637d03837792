//! What a dashboard knows of one run.

use std::collections::{BTreeMap, VecDeque};

use dni::GradientState;
use dni::run::flat_settings;
use dni::train::Event;

use super::trail::Trail;

/// A run as far as it has told of itself.
#[derive(Debug, Clone)]
pub struct RunBoard {
    pub label: String,
    /// Names and values.
    pub settings: Vec<(String, String)>,
    pub step: usize,
    /// None if time alone ends the run.
    pub steps: Option<usize>,
    pub loss: Trail,
    /// The figures of evaluations, by name.
    pub figures: BTreeMap<String, Trail>,
    /// The cosines of interfaces, by name, from the bottom up.
    pub cosines: Vec<(String, Trail)>,
    /// Interfaces whose gradients could not be compared the last time.
    pub not_compared: BTreeMap<String, GradientState>,
    /// By what its learning rates are multiplied.
    rate_factor: f64,
    /// Whether its training is over.
    pub is_over: bool,
    /// Steps and seconds at the last records.
    recent: VecDeque<(usize, f64)>,
}

impl RunBoard {
    /// Records that the rate is taken over.
    const RECENT: usize = 20;

    /// A run with settings in TOML.
    pub fn new(label: &str, settings: &str) -> Self {
        let table: toml::Table = settings.parse().unwrap_or_default();
        let flat = flat_settings(&table).into_iter();
        let flat = flat.map(|(name, value)| match value {
            toml::Value::String(text) => (name, text.clone()),
            value => (name, value.to_string()),
        });
        Self {
            label: label.to_string(),
            settings: flat.collect(),
            step: 0,
            steps: None,
            loss: Trail::default(),
            figures: BTreeMap::new(),
            cosines: Vec::new(),
            not_compared: BTreeMap::new(),
            rate_factor: 1.0,
            is_over: false,
            recent: VecDeque::new(),
        }
    }

    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Started { step, steps } => (self.step, self.steps) = (*step, *steps),
            Event::Progress(scalars) => {
                (self.step, self.rate_factor) = (scalars.step, scalars.rate_factor);
                self.loss.add(scalars.step as f64, scalars.loss);
                self.recent.push_back((scalars.step, scalars.seconds));
                if self.recent.len() > Self::RECENT {
                    self.recent.pop_front();
                }
            }
            Event::Evaluated { step, metrics } => {
                for (name, value) in metrics {
                    let trail = self.figures.entry(name.clone()).or_default();
                    trail.add(*step as f64, *value);
                }
            }
            Event::Compared { step, interfaces } => {
                for quality in interfaces {
                    let trail = self.cosines_of(&quality.name);
                    match quality.cosine {
                        Some(cosine) => {
                            trail.add(*step as f64, cosine);
                            self.not_compared.remove(&quality.name);
                        }
                        None => {
                            let name = quality.name.clone();
                            self.not_compared.insert(name, quality.state);
                        }
                    }
                }
            }
            Event::Interrupted { .. } | Event::Finished { .. } => self.is_over = true,
            Event::Traced { .. } | Event::Saved { .. } => {}
        }
    }

    fn cosines_of(&mut self, name: &str) -> &mut Trail {
        let known = self.cosines.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or_else(|| {
            self.cosines.push((name.to_string(), Trail::default()));
            self.cosines.len() - 1
        });
        &mut self.cosines[at].1
    }

    /// What it is a run by: runs of a method have the same colour.
    pub fn method(&self) -> &str {
        self.label.split(',').next().unwrap_or_default()
    }

    /// The learning rate of its layers, if the settings say it.
    pub fn learning_rate(&self) -> Option<f64> {
        let is_rate = |name: &str| name.rsplit('.').next() == Some("lr");
        let (_, rate) = self.settings.iter().find(|(name, _)| is_rate(name))?;
        Some(rate.parse::<f64>().ok()? * self.rate_factor)
    }

    /// Steps per second of late; none before the second record.
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        let seconds = last.1 - first.1;
        (seconds > 0.0).then(|| (last.0 - first.0) as f64 / seconds)
    }

    /// Seconds until all steps are done, at that rate.
    pub fn seconds_left(&self) -> Option<f64> {
        let steps = self.steps?.saturating_sub(self.step);
        self.rate()
            .filter(|rate| *rate > 0.0)
            .map(|rate| steps as f64 / rate)
    }

    /// The share of the steps that is done, from 0 to 1.
    pub fn share_done(&self) -> Option<f64> {
        let steps = self.steps?.max(1);
        Some((self.step as f64 / steps as f64).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dni::train::Scalars;

    #[test]
    fn rate_and_time_left_are_those_of_late() {
        let mut board = RunBoard::new("dni, seed 1", "lr = 0.1\n[run]\nseed = 1\n");
        assert_eq!(board.settings[0], ("lr".to_string(), "0.1".to_string()));
        assert_eq!(board.settings[1], ("run.seed".to_string(), "1".to_string()));
        board.hear(&Event::Started {
            step: 0,
            steps: Some(1_000),
        });
        assert_eq!((board.rate(), board.seconds_left()), (None, None));
        // Slow at first, then ten steps in a second.
        for record in 1..=40 {
            let step = 10 * record;
            board.hear(&Event::Progress(Scalars {
                step,
                seconds: if record < 10 { 60.0 } else { 100.0 } + record as f64,
                loss: 1.0,
                synthesizer_losses: Vec::new(),
                input_losses: Vec::new(),
                auxiliary_losses: Vec::new(),
                rate_factor: 0.5,
            }));
        }
        assert_eq!(board.learning_rate(), Some(0.05));
        assert_eq!(board.method(), "dni");
        assert_eq!(board.rate(), Some(10.0));
        assert_eq!(board.seconds_left(), Some(60.0));
        assert_eq!(board.share_done(), Some(0.4));
    }
}
