//! The settings of a run: kept as TOML, compared by value when it goes on.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Settings of a run: any type that serde writes as a TOML table.
///
/// A field that is added later needs a serde default, which is what runs before it were made under.
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

/// In what `saved` settings differ from those given; none if they are the same.
pub(super) fn difference<S: Settings>(saved: &str, settings: &S) -> Option<String> {
    let saved: S = match toml::from_str(saved) {
        Ok(saved) => saved,
        Err(error) => return Some(error.message().to_string()),
    };
    if saved == *settings {
        return None;
    }
    let [saved, current] = [&saved, settings].map(|s| toml::Value::try_from(s).ok());
    let found = first_difference("", saved.as_ref(), current.as_ref());
    Some(found.unwrap_or_else(|| "in what TOML does not show".to_string()))
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
}
