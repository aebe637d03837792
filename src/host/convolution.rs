//! Convolutions of stride one as products of matrices.
//!
//! Images lie with their channels last, `[batch, height, width, channels]`: a row for each pixel,
//! which is what batch norm works on, and a window of an image is then a few long pieces of memory.
//! The windows of some images at a time are copied side by side, so that they stay in the
//! processor's cache until they are multiplied.

use rayon::prelude::*;

use super::product::{Matrix, add_product, write_product};
use crate::image::ImageShape;

/// How many values of windows are copied before they are multiplied.
const WINDOW_VALUES: usize = 1 << 18;

/// The sizes of a convolution at work. Its output is as large as its input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Convolution {
    /// The shape of the images that come in.
    pub input: ImageShape,
    /// Channels of the images that go out.
    pub outputs: usize,
    /// Rows and columns of the kernel, an odd number.
    pub kernel: usize,
}

impl Convolution {
    /// `x * W`, a row of `[outputs]` for each pixel. The weight is `[outputs, inputs, kernel,
    /// kernel]`.
    pub fn forward(&self, images: &[f32], weight: &[f32]) -> Vec<f32> {
        self.convolve(images, &self.by_offset(weight))
    }

    /// `dL/dW`, `[outputs, inputs, kernel, kernel]`, from the images and `dz = dL/d(x * W)`.
    pub fn weight_gradient(&self, images: &[f32], dz: &[f32]) -> Vec<f32> {
        let Self { outputs, .. } = *self;
        let window = self.window();
        // Each thread sums over its share of the images; adding up in order keeps runs repeatable.
        let share = self.images_for_each_thread(images);
        let sums: Vec<Vec<f32>> = images
            .par_chunks(share * self.input.len())
            .zip(dz.par_chunks(share * self.pixels() * outputs))
            .map(|(images, dz)| {
                let mut sum = vec![0.0; window * outputs];
                let mut rest = dz;
                self.for_windows(images, |windows| {
                    let (dz, after) = rest.split_at(windows.len() / window * outputs);
                    rest = after;
                    let windows = Matrix::new(windows, window).transposed();
                    add_product(&mut sum, windows, Matrix::new(dz, outputs));
                });
                sum
            })
            .collect();
        let mut gradient = vec![0.0; window * outputs];
        for sum in sums {
            // To `[outputs, inputs, kernel, kernel]`.
            let places = self.places().zip(sum.chunks_exact(outputs));
            for (place, sum) in places {
                for (output, value) in sum.iter().enumerate() {
                    gradient[output * window + place] += value;
                }
            }
        }
        gradient
    }

    /// `dL/dx`, which is the convolution of `dz` with the kernels turned by half a turn.
    pub fn input_gradient(&self, dz: &[f32], weight: &[f32]) -> Vec<f32> {
        let inputs = self.input.channels;
        let area = self.kernel * self.kernel;
        let mut turned = vec![0.0; weight.len()];
        for (output, of_output) in weight.chunks_exact(inputs * area).enumerate() {
            for (input, kernel) in of_output.chunks_exact(area).enumerate() {
                let place = (input * self.outputs + output) * area;
                let turned = &mut turned[place..place + area];
                for (to, from) in turned.iter_mut().zip(kernel.iter().rev()) {
                    *to = *from;
                }
            }
        }
        let back = Self {
            input: ImageShape {
                channels: self.outputs,
                ..self.input
            },
            outputs: inputs,
            kernel: self.kernel,
        };
        back.forward(dz, &turned)
    }

    /// The windows around all pixels, times a weight `[window, outputs]`.
    fn convolve(&self, images: &[f32], weight: &[f32]) -> Vec<f32> {
        let Self { outputs, .. } = *self;
        let window = self.window();
        let weight = Matrix::new(weight, outputs);
        let mut out = vec![0.0; images.len() / self.input.channels * outputs];
        let share = self.images_for_each_thread(images);
        out.par_chunks_mut(share * self.pixels() * outputs)
            .zip(images.par_chunks(share * self.input.len()))
            .for_each(|(out, images)| {
                let mut rest = out;
                self.for_windows(images, |windows| {
                    let len = windows.len() / window * outputs;
                    let (out, after) = std::mem::take(&mut rest).split_at_mut(len);
                    rest = after;
                    write_product(out, Matrix::new(windows, window), weight);
                });
            });
        out
    }

