//! What workers gain on machines, and over links, that one does not have, predicted from the times of
//! the parts of a step.

use std::time::Duration;

use dni::threaded::{Link, Traffic, even_split};
use dni::{Error, Result};
use serde::Serialize;

/// What the parts of a step cost one worker, from the bottom up:
/// [`locked_times`](dni::threaded::locked_times) and
/// [`section_times`](dni::threaded::section_times) measure them.
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
    /// How much they send: [`traffic`](dni::threaded::traffic) counts it.
    pub traffic: Traffic,
    /// What lies between them; none for the memory of one machine.
    pub link: Option<Link>,
}

/// A step by several workers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Sections of each worker, from the bottom up; in data-parallel training each has all.
    pub split: Vec<usize>,
    /// Seconds that a step takes once all are at work.
    pub step_seconds: f64,
    /// The share of their time that workers compute.
    pub computing: f64,
    /// The share that they spend on getting messages. They wait for the rest.
    pub moving: f64,
    /// The most bytes that one sends another.
    pub sent_bytes: usize,
    /// Steps that gradients come late over a link; zero where each step waits for its own.
    pub steps_late: f64,
}

impl Costs {
    /// Seconds of a step of backpropagation on one worker, `sum (f_i + b_i)`.
    pub fn backprop(&self) -> f64 {
        self.locked().iter().sum::<Duration>().as_secs_f64()
    }

    /// Backpropagation by `K` workers who share each batch and send each other all gradients, those
    /// of a section as soon as they have them, from the top down:
    ///
    /// ```text
    /// sum_i f_i / K + until the gradients of the lowest section have come
    /// ```
    ///
    /// It is a bound: that smaller batches make slower products, and that everyone updates all
    /// parameters, is left out.
    ///
    /// # Errors
    ///
    /// If there are no workers.
    pub fn data_parallel(&self, workers: usize) -> Result<Prediction> {
        if workers == 0 {
            return Err(Error::Invalid(
                "data-parallel training needs at least 1 worker".to_string(),
            ));
        }
        let share = |time: Duration| time.as_secs_f64() / workers as f64;
        let mut computed = share(self.forward.iter().sum());
        let mut sent: f64 = 0.0;
        for (backward, &bytes) in self.backward.iter().zip(&self.traffic.gradients).rev() {
            computed += share(*backward);
            sent = sent.max(computed) + self.transfer(bytes);
        }
        let (come, sent_bytes) = match workers {
            1 => (computed, 0),
            _ => (sent + self.delay(), self.traffic.gradients.iter().sum()),
        };
        let sections = self.forward.len();
        Ok(Prediction {
            split: vec![sections; workers],
            step_seconds: come,
            computing: computed / come.max(f64::MIN_POSITIVE),
            moving: 0.0,
            sent_bytes,
            steps_late: 0.0,
        })
    }

    /// Backpropagation in a pipeline of `K` workers, through which a batch goes in `M` pieces, the
    /// `micro_batches`. On its way up the first piece passes all stages and links, and the others
    /// follow at the pace of the slowest of these; so they do on the way down, with `B_k`:
    ///
    /// ```text
    /// sum_k F_k / M + sum_k (delay + t_k / M) + (M - 1) / M  max_k (F_k, t_k)
    /// ```
    ///
    /// `F_k` and `B_k` are the times of a stage with its moves, and `t_k` is the time that a message
    /// of the whole batch takes on the bandwidth of a link. For even stages without links it is
    /// `(M + K - 1) / M  max_k (F_k + B_k)`.
    ///
    /// GPipe (Huang et al., arXiv:1811.06965) and 1F1B (Narayanan et al., arXiv:2006.09503) take
    /// this time alike; a stage keeps the activations of `M` pieces in the one and of up to `K` in
    /// the other. It is a bound: that smaller batches make slower products is left out. With one
    /// piece it is backpropagation over several places, one after another.
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
        let locked = self.locked();
        let split = even_split(&vec![locked.clone(); workers])?;
        let pieces = micro_batches as f64;
        let borders = self.borders(&split);
        let way = |times: &[Duration], source: usize| {
            let mut stages = seconds_of_stages(times, &split);
            // All but the one where it begins get something.
            for (_, stage) in stages.iter_mut().enumerate().filter(|(i, _)| *i != source) {
                *stage += self.message.as_secs_f64();
            }
            let links = borders.iter().map(|&bytes| self.transfer(bytes));
            let pace = stages
                .iter()
                .copied()
                .chain(links.clone())
                .fold(0.0, f64::max);
            let first_piece = stages.iter().sum::<f64>() / pieces
                + links.map(|time| self.delay() + time / pieces).sum::<f64>();
            first_piece + (pieces - 1.0) / pieces * pace
        };
        let step_seconds = way(&self.forward, 0) + way(&self.backward, workers - 1);
        Ok(self.prediction(split, &locked, step_seconds, 0.0))
    }

    /// Decoupled sections on `workers` workers, who wait for nobody in the long run, but that a link
    /// lets no more messages through than it can: `max_k (D_k + moves, t_k)`.
    ///
    /// # Errors
    ///
    /// If there are more workers than sections, or none.
    pub fn decoupled(&self, workers: usize) -> Result<Prediction> {
        self.unlocked(&self.decoupled, workers)
    }

    /// The same of an asynchronous pipeline, in which gradients are taken as late as they come.
    ///
    /// # Errors
    ///
    /// If there are more workers than sections, or none.
    pub fn delayed(&self, workers: usize) -> Result<Prediction> {
        self.unlocked(&self.locked(), workers)
    }

    fn unlocked(&self, times: &[Duration], workers: usize) -> Result<Prediction> {
        let split = even_split(&vec![times.to_vec(); workers])?;
        let mut slowest: f64 = 0.0;
        for (worker, stage) in seconds_of_stages(times, &split).into_iter().enumerate() {
            // A message comes from below and a gradient from above.
            let neighbours = u32::from(worker > 0) + u32::from(worker + 1 < workers);
            let moving = self.message * neighbours;
            slowest = slowest.max(stage + moving.as_secs_f64());
        }
        let largest = self.borders(&split).into_iter().max();
        let step_seconds = largest.map_or(slowest, |bytes| slowest.max(self.transfer(bytes)));
        let round_trip = match (largest, self.link) {
            (Some(bytes), Some(link)) => 2.0 * link.one_way(bytes).as_secs_f64(),
            _ => 0.0,
        };
        let steps_late = round_trip / step_seconds.max(f64::MIN_POSITIVE);
        Ok(self.prediction(split, times, step_seconds, steps_late))
    }

    fn prediction(
        &self,
        split: Vec<usize>,
        times: &[Duration],
        step_seconds: f64,
        steps_late: f64,
    ) -> Prediction {
        let available = step_seconds * split.len() as f64;
        let share = |time: f64| time / available.max(f64::MIN_POSITIVE);
        let moves = 2 * (split.len() - 1);
        Prediction {
            step_seconds,
            computing: share(times.iter().sum::<Duration>().as_secs_f64()),
            moving: share(moves as f64 * self.message.as_secs_f64()),
            sent_bytes: self.borders(&split).into_iter().max().unwrap_or(0),
            steps_late,
            split,
        }
    }

    /// `f_i + b_i`
    fn locked(&self) -> Vec<Duration> {
        let times = self.forward.iter().zip(&self.backward);
        times
            .map(|(forward, backward)| *forward + *backward)
            .collect()
    }

    /// The size of the message between each two workers.
    fn borders(&self, split: &[usize]) -> Vec<usize> {
        let mut end = 0;
        let ends = split.iter().map(|own| {
            end += own;
            end
        });
        let borders = ends.filter_map(|end| self.traffic.messages.get(end - 1).copied());
        borders.collect()
    }

    fn transfer(&self, bytes: usize) -> f64 {
        self.link
            .map_or(0.0, |link| link.transfer(bytes).as_secs_f64())
    }

    fn delay(&self) -> f64 {
        self.link.map_or(0.0, |link| link.one_way(0).as_secs_f64())
    }
}

