//! The table of a run: a row for every record, a column for every metric.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::folder::write_atomically;
use crate::error::{Error, Result};
use crate::train::{Event, Scalars};

/// `scalars.csv` of a run that is at work.
///
/// Losses and rates have their columns from the beginning. What is found on the way, by evaluations and
/// comparisons, gets one when it first appears: the rows before are then filled up with empty cells.
pub(super) struct Table {
    path: PathBuf,
    file: BufWriter<File>,
    columns: Vec<String>,
    /// How many of them are those of step, time and losses, which nothing else is written to.
    own: usize,
    /// The interfaces with a synthesizer, with an input model, and with an auxiliary task.
    of_interfaces: [Vec<usize>; 3],
    /// The step of the last record, and its cells as far as they are known.
    row: Option<(usize, Vec<String>)>,
}

impl Table {
    /// Begins a table with the columns of these losses.
    pub fn create(path: &Path, names: &[&str], of_interfaces: [Vec<usize>; 3]) -> Result<Self> {
        let mut columns = columns_of(names, &of_interfaces);
        let own = columns.len();
        columns.push(RATE_FACTOR.to_string());
        Ok(Self {
            path: path.to_path_buf(),
            file: BufWriter::new(replaced(path, &columns, &[])?),
            columns,
            own,
            of_interfaces,
            row: None,
        })
    }

    /// Goes on with a table that was `length` bytes long, or longer by new columns since, at the
    /// checkpoint of a step: what came after is cut off. Older versions wrote losses alone.
    pub fn reopen(
        path: &Path,
        (length, step): (u64, usize),
        names: &[&str],
        of_interfaces: [Vec<usize>; 3],
    ) -> Result<Self> {
        let damaged = |reason: String| Error::Damaged {
            path: path.to_path_buf(),
            reason,
        };
        let text = fs::read(path).map_err(Error::io("open", path))?;
        let found = text.len() as u64;
        if found < length {
            return Err(damaged(format!(
                "it is shorter than at the last checkpoint: {found} bytes"
            )));
        }
        // A program that was killed may have left half a line.
        let end = text.iter().rposition(|&byte| byte == b'\n');
        let text = &text[..end.map_or(0, |end| end + 1)];
        let mut rows = rows_of(text).map_err(|error| damaged(error.to_string()))?;
        if rows.is_empty() {
            return Err(damaged("it has no header".to_string()));
        }
        let columns = rows.remove(0);
        rows.retain(|row| {
            let of_row = row.first().and_then(|cell| cell.parse::<usize>().ok());
            of_row.is_some_and(|of_row| of_row <= step)
        });
        // Those of another network, which its parameters will not fit, may be fewer.
        let own = columns_of(names, &of_interfaces).len().min(columns.len());
        Ok(Self {
            path: path.to_path_buf(),
            file: BufWriter::new(replaced(path, &columns, &rows)?),
            columns,
            own,
            of_interfaces,
            row: None,
        })
    }

