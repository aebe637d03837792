//! Workers: layers that train at the same time, each worker on a thread of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use burn::tensor::Device;
use clap::Args;
use dni::data::Fingerprint;
use dni::learner::Learner as _;
use dni::threaded::{
    Link, Report, Sharing, Threaded, check_split, even_split, locked_times, section_times, traffic,
};
use dni::train::{Notes, Plan, Progress, Task};
use dni::{Backend, Batch, Chain, ChainSchedule, Place, Quality};
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive, whole};
use crate::comparison::{Common, Run, Settings, check_every};
use crate::method::Method;
use crate::sections::{Sections, layer_name};

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

/// Workers who have their layers.
struct Hired {
    threaded: Threaded,
    /// Who has which layers, in words.
    shares: String,
}

/// The task of a chain, for the workers who share the chain.
struct TaskOfWorkers<'a, T>(&'a mut T);

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

    /// Refuses what leaves a worker without layers.
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
        if self.count() > layers {
            return Err(Misuse(format!(
                "every worker needs a layer, and there are {layers}; choose --workers {layers} at \
                 most"
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

    /// Trains the chain of a run, whose sections have so many layers each, by workers who have opened
    /// their places on these `devices`. The chain, and what they have done.
    pub fn train<S: Settings<Method = Method>>(
        &self,
        run: &Run<S>,
        chain: (Chain, &[usize]),
        task: &mut impl Task<Chain>,
        mut plan: Plan<ChainSchedule>,
        devices: &[Device],
    ) -> anyhow::Result<(Chain, Progress, Report)> {
        let first = task.batch(0);
        let kernel_threads = run.settings.common().kernel_threads;
        let way = (run.method, &plan.schedule);
        let Hired {
            mut threaded,
            shares,
        } = self.hire(chain, &first, way, devices, kernel_threads)?;
        run.say(&shares);
        plan.record_every = plan.record_every.max(threaded.at_least());
        plan.compare_every = plan
            .compare_every
            .map(|every| every.next_multiple_of(plan.record_every));
        let progress = run.train(&mut threaded, &mut TaskOfWorkers(task), &plan)?;
        let report = threaded.report().clone();
        run.say(&summary(&report));
        Ok((threaded.into_chain(), progress, report))
    }

    /// Gives a chain to workers who train it by `method`, each on a thread of its own.
    ///
    /// They have opened their places on these `devices`, and share its sections, of so many layers
    /// each. By backprop everyone has all of them and a share of every batch.
    fn hire(
        &self,
        (chain, sections): (Chain, &[usize]),
        batch: &Batch,
        (method, schedule): (Method, &ChainSchedule),
        devices: &[Device],
        kernel_threads: usize,
    ) -> dni::Result<Hired> {
        let mut hired = match method {
            Method::Backprop => Hired {
                threaded: Threaded::data_parallel(chain, self.count())?,
                shares: in_words(self.count(), "all layers and a share of every batch each"),
            },
            _ => self.share_out((chain, sections), batch, (method, schedule), devices)?,
        };
        hired.threaded = hired.threaded.with_kernel_threads(kernel_threads)?;
        if let Some(link) = self.link {
            hired.threaded = hired.threaded.with_link(link);
        }
        Ok(hired)
    }

    /// Gives each worker some sections.
    fn share_out(
        &self,
        (mut chain, sections): (Chain, &[usize]),
        batch: &Batch,
        way: (Method, &ChainSchedule),
        devices: &[Device],
    ) -> dni::Result<Hired> {
        let by_split = self.split.as_ref();
        let by_split = by_split.and_then(|split| shares_of(split, sections));
        let times = match by_split.is_some() && self.link.is_none() {
            true => None,
            false => Some(worker_times(&chain, batch, way, devices)?),
        };
        let split = match (by_split, &times) {
            (None, Some(times)) => even_split(times)?,
            (by_split, _) => by_split.unwrap_or_default(),
        };
        let under_way = match (self.link, &times) {
            (Some(link), Some(times)) => {
                let message = largest_message(&chain, batch, &split);
                link.queue(slowest(times, &split), message)
            }
            _ => 1,
        };
        let places = devices.iter().zip(&split);
        let places = places.flat_map(|(device, &own)| vec![device.clone(); own]);
        chain.place(&places.collect::<Vec<_>>())?;
        let shares = shares(sections, &split, times.as_deref(), self.place.as_deref());
        let threaded = match way.0 {
            Method::Pipeline => {
                let examples = batch.input.examples();
                Threaded::pipeline(chain, &split, self.micro_batches(examples))?
            }
            _ => {
                let threaded = Threaded::new(chain, &split)?;
                match self.late {
                    Some(late) => threaded.with_lateness(late),
                    None => threaded.with_queue(self.queue.unwrap_or(under_way))?,
                }
            }
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

/// What every section would take each worker under a method, by a warm-up on each device.
fn worker_times(
    chain: &Chain,
    batch: &Batch,
    (method, schedule): (Method, &ChainSchedule),
    devices: &[Device],
) -> dni::Result<Vec<Vec<Duration>>> {
    let mut times: Vec<Vec<Duration>> = Vec::with_capacity(devices.len());
    for (i, device) in devices.iter().enumerate() {
        let known = devices[..i].iter().position(|known| known == device);
        times.push(match known {
            Some(known) => times[known].clone(),
            None if method == Method::Pipeline => {
                let [forward, backward] = locked_times(chain, batch, device)?;
                let times = forward.into_iter().zip(backward);
                times
                    .map(|(forward, backward)| forward + backward)
                    .collect()
            }
            None => section_times(chain, batch, schedule, device)?,
        });
    }
    Ok(times)
}

/// What a step takes the slowest worker.
fn slowest(times: &[Vec<Duration>], split: &[usize]) -> Duration {
    let mut first = 0;
    let own = times.iter().zip(split).map(|(times, own)| {
        let own = first..first + own;
        first = own.end;
        times[own].iter().sum()
    });
    own.max().unwrap_or_default()
}

/// The size of the largest message from one worker to the next, in bytes; 0 if there is none.
fn largest_message(chain: &Chain, batch: &Batch, split: &[usize]) -> usize {
    let messages = traffic(chain, batch).messages;
    let mut end = 0;
    let ends = split.iter().map(|own| {
        end += own;
        end
    });
    let sizes = ends.filter_map(|end| messages.get(end - 1));
    sizes.max().copied().unwrap_or(0)
}

/// A number of workers and something about them.
fn in_words(workers: usize, what: &str) -> String {
    let noun = if workers == 1 { "worker" } else { "workers" };
    format!("{workers} {noun}: {what}")
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
    in_words(split.len(), &shares.join(", "))
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
fn summary(report: &Report) -> String {
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
