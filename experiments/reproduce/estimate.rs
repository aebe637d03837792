//! How long the calls of a table will take: the steps that are left, times the time of a step.
//!
//! The time of a step is that of a run of the same method in the folder, if one has begun, and else
//! that of a trial. Loading data and evaluations are not counted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, process};

use anyhow::Context;
use dni::report::Record;
use dni::run::{Checkpoint, RunFolder};

use super::call::Call;
use crate::comparison::run_folder;
use crate::stats;

/// Times of steps that are known, by what calls share of their folder, and the method.
pub type StepTimes = BTreeMap<(String, String), Duration>;

/// The runs of a call that have not ended in its folder, and the time that they take.
pub fn left(
    call: &Call,
    folder: &Path,
    known: &mut StepTimes,
) -> anyhow::Result<(usize, Duration)> {
    let (mut runs, mut time) = (0, Duration::ZERO);
    if call.finished(folder)?.is_some() {
        return Ok((runs, time));
    }
    if let Some(seconds) = call.seconds {
        let steps = (call.steps.max(1) * call.seeds) as f64;
        return Ok((call.seeds, Duration::from_secs_f64(seconds * steps)));
    }
    let kind = call.folder.split('/').next().unwrap_or_default();
    let is_alone = call.methods.len() * call.seeds == 1;
    for method in &call.methods {
        let seeds = 1..=call.seeds as u64;
        let folders = seeds.map(|seed| run_folder(folder, method, seed, is_alone));
        let (mut steps, mut step) = (0, None);
        for folder in folders {
            let own = call.steps.saturating_sub(saved_step(&folder)?);
            steps += own;
            runs += usize::from(own > 0);
            step = step.or_else(|| step_time(&folder));
        }
        if steps > 0 {
            let key = (kind.to_string(), method.clone());
            let step = match step.or(known.get(&key).copied()) {
                Some(step) => step,
                None => trial_time(call, method)?,
            };
            known.insert(key, step);
            time += step.mul_f64(steps as f64);
        }
    }
    Ok((runs, time))
}

/// The step to which a run has been saved.
fn saved_step(folder: &Path) -> anyhow::Result<usize> {
    let path = folder.join(RunFolder::CHECKPOINT);
    match path.exists() {
        true => Ok(Checkpoint::read(&path)?.progress().step),
        false => Ok(0),
    }
}

/// The time of a step of a run, if it has left enough.
fn step_time(folder: &Path) -> Option<Duration> {
    const POINTS: usize = 1_000;
    let record = Record::read(folder, POINTS).ok()?;
    let (_, losses) = record.curves.first()?;
    mean_step(losses.points().map(|point| [point.step, point.seconds]))
}

/// The mean time of a step, by steps and the seconds until then. The slowest twentieth is left out, as
/// evaluations are in it. Workers leave a single record in a short run, which then counts from the start.
fn mean_step(records: impl Iterator<Item = [f64; 2]>) -> Option<Duration> {
    let mut records: Vec<[f64; 2]> = records.collect();
    if records.len() == 1 {
        records.insert(0, [0.0; 2]);
    }
    let steps = records.windows(2);
    let steps = steps.map(|ends| (ends[1][1] - ends[0][1]) / (ends[1][0] - ends[0][0]));
    let mut steps: Vec<f64> = steps.collect();
    steps.sort_by(f64::total_cmp);
    steps.truncate(steps.len() - steps.len() / 20);
    Duration::try_from_secs_f64(stats::mean(&steps)).ok()
}

/// The time of a step of one method, by training it for about half a second.
fn trial_time(call: &Call, method: &str) -> anyhow::Result<Duration> {
    const ENOUGH: f64 = 0.5;
    const MOST: f64 = 20_000.0;
    let few = call.entry().map_or(1, |entry| entry.trial_steps);
    let time = trial(&call.trial(method, few.min(call.steps).max(2)))?;
    let wanted = (ENOUGH / time.as_secs_f64()).min(MOST) as usize;
    match wanted > 2 * few {
        true => trial(&call.trial(method, wanted.min(call.steps))),
        false => Ok(time),
    }
}

/// The time of a step in a short run, which leaves nothing.
fn trial(call: &Call) -> anyhow::Result<Duration> {
    let folder = env::temp_dir().join(format!("dni-trial-{}", process::id()));
    let done = call.run(&folder, true);
    let time = step_time(&folder);
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove the folder '{}'", folder.display()))?;
    }
    match done {
        Ok(_) => time.context("a trial left no times"),
        // A run that will fail takes no time worth telling.
        Err(error) if error.is::<dni::Error>() => Ok(time.unwrap_or_default()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_step_is_that_between_records_without_evaluations() {
        // One comes after step 50.
        let seconds = |step: f64| 0.1 * step + if step > 50.0 { 9.0 } else { 0.0 };
        let records = (1..=101).map(f64::from).map(|step| [step, seconds(step)]);
        let time = mean_step(records).unwrap();
        assert!((time.as_secs_f64() - 0.1).abs() < 1e-9, "{time:?}");
        let from_the_start = mean_step([[4.0, 0.5]].into_iter());
        assert_eq!(from_the_start, Some(Duration::from_millis(125)));
        assert_eq!(mean_step([].into_iter()), None);
    }
}
