//! Who takes the steps of a chunk, and the queues between them.

use super::link::Link;
use super::member::{Course, Log};
use super::messages::{Lesson, queues};
use super::parallel::{Replica, peers};
use super::pipeline::Stage;
use super::queue::{Sender, queue};
use super::worker::{Manner, Worker};
use crate::feedforward::{Chain, Group};
use crate::unlock::InputModel;

/// One worker for each group, joined by queues, and where to send them their lessons.
pub(super) fn workers<'a>(
    course: &Course,
    manner: Manner,
    groups: Vec<Group<'a>>,
    mut input_models: impl Iterator<Item = Option<&'a mut InputModel>>,
    link: Option<&Link>,
) -> (Vec<Worker<'a>>, Vec<Sender<Lesson>>) {
    let mut workers: Vec<Worker> = Vec::with_capacity(groups.len());
    let mut lanes = Vec::with_capacity(groups.len());
    let mut first = 0;
    for (below, group) in groups.into_iter().enumerate() {
        // A worker may lag so many steps behind the lowest, as each may be ahead of the next by the
        // messages between them. With shorter lanes that would have to wait for the highest.
        let lag = below * (manner.depth + 1);
        let (lane, log) = lane(course, lag + 1);
        let sections = group.len();
        let mut worker = Worker::new(log, manner, group, first);
        if let Some(below) = workers.pop() {
            let (to_above, to_below) = queues(manner.depth, link);
            workers.push(below.below(to_above));
            worker = worker.above(to_below, input_models.next().flatten());
        }
        workers.push(worker);
        lanes.push(lane);
        first += sections;
    }
    (workers, lanes)
}

/// One stage of a pipeline for each group, joined by queues.
pub(super) fn stages<'a>(
    course: &Course,
    groups: Vec<Group<'a>>,
    micro_batches: usize,
    link: Option<&Link>,
) -> (Vec<Stage<'a>>, Vec<Sender<Lesson>>) {
    let mut stages: Vec<Stage> = Vec::with_capacity(groups.len());
    let mut lanes = Vec::with_capacity(groups.len());
    let mut first = 0;
    for group in groups {
        let (lane, log) = lane(course, 1);
        let below = stages.last_mut().map(|below| {
            // All of a step are answered before the next begins.
            let (to_above, to_below) = queues(micro_batches, link);
            below.above = Some(to_above);
            to_below
        });
        let sections = group.len();
        stages.push(Stage {
            log,
            group,
            first,
            micro_batches,
            below,
            above: None,
        });
        lanes.push(lane);
        first += sections;
    }
    (stages, lanes)
}

/// One worker for each copy of a chain, each joined to all others.
pub(super) fn replicas<'a>(
    course: &Course,
    chains: impl Iterator<Item = &'a mut Chain>,
    [workers, sections]: [usize; 2],
    link: Option<&Link>,
) -> (Vec<Replica<'a>>, Vec<Sender<Lesson>>) {
    let mut peers = peers(workers, sections, link).into_iter();
    let replica = |(share, chain): (usize, &'a mut Chain)| {
        let (lane, log) = lane(course, 1);
        let replica = Replica {
            log,
            group: chain.groups(&[sections], true).swap_remove(0),
            share,
            peers: peers.next().unwrap_or_default(),
        };
        (replica, lane)
    };
    chains.enumerate().map(replica).unzip()
}

/// Where to send a worker its lessons, so many before it takes them, and its log.
fn lane(course: &Course, lessons: usize) -> (Sender<Lesson>, Log) {
    let (lane, lessons) = queue(lessons, None);
    (lane, Log::new(course, lessons))
}
