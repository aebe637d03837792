//! Loops over host memory, for tensors that lie there anyway.
//!
//! Where the backend's memory is the host's own ([`suits`]), what stands around the matrix products
//! of a training step is fused here: small layers whole ([`dense`]), bias, batch norm and
//! activation of the others ([`finish`]), pooling ([`pool`]), the gates of an LSTM ([`lstm`]), the
//! products themselves ([`product`], [`sparse`], [`convolution`]), and the update rules ([`adam`],
//! [`sgd`]). Taken one tensor operation at a time they cost as much as the products. The loops run
//! in the vector instructions of the processor at hand ([`Instructions`]); tests hold all of them
//! against autodiff and burn.

pub(crate) mod adam;
pub(crate) mod convolution;
pub(crate) mod dense;
mod elementwise;
pub(crate) mod finish;
mod instructions;
pub(crate) mod lstm;
pub(crate) mod pool;
pub(crate) mod product;
pub(crate) mod sgd;
pub(crate) mod sparse;
mod vector;

pub use instructions::{Instructions, vectorized};

use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};
use burn_flex::{Flex, FlexTensor};

/// So many values are worth handing to another kernel thread.
const SHARE: usize = 1 << 14;

/// Whether tensors of this device can be worked on here without being copied.
pub(crate) fn suits(device: &Device) -> bool {
    *device == Device::flex()
}

/// A tensor in 32-bit floats, in which everything is computed.
pub(crate) fn in_f32<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F32 => tensor,
        _ => tensor.cast(FloatDType::F32),
    }
}

/// The values of a float tensor where they lie, without a copy if they are 32-bit floats.
pub(crate) struct Values(FlexTensor);

impl Values {
    /// New ones, row after row.
    pub fn new<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Self {
        Self(FlexTensor::from_data(TensorData::new(values, shape)))
    }

    /// # Panics
    ///
    /// If the tensor's device does not [suit](suits).
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        Self::try_of(in_f32(tensor))
            .expect("tensors are worked on here only where they lie in host memory")
    }

    /// The same, if the tensor lies in host memory and holds `f32`.
    pub fn try_of<const D: usize>(tensor: Tensor<D>) -> Option<Self> {
        let tensor = tensor.try_into_primitive::<Flex>().ok()?;
        if tensor.dtype() != DType::F32 {
            return None;
        }
        // What is so already is not cloned: another handle would make the first change a copy.
        let is_whole =
            tensor.as_slice::<f32>().map(<[f32]>::len) == Some(tensor.storage::<f32>().len());
        Some(Self(if is_whole {
            tensor
        } else {
            tensor.to_contiguous()
        }))
    }

    /// Row after row.
    pub fn as_slice(&self) -> &[f32] {
        &self.0.storage()[..self.len()]
    }

    /// Row after row. They are copied first if another tensor shares them.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        let len = self.len();
        &mut self.0.storage_mut()[..len]
    }

    /// The shape that they came in.
    ///
    /// # Panics
    ///
    /// If the tensor was of another rank.
    pub fn dims<const D: usize>(&self) -> [usize; D] {
        self.0.layout().shape().dims()
    }

    /// A tensor of these values, in the shape that they came in.
    pub fn into_tensor<const D: usize>(self) -> Tensor<D> {
        Tensor::from_primitive::<Flex>(self.0)
    }

    fn len(&self) -> usize {
        self.0.layout().num_elements()
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
