//! The devices of workers, on this machine and on others, for the time of a call.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};

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
            let device = place.open(token.as_ref());
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
        // A worker that found it out itself has told its layers and the step.
        done.unwrap_or(Err(loss)).map_err(|error| {
            let error = output::told(&error);
            Lost(format!("{error}; once the server is back: {go_on}")).into()
        })
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
