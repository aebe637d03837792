//! What a run has recorded in its folder, read back.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::quantity::Presentation;
use super::{Curve, Measured};
use crate::error::{Error, Result};
use crate::learner::Activity;
use crate::quality::{GradientState, WeightedCosine};
use crate::run::{Origin, RunFolder};

/// A figure that runs record, distinguished from others by name and part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Quantity {
    /// Its name, as in `loss`, `cosine` or `test_error`.
    pub name: String,
    /// The interface or worker that it belongs to, if any.
    pub interface: Option<String>,
}

/// The run in a folder, with curves of what it recorded.
#[derive(Debug, Clone)]
pub struct Record {
    /// The folder.
    pub path: PathBuf,
    /// The run's settings; if they are not TOML, a single setting with all of the text.
    pub settings: toml::Table,
    /// Where and how it was made, if that is known.
    pub origin: Option<Origin>,
    /// Steps done.
    pub steps: usize,
    /// Seconds spent in training.
    pub seconds: f64,
    /// Whether it has come to its end.
    pub is_finished: bool,
    /// Its curves, in the order in which they were first recorded.
    pub curves: Vec<(Quantity, Curve)>,
    /// What the synthetic gradients were worth at each interface, from the bottom up.
    pub worth: Vec<(String, WeightedCosine)>,
    /// The interfaces whose synthetic gradients could not be compared with the true ones.
    pub not_compared: Vec<NotCompared>,
    /// What its workers did in a few of the last steps; none without workers.
    pub timeline: Option<Timeline>,
    /// What was measured of it at its end, if its folder has it.
    pub measured: Option<Measured>,
}

/// An interface whose gradients were [dead or broken](GradientState).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// Its name.
    pub interface: String,
    /// Which of these they were.
    pub state: GradientState,
    /// The number of comparisons in which they were.
    pub times: usize,
    /// Whether they were so in the last comparison.
    pub at_end: bool,
}

/// What workers did in a few steps.
#[derive(Debug, Clone, Serialize)]
pub struct Timeline {
    /// The steps done by then.
    pub step: usize,
    /// What each of them did, and when.
    pub activities: Vec<Activity>,
}

/// What a report wants of an event. Numbers that are not finite stand in the file as null.
#[derive(Deserialize)]
struct Line {
    event: String,
    #[serde(default)]
    step: usize,
    #[serde(default)]
    figures: BTreeMap<String, Option<f64>>,
    #[serde(default)]
    interfaces: Vec<Compared>,
    #[serde(default)]
    activities: Vec<Activity>,
}

/// A synthetic gradient compared with the true one.
#[derive(Deserialize)]
struct Compared {
    name: String,
    /// None in runs of before there was one.
    #[serde(default)]
    state: Option<GradientState>,
    cosine: Option<f64>,
    relative_error: Option<f64>,
    norm: Option<f64>,
}

impl Quantity {
    /// A figure by the name that it has in the files, as in `synthesizer_loss_hidden1`.
    fn named(name: &str) -> Self {
        // Those of comparisons, which come first, are told with their interface.
        let [_, _, _, names @ ..] = Presentation::OF_PARTS;
        let of_interface = names.iter().find_map(|prefix| {
            let interface = name.strip_prefix(prefix)?.strip_prefix('_')?;
            Some(Self::of(prefix, interface))
        });
        of_interface.unwrap_or_else(|| Self {
            name: name.to_string(),
            interface: None,
        })
    }

    /// Whether it is a loss that something learns by.
    fn is_of_training(&self) -> bool {
        match &self.interface {
            None => self.name == "loss",
            Some(_) => self.name.ends_with("_loss"),
        }
    }

    fn of(name: &str, interface: &str) -> Self {
        Self {
            name: name.to_string(),
            interface: Some(interface.to_string()),
        }
    }
}

impl Record {
    /// Reads the folder of a run, finished or not, with up to `limit` points for each curve.
    ///
    /// # Errors
    ///
    /// If a file is missing or cannot be understood.
    pub fn read(path: &Path, limit: usize) -> Result<Self> {
        let settings = path.join(RunFolder::SETTINGS);
        let text = fs::read_to_string(&settings).map_err(Error::io("read", &settings))?;
        // A run of another program than ours may have written them in its own way.
        let unknown = |_| toml::Table::from_iter([("settings".to_string(), text.clone().into())]);
        let settings = text.parse().unwrap_or_else(unknown);
        let mut record = Self {
            path: path.to_path_buf(),
            settings,
            origin: Origin::find(path)?,
            steps: 0,
            seconds: 0.0,
            is_finished: false,
            curves: Vec::new(),
            worth: Vec::new(),
            not_compared: Vec::new(),
            timeline: None,
            measured: Measured::find(path)?,
        };
        let times = record.read_scalars(&path.join(RunFolder::SCALARS), limit)?;
        record.read_events(&path.join(RunFolder::EVENTS), &times, limit)?;
        record.curves.retain(|(_, curve)| !curve.is_empty());
        Ok(record)
    }

