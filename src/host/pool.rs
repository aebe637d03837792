//! Pooling of images whose channels lie last, `[batch, height, width, channels]`.

use std::ops::Range;

use super::instructions::vectorized;
use crate::image::{ImageShape, Pool, PoolKind};

/// What the way back through pooling needs.
pub(crate) enum Pooled {
    /// Which value of its window, counted row after row, each output is; the first of the
    /// greatest.
    Max(Vec<u32>),
    Avg,
}

/// Pooling at work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pooling {
    pool: Pool,
    input: ImageShape,
    output: ImageShape,
}

impl Pooling {
    /// Pooling of images of this shape.
    pub fn new(pool: Pool, input: ImageShape) -> Self {
        Self {
            pool,
            input,
            output: pool.output_shape(input),
        }
    }

    /// The pooled images.
    pub fn forward(&self, images: &[f32]) -> (Vec<f32>, Pooled) {
        let len = images.len() / self.input.len() * self.output.len();
        match self.pool.kind {
            PoolKind::Max => {
                let mut out = vec![f32::NEG_INFINITY; len];
                let mut chosen = vec![0; len];
                self.for_windows(len, |offset, from, to| {
                    let to = out[to.clone()].iter_mut().zip(&mut chosen[to]);
                    for ((greatest, chosen), &value) in to.zip(&images[from]) {
                        // Written so that NaN is not lost.
                        let greater = value > *greatest || value.is_nan();
                        *greatest = if greater { value } else { *greatest };
                        *chosen = if greater { offset } else { *chosen };
                    }
                });
                (out, Pooled::Max(chosen))
            }
            PoolKind::Avg => {
                let mut out = vec![0.0; len];
                let share = self.share();
                self.for_windows(len, |_, from, to| {
                    for (mean, value) in out[to].iter_mut().zip(&images[from]) {
                        *mean += share * value;
                    }
                });
                (out, Pooled::Avg)
            }
        }
    }

    /// `dL/dx` from `delta`, the gradient at the pooled images.
    pub fn backward(&self, pooled: &Pooled, delta: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; delta.len() / self.output.len() * self.input.len()];
        match pooled {
            Pooled::Max(chosen) => self.for_windows(delta.len(), |offset, from, to| {
                let delta = delta[to.clone()].iter().zip(&chosen[to]);
                for (out, (&delta, &chosen)) in out[from].iter_mut().zip(delta) {
                    *out += if chosen == offset { delta } else { 0.0 };
                }
            }),
            Pooled::Avg => {
                let share = self.share();
                self.for_windows(delta.len(), |_, from, to| {
                    for (out, delta) in out[from].iter_mut().zip(&delta[to]) {
                        *out += share * delta;
                    }
                });
            }
        }
        out
    }

    /// Calls `work` for every place in every window with the place's number, counted row after
    /// row, where the channels of its pixel lie in the images, and where those of the window lie
    /// in the `outputs` values that come out.
    #[inline(always)]
    fn for_windows(&self, outputs: usize, mut work: impl FnMut(u32, Range<usize>, Range<usize>)) {
        let Pool { size, stride, .. } = self.pool;
        let ImageShape {
            channels,
            height,
            width,
        } = self.output;
        vectorized(
            #[inline(always)]
            || {
                for window in 0..outputs / channels {
                    let (image, row) = (window / (height * width), window / width % height);
                    let column = window % width;
                    let to = window * channels..(window + 1) * channels;
                    let mut offset = 0;
                    for i in 0..size {
                        let line = image * self.input.height + row * stride + i;
                        for j in 0..size {
                            let pixel = line * self.input.width + column * stride + j;
                            let from = pixel * channels..(pixel + 1) * channels;
                            work(offset, from, to.clone());
                            offset += 1;
                        }
                    }
                }
            },
        );
    }

    /// Of each value in the mean of its window.
    fn share(&self) -> f32 {
        1.0 / (self.pool.size * self.pool.size) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::instructions::tests::{agree_in_all_instructions, values};

    #[test]
    fn windows_are_the_same_in_all_instructions() {
        let input = ImageShape {
            channels: 19,
            height: 6,
            width: 5,
        };
        for kind in [PoolKind::Max, PoolKind::Avg] {
            agree_in_all_instructions(|| {
                let pool = Pool {
                    kind,
                    size: 3,
                    stride: 2,
                };
                let pooling = Pooling::new(pool, input);
                let (output, pooled) = pooling.forward(&values(2 * input.len()));
                let delta = pooling.backward(&pooled, &output);
                [output, delta].concat()
            });
        }
    }
}
