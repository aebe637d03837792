//! Devices of servers, on burn's remote backend.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::remote::{ConnectError, RemoteHost};
use burn::tensor::Device;

use super::relay::Relay;
use super::{Address, Token, encrypted};
use crate::error::{Error, Result};

/// A connection that ends when its server gives no sign of life.
pub(super) trait Line: Send + Sync {
    /// Why it has ended, if it has.
    fn why_cut(&self) -> Option<&str>;
}

/// A device with its way to the server. burn keeps both as long as the process lives.
struct Known {
    device: Device,
    address: Address,
    line: Arc<dyn Line>,
}

/// All that this process has opened.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Known>> {
    // The list is whole whatever panicked: it is only added to.
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device on a server, with a connection of its own. It is another one each time, since burn
/// would take a second worker for the first one if both had the same address.
pub(super) fn connect(address: &Address, token: Option<&Token>) -> Result<Device> {
    let failed = |reason: String| Error::Server {
        address: address.to_string(),
        reason,
    };
    let (mut host, line) = dial(address).map_err(failed)?;
    if let Some(token) = token {
        host = host.with_credential(token.reveal());
    }
    let device = Device::remote_options(&host).init();
    let device = device.map_err(|error| failed(explained(error, token.is_some(), &*line)))?;
    known().push(Known {
        device: device.clone(),
        address: address.clone(),
        line,
    });
    Ok(device)
}

/// The way to a server, by the transport that its address names.
fn dial(address: &Address) -> std::result::Result<(RemoteHost, Arc<dyn Line>), String> {
    match address.key() {
        Some(key) => {
            let (host, watch) = encrypted::dial(address, key)?;
            Ok((RemoteHost::iroh(host), watch))
        }
        None => {
            let Relay { port, line } = Relay::start(address)?;
            let host = RemoteHost::websocket(&format!("ws://127.0.0.1:{port}"));
            Ok((host, line))
        }
    }
}

/// Why a server did not take a client, and what to do about it.
fn explained(error: ConnectError, has_token: bool, line: &dyn Line) -> String {
    match error {
        ConnectError::Unauthorized if has_token => {
            "the server refuses the token; give it the one that the server was started with"
                .to_string()
        }
        ConnectError::Unauthorized => {
            "the server asks for a token; give it by --token-file or DNI_TOKEN".to_string()
        }
        ConnectError::IncompatibleProtocol { .. } => {
            format!("{error}; build both programs from the same version")
        }
        error => line
            .why_cut()
            .map_or_else(|| error.to_string(), String::from),
    }
}

/// Whether a device is one of a server's.
pub(super) fn is_remote(device: &Device) -> bool {
    known().iter().any(|known| known.device == *device)
}

/// Why the server of a device is lost, if it is.
pub(super) fn lost(device: &Device) -> Option<Error> {
    let known = known();
    let known = known.iter().find(|known| known.device == *device)?;
    Some(Error::Server {
        address: known.address.to_string(),
        reason: known.line.why_cut()?.to_string(),
    })
}
