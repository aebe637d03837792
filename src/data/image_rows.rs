//! Images read row by row, window after window.

use std::ops::Range;

use burn::tensor::{Device, Tensor};

use super::{Images, Order};
use crate::error::{Error, Result};
use crate::recurrent::{Recurrent, Sequence, Window};

/// Images to train on, read row by row by a recurrent network that is to say at the end which class
/// each is of. With MNIST the field calls it sequential MNIST.
///
/// The images of a batch stand side by side and are read in as many windows as they have rows for,
/// from the zero state; then come those of the next batch. The class is asked for after the last row
/// alone: every step has it as target, but only that one has the weight one, all others zero.
#[derive(Debug, Clone)]
pub struct ImageRows<'a> {
    images: &'a Images,
    order: Order,
    /// Rows in a window; the last one of an image may have fewer.
    steps: usize,
}

impl<'a> ImageRows<'a> {
    /// Reads images in batches of `batch`, `steps` rows at a time: in an order that is shuffled anew
    /// in every epoch if there is a seed, else as they stand.
    ///
    /// # Errors
    ///
    /// If the batch is empty or larger than all images together, or the windows are empty.
    pub fn new(
        images: &'a Images,
        batch: usize,
        steps: usize,
        shuffle: Option<u64>,
    ) -> Result<Self> {
        if steps == 0 {
            return Err(Error::Invalid(
                "windows of 0 rows hold nothing; choose at least 1".to_string(),
            ));
        }
        let order = Order::new(images.len(), batch, shuffle)?;
        Ok(Self {
            images,
            order,
            steps,
        })
    }

    /// Windows that an image is read in.
    pub fn windows_per_image(&self) -> usize {
        self.images.shape().height.div_ceil(self.steps)
    }

    /// The window of a step, counted from 0, whatever was read before: inputs
    /// `[steps, batch, channels * width]`, targets one-hot `[steps, batch, classes]`, weights
    /// `[steps, batch]`.
    pub fn window(&mut self, step: usize, device: &Device) -> Window {
        let windows = self.windows_per_image();
        let first = step % windows * self.steps;
        let end = self.images.shape().height.min(first + self.steps);
        let batch = self.order.rows(step / windows);
        window(self.images, batch, first..end, device)
    }

    /// What a network answers after the last row of some images, read from the zero state, and their
    /// classes one-hot: `[images, classes]` each, to measure with.
    ///
    /// # Panics
    ///
    /// If there is no such image, or the network does not fit their rows.
    pub fn answers(
        network: &Recurrent,
        images: &Images,
        which: &[usize],
        device: &Device,
    ) -> (Tensor<2>, Tensor<2>) {
        let height = images.shape().height;
        let (inputs, classes) = rows_of(images, which, device);
        let (outputs, _) = network.predict(&Sequence::new(inputs), None);
        (outputs.narrow(0, height - 1, 1).squeeze_dim(0), classes)
    }
}

/// Images as the steps of a sequence, `[height, images, channels * width]`, and their classes one-hot.
fn rows_of(images: &Images, which: &[usize], device: &Device) -> (Tensor<3>, Tensor<2>) {
    let (shape, batch) = (images.shape(), which.len());
    let (pixels, classes) = images.rows(which, device);
    let pixels = pixels.reshape([batch, shape.channels, shape.height, shape.width]);
    let pixels = pixels.permute([2, 0, 1, 3]);
    let rows = pixels.reshape([shape.height, batch, shape.channels * shape.width]);
    (rows, classes)
}

