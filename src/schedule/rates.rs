//! Learning-rate schedules.

use std::f64::consts::PI;

use crate::error::{Error, Result};

/// The factor of all learning rates, of sections and synthesizers alike, in each step.
///
/// It is a function of the step, so that a resumed run has the same rates. In a loop of your own,
/// any of burn's schedulers works as well, through
/// [`Chain::set_rate_factor`](crate::Chain::set_rate_factor).
///
/// ```
/// use dni::LrSchedule;
///
/// let schedule = LrSchedule::cosine(1_000, 0.1)?.with_warm_up(100);
/// assert!((schedule.factor(0) - 0.01).abs() < 1e-9);
/// assert!((schedule.factor(1_000) - 0.1).abs() < 1e-9);
/// # Ok::<(), dni::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LrSchedule {
    warm_up: usize,
    course: Course,
}

/// What comes after a warm-up.
#[derive(Debug, Clone, PartialEq)]
enum Course {
    /// Constant but for these steps, from which on it is multiplied by what stands with them.
    Drops(Vec<(usize, f64)>),
    /// Half a wave from one to the last factor.
    Cosine { steps: usize, last: f64 },
}

impl Default for Course {
    fn default() -> Self {
        Self::Drops(Vec::new())
    }
}

impl From<Course> for LrSchedule {
    fn from(course: Course) -> Self {
        Self { warm_up: 0, course }
    }
}

impl LrSchedule {
    /// From each of these steps on, counted from 0, rates are multiplied by its factor, on top of
    /// the earlier drops.
    ///
    /// # Errors
    ///
    /// If the steps do not increase, or a factor is not a number above 0.
    pub fn drops(drops: Vec<(usize, f64)>) -> Result<Self> {
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
        Ok(Course::Drops(drops).into())
    }

    /// Half a cosine wave from one down to `last` over `steps` steps, and `last` from then on
    /// (Loshchilov and Hutter, arXiv:1608.03983).
    ///
    /// # Errors
    ///
    /// If there is no step, or `last` is not a number from 0 to 1.
    pub fn cosine(steps: usize, last: f64) -> Result<Self> {
        if steps == 0 || !(0.0..=1.0).contains(&last) {
            return Err(Error::Invalid(format!(
                "the learning rate cannot fall to {last} times its value over {steps} steps; \
                 choose a factor from 0 to 1 and at least one step"
            )));
        }
        Ok(Course::Cosine { steps, last }.into())
    }

    /// Raises rates linearly over the first `steps` steps, of which the last has the full rates;
    /// the factor of the schedule applies as well.
    pub fn with_warm_up(mut self, steps: usize) -> Self {
        self.warm_up = steps;
        self
    }

    /// The paper's schedule for a run of `steps` steps: a tenth after three fifths of them, and a
    /// hundredth after four fifths (300,000 and 400,000 of 500,000).
    pub fn paper(steps: usize) -> Self {
        let first = steps / 5 * 3 + steps % 5 * 3 / 5;
        let second = steps / 5 * 4 + steps % 5 * 4 / 5;
        Course::Drops(match first < second {
            true => vec![(first, 0.1), (second, 0.1)],
            false => vec![(second, 0.01)],
        })
        .into()
    }

    /// A tenth of the rates in the last fifth of `steps` steps.
    pub fn at_end(steps: usize) -> Self {
        Course::Drops(vec![(steps - steps / 5, 0.1)]).into()
    }

    /// The factor of the rates in a step, counted from 0.
    pub fn factor(&self, step: usize) -> f64 {
        let warm = match step < self.warm_up {
            true => (step + 1) as f64 / self.warm_up as f64,
            false => 1.0,
        };
        warm * self.course.factor(step)
    }
}

impl Course {
    fn factor(&self, step: usize) -> f64 {
        match self {
            Self::Drops(drops) => {
                let passed = drops.iter().take_while(|(at, _)| *at <= step);
                passed.map(|(_, factor)| factor).product()
            }
            Self::Cosine { steps, last } => {
                let done = step.min(*steps) as f64 / *steps as f64;
                last + (1.0 - last) * 0.5 * (1.0 + (PI * done).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_rates_drop_after_300_000_and_400_000_of_500_000_steps() {
        let drops = LrSchedule::paper(500_000);
        let close = |step, factor: f64| (drops.factor(step) / factor - 1.0).abs() < 1e-12;
        assert!(close(0, 1.0) && close(299_999, 1.0));
        assert!(close(300_000, 0.1) && close(399_999, 0.1));
        assert!(close(400_000, 0.01) && close(500_000, 0.01));
    }

    #[test]
    fn short_runs_have_a_schedule_too() {
        for steps in 1..20 {
            assert!((LrSchedule::paper(steps).factor(steps) - 0.01).abs() < 1e-12);
        }
        assert_eq!(LrSchedule::default().factor(1_000), 1.0);
    }

    #[test]
    fn a_cosine_falls_slowly_at_first_and_at_the_end_after_a_warm_up() {
        let cosine = LrSchedule::cosine(100, 0.2).unwrap();
        assert_eq!((cosine.factor(0), cosine.factor(100)), (1.0, 0.2));
        assert!((cosine.factor(50) - 0.6).abs() < 1e-12);
        assert!(1.0 - cosine.factor(10) < 0.02 && cosine.factor(90) - 0.2 < 0.02);
        assert_eq!(cosine.factor(1_000), 0.2);
        let warm = cosine.clone().with_warm_up(10);
        assert_eq!(warm.factor(4), 0.5 * cosine.factor(4));
        assert_eq!(warm.factor(9), cosine.factor(9));
        assert!(LrSchedule::cosine(0, 0.5).is_err());
        assert!(LrSchedule::cosine(10, 1.5).is_err());
        assert!(LrSchedule::cosine(10, f64::NAN).is_err());
    }

    #[test]
    fn the_last_fifth_is_quiet() {
        let drops = LrSchedule::at_end(20_000);
        assert_eq!((drops.factor(15_999), drops.factor(16_000)), (1.0, 0.1));
        assert_eq!(LrSchedule::at_end(4).factor(3), 1.0);
    }

    #[test]
    fn drops_out_of_order_or_to_nothing_are_refused() {
        assert!(LrSchedule::drops(vec![(5, 0.1), (5, 0.1)]).is_err());
        assert!(LrSchedule::drops(vec![(5, 0.1), (4, 0.1)]).is_err());
        assert!(LrSchedule::drops(vec![(5, 0.0)]).is_err());
        assert!(LrSchedule::drops(vec![(5, f64::NAN)]).is_err());
        assert!(LrSchedule::drops(vec![(5, 0.1), (6, 0.5)]).is_ok());
    }
}
