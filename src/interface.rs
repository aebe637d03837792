//! The interface between two sections: it predicts gradients, and learns from those that arrive.

use std::any::Any;
use std::fmt;

use burn::optim::{StateSink, StateSource};
use burn::tensor::{Device, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

use crate::batch::Data;
use crate::cores::View;
use crate::error::Result;
#[cfg(feature = "wgpu")]
use crate::gpu::{self, Buffer, regression};
use crate::loss::Reduction;
use crate::optimizer::Optimizer;
use crate::pass::{Pass, beside};
use crate::synthesizer::Synthesizer;
use crate::trained::{AnyTrained, Trained};
use crate::unlock::{GuessedMessage, InputModel};

/// The unit of a synthesizer's predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetScale {
    /// The gradient of one example's own loss, whatever the batch size. Synthesizers learn it much
    /// better: the gradient of a mean loss is smaller by a factor of the batch size, which an
    /// optimizer with normalised steps, such as Adam, matches less precisely.
    #[default]
    PerExample,
    /// The gradient of the reduced loss, as other implementations do.
    Loss,
}

/// The terms under which a synthesizer was trained. Under other terms its predictions are wrong, so
/// a checkpoint keeps them and refuses a mismatch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// Features of the message.
    pub features: usize,
    /// Features of the context, zero for none.
    pub contexts: usize,
    /// The unit of the predictions.
    pub scale: TargetScale,
    /// The reduction of the loss.
    pub reduction: Reduction,
    /// Whether the section above trains on synthetic inputs.
    pub synthetic_inputs: bool,
    /// How a recurrent network uses the interface; none in a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub future: Option<FutureTerms>,
}

/// How the synthetic gradient at the end of a window is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FutureTerms {
    /// The factor of the synthetic gradient where the core learns from it.
    pub scale: f64,
    /// Whether the factor also applies in the synthesizer's targets.
    pub scales_targets: bool,
    /// Whether there is an auxiliary task.
    pub auxiliary: bool,
}

impl fmt::Display for FutureTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "as a future of scale {}", self.scale)?;
        if self.scales_targets {
            f.write_str(" in its targets, too")?;
        }
        if self.auxiliary {
            f.write_str(", with the auxiliary task")?;
        }
        Ok(())
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} features with {} of context, predicting {}{} under a {} loss",
            self.features,
            self.contexts,
            match self.scale {
                TargetScale::PerExample => "gradients per example",
                TargetScale::Loss => "gradients of the loss",
            },
            if self.synthetic_inputs {
                " and messages"
            } else {
                ""
            },
            match self.reduction {
                Reduction::Mean => "mean",
                Reduction::Sum => "summed",
            }
        )?;
        match &self.future {
            Some(future) => write!(f, ", {future}"),
            None => Ok(()),
        }
    }
}

/// A prediction of the gradient at one message, kept until the true gradient arrives, with
/// everything that is needed to repeat it.
pub struct Prediction {
    pass: Pass,
    /// One unit of the synthesizer in units of the reduced loss, if they differ.
    unit: Option<f64>,
    view: View,
    context: Option<Tensor<2>>,
    /// The [`Interface::age`] of the synthesizer that made it; none if it is to be made anew.
    age: Option<u64>,
}

impl Prediction {
    /// The synthetic gradient `delta_hat`, `[batch, features]`, in units of the reduced loss.
    pub fn delta_hat(&self) -> Tensor<2> {
        let output = self.pass.output.clone();
        match self.unit {
            Some(unit) => output.mul_scalar(unit),
            None => output,
        }
    }

    /// The same for another message, `[batch, features]`, to be learned from only: it is made when
    /// the target has come.
    pub(crate) fn at(mut self, message: Tensor<2>) -> Self {
        (self.view.message, self.age) = (message, None);
        self
    }
}

/// The place between two sections. It owns the synthesizer and the optimizer that trains it.
pub struct Interface {
    synthesizer: Box<dyn AnySynthesizer>,
    scale: TargetScale,
    reduction: Reduction,
    input_model: Option<InputModel>,
    /// How often the synthesizer has learned.
    age: u64,
}

impl Interface {
    /// An interface whose synthesizer learns with `optimizer`.
    ///
    /// Without a context, a synthesizer should learn three to ten times faster than the sections:
    /// its target moves as they learn.
    ///
    /// # Panics
    ///
    /// If the synthesizer [takes steps of its own](Synthesizer::takes_own_steps) and the optimizer is
    /// not plain descent.
    pub fn new(synthesizer: impl Synthesizer, optimizer: Optimizer) -> Self {
        assert!(
            !synthesizer.takes_own_steps() || optimizer.is_plain_descent(),
            "this synthesizer takes Newton steps, which {optimizer:?} would rescale; give it \
             Optimizer::sgd, whose learning rate is the share of the error that is corrected"
        );
        Self {
            synthesizer: Box::new(Trained::new(synthesizer, optimizer)),
            scale: TargetScale::default(),
            reduction: Reduction::default(),
            input_model: None,
            age: 0,
        }
    }

