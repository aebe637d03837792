//! Images as sections see them: their shape, and pooling.

use std::fmt;

use burn::tensor::Tensor;
use burn::tensor::module::{avg_pool2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use serde::{Deserialize, Serialize};

/// The shape of one image. Its pixels lie channel after channel, row after row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// `channels x height x width`
impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            channels,
            height,
            width,
        } = self;
        write!(f, "{channels} x {height} x {width}")
    }
}

impl ImageShape {
    /// The number of values in one image, or [`usize::MAX`] if it overflows.
    pub fn len(self) -> usize {
        self.channels
            .saturating_mul(self.height)
            .saturating_mul(self.width)
    }

    /// Whether the image has no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// How a window of an image is reduced to one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolKind {
    /// Its largest value.
    Max,
    /// The mean of its values.
    Avg,
}

/// Pooling over square windows, channel by channel.
///
/// Only whole windows count: rows and columns left over at the lower and right edges are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// How a window is reduced.
    pub kind: PoolKind,
    /// Rows and columns of a window.
    pub size: usize,
    /// Rows, and columns, from one window to the next.
    pub stride: usize,
}

impl Pool {
    /// The maximum over windows that do not overlap.
    pub fn max(size: usize) -> Self {
        Self {
            kind: PoolKind::Max,
            size,
            stride: size,
        }
    }

    /// The mean over windows that do not overlap.
    pub fn avg(size: usize) -> Self {
        Self {
            kind: PoolKind::Avg,
            ..Self::max(size)
        }
    }

    /// Sets the stride; windows overlap if it is below their size.
    pub fn with_stride(mut self, stride: usize) -> Self {
        self.stride = stride;
        self
    }

    /// The shape of pooled images: `floor((n - size) / stride) + 1` rows from `n` rows, and columns
    /// likewise.
    ///
    /// # Panics
    ///
    /// If the size or the stride is zero, or the image is smaller than a window.
    pub fn output_shape(self, input: ImageShape) -> ImageShape {
        let Self { size, stride, .. } = self;
        assert!(
            size > 0 && stride > 0,
            "pooling needs a size and a stride, got {size} and {stride}"
        );
        let ImageShape { height, width, .. } = input;
        assert!(
            size <= height.min(width),
            "an image of {height} x {width} is smaller than a pooling window of {size} x {size}"
        );
        let windows = |length: usize| (length - size) / stride + 1;
        ImageShape {
            channels: input.channels,
            height: windows(height),
            width: windows(width),
        }
    }

    /// Pools images `[batch, channels, height, width]` to the [`output_shape`](Self::output_shape).
    ///
    /// # Panics
    ///
    /// If the size or the stride is zero, or the images are smaller than a window.
    pub fn forward(self, images: Tensor<4>) -> Tensor<4> {
        let [_, channels, height, width] = images.dims();
        self.output_shape(ImageShape {
            channels,
            height,
            width,
        });
        let [size, stride] = [[self.size; 2], [self.stride; 2]];
        match self.kind {
            PoolKind::Max => max_pool2d(images, MaxPoolOptions::new(size).with_stride(stride)),
            PoolKind::Avg => avg_pool2d(images, AvgPoolOptions::new(size).with_stride(stride)),
        }
    }
}
