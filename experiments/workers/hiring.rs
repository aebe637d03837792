//! How workers get their layers, and train them.

use std::time::Duration;

use burn::tensor::Device;
use dni::learner::Learner as _;
use dni::threaded::{Report, Threaded, even_split, locked_times, section_times, traffic};
use dni::train::{Plan, Progress, Task};
use dni::{Batch, Chain, ChainSchedule, Place};

use super::account::{TaskOfWorkers, summary};
use super::{Workers, shares_of};
use crate::comparison::{Run, Settings};
use crate::method::Method;
use crate::sections::layer_name;

/// Workers who have their layers.
struct Hired {
    threaded: Threaded,
    /// Who has which layers, in words.
    shares: String,
}

impl Workers {
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