/// Some rows of some images, and the row after them.
fn window(images: &Images, which: &[usize], rows: Range<usize>, device: &Device) -> Window {
    let (steps, batch, end) = (rows.len(), which.len(), rows.end);
    let is_last = end == images.shape().height;
    let (images, classes) = rows_of(images, which, device);
    let asks = Tensor::zeros([steps, batch], device);
    Window {
        next: (!is_last).then(|| Sequence::new(images.clone().narrow(0, end, 1))),
        sequence: Sequence {
            keep_mask: (rows.start == 0).then(|| Sequence::beginning([steps, batch], device)),
            inputs: images.narrow(0, rows.start, steps).into(),
        },
        targets: classes.unsqueeze::<3>().repeat_dim(0, steps).into(),
        weights: Some(match is_last {
            true => asks.slice_fill(steps - 1..steps, 1.0),
            false => asks,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ImageShape, Stream, generator};
    use crate::loss::Loss;
    use crate::optimizer::Optimizer;
    use crate::recurrent::GruConfig;
    use crate::section::DenseConfig;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().expect("they are f32")
    }

    /// Three images of two channels, `[2, 3, 1]`: a pixel is 50 times its image, 10 times its
    /// channel, and its row; the class is that of the image.
    fn images() -> Images {
        let shape = ImageShape {
            channels: 2,
            height: 3,
            width: 1,
        };
        let pixels = (0..3).flat_map(|image| {
            let pixel = move |place: u8| 50 * image + 10 * (place / 3) + place % 3;
            (0..6).map(pixel)
        });
        Images::new(pixels.collect(), vec![0, 1, 2], shape, 3).expect("they are whole")
    }

    /// The pixels of a sequence, as they stand in the images.
    fn pixels(sequence: &Sequence) -> Vec<u8> {
        let inputs = sequence.inputs.numbers().expect("pixels are numbers");
        let values = values(inputs.clone()).into_iter();
        values.map(|value| (255.0 * value).round() as u8).collect()
    }

    #[test]
    fn windows_have_one_row_of_every_image_after_another() {
        let (images, device) = (images(), Device::flex());
        let mut rows = ImageRows::new(&images, 2, 2, None).unwrap();
        assert_eq!(rows.windows_per_image(), 2);
        let first = rows.window(0, &device);
        assert_eq!(first.sequence.dims(), [2, 2]);
        assert_eq!(pixels(&first.sequence), [0, 10, 50, 60, 1, 11, 51, 61]);
        let next = first.next.as_ref().expect("there is another row");
        assert_eq!(pixels(next), [2, 12, 52, 62]);
        assert!(next.keep_mask.is_none());
        let last = rows.window(1, &device);
        assert_eq!(pixels(&last.sequence), [2, 12, 52, 62]);
        assert!(last.next.is_none());
        for window in [first, last] {
            let [steps, _] = window.sequence.dims();
            let classes = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0].repeat(steps);
            let targets = window.targets.numbers().expect("they are one-hot");
            assert_eq!(values(targets.clone()), classes);
        }
    }

    #[test]
    fn an_image_begins_with_its_first_row_and_is_asked_for_with_its_last() {
        let (images, device) = (images(), Device::flex());
        let mut rows = ImageRows::new(&images, 1, 2, None).unwrap();
        let whole = window(&images, &[1], 0..3, &device);
        for (window, begins, asks) in [
            (rows.window(2, &device), Some(vec![0.0, 1.0]), vec![0.0; 2]),
            (rows.window(3, &device), None, vec![1.0]),
            (whole, Some(vec![0.0, 1.0, 1.0]), vec![0.0, 0.0, 1.0]),
        ] {
            assert_eq!(window.sequence.keep_mask.map(values), begins);
            assert_eq!(window.weights.map(values), Some(asks));
        }
    }

    #[test]
    fn answers_come_after_the_last_row() {
        let (images, device) = (images(), Device::flex());
        let rng = &mut generator(1, Stream::Parameters);
        let core = GruConfig::new(2, 4).init(rng, &device);
        let readout = DenseConfig::new(4, 3).linear().init(rng, &device);
        let sgd = || Optimizer::sgd(0.1);
        let network = Recurrent::new(Loss::CrossEntropy, (core, sgd()), (readout, sgd()));
        let (answers, classes) = ImageRows::answers(&network, &images, &[2, 0], &device);
        assert_eq!(values(classes), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
        // As window after window leads there.
        let mut rows = ImageRows::new(&images, 3, 2, None).unwrap();
        let (_, state) = network.predict(&rows.window(0, &device).sequence, None);
        let (last, _) = network.predict(&rows.window(1, &device).sequence, Some(state));
        let last = values(last);
        assert_eq!(values(answers), [&last[6..], &last[..3]].concat());
    }

    /// Whoever compares lengths of windows compares them on the same images.
    #[test]
    fn windows_of_any_length_show_the_same_images() {
        let (images, device) = (images(), Device::flex());
        let read = |steps, batches: std::ops::Range<usize>| -> Vec<u8> {
            let mut rows = ImageRows::new(&images, 1, steps, Some(7)).unwrap();
            let windows = rows.windows_per_image();
            let steps = batches.start * windows..batches.end * windows;
            steps
                .flat_map(|step| pixels(&rows.window(step, &device).sequence))
                .collect()
        };
        let all = read(1, 0..6);
        assert_eq!(all.len(), 6 * 6);
        for steps in [2, 3, 99] {
            assert_eq!(read(steps, 0..6), all);
            assert_eq!(read(steps, 4..6), all[4 * 6..], "whatever was read before");
        }
    }

    #[test]
    fn what_holds_nothing_is_refused() {
        let images = images();
        for (batch, steps) in [(0, 1), (4, 1), (1, 0)] {
            assert!(ImageRows::new(&images, batch, steps, None).is_err());
        }
    }
}
