//! The folder of a run: its settings, logs and checkpoints, and where it was made.

mod checkpoint;
mod date;
mod export;
mod folder;
mod origin;
mod scalars;
mod settings;
mod tensorboard;

pub use checkpoint::Checkpoint;
pub use date::utc;
pub use folder::{FolderLock, RunFolder, is_of_a_process, is_stream, write_atomically};
pub use origin::Origin;
pub use settings::{Settings, flat_settings, read_settings};
pub use tensorboard::TensorBoard;
