//! Data-parallel backpropagation, the rival of decoupled workers that does not split the network.
//!
//! Every worker has a copy of it and a share of each batch. It sends its gradients to all others,
//! those of a section as soon as it has them, and updates its copy by the sum of all, taken in the
//! same order everywhere, so that the copies stay alike (synchronous data-parallel training, as
//! PyTorch's `DistributedDataParallel`). So in every step each waits for all others and one way of a
//! link, through which all gradients go.
//!
//! The result is that of one thread but for rounding, and for batch norm, which takes its statistics
//! of each share by itself; in use it has the running ones of the first worker.

use burn::optim::GradientsParams;
use burn::tensor::Device;

use super::Link;
use super::member::{Halt, Log, Member};
use super::messages::Lesson;
use super::queue::{Parcel, Receiver, Sender, queue};
use crate::feedforward::Group;
use crate::learner::{Doing, Metric};
use crate::pass::Input;

/// A worker with a copy of the whole network.
pub(super) struct Replica<'a> {
    pub log: Log,
    pub group: Group<'a>,
    /// Its share of every batch, counted from 0.
    pub share: usize,
    /// The others, by their shares.
    pub peers: Vec<Peer>,
}

/// Another worker, seen from here.
pub(super) struct Peer {
    to: Sender<Gradients>,
    from: Receiver<Gradients>,
}

/// The gradients of a section's parameters, of one share of a batch.
struct Gradients {
    gradients: GradientsParams,
    bytes: usize,
}

impl Parcel for Gradients {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Queues from each of so many workers to each other, for each worker by the shares of the others.
/// Both need the gradients of a step of `sections` sections before they go on to the next.
pub(super) fn peers(workers: usize, sections: usize, link: Option<&Link>) -> Vec<Vec<Peer>> {
    // One may have sent those of a step when the other still works on those before.
    let capacity = 2 * sections;
    let mut peers: Vec<Vec<Peer>> = (0..workers).map(|_| Vec::new()).collect();
    for one in 0..workers {
        for other in one + 1..workers {
            let (to_other, from_one) = queue(capacity, link);
            let (to_one, from_other) = queue(capacity, link);
            peers[one].push(Peer {
                to: to_other,
                from: from_other,
            });
            peers[other].push(Peer {
                to: to_one,
                from: from_one,
            });
        }
    }
    peers
}

impl Member for Replica<'_> {
    fn take_step(&mut self, lesson: Lesson) -> Result<(), Halt> {
        self.group.set_rate_factor(self.log.rate_factor);
        let shares = self.peers.len() + 1;
        let mut parts = lesson.batch.parts(shares);
        let part = parts.swap_remove(self.share);
        let mut passes = Vec::with_capacity(self.group.len());
        let mut input = Input::from(part.batch.input.clone());
        for i in 0..self.group.len() {
            let begun = self.log.waited.trace.begin();
            let pass = self.group.pass(i, input);
            self.log.waited.trace.end(begun, Doing::Section, Some(i));
            let output = pass.output.clone();
            self.log
                .note(Metric::Output(i), Metric::sum_of(output.clone()));
            input = Input::Message(output);
            passes.push(pass);
        }
        let (output, _) = input.into_parts();
        let loss = self.group.part_loss(output.clone(), &part);
        self.log.note(Metric::Loss, loss);

        let mut delta = Some(self.group.part_gradient(output, &part));
        let mut own = Vec::with_capacity(self.group.len());
        for (i, pass) in passes.into_iter().enumerate().rev() {
            // Nothing passes a section that rests.
            let Some(arrived) = delta.take().filter(|_| lesson.learners[i]) else {
                break;
            };
            let begun = self.log.waited.trace.begin();
            let local = pass.back(arrived);
            self.log.waited.trace.end(begun, Doing::Section, Some(i));
            self.tell(i, &local.parameters)?;
            own.push((i, local.parameters));
            delta = local.input;
        }
        for (i, own) in own {
            let all = self.hear(own)?;
            let begun = self.log.waited.trace.begin();
            self.group.update_by_sum(i, all);
            self.log.waited.trace.end(begun, Doing::Section, Some(i));
        }
        Ok(())
    }

    fn device(&self) -> Option<Device> {
        self.group.device()
    }

    fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    fn into_log(self) -> Log {
        self.log
    }
}

impl Replica<'_> {
    /// Sends the gradients of section `i` to all others.
    fn tell(&mut self, i: usize, own: &GradientsParams) -> Result<(), Halt> {
        for peer in &mut self.peers {
            let gradients = self.group.copy_of(i, own);
            let bytes = self.group.bytes_of(i, own);
            peer.to.send(Gradients { gradients, bytes })?;
        }
        Ok(())
    }

    /// The gradients of a section by all shares, in their order; the own ones are here.
    fn hear(&mut self, own: GradientsParams) -> Result<Vec<GradientsParams>, Halt> {
        let mut all = Vec::with_capacity(self.peers.len() + 1);
        for peer in &mut self.peers {
            all.push(self.log.waited.receive(&mut peer.from)?.gradients);
        }
        all.insert(self.share, own);
        Ok(all)
    }
}
