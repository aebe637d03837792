//! The devices of workers, on this machine and on others, for the time of a call.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow};
use burn::tensor::Device;
use dni::Place;
use dni::place::lost;

use crate::output;
use crate::token::TokenArgs;

/// A server was lost, and with it what the runs of a call have in common.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Lost(String);

/// An adapter as some worker of a call opened it, after so many others on the same one. The calls of a
/// process share it, as it lasts as long as the process.
fn opened(adapter: usize, before: usize) -> dni::Result<Device> {
    static OPENED: Mutex<BTreeMap<(usize, usize), Device>> = Mutex::new(BTreeMap::new());
    // It is whole whatever panicked.
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    match opened.entry((adapter, before)) {
        Entry::Occupied(device) => Ok(device.get().clone()),
        Entry::Vacant(place) => Ok(place.insert(Place::Adapter(adapter).open(None)?).clone()),
    }
}

/// The devices of all workers, from the bottom up.
pub struct Sites {
    pub devices: Vec<Device>,
}

impl Sites {
    /// Opens the place of every worker.
    pub fn open(places: &[Place], token: &TokenArgs) -> anyhow::Result<Self> {
        let has_server = places.iter().any(|place| matches!(place, Place::Server(_)));
        let token = if has_server { token.read()? } else { None };
        let open = |(i, place): (usize, &Place)| {
            let before = places[..i].iter().filter(|other| *other == place).count();
            let device = match place {
                Place::Adapter(adapter) => opened(*adapter, before),
                _ => place.open(token.as_ref()),
            };
            device.with_context(|| format!("cannot reach the place of worker {}", i + 1))
        };
        let devices: anyhow::Result<_> = places.iter().enumerate().map(open).collect();
        let sites = Self { devices: devices? };
        if has_server {
            sites.hush();
        }
        Ok(sites)
    }

    /// Runs what uses the devices. If a server is lost meanwhile, burn panics at the next read from
    /// it: that becomes an error, which ends with the command to `go_on` by.
    pub fn guard<R>(
        &self,
        go_on: &str,
        work: impl FnOnce() -> anyhow::Result<R>,
    ) -> anyhow::Result<R> {
        let done = catch_unwind(AssertUnwindSafe(work));
        let Some(loss) = self.loss() else {
            return done.unwrap_or_else(|panic| resume_unwind(panic));
        };
        let is_of_device = |error: &anyhow::Error| {
            let error = error.downcast_ref();
            matches!(error, Some(dni::Error::Device { .. }))
        };
        let error = match done {
            Ok(Ok(result)) => return Ok(result),
            // A worker that found it out itself has told its layers and the step.
            Ok(Err(error)) if !is_of_device(&error) => error,
            _ => loss,
        };
        let error = without_advice(&error);
        Err(Lost(format!("{error}; once the server is back: {go_on}")).into())
    }

    /// The first server that is lost, if one is.
    fn loss(&self) -> Option<anyhow::Error> {
        let mut devices = self.devices.iter().enumerate();
        devices.find_map(|(i, device)| Some(anyhow!("worker {} failed: {}", i + 1, lost(device)?)))
    }

    /// Keeps panics quiet that only say that a server is lost, which an error will say.
    fn hush(&self) {
        let devices = self.devices.clone();
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if devices.iter().all(|device| lost(device).is_none()) {
                usual(panic);
            }
        }));
    }
}

/// What an error says, without how to go on: the command for that follows.
fn without_advice(error: &anyhow::Error) -> String {
    match error.downcast_ref() {
        Some(dni::Error::Worker {
            worker,
            sections,
            step,
            cause,
        }) => format!("worker {worker} ({sections}) failed at step {step}: {cause}"),
        _ => output::told(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_says_leaves_how_to_go_on_to_the_command() {
        let error = dni::Error::Worker {
            worker: 2,
            sections: "section 'top'".to_string(),
            step: 7,
            cause: "its server is gone".to_string(),
        };
        let told = error.to_string();
        let short = without_advice(&error.into());
        assert!(short.ends_with("its server is gone"), "{short}");
        assert!(told.starts_with(&short), "{short}");
    }
}
