//! What stands in the columns of the table of results.

use super::RunResult;
use crate::sections::quality_of;
use crate::stats;

/// The runs of one method, from several seeds.
type OfMethod<'a, F> = &'a [&'a RunResult<F>];

/// What a table shows of them.
type Cell<F> = dyn Fn(OfMethod<F>) -> String;

/// A column of the table: in each row something of the runs of a method.
pub struct Column<F> {
    pub(super) title: String,
    pub(super) cell: Box<Cell<F>>,
}

impl<F> Column<F> {
    /// The mean of a figure over the seeds and its standard deviation, with so many digits.
    pub fn new(
        title: &str,
        digits: usize,
        figure: impl Fn(&RunResult<F>) -> Option<f64> + 'static,
    ) -> Self {
        let cell = move |results: OfMethod<F>| {
            let figures: Vec<f64> = results.iter().filter_map(|result| figure(result)).collect();
            stats::summary(&figures, digits)
        };
        Self::of(title, cell)
    }

    /// The same of a share, in percent.
    pub fn percent(title: &str, share: impl Fn(&RunResult<F>) -> Option<f64> + 'static) -> Self {
        Self::new(&format!("{title} %"), 2, move |result| {
            Some(100.0 * share(result)?)
        })
    }

    /// Steps in a second.
    pub fn speed(digits: usize) -> Self {
        Self::new("steps/s", digits, |result| Some(result.steps_per_second))
    }

    /// What the synthetic gradients at the only interface were worth.
    pub fn worth() -> Self {
        Self::of("worth", |results| {
            stats::worths(results.iter().filter_map(|result| {
                let quality = result.interfaces.first()?;
                Some((result.worth_at(&quality.name), quality.state))
            }))
        })
    }

    /// The same at the interface on top of hidden layer `i`, from 0.
    pub fn worth_of_layer(i: usize) -> Self {
        Self::of(&format!("worth {}", i + 1), move |results| {
            stats::worths(results.iter().filter_map(|result| {
                let quality = quality_of(&result.interfaces, i)?;
                Some((result.worth_at(&quality.name), quality.state))
            }))
        })
    }

    /// The same at the interfaces that there are on top of so many hidden layers: at all of up to five,
    /// and else at the lowest, the highest, and one between them.
    pub fn worths(results: &[RunResult<F>], layers: usize) -> Vec<Self> {
        let has_interface = |&i: &usize| {
            let mut results = results.iter();
            results.any(|result| quality_of(&result.interfaces, i).is_some())
        };
        let interfaces: Vec<usize> = (0..layers).filter(has_interface).collect();
        let shown = match interfaces[..] {
            [lowest, .., highest] if interfaces.len() > 5 => {
                vec![lowest, interfaces[interfaces.len() / 2], highest]
            }
            _ => interfaces,
        };
        shown.into_iter().map(Self::worth_of_layer).collect()
    }

    fn of(title: &str, cell: impl Fn(OfMethod<F>) -> String + 'static) -> Self {
        Self {
            title: title.to_string(),
            cell: Box::new(cell),
        }
    }
}
