//! What workers have done: figures for the log of a run, and words.

use std::collections::BTreeMap;

use dni::data::Fingerprint;
use dni::threaded::{Report, Sharing, Threaded};
use dni::train::{Notes, Task};
use dni::{Batch, Chain, Quality};

/// The task of a chain, for the workers who share the chain.
pub struct TaskOfWorkers<'a, T>(pub &'a mut T);

impl<T: Task<Chain>> Task<Threaded> for TaskOfWorkers<'_, T> {
    fn batch(&mut self, step: usize) -> Batch {
        self.0.batch(step)
    }

    fn hear(&mut self, loss: f64) {
        self.0.hear(loss);
    }

    fn evaluate(&mut self, threaded: &Threaded) -> dni::Result<BTreeMap<String, f64>> {
        let mut evaluated = self.0.evaluate(threaded.chain())?;
        evaluated.extend(figures(threaded));
        Ok(evaluated)
    }

    fn compare(&mut self, threaded: &Threaded) -> Vec<Quality> {
        self.0.compare(threaded.chain())
    }

    fn is_done(&self) -> bool {
        self.0.is_done()
    }

    fn data(&self) -> Option<Fingerprint> {
        self.0.data()
    }

    fn notes(&self) -> Notes {
        self.0.notes()
    }

    fn recall(&mut self, notes: &Notes) {
        self.0.recall(notes);
    }
}

/// What workers have done so far, for a run's log: the mean staleness at each interface between
/// two of them, in steps and in seconds, and the share of the time that each was busy.
fn figures(threaded: &Threaded) -> impl Iterator<Item = (String, f64)> {
    let (report, chain) = (threaded.report(), threaded.chain());
    let late = chain.names().into_iter().zip(&report.staleness);
    let late = late.filter(|(_, staleness)| staleness.targets > 0);
    let late = late.flat_map(|(name, staleness)| {
        let seconds = staleness.mean_time().as_secs_f64();
        [
            (format!("staleness_{name}"), staleness.mean()),
            (format!("lateness_{name}"), seconds),
        ]
    });
    let busy = report.workers.iter().enumerate();
    late.chain(busy.map(|(i, worker)| (format!("busy_worker{}", i + 1), worker.busy_share())))
}

/// What workers have done, in words.
pub fn summary(report: &Report) -> String {
    let busy: Vec<String> = report
        .workers
        .iter()
        .map(|worker| format!("{:.0} %", 100.0 * worker.busy_share()))
        .collect();
    let busy = format!("workers busy {} of the time", busy.join(", "));
    if report.sharing != Sharing::Decoupled {
        return busy;
    }
    let stalest = report.staleness.iter().max_by_key(|s| (s.sum, s.most));
    let stalest = stalest.copied().unwrap_or_default();
    format!(
        "{busy}, gradients up to {} messages late (mean {:.2}, {:.1} ms)",
        stalest.most,
        stalest.mean(),
        1e3 * stalest.mean_time().as_secs_f64()
    )
}
