//! Sparse updates: each section learns in a step with a probability (paper, section 3.2).

use rand::RngExt;

use crate::error::{Error, Result};
use crate::rng::{Stream, generator};

/// Each section learns in a step with the same probability, drawn anew for every step and
/// independently for every section.
///
/// A section that does not learn sends its message up all the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sparse {
    probability: f64,
    seed: u64,
}

impl Sparse {
    /// Updates with `probability`, drawn from a run's seed.
    ///
    /// # Errors
    ///
    /// If the probability is not above 0 and up to 1.
    pub fn new(probability: f64, seed: u64) -> Result<Self> {
        if !(probability > 0.0 && probability <= 1.0) {
            return Err(Error::Invalid(format!(
                "a section cannot learn with probability {probability}; choose one above 0 and up \
                 to 1"
            )));
        }
        Ok(Self { probability, seed })
    }

    /// Whether each of `sections` sections, from the bottom up, learns in a step, counted from 0:
    /// a function of seed and step alone.
    pub fn learners(&self, step: usize, sections: usize) -> Vec<bool> {
        let mut rng = generator(self.seed, Stream::Updates(step as u64));
        (0..sections)
            .map(|_| rng.random_bool(self.probability))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_learn_as_often_as_asked_and_independently() {
        let sparse = Sparse::new(0.2, 1).unwrap();
        let steps = 5_000;
        let (mut each, mut both) = ([0; 2], 0);
        for step in 0..steps {
            let learners = sparse.learners(step, 2);
            assert_eq!(learners, sparse.learners(step, 2), "a function of the step");
            each[0] += usize::from(learners[0]);
            each[1] += usize::from(learners[1]);
            both += usize::from(learners[0] && learners[1]);
        }
        let share = |count: usize| count as f64 / steps as f64;
        assert!((share(each[0]) - 0.2).abs() < 0.03);
        assert!((share(each[1]) - 0.2).abs() < 0.03);
        assert!((share(both) - 0.04).abs() < 0.015);
    }

    #[test]
    fn probability_one_is_every_step() {
        let sparse = Sparse::new(1.0, 3).unwrap();
        assert!((0..100).all(|step| sparse.learners(step, 4) == [true; 4]));
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for probability in [0.0, -0.1, 1.1, f64::NAN] {
            assert!(Sparse::new(probability, 1).is_err(), "{probability}");
        }
    }
}
