//! What can go wrong in the library, and what to do about it.

use std::any::Any;
use std::path::PathBuf;

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong. Every message says what to do next where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} '{}': {source}", path.display())]
    Io {
        /// What was tried, as in "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// Another process writes to the folder.
    #[error(
        "another process is at work in '{}'; wait until it has ended, stop it, or choose another \
         folder",
        path.display()
    )]
    Busy {
        /// The folder.
        path: PathBuf,
    },

    /// A file of a run is truncated or altered.
    #[error(
        "the run's file '{}' is damaged ({reason}); the run cannot be resumed, start it anew",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },

    /// A file of a run cannot be understood.
    #[error(
        "the run's file '{}' cannot be read ({reason}); was it changed by hand, or written by \
         another version?",
        path.display()
    )]
    Log {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },

    /// A checkpoint is whole, but was made under settings other than those given.
    #[error(
        "the checkpoint '{}' was made under other settings: {difference}; go on with the settings \
         of that run, or start anew in another folder",
        path.display()
    )]
    OtherSettings {
        /// The checkpoint file.
        path: PathBuf,
        /// The first setting that differs.
        difference: String,
    },

    /// A checkpoint of another version.
    #[error(
        "the checkpoint '{}' has format {found}, and this version of dni reads format {known}; use \
         the version that wrote it, or train anew",
        path.display()
    )]
    OtherFormat {
        /// The checkpoint file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The one that is read.
        known: u32,
    },

    /// A checkpoint lacks a tensor that the network needs.
    #[error("the checkpoint has no tensor '{name}': it is from another network")]
    MissingTensor {
        /// Its full name.
        name: String,
    },

    /// A checkpoint's synthesizers were trained under other terms.
    #[error(
        "the checkpoint was made for another network: {what} was {saved}, here it is {current}; \
         build the network with the settings that it was saved with"
    )]
    Contract {
        /// Which term differs.
        what: String,
        /// Its value in the checkpoint.
        saved: String,
        /// Its value here.
        current: String,
    },

    /// burn could not read or write parameters.
    #[error("the checkpoint does not fit the network: {0}")]
    Record(#[from] burn::store::RecordError),

    /// burn's file format could not be read or written.
    #[error("the checkpoint cannot be decoded: {0}")]
    Pack(#[from] burn_pack::Error),

    /// A loss, a parameter or a synthesizer's loss stopped being a number.
    #[error(
        "{what} became NaN or infinite at step {step}; try a smaller learning rate \
         (for an interface: a smaller synthesizer learning rate)"
    )]
    NotFinite {
        /// The section, interface or loss where it was seen first.
        what: String,
        /// The step, counted from 1.
        step: usize,
    },

    /// A worker of a threaded network failed.
    #[error(
        "worker {worker} ({sections}) failed at step {step}: {cause}; the network is between two \
         steps now, go on from the last checkpoint once the cause is removed"
    )]
    Worker {
        /// Which, counted from 1 at the bottom.
        worker: usize,
        /// The sections that it trains.
        sections: String,
        /// The step, counted from 1.
        step: usize,
        /// The message of its panic or error.
        cause: String,
    },

    /// A device failed: it has no memory left for what it was given, or was lost.
    #[error(
        "{}; a run's last checkpoint is as it was, go on from there once the device works again",
        of_device(reason)
    )]
    Device {
        /// What it said.
        reason: String,
    },

    /// The backend cannot run on this machine or in this build.
    #[error("the backend '{name}' cannot run here: {reason}; {cure}")]
    Backend {
        /// The backend's name.
        name: &'static str,
        /// Why not.
        reason: String,
        /// What to install or to choose instead.
        cure: String,
    },

    /// A server cannot compute for this process, or no longer can.
    #[error("cannot compute on {address}: {reason}")]
    Server {
        /// Its address.
        address: String,
        /// Why not, and what to do about it.
        reason: String,
    },

    /// A file of a data set is not what it should be.
    #[error(
        "the data file '{}' is damaged or another one: expected {expected}, found {found}; replace \
         it, or remove the files of its set, which is then downloaded anew",
        path.display()
    )]
    Data {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },

    /// A network is given data other than those that it was trained on.
    #[error(
        "'{origin}' is not what this network was trained on: {what} was '{trained_on}', here it is \
         '{here}'; give it the data of its run, or train anew in another folder"
    )]
    OtherData {
        /// The file or the set that they come from.
        origin: String,
        /// What differs.
        what: String,
        /// What it was.
        trained_on: String,
        /// What it is now.
        here: String,
    },

    /// A file is not a text that can be learned from.
    #[error("'{}' cannot be read as a text: {reason}; {cure}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do about it.
        cure: &'static str,
    },

    /// A folder has some files of a data set but not all.
    #[error(
        "the file '{}' of the data set '{set}' is missing, but other files of the set are there; \
         add it, or remove the others, and the set is looked for elsewhere or downloaded",
        path.display()
    )]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// The set.
        set: &'static str,
    },

    /// A data set was not found, and could not be downloaded.
    #[error("the data set '{set}' is not in {}; {source}", listed(looked_at))]
    NotFound {
        /// The set.
        set: &'static str,
        /// The folders that were looked at.
        looked_at: Vec<PathBuf>,
        /// Why it could not be downloaded.
        source: Box<Error>,
    },

    /// A file could not be downloaded.
    #[error(
        "cannot download '{address}': {reason}; try again later, or get the file by other means and \
         name the folder that has it"
    )]
    Download {
        /// The file's address.
        address: String,
        /// What went wrong.
        reason: String,
    },

    /// A value that makes no sense.
    #[error("{0}")]
    Invalid(String),
}

/// The message of a panic, for code that [catches](std::panic::catch_unwind) panics.
pub fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it does not say why".to_string())
}

/// The failure of a device that said this, without how to go on.
pub(crate) fn of_device(reason: &str) -> String {
    format!(
        "the device failed: {reason}; if it is short of memory, take a smaller network, smaller \
         batches or fewer runs at the same time"
    )
}

fn listed(folders: &[PathBuf]) -> String {
    let folders = folders
        .iter()
        .map(|folder| format!("'{}'", folder.display()));
    folders.collect::<Vec<_>>().join(", ")
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
