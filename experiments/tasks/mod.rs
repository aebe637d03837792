//! The experiments, a file each: claim, network, task and measures. A new one is its file, and here
//! its name and its entry.

pub mod adder;
pub mod clocks;
pub mod copy;
pub mod images;
pub mod rows;
pub mod text;

use crate::registry::Entry;
use crate::sequences::Settings;

/// All of them, in the order of the help.
pub const ALL: &[Entry] = &[
    Entry::of::<adder::Settings>(),
    Entry::of::<images::Settings>(),
    Entry::of::<Settings<copy::Copy>>(),
    Entry::of::<Settings<rows::Rows>>(),
    Entry::of::<clocks::Settings>(),
    Entry::of::<Settings<text::Text>>(),
];
