//! Runs: training for a number of steps, what it tells, and the folder that it leaves.

mod checkpoint;
mod date;
mod event;
mod export;
mod folder;
mod losses;
mod network;
mod origin;
mod settings;
mod tensorboard;
mod timeline;
mod train;

pub(crate) use losses::side_by_side;

pub use checkpoint::{Checkpoint, Notes};
pub use date::utc;
pub use event::{Event, Listener, Scalars};
pub use folder::{FolderLock, RunFolder, is_of_a_process, is_stream, write_atomically};
pub use network::{Burst, Figure, Figures, Learner, Network};
pub use origin::Origin;
pub use settings::Settings;
pub use tensorboard::TensorBoard;
pub use timeline::{Activity, Doing};
pub use train::{Outcome, Plan, Progress, Task, train};
