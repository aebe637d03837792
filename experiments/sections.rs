//! Where interfaces stand: between which layers of a network.

use std::fmt;
use std::str::FromStr;

use dni::threaded::check_split;
use dni::{Chain, Dense, Mlp, Optimizer, Quality};
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive};

/// The layers of each section. Interfaces stand between sections only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sections {
    /// One each, as in the paper.
    #[default]
    Every,
    /// So many, from the bottom up.
    Layers(Vec<usize>),
}

impl Sections {
    /// The layers of each section of a network of so many.
    pub fn sizes(&self, layers: usize) -> Vec<usize> {
        match self {
            Self::Every => vec![1; layers],
            Self::Layers(sizes) => sizes.clone(),
        }
    }

    /// Refuses sections that are not those of a network of so many layers.
    pub fn check(&self, layers: usize) -> Result<(), Misuse> {
        let Self::Layers(sizes) = self else {
            return Ok(());
        };
        match check_split(sizes, layers) {
            Ok(()) => Ok(()),
            Err(_) => Err(Misuse(format!(
                "--sections {self} are not the sections of {layers} layers, the output layer \
                 included; say how many layers each has, from the bottom up, or every for one each"
            ))),
        }
    }
}

impl fmt::Display for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.pad("every"),
            Self::Layers(sizes) => {
                let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
                f.pad(&sizes.join(","))
            }
        }
    }
}

impl FromStr for Sections {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "every" {
            return Ok(Self::Every);
        }
        let sizes: Result<Vec<usize>, String> = text.split(',').map(positive).collect();
        sizes.map(Self::Layers).map_err(|error| {
            format!(
                "{error}; say how many layers each section has, from the bottom up, as in 2,2, or \
                 every for one each"
            )
        })
    }
}

impl TryFrom<String> for Sections {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Sections> for String {
    fn from(sections: Sections) -> Self {
        sections.to_string()
    }
}

/// The name of layer `i`, from 0, of so many. A section has that of its highest layer, and with it
/// the interface on top of it.
pub fn layer_name(i: usize, layers: usize) -> String {
    match i + 1 {
        number if number == layers => "output".to_string(),
        number => format!("hidden{number}"),
    }
}

/// The quality at the interface on top of hidden layer `i`, from 0, if there is one.
pub fn quality_of(interfaces: &[Quality], i: usize) -> Option<&Quality> {
    let name = format!("hidden{}", i + 1);
    interfaces.iter().find(|quality| quality.name == name)
}

/// Adds dense layers as one section.
pub fn add_dense(
    chain: Chain,
    name: String,
    mut layers: Vec<Dense>,
    optimizer: Optimizer,
) -> Chain {
    match layers.pop() {
        Some(only) if layers.is_empty() => chain.section(name, only, optimizer),
        highest => {
            layers.extend(highest);
            chain.section(name, Mlp::new(layers), optimizer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_read_back_as_they_are_written() {
        for text in ["every", "4", "4,4", "1,2,3"] {
            assert_eq!(text.parse::<Sections>().unwrap().to_string(), text);
        }
        for nonsense in ["", "all", "2,", "0", "2,0", "-1", "2 2", "2,9999999999"] {
            assert!(nonsense.parse::<Sections>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn sections_must_add_up() {
        let sections = |text: &str| text.parse::<Sections>().unwrap();
        for (text, layers) in [("every", 5), ("5", 5), ("2,3", 5)] {
            assert!(sections(text).check(layers).is_ok(), "{text}");
            assert_eq!(sections(text).sizes(layers).iter().sum::<usize>(), layers);
        }
        assert!(sections("2,2").check(5).is_err());
        assert!(sections("2,4").check(5).is_err());
        assert!(Sections::Layers(vec![usize::MAX, 6]).check(5).is_err());
    }
}
