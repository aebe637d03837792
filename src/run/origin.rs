//! Where and how a run was made: for those who want to repeat it or to judge its times.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::write_atomically;
use crate::backend::{Instructions, processors};
use crate::error::{Error, Result};

/// The machine and the program of a run, in the file `origin.toml` of its folder or of the one
/// around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The command that makes the run again.
    pub command: String,
    /// The version of this library.
    pub version: String,
    /// The version of burn.
    pub burn: String,
    /// Operating system and architecture.
    pub system: String,
    /// The processor's name, if it is known.
    pub processor: Option<String>,
    /// How many threads it runs at once.
    pub processors: usize,
    /// The vector instructions of loops in host memory.
    #[serde(default)]
    pub instructions: Option<Instructions>,
}

impl Origin {
    const FILE: &str = "origin.toml";
    /// As in Cargo.toml: a package is not told the versions of its dependencies.
    const BURN: &str = "0.22.1";

    /// This machine and this program.
    pub fn here(command: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            burn: Self::BURN.to_string(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: processor(),
            processors: processors(),
            instructions: Some(Instructions::best()),
        }
    }

    /// Writes it to a folder.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string(self).expect("plain values are always TOML");
        write_atomically(&folder.join(Self::FILE), text.as_bytes())
    }

    /// That of the run in a folder, if it or the folder around it has one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        for folder in [Some(folder), folder.parent()].into_iter().flatten() {
            let path = folder.join(Self::FILE);
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let reason = "it is not TOML of an origin".to_string();
                    return toml::from_str(&text)
                        .map(Some)
                        .map_err(|_| Error::Log { path, reason });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", path)(error)),
            }
        }
        Ok(None)
    }
}

/// The name that the processor gives itself, where the system tells it.
fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_burn_is_that_of_the_package_file() {
        let package: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let burn = &package["dependencies"]["burn"]["version"];
        assert_eq!(burn.as_str(), Some(Origin::BURN));
    }
}