    /// Gives the section above synthetic inputs while it trains by synthetic credit, so that it
    /// does not wait for those below: complete unlock. In a
    /// [warm-up](crate::ChainSchedule::warm_up) the model learns but is not used; under other
    /// credits it does neither.
    pub fn with_input_model(mut self, model: InputModel) -> Self {
        self.input_model = Some(model);
        self
    }

    /// Sets the unit of the synthesizer's predictions.
    pub fn with_scale(mut self, scale: TargetScale) -> Self {
        self.scale = scale;
        self
    }

    /// Sets the reduction of the loss whose gradients arrive here.
    pub(crate) fn set_reduction(&mut self, reduction: Reduction) {
        self.reduction = reduction;
    }

    /// The terms of this interface.
    pub fn contract(&self) -> Contract {
        Contract {
            features: self.synthesizer.features(),
            contexts: self.synthesizer.contexts(),
            scale: self.scale,
            reduction: self.reduction,
            synthetic_inputs: self.guesses(),
            future: None,
        }
    }

    /// `delta_hat = M(h, c)`: message `[batch, features]`, context `[batch, contexts]`.
    ///
    /// A context is ignored if the synthesizer takes none.
    ///
    /// # Panics
    ///
    /// If the synthesizer takes a context and there is none, or a shape is wrong.
    pub fn predict(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Prediction {
        let view = View {
            message,
            slope: None,
        };
        self.predict_view(view, context)
    }

    /// `delta_hat = slope M(message, c)`, elementwise.
    pub(crate) fn predict_view(&self, view: View, context: Option<Tensor<2>>) -> Prediction {
        let [batch, _] = view.message.dims();
        let features = self.synthesizer.features();
        let message = view.message.clone();
        assert_shape!(message, [batch, features]);
        let context = context.filter(|_| self.synthesizer.contexts() > 0);
        let pass = self.synthesizer.pass(message, context.clone());
        assert_shape!(pass.output, [batch, features]);
        Prediction {
            pass: match &view.slope {
                Some(slope) => pass.scaled(slope.clone()),
                None => pass,
            },
            unit: self.unit(batch),
            view,
            context,
            age: Some(self.age),
        }
    }

    /// Regresses the prediction to the gradient `delta` that arrived, `[batch, features]`: one
    /// optimizer step on `1/2 |delta_hat - delta|^2`, summed over features and reduced over the
    /// batch as the loss is.
    ///
    /// If the synthesizer has learned since the prediction, it predicts again with its current
    /// parameters. Moving them by the error of an old prediction is a feedback with delay, which is
    /// unstable from a delay of one step on.
    ///
    /// Returns the residual `delta_hat - delta`, `[batch, features]`, in the synthesizer's unit.
    ///
    /// The target is a constant: nothing flows through it.
    ///
    /// # Panics
    ///
    /// If the shape of `delta` is not that of the prediction.
    pub fn learn(&mut self, prediction: Prediction, delta: Tensor<2>) -> Tensor<2> {
        let Prediction {
            pass,
            view,
            context,
            age,
            ..
        } = prediction;
        let pass = match age == Some(self.age) {
            true => pass,
            false => self.predict_view(view, context).pass,
        };
        let (residual, gradient) = self.regression(pass.output.clone(), delta);
        self.synthesizer.update(pass.back(gradient).parameters);
        self.age += 1;
        residual
    }

    /// What `output`, in the synthesizer's unit, is off a gradient `delta` of the reduced loss:
    /// `[batch, features]`, in the synthesizer's unit.
    pub(crate) fn residual(&self, output: Tensor<2>, delta: Tensor<2>) -> Tensor<2> {
        let [batch, features] = output.dims();
        assert_shape!(delta, [batch, features]);
        let delta = beside(delta, &output);
        let target = match self.unit(batch) {
            Some(unit) => delta.mul_scalar(unit.recip()),
            None => delta,
        };
        output - target
    }

    /// The [residual](Self::residual), and the gradient at `output` of the loss that the synthesizer
    /// learns by.
    pub(crate) fn regression(&self, output: Tensor<2>, delta: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        #[cfg(feature = "wgpu")]
        if gpu::suits(&output) {
            let [batch, features] = output.dims();
            assert_shape!(delta, [batch, features]);
            let delta = beside(delta, &output);
            let scale = self.unit(batch).map_or(1.0, f64::recip) as f32;
            let weight = self.reduction.weight(batch) as f32;
            let [output, delta] = [output, delta].map(Buffer::of);
            let [residual, gradient] = regression::regress(&output, &delta, scale, weight);
            return (residual.into_tensor(), gradient.into_tensor());
        }
        let residual = self.residual(output, delta);
        let gradient = self.reduction.apply(residual.clone());
        (residual, gradient)
    }

    /// Whether there is an input model.
    pub(crate) fn guesses(&self) -> bool {
        self.input_model.is_some()
    }

    /// Takes the input model out, if there is one.
    pub(crate) fn take_input_model(&mut self) -> Option<InputModel> {
        self.input_model.take()
    }

    /// Puts the input model back.
    pub(crate) fn put_input_model(&mut self, model: InputModel) {
        self.input_model = Some(model);
    }

    /// The message above here as the input model guesses it from the network's input, if there is
    /// one.
    pub(crate) fn guess(&self, input: &Data) -> Option<GuessedMessage> {
        let model = self.input_model.as_ref()?;
        Some(model.guess(input))
    }

    /// Regresses a guess to the message that came.
    ///
    /// # Panics
    ///
    /// If there is no input model.
    pub(crate) fn learn_input(&mut self, guess: GuessedMessage, message: Tensor<2>) -> Tensor<2> {
        let model = self.input_model.as_mut();
        let model = model.expect("a guess comes from an input model");
        model.learn(guess, message, self.reduction)
    }

    /// The synthesizer with its optimizer, a [`Trained`] of its type, to learn or not.
    pub(crate) fn synthesizer(&mut self) -> &mut dyn Any {
        self.age += 1;
        self.synthesizer.as_any_mut()
    }

    /// One unit of the synthesizer in units of the reduced loss, if they differ.
    pub(crate) fn unit(&self, batch: usize) -> Option<f64> {
        match (self.scale, self.reduction) {
            (TargetScale::PerExample, Reduction::Mean) => Some(self.reduction.weight(batch)),
            (TargetScale::PerExample, Reduction::Sum) | (TargetScale::Loss, _) => None,
        }
    }

    /// Changes the learning rate of the synthesizer from its next update on.
    ///
    /// # Panics
    ///
    /// If it is negative or not finite.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.synthesizer.set_learning_rate(learning_rate);
    }

