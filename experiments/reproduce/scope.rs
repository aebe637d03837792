//! How much the runs of a table may cost.

use clap::ValueEnum;
use serde::Deserialize;

/// The length of the runs, and how many there are of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Scope {
    /// Minutes for the whole table, to see that everything runs; most claims need longer runs
    Quick,
    /// The settings of experiments/README.md
    #[default]
    Standard,
    /// The paper's own settings and lengths, as far as it gives them: days
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
}

/// A value for each budget, or the same for all.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum PerScope<T> {
    Each {
        quick: Option<T>,
        standard: T,
        paper: Option<T>,
    },
    Same(T),
}

impl<T> PerScope<T> {
    pub fn of(&self, scope: Scope) -> &T {
        match (self, scope) {
            (Self::Same(value), _) => value,
            (
                Self::Each {
                    quick, standard, ..
                },
                Scope::Quick,
            ) => quick.as_ref().unwrap_or(standard),
            (Self::Each { standard, .. }, Scope::Standard) => standard,
            (
                Self::Each {
                    standard, paper, ..
                },
                Scope::Paper,
            ) => paper.as_ref().unwrap_or(standard),
        }
    }
}

impl<T: Default> Default for PerScope<T> {
    fn default() -> Self {
        Self::Same(T::default())
    }
}
