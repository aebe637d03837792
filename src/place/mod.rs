//! Places by name: where a worker computes.

mod address;
mod carry;
#[cfg(feature = "remote")]
mod encrypted;
#[cfg(feature = "remote")]
mod relay;
#[cfg_attr(not(feature = "remote"), path = "here.rs")]
mod remote;
mod token;

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, adapter_device};
use crate::error::{Error, Result};

pub use address::Address;
pub(crate) use carry::{Coming, bytes_of, carry, carry_integers};
pub use token::Token;

/// Where a worker computes. As text: `flex`, `wgpu`, `wgpu:1`, `ws://10.0.0.2:3000`,
/// `iroh://KEY@10.0.0.2:3000`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// A backend of this machine, on its preferred device.
    Backend(Backend),
    /// `wgpu` on the adapter with this number in [`adapters`](crate::backend::adapters), counted
    /// from 0, through a queue of its own.
    Adapter(usize),
    /// The device that `dni serve` offers at this address. It needs the feature `remote`.
    Server(Address),
}

impl Place {
    /// Opens the place and returns its device. On a server each call opens a connection of its own,
    /// on an adapter a queue of its own, which last as long as the process: workers on the same
    /// server or adapter are given work at the same time if each has opened its place. `token` is
    /// the secret that the server asks for.
    ///
    /// # Errors
    ///
    /// If there is no such adapter, if the server cannot be reached, does not answer or refuses the
    /// token, or if this build has no feature `remote`.
    pub fn open(&self, token: Option<&Token>) -> Result<Device> {
        match self {
            Self::Backend(backend) => backend.device(),
            Self::Adapter(index) => adapter_device(*index),
            Self::Server(address) => remote::connect(address, token),
        }
    }

    /// Refuses a place that this build cannot open, whatever the machine.
    ///
    /// # Errors
    ///
    /// For a server if there is no feature `remote`.
    pub fn check(&self) -> Result<()> {
        match self {
            // Without the feature this connects to nobody.
            Self::Server(address) if !cfg!(feature = "remote") => {
                remote::connect(address, None).map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// Why the server of a device is lost, if it is. Everything on the device is lost with it, and
/// reading from it panics.
pub fn lost(device: &Device) -> Option<Error> {
    remote::lost(device)
}

/// Whether a device is one of another process.
pub(crate) fn is_remote(device: &Device) -> bool {
    remote::is_remote(device)
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(backend) = Backend::ALL.into_iter().find(|b| b.name() == text) {
            return Ok(Self::Backend(backend));
        }
        if let Some(Ok(index)) = text.strip_prefix("wgpu:").map(str::parse) {
            return Ok(Self::Adapter(index));
        }
        if Address::is_meant_by(text) {
            return text.parse().map(Self::Server);
        }
        Err(Error::Invalid(format!(
            "'{text}' is not a place to compute; choose from flex, ndarray, wgpu, wgpu:N for the \
             N-th adapter of `dni backends`, counted from 0, and ws://HOST:PORT or \
             iroh://KEY@HOST:PORT for a server"
        )))
    }
}

impl TryFrom<String> for Place {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(backend) => backend.fmt(f),
            Self::Adapter(index) => write!(f, "wgpu:{index}"),
            Self::Server(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_they_are_written() {
        for text in [
            "flex",
            "ndarray",
            "wgpu",
            "wgpu:0",
            "wgpu:12",
            "ws://10.0.0.2:3000",
        ] {
            let place: Place = text.parse().expect(text);
            assert_eq!(place.to_string(), text);
        }
        for wrong in ["", "abacus", "wgpu:", "wgpu:-1", "flex:0", "ws://gpu"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
