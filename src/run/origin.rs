//! Where and how a run was made, to repeat it or to judge its times.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{utc, write_atomically};
use crate::backend::{Instructions, processors};
use crate::error::{Error, Result};

/// The machine and the program of a run, from the file `origin.toml` of its folder or of the folder
/// around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The name that the user gave it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The command that makes the run again.
    pub command: String,
    /// When it began, in UTC; none if it was made before this was recorded.
    #[serde(default)]
    pub date: Option<String>,
    /// The version of this library.
    pub version: String,
    /// The commit of the sources, with `-dirty` if they had been changed since; none if they are
    /// not in a repository, or the repository has moved to another commit since the program was
    /// built.
    #[serde(default)]
    pub commit: Option<String>,
    /// The version of burn.
    pub burn: String,
    /// Operating system and architecture.
    pub system: String,
    /// The processor's name, if it is known.
    pub processor: Option<String>,
    /// How many threads the processor runs at once.
    pub processors: usize,
    /// The vector instructions used by loops over host memory.
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
            name: None,
            tags: Vec::new(),
            command: command.into(),
            date: Some(utc(SystemTime::now())),
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: commit(),
            burn: Self::BURN.to_string(),
            system: format!("{} {}", env::consts::OS, env::consts::ARCH),
            processor: processor(),
            processors: processors(),
            instructions: Some(Instructions::best()),
        }
    }

    /// Writes the origin to a folder.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string(self).expect("plain values are always TOML");
        write_atomically(&folder.join(Self::FILE), text.as_bytes())
    }

    /// The origin of the run in a folder, from that folder or the one around it, if there is one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not an origin.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        for folder in [Some(folder), folder.parent()].into_iter().flatten() {
            let path = folder.join(Self::FILE);
            match fs::read_to_string(&path) {
                Ok(text) => {
                    let reason = "it is not the TOML of an origin".to_string();
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

/// The folder of the sources that this was built from.
const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// The commit of the sources, if that is what this was built from.
fn commit() -> Option<String> {
    let describe = [
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ];
    let commit = git(&describe)?;
    is_of_the_sources().then_some(commit)
}

/// Whether this was built from the sources as they are: by cargo just now, or since their repository
/// has last moved to another commit.
fn is_of_the_sources() -> bool {
    if env::var_os("CARGO_MANIFEST_DIR").is_some_and(|folder| folder == SOURCES) {
        return true;
    }
    let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    let built = env::current_exe().ok().and_then(|program| time(&program));
    let moved = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    let moved = moved.and_then(|path| time(&Path::new(SOURCES).join(path)));
    // A repository without a log tells nothing.
    built
        .zip(moved)
        .is_some_and(|(built, moved)| built >= moved)
}

/// What git says of the sources, in one line.
fn git(words: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    // It must not write to a repository that others may be at work in.
    git.args(["--no-optional-locks", "-C", SOURCES]).args(words);
    let output = git.stderr(Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let said = said.trim();
    (output.status.success() && !said.is_empty()).then(|| said.to_string())
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
        assert!(old.name.is_none() && old.tags.is_empty());
    }

    #[test]
    fn the_version_of_burn_is_that_of_the_package_file() {
        let package: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let burn = &package["dependencies"]["burn"]["version"];
        assert_eq!(burn.as_str(), Some(Origin::BURN));
    }
}