    /// Takes down what an event has for the table.
    pub fn hear(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Progress(scalars) => self.begin_row(scalars),
            Event::Evaluated { step, metrics } => {
                let metrics = metrics.iter().map(|(name, value)| (name.clone(), *value));
                self.fill(*step, metrics.collect())
            }
            Event::Compared { step, interfaces } => {
                let metrics = interfaces.iter().flat_map(|quality| {
                    let column = |name| format!("{name}_{}", quality.name);
                    let metrics = quality.metrics();
                    metrics.map(move |(name, metric)| (column(name), metric))
                });
                self.fill(*step, metrics.collect())
            }
            Event::Finished { .. } | Event::Interrupted { .. } | Event::Saved { .. } => {
                self.end_row()
            }
            Event::Started { .. } | Event::Traced { .. } => Ok(()),
        }
    }

    fn begin_row(&mut self, scalars: &Scalars) -> Result<()> {
        self.end_row()?;
        let mut cells = vec![
            scalars.step.to_string(),
            scalars.seconds.to_string(),
            scalars.loss.to_string(),
        ];
        for (interfaces, losses) in self.of_interfaces.iter().zip(scalars.losses()) {
            let of_interface = |i: &usize| losses.get(*i).copied().flatten();
            cells.extend(interfaces.iter().map(of_interface).map(cell));
        }
        self.row = Some((scalars.step, cells));
        let factor = (RATE_FACTOR.to_string(), scalars.rate_factor);
        self.fill(scalars.step, BTreeMap::from([factor]))
    }

    /// Fills cells of the row of a step, by the names of their columns. What belongs to no record is
    /// left to the events.
    fn fill(&mut self, step: usize, metrics: BTreeMap<String, f64>) -> Result<()> {
        if self.row.as_ref().is_none_or(|(of_row, _)| *of_row != step) {
            return Ok(());
        }
        let known = &self.columns[self.own..];
        let new = metrics.keys().filter(|name| !known.contains(name)).cloned();
        let new: Vec<String> = new.collect();
        self.add_columns(new)?;
        let Some((_, cells)) = &mut self.row else {
            return Ok(());
        };
        for (name, value) in metrics {
            let found = self.columns[self.own..]
                .iter()
                .position(|known| *known == name);
            let Some(i) = found.map(|i| self.own + i) else {
                continue;
            };
            if cells.len() <= i {
                cells.resize(i + 1, String::new());
            }
            cells[i] = cell(Some(value));
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<()> {
        if let Some((_, mut cells)) = self.row.take() {
            cells.resize(self.columns.len(), String::new());
            self.write_line(&cells)?;
        }
        Ok(())
    }

    /// Adds columns, empty in all rows so far.
    fn add_columns(&mut self, new: Vec<String>) -> Result<()> {
        if new.is_empty() {
            return Ok(());
        }
        let not_written = Error::io("write", &self.path);
        self.file.flush().map_err(not_written)?;
        let text = fs::read(&self.path).map_err(Error::io("read", &self.path))?;
        let rows = rows_of(&text).map_err(|error| Error::io("read", &self.path)(error.into()))?;
        self.columns.extend(new);
        self.file = BufWriter::new(replaced(&self.path, &self.columns, &rows[1..])?);
        Ok(())
    }

    fn write_line(&mut self, cells: &[String]) -> Result<()> {
        let not_written = Error::io("write", &self.path);
        self.file.write_all(&line(cells)).map_err(not_written)
    }

    /// Brings it to disk, with the row at hand; its length in bytes.
    pub fn sync(&mut self) -> Result<u64> {
        self.end_row()?;
        super::folder::sync(&mut self.file, &self.path)
    }
}

/// What the learning rates are multiplied by.
const RATE_FACTOR: &str = "rate_factor";

/// The columns of step, time and losses.
fn columns_of(names: &[&str], of_interfaces: &[Vec<usize>; 3]) -> Vec<String> {
    let losses = of_interfaces.iter().zip(Scalars::LOSSES);
    let losses =
        losses.flat_map(|(which, loss)| which.iter().map(move |i| format!("{loss}_{}", names[*i])));
    let first = ["step", "seconds", "loss"].map(String::from).into_iter();
    first.chain(losses).collect()
}

/// What stands in the table for a metric: nothing for one that is missing or no number.
fn cell(metric: Option<f64>) -> String {
    let metric = metric.filter(|metric| metric.is_finite());
    metric.map_or_else(String::new, |metric| metric.to_string())
}

/// A line of the table.
fn line(cells: &[String]) -> Vec<u8> {
    let mut line = csv::Writer::from_writer(Vec::new());
    // Nothing can go wrong in memory.
    line.write_record(cells).expect("a row has a cell");
    line.into_inner().expect("memory can be written")
}

/// The lines of a table, its header first.
fn rows_of(text: &[u8]) -> csv::Result<Vec<Vec<String>>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).from_reader(text);
    let rows = reader.records().map(|row| {
        let row = row?;
        Ok(row.iter().map(String::from).collect())
    });
    rows.collect()
}

/// Writes a table in the place of what is there, rows filled up; the file, to be written to at its end.
fn replaced(path: &Path, columns: &[String], rows: &[Vec<String>]) -> Result<File> {
    let mut text = line(columns);
    for row in rows {
        let mut row = row.clone();
        row.resize(columns.len(), String::new());
        text.extend(line(&row));
    }
    write_atomically(path, &text)?;
    let file = OpenOptions::new().append(true).open(path);
    file.map_err(Error::io("open", path))
}
