//! How far all runs of a call are, and how long they will take.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dni::train::{Event, Listener, Plan};

use crate::progress::Busy;

/// The runs of the call at hand.
static RUNS: Mutex<Runs> = Mutex::new(Runs::NONE);

/// Runs that belong together.
#[derive(Debug)]
struct Runs {
    /// How many there will be.
    expected: usize,
    /// How many are made at the same time.
    jobs: usize,
    /// Those that have begun.
    begun: Vec<State>,
    /// Calls that expect runs, one within the other.
    calls: usize,
}

/// A run that has begun.
#[derive(Debug, Clone)]
struct State {
    label: String,
    /// Those of a kind take about the same time.
    kind: String,
    /// The share of it that was done when it began here, and that is done now, from 0 to 1.
    first: f64,
    share: f64,
    /// Seconds that it took from the one to the other.
    seconds: f64,
    /// How far it is, as people say it.
    said: String,
    is_over: bool,
}

fn all() -> MutexGuard<'static, Runs> {
    // Every change is whole, whatever panicked.
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs are expected, and said how far they are, for as long as this lives.
pub struct Expected {
    _busy: Option<Busy>,
}

/// Expects so many runs, some at the same time. Within a call that expects runs those are among its own.
pub fn expect(runs: usize, jobs: usize, quiet: bool) -> Expected {
    let mut all = all();
    let is_first = all.calls == 0;
    if is_first {
        *all = Runs {
            expected: runs,
            jobs,
            ..Runs::NONE
        };
    }
    all.calls += 1;
    let busy = || Busy::saying(quiet, in_short, in_detail);
    Expected {
        _busy: is_first.then(busy),
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        all().calls -= 1;
    }
}

/// How far all expected runs are, and how long they will take, in a few words.
pub fn in_short() -> String {
    all().in_short()
}

/// The same, and how far each run at work is.
fn in_detail() -> String {
    all().in_detail()
}

/// A run that is at work for as long as this lives: a listener that notes how far it is.
pub struct AtWork {
    run: usize,
    steps: usize,
    /// Seconds that it takes, if time ends it.
    time: Option<f64>,
    begun: Instant,
}

