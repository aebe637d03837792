//! Tensors on their way from one device to another, and from other numbers to ours.

use burn::tensor::{Device, Tensor};

use super::is_remote;
use crate::host::in_f32;

/// A tensor on a device, in 32-bit floats. Between two servers it goes through this machine: moved
/// straight, the death of one would end the connection to the other.
pub(crate) fn carry<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    let tensor = match tensor.device() {
        home if home == *device => tensor,
        _ if is_remote(device) => to_host(tensor),
        _ => tensor,
    };
    in_f32(tensor.to_device(device))
}

/// A tensor on this machine: as it is, unless it lies on a server.
pub(crate) fn to_host<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match is_remote(&tensor.device()) {
        true => tensor.to_device(&Device::flex()),
        false => tensor,
    }
}
