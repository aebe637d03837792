//! What a network learns from in one step.

use std::ops::Range;

use burn::tensor::{Bool, Device, Int, Tensor};

use crate::host;
use crate::pass::{Input, plain};
use crate::place::{carry, carry_integers};

/// What a network sees, or should answer: numbers, or integers such as tokens and classes.
///
/// In a batch an example is a row. Networks through time, such as [`Recurrent`](crate::Recurrent), have
/// `Data<3>`: a matrix or a row of integers for each step.
#[derive(Debug, Clone)]
pub enum Data<const D: usize = 2> {
    /// `[batch, features]`; through time `[steps, batch, features]`.
    Numbers(Tensor<D>),
    /// `[batch, items]`; through time `[steps, batch]`.
    Integers(Tensor<2, Int>),
}

/// Integers `[rows, 1]`, each from 0 to below `count`. In host memory any other one is refused, with the
/// message that `refusal` makes of it. On other devices, where checking would mean waiting, the wrong
/// ones are clamped, and the second result marks them.
pub(crate) fn bounded(
    integers: Tensor<2, Int>,
    count: usize,
    refusal: impl Fn(i64) -> String,
) -> (Tensor<2, Int>, Option<Tensor<2, Bool>>) {
    let most = count as i64 - 1;
    if host::suits(&integers.device()) {
        let values = integers.clone().inner().into_data();
        let other = values.iter::<i64>().find(|i| !(0..=most).contains(i));
        assert!(other.is_none(), "{}", refusal(other.unwrap_or_default()));
        return (integers, None);
    }
    let others = integers.clone().lower_elem(0);
    let others = others.bool_or(integers.clone().greater_elem(most));
    (integers.clamp(0, most), Some(others))
}

impl<const D: usize> Data<D> {
    /// The numbers, if it has some.
    pub fn numbers(&self) -> Option<&Tensor<D>> {
        match self {
            Self::Numbers(numbers) => Some(numbers),
            Self::Integers(_) => None,
        }
    }

    /// Where it lies.
    pub fn device(&self) -> Device {
        match self {
            Self::Numbers(numbers) => numbers.device(),
            Self::Integers(integers) => integers.device(),
        }
    }

    /// The same values without a tape, numbers in 32-bit floats.
    pub(crate) fn off_tape(self) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(plain(numbers)),
            Self::Integers(integers) => Self::Integers(integers.inner()),
        }
    }

    /// The same on a tape, to which nothing of it adds: what is computed with it may need one.
    pub(crate) fn on_tape(self) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(numbers.inner().autodiff()),
            Self::Integers(integers) => Self::Integers(integers.inner().autodiff()),
        }
    }
}

impl Data {
    /// How many examples there are.
    pub fn examples(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.dims()[0],
            Self::Integers(integers) => integers.dims()[0],
        }
    }

    /// All integers one below the other, `[rows, 1]`: one for each row of an output.
    ///
    /// # Panics
    ///
    /// If there are not `rows` of them.
    pub(crate) fn column(integers: Tensor<2, Int>, rows: usize) -> Tensor<2, Int> {
        let [batch, items] = integers.dims();
        assert!(
            batch * items == rows,
            "an output of {rows} rows needs as many classes, not {batch} times {items}"
        );
        integers.reshape([rows, 1])
    }

    /// The same on a device.
    pub(crate) fn on(self, device: &Device) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(carry(numbers, device)),
            Self::Integers(integers) => Self::Integers(carry_integers(integers, device)),
        }
    }

    fn rows(&self, rows: Range<usize>) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(numbers.clone().slice(rows)),
            Self::Integers(integers) => Self::Integers(integers.clone().slice(rows)),
        }
    }
}

impl Data<3> {
    /// `[steps, batch]`
    pub fn steps(&self) -> [usize; 2] {
        match self {
            Self::Numbers(numbers) => {
                let [steps, batch, _] = numbers.dims();
                [steps, batch]
            }
            Self::Integers(integers) => integers.dims(),
        }
    }

    /// That of step `t`: numbers `[batch, features]`, or integers `[batch, 1]`.
    pub fn step(&self, t: usize) -> Data {
        self.narrow(t, 1).into_rows()
    }

    /// That of so many steps.
    pub(crate) fn narrow(&self, from: usize, steps: usize) -> Self {
        match self {
            Self::Numbers(numbers) => Self::Numbers(numbers.clone().narrow(0, from, steps)),
            Self::Integers(integers) => Self::Integers(integers.clone().narrow(0, from, steps)),
        }
    }

    /// All steps one below the other: numbers `[steps * batch, features]`, or integers
    /// `[steps * batch, 1]`.
    pub(crate) fn into_rows(self) -> Data {
        let [steps, batch] = self.steps();
        match self {
            Self::Numbers(numbers) => {
                let [_, _, features] = numbers.dims();
                Data::Numbers(numbers.reshape([steps * batch, features]))
            }
            Self::Integers(integers) => Data::Integers(integers.reshape([steps * batch, 1])),
        }
    }
}

impl<const D: usize> From<Tensor<D>> for Data<D> {
    fn from(numbers: Tensor<D>) -> Self {
        Self::Numbers(numbers)
    }
}

