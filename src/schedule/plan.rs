//! What workers gain on machines that one does not have, predicted from the times of the parts of a
//! step.

use std::time::Duration;

use serde::Serialize;

use super::threaded::even_split;
use crate::error::{Error, Result};

/// What the parts of a step cost one worker, from the bottom up:
/// [`locked_times`](super::threaded::locked_times) and
/// [`section_times`](super::threaded::section_times) measure them.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    /// `f_i`, the forward pass of each section.
    pub forward: Vec<Duration>,
    /// `b_i`, its backward pass and update.
    pub backward: Vec<Duration>,
    /// `d_i`, its part of a decoupled step, with the interface on top of it.
    pub decoupled: Vec<Duration>,
    /// `m`, what it costs a worker to get a message from the next one, or the gradient at one.
    pub message: Duration,
}

/// A step by several workers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Sections of each worker, from the bottom up.
    pub split: Vec<usize>,
    /// Seconds that a step takes once all are at work.
    pub step_seconds: f64,
    /// The share of their time that workers compute.
    pub computing: f64,
    /// The share that they spend on getting messages. They wait for the rest.
    pub moving: f64,
}

impl Costs {
    /// Seconds of a step of backpropagation on one worker, `sum (f_i + b_i)`.
    pub fn backprop(&self) -> f64 {
        let times = self.forward.iter().chain(&self.backward);
        times.sum::<Duration>().as_secs_f64()
    }

    /// Backpropagation in a pipeline of `workers` stages, through which a batch goes in `M` pieces,
    /// the `micro_batches`:
    ///
    /// ```text
    /// (M + K - 1) / M  max_k (F_k + B_k + moves)
    /// ```
    ///
    /// GPipe (Huang et al., arXiv:1811.06965) and 1F1B (Narayanan et al., arXiv:2006.09503) take
    /// this time alike; a stage keeps the activations of `M` pieces in the one and of up to `K` in
    /// the other. It is a bound: that smaller batches make slower products is left out.
    ///
    /// # Errors
    ///
    /// If there are more workers than sections, or none, or no micro-batches.
    pub fn pipeline(&self, workers: usize, micro_batches: usize) -> Result<Prediction> {
        if micro_batches == 0 {
            return Err(Error::Invalid(
                "a pipeline needs at least 1 micro-batch".to_string(),
            ));
        }
        let stages = self.forward.iter().zip(&self.backward);
        let stages: Vec<Duration> = stages.map(|(f, b)| *f + *b).collect();
        let fill = (micro_batches + workers - 1) as f64 / micro_batches as f64;
        self.predict(&stages, workers, fill)
    }

    /// Decoupled sections on `workers` workers, who wait for nobody in the long run:
    /// `max_k (D_k + moves)`.
    ///
    /// # Errors
    ///
    /// If there are more workers than sections, or none.
    pub fn decoupled(&self, workers: usize) -> Result<Prediction> {
        self.predict(&self.decoupled, workers, 1.0)
    }

    /// The slowest worker's time, `stretch` times.
    fn predict(&self, times: &[Duration], workers: usize, stretch: f64) -> Result<Prediction> {
        let split = even_split(&vec![times.to_vec(); workers])?;
        let mut rest = times;
        let mut slowest = Duration::ZERO;
        let mut moves = Duration::ZERO;
        for (worker, &own) in split.iter().enumerate() {
            let (mine, above) = rest.split_at(own);
            rest = above;
            // A message comes from below and a gradient from above.
            let neighbours = u32::from(worker > 0) + u32::from(!above.is_empty());
            let moving = self.message * neighbours;
            slowest = slowest.max(mine.iter().sum::<Duration>() + moving);
            moves += moving;
        }
        let step_seconds = stretch * slowest.as_secs_f64();
        let available = step_seconds * workers as f64;
        let share = |time: Duration| time.as_secs_f64() / available.max(f64::MIN_POSITIVE);
        Ok(Prediction {
            split,
            step_seconds,
            computing: share(times.iter().sum()),
            moving: share(moves),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTIONS: usize = 12;

    fn costs(message: u64) -> Costs {
        let all = |time| vec![Duration::from_micros(time); SECTIONS];
        Costs {
            forward: all(100),
            backward: all(200),
            decoupled: all(450),
            message: Duration::from_micros(message),
        }
    }

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9 * b.abs().max(1e-6), "{a} and {b}");
    }

    #[test]
    fn one_worker_does_everything() {
        let costs = costs(10);
        close(costs.backprop(), 3.6e-3);
        for (prediction, step) in [
            (costs.pipeline(1, 8).unwrap(), 3.6e-3),
            (costs.decoupled(1).unwrap(), 5.4e-3),
        ] {
            close(prediction.step_seconds, step);
            close(prediction.computing, 1.0);
            close(prediction.moving, 0.0);
        }
    }

    /// The bubble is the textbook's share, `(K - 1) / (M + K - 1)`; decoupled workers have none.
    #[test]
    fn a_pipeline_has_its_bubble_and_decoupled_workers_have_none() {
        for (workers, micro_batches) in [(2, 1), (3, 8), (4, 4), (12, 32)] {
            let pipeline = costs(0).pipeline(workers, micro_batches).unwrap();
            let bubble = (workers - 1) as f64 / (micro_batches + workers - 1) as f64;
            close(1.0 - pipeline.computing, bubble);
            let decoupled = costs(0).decoupled(workers).unwrap();
            close(decoupled.computing, 1.0);
            close(decoupled.step_seconds, 5.4e-3 / workers as f64);
        }
        // Without micro-batches a pipeline is one worker at a time.
        close(costs(0).pipeline(4, 1).unwrap().step_seconds, 3.6e-3);
    }

    #[test]
    fn messages_take_their_time() {
        let two = costs(50).decoupled(2).unwrap();
        close(two.step_seconds, 2.7e-3 + 50e-6);
        close(two.moving, 50e-6 / two.step_seconds);
        let three = costs(50).decoupled(3).unwrap();
        close(three.step_seconds, 1.8e-3 + 100e-6);
        close(three.moving, 4.0 * 50e-6 / (3.0 * three.step_seconds));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(costs(0).decoupled(SECTIONS + 1).is_err());
        assert!(costs(0).decoupled(0).is_err());
        assert!(costs(0).pipeline(2, 0).is_err());
    }
}
