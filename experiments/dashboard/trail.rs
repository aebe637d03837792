//! A curve that grows with a run but not without bound.

/// The points of a curve; when there are too many, every second one goes.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    points: Vec<(f64, f64)>,
    /// Only each so many-th new point is taken, if not zero.
    every: usize,
    skipped: usize,
}

impl Trail {
    /// More than a terminal has columns.
    const MOST: usize = 2_000;

    /// Adds a point. What is not finite is left out.
    pub fn add(&mut self, x: f64, y: f64) {
        if !y.is_finite() {
            return;
        }
        if self.skipped + 1 < self.every {
            self.skipped += 1;
            return;
        }
        self.skipped = 0;
        self.points.push((x, y));
        if self.points.len() >= Self::MOST {
            let mut i = 0;
            self.points.retain(|_| {
                i += 1;
                i % 2 == 1
            });
            self.every = 2 * self.every.max(1);
        }
    }

    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// The value of the newest point.
    pub fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, y)| *y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_takes_no_more_room_than_a_short_one() {
        let mut trail = Trail::default();
        for step in 0..100_000 {
            trail.add(f64::from(step), 1.0);
        }
        trail.add(1.0, f64::NAN);
        let points = trail.points();
        assert!((Trail::MOST / 4..Trail::MOST).contains(&points.len()));
        assert_eq!(points[0].0, 0.0);
        assert!(points[points.len() - 1].0 > 99_000.0);
        assert!(points.is_sorted_by(|a, b| a.0 < b.0));
    }
}
