//! Workers: layers that train at the same time, each worker on a thread of its own.

use std::time::Duration;

use clap::Args;
use dni::schedule::Threaded;
use dni::schedule::threaded::{Report, check_split, even_split, section_times};
use dni::{Batch, Chain, Lessons};
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive};
use crate::method::Method;

/// Flags that share layers out among workers.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Workers")]
pub struct WorkerArgs {
    /// Threads that train the layers at the same time, each some neighbouring ones; a short warm-up
    /// shares them out evenly [default: one thread, layer after layer]
    #[arg(long, value_name = "N", value_parser = positive)]
    workers: Option<usize>,

    /// Layers of each worker from the bottom up, as in 2,4, instead of --workers
    #[arg(
        long,
        value_name = "LAYERS",
        value_delimiter = ',',
        value_parser = positive,
        conflicts_with = "workers"
    )]
    split: Option<Vec<usize>>,

    /// Messages that a worker may send before the first is answered; with one the result does not
    /// depend on the timing [default: 1, or 2 if a worker has one layer and others above]
    #[arg(long, value_name = "N", value_parser = positive)]
    queue: Option<usize>,
}

/// Who trains which layers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workers {
    /// None if there are no workers, or the split says how many.
    number: Option<usize>,
    /// None for an even one.
    split: Option<Vec<usize>>,
    /// None for the default.
    queue: Option<usize>,
}

impl Workers {
    /// Changes what flags were given for.
    pub fn set(&mut self, args: &WorkerArgs) {
        self.number = args.workers.or(self.number);
        self.split = args.split.clone().or(self.split.take());
        self.queue = args.queue.or(self.queue);
    }

    /// Whether there are any.
    pub fn are_wanted(&self) -> bool {
        self.number.is_some() || self.split.is_some()
    }

    /// Refuses what leaves a worker without layers, and methods that would keep them waiting.
    pub fn check(&self, layers: usize, methods: &[Method]) -> Result<(), Misuse> {
        if self.queue.is_some() && !self.are_wanted() {
            return Err(Misuse(
                "--queue is between workers; add --workers or --split".to_string(),
            ));
        }
        if let Some(split) = &self.split {
            check_split(split, layers).map_err(|error| Misuse(error.to_string()))?;
        }
        if self.number.is_some_and(|number| number > layers) {
            return Err(Misuse(format!(
                "every worker needs a layer, and there are {layers}; choose --workers {layers} at \
                 most"
            )));
        }
        let locked = methods.iter().find(|m| m.credit().is_update_locked());
        match locked.filter(|_| self.are_wanted()) {
            Some(method) => Err(Misuse(format!(
                "workers cannot train by {method}: each layer would wait for those above it (it is \
                 update-locked); choose --method from dni, cdni and none, or leave out the workers"
            ))),
            None => Ok(()),
        }
    }

    /// Gives the layers of a chain to workers, and tells `say` who has which.
    pub fn hire(
        &self,
        chain: Chain,
        batch: &Batch,
        lessons: &Lessons,
        kernel_threads: usize,
        say: impl FnOnce(&str),
    ) -> dni::Result<Threaded> {
        let (split, times) = match &self.split {
            Some(split) => (split.clone(), None),
            None => {
                let times = section_times(&chain, batch, lessons)?;
                let split = even_split(&times, self.number.unwrap_or(1))?;
                (split, Some(times))
            }
        };
        say(&shares(&chain.names(), &split, times.as_deref()));
        let threaded = Threaded::new(chain, &split)?.with_kernel_threads(kernel_threads)?;
        match self.queue {
            Some(queue) => threaded.with_queue(queue),
            None => Ok(threaded),
        }
    }
}

/// Who has which layers, and how long they take if that was measured.
fn shares(names: &[&str], split: &[usize], times: Option<&[Duration]>) -> String {
    let mut first = 0;
    let shares = split.iter().map(|layers| {
        let own = first..first + layers;
        first = own.end;
        let names = match &names[own.clone()] {
            [name] => name.to_string(),
            names => format!("{} to {}", names[0], names[names.len() - 1]),
        };
        match times {
            Some(times) => {
                let time: Duration = times[own].iter().sum();
                format!("{names} ({:.2} ms a step)", 1e3 * time.as_secs_f64())
            }
            None => names,
        }
    });
    let shares: Vec<String> = shares.collect();
    let workers = if split.len() == 1 {
        "worker"
    } else {
        "workers"
    };
    format!("{} {workers}: {}", split.len(), shares.join(", "))
}

/// What workers have done, in words.
pub fn summary(report: &Report) -> String {
    let busy: Vec<String> = report
        .workers
        .iter()
        .map(|worker| format!("{:.0} %", 100.0 * worker.busy_share()))
        .collect();
    let most = report.staleness.iter().map(|s| s.most).max();
    let mean = report.staleness.iter().map(|s| s.mean());
    format!(
        "workers busy {} of the time, gradients up to {} messages late (mean {:.2})",
        busy.join(", "),
        most.unwrap_or(0),
        mean.fold(0.0, f64::max)
    )
}
