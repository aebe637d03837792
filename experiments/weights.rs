//! `dni export`: the parameters of a trained network for other tools.

use std::path::PathBuf;

use clap::Args;
use dni::run::Checkpoint;

use crate::args::Misuse;
use crate::{output, runs};

/// Flags of `dni export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The folder of a run
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// The file to write, ending in .safetensors
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// `dni export`.
pub fn run(args: ExportArgs) -> anyhow::Result<()> {
    let path = &args.output;
    if !dni::run::is_stream(path) && output::ending(path).as_deref() != Some("safetensors") {
        return Err(Misuse(format!(
            "'{}' does not say that it is a safetensors file; end its name in .safetensors",
            path.display()
        ))
        .into());
    }
    runs::check_single(&args.run)?;
    let checkpoint = Checkpoint::best_or_last(&args.run)?;
    dni::run::write_atomically(path, &checkpoint.to_safetensors()?)?;
    let step = checkpoint.progress().step;
    output::print(&format!(
        "parameters after step {step}: {}\n",
        path.display()
    ))
}
