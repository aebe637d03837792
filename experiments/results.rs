//! The results of runs in their folders.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde_json::{Value, json};

use crate::output;

/// What a run, and a call of several, has in its folder when it has come to its end: the object that
/// `--format json` prints of it.
pub const FILE: &str = "results.json";

/// Writes those of a run, or of a call, to its folder.
pub fn write(folder: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(report)? + "\n";
    Ok(dni::run::write_atomically(
        &folder.join(FILE),
        text.as_bytes(),
    )?)
}

/// Reads those of a run, or of a call, from its folder; none if there are none.
pub fn read(folder: &Path) -> anyhow::Result<Option<Value>> {
    let path = folder.join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read '{}'", path.display()))?,
    };
    let report = serde_json::from_str(&text);
    report.with_context(|| format!("'{}' is damaged; remove it", path.display()))
}

/// Those in the report of a call.
pub fn all(report: &Value) -> impl Iterator<Item = &Value> {
    report["results"].as_array().into_iter().flatten()
}

/// The runs of a call that have failed, and why, by its report.
pub fn failures(report: &Value) -> impl Iterator<Item = [&str; 2]> {
    let failures = report["failures"].as_array().into_iter().flatten();
    failures.map(|failure| ["run", "error"].map(|key| failure[key].as_str().unwrap_or_default()))
}

/// Those of a call that has failed as a whole.
pub fn failed(call: &str, error: &anyhow::Error) -> Value {
    let failure = json!({"run": call, "error": output::told(error)});
    json!({"results": [], "failures": [failure]})
}

/// Removes those of before, which are not those of a run that begins or goes on.
pub fn remove(folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove '{}'", path.display()))
        }
        _ => Ok(()),
    }
}
