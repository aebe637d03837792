//! What [`wgpu`](super::wgpu) is in a build without the feature: there are no adapters.

use burn::tensor::Device;

use super::{Adapter, Backend};
use crate::error::Result;

pub(super) fn adapters() -> Vec<Adapter> {
    Vec::new()
}

pub(crate) fn adapter_device(_index: usize) -> Result<Device> {
    device()
}

pub(super) fn device() -> Result<Device> {
    Err(Backend::Wgpu.is_left_out())
}
