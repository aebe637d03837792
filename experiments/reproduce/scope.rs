//! How much the runs of a table may cost.

use clap::ValueEnum;
use toml::Value;

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

    /// What a value of tables.toml is under this budget, in which others may have several, by its name.
    pub fn of(self, value: Value) -> Value {
        match value {
            Value::Table(mut each) if each.contains_key("standard") => {
                let own = each.remove(self.name());
                own.unwrap_or_else(|| each.remove("standard").expect("it is there"))
            }
            Value::Table(table) => {
                let values = table.into_iter().map(|(key, value)| (key, self.of(value)));
                Value::Table(values.collect())
            }
            Value::Array(values) => {
                Value::Array(values.into_iter().map(|value| self.of(value)).collect())
            }
            value => value,
        }
    }
}
