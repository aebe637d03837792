//! Gradients of several updates that are taken as one.

use burn::optim::{StateSink, StateSource};
use burn::tensor::{Device, Tensor};

/// The gradients of some updates, added up until there are enough of them.
#[derive(Debug, Clone)]
pub(super) struct Accumulation {
    /// How many updates make one.
    every: usize,
    /// How many of them have been.
    taken: usize,
    /// The sum for each parameter, flat; none if there was no gradient yet.
    sums: Vec<Option<Tensor<1>>>,
}

impl Accumulation {
    /// # Panics
    ///
    /// If `every` is zero.
    pub fn new(every: usize) -> Self {
        assert!(
            every > 0,
            "gradients are accumulated over at least one update"
        );
        Self {
            every,
            taken: 0,
            sums: Vec::new(),
        }
    }

    /// Begins an update.
    pub fn begin(&mut self) {
        self.taken = self.taken % self.every + 1;
    }

    /// Takes in the gradient of a parameter; what is to be stepped by, if there are enough.
    pub fn take_in<const D: usize>(
        &mut self,
        index: usize,
        gradient: Option<Tensor<D>>,
        dims: [usize; D],
    ) -> Option<Tensor<D>> {
        if self.sums.len() <= index {
            self.sums.resize_with(index + 1, || None);
        }
        let numbers = dims.iter().product::<usize>();
        let gradient = gradient.map(|gradient| gradient.reshape([numbers]));
        let sum = match (self.sums[index].take(), gradient) {
            (Some(sum), Some(gradient)) => Some(sum + gradient),
            (sum, gradient) => sum.or(gradient),
        };
        if self.taken < self.every {
            self.sums[index] = sum;
            return None;
        }
        sum.map(|sum| sum.div_scalar(self.every as f64).reshape(dims))
    }

    /// Forgets all gradients.
    pub fn clear(&mut self) {
        *self = Self::new(self.every);
    }

    pub fn save(&self, prefix: &str, sink: &mut StateSink) {
        sink.push_scalar(prefix, TAKEN, (self.taken as u64).into());
        for (index, sum) in self.sums.iter().enumerate() {
            if let Some(sum) = sum {
                sink.push_tensor(&format!("{prefix}.{index}"), SUM, sum.to_data());
            }
        }
    }

    /// Reads back what [`save`](Self::save) wrote for so many parameters; none if it is not there.
    pub fn load(
        &mut self,
        prefix: &str,
        parameters: usize,
        source: &mut StateSource,
        device: &Device,
    ) -> Option<()> {
        let taken = source.take_scalar(prefix, TAKEN)?;
        self.taken = usize::try_from(taken).ok()?;
        self.sums = (0..parameters)
            .map(|index| {
                let sum = source.take_tensor(&format!("{prefix}.{index}"), SUM)?;
                Some(Tensor::from_data(sum, device))
            })
            .collect();
        Some(())
    }
}

const TAKEN: &str = "accumulated";
const SUM: &str = "sum";
