//! The settings of a run: kept as TOML, compared by value when it is resumed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Settings of a run: any type that serde writes as a TOML table.
///
/// A field that is added later needs a serde default: the value under which earlier runs were made.
pub trait Settings: Serialize + DeserializeOwned + PartialEq {}

impl<S: Serialize + DeserializeOwned + PartialEq> Settings for S {}

/// Settings as they stand in a file.
///
/// # Errors
///
/// If they cannot be written as TOML.
pub(super) fn write(settings: &impl Serialize) -> Result<String> {
    toml::to_string(settings)
        .map_err(|error| Error::Invalid(format!("the settings cannot be written as TOML: {error}")))
}

/// Reads settings from TOML. Unknown settings are refused at any depth, also where a part of `S` is
/// flattened, where serde's `deny_unknown_fields` has no effect.
///
/// # Errors
///
/// If a setting is missing, wrong or unknown.
pub fn read_settings<S: Settings>(text: &str) -> Result<S> {
    let settings: S = toml::from_str(text).map_err(|error| Error::Invalid(error.to_string()))?;
    let (file, known) = (
        text.parse::<toml::Table>(),
        toml::Table::try_from(&settings),
    );
    let unknown = file.ok().zip(known.ok());
    let unknown = unknown.and_then(|(file, known)| first_unknown("", &file, &known));
    match unknown {
        None => Ok(settings),
        Some(name) => Err(Error::Invalid(format!("unknown setting {name}"))),
    }
}

/// The first setting of a table, by its dotted name, that another one lacks.
fn first_unknown(prefix: &str, table: &toml::Table, known: &toml::Table) -> Option<String> {
    table.iter().find_map(|(name, value)| {
        let path = format!("{prefix}{name}");
        match (value, known.get(name)) {
            (toml::Value::Table(table), Some(toml::Value::Table(known))) => {
                first_unknown(&format!("{path}."), table, known)
            }
            (_, Some(_)) => None,
            // What is left out where it is empty.
            (toml::Value::Table(table), None) if table.is_empty() => None,
            (_, None) => Some(path),
        }
    })
}

/// All settings of a table in order; settings of nested tables have dotted names.
pub fn flat_settings(table: &toml::Table) -> Vec<(String, &toml::Value)> {
    let values = table.iter().flat_map(|(name, value)| match value {
        toml::Value::Table(table) => {
            let inner = flat_settings(table).into_iter();
            inner
                .map(|(own, value)| (format!("{name}.{own}"), value))
                .collect()
        }
        value => vec![(name.clone(), value)],
    });
    values.collect()
}

/// In what `saved` settings differ from those given; none if they are the same.
pub(super) fn difference<S: Settings>(saved: &str, settings: &S) -> Option<String> {
    let saved: S = match read_settings(saved) {
        Ok(saved) => saved,
        Err(error) => return Some(error.to_string()),
    };
    if saved == *settings {
        return None;
    }
    let [saved, current] = [&saved, settings].map(|s| toml::Value::try_from(s).ok());
    let found = first_difference("", saved.as_ref(), current.as_ref());
    Some(found.unwrap_or_else(|| "in something that TOML does not show".to_string()))
}

/// The first setting that is not the same, by its dotted path, with both values.
fn first_difference(
    path: &str,
    saved: Option<&toml::Value>,
    current: Option<&toml::Value>,
) -> Option<String> {
    if saved == current {
        return None;
    }
    if let (Some(toml::Value::Table(saved)), Some(toml::Value::Table(current))) = (saved, current) {
        let mut names = saved.keys().chain(current.keys());
        return names.find_map(|name| {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{name}");
            first_difference(&path, saved.get(name), current.get(name))
        });
    }
    let said = |value: Option<&toml::Value>| value.map_or("none".to_string(), ToString::to_string);
    let (saved, current) = (said(saved), said(current));
    Some(format!("{path} was {saved}, here it is {current}"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(PartialEq, Serialize, Deserialize)]
    struct Mine {
        rate: f64,
        #[serde(default)]
        added_later: Option<usize>,
        network: Network,
    }

    #[derive(PartialEq, Serialize, Deserialize)]
    struct Network {
        layers: Vec<usize>,
        #[serde(default = "three")]
        rank: usize,
    }

    fn three() -> usize {
        3
    }

    #[test]
    fn settings_are_the_same_by_value_and_a_later_one_has_its_default() {
        let mine = |added_later, rank| Mine {
            rate: 0.1,
            added_later,
            network: Network {
                layers: vec![4],
                rank,
            },
        };
        let old = "rate = 1e-1\n[network]\nlayers = [ 4 ]\n";
        assert_eq!(difference(old, &mine(None, 3)), None);
        let is = |settings: Mine, what: &str| {
            assert_eq!(difference(old, &settings).as_deref(), Some(what));
        };
        is(mine(Some(2), 3), "added_later was none, here it is 2");
        is(mine(None, 4), "network.rank was 3, here it is 4");
        let other = Mine {
            rate: 0.2,
            ..mine(None, 3)
        };
        is(other, "rate was 0.1, here it is 0.2");
        let broken = difference("rate = true", &mine(None, 3));
        assert!(broken.is_some_and(|reason| reason.contains("invalid type")));
    }

    #[test]
    fn a_setting_that_nobody_knows_is_refused_wherever_it_stands() {
        #[derive(PartialEq, Serialize, Deserialize)]
        struct Flattened {
            #[serde(flatten)]
            mine: Mine,
            seed: usize,
        }
        let whole = "rate = 0.1\nseed = 1\n[network]\nlayers = [4]\n";
        assert!(read_settings::<Flattened>(whole).is_ok());
        for (name, text) in [
            ("rat", format!("rat = 0.2\n{whole}")),
            ("network.rang", format!("{whole}rang = 3\n")),
            ("other", format!("{whole}[other]\nseed = 1\n")),
        ] {
            let error = read_settings::<Flattened>(&text).err().expect(name);
            assert!(
                error
                    .to_string()
                    .ends_with(&format!("unknown setting {name}")),
                "{error}"
            );
        }
    }

    #[test]
    fn settings_are_flat_by_dotted_names() {
        let table = "a = 1\n[b]\nc = \"x\"\n[b.d]\ne = [2]\n".parse().unwrap();
        let names = flat_settings(&table).into_iter().map(|(name, _)| name);
        assert_eq!(names.collect::<Vec<_>>(), ["a", "b.c", "b.d.e"]);
    }
}
