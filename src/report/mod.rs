//! Looking at runs: what their folders hold, read back and drawn.
//!
//! [`read`] puts runs that differ in their seed alone together and reduces what they recorded to
//! [curves](Curve) of a few hundred points without hiding a spike; [`plot()`] draws them as one
//! picture, [`html()`] makes a page of them.

mod curve;
mod drawing;
mod found;
mod group;
mod html;
mod letters;
mod plot;
mod quantity;
mod raster;
mod record;
mod scale;
mod svg;

pub use curve::{Curve, Point};
pub use drawing::{Anchor, Drawing, Paint, Shape, colour, hexadecimal};
pub use found::{Found, find};
pub use group::{Group, Run};
pub use html::html;
pub use plot::plot;
pub use record::{NotCompared, Quantity, Record, Timeline};

use std::path::PathBuf;

use rayon::prelude::*;

use crate::error::Result;

/// Points of a curve, at most, where there are not so many curves that less must do.
const MOST_POINTS: usize = 512;

/// Reads the runs in some folders, each the folder of a run or one that [holds such
/// folders](find).
///
/// # Errors
///
/// If there is no run in any of them, or a run cannot be read.
pub fn read(folders: &[PathBuf]) -> Result<Vec<Group>> {
    let records: Result<Vec<Record>> = find(folders)?
        .runs
        .par_iter()
        .map(|folder| Record::read(folder, MOST_POINTS))
        .collect();
    Ok(Group::of(records?))
}
