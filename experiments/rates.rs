//! Schedules of the learning rate, as flags have them.

use std::fmt;
use std::str::FromStr;

use dni::LrSchedule;
use serde::{Deserialize, Serialize};

/// When learning rates drop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RateSchedule {
    /// Never.
    Constant,
    /// To a tenth for the last fifth of the steps.
    End,
    /// To a tenth after three fifths of the steps, and again after four fifths.
    Paper,
    /// From these steps on by these factors.
    Drops(Vec<(usize, f64)>),
}

impl RateSchedule {
    /// What settings mean that do not say it, as they are older than the schedule.
    pub fn constant() -> Self {
        Self::Constant
    }

    /// The schedule of a run of so many steps.
    pub fn of_run(&self, steps: usize) -> LrSchedule {
        match self {
            Self::Constant => LrSchedule::default(),
            Self::End => LrSchedule::at_end(steps),
            Self::Paper => LrSchedule::paper(steps),
            Self::Drops(drops) => {
                LrSchedule::drops(drops.clone()).expect("they were checked when they were read")
            }
        }
    }
}

impl fmt::Display for RateSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.pad("constant"),
            Self::End => f.pad("end"),
            Self::Paper => f.pad("paper"),
            Self::Drops(drops) => {
                let drops = drops.iter();
                let drops: Vec<String> = drops.map(|(s, f)| format!("{s}:{f}")).collect();
                f.pad(&drops.join(","))
            }
        }
    }
}

impl FromStr for RateSchedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "constant" => return Ok(Self::Constant),
            "end" => return Ok(Self::End),
            "paper" => return Ok(Self::Paper),
            _ => {}
        }
        let drops: Option<Vec<(usize, f64)>> = text
            .split(',')
            .map(|drop| {
                let (step, factor) = drop.split_once(':')?;
                Some((step.parse().ok()?, factor.parse().ok()?))
            })
            .collect();
        let drops = drops.ok_or(
            "choose constant, end, paper or STEP:FACTOR,... as in 3000:0.1,4000:0.1".to_string(),
        )?;
        LrSchedule::drops(drops.clone()).map_err(|error| error.to_string())?;
        Ok(Self::Drops(drops))
    }
}

impl TryFrom<String> for RateSchedule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RateSchedule> for String {
    fn from(schedule: RateSchedule) -> Self {
        schedule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_what_they_name() {
        for name in ["constant", "end", "paper", "300:0.1", "300:0.1,400:0.5"] {
            assert_eq!(name.parse::<RateSchedule>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for name in [
            "",
            "cosine",
            "300",
            "300:",
            "300:0",
            "300:-1",
            "400:0.1,300:0.1",
        ] {
            assert!(name.parse::<RateSchedule>().is_err(), "{name}");
        }
    }
}
