//! `dni plot`: curves of runs as a picture.

use std::path::PathBuf;

use clap::Args;
use dni::report;

use crate::args::Misuse;
use crate::{output, session};

/// Flags of `dni plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// Folders of runs, or folders that hold such folders at any depth; runs that differ in their seed alone
    /// are drawn as one curve, their mean and range
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// The picture to write, ending in .svg or .png
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// `dni plot`.
pub fn run(args: PlotArgs) -> anyhow::Result<()> {
    let path = &args.output;
    let encode = match output::ending(path).as_deref() {
        Some("svg") => |drawing: report::Drawing| drawing.to_svg().into_bytes(),
        Some("png") => |drawing: report::Drawing| drawing.to_png(),
        _ => {
            return Err(Misuse(format!(
                "cannot tell the form of '{}' by its name; end it in .svg or .png",
                path.display()
            ))
            .into());
        }
    };
    let (groups, damaged) = session::read_runs(&args.runs)?;
    dni::run::write_atomically(path, &encode(report::plot(&groups)))?;
    output::print(&format!("plot: {}\n", path.display()))?;
    damaged.check()
}
