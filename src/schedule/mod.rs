//! Schedules: which sections learn in a step, and how fast.

mod rates;
mod sparse;

pub use rates::LrSchedule;
pub use sparse::Sparse;
