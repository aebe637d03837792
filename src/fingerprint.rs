//! Which data a network was trained on, so that other data are recognised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The data that a network was trained on. A checkpoint keeps it and refuses other data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fingerprint {
    /// What inputs and outputs mean, by name: the shape of images, their classes, an alphabet.
    pub terms: BTreeMap<String, String>,
    /// The parts of the data by name, such as `train`.
    pub parts: BTreeMap<String, DataPart>,
}

/// A part of the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPart {
    /// The file or the set that it came from.
    pub origin: String,
    /// The CRC-32 of its values.
    pub checksum: u32,
}

impl Fingerprint {
    /// The term that lists all characters of a text, in the order of their codes.
    pub const ALPHABET: &str = "alphabet";

    /// The part that is used for training.
    pub const TRAIN: &str = "train";
    /// The part that is used for testing.
    pub const TEST: &str = "test";

    /// Adds a term: what inputs or outputs mean.
    pub fn with_term(mut self, name: &str, value: impl ToString) -> Self {
        self.terms.insert(name.to_string(), value.to_string());
        self
    }

    /// Adds a part: its values, in pieces, and the file or the set that it came from.
    pub fn with_part<'a>(
        mut self,
        name: &str,
        origin: impl ToString,
        values: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        values.into_iter().for_each(|piece| hasher.update(piece));
        let part = DataPart {
            origin: origin.to_string(),
            checksum: hasher.finalize(),
        };
        self.parts.insert(name.to_string(), part);
        self
    }

    /// Refuses the data `met` if one of these terms is missing or differs there, or a part of the
    /// same name has another checksum. A part that only one of the two has is not compared.
    ///
    /// # Errors
    ///
    /// If the data are refused.
    pub fn check(&self, met: &Self) -> Result<()> {
        for (name, value) in &self.terms {
            let here = met.terms.get(name).map_or("none", String::as_str);
            if here != value {
                let origin = met.parts.get(Self::TRAIN).or(met.parts.values().next());
                let origin = origin.map_or("the data", |part| part.origin.as_str());
                return Err(other(origin, name, value, here));
            }
        }
        for (name, part) in &self.parts {
            let here = met.parts.get(name);
            if let Some(here) = here.filter(|here| here.checksum != part.checksum) {
                let [known, found] =
                    [part, here].map(|part| format!("CRC-32 {:08x}", part.checksum));
                let what = format!("the part to {name} with");
                return Err(other(&here.origin, &what, &known, &found));
            }
        }
        Ok(())
    }
}

fn other(origin: &str, what: &str, trained_on: &str, here: &str) -> Error {
    /// An alphabet may be long.
    const SHOWN: usize = 60;
    let shown = |text: &str| -> String {
        let mut shown: String = text.chars().take(SHOWN).collect();
        if text.chars().nth(SHOWN).is_some() {
            shown.push_str("...");
        }
        shown.escape_debug().to_string()
    };
    Error::OtherData {
        origin: origin.to_string(),
        what: what.to_string(),
        trained_on: shown(trained_on),
        here: shown(here),
    }
}
