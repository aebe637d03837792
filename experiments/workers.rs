//! Workers: layers that train at the same time, each worker on a thread of its own.

mod account;
mod hiring;

use std::time::Duration;

use clap::Args;
use dni::threaded::{Link, check_split, even_split};
use dni::train::Plan;
use dni::{Backend, ChainSchedule, Place};
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive, whole};
use crate::comparison::{Common, check_every};
use crate::method::Method;
use crate::sections::Sections;

/// Pieces of a batch in a pipeline.
pub const MICRO_BATCHES: usize = 8;
/// Examples that batch norm needs in a piece of a batch.
const LEAST: usize = 2;

/// Pieces of a batch, as many as batch norm allows.
pub fn most_micro_batches(batch_size: usize) -> usize {
    (batch_size / LEAST).max(1)
}

/// Messages of a queue, which has room for all of them from the beginning, and steps that gradients
/// may be late.
const MOST_QUEUE: usize = 1 << 16;
/// Threads of workers, more than any machine is quick with.
const MOST_WORKERS: usize = 1_024;

/// Who trains which layers.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Workers")]
pub struct Workers {
    /// Threads that train at the same time, each a group of adjacent layers, balanced by their
    /// arithmetic or, with --sections, by a short warm-up; without --sections interfaces stand only
    /// between workers [default: one thread, layer after layer]
    #[arg(id = "workers", long = "workers", value_name = "N", value_parser = positive)]
    number: Option<usize>,

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

    /// Messages of a worker that may still be unanswered when its highest layer learns; with 1 the
    /// result does not depend on timing [default: 1; with --link as many as are under way]
    #[arg(long, value_name = "N", value_parser = positive)]
    queue: Option<usize>,

    /// Steps by which gradients from one worker to the one below are late: always exactly so many,
    /// so that the result does not depend on timing; instead of --queue. A stop takes effect within
    /// about twenty times that many steps
    #[arg(long, value_name = "STEPS", value_parser = whole, conflicts_with = "queue")]
    late: Option<usize>,

    /// Simulated network link between workers, which compute meanwhile: one-way delay, bandwidth in
    /// each direction and jitter, as in 150ms, 150ms,100Mbit or 150ms,100Mbit,10ms [default: none]
    #[arg(long, value_name = "DELAY[,BANDWIDTH][,JITTER]")]
    link: Option<Link>,

    /// Micro-batches of a batch in --method pipeline, which pass through the workers one after
    /// another [default: 8]
    // None in settings from before it was written down, or without workers.
    #[arg(long, value_name = "N", value_parser = positive)]
    micro_batches: Option<usize>,
}

impl Workers {
    /// Writes down what is used where nothing was said, so that another default tomorrow changes no run
    /// of today: but for a queue over a link, which depends on how long steps take.
    pub fn resolve(&mut self, batch_size: usize) {
        if !self.are_wanted() {
            return;
        }
        self.micro_batches = Some(self.micro_batches(batch_size));
        if self.late.is_none() && self.link.is_none() {
            self.queue = self.queue.or(Some(1));
        }
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
        // What is refused has no work to be shared out, or more workers than memory.
        if self.check(work.len()).is_err() {
            return Sections::Every;
        }
        match (&self.split, self.count()) {
            (Some(split), _) => Sections::Layers(split.clone()),
            (None, 0) => Sections::Every,
            (None, workers) => {
                let split = even_split(&vec![work.to_vec(); workers]);
                split.map_or(Sections::Every, Sections::Layers)
            }
        }
    }

    /// The place of each worker, if `default` is the backend of the run; that alone without workers.
    pub fn places(&self, default: Backend) -> Vec<Place> {
        let default = || vec![Place::Backend(default); self.count().max(1)];
        self.place.clone().unwrap_or_else(default)
    }

    /// Makes a plan, of records up to `most` steps apart, one that they can keep.
    pub fn adapt(&self, plan: &mut Plan<ChainSchedule>, run: &Common<Method>, most: usize) {
        if self.are_wanted() {
            // All of them must come to the same step for a record.
            plan.record_every = plan.record_every.max(most / 2);
            plan.compare_every = Some(run.compare_every(plan.record_every));
        }
        let places = self.places(run.backend);
        let check_every = places.iter().map(|place| match place {
            Place::Backend(backend) => check_every(*backend, plan.record_every),
            // Each look waits for the device.
            Place::Adapter(_) | Place::Server(_) => plan.record_every,
        });
        plan.check_every = check_every.max().unwrap_or(1);
    }

