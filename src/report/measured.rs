//! What was measured of a run at its end.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a program measured of a run at its end, from the file `results.json` of its folder: the
/// parts of the first entry of its list `results` that a report shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Measured {
    /// How well the run has learned its task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<Measure>,
    /// Bits per character of the test text under the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_bits: Option<f64>,
    /// The same under the language itself, the optimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimum: Option<f64>,
    /// Text sampled from the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
}

/// A figure that says how well a run has learned its task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What it is, worded to follow a number, as in `of the test images wrong`.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its value for guessing.
    pub guessing: f64,
    /// The best possible value; none if it is unknown.
    pub best: Option<f64>,
    /// Whether a smaller value is a better one.
    pub less_is_better: bool,
    /// Whether it is a share, shown in percent.
    pub is_share: bool,
}

/// The file, as far as it is of use here.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    measure: Option<Measure>,
    bits_per_character: Option<Bits>,
    optimum: Option<f64>,
    sample: Option<String>,
}

#[derive(Deserialize)]
struct Bits {
    test: Option<f64>,
}

impl Measured {
    /// The name of the file.
    pub const FILE: &str = "results.json";

    /// The measurements of the run in a folder; none if there is no such file, or one of another
    /// program.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(Self::FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(Error::io("read", &path))?,
        };
        let file = serde_json::from_slice::<File>(&text).ok();
        let first = file.and_then(|file| file.results.into_iter().next());
        Ok(first.map(|entry| Self {
            measure: entry.measure,
            test_bits: entry.bits_per_character.and_then(|bits| bits.test),
            optimum: entry.optimum,
            sample: entry.sample,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_program_is_no_error() {
        let folder = std::env::temp_dir().join(format!("dni-measured-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let of = |text: &str| {
            fs::write(folder.join(Measured::FILE), text).unwrap();
            Measured::find(&folder).unwrap()
        };
        for other in ["[1, 2]", "not JSON", "{\"results\":[]}", "{}"] {
            assert_eq!(of(other), None, "{other}");
        }
        let bits = of(r#"{"results":[{"bits_per_character":{"test":1.5},"sample":"abc"}]}"#);
        let expected = Measured {
            test_bits: Some(1.5),
            sample: Some("abc".to_string()),
            ..Measured::default()
        };
        assert_eq!(bits, Some(expected));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(Measured::find(&folder).unwrap(), None);
    }
}
