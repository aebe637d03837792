//! Workers: layers that train at the same time, each worker on a thread of its own.

use std::time::Duration;

use burn::tensor::Device;
use clap::Args;
use dni::schedule::Threaded;
use dni::schedule::threaded::{Report, check_split, even_split, section_times};
use dni::{Backend, Batch, Chain, Lessons, Place};
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive};
use crate::method::Method;
use crate::sections::{Sections, layer_name};
use crate::token::TokenArgs;

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

    /// Where each worker computes, from the bottom up: a backend, wgpu:N for the N-th adapter of `dni
    /// backends` from 0, or a `dni serve`, as in flex,wgpu:1,ws://10.0.0.2:3000 (unencrypted) or
    /// iroh://KEY@10.0.0.2:3000 [default: --backend for all]
    #[arg(long, value_name = "PLACES", value_delimiter = ',', value_parser = place)]
    place: Option<Vec<Place>>,

    #[command(flatten)]
    pub token: TokenArgs,

    /// Messages of a worker that may be unanswered when its highest layer learns; with one the result
    /// does not depend on the timing [default: 1]
    #[arg(long, value_name = "N", value_parser = positive)]
    queue: Option<usize>,

    /// Steps that gradients come late from one worker to the one below, neither more nor less, so
    /// that the result does not depend on the timing; instead of --queue
    #[arg(long, value_name = "STEPS", conflicts_with = "queue")]
    late: Option<usize>,
}

/// Messages of a queue, which has room for all of them from the beginning.
const MOST_QUEUE: usize = 1 << 16;

/// Who trains which layers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workers {
    /// None if there are no workers, or the split or the places say how many.
    number: Option<usize>,
    /// None for an even one.
    split: Option<Vec<usize>>,
    /// None for the run's backend.
    place: Option<Vec<Place>>,
    /// None for the default.
    queue: Option<usize>,
    /// None if the timing and the queue say it.
    late: Option<usize>,
}

/// Workers who have their layers.
pub struct Hired {
    pub threaded: Threaded,
    /// Who has which layers, in words.
    pub shares: String,
}

impl Workers {
    /// Changes what flags were given for.
    pub fn set(&mut self, args: &WorkerArgs) {
        self.number = args.workers.or(self.number);
        self.split = args.split.clone().or(self.split.take());
        self.place = args.place.clone().or(self.place.take());
        self.queue = args.queue.or(self.queue);
        self.late = args.late.or(self.late);
    }

    /// Whether there are any.
    pub fn are_wanted(&self) -> bool {
        self.count() > 0
    }

    /// How many there are.
    fn count(&self) -> usize {
        let by_split = self.split.as_ref().map(Vec::len);
        let by_place = self.place.as_ref().map(Vec::len);
        by_split.or(self.number).or(by_place).unwrap_or(0)
    }

    /// Sections whose layers are those of each worker, if there are any: by the split, or else evenly
    /// by the `work` of every layer, from the bottom up.
    pub fn sections(&self, work: &[Duration]) -> Sections {
        match (&self.split, self.count()) {
            (Some(split), _) => Sections::Layers(split.clone()),
            (None, 0) => Sections::Every,
            (None, workers) => match even_split(&vec![work.to_vec(); workers]) {
                Ok(split) => Sections::Layers(split),
                // There are more workers than layers, which is refused.
                Err(_) => Sections::Every,
            },
        }
    }

    /// The place of each worker, if `default` is the backend of the run; that alone without workers.
    pub fn places(&self, default: Backend) -> Vec<Place> {
        let default = || vec![Place::Backend(default); self.count().max(1)];
        self.place.clone().unwrap_or_else(default)
    }

    /// Refuses what leaves a worker without layers.
    pub fn check(&self, layers: usize) -> Result<(), Misuse> {
        let between = [("--queue", self.queue), ("--late", self.late)];
        let between = between.iter().find(|(_, given)| given.is_some());
        if let Some((flag, _)) = between.filter(|_| !self.are_wanted()) {
            return Err(Misuse(format!(
                "{flag} is between workers; add --workers, --split or --place"
            )));
        }
        if self.queue.is_some_and(|queue| queue > MOST_QUEUE) {
            return Err(Misuse(format!(
                "a queue of so many messages never fills; choose --queue up to {MOST_QUEUE}"
            )));
        }
        if let Some(split) = &self.split {
            check_split(split, layers).map_err(|error| Misuse(error.to_string()))?;
        }
        if self.count() > layers {
            return Err(Misuse(format!(
                "every worker needs a layer, and there are {layers}; choose --workers {layers} at \
                 most"
            )));
        }
        let places = self.place.iter().flatten();
        if let Some(Err(error)) = places.map(Place::check).find(Result::is_err) {
            return Err(Misuse(error.to_string()));
        }
        if let Some(place) = &self.place
            && place.len() != self.count()
        {
            return Err(Misuse(format!(
                "--place names {} places for {} workers; name one for each",
                place.len(),
                self.count()
            )));
        }
        Ok(())
    }