    /// Reads the losses that it learned by; the steps at which they were recorded, with the seconds spent
    /// by then.
    fn read_scalars(&mut self, path: &Path, limit: usize) -> Result<Vec<(usize, f64)>> {
        let bytes = whole_lines(path)?;
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let not_ours = |what: &str| unreadable(path, what);
        let header = reader.headers().map_err(|_| not_ours("it is not CSV"))?;
        if header.iter().take(2).ne(["step", "seconds"]) {
            return Err(not_ours("its first columns are not step and seconds"));
        }
        // What else stands there, this reads from the events.
        let losses = header.iter().skip(2).map(Quantity::named);
        let losses = losses.take_while(Quantity::is_of_training);
        self.curves = losses.map(|loss| (loss, Curve::new(limit))).collect();
        let mut times = Vec::new();
        let mut row = csv::StringRecord::new();
        while reader
            .read_record(&mut row)
            .map_err(|_| not_ours("it is not CSV"))?
        {
            let mut cells = row.iter();
            let step = cells.next().and_then(|cell| cell.parse::<usize>().ok());
            let seconds = cells.next().and_then(|cell| cell.parse::<f64>().ok());
            let (Some(step), Some(seconds)) = (step, seconds) else {
                return Err(not_ours("a row has no step or time"));
            };
            for (cell, (_, curve)) in cells.zip(&mut self.curves) {
                if let Ok(value) = cell.parse() {
                    curve.add(step, seconds, value);
                }
            }
            times.push((step, seconds));
        }
        (self.steps, self.seconds) = times.last().copied().unwrap_or_default();
        Ok(times)
    }

    /// Reads what stands in the events only: evaluations, comparisons, and whether it is over.
    fn read_events(&mut self, path: &Path, times: &[(usize, f64)], limit: usize) -> Result<()> {
        // These are most of the file and stand in the other one.
        const PROGRESS: &[u8] = br#"{"event":"progress""#;
        let bytes = whole_lines(path)?;
        let lines = bytes.split(|&byte| byte == b'\n');
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with(PROGRESS)) {
            let line: Line = serde_json::from_slice(line)
                .map_err(|_| unreadable(path, "a line is not an event"))?;
            self.is_finished = line.event == "finished";
            let before = times.partition_point(|(step, _)| *step <= line.step);
            let seconds = before.checked_sub(1).map_or(0.0, |i| times[i].1);
            if !line.activities.is_empty() {
                self.timeline = Some(Timeline {
                    step: line.step,
                    activities: line.activities,
                });
            }
            for compared in &line.interfaces {
                self.note(&compared.name, compared.state);
                self.weigh(compared);
            }
            let mut add = |quantity, value: Option<f64>| {
                if let Some(value) = value {
                    self.curve(quantity, limit).add(line.step, seconds, value);
                }
            };
            for (name, value) in line.figures {
                add(Quantity::named(&name), value);
            }
            for compared in line.interfaces {
                let of = |name| Quantity::of(name, &compared.name);
                add(of("cosine"), compared.cosine);
                add(of("relative_error"), compared.relative_error);
                add(of("norm"), compared.norm);
            }
        }
        Ok(())
    }

    /// Notes what a comparison found at an interface.
    fn note(&mut self, interface: &str, found: Option<GradientState>) {
        let known = self.not_compared.iter_mut();
        for known in known.filter(|known| known.interface == interface) {
            known.at_end = false;
        }
        let Some(state) = found.filter(|state| *state != GradientState::Alive) else {
            return;
        };
        let mut known = self.not_compared.iter_mut();
        if let Some(known) = known.find(|k| k.interface == interface && k.state == state) {
            (known.times, known.at_end) = (known.times + 1, true);
        } else {
            self.not_compared.push(NotCompared {
                interface: interface.to_string(),
                state,
                times: 1,
                at_end: true,
            });
        }
    }

    /// Adds a comparison to what the interface was worth.
    fn weigh(&mut self, compared: &Compared) {
        let known = self
            .worth
            .iter()
            .position(|(name, _)| *name == compared.name);
        let at = known.unwrap_or_else(|| {
            let new = (compared.name.clone(), WeightedCosine::default());
            self.worth.push(new);
            self.worth.len() - 1
        });
        self.worth[at].1.add(compared.cosine, compared.norm);
    }

    fn curve(&mut self, quantity: Quantity, limit: usize) -> &mut Curve {
        let known = self.curves.iter().position(|(known, _)| *known == quantity);
        let at = known.unwrap_or_else(|| {
            self.curves.push((quantity, Curve::new(limit)));
            self.curves.len() - 1
        });
        &mut self.curves[at].1
    }
}

/// The bytes of a log up to its last line break: a run that is at work, or was killed, may have
/// written half a line.
fn whole_lines(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read.map_err(Error::io("read", path))?,
    };
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    bytes.truncate(end.map_or(0, |end| end + 1));
    Ok(bytes)
}

fn unreadable(path: &Path, reason: &str) -> Error {
    Error::Log {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_figure_belongs_to() {
        for (name, figure, interface) in [
            ("loss", "loss", None),
            ("test_loss", "test_loss", None),
            ("input_loss_b_1", "input_loss", Some("b_1")),
            ("staleness_hidden1", "staleness", Some("hidden1")),
            ("lateness_hidden1", "lateness", Some("hidden1")),
            ("busy_worker2", "busy", Some("worker2")),
        ] {
            let quantity = Quantity::named(name);
            assert_eq!(quantity.name, figure);
            assert_eq!(quantity.interface.as_deref(), interface);
        }
    }
}
