//! Claims about the figures of a table, and whether they were reached.

use std::collections::BTreeSet;

use super::data::Says;
use super::study::Row;

/// A cell of a table: its row and its column of figures.
pub type Place = (usize, usize);

/// A statement that holds if all of its comparisons do.
#[derive(Debug, Clone)]
pub struct Claim {
    pub text: String,
    comparisons: Vec<Comparison>,
}

/// What a figure must be: at most or at least `times` another figure, if there is one, and `plus`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Comparison {
    place: Place,
    at_most: bool,
    times: f64,
    figure: Option<Place>,
    plus: f64,
}

impl Claim {
    /// A claim of tables.toml, in whose text `name` takes the place of {}, about a table with such
    /// columns.
    ///
    /// # Panics
    ///
    /// If the file is wrong: a test makes all of its tables.
    pub fn new(says: &Says, name: &str, columns: &[&str], rows: &[Row]) -> Self {
        let (text, holds) = says.split_first().expect("a claim has a text");
        let comparisons = holds.iter().flat_map(|text| {
            let read = read(text, columns, rows);
            read.unwrap_or_else(|| panic!("there is no such comparison: {text}"))
        });
        Self {
            text: text.replace("{}", name),
            comparisons: comparisons.collect(),
        }
    }

    /// The places of all figures that do not satisfy it, row by row. A figure that is not a number
    /// satisfies nothing.
    pub fn failures(&self, figure: impl Fn(Place) -> f64) -> BTreeSet<Place> {
        let failed = |comparison: &&Comparison| !comparison.holds(&figure);
        let failed = self.comparisons.iter().filter(failed);
        failed.map(|comparison| comparison.place).collect()
    }
}

impl Comparison {
    fn holds(&self, figure: &impl Fn(Place) -> f64) -> bool {
        /// Figures have few digits, so that no more than rounding is let pass.
        const SLACK: f64 = 1e-9;
        let limit = self.figure.map_or(0.0, |place| self.times * figure(place)) + self.plus;
        let value = figure(self.place);
        match self.at_most {
            true => value <= limit + SLACK,
            false => value >= limit - SLACK,
        }
    }
}

/// The comparisons that a text stands for, as `cdni <= 2 * backprop[3] + 0.5`: one for each row that it
/// is about.
fn read(text: &str, columns: &[&str], rows: &[Row]) -> Option<Vec<Comparison>> {
    let place = |text: &str, row: Option<usize>| -> Option<(Option<usize>, usize)> {
        let (column, row) = match text.split_once('[') {
            Some((column, own)) => {
                let own = own.strip_suffix(']')?;
                (column, Some(rows.iter().position(|row| row.key == own)?))
            }
            None => (text, row),
        };
        Some((row, columns.iter().position(|own| *own == column)?))
    };
    let words: Vec<&str> = text.split(' ').collect();
    let [left, sign @ ("<=" | ">="), limit @ ..] = &words[..] else {
        return None;
    };
    let (times, limit) = match limit {
        [times, "*", limit @ ..] => (times.parse().ok()?, limit),
        limit => (1.0, limit),
    };
    let (limit, plus) = match limit {
        [limit] => (limit, 0.0),
        [limit, "+", plus] => (limit, plus.parse().ok()?),
        [limit, "-", minus] => (limit, -minus.parse::<f64>().ok()?),
        _ => return None,
    };
    let (only, column) = place(left, None)?;
    let about = only.map_or(0..rows.len(), |row| row..row + 1);
    let comparisons = about.map(|row| {
        let published = || rows[row].cells[column].published.parse().ok();
        let number = match *limit {
            "published" => Some(published()?),
            limit => limit.parse::<f64>().ok(),
        };
        let (figure, plus) = match number {
            Some(number) => (None, times * number + plus),
            None => {
                let (row, column) = place(limit, Some(row))?;
                (Some((row?, column)), plus)
            }
        };
        Some(Comparison {
            place: (row, column),
            at_most: *sign == "<=",
            times,
            figure,
            plus,
        })
    });
    comparisons.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::study::Cell;

    fn claim(holds: &[&str]) -> Option<Claim> {
        let row = |key: &str, published: &str| Row {
            key: key.to_string(),
            name: String::new(),
            digits: 2,
            cells: vec![
                Cell {
                    figure: None,
                    published: published.to_string()
                };
                2
            ],
        };
        let rows = [row("3", "1.5"), row("4", "3.5")];
        let comparisons = holds.iter().map(|text| read(text, &["a", "b-c"], &rows));
        let comparisons: Option<Vec<_>> = comparisons.collect();
        Some(Claim {
            text: String::new(),
            comparisons: comparisons?.concat(),
        })
    }

    #[test]
    fn figures_are_held_against_numbers_and_other_figures() {
        let figure = |(row, column): Place| [[1.0, 2.0], [3.0, f64::NAN]][row][column];
        for (holds, failures) in [
            ("a <= 3", &[][..]),
            ("a <= 1", &[(1, 0)]),
            ("a >= 1.1", &[(0, 0)]),
            ("a[4] >= 3", &[]),
            ("a[4] >= 2 * b-c[3]", &[(1, 0)]),
            ("a[4] <= 2 * b-c[3] - 1", &[]),
            ("b-c[3] <= 2 * a", &[]),
            ("b-c <= 9", &[(1, 1)]),
            ("a[3] <= b-c[4]", &[(0, 0)]),
            ("a >= published - 0.5", &[]),
            ("a >= published + 0", &[(0, 0), (1, 0)]),
            ("a <= 0.8 * published", &[(1, 0)]),
        ] {
            let claim = claim(&[holds]).unwrap_or_else(|| panic!("{holds} is one"));
            let failed: Vec<Place> = claim.failures(figure).into_iter().collect();
            assert_eq!(failed, failures, "{holds}");
        }
        let both = claim(&["a >= 5", "a >= 7"]).expect("they are comparisons");
        assert_eq!(both.failures(figure).len(), 2, "each place once");
    }

    #[test]
    fn nonsense_is_no_comparison() {
        for nonsense in [
            "",
            "a",
            "a <",
            "a <= ",
            "d <= 3",
            "a[5] <= 3",
            "a <= 2 * ",
            "a < 3",
        ] {
            assert!(claim(&[nonsense]).is_none(), "{nonsense}");
        }
    }
}
