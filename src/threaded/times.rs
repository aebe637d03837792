//! How long the parts of a step take.

use std::time::{Duration, Instant};

use burn::tensor::Device;

use crate::backend;
use crate::batch::Batch;
use crate::credit::Credit;
use crate::error::Result;
use crate::feedforward::{Chain, ChainSchedule, Sent};
use crate::pass::Input;
use crate::place::bytes_of;

/// Steps that are timed, after two that are not: the first ones also allocate what later ones use
/// again.
const TIMED: usize = 5;
const UNTIMED: usize = 2;

/// How long each section takes on a device for its part of a decoupled step, the interface on top
/// of it included, or of a step of [delayed](Credit::Delayed) backpropagation, from the bottom up:
/// the shortest time of a few steps of a copy of the chain.
///
/// # Errors
///
/// If the [credit is update-locked](super::check_schedule), or a device fails.
///
/// # Panics
///
/// As [`Chain::step`] does.
pub fn section_times(
    chain: &Chain,
    batch: &Batch,
    schedule: &ChainSchedule,
    device: &Device,
) -> Result<Vec<Duration>> {
    super::check_schedule(schedule, chain)?;
    if schedule.credit == Credit::Delayed {
        let [forward, backward] = locked_times(chain, batch, device)?;
        let times = forward.into_iter().zip(backward);
        return Ok(times
            .map(|(forward, backward)| forward + backward)
            .collect());
    }
    let (mut copy, batch) = on(device, chain, batch)?;
    shortest(|| time_step(&mut copy, &batch, schedule))
}

/// How long each section takes on a device for its part of a step of backpropagation, from the
/// bottom up: forward passes, then backward passes with the updates; the shortest times of a few
/// steps of a copy of the chain.
///
/// # Errors
///
/// If a device fails.
///
/// # Panics
///
/// As [`Chain::step`] does.
pub fn locked_times(chain: &Chain, batch: &Batch, device: &Device) -> Result<[Vec<Duration>; 2]> {
    let (mut copy, batch) = on(device, chain, batch)?;
    let mut forward = shortest(|| time_locked_step(&mut copy, &batch))?;
    let backward = forward.split_off(chain.names().len());
    Ok([forward, backward])
}

/// What is sent in a step, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// The message of every section but the last, from the bottom up; the gradient at it is as large.
    pub messages: Vec<usize>,
    /// The gradients of every section's parameters, from the bottom up.
    pub gradients: Vec<usize>,
}

/// What workers send each other in a step with a batch as large as this one, found by a step of a
/// copy of the chain.
///
/// # Panics
///
/// As [`Chain::step`] does.
pub fn traffic(chain: &Chain, batch: &Batch) -> Traffic {
    let mut copy = chain.observer();
    let sections = chain.names().len();
    let mut groups = copy.groups(&[sections], true);
    let group = &mut groups[0];
    let mut traffic = Traffic {
        messages: Vec::with_capacity(sections),
        gradients: Vec::with_capacity(sections),
    };
    let mut input = Input::from(batch.clone().off_tape().input);
    for i in 0..sections {
        let pass = group.pass(i, input);
        let output = pass.output.clone();
        let local = pass.back(output.zeros_like());
        traffic.messages.push(bytes_of(&output));
        traffic.gradients.push(group.bytes_of(i, &local.parameters));
        input = Input::Message(output);
    }
    // What comes out at the top goes nowhere.
    traffic.messages.pop();
    traffic
}

/// Copies of a chain and a batch on a device.
fn on(device: &Device, chain: &Chain, batch: &Batch) -> Result<(Chain, Batch)> {
    let mut copy = chain.observer();
    copy.place(&vec![device.clone(); chain.names().len()])?;
    Ok((copy, batch.clone().off_tape().on(device, true)))
}

/// The shortest time of each part over a few steps.
fn shortest(mut step: impl FnMut() -> Result<Vec<Duration>>) -> Result<Vec<Duration>> {
    for _ in 0..UNTIMED {
        step()?;
    }
    let mut shortest = step()?;
    for _ in 1..TIMED {
        let times = shortest.iter_mut().zip(step()?);
        times.for_each(|(time, new)| *time = new.min(*time));
    }
    Ok(shortest)
}

/// One decoupled step in which every section learns that does so at all.
fn time_step(chain: &mut Chain, batch: &Batch, schedule: &ChainSchedule) -> Result<Vec<Duration>> {
    let sections = chain.names().len();
    let rests = !schedule.credit.uses_synthesizers();
    let learners: Vec<bool> = (0..sections).map(|i| !rests || i + 1 == sections).collect();
    let mut groups = chain.groups(&[sections], rests);
    let group = &mut groups[0];
    let mut times = vec![Duration::ZERO; sections];
    let mut watch = Watch(Instant::now());
    let mut below: Option<Sent> = None;
    for i in 0..sections {
        let input = match &below {
            None => Input::from(batch.input.clone()),
            Some(sent) => sent.received(),
        };
        let pass = group.pass(i, input);
        let done = group.section_step(i, pass, batch, &learners[..]);
        times[i] += watch.lap(&done.output.device())?;
        if let Some(below) = below.filter(|_| !rests) {
            let device = below.message.device();
            group.learn(i - 1, below, done.target, true);
            times[i - 1] += watch.lap(&device)?;
        }
        below = done.sent;
    }
    Ok(times)
}

/// One step of backpropagation: all forward passes, then all backward passes, both from the bottom
/// up.
fn time_locked_step(chain: &mut Chain, batch: &Batch) -> Result<Vec<Duration>> {
    let sections = chain.names().len();
    let mut groups = chain.groups(&[sections], true);
    let group = &mut groups[0];
    let mut times = vec![Duration::ZERO; 2 * sections];
    let mut watch = Watch(Instant::now());
    let mut passes = Vec::with_capacity(sections);
    let mut input = Input::from(batch.input.clone());
    for (i, time) in times[..sections].iter_mut().enumerate() {
        let pass = group.pass(i, input);
        input = Input::Message(pass.output.clone());
        *time = watch.lap(&pass.output.device())?;
        passes.push(pass);
    }
    let (output, _) = input.into_parts();
    let mut delta = Some(group.true_gradient(output, batch));
    for (i, pass) in passes.into_iter().enumerate().rev() {
        let device = pass.output.device();
        delta = delta.and_then(|delta| group.give_credit(i, pass, delta));
        times[sections + i] = watch.lap(&device)?;
    }
    Ok(times)
}

/// Knows when the last lap ended.
struct Watch(Instant);

impl Watch {
    /// Ends a lap when a device is through with what it was given.
    fn lap(&mut self, device: &Device) -> Result<Duration> {
        backend::wait(device)?;
        let lap = self.0.elapsed();
        self.0 = Instant::now();
        Ok(lap)
    }
}
