//! Images that stay where a network learns from them.

use std::borrow::Borrow;

use burn::tensor::{Device, Tensor};

use super::Images;
#[cfg(feature = "wgpu")]
use crate::gpu::{self, gather::Table};

/// Images from which a device draws its batches.
///
/// A graphics adapter keeps all pixels, a byte each, if they fit into one of its buffers: a batch is
/// gathered there, and only the numbers of its images are uploaded. Elsewhere batches are made on the
/// host.
pub struct ResidentImages<I> {
    images: I,
    device: Device,
    #[cfg(feature = "wgpu")]
    table: Option<Table>,
}

impl<I: Borrow<Images>> ResidentImages<I> {
    /// Brings images to a device. They may be borrowed.
    pub fn new(images: I, device: &Device) -> Self {
        Self {
            #[cfg(feature = "wgpu")]
            table: {
                let [pixels, labels] = images.borrow().bytes();
                Table::new(pixels, labels, device)
            },
            images,
            device: device.clone(),
        }
    }

    /// The images.
    pub fn images(&self) -> &Images {
        self.images.borrow()
    }

    /// Some images and their classes, as [`Images::rows`] makes them.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn rows(&self, rows: &[usize]) -> (Tensor<2>, Tensor<2>) {
        #[cfg(feature = "wgpu")]
        if let Some(table) = &self.table {
            let count = self.images().len();
            assert!(
                rows.iter().all(|&row| row < count),
                "some of the images {rows:?} are not among {count}"
            );
            let gathered = table.rows(rows, self.images().classes());
            let [inputs, targets] = gathered.map(gpu::Buffer::into_tensor);
            return (inputs, targets);
        }
        self.images().rows(rows, &self.device)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use super::*;
    use crate::backend::{self, Backend};
    use crate::data::ImageShape;

    /// Seven images of fifteen pixels: neither is whole words.
    fn images() -> Images {
        let shape = ImageShape {
            channels: 1,
            height: 3,
            width: 5,
        };
        let pixels = (0..7 * 15).map(|i| (i * 37 % 256) as u8).collect();
        Images::new(pixels, vec![0, 3, 1, 2, 2, 0, 3], shape, 4).expect("they are whole")
    }

    #[test]
    fn batches_are_those_of_the_host() {
        let images = images();
        let devices = Backend::ALL.into_iter().filter_map(|b| b.device().ok());
        for device in devices {
            let resident = ResidentImages::new(&images, &device);
            for rows in [&[6, 0, 6, 3][..], &[2]] {
                let (inputs, targets) = resident.rows(rows);
                assert_eq!(inputs.dims(), [rows.len(), 15]);
                let expected = images.rows(rows, &Device::flex());
                let read = |tensor| backend::read(tensor).expect("the device works");
                assert_eq!(read(targets), read(expected.1));
                let pairs = read(inputs).into_iter().zip(read(expected.0));
                // Division is not exact on every adapter.
                pairs.for_each(|(here, there)| assert!((here - there).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn images_that_there_are_not_are_refused() {
        for device in Backend::ALL.into_iter().filter_map(|b| b.device().ok()) {
            let resident = ResidentImages::new(images(), &device);
            let taken = std::panic::catch_unwind(AssertUnwindSafe(|| resident.rows(&[0, 7])));
            assert!(taken.is_err(), "{device:?}");
        }
    }
}
