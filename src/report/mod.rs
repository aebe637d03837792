//! Looking at runs: what their folders hold, read back and drawn.
//!
//! [`read`] groups runs that differ in their seed alone and reduces what they recorded to
//! [curves](Curve) of a few hundred points without hiding a spike; [`plot()`] draws them as one
//! picture, [`html()`] makes a page of them, [`draw_curves`] writes the picture to their folder.

mod curve;
mod drawing;
mod follow;
mod found;
mod group;
mod html;
mod label;
mod measured;
mod palette;
mod plot;
mod quantity;
mod record;
mod scale;
mod svg;

pub use curve::{Curve, Point};
pub use drawing::{Anchor, Drawing, Paint, Shape, colour, hexadecimal};
pub use follow::Follower;
pub use found::{Found, find};
pub use group::{Group, Run};
pub use html::{data, html, live_html};
pub use measured::{Measure, Measured};
pub use plot::{Over, plot};
pub use record::{NotCompared, Quantity, Record, Timeline};

use std::path::{Path, PathBuf};

use rayon::iter::Either;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::run::write_atomically;

/// Points of a curve, at most, where there are not so many curves that less must do.
const MOST_POINTS: usize = 512;

/// Reads the runs in some folders, each the folder of a run or one that [holds such
/// folders](find).
///
/// # Errors
///
/// If there is no run in any of them, or a run cannot be read.
pub fn read(folders: &[PathBuf]) -> Result<Vec<Group>> {
    let records: Result<Vec<Record>> = records(&find(folders)?.runs).collect();
    Ok(Group::of(records?))
}

/// Reads runs of which some may be damaged: returns those that can be read, and the errors of the
/// rest.
pub fn read_each(runs: &[PathBuf]) -> (Vec<Group>, Vec<Error>) {
    let (records, errors): (Vec<_>, Vec<_>) = records(runs).partition_map(|record| match record {
        Ok(record) => Either::Left(record),
        Err(error) => Either::Right(error),
    });
    (Group::of(records), errors)
}

/// Draws the run in a folder, or the runs that it holds, as its `curves.svg`.
///
/// # Errors
///
/// If there is no run, one cannot be read, or the picture cannot be written.
pub fn draw_curves(folder: &Path) -> Result<()> {
    let groups = read(&[folder.to_path_buf()])?;
    let drawing = plot(&groups, Over::Steps).to_svg();
    write_atomically(&folder.join("curves.svg"), drawing.as_bytes())
}

fn records(runs: &[PathBuf]) -> impl ParallelIterator<Item = Result<Record>> {
    let runs = runs.par_iter();
    runs.map(|folder| Record::read(folder, MOST_POINTS))
}
