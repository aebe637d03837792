//! Schedules: which sections learn when, and how fast.

mod rates;
mod sparse;
pub mod threaded;

pub use rates::Drops;
pub use sparse::Sparse;
pub use threaded::Threaded;
