//! Runs in progress, read again as they continue.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rayon::prelude::*;

use super::{Group, MOST_POINTS, Measured, Record, find};
use crate::error::Result;
use crate::run::RunFolder;

/// The runs in some folders; [`refresh`](Self::refresh) reads what has changed.
#[derive(Debug)]
pub struct Follower {
    folders: Vec<PathBuf>,
    runs: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Known>,
    version: u64,
}

/// A run as it was when it was read.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// None if it could not be read, as one that is just being made.
    record: Option<Record>,
}

/// The lengths of a run's files, and when they were last written.
type Stamp = [Option<(u64, Option<SystemTime>)>; 4];

impl Follower {
    /// Follows these folders, which need not hold runs yet.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self {
            folders,
            runs: Vec::new(),
            known: BTreeMap::new(),
            version: 0,
        }
    }

    /// Looks for runs, and reads those that are new or have changed. A run that cannot be read is
    /// left out until it can.
    ///
    /// # Errors
    ///
    /// If there is no run in any of the folders, or one of them cannot be read.
    pub fn refresh(&mut self) -> Result<()> {
        let runs = find(&self.folders)?.runs;
        let stamps = runs.iter().map(|run| (run.clone(), stamp(run)));
        let is_new = |(run, stamp): &(PathBuf, Stamp)| {
            let known = self.known.get(run);
            known.is_none_or(|known| known.stamp != *stamp)
        };
        let changed: Vec<(PathBuf, Stamp)> = stamps.filter(is_new).collect();
        if changed.is_empty() && runs == self.runs {
            return Ok(());
        }
        let read = changed.into_par_iter().map(|(run, stamp)| {
            let record = Record::read(&run, MOST_POINTS).ok();
            (run, Known { stamp, record })
        });
        let read: Vec<_> = read.collect();
        self.known.extend(read);
        self.known.retain(|run, _| runs.contains(run));
        self.runs = runs;
        self.version += 1;
        Ok(())
    }

    /// How often anything has changed so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The runs as they were last read.
    pub fn groups(&self) -> Vec<Group> {
        let known = self.runs.iter().filter_map(|run| self.known.get(run));
        Group::of(known.filter_map(|known| known.record.clone()))
    }
}

fn stamp(run: &Path) -> Stamp {
    let files = [
        RunFolder::SETTINGS,
        RunFolder::SCALARS,
        RunFolder::EVENTS,
        Measured::FILE,
    ];
    files.map(|name| {
        let found = fs::metadata(run.join(name)).ok()?;
        Some((found.len(), found.modified().ok()))
    })
}
