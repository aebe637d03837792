//! What tables.toml says under a budget: which of several values holds, what its {words} stand for, and
//! the calls that stand there as one.

use std::mem;
use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::Deserialize;
use toml::{Table, Value};

use super::study::Study;

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
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("all can be chosen");
        value.get_name().to_string()
    }
}

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What stands for {names} in all tables.
    words: Table,
    table: Vec<Entry>,
}

/// A table, as it is called on the command line and in the comments of a page.
#[derive(Clone, Deserialize)]
struct Entry {
    name: String,
    about: String,
    /// What stands for {names} in it.
    #[serde(default)]
    words: Table,
    #[serde(flatten)]
    table: Table,
}

static FILE: LazyLock<File> = LazyLock::new(|| {
    toml::from_str(include_str!("tables.toml")).expect("a test reads the tables of the program")
});

/// The names of all tables, and what they are about, in the order of the help.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tables = FILE.table.iter();
    tables.map(|table| (&*table.name, &*table.about))
}

/// Reads the name of a table.
pub fn parser() -> PossibleValuesParser {
    let values = names().map(|(name, about)| PossibleValue::new(name).help(about));
    PossibleValuesParser::new(values)
}

/// The table of a name under a budget.
///
/// # Panics
///
/// If there is none, which [`parser`] refuses.
pub fn study(name: &str, scope: Scope) -> Study {
    let mut tables = FILE.table.iter();
    let entry = tables.find(|entry| entry.name == name);
    let entry = entry.expect("no other name is possible").clone();
    let mut words = FILE.words.clone();
    words.extend(entry.words);
    under(scope, entry.table, words).expect("a test reads the tables of the program")
}

/// A table under a budget.
pub fn under(scope: Scope, table: Table, words: Table) -> Result<Study, toml::de::Error> {
    let [mut table, words] = [table, words].map(|values| {
        let mut values = Value::Table(values);
        walk(&mut values, &|value| choose(value, scope));
        values
    });
    fill(&mut table, words.as_table().expect("it was one"));
    if let Some(Value::Array(calls)) = table.get_mut("calls") {
        *calls = mem::take(calls).into_iter().flat_map(expand).collect();
    }
    Ok(table.try_into::<Study>()?.of(scope))
}

/// Changes a value, and then all that it is made of.
fn walk(value: &mut Value, change: &impl Fn(&mut Value)) {
    change(value);
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| walk(value, change)),
        Value::Array(values) => values.iter_mut().for_each(|value| walk(value, change)),
        _ => {}
    }
}

/// Leaves of a value that has several, one for each budget, that of this budget.
fn choose(value: &mut Value, scope: Scope) {
    if let Value::Table(each) = value
        && let Some(standard) = each.remove("standard")
    {
        *value = each.remove(&scope.name()).unwrap_or(standard);
    }
}

/// Puts words in the place of their {names}: in texts, or as whole values.
///
/// # Panics
///
/// If a word stands for itself.
fn fill(value: &mut Value, words: &Table) {
    let places = words
        .iter()
        .map(|(name, word)| (format!("{{{name}}}"), word));
    let places: Vec<_> = places.collect();
    walk(value, &|value| {
        // There may be more in what is put there.
        let mut left = 2 * places.len();
        while let Some(text) = value.as_str()
            && let Some((place, word)) = places.iter().find(|(place, _)| text.contains(place))
        {
            assert!(left > 0, "the word {place} stands for itself");
            left -= 1;
            *value = match word {
                word if text == place => (*word).clone(),
                Value::String(word) => text.replace(place, word).into(),
                word => text.replace(place, &word.to_string()).into(),
            };
        }
    });
}

/// The calls that a call stands for.
fn expand(mut call: Value) -> Vec<Value> {
    let each = call.as_table_mut().and_then(|call| call.remove("each"));
    each.map_or_else(|| vec![call.clone()], |each| filled(&call, &each))
}

/// The calls of a call and its `each`: of a table, the i-th call has the i-th words of all lists, and all
/// have what is no list; of a list of such tables, there is one for every combination.
fn filled(call: &Value, each: &Value) -> Vec<Value> {
    let Some(words) = each.as_table() else {
        let parts = each.as_array().into_iter().flatten();
        return parts.fold(vec![call.clone()], |calls, part| {
            calls.iter().flat_map(|call| filled(call, part)).collect()
        });
    };
    let lists = words.values().filter_map(Value::as_array);
    let at = |i: usize| {
        let own = |word: &Value| match word {
            Value::Array(list) => list[i].clone(),
            word => word.clone(),
        };
        let words = words.iter().map(|(name, list)| (name.clone(), own(list)));
        let mut call = call.clone();
        fill(&mut call, &words.collect());
        call
    };
    (0..lists.map(Vec::len).max().unwrap_or(1))
        .map(at)
        .collect()
}
