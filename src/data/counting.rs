//! A stream of digits, in which a fast network counts the odd ones and a slow one the threes.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;

use super::{Images, Stream, generator};
use crate::clocks::Span;
use crate::error::{Error, Result};

/// Images of digits, drawn uniformly at every step, in several streams side by side.
#[derive(Debug, Clone)]
pub struct DigitStream<'a> {
    images: &'a Images,
    seed: u64,
    period: usize,
    streams: usize,
}

impl<'a> DigitStream<'a> {
    /// The digit that the slow network counts.
    const THREE: usize = 3;

    /// `streams` streams of these images, in spans of `period^2` steps.
    ///
    /// # Errors
    ///
    /// If the images are not of ten classes, or there are none, or the period or the number of
    /// streams is zero.
    pub fn new(images: &'a Images, seed: u64, period: usize, streams: usize) -> Result<Self> {
        if images.classes() != 10 || images.is_empty() {
            return Err(Error::Invalid(format!(
                "a stream of digits needs images of ten classes, got {} of {}",
                images.len(),
                images.classes()
            )));
        }
        if period == 0 || streams == 0 {
            return Err(Error::Invalid(format!(
                "a stream of digits needs a period and a stream, got {period} and {streams}"
            )));
        }
        Ok(Self {
            images,
            seed,
            period,
            streams,
        })
    }

    /// Classes of the fast answer: 0 to `T` of `T` digits.
    pub fn fast_classes(period: usize) -> usize {
        period + 1
    }

    /// Features of a window's context: 0 to `T` of `T` digits, one-hot.
    pub fn contexts(period: usize) -> usize {
        period + 1
    }

    /// Classes of the slow answer: 0 to `T^2` of `T^2` digits.
    pub fn slow_classes(period: usize) -> usize {
        period * period + 1
    }

    /// The span of this number, counted from 0: a function of the seed and the number. The targets
    /// are one-hot: after every `T` steps, how many of the last `T` digits are odd, and at the end,
    /// how many of all digits are threes. The context of a window is how many of its digits are
    /// threes.
    pub fn span(&self, number: usize, device: &Device) -> Span {
        let Self {
            period, streams, ..
        } = *self;
        let steps = period * period;
        let rng = &mut generator(self.seed, Stream::Digits(number as u64));
        let rows = (0..steps * streams).map(|_| rng.random_range(0..self.images.len()));
        let rows: Vec<usize> = rows.collect();
        let (inputs, _) = self.images.rows(&rows, device);
        let digits: Vec<usize> = rows.iter().map(|&row| self.images.label(row)).collect();
        let in_windows = |does_count: fn(usize) -> bool| {
            let windows = digits.chunks_exact(period * streams);
            windows.flat_map(move |window| counts(window, streams, does_count))
        };
        let is_three = |digit| digit == Self::THREE;
        let odd = one_hot(
            in_windows(|digit| digit % 2 == 1),
            Self::fast_classes(period),
        );
        let threes = one_hot(in_windows(is_three), Self::contexts(period));
        let all_threes = one_hot(
            counts(&digits, streams, is_three),
            Self::slow_classes(period),
        );
        let of_windows = |rows: TensorData| {
            let [_, features] = rows.shape().dims();
            let rows = Tensor::<2>::from_data(rows, device);
            rows.reshape::<3, _>([period, streams, features])
        };
        Span {
            inputs: inputs
                .reshape([steps, streams, self.images.shape().len()])
                .into(),
            fast_targets: of_windows(odd).into(),
            slow_targets: Tensor::<2>::from_data(all_threes, device).into(),
            contexts: Some(of_windows(threes)),
        }
    }
}

/// A row for each count, `[counts, classes]`, with a one in its place.
fn one_hot(counts: impl IntoIterator<Item = usize>, classes: usize) -> TensorData {
    let rows = counts.into_iter().flat_map(|count| {
        let mut row = vec![0.0_f32; classes];
        row[count] = 1.0;
        row
    });
    let values: Vec<f32> = rows.collect();
    let rows = values.len() / classes;
    TensorData::new(values, [rows, classes])
}