impl AtWork {
    /// Notes that a run of a kind begins, or goes on.
    pub fn begin<S>(label: &str, kind: &str, plan: &Plan<S>) -> Self {
        let mut all = all();
        all.begun.push(State {
            label: label.to_string(),
            kind: kind.to_string(),
            first: 0.0,
            share: 0.0,
            seconds: 0.0,
            said: "in its first steps".to_string(),
            is_over: false,
        });
        Self {
            run: all.begun.len() - 1,
            steps: plan.steps,
            time: plan.time.map(|time| time.as_secs_f64()),
            begun: Instant::now(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        // Of an earlier call nothing is known any more.
        if let Some(state) = all().begun.get_mut(self.run) {
            change(state);
        }
    }
}

impl Listener for AtWork {
    fn hear(&mut self, event: &Event) -> dni::Result<()> {
        let of_steps = |step: usize| step as f64 / self.steps.max(1) as f64;
        match event {
            Event::Started { step, .. } if self.time.is_none() => self.change(|state| {
                (state.first, state.share) = (of_steps(*step), of_steps(*step));
            }),
            Event::Progress(scalars) => {
                let step = scalars.step;
                let (share, steps) = match self.time {
                    Some(time) => (scalars.seconds / time, String::new()),
                    None => (of_steps(step), format!(" of {}", self.steps)),
                };
                let said = format!("at step {step}{steps}, loss {:.4}", scalars.loss);
                let seconds = self.begun.elapsed().as_secs_f64();
                self.change(|state| {
                    (state.share, state.seconds, state.said) = (share.min(1.0), seconds, said);
                });
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.change(|state| state.is_over = true);
    }
}

impl Runs {
    const NONE: Self = Self {
        expected: 0,
        jobs: 1,
        begun: Vec::new(),
        calls: 0,
    };

    fn at_work(&self) -> Vec<&State> {
        let begun = self.begun.iter();
        begun.filter(|run| !run.is_over).collect()
    }

    /// Seconds until all are done; none before anything is known.
    fn seconds_left(&self) -> Option<f64> {
        let (mut work, mut longest) = (0.0, 0.0_f64);
        for run in self.at_work() {
            let left = (1.0 - run.share) * self.seconds_of(run)?;
            work += left;
            longest = longest.max(left);
        }
        let to_come = self.expected.saturating_sub(self.begun.len());
        if to_come > 0 {
            work += to_come as f64 * self.mean_seconds(None)?;
        }
        Some(longest.max(work / self.jobs.max(1) as f64))
    }

    /// Seconds of a whole run, by its own pace or that of others of its kind.
    fn seconds_of(&self, run: &State) -> Option<f64> {
        run.whole().or_else(|| self.mean_seconds(Some(&run.kind)))
    }

    /// Seconds of a whole run of a kind, or of any.
    fn mean_seconds(&self, kind: Option<&str>) -> Option<f64> {
        let of_kind = |run: &&State| kind.is_none_or(|kind| run.kind == kind);
        let known = self.begun.iter().filter(of_kind);
        let known: Vec<f64> = known.filter_map(State::whole).collect();
        match (known.len(), kind) {
            (0, Some(_)) => self.mean_seconds(None),
            (0, None) => None,
            (runs, _) => Some(known.iter().sum::<f64>() / runs as f64),
        }
    }

    fn in_short(&self) -> String {
        let (begun, all) = (self.begun.len(), self.expected.max(self.begun.len()));
        let runs = match (self.at_work().len(), all) {
            (0, _) if begun == 0 => return "getting ready".to_string(),
            (0, 1) => return "trained, measuring".to_string(),
            (0, _) => format!("{begun} of {all} runs trained, measuring"),
            (1, _) => format!("run {begun} of {all}"),
            (at_work, _) => format!(
                "{} of {all} runs trained, {at_work} at work",
                begun - at_work
            ),
        };
        match self.seconds_left() {
            Some(seconds) => format!("{runs}, {} left in all", in_words(seconds)),
            None => runs,
        }
    }

    fn in_detail(&self) -> String {
        let runs = self.at_work().into_iter();
        let runs = runs.map(|run| format!("; {} {}", run.label, run.said));
        self.in_short() + &runs.collect::<String>()
    }
}

impl State {
    /// Seconds of the whole run, at its pace so far.
    fn whole(&self) -> Option<f64> {
        let done = self.share - self.first;
        (done > 0.0 && self.seconds > 0.0).then(|| self.seconds / done)
    }
}

/// A time that is left, in the units that matter.
pub fn in_words(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        (0..48, _) => format!("{hours} h {minutes} min"),
        _ => format!("{} days {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: &str, share: f64, seconds: f64) -> State {
        State {
            label: format!("{kind}, seed 1"),
            kind: kind.to_string(),
            first: 0.0,
            share,
            seconds,
            said: "at step 5".to_string(),
            is_over: share == 1.0,
        }
    }

    #[test]
    fn time_left_is_that_of_all_runs() {
        let mut runs = Runs {
            expected: 3,
            ..Runs::NONE
        };
        assert_eq!(runs.in_short(), "getting ready");
        runs.begun.push(run("backprop", 0.0, 0.0));
        assert_eq!(runs.in_short(), "run 1 of 3");
        runs.begun[0] = run("backprop", 1.0, 10.0);
        assert_eq!(runs.seconds_left(), Some(20.0), "two more like it");
        runs.begun.push(run("dni", 0.25, 10.0));
        // Three quarters of 40 seconds, and one that takes their mean.
        assert_eq!(runs.seconds_left(), Some(55.0));
        assert_eq!(
            runs.in_detail(),
            "run 2 of 3, 55 s left in all; dni, seed 1 at step 5"
        );
        // What begins late takes as long as others of its kind.
        runs.begun.push(run("dni", 0.0, 0.0));
        assert_eq!(runs.seconds_left(), Some(70.0));
        runs.jobs = 2;
        assert_eq!(runs.seconds_left(), Some(40.0), "the longest of them");
        assert!(
            runs.in_short()
                .starts_with("1 of 3 runs trained, 2 at work")
        );
    }

    #[test]
    fn a_run_that_goes_on_has_its_pace_from_there() {
        let mut runs = Runs {
            expected: 1,
            ..Runs::NONE
        };
        let mut half = run("dni", 0.75, 10.0);
        half.first = 0.5;
        runs.begun.push(half);
        assert_eq!(runs.seconds_left(), Some(10.0));
    }

    #[test]
    fn times_are_short() {
        assert_eq!(in_words(4.2), "5 s");
        assert_eq!(in_words(125.0), "2 min 5 s");
        assert_eq!(in_words(7_260.0), "2 h 1 min");
        assert_eq!(in_words(216_000.0), "2 days 12 h");
    }
}
