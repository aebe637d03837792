//! Addresses of servers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Where a server listens, as in `ws://10.0.0.2:3000`: a name or number of a machine, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// `host:port`
    authority: String,
}

impl Address {
    /// How every address begins.
    pub const SCHEME: &str = "ws://";

    /// `host:port`, as sockets want it.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let authority = text.strip_prefix(Self::SCHEME).unwrap_or_default();
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let is_host = |host: &str| {
            let is_odd = |c: char| c.is_whitespace() || "/?#@".contains(c);
            let is_number_of_six = host.starts_with('[') && host.ends_with(']');
            !host.is_empty() && !host.contains(is_odd) && (is_number_of_six || !host.contains(':'))
        };
        match authority.rsplit_once(':') {
            Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|p| p > 0) => {
                Ok(Self {
                    authority: authority.to_string(),
                })
            }
            _ => Err(Error::Invalid(format!(
                "'{text}' is no address of a server; write ws://HOST:PORT, as in \
                 ws://10.0.0.2:3000"
            ))),
        }
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
        write!(f, "{}{}", Self::SCHEME, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in [
            "ws://127.0.0.1:3000",
            "ws://gpu.example:1",
            "ws://[::1]:65535",
        ] {
            let address: Address = good.parse().expect(good);
            assert_eq!(address.to_string(), good);
        }
        let with_slash: Address = "ws://gpu:3000/".parse().expect("a slash does no harm");
        assert_eq!(with_slash.authority(), "gpu:3000");
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
        ] {
            let error = wrong.parse::<Address>().expect_err(wrong).to_string();
            assert!(error.contains("ws://HOST:PORT"), "{error}");
        }
    }
}
