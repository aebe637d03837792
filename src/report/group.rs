//! Runs that differ in their seed alone, as one group.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::{Curve, Measured, NotCompared, Quantity, Record, Timeline, label, palette};
use crate::quality::WeightedCosine;
use crate::run::{Origin, flat_settings};

/// Runs with the same settings but for their seed.
#[derive(Debug, Clone)]
pub struct Group {
    /// What distinguishes it from the other groups.
    pub label: String,
    /// The task of its networks: figures of different tasks cannot be compared.
    pub task: String,
    /// The [number](super::colour) of its colour, unique among the groups of its task.
    pub colour: usize,
    /// The settings by dotted name, without the seed.
    pub settings: BTreeMap<String, String>,
    /// Its runs.
    pub runs: Vec<Run>,
    /// The curves of all its runs together: means and extremes over the seeds.
    pub curves: Vec<(Quantity, Curve)>,
    /// What the synthetic gradients of all its runs were worth at each interface, from the bottom
    /// up.
    pub worth: Vec<(String, WeightedCosine)>,
    /// What workers did in a few steps, of the first run that recorded it.
    pub timeline: Option<Timeline>,
    /// What was measured of its finished runs, if their folders have it.
    pub measured: Vec<Measured>,
    /// Where and how its runs were made, without repetition.
    pub origins: Vec<Origin>,
}

/// A run of a group.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its folder. Its name need not be UTF-8, which JSON wants.
    #[serde(serialize_with = "readable")]
    pub path: PathBuf,
    /// Steps done.
    pub steps: usize,
    /// Seconds spent in training.
    pub seconds: f64,
    /// Whether it has come to its end.
    pub finished: bool,
    /// The interfaces whose synthetic gradients could not be compared with the true ones.
    pub not_compared: Vec<NotCompared>,
}

fn readable<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Group {
    /// The name of the setting that holds its method.
    pub(super) const METHOD: &str = "run.methods";
    /// That of its experiment.
    pub(super) const EXPERIMENT: &str = "run.experiment";

    /// Puts runs into groups, in the order of each group's first.
    pub fn of(records: impl IntoIterator<Item = Record>) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for record in records {
            let settings = flat(&record.settings);
            let at = groups.iter().position(|group| group.settings == settings);
            let at = at.unwrap_or_else(|| {
                groups.push(Self::new(settings));
                groups.len() - 1
            });
            groups[at].take(record);
        }
        let tasks = label::tasks(&groups);
        let labels = label::labels(&groups, &tasks);
        let colours = palette::colours(groups.iter().map(Self::method).zip(&tasks));
        for (i, (group, task)) in groups.iter_mut().zip(tasks).enumerate() {
            (group.label, group.task, group.colour) = (labels[i].clone(), task, colours[i]);
        }
        groups
    }

    /// The method that trained it; empty if its settings do not say.
    pub fn method(&self) -> &str {
        self.settings.get(Self::METHOD).map_or("", String::as_str)
    }

    /// The names of the settings that are not the same in all groups.
    pub fn differences(groups: &[Self]) -> Vec<&str> {
        label::differences(&groups.iter().collect::<Vec<_>>())
    }

    /// The value of a setting, `default` if it was left to the program.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("default", String::as_str)
    }

    /// The curve of a quantity, if there is one.
    pub fn curve(&self, quantity: &Quantity) -> Option<&Curve> {
        let found = self.curves.iter().find(|(known, _)| known == quantity);
        found.map(|(_, curve)| curve)
    }

    pub(super) fn new(settings: BTreeMap<String, String>) -> Self {
        Self {
            label: String::new(),
            task: String::new(),
            colour: 0,
            settings,
            runs: Vec::new(),
            curves: Vec::new(),
            worth: Vec::new(),
            timeline: None,
            measured: Vec::new(),
            origins: Vec::new(),
        }
    }

    fn take(&mut self, record: Record) {
        self.runs.push(Run {
            path: record.path,
            steps: record.steps,
            seconds: record.seconds,
            finished: record.is_finished,
            not_compared: record.not_compared,
        });
        self.timeline = self.timeline.take().or(record.timeline);
        self.measured.extend(record.measured);
        for (quantity, curve) in record.curves {
            match self.curves.iter_mut().find(|(known, _)| *known == quantity) {
                Some((_, known)) => known.merge(curve),
                None => self.curves.push((quantity, curve)),
            }
        }
        for (interface, worth) in record.worth {
            match self.worth.iter_mut().find(|(known, _)| *known == interface) {
                Some((_, known)) => known.merge(worth),
                None => self.worth.push((interface, worth)),
            }
        }
        if let Some(origin) = record.origin
            && !self.origins.contains(&origin)
        {
            self.origins.push(origin);
        }
    }
}

/// Settings by dotted name; the seed is left out.
fn flat(settings: &toml::Table) -> BTreeMap<String, String> {
    let is_seed = |name: &str| matches!(name.rsplit('.').next(), Some("seed" | "seeds"));
    let all = flat_settings(settings).into_iter();
    let all = all.filter(|(name, _)| !is_seed(name));
    all.map(|(name, value)| (name, shown(value))).collect()
}

/// A value without the marks that TOML needs.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            values.join(",")
        }
        other => other.to_string(),
    }
}
