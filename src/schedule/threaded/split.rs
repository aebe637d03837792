//! How sections are shared out among workers.

use std::time::Duration;

use crate::error::{Error, Result};

/// Refuses numbers of sections that are no split of so many.
///
/// # Errors
///
/// If they do not add up to that, or one is zero.
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

/// The split of sections among workers for which the slowest worker is as fast as can be: `times`
/// has for each worker, from the bottom up, what every section would take it.
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
            "{sections} sections cannot be shared out among {workers} workers; choose from 1 to \
             {sections}"
        )));
    }
    // The time of the slowest of the workers so far, if they share the first n sections, for every n;
    // and for each of these workers, how many of them the last one has.
    let mut slowest = sums(&times[0]);
    let mut shares: Vec<Vec<usize>> = vec![(0..=sections).collect()];
    for (w, times) in times.iter().enumerate().skip(1) {
        let sums = sums(times);
        let best = |n: usize| {
            let (mut best, mut share) = (Duration::MAX, 0);
            for own in 1..=n.saturating_sub(w) {
                let last = sums[n] - sums[n - own];
                // With more of them it only takes longer.
                if last >= best {
                    break;
                }
                let slowest = slowest[n - own].max(last);
                if slowest < best {
                    (best, share) = (slowest, own);
                }
            }
            (best, share)
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

    #[test]
    fn it_is_the_best_of_all_splits_whatever_the_workers_are_good_at() {
        const SECTIONS: usize = 7;
        let time = |i: usize, modulus| Duration::from_micros((i * 7919 % 101 % modulus) as u64);
        for (seed, modulus) in (0..50).zip([3, 5, 40].into_iter().cycle()) {
            let own = |w: usize| -> Vec<Duration> {
                let numbers = (0..SECTIONS).map(|i| seed * 21 + w * SECTIONS + i + 1);
                numbers.map(|i| time(i, modulus)).collect()
            };
            let times = [own(0), own(1), own(2)];
            let slowest = |split: &[usize]| {
                let ends = [split[0], split[0] + split[1], SECTIONS];
                let firsts = [0, ends[0], ends[1]];
                let sum = |w: usize| times[w][firsts[w]..ends[w]].iter().sum::<Duration>();
                sum(0).max(sum(1)).max(sum(2))
            };
            let all = (1..SECTIONS - 1)
                .flat_map(|a| (1..SECTIONS - a).map(move |b| vec![a, b, SECTIONS - a - b]));
            let best = all.map(|split| slowest(&split)).min();
            let found = even_split(&times).expect("there are enough sections");
            assert_eq!(Some(slowest(&found)), best, "{times:?}");
        }
    }

    /// Hundreds of workers share thousands of layers in the blink of an eye.
    #[test]
    fn many_sections_are_shared_out_at_once() {
        let times = vec![vec![Duration::from_micros(3); 4_000]; 200];
        assert_eq!(even_split(&times).expect("there are enough"), [20; 200]);
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
