//! Data: sets of examples on the host, the order in which batches are drawn from them, and texts.

mod adder;
mod archive;
mod cifar;
mod copying;
mod counting;
pub mod fetch;
mod glyphs;
mod idx;
mod image_rows;
mod images;
mod lanes;
mod language;
mod library;
mod resident;
mod shakespeare;
mod text;

pub use crate::fingerprint::{DataPart, Fingerprint};
pub use crate::image::ImageShape;
pub use crate::rng::{Stream, generator};
pub use adder::Adder;
pub use cifar::read_cifar;
pub use copying::{CopyEpisodes, CopyLevel};
pub use counting::DigitStream;
pub use glyphs::glyphs;
pub use idx::read_idx;
pub use image_rows::ImageRows;
pub use images::{ImageSet, Images};
pub use lanes::{Lanes, Reading};
pub use language::Language;
pub use library::{ImageLibrary, Places};
pub use resident::ResidentImages;
pub use shakespeare::shakespeare;
pub use text::{Alphabet, Corpus};

use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;

use crate::error::{Error, Result};

/// Examples: inputs and targets, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    inputs: Vec<f32>,
    targets: Vec<f32>,
    input_features: usize,
    target_features: usize,
}

impl Examples {
    /// Examples of the given widths.
    ///
    /// # Panics
    ///
    /// If a width is zero, or the values are not the same number of whole rows.
    pub fn new(
        inputs: Vec<f32>,
        targets: Vec<f32>,
        input_features: usize,
        target_features: usize,
    ) -> Self {
        assert!(
            inputs.len().is_multiple_of(input_features)
                && targets.len().is_multiple_of(target_features)
                && inputs.len() / input_features == targets.len() / target_features,
            "every example needs a whole input and a whole target"
        );
        Self {
            inputs,
            targets,
            input_features,
            target_features,
        }
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.inputs.len() / self.input_features
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// The inputs and targets of some rows, `[rows, features]` each.
    ///
    /// # Panics
    ///
    /// If a row does not exist.
    pub fn rows(&self, rows: &[usize], device: &Device) -> (Tensor<2>, Tensor<2>) {
        (
            gather(&self.inputs, self.input_features, rows, device, |value| {
                value
            }),
            gather(&self.targets, self.target_features, rows, device, |value| {
                value
            }),
        )
    }

    /// All inputs and targets, `[examples, features]` each.
    pub fn all(&self, device: &Device) -> (Tensor<2>, Tensor<2>) {
        let tensor = |values: &Vec<f32>, features| {
            let data = TensorData::new(values.clone(), [self.len(), features]);
            Tensor::from_data(data, device)
        };
        (
            tensor(&self.inputs, self.input_features),
            tensor(&self.targets, self.target_features),
        )
    }
}

/// Some rows of a table on the host, every value put through `convert`: `[rows, features]`.
fn gather<T: Copy>(
    values: &[T],
    features: usize,
    rows: &[usize],
    device: &Device,
    convert: impl Fn(T) -> f32,
) -> Tensor<2> {
    let mut gathered = Vec::with_capacity(rows.len() * features);
    for row in rows {
        let row = &values[row * features..(row + 1) * features];
        gathered.extend(row.iter().map(|&value| convert(value)));
    }
    Tensor::from_data(TensorData::new(gathered, [rows.len(), features]), device)
}

/// Which rows are in the batch of each step.
///
/// Each epoch goes through all examples once, except those that do not fill a last batch.
#[derive(Debug, Clone)]
pub struct Order {
    examples: usize,
    batch_size: usize,
    /// The run's seed, or none for the same order in every epoch.
    shuffle: Option<u64>,
    /// The order of one epoch, kept for its other batches.
    epoch: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// The order of `examples` examples in batches of `batch_size`; shuffled anew every epoch if
    /// `shuffle` has the run's seed.
    ///
    /// # Errors
    ///
    /// If the batch size is zero or larger than the number of examples.
    pub fn new(examples: usize, batch_size: usize, shuffle: Option<u64>) -> Result<Self> {
        if batch_size == 0 || batch_size > examples {
            return Err(Error::Invalid(format!(
                "a batch of {batch_size} cannot be drawn from {examples} examples; \
                 choose a batch size from 1 to {examples}"
            )));
        }
        Ok(Self {
            examples,
            batch_size,
            shuffle,
            epoch: None,
        })
    }

    /// Steps in one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.examples / self.batch_size
    }

    /// The rows of the batch of a step, counted from 0.
    pub fn rows(&mut self, step: usize) -> &[usize] {
        let (epoch, batch) = (
            (step / self.steps_per_epoch()) as u64,
            step % self.steps_per_epoch(),
        );
        let known = self.epoch.take().filter(|(known, _)| *known == epoch);
        let (_, order) = self
            .epoch
            .insert(known.unwrap_or_else(|| (epoch, self.order_of(epoch))));
        &order[batch * self.batch_size..][..self.batch_size]
    }

    fn order_of(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.examples).collect();
        if let Some(seed) = self.shuffle {
            order.shuffle(&mut generator(seed, Stream::Epoch(epoch)));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_example_once_and_depends_on_seed_and_epoch_only() {
        let mut order = Order::new(10, 5, Some(7)).unwrap();
        let epoch = |order: &mut Order, epoch: usize| -> Vec<usize> {
            (0..2)
                .flat_map(|batch| order.rows(2 * epoch + batch).to_vec())
                .collect()
        };
        let (first, second) = (epoch(&mut order, 0), epoch(&mut order, 1));
        for rows in [&first, &second] {
            let mut sorted = rows.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
        // Backwards and from a fresh start alike.
        assert_eq!(epoch(&mut order, 0), first);
        assert_eq!(epoch(&mut Order::new(10, 5, Some(7)).unwrap(), 1), second);
    }

    #[test]
    fn without_a_seed_the_order_is_fixed_and_a_rest_is_left_out() {
        let mut order = Order::new(7, 3, None).unwrap();
        assert_eq!(order.steps_per_epoch(), 2);
        assert_eq!(order.rows(1), [3, 4, 5]);
        assert_eq!(order.rows(2), [0, 1, 2]);
    }

    #[test]
    fn a_batch_larger_than_the_data_is_refused() {
        assert!(Order::new(3, 4, None).is_err());
        assert!(Order::new(3, 0, None).is_err());
    }
}