    /// Refuses a method that would keep them waiting, or whose sections, of so many layers each,
    /// they cannot share.
    pub fn check_method(&self, method: Method, sections: &[usize]) -> Result<(), Misuse> {
        if !self.are_wanted() {
            return Ok(());
        }
        if method.credit().is_update_locked() {
            return Err(Misuse(format!(
                "workers cannot train by {method}: each layer would wait for those above it (it is \
                 update-locked); choose --method from dni, cdni, delayed and none, or leave out the \
                 workers"
            )));
        }
        if self.count() > sections.len() {
            return Err(Misuse(format!(
                "every worker needs a section, and with {method} there are {}; choose --workers {} \
                 at most, or more --sections",
                sections.len(),
                sections.len()
            )));
        }
        match &self.split {
            Some(split) if shares_of(split, sections).is_none() => Err(Misuse(format!(
                "--split gives workers {split:?} layers, and with {method} sections have \
                 {sections:?}: let workers meet where sections do"
            ))),
            _ => Ok(()),
        }
    }

    /// Gives the sections of a chain, of so many layers each, to workers, who have opened their places
    /// on these `devices`.
    pub fn hire(
        &self,
        (mut chain, sections): (Chain, &[usize]),
        batch: &Batch,
        lessons: &Lessons,
        devices: &[Device],
        kernel_threads: usize,
    ) -> dni::Result<Hired> {
        let by_split = self.split.as_ref();
        let (split, times) = match by_split.and_then(|split| shares_of(split, sections)) {
            Some(split) => (split, None),
            None => {
                let times = worker_times(&chain, batch, lessons, devices)?;
                (even_split(&times)?, Some(times))
            }
        };
        let places = devices.iter().zip(&split);
        let places = places.flat_map(|(device, &own)| vec![device.clone(); own]);
        chain.place(&places.collect::<Vec<_>>())?;
        let shares = shares(sections, &split, times.as_deref(), self.place.as_deref());
        let threaded = Threaded::new(chain, &split)?.with_kernel_threads(kernel_threads)?;
        let threaded = match (self.queue, self.late) {
            (_, Some(late)) => threaded.with_lateness(late),
            (Some(queue), None) => threaded.with_queue(queue)?,
            (None, None) => threaded,
        };
        Ok(Hired { threaded, shares })
    }
}

/// A place as the flag has it: as [`Place`] reads it, or `auto`.
fn place(text: &str) -> Result<Place, String> {
    match text {
        "auto" => Ok(Place::Backend(Backend::auto())),
        _ => text.parse().map_err(|error: dni::Error| error.to_string()),
    }
}

/// What every layer would take each worker, by a warm-up on each device.
fn worker_times(
    chain: &Chain,
    batch: &Batch,
    lessons: &Lessons,
    devices: &[Device],
) -> dni::Result<Vec<Vec<Duration>>> {
    let mut times: Vec<Vec<Duration>> = Vec::with_capacity(devices.len());
    for (i, device) in devices.iter().enumerate() {
        let known = devices[..i].iter().position(|known| known == device);
        times.push(match known {
            Some(known) => times[known].clone(),
            None => section_times(chain, batch, lessons, device)?,
        });
    }
    Ok(times)
}

/// The sections of each worker who has so many layers; none if a section would be shared.
fn shares_of(split: &[usize], sections: &[usize]) -> Option<Vec<usize>> {
    let mut rest = sections;
    let shares = split.iter().map(|&layers| {
        let mut ends = rest.iter().scan(0, |end, size| {
            *end += size;
            Some(*end)
        });
        let own = ends.position(|end| end == layers)? + 1;
        rest = &rest[own..];
        Some(own)
    });
    shares.collect()
}

/// Who has which layers, of so many in each section, how long they take if that was measured, and
/// where they are if it was said.
fn shares(
    sections: &[usize],
    split: &[usize],
    times: Option<&[Vec<Duration>]>,
    place: Option<&[Place]>,
) -> String {
    let layers = sections.iter().sum();
    let (mut first, mut below) = (0, 0);
    let shares = split.iter().enumerate().map(|(worker, own)| {
        let own = first..first + own;
        first = own.end;
        let lowest = below;
        below += sections[own.clone()].iter().sum::<usize>();
        let [lowest, highest] = [lowest, below - 1].map(|i| layer_name(i, layers));
        let mut share = match lowest == highest {
            true => highest,
            false => format!("{lowest} to {highest}"),
        };
        if let Some(place) = place {
            share += &format!(" on {}", place[worker]);
        }
        if let Some(times) = times {
            let time: Duration = times[worker][own].iter().sum();
            share += &format!(" ({:.2} ms a step)", 1e3 * time.as_secs_f64());
        }
        share
    });
    let shares: Vec<String> = shares.collect();
    let workers = if split.len() == 1 {
        "worker"
    } else {
        "workers"
    };
    format!("{} {workers}: {}", split.len(), shares.join(", "))
}

/// What workers have done so far, for a run's log: the mean staleness at each interface between
/// two of them, and the share of the time that each was busy.
pub fn figures(threaded: &Threaded) -> impl Iterator<Item = (String, f64)> {
    let (report, chain) = (threaded.report(), threaded.chain());
    let late = chain.names().into_iter().zip(&report.staleness);
    let late = late.filter(|(_, staleness)| staleness.targets > 0);
    let late = late.map(|(name, staleness)| (format!("staleness_{name}"), staleness.mean()));
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
    let most = report.staleness.iter().map(|s| s.most).max();
    let mean = report.staleness.iter().map(|s| s.mean());
    format!(
        "workers busy {} of the time, gradients up to {} messages late (mean {:.2})",
        busy.join(", "),
        most.unwrap_or(0),
        mean.fold(0.0, f64::max)
    )
}
