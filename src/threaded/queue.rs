//! Bounded queues between two threads, over a link if there is one.

use std::sync::mpsc::{self, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::Link;

/// Something that is sent.
pub(super) trait Parcel {
    /// Its size on a link.
    fn bytes(&self) -> usize;

    /// Whether all of it is on this machine, as it is unless it comes from a server.
    fn has_come(&mut self) -> bool {
        true
    }

    /// Waits until it is.
    fn wait(&mut self) {}
}

/// The other end of a queue is gone.
#[derive(Debug)]
pub(super) struct Closed;

/// The end of a queue where things are put in.
pub(super) struct Sender<T> {
    queue: SyncSender<Sent<T>>,
    line: Option<Line>,
}

/// The end where they come out, in their order.
pub(super) struct Receiver<T> {
    queue: mpsc::Receiver<Sent<T>>,
    /// What is on its way to be taken next, if it has been looked at.
    next: Option<Sent<T>>,
}

/// A thing and when it arrives; none without a link, where it is there as soon as it is sent.
struct Sent<T> {
    thing: T,
    arrives: Option<Instant>,
}

/// One direction of a link.
struct Line {
    link: Link,
    /// When all that was sent has gone out.
    free: Instant,
    /// When the last of it arrives.
    last: Instant,
    /// For the jitter.
    rng: ChaCha8Rng,
}

/// A queue for so many things, those that are on their way among them.
pub(super) fn queue<T>(capacity: usize, link: Option<&Link>) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = sync_channel(capacity);
    let sender = Sender {
        queue: sender,
        line: link.map(|&link| Line::new(link, Instant::now())),
    };
    let receiver = Receiver {
        queue: receiver,
        next: None,
    };
    (sender, receiver)
}

impl<T: Parcel> Sender<T> {
    /// Puts something in. It waits only if the queue is full.
    ///
    /// # Errors
    ///
    /// If nobody can take it out any more.
    pub fn send(&mut self, thing: T) -> Result<(), Closed> {
        let line = self.line.as_mut();
        let arrives = line.map(|line| line.arrival(thing.bytes(), Instant::now()));
        let sent = self.queue.send(Sent { thing, arrives });
        sent.map_err(|_| Closed)
    }
}

impl Line {
    /// One that carries nothing yet.
    fn new(link: Link, now: Instant) -> Self {
        Self {
            link,
            free: now,
            last: now,
            // What arrives when depends on the clock anyway.
            rng: ChaCha8Rng::seed_from_u64(0),
        }
    }

    /// When so many bytes that are sent now arrive: they go out after those before them.
    fn arrival(&mut self, bytes: usize, now: Instant) -> Instant {
        self.free = self.free.max(now) + self.link.transfer(bytes);
        let jitter = self.link.jitter().mul_f64(self.rng.random());
        self.last = self.last.max(self.free + self.link.delay() + jitter);
        self.last
    }
}

impl<T: Parcel> Receiver<T> {
    /// The next thing, as soon as it has arrived.
    ///
    /// # Errors
    ///
    /// If there is none and nobody can send one any more.
    pub fn receive(&mut self) -> Result<T, Closed> {
        let mut next = match self.next.take() {
            Some(next) => next,
            None => self.queue.recv().map_err(|_| Closed)?,
        };
        thread::sleep(next.time_left());
        next.thing.wait();
        Ok(next.thing)
    }

    /// The next thing, if it has arrived.
    pub fn receive_if_any(&mut self) -> Option<T> {
        let mut next = self.next.take().or_else(|| self.queue.try_recv().ok())?;
        if next.time_left() > Duration::ZERO || !next.thing.has_come() {
            self.next = Some(next);
            return None;
        }
        Some(next.thing)
    }
}

impl<T> Sent<T> {
    /// Until it arrives.
    fn time_left(&self) -> Duration {
        let left = |arrives: Instant| arrives.saturating_duration_since(Instant::now());
        self.arrives.map_or(Duration::ZERO, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Parcel for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    fn link(text: &str) -> Link {
        text.parse().expect("it is a link")
    }

    fn line(text: &str) -> (Line, Instant) {
        let now = Instant::now();
        (Line::new(link(text), now), now)
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn things_arrive_after_the_delay_and_behind_each_other() {
        let (mut line, now) = line("150ms,8Mbit");
        assert_eq!(line.arrival(10_000, now), now + 160 * MS);
        // The first is not out yet.
        assert_eq!(line.arrival(20_000, now + 4 * MS), now + 180 * MS);
        // Both are.
        assert_eq!(line.arrival(10_000, now + 50 * MS), now + 210 * MS);
    }

    #[test]
    fn nothing_overtakes_by_jitter() {
        let (mut line, now) = line("1ms,5ms");
        let mut before = now;
        let mut late = 0;
        for i in 0..200 {
            let sent = now + i * MS / 10;
            let arrives = line.arrival(1, sent);
            assert!(arrives >= before && arrives >= sent + MS && arrives <= sent + 6 * MS);
            late += u32::from(arrives > sent + 2 * MS);
            before = arrives;
        }
        assert!(late > 100, "{late}");
    }

    #[test]
    fn sending_does_not_wait_and_what_is_under_way_is_not_there() {
        let (mut sender, mut receiver) = queue(2, Some(&link("40ms")));
        let start = Instant::now();
        sender.send(1).expect("somebody listens");
        sender.send(2).expect("somebody listens");
        let sent = start.elapsed();
        assert_eq!(receiver.receive_if_any(), None);
        assert!(sent < 40 * MS || start.elapsed() < 40 * MS, "it has waited");
        drop(sender);
        // What is under way arrives, whatever became of the sender.
        assert_eq!(receiver.receive().ok(), Some(1));
        assert!(start.elapsed() >= 40 * MS);
        assert_eq!(receiver.receive().ok(), Some(2));
        assert!(receiver.receive().is_err());
    }

    #[test]
    fn without_a_link_a_thing_is_there_at_once() {
        let (mut sender, mut receiver) = queue(1, None);
        assert_eq!(receiver.receive_if_any(), None);
        sender.send(7).expect("somebody listens");
        assert_eq!(receiver.receive_if_any(), Some(7));
        drop(receiver);
        assert!(sender.send(8).is_err());
    }
}
