//! `dni report`: runs compared on one page.

mod browser;
mod live;

use std::path::PathBuf;

use clap::Args;
use dni::report;

use crate::{output, runs};

/// Flags of `dni report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folders of runs, or folders that hold such folders at any depth; runs that differ only in their seed
    /// are shown as one curve, their mean and range
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// The page to write [default: report.html, in the folder if there is only one]
    #[arg(long, short, value_name = "FILE", conflicts_with = "live")]
    output: Option<PathBuf>,

    /// Serve the page on this machine only, and follow the runs until Ctrl-C; anyone who has its
    /// address can read it
    #[arg(long)]
    live: bool,

    /// Open the page in the browser
    #[arg(long)]
    open: bool,
}

/// `dni report`.
pub fn run(args: ReportArgs) -> anyhow::Result<()> {
    const NAME: &str = "report.html";
    if args.live {
        return live::serve(args.runs, args.open);
    }
    let path = match (args.output, &args.runs[..]) {
        (Some(path), _) => path,
        (None, [folder]) => folder.join(NAME),
        (None, _) => PathBuf::from(NAME),
    };
    let (groups, damaged) = runs::read(&args.runs)?;
    dni::run::write_atomically(&path, report::html(&groups).as_bytes())?;
    output::print(&format!("report: {}\n", path.display()))?;
    if args.open {
        browser::open(&std::path::absolute(&path)?.display().to_string())?;
    }
    damaged.check()
}