    /// Calls `work` with the windows around all pixels, a row of `[kernel, kernel, inputs]` for
    /// each, those of some images at a time.
    fn for_windows(&self, images: &[f32], mut work: impl FnMut(&[f32])) {
        let ImageShape {
            channels, width, ..
        } = self.input;
        let edge = self.kernel / 2;
        let (piece, padded_row) = (self.kernel * channels, (width + 2 * edge) * channels);
        let window = self.window();
        let at_once = (WINDOW_VALUES / (self.pixels() * window)).max(1);
        let mut windows = vec![0.0; at_once * self.pixels() * window];
        let mut padded = vec![0.0; (self.input.height + 2 * edge) * padded_row];
        for images in images.chunks(at_once * self.input.len()) {
            let windows = &mut windows[..images.len() / channels * window];
            for (image, windows) in images
                .chunks_exact(self.input.len())
                .zip(windows.chunks_exact_mut(self.pixels() * window))
            {
                for (row, image) in image.chunks_exact(width * channels).enumerate() {
                    let start = (row + edge) * padded_row + edge * channels;
                    padded[start..start + image.len()].copy_from_slice(image);
                }
                for (pixel, window) in windows.chunks_exact_mut(window).enumerate() {
                    let corner = pixel / width * padded_row + pixel % width * channels;
                    for (row, to) in window.chunks_exact_mut(piece).enumerate() {
                        let start = corner + row * padded_row;
                        to.copy_from_slice(&padded[start..start + piece]);
                    }
                }
            }
            work(windows);
        }
    }

    /// A weight `[outputs, inputs, kernel, kernel]` as `[kernel, kernel, inputs, outputs]`.
    fn by_offset(&self, weight: &[f32]) -> Vec<f32> {
        let window = self.window();
        self.places()
            .flat_map(|place| (0..self.outputs).map(move |output| output * window + place))
            .map(|place| weight[place])
            .collect()
    }

    /// Where the values of a window, `[kernel, kernel, inputs]`, are in `[inputs, kernel, kernel]`.
    fn places(&self) -> impl Iterator<Item = usize> {
        let area = self.kernel * self.kernel;
        let inputs = self.input.channels;
        (0..area).flat_map(move |offset| (0..inputs).map(move |input| input * area + offset))
    }

    fn images_for_each_thread(&self, images: &[f32]) -> usize {
        let count = images.len() / self.input.len();
        count.div_ceil(rayon::current_num_threads()).max(1)
    }

    fn pixels(&self) -> usize {
        self.input.height * self.input.width
    }

    /// Values of a window.
    fn window(&self) -> usize {
        self.kernel * self.kernel * self.input.channels
    }
}

/// Images `[batch, channels, pixels]` as `[batch, pixels, channels]`.
pub(crate) fn channels_last(images: &[f32], shape: ImageShape) -> Vec<f32> {
    transposed(images, shape.channels, shape.height * shape.width)
}

/// Images `[batch, pixels, channels]` as `[batch, channels, pixels]`.
pub(crate) fn channels_first(images: &[f32], shape: ImageShape) -> Vec<f32> {
    transposed(images, shape.height * shape.width, shape.channels)
}

/// `[batch, rows, columns]` as `[batch, columns, rows]`.
fn transposed(matrices: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    if rows == 1 || columns == 1 {
        return matrices.to_vec();
    }
    let mut out = vec![0.0; matrices.len()];
    for (matrix, out) in matrices
        .chunks_exact(rows * columns)
        .zip(out.chunks_exact_mut(rows * columns))
    {
        for (column, out) in out.chunks_exact_mut(rows).enumerate() {
            for (to, row) in out.iter_mut().zip(matrix.chunks_exact(columns)) {
                *to = row[column];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::instructions::tests::{agree_in_all_instructions, values};

    #[test]
    fn convolutions_are_the_same_in_all_instructions() {
        let input = ImageShape {
            channels: 2,
            height: 5,
            width: 4,
        };
        let convolution = Convolution {
            input,
            outputs: 3,
            kernel: 3,
        };
        agree_in_all_instructions(|| {
            let (images, weight) = (values(3 * input.len()), values(3 * 2 * 9));
            let z = convolution.forward(&images, &weight);
            let weight_gradient = convolution.weight_gradient(&images, &z);
            let input_gradient = convolution.input_gradient(&z, &weight);
            [z, weight_gradient, input_gradient].concat()
        });
    }
}
