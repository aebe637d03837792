//! Results to stdout and to files, messages to stderr.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;

use crate::dashboard;
use crate::progress::beside_bars;

/// Prints a text that ends in a line break.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}

/// What was said while a dashboard had the terminal.
static HELD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Says something on stderr, once no dashboard is on it. That nobody listens there is no reason to stop.
pub fn say(text: &str) {
    match dashboard::is_on() {
        true => held().push(text.to_string()),
        false => {
            let _ = beside_bars(|| writeln!(io::stderr().lock(), "{text}"));
        }
    }
}

/// Says what was held back.
pub fn say_held() {
    let all: Vec<String> = held().drain(..).collect();
    all.iter().for_each(|text| say(text));
}

fn held() -> MutexGuard<'static, Vec<String>> {
    // It is whole whatever panicked.
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the reader of stdout has gone, as `head` does: no failure of ours.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .root_cause()
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// An error with its causes, each said once: some messages say theirs themselves.
pub fn told(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .reduce(|told, cause| match told.contains(&cause) {
            true => told,
            false => format!("{told}: {cause}"),
        })
        .unwrap_or_default()
}

/// Refuses a file that results could not be written to, before hours have gone by.
pub fn check_file(path: &Path) -> anyhow::Result<()> {
    // Opening and closing a pipe would be the end of it to its reader.
    if !dni::run::is_stream(path) {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.with_context(|| format!("cannot write '{}'", path.display()))?;
    }
    Ok(())
}

/// How the name of a file ends, in lower case.
pub fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let reason = missing.to_string();
        let library = dni::Error::Io {
            action: "read",
            path: "a".into(),
            source: missing,
        };
        let error = anyhow::Error::new(library).context("it failed");
        assert_eq!(
            told(&error),
            format!("it failed: cannot read 'a': {reason}")
        );
    }

    #[test]
    fn names_end_alike_in_any_case() {
        assert_eq!(ending(Path::new("a.b.PNG")).as_deref(), Some("png"));
        assert_eq!(ending(Path::new("png")), None);
    }
}