/// How many of the digits, `[steps, streams]`, count in each stream.
fn counts(digits: &[usize], streams: usize, does_count: fn(usize) -> bool) -> Vec<usize> {
    let mut counts = vec![0; streams];
    for step in digits.chunks_exact(streams) {
        for (count, &digit) in counts.iter_mut().zip(step) {
            *count += usize::from(does_count(digit));
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Data;
    use crate::data::{ImageShape, glyphs};

    fn read<const D: usize>(data: impl Into<Data<D>>) -> Vec<f32> {
        let data = data.into();
        let numbers = data.numbers().expect("they are numbers");
        numbers.to_data().try_into_vec().expect("they are f32")
    }

    /// The class of every row.
    fn classes(one_hot: Vec<f32>, classes: usize) -> Vec<usize> {
        let rows = one_hot.chunks_exact(classes);
        rows.map(|row| {
            assert_eq!(row.iter().sum::<f32>(), 1.0);
            row.iter().position(|&value| value == 1.0).expect("one")
        })
        .collect()
    }

    /// Images of one pixel, whose value is their digit.
    fn digits() -> Images {
        let shape = ImageShape {
            channels: 1,
            height: 1,
            width: 1,
        };
        let digits: Vec<u8> = (0..10).collect();
        Images::new(digits.clone(), digits, shape, 10).expect("every digit has its pixel")
    }

    #[test]
    fn odd_digits_and_threes_are_counted() {
        const PERIOD: usize = 3;
        const STREAMS: usize = 40;
        let images = digits();
        let stream = DigitStream::new(&images, 1, PERIOD, STREAMS).expect("there are digits");
        let span = stream.span(0, &Device::flex());
        assert_eq!(span.inputs.steps(), [9, STREAMS]);
        let seen = read(span.inputs.clone()).into_iter();
        let seen: Vec<usize> = seen.map(|pixel| (pixel * 255.0).round() as usize).collect();
        let in_stream = |i: usize, steps: std::ops::Range<usize>| {
            let digits = steps.map(|t| seen[t * STREAMS + i]);
            digits.collect::<Vec<usize>>()
        };
        let odd = classes(read(span.fast_targets), DigitStream::fast_classes(PERIOD));
        let threes = classes(read(span.slow_targets), DigitStream::slow_classes(PERIOD));
        let in_windows = classes(
            read(span.contexts.expect("there is one")),
            DigitStream::contexts(PERIOD),
        );
        for i in 0..STREAMS {
            for k in 0..PERIOD {
                let digits = in_stream(i, k * PERIOD..(k + 1) * PERIOD);
                let expected = digits.iter().filter(|&digit| digit % 2 == 1).count();
                assert_eq!(odd[k * STREAMS + i], expected, "window {k} of stream {i}");
                let expected = digits.iter().filter(|&&digit| digit == 3).count();
                assert_eq!(
                    in_windows[k * STREAMS + i],
                    expected,
                    "threes of window {k}"
                );
            }
            let digits = in_stream(i, 0..9);
            let expected = digits.iter().filter(|&&digit| digit == 3).count();
            assert_eq!(threes[i], expected, "stream {i}");
        }
        assert!(threes.iter().any(|&count| count > 0));
    }

    #[test]
    fn a_span_depends_on_the_seed_and_its_number_alone() {
        let images = glyphs(1, 50, 0).train;
        let span = |seed, number| {
            let stream = DigitStream::new(&images, seed, 2, 5).expect("there are digits");
            read(stream.span(number, &Device::flex()).inputs)
        };
        assert_eq!(span(1, 7), span(1, 7));
        assert_ne!(span(1, 7), span(1, 8));
        assert_ne!(span(1, 7), span(2, 7));
    }

    #[test]
    fn what_is_no_digit_is_refused() {
        let shape = digits().shape();
        let three = Images::new(vec![0; 3], vec![0, 1, 2], shape, 3).expect("it is whole");
        for images in [three, digits().take(0)] {
            let error = DigitStream::new(&images, 1, 4, 5).expect_err("it is no stream of digits");
            assert!(error.to_string().contains("ten classes"), "{error}");
        }
        for (period, streams) in [(0, 5), (4, 0)] {
            let error = DigitStream::new(&digits(), 1, period, streams).expect_err("it is empty");
            assert!(
                error.to_string().contains("a period and a stream"),
                "{error}"
            );
        }
    }
}
