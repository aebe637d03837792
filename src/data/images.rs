//! Labelled images, as bytes on the host.

use burn::tensor::{Device, Tensor, TensorData};

use super::{Fingerprint, ImageShape, gather};
use crate::error::{Error, Result};

/// Images and the class of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    shape: ImageShape,
    classes: usize,
}

impl Images {
    /// Images, `[examples, channels, height, width]`, with a class from 0 to `classes - 1` each.
    ///
    /// # Errors
    ///
    /// If images of this shape have no pixels, the pixels are not those of as many images as there are
    /// labels, or a label is not a class.
    pub fn new(
        pixels: Vec<u8>,
        labels: Vec<u8>,
        shape: ImageShape,
        classes: usize,
    ) -> Result<Self> {
        if shape.is_empty() {
            return Err(Error::Invalid(format!("images of {shape} have no pixels")));
        }
        let needed = labels.len().saturating_mul(shape.len());
        if pixels.len() != needed {
            return Err(Error::Invalid(format!(
                "{} labels need {needed} pixels, there are {}",
                labels.len(),
                pixels.len()
            )));
        }
        if let Some(label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
            return Err(Error::Invalid(format!(
                "there is no class {label} among {classes} classes"
            )));
        }
        Ok(Self {
            pixels,
            labels,
            shape,
            classes,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of each image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The pixels of one image, `[channels, height, width]`.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn pixels(&self, image: usize) -> &[u8] {
        &self.pixels[image * self.shape.len()..][..self.shape.len()]
    }

    /// The class of one image.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn label(&self, image: usize) -> usize {
        self.labels[image].into()
    }

    /// All values, pixels and classes.
    pub(super) fn bytes(&self) -> [&[u8]; 2] {
        [&self.pixels, &self.labels]
    }

    /// The first `count` images, or all if there are fewer.
    pub fn take(mut self, count: usize) -> Self {
        self.labels.truncate(count);
        self.pixels.truncate(self.labels.len() * self.shape.len());
        self
    }

    /// Some images scaled to `[0, 1]`, `[rows, channels * height * width]`, and their classes
    /// one-hot, `[rows, classes]`. For batch after batch see
    /// [`ResidentImages`](super::ResidentImages).
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn rows(&self, rows: &[usize], device: &Device) -> (Tensor<2>, Tensor<2>) {
        let inputs = gather(&self.pixels, self.shape.len(), rows, device, |pixel| {
            f32::from(pixel) / 255.0
        });
        let mut one_hot = vec![0.0; rows.len() * self.classes];
        for (&row, one_hot) in rows.iter().zip(one_hot.chunks_exact_mut(self.classes)) {
            one_hot[self.label(row)] = 1.0;
        }
        let data = TensorData::new(one_hot, [rows.len(), self.classes]);
        (inputs, Tensor::from_data(data, device))
    }
}

/// A data set of labelled images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// Images to train on.
    pub train: Images,
    /// Images to test with.
    pub test: Images,
}

impl ImageSet {
    /// What the images are, which came from `origin`.
    pub fn fingerprint(&self, origin: &str) -> Fingerprint {
        Fingerprint::default()
            .with_term("shape", self.train.shape())
            .with_term("classes", self.train.classes())
            .with_part(Fingerprint::TRAIN, origin, self.train.bytes())
            .with_part(Fingerprint::TEST, origin, self.test.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_may_be_larger_than_any_memory() {
        let shape = ImageShape {
            channels: usize::MAX / 2,
            height: 28,
            width: 28,
        };
        assert_eq!(shape.len(), usize::MAX);
        assert!(Images::new(vec![0; 4], vec![0; 4], shape, 10).is_err());
    }

    #[test]
    fn images_without_pixels_are_refused() {
        let shape = ImageShape {
            channels: 1,
            height: 0,
            width: 28,
        };
        let error = Images::new(Vec::new(), vec![0], shape, 10).expect_err("they show nothing");
        assert!(error.to_string().contains("no pixels"), "{error}");
    }
}