    /// Refuses what no method of workers can do with so many layers.
    pub fn check(&self, layers: usize) -> Result<(), Misuse> {
        let between = [
            ("--queue", self.queue.is_some()),
            ("--late", self.late.is_some()),
            ("--link", self.link.is_some()),
            ("--micro-batches", self.micro_batches.is_some()),
        ];
        let between = between.iter().find(|(_, is_given)| *is_given);
        if let Some((flag, _)) = between.filter(|_| !self.are_wanted()) {
            return Err(Misuse(format!(
                "{flag} is for workers; add --workers, --split or --place"
            )));
        }
        if self.queue.is_some_and(|queue| queue > MOST_QUEUE) {
            return Err(Misuse(format!(
                "a queue of that many messages never fills; choose --queue up to {MOST_QUEUE}"
            )));
        }
        if self.late.is_some_and(|late| late > MOST_QUEUE) {
            return Err(Misuse(format!(
                "gradients that late are of no use; choose --late up to {MOST_QUEUE}"
            )));
        }
        if let Some(split) = &self.split {
            check_split(split, layers).map_err(|error| Misuse(error.to_string()))?;
        }
        // By --workers alone they may share batches: that depends on the method.
        if self.count() > layers && self.number.is_none() {
            return Err(Misuse(format!(
                "every worker needs a layer, and there are {layers}; choose at most {layers} workers"
            )));
        }
        if self.count() > MOST_WORKERS {
            return Err(Misuse(format!(
                "{} workers are too many; choose up to {MOST_WORKERS}",
                self.count()
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
        let mut places = self.place.iter().flatten();
        if self.link.is_some() && places.any(|place| matches!(place, Place::Server(_))) {
            return Err(Misuse(
                "--link simulates a link between workers of this process, but a server has a real \
                 one; leave out one of them"
                    .to_string(),
            ));
        }
        Ok(())
    }

    /// Refuses a method by which they cannot train, or whose sections, of so many layers each, or
    /// batches they cannot share.
    pub fn check_method(
        &self,
        method: Method,
        sections: &[usize],
        batch_size: usize,
    ) -> Result<(), Misuse> {
        let misuse = |reason: String| Err(Misuse(reason));
        if !self.are_wanted() {
            return match method {
                Method::Pipeline => misuse(
                    "a pipeline needs workers; add --workers, --split or --place".to_string(),
                ),
                _ => Ok(()),
            };
        }
        if let Method::Lambda(_) = method {
            return misuse(format!(
                "workers cannot train by {method}: each layer would wait for those above it (it is \
                 update-locked); choose --method from dni, cdni, delayed, none, backprop and \
                 pipeline, or leave out the workers"
            ));
        }
        let (pieces, flag) = match method {
            Method::Backprop => (self.count(), "--workers"),
            Method::Pipeline => (self.micro_batches(batch_size), "--micro-batches"),
            _ => (1, ""),
        };
        if pieces > 1 && pieces > batch_size / LEAST {
            return misuse(format!(
                "batches of {batch_size} cannot be split into {pieces} of {LEAST} examples or more, \
                 which batch norm needs; choose a larger --batch-size or a smaller {flag}"
            ));
        }
        if method == Method::Backprop {
            return match self.split.is_some() || self.place.is_some() {
                true => misuse(
                    "several workers that train by backprop share batches and not layers, and \
                     compute on the run's backend; give --workers alone, or choose --method \
                     pipeline"
                        .to_string(),
                ),
                false => Ok(()),
            };
        }
        if self.count() > sections.len() {
            return misuse(format!(
                "every worker needs a section, but with {method} there are {}; choose --workers {} \
                 at most, or more --sections",
                sections.len(),
                sections.len()
            ));
        }
        match &self.split {
            Some(split) if shares_of(split, sections).is_none() => misuse(format!(
                "--split gives workers {split:?} layers, but with {method} sections have \
                 {sections:?}: let workers meet where sections do"
            )),
            _ => Ok(()),
        }
    }

    fn micro_batches(&self, batch_size: usize) -> usize {
        self.micro_batches
            .unwrap_or_else(|| most_micro_batches(batch_size).min(MICRO_BATCHES))
    }
}

/// A place as the flag has it: as [`Place`] reads it, or `auto`.
fn place(text: &str) -> Result<Place, String> {
    match text {
        "auto" => Ok(Place::Backend(Backend::auto())),
        _ => text.parse().map_err(|error: dni::Error| error.to_string()),
    }
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
