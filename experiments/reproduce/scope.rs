//! How much the runs of a table may cost.

use clap::ValueEnum;

/// The length of the runs, and how many there are of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Scope {
    /// Minutes for the whole table: whether everything runs; most claims take longer runs
    Quick,
    /// The settings of experiments/README.md
    #[default]
    Standard,
    /// The paper's own settings and lengths, where it says them: days
    Paper,
}

impl Scope {
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Paper => "paper",
        }
    }

    /// What stands here for each of them.
    pub fn choose<T>(self, quick: T, standard: T, paper: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Standard => standard,
            Self::Paper => paper,
        }
    }
}
