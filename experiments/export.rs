//! Results of a benchmark to files.

use std::path::{Path, PathBuf};

use crate::args::Misuse;
use crate::bench::Report;
use crate::output;

/// A file that results go to, in the form that its name asks for.
pub struct Exporter {
    path: PathBuf,
    form: Form,
}

enum Form {
    Json,
    Csv,
    Markdown,
}

impl Exporter {
    /// Opens the file without changing it, so that a path that cannot be written is found out at
    /// once.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let form = match output::ending(path).as_deref() {
            Some("json") => Form::Json,
            Some("csv") => Form::Csv,
            Some("md") => Form::Markdown,
            _ => {
                return Err(Misuse(format!(
                    "cannot tell the form of '{}' by its name; end it in .json, .csv or .md",
                    path.display()
                ))
                .into());
            }
        };
        output::check_file(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            form,
        })
    }

    /// Writes the results.
    pub fn write(&self, report: &Report) -> anyhow::Result<()> {
        let text = match self.form {
            Form::Json => serde_json::to_string_pretty(report)? + "\n",
            Form::Csv => csv_of(report)?,
            Form::Markdown => report.to_markdown(),
        };
        dni::run::write_atomically(&self.path, text.as_bytes())?;
        Ok(())
    }
}

fn csv_of(report: &Report) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "backend",
        "method",
        "median_us",
        "spread_us",
        "steps_per_second",
        "examples_per_second",
        "ratio",
        "note",
    ])?;
    for row in &report.results {
        let mut record = vec![row.backend.to_string(), row.method.to_string()];
        match row.timing {
            Some(t) => record.extend(
                [
                    t.median_us,
                    t.spread_us,
                    t.steps_per_second,
                    t.examples_per_second,
                    t.ratio,
                ]
                .map(|figure| figure.to_string()),
            ),
            None => record.resize(7, String::new()),
        }
        record.push(row.note.clone().unwrap_or_default());
        writer.write_record(record)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
