//! The program: `dni EXPERIMENT` and `dni sweep EXPERIMENT`, then `dni list`, `report`, `plot`, `eval` and `export`;
//! `dni reproduce`; `dni bench`, `dni plan`, `dni serve`, `dni backends`.
//!
//! Results go to stdout, progress and messages to stderr. It ends with 0 when done, 1 when a run
//! failed and 2 when it was called wrongly.

mod args;
mod backends;
mod bench;
mod budget;
mod comparison;
mod completions;
mod corpus;
mod dashboard;
mod defaults;
mod eval;
mod experiment;
mod export;
mod figure;
mod flags;
mod forecast;
mod list;
mod memory;
mod method;
mod network;
mod origin;
mod output;
mod overall;
mod panics;
mod plan;
mod plot;
mod progress;
mod rates;
mod recurrent;
mod registry;
mod report;
mod reproduce;
mod results;
mod runs;
mod sections;
mod sequences;
mod serve;
mod session;
mod sheet;
mod shell;
mod signals;
mod sites;
mod source;
mod stats;
mod sweep;
mod synthesizer;
mod table;
mod tally;
mod tasks;
mod token;
mod verdict;
mod weights;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Many small tensors come and go in a step; this allocator takes a sixth off the smallest ones.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train networks whose layers do not wait for each other: Decoupled Neural Interfaces with
/// synthetic gradients (arXiv:1608.05343).
#[derive(Debug, Parser)]
#[command(
    name = "dni",
    version,
    max_term_width = 100,
    after_help = "Without a command it is `dni adder`, whose flags `dni adder --help` lists: \
                  `dni --backend wgpu` trains the adder on the GPU."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Experiment(registry::Call),
    /// Compare runs on one HTML page: losses, errors, and how good the synthetic gradients are
    Report(report::ReportArgs),
    /// List runs: how far each is, and its best figure
    List(list::ListArgs),
    /// Draw the curves of runs as an SVG picture
    Plot(plot::PlotArgs),
    /// Measure trained networks again, on their own or on other data
    Eval(eval::EvalArgs),
    /// Write the parameters of a trained network to a safetensors file, in PyTorch's layout
    Export(weights::ExportArgs),
    /// Run every combination of several values of flags, and list the runs, best first
    #[command(subcommand, after_help = sweep::HELP)]
    Sweep(sweep::Sweep),
    /// Reproduce a table of experiments/README.md: all its runs, and a verdict for each claim
    Reproduce(reproduce::ReproduceArgs),
    /// Time training steps on several backends
    Bench(Box<bench::BenchArgs>),
    /// Predict how much faster more workers would be, from the times of the layers
    Plan(Box<plan::PlanArgs>),
    /// Let workers on other machines compute on this one
    Serve(serve::ServeArgs),
    /// List the backends, which of them work on this machine, and what the others need
    Backends(backends::BackendsArgs),
    /// Print a script that lets a shell complete flags
    Completions(completions::CompletionsArgs),
}

fn main() -> ExitCode {
    forget_empty_variables();
    hush_graphics();
    let cli = match Cli::try_parse_from(arguments(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, for stdout and with exit code 0.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let done = panics::caught(|| match cli.command {
        Command::Experiment(call) => call.run(),
        Command::Sweep(sweep) => sweep::run(sweep),
        Command::Report(args) => report::run(args),
        Command::List(args) => list::run(args),
        Command::Plot(args) => plot::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Export(args) => weights::run(args),
        Command::Reproduce(args) => reproduce::run(args),
        Command::Bench(args) => bench::run(*args),
        Command::Plan(args) => plan::run(*args),
        Command::Serve(args) => serve::run(args),
        Command::Backends(args) => backends::run(args),
        Command::Completions(args) => completions::run(args, Cli::command()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(&format!("error: {}", output::told(&error)));
            ExitCode::from(if error.is::<args::Misuse>() { 2 } else { 1 })
        }
    }
}

/// A variable of ours that is empty is as good as none.
fn forget_empty_variables() {
    let variables = std::env::vars_os();
    let is_ours = |name: &OsString| name.to_string_lossy().starts_with("DNI_");
    for (name, value) in variables.filter(|(name, _)| is_ours(name)) {
        if value.is_empty() {
            // SAFETY: the program has started no other thread yet that could read the environment.
            unsafe { std::env::remove_var(name) };
        }
    }
}

/// Graphics drivers complain on stderr, once for each call, if they are told of no folder for sockets,
/// which we do not need.
fn hush_graphics() {
    const FOLDER: &str = "XDG_RUNTIME_DIR";
    if std::env::var_os(FOLDER).is_none() {
        // SAFETY: the program has started no other thread yet that could read the environment.
        unsafe { std::env::set_var(FOLDER, std::env::temp_dir()) };
    }
}

/// Puts in the command `adder` where there is none.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = given.collect();
    let is_flag_of_adder = |first: &OsString| {
        let first = first.to_string_lossy();
        first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&first.as_ref())
    };
    if arguments.get(1).is_none_or(is_flag_of_adder) {
        let at = arguments.len().min(1);
        arguments.insert(at, "adder".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_alone_are_flags_of_the_adder() {
        let command = |given: &[&str]| {
            arguments(given.iter().map(OsString::from))
                .into_iter()
                .nth(1)
        };
        assert_eq!(command(&["dni"]), Some("adder".into()));
        assert_eq!(command(&["dni", "--seed", "1"]), Some("adder".into()));
        assert_eq!(command(&["dni", "bench"]), Some("bench".into()));
        assert_eq!(command(&["dni", "--help"]), Some("--help".into()));
    }
}
