//! Runs that differ in their seed alone are one thing, seen several times.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::{Curve, Measured, NotCompared, Quantity, Record, Timeline, palette};
use crate::quality::WeightedCosine;
use crate::run::Origin;

/// Runs with the same settings but for their seed.
#[derive(Debug, Clone)]
pub struct Group {
    /// What tells it from the other groups.
    pub label: String,
    /// What its networks learn: figures of different tasks say nothing about each other.
    pub task: String,
    /// The [number](super::colour) of its colour, the only one among those of its task.
    pub colour: usize,
    /// The settings by dotted name, without the seed.
    pub settings: BTreeMap<String, String>,
    /// Its runs.
    pub runs: Vec<Run>,
    /// The curves of all of them together: means and extremes over the seeds.
    pub curves: Vec<(Quantity, Curve)>,
    /// What the synthetic gradients of all of them were worth at each interface, from the bottom up.
    pub worth: Vec<(String, WeightedCosine)>,
    /// What the workers of the first of its runs that has some did in a few steps.
    pub timeline: Option<Timeline>,
    /// What was measured of those of its runs that are over, as far as their folders say it.
    pub measured: Vec<Measured>,
    /// Where and how they were made, without repetition.
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
    /// Where its synthetic gradients could not be compared with the true ones.
    pub not_compared: Vec<NotCompared>,
}

fn readable<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl Group {
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
        let tasks = tasks(&groups);
        let labels = labels(&groups, &tasks);
        let colours = palette::colours(groups.iter().map(Self::method).zip(&tasks));
        for (i, (group, task)) in groups.iter_mut().zip(tasks).enumerate() {
            (group.label, group.task, group.colour) = (labels[i].clone(), task, colours[i]);
        }
        groups
    }

    /// The way in which it was trained; empty if its settings do not say.
    pub fn method(&self) -> &str {
        self.settings.get(Self::METHOD).map_or("", String::as_str)
    }

    /// The names of the settings that are not the same in all groups.
    pub fn differences(groups: &[Self]) -> Vec<&str> {
        differences(&groups.iter().collect::<Vec<_>>())
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

    fn new(settings: BTreeMap<String, String>) -> Self {
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
    let mut flat = BTreeMap::new();
    flatten("", settings, &mut flat);
    flat
}

fn flatten(prefix: &str, table: &toml::Table, flat: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        match value {
            toml::Value::Table(table) => flatten(&format!("{name}."), table, flat),
            _ if key == "seed" || key == "seeds" => {}
            value => {
                flat.insert(name, shown(value));
            }
        }
    }
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

/// What each group learns: its experiment, and the data, if the same experiment has several.
fn tasks(groups: &[Group]) -> Vec<String> {
    /// Settings that say on what an experiment's networks learn.
    const DATA: [&str; 3] = ["data", "source", "corpus"];
    let experiment = |group: &Group| group.settings.get(Group::EXPERIMENT).cloned();
    let task = |group: &Group| {
        let own = experiment(group);
        let same: Vec<&Group> = groups.iter().filter(|g| experiment(g) == own).collect();
        let differs = |name: &&&str| same.iter().any(|g| g.setting(name) != group.setting(name));
        let data = DATA.iter().filter(differs);
        let data = data.map(|name| group.settings.get(*name).cloned());
        let words: Vec<String> = [own].into_iter().chain(data).flatten().collect();
        words.join(" ")
    };
    groups.iter().map(task).collect()
}

/// A short name for every group: its task, if there are several, its method, and what else differs
/// among the groups of its task.
fn labels(groups: &[Group], tasks: &[String]) -> Vec<String> {
    let has_several = tasks.iter().any(|task| *task != tasks[0]);
    let mut labels = vec![String::new(); groups.len()];
    for task in tasks.iter().collect::<BTreeSet<_>>() {
        let of_task = (0..groups.len()).filter(|i| tasks[*i] == *task);
        let of_task: Vec<usize> = of_task.collect();
        let own: Vec<&Group> = of_task.iter().map(|i| &groups[*i]).collect();
        for (i, label) in of_task.iter().zip(labels_of_task(&own)) {
            labels[*i] = match has_several {
                true => format!("{task} {label}").trim_start().to_string(),
                false => label,
            };
        }
    }
    labels
}

/// Names of the groups of a task: the method of each and the other settings that differ, or if these
/// are too many, a number beside the method.
fn labels_of_task(groups: &[&Group]) -> Vec<String> {
    const LONGEST: usize = 48;
    let differences = differences(groups);
    let fits = |labels: &[String]| labels.iter().all(|label| label.chars().count() <= LONGEST);
    let telling: Vec<&str> = differences
        .into_iter()
        .filter(|name| !follows_from_method(groups, name))
        .collect();
    let long: Vec<String> = groups.iter().map(|g| g.in_detail(&telling)).collect();
    if fits(&long) {
        return long;
    }
    let brief: Vec<String> = groups.iter().map(|g| g.in_brief()).collect();
    let is_unique = |label| brief.iter().filter(|other| *other == label).count() == 1;
    let numbered = brief
        .iter()
        .enumerate()
        .map(|(i, label)| match is_unique(label) {
            true => label.clone(),
            false => format!("{label} ({})", i + 1),
        });
    numbered.collect()
}

/// The names of the settings that are not the same in all groups.
fn differences<'a>(groups: &[&'a Group]) -> Vec<&'a str> {
    let names: BTreeSet<&String> = groups.iter().flat_map(|g| g.settings.keys()).collect();
    let differs = |name: &str| {
        groups
            .iter()
            .any(|g| g.setting(name) != groups[0].setting(name))
    };
    names
        .into_iter()
        .map(String::as_str)
        .filter(|name| differs(name))
        .collect()
}

/// Whether a setting is the same in all groups of the same method, as its learning rate may be.
fn follows_from_method(groups: &[&Group], name: &str) -> bool {
    let of_method = |group: &&Group| {
        let same = |other: &&&Group| other.setting(Group::METHOD) == group.setting(Group::METHOD);
        let mut others = groups.iter().filter(same);
        others.all(|other| other.setting(name) == group.setting(name))
    };
    name != Group::METHOD && groups.iter().all(of_method)
}

impl Group {
    const METHOD: &str = "run.methods";
    const EXPERIMENT: &str = "run.experiment";

    /// Its method and what else differs; its folder if there is neither.
    fn in_detail(&self, differences: &[&str]) -> String {
        let method = self.settings.get(Self::METHOD).cloned();
        let others = differences.iter().filter(|name| **name != Self::METHOD);
        let others = others.map(|name| {
            let short = name.rsplit('.').next().unwrap_or(name);
            format!("{short} {}", self.setting(name))
        });
        let all: Vec<String> = method.into_iter().chain(others).collect();
        if all.is_empty() {
            self.folder()
        } else {
            all.join(", ")
        }
    }

    /// Its method; its folder if it has none.
    fn in_brief(&self) -> String {
        let method = self.settings.get(Self::METHOD);
        method.cloned().unwrap_or_else(|| self.folder())
    }

    /// The name of its first run's folder.
    fn folder(&self) -> String {
        let path = self.runs.first().map(|run| run.path.as_path());
        let name = path.and_then(|path| path.file_name());
        name.map_or_else(
            || "run".to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    }
}
