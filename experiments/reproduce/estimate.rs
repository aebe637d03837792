//! How long the calls of a table will take: the steps that are left, times the time of a step.
//!
//! The time of a step is that of a run of the same method in the folder, if one has begun, and else
//! that of a trial. Loading data and evaluations are not counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, process};

use anyhow::Context;
use dni::run::{Checkpoint, RunFolder};

use super::call::{Call, Work};
use crate::comparison::run_folder;

/// What is left of a call.
#[derive(Debug, Clone, Copy)]
pub struct Left {
    /// Runs, or measurements, that have not ended.
    pub runs: usize,
    pub time: Duration,
}

/// Times of steps that were tried, by what calls share of their name, and the method.
pub type Trials = BTreeMap<(String, String), Duration>;

/// What is left of a call in its folder.
pub fn left(call: &Call, folder: &Path, trials: &mut Trials) -> anyhow::Result<Left> {
    if call.finished(folder)?.is_some() {
        return Ok(Left {
            runs: 0,
            time: Duration::ZERO,
        });
    }
    match &call.work {
        Work::Training { methods, seeds, .. } => {
            training_left(call, methods, *seeds, folder, trials)
        }
        Work::Timing { repetitions, cases } => Ok(timing(*repetitions, *cases)),
        &Work::Peer { steps, seeds } => Ok(Left {
            runs: seeds,
            // As fast as one of ours, more or less.
            time: Duration::from_millis(30) * (steps * seeds) as u32,
        }),
    }
}

/// All of a measurement of the bench, which does not go on where it stopped.
fn timing(repetitions: usize, cases: usize) -> Left {
    // Of a case, and what it takes to warm it up.
    const REPETITION: Duration = Duration::from_millis(100);
    const WARM_UP: Duration = Duration::from_millis(300);
    Left {
        runs: 1,
        time: cases as u32 * (repetitions as u32 * REPETITION + WARM_UP),
    }
}

/// What is left of the runs of each method.
fn training_left(
    call: &Call,
    methods: &[String],
    seeds: usize,
    folder: &Path,
    trials: &mut Trials,
) -> anyhow::Result<Left> {
    let kind = call.name.split('/').next().unwrap_or_default();
    let is_alone = methods.len() * seeds == 1;
    let (mut runs, mut time) = (0, Duration::ZERO);
    for method in methods {
        let folders = (1..=seeds as u64).map(|seed| run_folder(folder, method, seed, is_alone));
        let (mut steps_left, mut step) = (0, None);
        for folder in folders {
            let own = call.steps().saturating_sub(saved_step(&folder)?);
            steps_left += own;
            runs += usize::from(own > 0);
            step = step.or_else(|| step_time(&folder));
        }
        if steps_left > 0 {
            let key = (kind.to_string(), method.clone());
            let step = match step.or(trials.get(&key).copied()) {
                Some(step) => step,
                None => trial_time(call, method)?,
            };
            trials.insert(key, step);
            time += step.mul_f64(steps_left as f64);
        }
    }
    Ok(Left { runs, time })
}

/// The step to which a run has been saved.
fn saved_step(folder: &Path) -> anyhow::Result<usize> {
    let path = folder.join(RunFolder::CHECKPOINT);
    match path.exists() {
        true => Ok(Checkpoint::read(&path)?.progress().step),
        false => Ok(0),
    }
}

/// The mean time of a step of a run, from its log, if that has enough.
fn step_time(folder: &Path) -> Option<Duration> {
    mean_step(&fs::read_to_string(folder.join(RunFolder::SCALARS)).ok()?)
}

/// The mean time of a step, from a table of steps and seconds. The slowest twentieth of the rows is
/// left out: they had an evaluation. Workers leave a single row in a short run, which then counts from
/// the start.
fn mean_step(log: &str) -> Option<Duration> {
    let lines = log.split_inclusive('\n');
    // A program that was killed may have left half a line.
    let rows = lines
        .filter(|line| line.ends_with('\n'))
        .filter_map(|line| {
            let mut cells = line.trim_end().split(',');
            let step: f64 = cells.next()?.parse().ok()?;
            let seconds: f64 = cells.next()?.parse().ok()?;
            Some((step, seconds))
        });
    let mut rows: Vec<(f64, f64)> = rows.collect();
    if rows.len() == 1 {
        rows.insert(0, (0.0, 0.0));
    }
    let steps = rows.windows(2).filter_map(|pair| {
        let [(step, seconds), (next_step, next_seconds)] = [pair[0], pair[1]];
        (next_step > step).then(|| (next_seconds - seconds) / (next_step - step))
    });
    let mut steps: Vec<f64> = steps.collect();
    steps.sort_by(f64::total_cmp);
    steps.truncate(steps.len() - steps.len() / 20);
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    Duration::try_from_secs_f64(mean).ok()
}

/// The time of a step of one method, by training it for about half a second.
fn trial_time(call: &Call, method: &str) -> anyhow::Result<Duration> {
    const ENOUGH: Duration = Duration::from_millis(500);
    const MOST: f64 = 20_000.0;
    let few = call.entry().map_or(1, |entry| entry.trial_steps);
    let time = trial(&call.trial(method, few.min(call.steps()).max(2)))?;
    let wanted = (ENOUGH.as_secs_f64() / time.as_secs_f64()).min(MOST) as usize;
    match wanted > 2 * few {
        true => trial(&call.trial(method, wanted.min(call.steps()))),
        false => Ok(time),
    }
}

/// The time of a step in a short run, which leaves nothing.
fn trial(call: &Call) -> anyhow::Result<Duration> {
    let folder = env::temp_dir().join(format!("dni-trial-{}", process::id()));
    let done = call.run("--run-dir", &folder, true);
    let time = step_time(&folder);
    match fs::remove_dir_all(&folder) {
        Err(error) if folder.exists() => {
            let cannot = format!("cannot remove the folder '{}'", folder.display());
            return Err(error).context(cannot);
        }
        _ => {}
    }
    match (done, time) {
        // A run that will fail takes no time worth telling.
        (Err(error), time) if error.is::<dni::Error>() => Ok(time.unwrap_or_default()),
        (done, time) => {
            done?;
            time.context("a trial left no times")
        }
    }
}

/// A time as people say it.
pub fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        0.0..90.0 => format!("{} s", seconds.ceil()),
        90.0..5_400.0 => format!("{:.0} min", seconds / 60.0),
        5_400.0..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evaluation_does_not_count() {
        let mut log = "step,seconds,loss\n".to_string();
        for step in 1..=101 {
            // It comes after step 50.
            let evaluation = if step > 50 { 9.0 } else { 0.0 };
            log += &format!("{step},{},0.5\n", 0.1 * f64::from(step) + evaluation);
        }
        // A line that was cut off.
        log += "102,1";
        let time = mean_step(&log).unwrap();
        assert!((time.as_secs_f64() - 0.1).abs() < 1e-9, "{time:?}");
    }

    #[test]
    fn a_single_row_counts_from_the_start() {
        let time = mean_step("step,seconds\n4,0.5\n").unwrap();
        assert_eq!(time, Duration::from_millis(125));
        assert_eq!(mean_step("step,seconds\n"), None);
    }

    #[test]
    fn times_are_rounded_as_people_do() {
        for (seconds, words) in [
            (0.2, "1 s"),
            (300.0, "5 min"),
            (9_000.0, "2.5 h"),
            (216_000.0, "2.5 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs_f64(seconds)), words);
        }
    }
}
