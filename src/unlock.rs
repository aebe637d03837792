//! Complete unlock: synthetic inputs, so that a section does not wait for those below either
//! (paper, section 3.3).

use std::fmt;

use burn::tensor::{Tensor, assert_shape};

use crate::batch::Data;
use crate::loss::Reduction;
use crate::optimizer::Optimizer;
use crate::pass::{Input, Pass, beside};
use crate::section::Section;
use crate::trained::{AnySection, Trained};

/// A message guessed from the network's input, kept until the true one arrives, with what it takes
/// to guess anew.
pub(crate) struct GuessedMessage {
    /// `h_hat`, `[batch, features]`.
    pub message: Tensor<2>,
    pass: Pass,
    /// `x`
    input: Data,
    /// How often the model that guessed had learned.
    age: u64,
}

/// The model `I` that guesses the message below a section from the network's input,
/// `h_hat_i = I(x)`. The section trains on the guess; at inference it gets the message.
///
/// Any section type will do that maps the network's input to the message.
pub struct InputModel {
    model: Box<dyn AnySection>,
    /// How often it has learned.
    age: u64,
}

impl InputModel {
    /// An input model that learns with `optimizer`.
    pub fn new(model: impl Section, optimizer: Optimizer) -> Self {
        Self {
            model: Box::new(Trained::new(model, optimizer)),
            age: 0,
        }
    }

    /// `h_hat = I(x)`: the network's input to `[batch, features]`.
    pub(crate) fn guess(&self, input: &Data) -> GuessedMessage {
        let pass = self.model.pass(Input::from(input.clone()));
        GuessedMessage {
            message: pass.output.clone(),
            pass,
            input: input.clone(),
            age: self.age,
        }
    }

    /// Regresses the guess to the message: one optimizer step on `1/2 |h_hat - h|^2`, summed over
    /// features and reduced over the batch as the loss is. Returns the residual `h_hat - h`.
    ///
    /// If the model has learned since, it guesses anew, as an
    /// [interface](crate::Interface::learn) predicts anew.
    pub(crate) fn learn(
        &mut self,
        guess: GuessedMessage,
        message: Tensor<2>,
        reduction: Reduction,
    ) -> Tensor<2> {
        let guess = match guess.age == self.age {
            true => guess,
            false => self.guess(&guess.input),
        };
        let [batch, features] = message.dims();
        assert_shape!(guess.message, [batch, features]);
        let message = beside(message, &guess.message);
        let residual = guess.message - message;
        let gradient = reduction.apply(residual.clone());
        self.model.update(guess.pass.back(gradient).parameters);
        self.age += 1;
        residual
    }

    pub(crate) fn model(&self) -> &dyn AnySection {
        &*self.model
    }

    pub(crate) fn model_mut(&mut self) -> &mut dyn AnySection {
        &mut *self.model
    }

    /// A copy for measurements, which leaves this one untouched.
    pub(crate) fn observer(&self) -> Self {
        Self {
            model: self.model.observer(),
            age: self.age,
        }
    }
}

impl fmt::Debug for InputModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InputModel")
    }
}
