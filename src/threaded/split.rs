//! How sections are assigned to workers.

use std::ops::Range;
use std::time::Duration;

use crate::error::{Error, Result};

/// Checks that `split` is a split of so many sections.
///
/// # Errors
///
/// If the numbers do not add up to `sections`, or one is zero.
pub fn check_split(split: &[usize], sections: usize) -> Result<()> {
    let sum = split
        .iter()
        .fold(0, |sum: usize, own| sum.saturating_add(*own));
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

/// The split of sections among workers whose slowest worker is fastest: `times` has for each
/// worker, from the bottom up, the time that it would take for every section.
///
/// # Errors
///
/// If there are more workers than sections, or none.
///
/// # Panics
///
/// If workers have different numbers of times.
pub fn even_split(times: &[Vec<Duration>]) -> Result<Vec<usize>> {
    let workers = times.len();
    let sections = times.first().map_or(0, Vec::len);
    if workers == 0 || workers > sections {
        return Err(Error::Invalid(format!(
            "{sections} sections cannot be divided among {workers} workers; choose from 1 to \
             {sections}"
        )));
    }
    // The time of the slowest of the workers so far, if they share the first n sections, for every n;
    // and for each of these workers, how many of them the last one has.
    let mut slowest = sums(&times[0]);
    let mut shares: Vec<Vec<usize>> = vec![(0..=sections).collect()];
    for (w, times) in times.iter().enumerate().skip(1) {
        let sums = sums(times);
        let is_sorted = slowest[w..].is_sorted();
        let best = |n: usize| match is_sorted {
            true => halved(&slowest, &sums, w..n),
            false => searched(&slowest, &sums, w..n),
        };
        let (best, share): (Vec<_>, Vec<_>) = (0..=sections).map(best).unzip();
        slowest = best;
        shares.push(share);
    }
    let mut split = Vec::with_capacity(workers);
    let mut rest = sections;
    for share in shares.iter().rev() {
        split.push(share[rest]);
        rest -= share[rest];
    }
    split.reverse();
    Ok(split)
}

/// The time of the slowest, and how many sections the last worker has, if the others share the first of
/// them as well as can be: so many as are in `shared`, which ends before that of all. Among the best
/// it is where the last one has the fewest.
fn searched(others: &[Duration], sums: &[Duration], shared: Range<usize>) -> (Duration, usize) {
    let all = shared.end;
    let (mut best, mut share) = (Duration::MAX, 0);
    for first in shared.rev() {
        let last = sums[all] - sums[first];
        // With more of them it only takes longer.
        if last >= best {
            break;
        }
        let slowest = others[first].max(last);
        if slowest < best {
            (best, share) = (slowest, all - first);
        }
    }
    (best, share)
}

/// The same where others who have more never take less, by halving: the best is where they begin to
/// take longer than the last one, or just before.
fn halved(others: &[Duration], sums: &[Duration], shared: Range<usize>) -> (Duration, usize) {
    if shared.is_empty() {
        return (Duration::MAX, 0);
    }
    let all = shared.end;
    let last = |first: usize| sums[all] - sums[first];
    let longer = first_of(shared.clone(), |first| others[first] > last(first));
    let before = (longer > shared.start).then(|| last(longer - 1));
    let from_there = (longer < all).then(|| others[longer]);
    let best = before.into_iter().chain(from_there).min();
    let best = best.unwrap_or(Duration::MAX);
    let first = first_of(shared, |first| others[first] > best) - 1;
    (best, all - first)
}

/// The first number for which something holds that then holds for all that follow; the end if there
/// is none.
fn first_of(numbers: Range<usize>, holds: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = numbers;
    while start < end {
        let middle = start.midpoint(end);
        match holds(middle) {
            true => end = middle,
            false => start = middle + 1,
        }
    }
    start
}

/// The sum of the first n times, for every n from 0.
fn sums(times: &[Duration]) -> Vec<Duration> {
    let sums = times.iter().scan(Duration::ZERO, |sum, time| {
        *sum += *time;
        Some(*sum)
    });
    std::iter::once(Duration::ZERO).chain(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(times: &[u64], workers: usize) -> Vec<usize> {
        let times: Vec<Duration> = times.iter().map(|&t| Duration::from_micros(t)).collect();
        even_split(&vec![times; workers]).expect("there are enough sections")
    }

    #[test]
    fn fast_workers_get_more() {
        let milliseconds = |times: [u64; 4]| times.map(Duration::from_millis).to_vec();
        let times = [milliseconds([3; 4]), milliseconds([1; 4])];
        assert_eq!(even_split(&times).expect("there are enough"), [1, 3]);
        // What one of them is bad at, the other gets.
        let times = [milliseconds([1, 1, 9, 1]), milliseconds([5, 1, 1, 1])];
        assert_eq!(even_split(&times).expect("there are enough"), [2, 2]);
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

    /// The best split by trying all, and the time of its slowest worker.
    fn tried(times: &[Vec<Duration>], sections: usize) -> (Duration, Vec<usize>) {
        let sum = |from: usize| times[times.len() - 1][from..sections].iter().sum();
        let others = &times[..times.len() - 1];
        if others.is_empty() {
            return (sum(0), vec![sections]);
        }
        let splits = (1..=sections - others.len()).map(|own| {
            let (slowest, mut split) = tried(others, sections - own);
            split.push(own);
            (slowest.max(sum(sections - own)), split)
        });
        // The first of the best ones.
        splits
            .min_by_key(|(slowest, _)| *slowest)
            .expect("there is one")
    }

    /// Workers who are alike, and others who are good at different things.
    #[test]
    fn it_is_the_best_split_whoever_the_workers_are() {
        const SECTIONS: usize = 7;
        let time = |i: usize, modulus| Duration::from_micros((i * 7919 % 101 % modulus) as u64);
        for (seed, modulus) in (0..60).zip([2, 3, 5, 40].into_iter().cycle()) {
            let own = |w: usize| -> Vec<Duration> {
                let numbers = (0..SECTIONS).map(|i| 29 * seed + SECTIONS * w + i + 1);
                numbers.map(|i| time(i, modulus)).collect()
            };
            for workers in [[0, 0, 0, 0], [0, 1, 2, 3], [0, 1, 1, 0]] {
                let times = workers.map(own);
                let found = even_split(&times).expect("there are enough sections");
                assert_eq!(found, tried(&times, SECTIONS).1, "{times:?}");
            }
        }
    }

    /// No network is so deep that this takes long.
    #[test]
    fn many_sections_are_shared_out_at_once() {
        let times = vec![vec![Duration::from_micros(3); 100_000]; 10];
        assert_eq!(even_split(&times).expect("there are enough"), [10_000; 10]);
    }

    #[test]
    fn too_many_workers_and_splits_that_do_not_add_up_are_refused() {
        assert!(even_split(&vec![vec![Duration::ZERO; 2]; 3]).is_err());
        assert!(even_split(&[]).is_err());
        for wrong in [&[][..], &[3], &[1, 2, 2], &[0, 4], &[2, 0, 2]] {
            assert!(check_split(wrong, 4).is_err(), "{wrong:?}");
        }
        // Whose sum is no number.
        assert!(check_split(&[usize::MAX, usize::MAX, 6], 4).is_err());
        assert!(check_split(&[1, 3], 4).is_ok());
    }
}
