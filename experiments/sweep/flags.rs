//! Flags with several values, and all their combinations.

use std::fmt;

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::args::Misuse;
use crate::registry::Entry;

/// Flags of which a sweep has a single value, by the names of their fields: they say where it runs and
/// what it leaves, or what all its runs share.
const OF_ALL: [&str; 13] = [
    "run_dir",
    "name",
    "tags",
    "format",
    "jobs",
    "quiet",
    "tensorboard",
    "seeds",
    "methods",
    "kernel_threads",
    "data_dir",
    "token_file",
    "sort",
];

/// Flags that a sweep has no use for.
const REFUSED: [&str; 5] = ["resume", "dashboard", "show", "load", "sample"];

/// The flags of a call, with all values of each.
pub struct Given {
    entry: &'static Entry,
    flags: Vec<Flag>,
}

struct Flag {
    /// The name of its field, and its own.
    id: String,
    long: String,
    /// None for a switch.
    values: Vec<String>,
}

/// One value for each flag that has several.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Combination(pub Vec<(String, String)>);

/// A command whose flags may be given several times, each with any text.
pub fn command(entry: &Entry) -> Command {
    let command = entry.command().mut_args(|arg| {
        let is_refused = REFUSED.contains(&arg.get_id().as_str());
        let arg = arg.hide(is_refused);
        match arg.get_action().takes_values() {
            true => arg
                .action(ArgAction::Append)
                .value_parser(ValueParser::string())
                .value_delimiter(None),
            false => arg,
        }
    });
    command.after_help(super::HELP).arg(
        Arg::new("sort")
            .long("sort")
            .value_name("FIGURE")
            .allow_hyphen_values(true)
            .action(ArgAction::Append)
            .help_heading("Output")
            .help(
                "Figure of the results to sort the table by, as steps_per_second or test.error, \
                 the least first, or with - before it the greatest first [default: how well the \
                 task was learned, the best first]",
            ),
    )
}

impl Given {
    /// What is given on a command line.
    pub fn new(entry: &'static Entry, matches: &ArgMatches) -> Result<Self, Misuse> {
        let own = entry.command();
        let is_given = |arg: &&Arg| {
            let source = matches.value_source(arg.get_id().as_str());
            source == Some(ValueSource::CommandLine)
        };
        let all = command(entry);
        let mut flags = Vec::new();
        for arg in all.get_arguments().filter(is_given) {
            let id = arg.get_id().as_str();
            let long = arg.get_long().unwrap_or(id).to_string();
            if REFUSED.contains(&id) {
                return Err(Misuse(format!(
                    "--{long} is for a single call; leave it out of a sweep"
                )));
            }
            let takes_values = arg.get_action().takes_values();
            let values = takes_values.then(|| matches.get_many::<String>(id));
            let values = values.flatten().into_iter().flatten();
            let values = values.flat_map(|value| alternatives(&own, id, &long, value));
            flags.push(Flag {
                id: id.to_string(),
                values: values.collect(),
                long,
            });
        }
        let mut given = Self { entry, flags };
        given.join("methods");
        given.join("tags");
        given.check()?;
        Ok(given)
    }

    /// A list that was given in parts is one list.
    fn join(&mut self, id: &str) {
        let flags = self.flags.iter_mut();
        for flag in flags.filter(|flag| flag.id == id) {
            flag.values = vec![flag.values.join(",")];
        }
    }

    fn check(&self) -> Result<(), Misuse> {
        let mut swept = self.flags.iter().filter(|flag| flag.values.len() > 1);
        if let Some(flag) = swept.clone().find(|flag| OF_ALL.contains(&&*flag.id)) {
            return Err(Misuse(format!(
                "--{} cannot be swept: it is the same for all runs of a sweep; give it once",
                flag.long
            )));
        }
        if swept.next().is_none() {
            return Err(Misuse(
                "nothing is swept; give a flag several values, as in --lr 0.001,0.003 or \
                 --layers 64,32 --layers 128,64"
                    .to_string(),
            ));
        }
        let repeated = self.flags.iter().find(|flag| {
            let mut values = flag.values.iter().enumerate();
            values.any(|(i, value)| flag.values[..i].contains(value))
        });
        match repeated {
            Some(flag) => Err(Misuse(format!(
                "--{} has a value twice; give each once",
                flag.long
            ))),
            None => Ok(()),
        }
    }

    /// The only value of a flag, if it was given.
    pub fn of_all(&self, id: &str) -> Option<&str> {
        let flag = self.flags.iter().find(|flag| flag.id == id)?;
        flag.values.first().map(String::as_str)
    }

    pub fn has(&self, id: &str) -> bool {
        self.flags.iter().any(|flag| flag.id == id)
    }

    /// The names of flags with several values.
    pub fn swept(&self) -> Vec<&str> {
        let swept = self.flags.iter().filter(|flag| flag.values.len() > 1);
        swept.map(|flag| flag.long.as_str()).collect()
    }

    /// Every combination of the values, the last flag fastest.
    pub fn combinations(&self) -> Vec<Combination> {
        let mut all = vec![Combination::default()];
        for flag in self.flags.iter().filter(|flag| flag.values.len() > 1) {
            let with = |known: Combination| {
                flag.values.iter().map(move |value| {
                    let mut more = known.clone();
                    more.0.push((flag.long.clone(), value.clone()));
                    more
                })
            };
            all = all.into_iter().flat_map(with).collect();
        }
        all
    }

