//! The folder of a run: settings, logs and the checkpoint.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use super::{Checkpoint, Settings, scalars::Table, settings};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::interface::Contract;
use crate::learner::Network;
use crate::train::{Checkpointer, Event, Listener, Notes, Progress};

/// The exclusive right to write to a folder, for as long as this lives. The operating system
/// releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// The name of the lock file. It stays: removing it would race with the next process.
    pub const FILE: &str = ".lock";

    /// Takes the lock of a folder, if the file system supports locks.
    ///
    /// # Errors
    ///
    /// If another process holds it, or the folder cannot be written.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(Error::io("create", path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Busy {
                path: folder.to_path_buf(),
            }),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { _file: file }),
        }
    }
}

/// A run's folder: `settings.toml`, `events.jsonl` (every event), `scalars.csv` (every figure in them: a
/// row for each record, with what was evaluated and compared at its step) and `checkpoint.bpk`.
///
/// As a listener it writes the logs. They are flushed to disk with every checkpoint, which records
/// their lengths: a resumed run cuts off what came after. No other process can write to the folder
/// meanwhile.
pub struct RunFolder {
    path: PathBuf,
    _lock: FolderLock,
    settings: String,
    /// Those of the checkpoint that the run goes on from.
    notes: Notes,
    /// What the network is trained on.
    data: Option<Fingerprint>,
    events: BufWriter<File>,
    scalars: Table,
}

impl RunFolder {
    /// The name of the settings file.
    pub const SETTINGS: &str = "settings.toml";
    /// The name of the checkpoint.
    pub const CHECKPOINT: &str = "checkpoint.bpk";
    /// The name of the checkpoint of the best network, which a task may keep.
    pub const BEST: &str = "best.bpk";
    pub(crate) const EVENTS: &str = "events.jsonl";
    /// The name of the table of figures.
    pub const SCALARS: &str = "scalars.csv";

    /// Makes the folder of a new run.
    ///
    /// # Errors
    ///
    /// If it holds a run or files of these names already, another process is at work there, or it
    /// cannot be written.
    pub fn create(path: &Path, settings: &impl Settings, network: &impl Network) -> Result<Self> {
        let text = settings::write(settings)?;
        fs::create_dir_all(path).map_err(Error::io("create the folder", path))?;
        let lock = FolderLock::take(path)?;
        let settings_path = path.join(Self::SETTINGS);
        // A run that was killed before its first checkpoint left the same settings, and begins
        // anew; anything else that stands here is not ours to write over.
        let is_ours = fs::read_to_string(&settings_path)
            .is_ok_and(|found| settings::difference(&found, settings).is_none());
        let is_free = [
            Self::SETTINGS,
            Self::EVENTS,
            Self::SCALARS,
            Self::CHECKPOINT,
        ]
        .iter()
        .all(|name| !path.join(name).exists());
        if path.join(Self::CHECKPOINT).exists() || !(is_ours || is_free) {
            return Err(Error::Invalid(format!(
                "the folder '{}' holds a run or files of its names already; resume that run, or \
                 choose another folder",
                path.display()
            )));
        }
        write_atomically(&settings_path, text.as_bytes())?;
        let events = path.join(Self::EVENTS);
        let events = File::create(&events).map_err(Error::io("create", events))?;
        let names = network.interface_names();
        Ok(Self {
            path: path.to_path_buf(),
            _lock: lock,
            settings: text,
            notes: Notes::new(),
            data: None,
            events: BufWriter::new(events),
            scalars: Table::create(&path.join(Self::SCALARS), &names, columns_of(network))?,
        })
    }

