//! What [`remote`](super::remote) is in a build without the feature: this machine is all there is.

use burn::tensor::Device;

use super::{Address, Token};
use crate::error::{Error, Result};

pub(super) fn connect(address: &Address, _token: Option<&Token>) -> Result<Device> {
    Err(Error::Server {
        address: address.to_string(),
        reason: "this build of the program knows this machine only; build it with: cargo build \
                 --features remote"
            .to_string(),
    })
}

pub(super) fn is_remote(_device: &Device) -> bool {
    false
}

pub(super) fn lost(_device: &Device) -> Option<Error> {
    None
}
