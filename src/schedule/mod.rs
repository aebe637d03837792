//! Schedules: which sections learn in a step, and how fast.

mod rates;
mod sparse;

pub use rates::Drops;
pub use sparse::Sparse;
