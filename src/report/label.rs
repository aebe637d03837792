//! Names of groups: as short as tells them apart.

use std::collections::BTreeSet;

use super::Group;

/// What each group learns: its experiment, and the data, if the same experiment has several.
pub(super) fn tasks(groups: &[Group]) -> Vec<String> {
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
pub(super) fn labels(groups: &[Group], tasks: &[String]) -> Vec<String> {
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
/// are too many, one or two of them that tell the groups apart, or else a number.
fn labels_of_task(groups: &[&Group]) -> Vec<String> {
    const LONGEST: usize = 48;
    let differences = differences(groups);
    let fits = |labels: &[String]| labels.iter().all(|label| label.chars().count() <= LONGEST);
    let telling: Vec<&str> = differences
        .into_iter()
        .filter(|name| !follows_from_method(groups, name))
        .collect();
    let detailed = |names: &[&str]| -> Vec<String> {
        groups.iter().map(|group| group.in_detail(names)).collect()
    };
    let long = detailed(&telling);
    if fits(&long) {
        return long;
    }
    let ones = telling.iter().map(|name| vec![*name]);
    let pairs = telling.iter().enumerate();
    let pairs = pairs.flat_map(|(i, a)| telling[..i].iter().map(|b| vec![*b, *a]));
    let mut short = ones.chain(pairs).map(|names| detailed(&names));
    let all_differ =
        |labels: &[String]| labels.iter().collect::<BTreeSet<_>>().len() == labels.len();
    if let Some(labels) = short.find(|labels| fits(labels) && all_differ(labels)) {
        return labels;
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
pub(super) fn differences<'a>(groups: &[&'a Group]) -> Vec<&'a str> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn group(settings: &[(&str, &str)]) -> Group {
        let settings = settings.iter();
        let settings = settings.map(|(name, value)| (name.to_string(), value.to_string()));
        Group::new(settings.collect())
    }

    fn labels(groups: &[Group]) -> Vec<String> {
        labels_of_task(&groups.iter().collect::<Vec<_>>())
    }

    #[test]
    fn groups_are_told_apart_by_as_little_as_it_takes() {
        let long = "a value that is much too long to stand in a label";
        let with = |method, depth, path| {
            group(&[
                (Group::METHOD, method),
                ("net.depth", depth),
                ("path", path),
            ])
        };
        let groups = [
            with("dni", "2", long),
            with("cdni", "2", "b"),
            with("dni", "4", "c"),
        ];
        assert_eq!(
            labels(&groups),
            ["dni, depth 2", "cdni, depth 2", "dni, depth 4"]
        );
        assert_eq!(labels(&groups[1..]), ["cdni", "dni"]);
    }

    #[test]
    fn groups_that_nothing_short_tells_apart_have_numbers() {
        let long =
            |end: &str| "a value that is much too long to stand in a label".to_string() + end;
        let of = |path: &str| group(&[(Group::METHOD, "dni"), ("path", path)]);
        let groups = [of(&long("1")), of(&long("2"))];
        assert_eq!(labels(&groups), ["dni (1)", "dni (2)"]);
    }
}
