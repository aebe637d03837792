//! How well classes are told apart.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use dni::LossFunction;
use dni::report::Measure;
use serde::Serialize;

use crate::experiment::Column;
use crate::source::Source;

/// Answers, each one class of several, summed up.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many there are.
    pub answers: usize,
    wrong: f64,
    loss: f64,
    /// How often each class was right.
    right: Vec<f32>,
}

impl Tally {
    /// Adds answers, and what would have been right, `[answers, classes]` each.
    pub fn add(&mut self, loss: &dyn LossFunction, outputs: Tensor<2>, targets: Tensor<2>) {
        let [answers, _] = outputs.dims();
        let losses = loss.of_each(outputs.clone(), targets.clone().into());
        self.loss += f64::from(losses.sum().into_scalar::<f32>());
        let of_classes: Vec<f32> = targets
            .clone()
            .sum_dim(0)
            .into_data()
            .try_into_vec()
            .expect("targets are f32");
        self.right.resize(of_classes.len(), 0.0);
        for (sum, of_class) in self.right.iter_mut().zip(of_classes) {
            *sum += of_class;
        }
        let right = outputs.argmax(1).equal(targets.argmax(1)).float().sum();
        self.wrong += answers as f64 - f64::from(right.into_scalar::<f32>());
        self.answers += answers;
    }

    /// The share of answers that are another class.
    pub fn error(&self) -> f64 {
        self.wrong / self.answers as f64
    }

    /// The same share for one who always gives the answer that is right most often.
    pub fn guessing(&self) -> f64 {
        let most = self.right.iter().copied().fold(0.0, f32::max);
        1.0 - f64::from(most) / self.answers as f64
    }

    /// The mean loss.
    pub fn loss(&self) -> f64 {
        self.loss / self.answers as f64
    }
}

/// How well examples are told apart.
#[derive(Debug, Serialize)]
pub struct Measures {
    /// The share of examples that are taken for another class.
    pub error: f64,
    /// The mean loss.
    pub loss: f64,
    /// How many examples were looked at.
    pub examples: usize,
}

impl Measures {
    /// Of so many images, of which `answer` has the outputs and what would have been right for some.
    pub fn of_images(
        count: usize,
        loss: &dyn LossFunction,
        answer: impl Fn(&[usize]) -> (Tensor<2>, Tensor<2>),
    ) -> Self {
        const AT_ONCE: usize = 500;
        let all: Vec<usize> = (0..count).collect();
        let mut tally = Tally::default();
        for some in all.chunks(AT_ONCE) {
            let (outputs, targets) = answer(some);
            tally.add(loss, outputs, targets);
        }
        tally.into()
    }

    /// Error and loss, as they are called of a part of the data.
    pub fn named(&self, part: &str) -> BTreeMap<String, f64> {
        let figures = [("error", self.error), ("loss", self.loss)];
        let named = figures.map(|(name, value)| (format!("{part}_{name}"), value));
        named.into()
    }
}

impl From<Tally> for Measures {
    fn from(tally: Tally) -> Self {
        Self {
            error: tally.error(),
            loss: tally.loss(),
            examples: tally.answers,
        }
    }
}

/// What is measured of a network that tells images apart.
#[derive(Debug, Serialize)]
pub struct Tested {
    /// On all test images.
    pub test: Measures,
}

impl Tested {
    pub fn in_words(&self) -> String {
        format!("test error {:.2} %", 100.0 * self.test.error)
    }

    /// The error as the measure of a run, beside the classes guessed.
    pub fn measure(&self) -> Measure {
        Measure {
            name: "of the test images wrong".to_string(),
            value: self.test.error,
            guessing: Source::GUESSING,
            best: Some(0.0),
            less_is_better: true,
            is_share: true,
        }
    }

    /// Columns of error and loss, in a table of figures that have these among them.
    pub fn columns<F: 'static>(of: fn(&F) -> &Self) -> [Column<F>; 2] {
        [
            Column::percent("test error", move |r| Some(of(&r.figures).test.error)),
            Column::new("test loss", 4, move |r| Some(of(&r.figures).test.loss)),
        ]
    }
}
