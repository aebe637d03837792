//! Schedules: which sections learn when, and how fast.

mod rates;
mod sparse;

pub use rates::Drops;
pub use sparse::Sparse;
