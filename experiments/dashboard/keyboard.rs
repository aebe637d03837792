//! The keyboard, to which a thread of its own listens: crossterm does not come back from one whose
//! terminal has gone, so nobody must wait for it.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event};

/// How long nothing is heard before the listener looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(50);

/// What is typed, as long as this lives.
pub struct Keyboard(Receiver<Option<Event>>);

impl Keyboard {
    /// Starts to listen.
    pub fn open() -> io::Result<Self> {
        let (sender, events) = channel();
        let thread = thread::Builder::new().name("dni keyboard".to_string());
        thread.spawn(move || {
            // An error means that there is nothing to listen to.
            let _ = listen(&sender);
        })?;
        Ok(Self(events))
    }

    /// What happens next, if it happens soon.
    pub fn next_soon(&self) -> Option<Event> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(PATIENCE);
                None
            }
        }
    }
}

/// Sends what happens, or that nothing did, until nobody wants to know.
fn listen(events: &Sender<Option<Event>>) -> io::Result<()> {
    loop {
        let event = match event::poll(PATIENCE)? {
            true => Some(event::read()?),
            false => None,
        };
        if events.send(event).is_err() {
            return Ok(());
        }
    }
}
