//! Where runs are: folders searched to any depth.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::run::RunFolder;

/// What some folders hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The folder of every run, each once, however its path was spelled.
    pub runs: Vec<PathBuf>,
    /// The given folders, and files, that hold no run.
    pub without: Vec<PathBuf>,
}

/// Finds runs: the given folders themselves, or the runs in them at any depth, in the order of
/// their names.
///
/// # Errors
///
/// If a path is missing or cannot be read, or there is no run in any.
pub fn find(paths: &[PathBuf]) -> Result<Found> {
    let mut found = Found {
        runs: Vec::new(),
        without: Vec::new(),
    };
    let mut known = BTreeSet::new();
    for path in paths {
        let mut inner = Vec::new();
        look_through(path, &mut BTreeSet::new(), &mut inner)
            .map_err(Error::io("read the folder", path))?;
        if inner.is_empty() {
            found.without.push(path.clone());
        }
        // What is in two of the folders, or in one of two spellings, is one run.
        inner.retain(|run| known.insert(fs::canonicalize(run).unwrap_or_else(|_| run.clone())));
        found.runs.append(&mut inner);
    }
    if found.runs.is_empty() {
        let names = paths.iter().map(|path| format!("'{}'", path.display()));
        return Err(Error::Invalid(format!(
            "there is no run in {}; name the folder of a run, or one that holds such folders",
            names.collect::<Vec<_>>().join(", ")
        )));
    }
    Ok(found)
}

/// Whether a folder is that of a run.
fn is_run(path: &Path) -> bool {
    path.join(RunFolder::SCALARS).is_file()
}

/// Adds the runs in a folder. `seen` are the folders around it: a link may lead back to one.
fn look_through(
    path: &Path,
    seen: &mut BTreeSet<PathBuf>,
    runs: &mut Vec<PathBuf>,
) -> std::result::Result<(), IoError> {
    if is_run(path) {
        runs.push(path.to_path_buf());
        return Ok(());
    }
    if !seen.insert(fs::canonicalize(path)?) || !path.is_dir() {
        return Ok(());
    }
    let entries = fs::read_dir(path)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    for folder in folders {
        match look_through(&folder, seen, runs) {
            // What others keep to themselves holds no runs of ours, and a folder may have gone.
            Err(error)
                if [ErrorKind::PermissionDenied, ErrorKind::NotFound].contains(&error.kind()) => {}
            outcome => outcome?,
        }
    }
    Ok(())
}