impl<const D: usize> From<Tensor<2, Int>> for Data<D> {
    fn from(integers: Tensor<2, Int>) -> Self {
        Self::Integers(integers)
    }
}

/// One integer for each example, such as its class.
impl From<Tensor<1, Int>> for Data {
    fn from(integers: Tensor<1, Int>) -> Self {
        Self::Integers(integers.unsqueeze_dim(1))
    }
}

impl From<Data> for Input {
    fn from(data: Data) -> Self {
        match data {
            Data::Numbers(numbers) => Self::Data(numbers),
            Data::Integers(integers) => Self::Tokens(integers),
        }
    }
}

/// One batch: what the network sees, what it should answer, and what only synthesizers may know.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use dni::Batch;
///
/// let device = Device::flex();
/// // Two texts of three tokens, each of which is followed by another one.
/// let tokens = Tensor::<2, Int>::from_ints([[5, 1, 4], [2, 2, 0]], &device);
/// let next = Tensor::<2, Int>::from_ints([[1, 4, 3], [2, 0, 0]], &device);
/// let weights = Tensor::<2>::from_floats([[1., 1., 1.], [1., 1., 0.]], &device); // it has ended
/// let batch = Batch::new(tokens, next).with_weights(weights);
/// assert!(batch.context.is_none());
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[batch, inputs]`, or tokens, `[batch, items]`.
    pub input: Data,
    /// What the [loss](crate::LossFunction) wants: `[batch, outputs]`, or the class of every row of
    /// the output.
    pub target: Data,
    /// What the loss of every row of the output counts, `[batch, items]`, zero where nothing is
    /// asked for; none if all count alike.
    pub weights: Option<Tensor<2>>,
    /// `[batch, contexts]`, for the synthesizers that take one, a row for each row of a message: in
    /// cDNI the label.
    pub context: Option<Tensor<2>>,
}

impl Batch {
    /// A batch in which all examples count alike, without a context.
    pub fn new(input: impl Into<Data>, target: impl Into<Data>) -> Self {
        Self {
            input: input.into(),
            target: target.into(),
            weights: None,
            context: None,
        }
    }

    /// A batch of which synthesizers see the target, as in cDNI: `[batch, classes]`.
    pub fn labelled(input: impl Into<Data>, label: Tensor<2>) -> Self {
        Self::new(input, label.clone()).with_context(label)
    }

    /// Sets what synthesizers may know, `[batch, contexts]`.
    pub fn with_context(mut self, context: Tensor<2>) -> Self {
        self.context = Some(context);
        self
    }

    /// Sets what the loss of every row of the output counts, `[batch, items]`.
    pub fn with_weights(mut self, weights: Tensor<2>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// The same values without a tape, should the caller's tensors have one.
    pub(crate) fn off_tape(self) -> Self {
        Self {
            input: self.input.off_tape(),
            target: self.target.off_tape(),
            weights: self.weights.map(plain),
            context: self.context.map(plain),
        }
    }

    /// The same on a device, its input only if that `is_seen` there.
    pub(crate) fn on(self, device: &Device, is_seen: bool) -> Self {
        let on_device = |tensor| carry(tensor, device);
        Self {
            input: match is_seen {
                true => self.input.on(device),
                false => self.input,
            },
            target: self.target.on(device),
            weights: self.weights.map(on_device),
            context: self.context.map(on_device),
        }
    }

    /// The batch in so many parts, as even as can be.
    ///
    /// # Panics
    ///
    /// If there are not so many examples.
    pub(crate) fn parts(self, parts: usize) -> Vec<Part> {
        let examples = self.input.examples();
        assert!(
            parts <= examples,
            "a batch of {examples} examples cannot be split into {parts} parts; choose a larger \
             batch or fewer parts"
        );
        if parts == 1 {
            return vec![Part {
                batch: self,
                share: 1.0,
            }];
        }
        let bound = |part| part * examples / parts;
        let bounds = (0..parts).map(|part| bound(part)..bound(part + 1));
        bounds
            .map(|rows| Part {
                share: rows.len() as f64 / examples as f64,
                batch: self.rows(rows, examples),
            })
            .collect()
    }

    /// Some of `examples` examples. What has several rows for each is taken with all of them.
    fn rows(&self, rows: Range<usize>, examples: usize) -> Self {
        let some = |tensor: &Tensor<2>| {
            let each = tensor.dims()[0] / examples;
            tensor.clone().slice(rows.start * each..rows.end * each)
        };
        let each = self.target.examples() / examples;
        Self {
            input: self.input.rows(rows.clone()),
            target: self.target.rows(rows.start * each..rows.end * each),
            weights: self.weights.as_ref().map(some),
            context: self.context.as_ref().map(some),
        }
    }
}

/// Some of the examples of a batch.
pub(crate) struct Part {
    pub batch: Batch,
    /// How many of its examples these are, from 0 to 1.
    pub share: f64,
}

impl Part {
    /// A mean over these examples as a part of that over the batch.
    pub fn weigh<const D: usize>(&self, mean: Tensor<D>) -> Tensor<D> {
        match self.share {
            1.0 => mean,
            share => mean.mul_scalar(share),
        }
    }
}
