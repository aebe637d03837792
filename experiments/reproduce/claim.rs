//! Claims about the figures of a table, and whether they were reached.

/// A cell of a table: its row and its column of figures.
pub type Place = (usize, usize);

/// A statement that holds if all of its comparisons do.
#[derive(Debug, Clone)]
pub struct Claim {
    pub text: String,
    comparisons: Vec<Comparison>,
}

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    place: Place,
    bound: Bound,
    limit: Limit,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost,
    AtLeast,
}

/// What a figure is held against.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    Number(f64),
    /// `times` another figure and `plus` more.
    Figure {
        place: Place,
        times: f64,
        plus: f64,
    },
}

impl Claim {
    pub fn new(text: impl Into<String>, comparisons: impl IntoIterator<Item = Comparison>) -> Self {
        Self {
            text: text.into(),
            comparisons: comparisons.into_iter().collect(),
        }
    }

    /// The places of all figures that do not satisfy it, each once. A figure that is not a number
    /// satisfies nothing.
    pub fn failures(&self, figure: impl Fn(Place) -> f64) -> Vec<Place> {
        let failed = |comparison: &&Comparison| !comparison.holds(&figure);
        let failed = self.comparisons.iter().filter(failed);
        let mut places: Vec<Place> = failed.map(|comparison| comparison.place).collect();
        places.dedup();
        places
    }
}

impl Comparison {
    pub fn at_most(place: Place, limit: Limit) -> Self {
        Self {
            place,
            bound: Bound::AtMost,
            limit,
        }
    }

    pub fn at_least(place: Place, limit: Limit) -> Self {
        Self {
            place,
            bound: Bound::AtLeast,
            limit,
        }
    }

    fn holds(&self, figure: &impl Fn(Place) -> f64) -> bool {
        /// Figures have few digits, so that no more than rounding is let pass.
        const SLACK: f64 = 1e-9;
        let limit = match self.limit {
            Limit::Number(number) => number,
            Limit::Figure { place, times, plus } => times * figure(place) + plus,
        };
        let value = figure(self.place);
        match self.bound {
            Bound::AtMost => value <= limit + SLACK,
            Bound::AtLeast => value >= limit - SLACK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_held_against_numbers_and_other_figures() {
        let figure = |(row, column): Place| [[1.0, 2.0], [3.0, f64::NAN]][row][column];
        let failures = |comparison| Claim::new("", [comparison]).failures(figure);
        let twice = |place| Limit::Figure {
            place,
            times: 2.0,
            plus: 0.0,
        };
        for comparison in [
            Comparison::at_most((0, 0), Limit::Number(1.0)),
            Comparison::at_least((1, 0), Limit::Number(3.0)),
            Comparison::at_most((0, 1), twice((0, 0))),
        ] {
            assert!(failures(comparison).is_empty(), "{comparison:?}");
        }
        for comparison in [
            Comparison::at_most((0, 0), Limit::Number(0.9)),
            Comparison::at_least((1, 0), twice((0, 1))),
            Comparison::at_most((1, 1), Limit::Number(9.0)),
            Comparison::at_least((0, 0), twice((1, 1))),
        ] {
            assert_eq!(failures(comparison), [comparison.place]);
        }
    }
}
