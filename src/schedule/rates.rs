//! Drops of the learning rate.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Learning rates that stay as they are but for a few drops, the same for all sections and
/// synthesizers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(usize, f64)>", into = "Vec<(usize, f64)>")]
pub struct Drops(Vec<(usize, f64)>);

impl Drops {
    /// From each of these steps on, counted from 0, rates are multiplied by the factor that stands
    /// with it, on top of the drops before.
    ///
    /// # Errors
    ///
    /// If steps do not grow, or a factor is not a number above 0.
    pub fn new(drops: Vec<(usize, f64)>) -> Result<Self> {
        if !drops.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(Error::Invalid(
                "drops of the learning rate must stand in the order of their steps".to_string(),
            ));
        }
        if let Some((step, factor)) = drops.iter().find(|(_, f)| !(*f > 0.0 && f.is_finite())) {
            return Err(Error::Invalid(format!(
                "the learning rate cannot be multiplied by {factor} at step {step}; choose a \
                 factor above 0"
            )));
        }
        Ok(Self(drops))
    }

    /// The paper's schedule for a run of so many steps: a tenth after three fifths of them, and a
    /// hundredth after four fifths (300,000 and 400,000 of 500,000).
    pub fn paper(steps: usize) -> Self {
        let first = steps / 5 * 3 + steps % 5 * 3 / 5;
        let second = steps / 5 * 4 + steps % 5 * 4 / 5;
        if first < second {
            Self(vec![(first, 0.1), (second, 0.1)])
        } else {
            Self(vec![(second, 0.01)])
        }
    }

    /// A schedule that ends quietly: a tenth in the last fifth of so many steps.
    pub fn at_end(steps: usize) -> Self {
        Self(vec![(steps - steps / 5, 0.1)])
    }

    /// By what rates are multiplied in a step, counted from 0.
    pub fn factor(&self, step: usize) -> f64 {
        let passed = self.0.iter().take_while(|(at, _)| *at <= step);
        passed.map(|(_, factor)| factor).product()
    }

    /// The drops.
    pub fn as_slice(&self) -> &[(usize, f64)] {
        &self.0
    }
}

impl TryFrom<Vec<(usize, f64)>> for Drops {
    type Error = Error;

    fn try_from(drops: Vec<(usize, f64)>) -> Result<Self> {
        Self::new(drops)
    }
}

impl From<Drops> for Vec<(usize, f64)> {
    fn from(drops: Drops) -> Self {
        drops.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_rates_drop_after_300_000_and_400_000_of_500_000_steps() {
        let drops = Drops::paper(500_000);
        let close = |step, factor: f64| (drops.factor(step) / factor - 1.0).abs() < 1e-12;
        assert!(close(0, 1.0) && close(299_999, 1.0));
        assert!(close(300_000, 0.1) && close(399_999, 0.1));
        assert!(close(400_000, 0.01) && close(500_000, 0.01));
    }

    #[test]
    fn short_runs_have_a_schedule_too() {
        for steps in 1..20 {
            assert!((Drops::paper(steps).factor(steps) - 0.01).abs() < 1e-12);
        }
        assert_eq!(Drops::default().factor(1_000), 1.0);
    }

    #[test]
    fn the_last_fifth_is_quiet() {
        let drops = Drops::at_end(20_000);
        assert_eq!((drops.factor(15_999), drops.factor(16_000)), (1.0, 0.1));
        assert_eq!(Drops::at_end(4).factor(3), 1.0);
    }

    #[test]
    fn drops_out_of_order_or_to_nothing_are_refused() {
        assert!(Drops::new(vec![(5, 0.1), (5, 0.1)]).is_err());
        assert!(Drops::new(vec![(5, 0.1), (4, 0.1)]).is_err());
        assert!(Drops::new(vec![(5, 0.0)]).is_err());
        assert!(Drops::new(vec![(5, f64::NAN)]).is_err());
        assert!(Drops::new(vec![(5, 0.1), (6, 0.5)]).is_ok());
    }
}
