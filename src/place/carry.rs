//! Tensors on their way from one device to another, and from other numbers to ours.

use std::pin::Pin;

use burn::tensor::kind::Basic;
use burn::tensor::{Device, ExecutionError, Int, Tensor, TensorData};
use futures_lite::future::{block_on, poll_once};

use super::is_remote;
use crate::host::in_f32;

/// A tensor on a device, in 32-bit floats.
pub(crate) fn carry<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    in_f32(moved(tensor, device))
}

/// The same of integers, which stay what they are.
pub(crate) fn carry_integers<const D: usize>(
    tensor: Tensor<D, Int>,
    device: &Device,
) -> Tensor<D, Int> {
    moved(tensor, device)
}

/// Between two servers it goes through this machine: moved straight, the death of one would end the
/// connection to the other.
fn moved<const D: usize, K: Basic>(tensor: Tensor<D, K>, device: &Device) -> Tensor<D, K> {
    let tensor = match tensor.device() {
        home if home == *device => tensor,
        home if is_remote(device) && is_remote(&home) => tensor.to_device(&Device::flex()),
        _ => tensor,
    };
    tensor.to_device(device)
}

/// The size of a matrix on its way.
pub(crate) fn bytes_of(matrix: &Tensor<2>) -> usize {
    size_of::<f32>() * matrix.shape().num_elements()
}

/// A matrix on its way to this machine. Whoever sends for it goes on, and so does whoever is to have
/// it, until it is needed.
pub(crate) struct Coming {
    bytes: usize,
    /// What a server has been asked for; none when it has answered, or is lost.
    answer: Option<Answer>,
    /// None before, and if the server is lost.
    matrix: Option<Tensor<2>>,
}

type Answer = Pin<Box<dyn Future<Output = Result<TensorData, ExecutionError>> + Send>>;

impl Coming {
    /// Sends for a matrix, if it lies on a server; otherwise it is there as it is.
    pub fn sent_for(matrix: Tensor<2>) -> Self {
        let bytes = bytes_of(&matrix);
        if !is_remote(&matrix.device()) {
            return Self {
                bytes,
                answer: None,
                matrix: Some(matrix),
            };
        }
        let mut coming = Self {
            bytes,
            answer: Some(Box::pin(matrix.into_data_async())),
            matrix: None,
        };
        // The first look is what sends for it.
        coming.has_come();
        coming
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing left to wait for.
    pub fn has_come(&mut self) -> bool {
        let answer = self.answer.as_mut();
        let data = answer.and_then(|answer| block_on(poll_once(answer)));
        self.take_in(data);
        self.answer.is_none()
    }

    /// Waits until it is here, or its server is lost.
    pub fn wait(&mut self) {
        let data = self.answer.as_mut().map(block_on);
        self.take_in(data);
    }

    /// The matrix, when it has come; none if its server is lost.
    pub fn matrix(mut self) -> Option<Tensor<2>> {
        self.wait();
        self.matrix
    }

    fn take_in(&mut self, data: Option<Result<TensorData, ExecutionError>>) {
        if let Some(data) = data {
            self.answer = None;
            self.matrix = data
                .ok()
                .map(|data| Tensor::from_data(data, &Device::flex()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under_way(
        answer: impl Future<Output = Result<TensorData, ExecutionError>> + Send + 'static,
    ) -> Coming {
        Coming {
            bytes: 4,
            answer: Some(Box::pin(answer)),
            matrix: None,
        }
    }

    #[test]
    fn what_is_on_this_machine_is_there_at_once() {
        let matrix = Tensor::from_floats([[1.0, 2.0, 3.0]], &Device::flex());
        let mut coming = Coming::sent_for(matrix);
        assert!(coming.has_come());
        assert_eq!(coming.bytes(), 12);
        let matrix = coming.matrix().expect("no server can be lost");
        assert_eq!(
            matrix.into_data().try_into_vec::<f32>().unwrap(),
            [1.0, 2.0, 3.0]
        );
    }

    #[test]
    fn nobody_waits_for_what_is_under_way_before_it_is_needed() {
        let (answer, asked) = std::sync::mpsc::channel::<()>();
        // It is ready when looked at after the answer, as a reply of a server is.
        let data = std::future::poll_fn(move |_| match asked.try_recv() {
            Ok(()) => std::task::Poll::Ready(Ok(TensorData::from([[7.0_f32]]))),
            Err(_) => std::task::Poll::Pending,
        });
        let mut coming = under_way(data);
        assert!(!coming.has_come());
        answer.send(()).expect("somebody asks");
        assert!(coming.has_come());
        assert_eq!(
            coming.matrix().expect("it has come").into_scalar::<f32>(),
            7.0
        );
    }

    #[test]
    fn what_a_lost_server_had_never_comes() {
        let error = ExecutionError::WithContext {
            reason: "the server is gone".to_string(),
        };
        let mut coming = under_way(async { Err(error) });
        coming.wait();
        assert!(coming.has_come());
        assert!(coming.matrix().is_none());
    }
}
