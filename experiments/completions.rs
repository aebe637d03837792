//! `dni completions`: what a shell needs to complete commands and flags.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::output;

/// Flags of `dni completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "For bash: dni completions bash > ~/.local/share/bash-completion/completions/dni"
)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// `dni completions`.
pub fn run(args: CompletionsArgs, mut program: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "dni", &mut script);
    output::print(&String::from_utf8(script)?)
}
