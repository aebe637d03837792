//! What data are, so that other data are seen to be others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Corpus, ImageSet};
use crate::error::{Error, Result};

/// What a network was trained on: a checkpoint keeps it, and the network refuses other data.
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
    /// The term that has all characters of a text, in the order of their codes.
    pub const ALPHABET: &str = "alphabet";

    /// The part that is learned from.
    pub const TRAIN: &str = "train";
    /// The part that results are measured on.
    pub const TEST: &str = "test";

    /// Adds what inputs or outputs mean.
    pub fn with_term(mut self, name: &str, value: impl ToString) -> Self {
        self.terms.insert(name.to_string(), value.to_string());
        self
    }

    /// Adds a part by its values, in so many pieces, and the file or the set that it came from.
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

    /// Refuses data that are not these: which mean something else, or have another part of the
    /// same name. A part that only one of the two has is not looked at.
    ///
    /// # Errors
    ///
    /// If they are others.
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

impl ImageSet {
    /// What the images are, which came from `origin`.
    pub fn fingerprint(&self, origin: &str) -> Fingerprint {
        Fingerprint::default()
            .with_term("shape", self.train.shape())
            .with_term("classes", self.train.classes())
            .with_part(Fingerprint::TRAIN, origin, self.train.bytes())
            .with_part(Fingerprint::TEST, origin, self.test.bytes())
    }
}

impl Corpus {
    /// What the text is, whose parts to train, validate and test with came from these origins.
    pub fn fingerprint(&self, origins: [&str; 3]) -> Fingerprint {
        let bytes = |codes: &[u16]| -> Vec<u8> {
            codes.iter().flat_map(|code| code.to_le_bytes()).collect()
        };
        let characters = (0..self.alphabet.len()).map(|code| self.alphabet.character(code as u16));
        let alphabet: String = characters.collect();
        let parts = [&self.train, &self.valid, &self.test];
        let named = [Fingerprint::TRAIN, "validate", Fingerprint::TEST]
            .into_iter()
            .zip(origins);
        named.zip(parts).fold(
            Fingerprint::default().with_term(Fingerprint::ALPHABET, alphabet),
            |fingerprint, ((name, origin), codes)| {
                fingerprint.with_part(name, origin, [&bytes(codes)[..]])
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, origin: &str) -> Fingerprint {
        Corpus::from_text(text).unwrap().fingerprint([origin; 3])
    }

    #[test]
    fn other_data_are_told_with_their_file_and_how_they_differ() {
        let known = text(&"abc ".repeat(50), "/old/a.txt");
        assert!(known.check(&text(&"abc ".repeat(50), "/new/a.txt")).is_ok());
        let said = |met: &Fingerprint| known.check(met).unwrap_err().to_string();
        // As many characters, but others.
        let other = said(&text(&"abd ".repeat(50), "b.txt"));
        for word in ["'b.txt'", "alphabet was ' abc'", "here it is ' abd'"] {
            assert!(other.contains(word), "no {word:?} in {other}");
        }
        let other = said(&text(&"acb ".repeat(50), "b.txt"));
        for word in ["'b.txt'", "the part to test with was", "CRC-32"] {
            assert!(other.contains(word), "no {word:?} in {other}");
        }
        let mut without = text(&"acb ".repeat(50), "b.txt");
        without.parts.clear();
        assert!(known.check(&without).is_ok(), "it has the same meaning");
        // A long alphabet is not shown whole.
        let all: String = ('a'..='\u{2000}').collect();
        assert!(said(&text(&all, "c.txt")).len() < 400);
    }
}