    /// The words of a call of the experiment: what all have, but for what the sweep says itself, and
    /// what is one combination's own.
    pub fn words(&self, combination: &Combination) -> Vec<String> {
        const OWN: [&str; 5] = ["run_dir", "format", "jobs", "quiet", "sort"];
        let mut words = vec![self.entry.name.to_string()];
        let common = self.flags.iter().filter(|flag| flag.values.len() < 2);
        for flag in common.filter(|flag| !OWN.contains(&&*flag.id)) {
            words.push(match flag.values.first() {
                Some(value) => format!("--{}={value}", flag.long),
                None => format!("--{}", flag.long),
            });
        }
        let own = combination.0.iter();
        words.extend(own.map(|(flag, value)| format!("--{flag}={value}")));
        words
    }

    /// The words that make the sweep again, but for its folder.
    pub fn all_words(&self) -> Vec<String> {
        let mut words = vec![self.entry.name.to_string()];
        for flag in self.flags.iter().filter(|flag| flag.id != "run_dir") {
            match flag.values[..] {
                [] => words.push(format!("--{}", flag.long)),
                _ => {
                    let values = flag.values.iter();
                    words.extend(values.map(|value| format!("--{}={value}", flag.long)));
                }
            }
        }
        words
    }
}

/// What a text stands for: one value if the flag takes it as one, or else those between its commas.
fn alternatives(own: &Command, id: &str, long: &str, text: &str) -> Vec<String> {
    let arg = own.get_arguments().find(|arg| arg.get_id() == id);
    let is_list = arg.is_none_or(|arg| arg.get_value_delimiter().is_some());
    if is_list || !text.contains(',') || takes(own, long, text) {
        return vec![text.to_string()];
    }
    text.split(',').map(String::from).collect()
}

/// Whether a flag takes a text as its value.
fn takes(own: &Command, long: &str, text: &str) -> bool {
    let words = [own.get_name().to_string(), format!("--{long}={text}")];
    match own.clone().try_get_matches_from(words) {
        Ok(_) => true,
        Err(error) => !matches!(
            error.kind(),
            ErrorKind::ValueValidation | ErrorKind::InvalidValue
        ),
    }
}

impl Combination {
    /// The name of its folder.
    pub fn folder(&self) -> String {
        let is_plain = |c: char| c.is_alphanumeric() || "=,._-".contains(c);
        let name = self.to_string();
        name.chars()
            .map(|c| if is_plain(c) { c } else { '-' })
            .collect()
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.iter().map(|(flag, value)| format!("{flag}={value}"));
        f.write_str(&parts.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(words: &str) -> Result<Given, Misuse> {
        let entry = Entry::find("images").expect("there are images");
        let words = ["images"].into_iter().chain(words.split(' '));
        let matches = command(entry).try_get_matches_from(words);
        Given::new(entry, &matches.expect("any value will do"))
    }

    fn combined(words: &str) -> Vec<String> {
        let given = given(words).unwrap_or_else(|misuse| panic!("{misuse}"));
        let all = given.combinations().into_iter();
        all.map(|combination| given.words(&combination).join(" "))
            .collect()
    }

    #[test]
    fn every_combination_is_a_call() {
        assert_eq!(
            combined("--lr 0.1,0.2 --unlock --depth 3 --depth 4 --seeds 2 --jobs 2"),
            [
                "images --unlock --seeds=2 --depth=3 --lr=0.1",
                "images --unlock --seeds=2 --depth=3 --lr=0.2",
                "images --unlock --seeds=2 --depth=4 --lr=0.1",
                "images --unlock --seeds=2 --depth=4 --lr=0.2",
            ]
            .map(String::from)
        );
    }

    #[test]
    fn what_a_flag_takes_as_one_value_is_one() {
        let schedules = "--lr-schedule 10:0.1,20:0.1 --lr-schedule constant,end";
        let schedules = combined(schedules);
        assert_eq!(schedules.len(), 3);
        assert!(schedules[0].contains("--lr-schedule=10:0.1,20:0.1"));
        let lists = combined("--sections 2,2 --sections 4 --method dni,cdni --method none");
        assert_eq!(lists.len(), 2);
        assert!(lists[0].contains("--method=dni,cdni,none"), "{lists:?}");
        assert!(lists[0].contains("--sections=2,2"), "{lists:?}");
    }

    #[test]
    fn what_cannot_be_swept_is_refused() {
        for (words, said) in [
            ("--steps 10", "nothing is swept"),
            ("--lr 0.1 --lr 0.1", "--lr has a value twice"),
            ("--seeds 1,2", "--seeds cannot be swept"),
            ("--lr 0.1,0.2 --run-dir a --run-dir b", "--run-dir cannot"),
            ("--lr 0.1,0.2 --resume a", "--resume is for a single call"),
            ("--lr 0.1,0.2 --dashboard", "--dashboard is for a single"),
        ] {
            let refused = given(words).err().map(|misuse| misuse.0);
            assert!(
                refused.as_ref().is_some_and(|reason| reason.contains(said)),
                "{words}: {refused:?}"
            );
        }
    }

    #[test]
    fn folders_have_plain_names() {
        let value = |flag: &str, value: &str| (flag.to_string(), value.to_string());
        let combination = Combination(vec![value("lr", "0.1"), value("synthesizer", "linear:16")]);
        assert_eq!(combination.folder(), "lr=0.1-synthesizer=linear-16");
    }
}
