//! Addresses of servers.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Where a server listens, as in `ws://10.0.0.2:3000`: a host name or IP address, and a port. For
/// an encrypted connection it begins with the server's key, as in `iroh://KEY@10.0.0.2:3000`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    key: Option<String>,
    /// `host:port`
    authority: String,
}

/// How an address of a WebSocket begins.
const PLAIN: &str = "ws://";
/// How one of Iroh begins.
const ENCRYPTED: &str = "iroh://";

impl Address {
    /// Whether a text begins like an address.
    pub(super) fn is_meant_by(text: &str) -> bool {
        text.starts_with(PLAIN) || text.starts_with(ENCRYPTED)
    }

    /// The address of an encrypted connection.
    ///
    /// # Errors
    ///
    /// If the key is not 64 hexadecimal digits.
    pub fn encrypted(key: &str, socket: SocketAddr) -> Result<Self, Error> {
        format!("{ENCRYPTED}{key}@{socket}").parse()
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The server's public key, 64 hexadecimal digits, if the connection is to be encrypted.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

/// Whether this is `host:port`.
fn is_authority(text: &str) -> bool {
    let is_host = |host: &str| {
        let is_odd = |c: char| c.is_whitespace() || "/?#@".contains(c);
        let is_number_of_six = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && !host.contains(is_odd) && (is_number_of_six || !host.contains(':'))
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| is_host(host) && is_port(port))
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (key, authority) = match text.strip_prefix(ENCRYPTED) {
            Some(rest) => {
                let (key, authority) = rest.split_once('@').unwrap_or_default();
                (Some(key), authority)
            }
            None => (None, text.strip_prefix(PLAIN).unwrap_or_default()),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if !is_authority(authority) || key.is_some_and(|key| !is_key(key)) {
            return Err(Error::Invalid(format!(
                "'{text}' is not the address of a server; write ws://HOST:PORT, as in \
                 ws://10.0.0.2:3000, or iroh://KEY@HOST:PORT, as `dni serve --identity` prints it"
            )));
        }
        Ok(Self {
            key: key.map(str::to_ascii_lowercase),
            authority: authority.to_string(),
        })
    }
}

impl TryFrom<String> for Address {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{ENCRYPTED}{key}@{}", self.authority),
            None => write!(f, "{PLAIN}{}", self.authority),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let encrypted = format!("iroh://{}@gpu:3000", "0f".repeat(32));
        for good in [
            "ws://127.0.0.1:3000",
            "ws://gpu.example:1",
            "ws://[::1]:65535",
            &encrypted,
        ] {
            let address: Address = good.parse().expect(good);
            assert_eq!(address.to_string(), good);
        }
        let with_slash: Address = "ws://gpu:3000/".parse().expect("a slash does no harm");
        assert_eq!(
            (with_slash.authority(), with_slash.key()),
            ("gpu:3000", None)
        );
        let encrypted: Address = encrypted.parse().expect("the key is one");
        assert_eq!(encrypted.authority(), "gpu:3000");
        let key = encrypted.key().expect("it has one");
        let socket = "[::1]:3000".parse().expect("it is a socket");
        let same_key = Address::encrypted(key, socket).expect("the key is one");
        assert_eq!(same_key.to_string(), format!("iroh://{key}@[::1]:3000"));
        assert!(Address::encrypted("0f", socket).is_err());
        for wrong in [
            "",
            "gpu:3000",
            "ws://gpu",
            "ws://:3000",
            "ws://gpu:0",
            "ws://gpu:70000",
            "ws://gpu:3000/path",
            "ws://user@gpu:3000",
            "ws://::1:3000",
            "wss://gpu:3000",
            "http://gpu:3000",
            "iroh://gpu:3000",
            "iroh://0f@gpu:3000",
        ] {
            let error = wrong.parse::<Address>().expect_err(wrong).to_string();
            assert!(error.contains("ws://HOST:PORT"), "{error}");
        }
    }
}
