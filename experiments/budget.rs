//! How much a run may cost, as flags have it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use dni::train::Plan;
use serde::{Deserialize, Serialize};

use crate::args::{MOST_STEPS, MachineArgs, SeedArgs, length};
use crate::comparison::Common;

/// How long it learns, and from which seeds.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Length")]
pub struct BudgetArgs {
    /// Length of a run in training steps (windows), as 20000, or in minutes, as 5m [default: copy
    /// 20000, rows 6000, text 3000]
    #[arg(long, visible_alias = "steps", value_name = "N|Nm")]
    budget: Option<Budget>,

    #[command(flatten)]
    pub seeds: SeedArgs,
}

impl BudgetArgs {
    /// Changes what flags were given for; the budget, `base` if there was none.
    pub fn set<M: PartialEq + fmt::Display>(
        &self,
        common: &mut Common<M>,
        base: Budget,
        machine: &MachineArgs,
    ) -> Budget {
        common.set_seeds(&self.seeds, machine);
        let budget = self.budget.unwrap_or(base);
        common.steps = budget.steps();
        budget
    }
}

/// A number of steps, or of minutes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Budget {
    Steps(usize),
    Minutes(f64),
}

impl Budget {
    /// Steps, up to as many as a file of settings can hold.
    pub fn steps(self) -> usize {
        match self {
            Self::Steps(steps) => steps,
            Self::Minutes(_) => i64::MAX as usize,
        }
    }

    /// Whether it is more than another one of the same kind.
    pub fn is_longer_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::Steps(own), Self::Steps(other)) => own > other,
            (Self::Minutes(own), Self::Minutes(other)) => own > other,
            _ => false,
        }
    }

    /// Steps in one of so many parts, at least one; of a time nobody knows how many there are.
    pub fn share(self, parts: usize) -> usize {
        match self {
            Self::Steps(steps) => (steps / parts).max(1),
            Self::Minutes(_) => 500,
        }
    }

    /// A plan of a run that is evaluated, and whose synthetic future is looked at, so many times.
    pub fn plan<M: PartialEq + fmt::Display>(
        self,
        common: &Common<M>,
        evaluations: usize,
        comparisons: usize,
    ) -> Plan<()> {
        let plan = common.plan(100, self.share(evaluations), ());
        let at_record = |every: usize| Some(every.next_multiple_of(plan.record_every));
        Plan {
            time: self.time(),
            evaluate_every: at_record(self.share(evaluations)),
            // Each costs a few steps.
            compare_every: at_record(self.share(comparisons).max(200)),
            ..plan
        }
    }

    pub fn time(self) -> Option<Duration> {
        match self {
            Self::Steps(_) => None,
            Self::Minutes(minutes) => Some(Duration::from_secs_f64(60.0 * minutes)),
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => f.pad(&steps.to_string()),
            Self::Minutes(minutes) => f.pad(&format!("{minutes}m")),
        }
    }
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        /// Hundred years.
        const MOST_MINUTES: f64 = 5e7;
        let budget = match text.strip_suffix('m') {
            Some(minutes) => minutes.parse().ok().map(Self::Minutes),
            None => length(text).ok().map(Self::Steps),
        };
        budget
            .filter(|budget| match *budget {
                Self::Steps(_) => true,
                Self::Minutes(minutes) => minutes > 0.0 && minutes <= MOST_MINUTES,
            })
            .ok_or_else(|| {
                format!(
                    "choose a number of steps, as 20000, or of minutes, as 5m, above 0 and up to \
                     {MOST_STEPS} steps or {MOST_MINUTES} minutes"
                )
            })
    }
}

impl TryFrom<String> for Budget {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        budget.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_what_they_name() {
        for name in ["1", "20000", "5m", "0.5m"] {
            assert_eq!(name.parse::<Budget>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for name in [
            "",
            "0",
            "-1",
            "1000000000000001",
            "m",
            "0m",
            "-1m",
            "NaNm",
            "infm",
            "1e9m",
            "5 m",
            "5h",
        ] {
            assert!(name.parse::<Budget>().is_err(), "{name}");
        }
    }
}
