//! Loops over host memory, for tensors that lie there anyway.
//!
//! Where the backend's memory is the host's own ([`suits`]), what stands around the matrix products
//! of a training step is fused here: small layers whole ([`dense`]), bias, batch norm and
//! activation of the others ([`finish`]), and the update rule ([`adam`]). Taken one tensor
//! operation at a time they cost as much as the products. The compiler vectorises the loops for the
//! processor at hand; tests hold all of them against autodiff and burn.

pub(crate) mod adam;
pub(crate) mod dense;
mod elementwise;
pub(crate) mod finish;

use burn::tensor::{Device, Tensor, TensorData};

/// Whether tensors of this device can be worked on here without being copied.
pub(crate) fn suits(device: &Device) -> bool {
    crate::backend::is_flex(device)
}

/// The values of a tensor in host memory, without a copy if nobody else holds it.
pub(crate) struct Values(TensorData);

impl Values {
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        Self(tensor.into_data())
    }

    pub fn as_slice(&self) -> &[f32] {
        self.0
            .as_slice()
            .expect("the tensors of this crate hold f32")
    }

    pub fn into_vec(self) -> Vec<f32> {
        self.0
            .try_into_vec()
            .expect("the tensors of this crate hold f32")
    }

    pub fn into_tensor<const D: usize>(self, shape: [usize; D], device: &Device) -> Tensor<D> {
        tensor(self.into_vec(), shape, device)
    }

    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        self.0
            .as_mut_slice()
            .expect("the tensors of this crate hold f32")
    }
}

/// A tensor of these values.
pub(crate) fn tensor<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
