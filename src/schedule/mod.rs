//! Schedules: which sections learn when, how fast, and on which thread.

pub mod plan;
mod rates;
mod sparse;
pub mod threaded;

pub use rates::Drops;
pub use sparse::Sparse;
pub use threaded::Threaded;