/// What each worker's sections take together.
fn seconds_of_stages(times: &[Duration], split: &[usize]) -> Vec<f64> {
    let mut rest = times;
    let stages = split.iter().map(|&own| {
        let (mine, above) = rest.split_at(own);
        rest = above;
        mine.iter().sum::<Duration>().as_secs_f64()
    });
    stages.collect()
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
            traffic: Traffic {
                messages: vec![1_000; SECTIONS - 1],
                gradients: vec![5_000; SECTIONS],
            },
            link: None,
        }
    }

    /// With 1 ms for a message and 5 for the gradients of a section.
    fn over_link(delay: &str) -> Costs {
        Costs {
            link: Some(format!("{delay},8Mbit").parse().expect("it is a link")),
            ..costs(0)
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

    /// 0.6 ms a stage up, 1.2 down, 2.7 decoupled, by two workers.
    #[test]
    fn a_link_holds_up_who_waits_for_it() {
        let near = over_link("0ms");
        let far = over_link("150ms");
        // One message and one gradient, one after the other.
        let whole = far.pipeline(2, 1).unwrap();
        close(whole.step_seconds, 3.6e-3 + 2.0 * 151e-3);
        // Eight pieces at the pace of a message.
        let up = (2.0 * 0.6e-3 + 1e-3) / 8.0 + 7.0 / 8.0 * 1e-3;
        let down = (2.0 * 1.2e-3 + 1e-3) / 8.0 + 7.0 / 8.0 * 1.2e-3;
        close(near.pipeline(2, 8).unwrap().step_seconds, up + down);
        let late = far.pipeline(2, 8).unwrap().step_seconds;
        close(late, up + down + 0.3);
        for cost in [&near, &far] {
            let decoupled = cost.decoupled(2).unwrap();
            close(decoupled.step_seconds, 2.7e-3);
            assert_eq!(decoupled.sent_bytes, 1_000);
        }
        close(far.decoupled(2).unwrap().steps_late, 302.0 / 2.7);
        close(far.delayed(2).unwrap().step_seconds, 1.8e-3);
        // So many workers are faster than a message.
        close(far.decoupled(12).unwrap().step_seconds, 1e-3);
        close(costs(0).decoupled(2).unwrap().steps_late, 0.0);
    }

    /// All gradients go through it: 12 times 5 ms from when those of the top are there.
    #[test]
    fn data_parallel_workers_send_all_gradients() {
        let far = over_link("150ms").data_parallel(2).unwrap();
        close(far.step_seconds, 0.6e-3 + 0.1e-3 + 60e-3 + 150e-3);
        assert_eq!((far.sent_bytes, &far.split[..]), (60_000, &[12, 12][..]));
        close(costs(0).data_parallel(4).unwrap().step_seconds, 0.9e-3);
        close(
            over_link("150ms").data_parallel(1).unwrap().step_seconds,
            3.6e-3,
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(costs(0).decoupled(SECTIONS + 1).is_err());
        assert!(costs(0).decoupled(0).is_err());
        assert!(costs(0).pipeline(2, 0).is_err());
        assert!(costs(0).pipeline(0, 1).is_err());
        assert!(costs(0).data_parallel(0).is_err());
    }
}