    /// Opens the folder of a run to resume it, if there is one with a checkpoint.
    ///
    /// # Errors
    ///
    /// If the checkpoint or a log is damaged, or was made under other settings, or another process is
    /// at work in the folder.
    pub fn open(
        path: &Path,
        settings: &impl Settings,
        network: &impl Network,
    ) -> Result<Option<(Self, Checkpoint)>> {
        let checkpoint_path = path.join(Self::CHECKPOINT);
        if !checkpoint_path.exists() {
            return Ok(None);
        }
        let lock = FolderLock::take(path)?;
        let checkpoint = Checkpoint::read(&checkpoint_path)?;
        if let Some(difference) = settings::difference(checkpoint.settings(), settings) {
            return Err(Error::OtherSettings {
                path: checkpoint_path,
                difference,
            });
        }
        let [events, scalars] = checkpoint.log_lengths() else {
            return Err(Error::Damaged {
                path: checkpoint_path,
                reason: "it does not say how long the logs were".to_string(),
            });
        };
        let names = network.interface_names();
        let at = (*scalars, checkpoint.progress().step);
        let folder = Self {
            path: path.to_path_buf(),
            _lock: lock,
            settings: settings::write(settings)?,
            notes: checkpoint.notes().clone(),
            data: checkpoint.data().cloned(),
            events: reopen(&path.join(Self::EVENTS), *events)?,
            scalars: Table::reopen(&path.join(Self::SCALARS), at, &names, columns_of(network))?,
        };
        Ok(Some((folder, checkpoint)))
    }

    /// Continues the run under other settings, such as those of a longer run. The caller must make
    /// sure that what was learned so far is valid under them.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn set_settings(&mut self, settings: &impl Settings) -> Result<()> {
        let settings = settings::write(settings)?;
        if self.settings != settings {
            write_atomically(&self.path.join(Self::SETTINGS), settings.as_bytes())?;
            self.settings = settings;
        }
        Ok(())
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write_event(&mut self, event: &Event) -> Result<()> {
        serde_json::to_writer(&mut self.events, event)
            .map_err(std::io::Error::from)
            .and_then(|()| self.events.write_all(b"\n"))
            .map_err(Error::io("write", self.path.join(Self::EVENTS)))
    }
}

impl Listener for RunFolder {
    fn hear(&mut self, event: &Event) -> Result<()> {
        self.scalars.hear(event)?;
        self.write_event(event)
    }
}

impl Checkpointer for RunFolder {
    fn set_data(&mut self, met: Option<Fingerprint>) -> Result<()> {
        if let Some((known, met)) = self.data.as_ref().zip(met.as_ref()) {
            known.check(met)?;
        }
        self.data = self.data.take().or(met);
        Ok(())
    }

    fn notes(&self) -> Notes {
        self.notes.clone()
    }

    fn save(&mut self, network: &impl Network, notes: &Notes, progress: Progress) -> Result<()> {
        let lengths = [
            sync(&mut self.events, &self.path.join(Self::EVENTS))?,
            self.scalars.sync()?,
        ];
        let path = self.path.join(Self::CHECKPOINT);
        Checkpoint::write(
            &path,
            network,
            notes,
            progress,
            &self.settings,
            self.data.as_ref(),
            &lengths,
        )
    }
}

/// Which interfaces have a synthesizer, which an input model, which an auxiliary task.
fn columns_of(network: &impl Network) -> [Vec<usize>; 3] {
    let contracts = network.contracts();
    let with = |has: fn(&Contract) -> bool| {
        let all = 0..contracts.len();
        all.filter(|i| has(&contracts[*i])).collect()
    };
    [
        with(|_| true),
        with(|contract| contract.synthetic_inputs),
        with(|contract| contract.future.is_some_and(|future| future.auxiliary)),
    ]
}

/// Opens a log to append to it, cut to the length that it had at the checkpoint.
fn reopen(path: &Path, length: u64) -> Result<BufWriter<File>> {
    let file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(Error::io("open", path))?;
    let found = file.metadata().map_err(Error::io("read", path))?.len();
    if found < length {
        return Err(Error::Damaged {
            path: path.to_path_buf(),
            reason: format!("it is shorter than at the last checkpoint: {found} bytes"),
        });
    }
    let mut file = file;
    file.set_len(length)
        .and_then(|()| file.seek(std::io::SeekFrom::End(0)))
        .map_err(Error::io("cut", path))?;
    Ok(BufWriter::new(file))
}

