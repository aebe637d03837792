//! Where and how a run was made: for those who want to repeat it or to judge its times.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{utc, write_atomically};
use crate::backend::{Instructions, processors};
use crate::error::{Error, Result};

/// The machine and the program of a run, in the file `origin.toml` of its folder or of the one
/// around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The command that makes the run again.
    pub command: String,
    /// When it began, in UTC; none if it was made before this was noted.
    #[serde(default)]
    pub date: Option<String>,
    /// The version of this library.
    pub version: String,
    /// The commit of its sources, `-dirty` if they had changed since; none if they are in no
    /// repository.
    #[serde(default)]
    pub commit: Option<String>,
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
            date: Some(utc(SystemTime::now())),
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: commit(),
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

/// The commit of the sources that this was built from, as they are now.
fn commit() -> Option<String> {
    let mut git = Command::new("git");
    // It must not write to a repository that others may be at work in.
    git.args([
        "--no-optional-locks",
        "-C",
        env!("CARGO_MANIFEST_DIR"),
        "describe",
    ]);
    git.args(["--always", "--dirty", "--abbrev=40", "--exclude=*"]);
    let output = git.stderr(Stdio::null()).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?;
    let commit = commit.trim();
    (output.status.success() && !commit.is_empty()).then(|| commit.to_string())
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
    fn an_origin_has_its_date_and_commit_and_older_ones_have_none() {
        let origin = Origin::here("dni adder");
        assert!(origin.date.as_ref().is_some_and(|date| date.ends_with('Z')));
        let is_commit =
            |commit: &String| commit.chars().take_while(char::is_ascii_hexdigit).count() == 40;
        assert!(origin.commit.as_ref().is_none_or(is_commit), "{origin:?}");
        let text = toml::to_string(&origin).unwrap();
        assert_eq!(toml::from_str::<Origin>(&text).unwrap(), origin);
        let is_old = |line: &&str| !line.starts_with("date") && !line.starts_with("commit");
        let old: Vec<&str> = text.lines().filter(is_old).collect();
        let old: Origin = toml::from_str(&old.join("\n")).unwrap();
        assert_eq!((old.date, old.commit), (None, None));
    }

    #[test]
    fn the_version_of_burn_is_that_of_the_package_file() {
        let package: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let burn = &package["dependencies"]["burn"]["version"];
        assert_eq!(burn.as_str(), Some(Origin::BURN));
    }
}
