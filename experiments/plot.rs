//! `dni plot`: curves of runs as a picture.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dni::report;

use crate::args::Misuse;
use crate::{output, runs};

/// Flags of `dni plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// Folders of runs, or folders that hold such folders at any depth; runs that differ only in their seed
    /// are drawn as one curve, their mean and range
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// What the curves are drawn over
    #[arg(long, value_enum, value_name = "AXIS", default_value_t)]
    over: Axis,

    /// The picture to write, ending in .svg
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Axis {
    /// Training steps
    #[default]
    Steps,
    /// Seconds of training
    Seconds,
}

/// `dni plot`.
pub fn run(args: PlotArgs) -> anyhow::Result<()> {
    let path = &args.output;
    if output::ending(path).as_deref() != Some("svg") {
        return Err(Misuse(format!(
            "'{}' would be an SVG file by another name; end it in .svg",
            path.display()
        ))
        .into());
    }
    let over = match args.over {
        Axis::Steps => report::Over::Steps,
        Axis::Seconds => report::Over::Seconds,
    };
    let (groups, damaged) = runs::read(&args.runs)?;
    let drawing = report::plot(&groups, over).to_svg();
    dni::run::write_atomically(path, drawing.as_bytes())?;
    output::print(&format!("plot: {}\n", path.display()))?;
    damaged.check()
}
