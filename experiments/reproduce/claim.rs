//! Claims about the figures of a table, and what is in their way.

use std::collections::BTreeSet;

use super::study::Study;

/// A cell of a table: its row and its column of figures.
pub type Place = (usize, usize);

/// The places of all figures that do not satisfy the comparisons of a claim, as
/// `cdni <= 2 * backprop[3] + 0.5`, row by row. A figure that is not a number satisfies nothing.
///
/// # Panics
///
/// If one of them is no comparison: a test reads those of all tables.
pub fn failures(
    comparisons: &[String],
    study: &Study,
    figure: impl Fn(Place) -> f64,
) -> BTreeSet<Place> {
    let comparisons = comparisons.iter().flat_map(|text| {
        failing(text, study, &figure)
            .unwrap_or_else(|| panic!("there is no such comparison: {text}"))
    });
    comparisons.collect()
}

/// The places that do not satisfy one comparison, about one row or all.
fn failing(text: &str, study: &Study, figure: &impl Fn(Place) -> f64) -> Option<Vec<Place>> {
    /// Figures have few digits, so that no more than rounding is let pass.
    const SLACK: f64 = 1e-9;
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
    let (row, column) = place(left, study)?;
    let mut failing = Vec::new();
    let rows = &study.table.rows;
    for row in row.map_or(0..rows.len(), |row| row..row + 1) {
        let limit = match *limit {
            "published" => rows[row].published(column).parse().ok()?,
            limit => match limit.parse() {
                Ok(number) => number,
                Err(_) => {
                    let (other, column) = place(limit, study)?;
                    figure((other.unwrap_or(row), column))
                }
            },
        };
        let (limit, value) = (times * limit + plus, figure((row, column)));
        let holds = match *sign {
            "<=" => value <= limit + SLACK,
            _ => value >= limit - SLACK,
        };
        failing.extend((!holds).then_some((row, column)));
    }
    Some(failing)
}

/// What `COLUMN[ROW]` names, or `COLUMN` in any row.
fn place(text: &str, study: &Study) -> Option<(Option<usize>, usize)> {
    let (column, row) = match text.split_once('[') {
        Some((column, row)) => {
            let key = row.strip_suffix(']')?;
            let mut rows = study.table.rows.iter();
            (column, Some(rows.position(|row| row.key() == key)?))
        }
        None => (text, None),
    };
    let mut columns = study.table.columns.iter();
    Some((row, columns.position(|own| own.key() == column)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::data::Table;
    use crate::reproduce::scope::Scope;

    /// Two rows and two columns.
    fn study() -> Study {
        let table: Table = toml::from_str(
            r#"
            calls = [{ folder = "all", line = "images", methods = ["dni"], steps = [1] }]
            columns = [{ name = "a" }, { name = "b-c" }]
            rows = [
                { name = "3", published = ["1.5"] },
                { name = "4", published = ["3.5"] },
            ]
            "#,
        )
        .unwrap();
        table.study(Scope::Standard)
    }

    #[test]
    fn figures_are_held_against_numbers_and_other_figures() {
        let figure = |(row, column): Place| [[1.0, 2.0], [3.0, f64::NAN]][row][column];
        for (holds, expected) in [
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
            let failed = failures(&[holds.to_string()], &study(), figure);
            assert!(failed.iter().eq(expected), "{holds}: {failed:?}");
        }
        let both = ["a >= 5", "a >= 7"].map(str::to_string);
        let failed = failures(&both, &study(), figure);
        assert_eq!(failed.len(), 2, "each place once");
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
            let failing = failing(nonsense, &study(), &|_| 0.0);
            assert!(failing.is_none(), "{nonsense}");
        }
    }
}