/// Brings a log to disk; its length in bytes.
pub(super) fn sync(log: &mut BufWriter<File>, path: &Path) -> Result<u64> {
    log.flush()
        .and_then(|()| log.get_ref().sync_data())
        .and_then(|()| log.get_ref().metadata())
        .map(|metadata| metadata.len())
        .map_err(Error::io("write", path))
}

/// Writes a file in one piece or not at all: a reader, or a crash at any moment, finds the old
/// content or the new one. A symbolic link stays one; a path that is not a regular file, such as a
/// pipe or a device, gets the bytes directly.
///
/// # Errors
///
/// If it cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let outcome = match is_stream(path) {
        true => OpenOptions::new()
            .append(true)
            .open(path)
            .and_then(|mut stream| stream.write_all(bytes)),
        false => replace(path, bytes),
    };
    outcome.map_err(Error::io("write", path))
}

/// Whether a path has no content to be replaced: a pipe, a device, or, by `/dev/stdout` and the
/// like, a file that another program has opened for this one.
pub fn is_stream(path: &Path) -> bool {
    let is_open = is_of_a_process(path);
    fs::metadata(path).is_ok_and(|found| !found.is_dir() && (is_open || !found.is_file()))
}

/// Whether a path names an open file of a process, as `/dev/stdout` and a shell's `<(...)` do.
pub fn is_of_a_process(path: &Path) -> bool {
    let mut names = [
        "/dev/fd",
        "/dev/stdin",
        "/dev/stdout",
        "/dev/stderr",
        "/proc",
    ]
    .iter();
    names.any(|name| path.starts_with(name))
}

/// Puts a new file in the place of what a path names, links followed.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut unfinished = target.as_os_str().to_owned();
    // A name that no file of the user's has.
    unfinished.push(".dni-unfinished");
    let unfinished = PathBuf::from(unfinished);
    let outcome = File::create(&unfinished)
        .and_then(|mut file| {
            if let Ok(found) = fs::metadata(&target) {
                file.set_permissions(found.permissions())?;
            }
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&unfinished, &target));
    if outcome.is_err() {
        // On a full disk it holds all that was free. The error that matters is the other one.
        let _ = fs::remove_file(&unfinished);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The link that a user has put there stays one, and nothing half-done is left.
    #[test]
    #[cfg(unix)]
    fn files_are_replaced_where_they_are() {
        let name = format!("dni-replaced-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        let [file, link] = ["file", "link"].map(|name| folder.join(name));
        fs::write(&file, "old").expect("a file can be written");
        std::os::unix::fs::symlink(&file, &link).expect("a link can be made");
        write_atomically(&link, b"new").expect("it can be written");
        assert!(link.is_symlink() && !is_stream(&link));
        assert_eq!(fs::read(&file).ok().as_deref(), Some(&b"new"[..]));
        assert_eq!(fs::read_dir(&folder).map(Iterator::count).ok(), Some(2));
        assert!(write_atomically(&folder.join("no/file"), b"new").is_err());
        fs::remove_dir_all(&folder).expect("it can be removed");
        assert!(is_stream(Path::new("/dev/null")));
    }

    /// A file in memory is a file: it is replaced, and never added to.
    #[test]
    fn only_what_a_process_has_open_is_written_through() {
        for name in [
            "/dev/stdout",
            "/dev/stderr",
            "/dev/fd/63",
            "/proc/self/fd/1",
        ] {
            assert!(is_of_a_process(Path::new(name)), "{name}");
        }
        for name in ["/dev/shm/report.html", "report.html", "/development/a"] {
            assert!(!is_of_a_process(Path::new(name)), "{name}");
        }
    }
}
