//! How sections are shared out among workers.

use std::time::{Duration, Instant};

use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::feedforward::{Batch, Chain, Lessons, Sent};
use crate::pass::Input;

/// Steps that are timed, after two that are not: the first ones also allocate what later ones use
/// again.
const TIMED: usize = 5;
const UNTIMED: usize = 2;

/// Refuses numbers of sections that are no split of so many.
///
/// # Errors
///
/// If they do not add up to that, or one is zero.
pub fn check_split(split: &[usize], sections: usize) -> Result<()> {
    let sum = split.iter().sum::<usize>();
    if split.contains(&0) || sum != sections {
        let numbers: Vec<String> = split.iter().map(usize::to_string).collect();
        return Err(Error::Invalid(format!(
            "the split {} gives {sum} sections to {} workers; the network has {sections}, and \
             every worker needs one",
            numbers.join(","),
            split.len()
        )));
    }
    Ok(())
}

/// How long each section takes for its part of a decoupled step, the interface on top of it
/// included, from the bottom up: the shortest time of a few steps on a copy of the chain.
///
/// # Errors
///
/// If the [credit is update-locked](super::check_lessons), or a device fails.
///
/// # Panics
///
/// As [`Chain::step`] does.
pub fn section_times(chain: &Chain, batch: &Batch, lessons: &Lessons) -> Result<Vec<Duration>> {
    super::check_lessons(lessons, chain)?;
    let mut copy = chain.observer();
    let batch = batch.clone().off_tape();
    let mut times = vec![Duration::MAX; chain.names().len()];
    for step in 0..UNTIMED + TIMED {
        let of_step = time_step(&mut copy, &batch, lessons)?;
        if step >= UNTIMED {
            let times = times.iter_mut().zip(of_step);
            times.for_each(|(time, new)| *time = new.min(*time));
        }
    }
    Ok(times)
}

/// One decoupled step in which every section learns that does so at all.
fn time_step(chain: &mut Chain, batch: &Batch, lessons: &Lessons) -> Result<Vec<Duration>> {
    let sections = chain.names().len();
    let rests = !lessons.credit.uses_synthesizers();
    let learners: Vec<bool> = (0..sections).map(|i| !rests || i + 1 == sections).collect();
    let mut groups = chain.groups(&[sections], rests);
    let group = &mut groups[0];
    let device = group.device().unwrap_or_else(|| batch.input.device());
    let mut times = vec![Duration::ZERO; sections];
    let mut watch = Watch::start(device)?;
    let mut below: Option<Sent> = None;
    for i in 0..sections {
        let input = match &below {
            None => Input::Data(batch.input.clone()),
            Some(sent) => sent.received(),
        };
        let done = group.section_step(i, input, batch, &learners[..]);
        times[i] += watch.lap()?;
        if let Some(below) = below.filter(|_| !rests) {
            group.learn(i - 1, below, done.target, true);
            times[i - 1] += watch.lap()?;
        }
        below = done.sent;
    }
    Ok(times)
}

/// Takes the time, when the device is through with what it was given.
struct Watch {
    device: Device,
    last: Instant,
}

impl Watch {
    fn start(device: Device) -> Result<Self> {
        let mut watch = Self {
            device,
            last: Instant::now(),
        };
        watch.lap()?;
        Ok(watch)
    }

    fn lap(&mut self) -> Result<Duration> {
        let failed = |error| Error::Invalid(format!("the device failed in the warm-up: {error}"));
        self.device.sync().map_err(failed)?;
        let lap = self.last.elapsed();
        self.last = Instant::now();
        Ok(lap)
    }
}

/// The split of sections that take these times among `workers` workers for which the slowest
/// worker is as fast as can be.
///
/// # Errors
///
/// If there are more workers than sections, or none.
pub fn even_split(times: &[Duration], workers: usize) -> Result<Vec<usize>> {
    if workers == 0 || workers > times.len() {
        return Err(Error::Invalid(format!(
            "{} sections cannot be shared out among {workers} workers; choose from 1 to {0}",
            times.len()
        )));
    }
    // slowest[w][n]: the time of the slowest of w + 1 workers who share the first n sections, and
    // how many of these the last worker has.
    let sum = |first: usize, end: usize| times[first..end].iter().sum::<Duration>();
    let alone = (0..=times.len()).map(|n| (sum(0, n), n)).collect();
    let mut slowest: Vec<Vec<(Duration, usize)>> = vec![alone];
    for w in 1..workers {
        let best = |n: usize| {
            let shares = 1..=n.saturating_sub(w);
            let with = shares.map(|own| (slowest[w - 1][n - own].0.max(sum(n - own, n)), own));
            with.min().unwrap_or((Duration::MAX, 0))
        };
        let best = (0..=times.len()).map(best).collect();
        slowest.push(best);
    }
    let mut split = Vec::with_capacity(workers);
    let mut rest = times.len();
    for best in slowest.iter().rev() {
        let (_, own) = best[rest];
        split.push(own);
        rest -= own;
    }
    split.reverse();
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(times: &[u64], workers: usize) -> Vec<usize> {
        let times: Vec<Duration> = times.iter().map(|&t| Duration::from_micros(t)).collect();
        even_split(&times, workers).expect("there are enough sections")
    }

    #[test]
    fn the_slowest_worker_is_as_fast_as_can_be() {
        assert_eq!(split(&[1, 1, 1, 1], 2), [2, 2]);
        assert_eq!(split(&[5, 1, 1, 1], 2), [1, 3]);
        assert_eq!(split(&[1, 1, 1, 5], 2), [3, 1]);
        assert_eq!(split(&[2, 3, 4, 5, 6], 3), [3, 1, 1]);
        assert_eq!(split(&[7, 7, 7], 3), [1, 1, 1]);
        assert_eq!(split(&[7, 7, 7], 1), [3]);
    }

    #[test]
    fn every_worker_has_a_section_even_if_some_take_no_time() {
        assert_eq!(split(&[0, 0, 0, 9], 3).len(), 3);
        assert!(split(&[0, 0, 0, 9], 3).iter().all(|&own| own > 0));
        assert!(split(&[9, 0, 0, 0], 4).iter().all(|&own| own > 0));
    }

    #[test]
    fn it_is_the_best_of_all_splits() {
        let times = [3, 9, 2, 4, 7, 1, 8];
        let slowest = |split: &[usize]| {
            let mut rest = &times[..];
            let sums = split.iter().map(|&own| {
                let (now, later) = rest.split_at(own);
                rest = later;
                now.iter().sum::<u64>()
            });
            sums.max()
        };
        let mut best = None;
        for a in 1..6 {
            for b in 1..7 - a {
                best = best.into_iter().chain(slowest(&[a, b, 7 - a - b])).min();
            }
        }
        assert_eq!(slowest(&split(&times, 3)), best);
    }

    #[test]
    fn too_many_workers_and_splits_that_do_not_add_up_are_refused() {
        assert!(even_split(&[Duration::ZERO; 2], 3).is_err());
        assert!(even_split(&[Duration::ZERO; 2], 0).is_err());
        for wrong in [&[][..], &[3], &[1, 2, 2], &[0, 4], &[2, 0, 2]] {
            assert!(check_split(wrong, 4).is_err(), "{wrong:?}");
        }
        assert!(check_split(&[1, 3], 4).is_ok());
    }
}
