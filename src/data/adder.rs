//! Binary addition, the notebook's task: two numbers go in bit by bit, their sum comes out.

use rand::Rng;
use rand::seq::index;

use super::Examples;
use crate::error::{Error, Result};

/// Sums of two binary numbers, some to train on and others for testing only.
#[derive(Debug, Clone)]
pub struct Adder {
    /// The sums to train on.
    pub train: Examples,
    /// Sums that are not among them; empty if all sums are.
    pub test: Examples,
}

impl Adder {
    /// The most sums that are drawn for testing.
    pub const MOST_TEST_EXAMPLES: usize = 16_384;

    /// The most sums that can be drawn for training.
    pub const MOST_TRAIN_EXAMPLES: usize = 1 << 22;

    /// Draws `examples` different sums to train on, and others to test with.
    ///
    /// Inputs are the two numbers with `bits` bits each, `[2 * bits]`, targets the sum, `[bits]`,
    /// all with the most significant bit first. The numbers are below `2^(bits - 1)`, so that the
    /// sum has no carry out.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn new(bits: usize, examples: usize, rng: &mut impl Rng) -> Result<Self> {
        let sums = Self::check(bits, examples)?;
        let unseen = (sums - examples).min(Self::MOST_TEST_EXAMPLES);
        let drawn = index::sample(rng, sums, examples + unseen).into_vec();
        let (train, test) = drawn.split_at(examples);
        Ok(Self {
            train: encode(bits, train),
            test: encode(bits, test),
        })
    }

    /// Checks that `examples` sums of `bits` bits can be drawn; returns the number of all such
    /// sums.
    ///
    /// # Errors
    ///
    /// If `bits` is not from 2 to 24, or `examples` is zero or too large.
    pub fn check(bits: usize, examples: usize) -> Result<usize> {
        if !(2..=24).contains(&bits) {
            return Err(Error::Invalid(format!(
                "sums of {bits} bits are not supported; choose from 2 to 24 bits"
            )));
        }
        let sums: usize = 1 << (2 * (bits - 1));
        let most = sums.min(Self::MOST_TRAIN_EXAMPLES);
        if examples == 0 || examples > most {
            return Err(Error::Invalid(format!(
                "{examples} examples cannot be drawn: there are {sums} different sums of {bits} \
                 bits; choose from 1 to {most} examples"
            )));
        }
        Ok(sums)
    }
}

/// The examples of some sums: the operands are the upper and the lower half of each code.
fn encode(bits: usize, codes: &[usize]) -> Examples {
    let mut inputs = Vec::with_capacity(codes.len() * 2 * bits);
    let mut targets = Vec::with_capacity(codes.len() * bits);
    for code in codes {
        let left = code >> (bits - 1);
        let right = code & ((1 << (bits - 1)) - 1);
        inputs.extend(binary(left, bits));
        inputs.extend(binary(right, bits));
        targets.extend(binary(left + right, bits));
    }
    Examples::new(inputs, targets, 2 * bits, bits)
}

/// The bits of a number, the most significant first.
fn binary(number: usize, bits: usize) -> impl Iterator<Item = f32> {
    (0..bits).rev().map(move |bit| ((number >> bit) & 1) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stream, generator};
    use std::collections::HashSet;

    fn number(bits: &[f32]) -> u32 {
        bits.iter().fold(0, |n, &bit| 2 * n + bit as u32)
    }

    #[test]
    fn targets_are_sums_and_no_sum_is_drawn_twice() {
        let adder = Adder::new(5, 100, &mut generator(1, Stream::Examples)).unwrap();
        let mut seen = HashSet::new();
        for set in [&adder.train, &adder.test] {
            for (x, y) in set.inputs.chunks(10).zip(set.targets.chunks(5)) {
                let (left, right) = (number(&x[..5]), number(&x[5..]));
                assert_eq!(left + right, number(y));
                assert!(seen.insert((left, right)));
            }
        }
        assert_eq!((adder.train.len(), adder.test.len()), (100, 156));
        assert_eq!(seen.len(), 256);
    }

    #[test]
    fn more_examples_than_there_are_is_refused() {
        let error = Adder::new(3, 17, &mut generator(1, Stream::Examples)).unwrap_err();
        assert!(error.to_string().contains("there are 16 different sums"));
        assert!(Adder::new(1, 1, &mut generator(1, Stream::Examples)).is_err());
        assert!(Adder::new(25, 1, &mut generator(1, Stream::Examples)).is_err());
        assert!(Adder::new(3, 0, &mut generator(1, Stream::Examples)).is_err());
    }
}
