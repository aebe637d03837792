//! Flags that every experiment has, and how flags are read.

use std::fmt;
use std::num::IntErrorKind;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dni::Backend;

/// The program was called wrongly: exit code 2.
#[derive(Debug)]
pub struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// A backend, or the best that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackendChoice {
    /// wgpu if there is a GPU, else flex
    Auto,
    /// burn's maintained CPU backend
    Flex,
    /// The older CPU backend
    Ndarray,
    /// GPUs through Vulkan, Metal, DirectX 12 or WebGPU
    Wgpu,
}

impl BackendChoice {
    pub fn resolve(self) -> Backend {
        match self {
            Self::Auto => Backend::auto(),
            Self::Flex => Backend::Flex,
            Self::Ndarray => Backend::Ndarray,
            Self::Wgpu => Backend::Wgpu,
        }
    }
}

/// The form of results on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// A table
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// Where computation happens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// The backend that computes [default: flex]
    #[arg(long, env = "DNI_BACKEND", value_enum)]
    pub backend: Option<BackendChoice>,

    /// Threads that one tensor operation may use on the CPU backends; one is best for small networks
    /// [default: 1]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub kernel_threads: Option<usize>,
}

/// What a run leaves and shows.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Folder for settings, logs and checkpoints [default: runs/EXPERIMENT-TIME]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,

    /// Name of these runs, for `dni list` and the report; with --resume their new name
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub name: Option<String>,

    /// Tags of these runs, separated by commas, for `dni list --filter`; with --resume they replace
    /// the previous ones
    #[arg(long = "tag", visible_alias = "tags", value_name = "TAGS", value_delimiter = ',',
        value_parser = word)]
    pub tags: Vec<String>,

    /// Continue the runs in this folder, with the settings saved there
    #[arg(long, value_name = "DIR", conflicts_with = "run_dir")]
    pub resume: Option<PathBuf>,

    /// Form of the results on stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,

    /// Write event files for TensorBoard as well, into the folder of every run
    #[arg(long)]
    pub tensorboard: bool,

    /// Show all runs live on the whole terminal: curves, cosines, learning rates and time left; q
    /// asks whether to stop, l changes the axes
    #[arg(long, conflicts_with = "quiet")]
    pub dashboard: bool,

    /// No progress and no messages on stderr except errors
    #[arg(long, short)]
    pub quiet: bool,

    /// Runs made at the same time, each on its own processors [default: as many as there are
    /// processors for; one with workers and on wgpu]
    #[arg(long, value_name = "N", value_parser = threads, help_heading = "Machine")]
    pub jobs: Option<usize>,
}

/// The flags that every experiment has, whatever it is.
#[derive(Debug, Clone, Args)]
pub struct CallArgs {
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// No flags.
#[derive(Debug, Clone, Args)]
pub struct NoArgs {}

/// How long it learns, and from which seeds.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Length")]
pub struct LengthArgs {
    /// Training steps [default: adder 20000, images 2500, or as the preset says]
    #[arg(long, value_name = "N", value_parser = length, conflicts_with = "epochs")]
    pub steps: Option<usize>,

    /// Training length in passes through the examples, instead of --steps
    #[arg(long, value_name = "N", value_parser = length)]
    pub epochs: Option<usize>,

    #[command(flatten)]
    pub seeds: SeedArgs,
}

/// From which seeds it learns.
#[derive(Debug, Clone, Default, Args)]
pub struct SeedArgs {
    /// Seed of all random numbers [default: 1]
    #[arg(long, value_name = "N", value_parser = seed)]
    pub seed: Option<u64>,

    /// Runs of each method, with consecutive seeds [default: 1]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub seeds: Option<usize>,
}

/// Changes a setting if its flag was given.
pub fn set<T: Clone>(setting: &mut T, flag: &Option<T>) {
    if let Some(value) = flag {
        setting.clone_from(value);
    }
}

/// More of anything than memory holds, and so few that sums of such numbers, and products of two of
/// them, are numbers still: what is too much is refused where it is known why.
const MOST: usize = 1_000_000_000;

/// More steps than a hundred years have time for.
pub const MOST_STEPS: usize = 10_u64.pow(15) as usize;

/// A name that fits into a line.
fn word(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err("it must be a word, or several in one line".to_string()),
        false => Ok(text.to_string()),
    }
}

/// How many there are of something, at least one.
pub fn positive(text: &str) -> Result<usize, String> {
    whole_from(1, MOST, text)
}

/// How many there are of something that may be missing.
pub fn whole(text: &str) -> Result<usize, String> {
    whole_from(0, MOST, text)
}

/// How long something lasts, in steps or passes.
pub fn length(text: &str) -> Result<usize, String> {
    whole_from(1, MOST_STEPS, text)
}

/// A seed that a file of settings can hold.
fn seed(text: &str) -> Result<u64, String> {
    whole_from(0, i64::MAX as usize, text).map(|seed| seed as u64)
}

fn whole_from(least: usize, most: usize, text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if number < least => Err(format!("it must be at least {least}")),
        Ok(number) if number <= most => Ok(number),
        Err(error) if *error.kind() != IntErrorKind::PosOverflow => {
            Err(format!("it must be a whole number from {least}"))
        }
        _ => Err(format!("choose up to {most}")),
    }
}

/// A number of threads.
pub fn threads(text: &str) -> Result<usize, String> {
    let threads = positive(text)?;
    check_threads(threads).map_err(|misuse| misuse.0)?;
    Ok(threads)
}

/// Refuses more threads than any machine is quick with.
pub fn check_threads(threads: usize) -> Result<(), Misuse> {
    const MOST: usize = 1_024;
    match threads > MOST {
        true => Err(Misuse(format!(
            "{threads} threads are too many; choose up to {MOST}"
        ))),
        false => Ok(()),
    }
}

/// A finite number above 0.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("it must be a number above 0".to_string()),
    }
}

/// A finite number from 0.
pub fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err("it must be a number from 0".to_string()),
    }
}

/// A number above 0 and up to 1.
pub fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1.0 => Ok(number),
        _ => Err("it must be a number above 0 and up to 1".to_string()),
    }
}

/// Refuses learning rates that no flag accepts, but a settings file that was edited may hold.
pub fn check_rates(rates: &[Option<f64>]) -> Result<(), Misuse> {
    for rate in rates.iter().flatten() {
        if !(*rate > 0.0 && rate.is_finite()) {
            return Err(Misuse(format!(
                "a learning rate must be a number above 0, not {rate}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_both_bounds() {
        for (text, expected) in [
            ("1", Ok(1)),
            ("1000000000", Ok(MOST)),
            ("0", Err("it must be at least 1")),
            ("1000000001", Err("choose up to 1000000000")),
            ("99999999999999999999999", Err("choose up to 1000000000")),
            ("-1", Err("it must be a whole number from 1")),
            ("1.5", Err("it must be a whole number from 1")),
            ("", Err("it must be a whole number from 1")),
        ] {
            assert_eq!(positive(text), expected.map_err(String::from), "{text}");
        }
        assert_eq!(whole("0"), Ok(0));
        assert!(whole("1000000001").is_err());
        assert_eq!(length("1000000000000000"), Ok(MOST_STEPS));
        assert!(length("1000000000000001").is_err());
        assert_eq!(seed("9223372036854775807"), Ok(i64::MAX as u64));
        assert!(seed("9223372036854775808").is_err());
    }
}