    /// Multiplies the learning rates of the synthesizer and the input model by `factor`, which
    /// replaces the factor before.
    pub(crate) fn set_rate_factor(&mut self, factor: f64) {
        self.synthesizer.set_rate_factor(factor);
        if let Some(model) = &mut self.input_model {
            model.model_mut().set_rate_factor(factor);
        }
    }

    /// Moves the synthesizer to another device.
    ///
    /// # Errors
    ///
    /// If its optimizer's states cannot be moved.
    pub(crate) fn move_to(&mut self, device: &Device) -> Result<()> {
        self.synthesizer.move_to(device)
    }

    /// Moves the input model to another device: that of the section above.
    ///
    /// # Errors
    ///
    /// If its optimizer's states cannot be moved.
    pub(crate) fn move_input_model_to(&mut self, device: &Device) -> Result<()> {
        match &mut self.input_model {
            Some(model) => model.model_mut().move_to(device),
            None => Ok(()),
        }
    }

    /// See [`AnyTrained::sync_statistics`].
    pub(crate) fn sync_statistics(&mut self) {
        self.synthesizer.sync_statistics();
        if let Some(model) = &mut self.input_model {
            model.model_mut().sync_statistics();
        }
    }

    /// Whether all parameters of the synthesizer and the input model are finite.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn is_finite(&self) -> Result<bool> {
        let model = self.input_model.as_ref();
        let model_is_finite = model.map_or(Ok(true), |model| model.model().is_finite())?;
        Ok(self.synthesizer.is_finite()? && model_is_finite)
    }

    pub(crate) fn save(&self, prefix: &str, sink: &mut StateSink) -> Result<()> {
        self.synthesizer.save(prefix, sink)?;
        match &self.input_model {
            Some(model) => model.model().save(&input_model(prefix), sink),
            None => Ok(()),
        }
    }

    pub(crate) fn load(&mut self, prefix: &str, source: &mut StateSource) -> Result<()> {
        self.synthesizer.load(prefix, source)?;
        match &mut self.input_model {
            Some(model) => model.model_mut().load(&input_model(prefix), source),
            None => Ok(()),
        }
    }

    /// A copy for measurements, which leaves this one untouched.
    pub(crate) fn observer(&self) -> Self {
        Self {
            synthesizer: self.synthesizer.observer(),
            input_model: self.input_model.as_ref().map(InputModel::observer),
            ..*self
        }
    }
}

fn input_model(prefix: &str) -> String {
    format!("{prefix}.input_model")
}

impl fmt::Debug for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.contract().fmt(f)
    }
}

/// A synthesizer of any type with its optimizer.
trait AnySynthesizer: AnyTrained {
    fn features(&self) -> usize;
    fn contexts(&self) -> usize;
    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass;
    fn observer(&self) -> Box<dyn AnySynthesizer>;
}

impl<M: Synthesizer> AnySynthesizer for Trained<M> {
    fn features(&self) -> usize {
        self.module().features()
    }

    fn contexts(&self) -> usize {
        self.module().contexts()
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        let message = self.bring(message);
        let context = context.map(|context| beside(context, &message));
        self.module().pass(message, context)
    }

    fn observer(&self) -> Box<dyn AnySynthesizer> {
        Box::new(Trained::observer(self))
    }
}
