//! Settings and their flags are one struct: its doc comments are the help, and its defaults stand there.

use std::fmt;
use std::marker::PhantomData;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// The flags of some settings: those that were given, to change settings by.
pub struct Flags<S> {
    given: ArgMatches,
    settings: PhantomData<fn() -> S>,
}

impl<S: Args> Flags<S> {
    /// Changes what flags were given for.
    pub fn set(&self, settings: &mut S) {
        let done = settings.update_from_arg_matches(&self.given);
        done.expect("the command line has been read by the same flags");
    }

    /// Whether the flag of a field was given.
    pub fn has(&self, field: &str) -> bool {
        self.given.contains_id(field)
    }
}

/// The settings that hold where no flag was given.
pub fn standard<S: Args>() -> S {
    let command = S::augment_args(Command::new("standard").no_binary_name(true));
    let matches = command.get_matches_from([""; 0]);
    S::from_arg_matches(&matches).expect("every setting has a default")
}

impl<S: Args> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        // None of them is required.
        S::augment_args_for_update(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut given = matches.clone();
        for id in matches.ids().map(|id| id.as_str()) {
            let source = matches.value_source(id);
            if source == Some(ValueSource::DefaultValue) {
                let _ = given.try_clear_id(id);
            }
        }
        Ok(Self {
            given,
            settings: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<S> Clone for Flags<S> {
    fn clone(&self) -> Self {
        Self {
            given: self.given.clone(),
            settings: PhantomData,
        }
    }
}

impl<S> fmt::Debug for Flags<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given: Vec<_> = self.given.ids().collect();
        f.debug_tuple("Flags").field(&given).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Args)]
    struct Mine {
        #[arg(long, default_value = "64,32", value_delimiter = ',')]
        layers: Vec<usize>,
        #[arg(long)]
        rate: Option<f64>,
        #[arg(long)]
        unlock: bool,
    }

    #[derive(Debug, Args)]
    struct Call {
        #[command(flatten)]
        mine: Flags<Mine>,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    }

    #[test]
    fn flags_change_what_they_were_given_for_and_nothing_else() {
        let standard: Mine = standard();
        assert_eq!(standard.layers, [64, 32]);
        let own = Mine {
            layers: vec![3],
            rate: Some(0.5),
            unlock: true,
        };
        for (line, expected) in [
            ("", own.clone()),
            (
                "--seed 2 --rate 0.1",
                Mine {
                    rate: Some(0.1),
                    ..own.clone()
                },
            ),
            (
                "--layers 64,32",
                Mine {
                    layers: vec![64, 32],
                    ..own.clone()
                },
            ),
        ] {
            let command = Call::augment_args(Command::new("call").no_binary_name(true));
            let matches = command.get_matches_from(line.split_whitespace());
            let call = Call::from_arg_matches(&matches).expect("it is a call");
            let mut settings = own.clone();
            call.mine.set(&mut settings);
            assert_eq!(settings, expected, "{line}");
            assert_eq!(call.mine.has("rate"), line.contains("--rate"));
            assert_eq!(call.seed, if line.contains("--seed") { 2 } else { 1 });
        }
    }
}
