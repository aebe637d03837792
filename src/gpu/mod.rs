//! Kernels for graphics adapters, for tensors that lie there.
//!
//! Handing out a kernel costs the host more than a small layer costs the adapter, so what stands
//! around the matrix products of a training step is fused here as in `host`: small layers whole
//! ([`dense`]), bias, batch norm and activation of the others ([`finish`]), the gates of an
//! LSTM ([`lstm`]), losses ([`loss`]), what a synthesizer regresses to ([`regression`]), the update
//! rules, for several parameters at once ([`update`]), and the figures of a step ([`sum`]). The
//! products themselves are burn's, but for drivers that compute on the CPU ([`product`]). A data set
//! stays on the adapter, and its batches are gathered there ([`gather`]). The kernels are CubeCL's,
//! compiled for the adapter at hand when they are first launched; tests hold all of them against
//! autodiff and burn.

mod activation;
pub(crate) mod dense;
pub(crate) mod finish;
pub(crate) mod gather;
pub(crate) mod join;
pub(crate) mod loss;
pub(crate) mod lstm;
pub(crate) mod product;
pub(crate) mod regression;
pub(crate) mod sum;
pub(crate) mod update;

use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::Cube;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Buffers of the kernel that takes most. The standard lets an adapter have fewer; those of today
/// have many more.
const MOST_BUFFERS: u32 = 9;

/// Whether a tensor lies where these kernels run, without a tape and in the numbers they are for.
pub(crate) fn suits<const D: usize>(tensor: &Tensor<D>) -> bool {
    let Ok(tensor) = tensor.clone().try_into_primitive::<Cube>() else {
        return false;
    };
    let bindings = tensor.client.properties().hardware.max_bindings;
    tensor.dtype == DType::F32 && bindings >= MOST_BUFFERS
}

/// The values of a tensor on an adapter, row after row.
///
/// A clone shares them.
#[derive(Clone)]
pub(crate) struct Buffer(Box<CubeTensor>);

impl Buffer {
    /// Those of a tensor where they lie; copied if they are not row after row.
    ///
    /// # Panics
    ///
    /// If the tensor does not [suit](suits).
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let tensor = tensor.try_into_primitive::<Cube>();
        let tensor = tensor.expect("kernels for adapters are given what lies on an adapter");
        Self(Box::new(into_contiguous(tensor)))
    }

    /// The same, to be written to: copied if another tensor shares them.
    pub fn owned<const D: usize>(tensor: Tensor<D>) -> Self {
        let Self(tensor) = Self::of(tensor);
        Self(match tensor.can_mut() {
            true => tensor,
            false => Box::new(tensor.copy()),
        })
    }

    /// New ones where these lie, to be written.
    pub fn new_beside<const D: usize>(&self, shape: [usize; D]) -> Self {
        self.new_of(Shape::from(shape))
    }

    /// As many new ones, to be written.
    fn new_like(&self) -> Self {
        self.new_of(self.0.meta.shape().clone())
    }

    fn new_of(&self, shape: Shape) -> Self {
        let (client, device) = (self.0.client.clone(), self.0.device.clone());
        let tensor = empty_device_contiguous_dtype(client, device, shape, DType::F32);
        Self(Box::new(tensor))
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.meta.shape().num_elements()
    }

    /// A tensor of them.
    pub fn into_tensor<const D: usize>(self) -> Tensor<D> {
        Tensor::from_primitive::<Cube>(*self.0)
    }

    /// What runs kernels on them.
    fn client(&self) -> &cubecl::client::Client {
        &self.0.client
    }

    /// As a kernel takes them.
    fn arg(&self) -> BufferArg {
        (*self.0).clone().into_buffer_arg()
    }
}

/// How a kernel is launched that has one unit for each of `units` results.
fn one_each(client: &cubecl::client::Client, units: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(client, units);
    (calculate_cube_count_elemwise(client, units, dim), dim)
}
