//! Schedules: which sections learn when, how fast, and on which thread.

mod link;
pub mod plan;
mod queue;
mod rates;
mod sparse;
pub mod threaded;

pub use link::Link;
pub use rates::Drops;
pub use sparse::Sparse;
pub use threaded::Threaded;
