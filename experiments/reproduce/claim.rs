//! Claims about the figures of a table: what must hold, as `cdni <= 2 * backprop[3] + 0.5`.

use std::collections::BTreeSet;

use super::study::{Place, Study};

impl Study {
    /// The places of all figures of one row, or of every row, that do not satisfy a comparison, by what
    /// `figure` has for a place; none if it is no comparison. What is not a number satisfies nothing.
    pub fn failing(&self, text: &str, figure: impl Fn(Place) -> f64) -> Option<BTreeSet<Place>> {
        /// Figures have few digits, so that no more than rounding is let pass.
        const SLACK: f64 = 1e-9;
        let sides = |sign| text.split_once(sign);
        let (left, right, sign) = match (sides(" <= "), sides(" >= ")) {
            (Some((left, right)), _) => (left, right, 1.0),
            (None, sides) => sides.map(|(left, right)| (left, right, -1.0))?,
        };
        let mut failing = BTreeSet::new();
        for row in 0..self.rows.len() {
            let (row, column) = self.place(left, row)?;
            let term = |word: &str| match (word, word.parse()) {
                ("published", _) => self.rows[row].published(column).parse().ok(),
                (_, Ok(number)) => Some(number),
                _ => Some(figure(self.place(word, row)?)),
            };
            let mut words = right.split(' ');
            let mut limit = term(words.next()?)?;
            let mut sums = false;
            while let Some(operation) = words.next() {
                let term = term(words.next()?)?;
                limit = match operation {
                    // After a sum it would have to be made before that.
                    "*" if !sums => limit * term,
                    "+" => limit + term,
                    "-" => limit - term,
                    _ => return None,
                };
                sums = operation != "*";
            }
            let holds = sign * figure((row, column)) <= sign * limit + SLACK;
            failing.extend((!holds).then_some((row, column)));
        }
        Some(failing)
    }

    /// What `COLUMN[ROW]` names, or `COLUMN` in a row.
    fn place(&self, text: &str, row: usize) -> Option<Place> {
        let (column, row) = match text.split_once('[') {
            Some((column, row)) => {
                let key = row.strip_suffix(']')?;
                let mut rows = self.rows.iter();
                (column, rows.position(|row| row.key() == key)?)
            }
            None => (text, row),
        };
        let mut columns = self.columns.iter();
        Some((row, columns.position(|own| own.key() == column)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::tests::study;

    #[test]
    fn figures_are_held_against_numbers_and_other_figures() {
        // Two rows and two columns.
        let study = study(
            r#"
            calls = [{ folder = "all", line = "images", methods = ["dni"], steps = 1 }]
            columns = [{ name = "a" }, { name = "b-c" }]
            rows = [
                { name = "3", published = ["1.5"] },
                { name = "4", published = ["3.5"] },
            ]
            "#,
        );
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
            let failing = study.failing(holds, figure);
            let expected = expected.iter().copied().collect();
            assert_eq!(failing, Some(expected), "{holds}");
        }
        for nonsense in [
            "",
            "a",
            "a <",
            "a <= ",
            "d <= 3",
            "a[5] <= 3",
            "a <= 2 * ",
            "a <= 2 + 3 * a",
            "a < 3",
        ] {
            assert!(study.failing(nonsense, figure).is_none(), "{nonsense}");
        }
    }
}
