//! The least-squares synthesizer: `delta_hat = v V` over few features `v`, by recursive least
//! squares.

use burn::module::{Module, Param, RunningState};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use nalgebra::{Cholesky, DMatrix};
use rand::Rng;

use super::{Synthesizer, checked};
use crate::init::Init;
use crate::loss::{Loss, LossFunction};
use crate::pass::{Input, Pass};
use crate::section::{Dense, DenseConfig, Section};

/// How to build a [`LeastSquaresSynthesizer`].
#[derive(Debug, Clone, PartialEq)]
pub struct LeastSquaresSynthesizerConfig {
    /// Features of the message, and of its gradient.
    pub features: usize,
    /// The number of random projections of the message that it uses; more than the message has
    /// features say nothing new.
    pub rank: usize,
    /// Features of the context. Default: zero, no context.
    pub contexts: usize,
    /// Whether a probe predicts the context from the message, so that the synthesizer sees the
    /// probe's error. The context must be a class, one-hot. Default: no.
    pub probe: bool,
    /// The share of the second moments of its features that is kept from one step to the next,
    /// below one. Default: 0.95.
    pub forgetting: f64,
    /// What is added to the second moment of each feature, as a share of their mean: a ridge that
    /// limits the weight of features that hardly vary. Default: 0.01.
    pub ridge: f64,
}

impl LeastSquaresSynthesizerConfig {
    /// A synthesizer from `rank` random projections of the message, without context.
    pub fn new(features: usize, rank: usize) -> Self {
        Self {
            features,
            rank,
            contexts: 0,
            probe: false,
            forgetting: 0.95,
            ridge: 0.01,
        }
    }

    /// Sets the features of the context.
    pub fn with_contexts(mut self, contexts: usize) -> Self {
        self.contexts = contexts;
        self
    }

    /// Sets whether there is a probe.
    pub fn with_probe(mut self, probe: bool) -> Self {
        self.probe = probe;
        self
    }

    /// Sets the share of the second moments that is kept from one step to the next.
    pub fn with_forgetting(mut self, forgetting: f64) -> Self {
        self.forgetting = forgetting;
        self
    }

    /// Sets the ridge.
    pub fn with_ridge(mut self, ridge: f64) -> Self {
        self.ridge = ridge;
        self
    }

    /// Builds the synthesizer; `rng` draws `U`. The trained parameters are zero at the start.
    ///
    /// # Panics
    ///
    /// If there are no features, the rank is zero, a probe has no context to guess, `forgetting`
    /// is not in `[0, 1)`, or the ridge is not above zero.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> LeastSquaresSynthesizer {
        let Self {
            features,
            rank,
            contexts,
            probe,
            forgetting,
            ridge,
        } = *self;
        assert!(
            !probe || contexts > 0,
            "a probe predicts the context, but there is none"
        );
        assert!(
            (0.0..1.0).contains(&forgetting),
            "forgetting must be at least 0 and below 1, got {forgetting}"
        );
        assert!(
            ridge.is_finite() && ridge > 0.0,
            "the ridge must be above zero, got {ridge}"
        );
        let mut zeros = |inputs, outputs| {
            let config = DenseConfig::new(inputs, outputs).linear().with_bias(false);
            config.with_init(Init::Zeros).init(rng, device)
        };
        let probe = probe.then(|| zeros(rank + 1, contexts));
        let seen = rank + 1 + contexts + probe.as_ref().map_or(0, Dense::outputs);
        let readout = zeros(seen, features);
        LeastSquaresSynthesizer {
            down: DenseConfig::new(features, rank)
                .linear()
                .with_bias(false)
                .init(rng, device),
            probe,
            readout,
            moment: RunningState::new(Tensor::zeros([seen, seen], device)),
            contexts,
            forgetting,
            ridge,
        }
    }
}

/// `delta_hat = v V` with `v = [h U; 1; c]`, or with a probe `v = [h U; 1; p - c; c]` where
/// `p = softmax([h U; 1] A)`.
///
/// Each synthesizer of a chain regresses to the prediction of the one above it, so the lags add up
/// on the way down. By gradient descent a linear synthesizer takes hundreds of steps to follow its
/// target, as its features are correlated; recursive least squares takes a few. `V` moves along
///
/// ```text
/// (S + ridge mean(diag S) I)^-1  v^T (delta_hat - delta) / batch
/// ```
///
/// where `S` is the exponentially weighted mean of `v^T v / batch`. [`pass`](Synthesizer::pass)
/// gives this direction as the gradient of `V`, so the optimizer must be
/// [plain descent](crate::Optimizer::sgd) ([`Interface::new`](crate::Interface::new) refuses any
/// other), and the learning rate is the share of the error that is corrected in a step: 0.2 or 0.1,
/// at most one. (With a [summed](crate::Reduction::Sum) loss, divide it by the batch size.) `U` is
/// random and does not learn.
///
/// The *probe*, a linear classifier on the synthesizer's features (Alain and Bengio,
/// arXiv:1610.01644), is for losses that are the cross-entropy of a class. There the gradient at
/// the output is `p - c`, and the gradients below are mostly linear in it, but not in `h`: they
/// vanish where the class is clear. The probe learns `c` with the same second moments.
#[derive(Module, Debug)]
pub struct LeastSquaresSynthesizer {
    /// `U`, from the message to `rank` values. It does not learn.
    pub down: Dense,
    /// `A`, from these values and a one to the logits of the context.
    pub probe: Option<Dense>,
    /// `V`, from `v` to `delta_hat`.
    pub readout: Dense,
    /// `S` times the share of it that has been seen, `1 - forgetting^steps`.
    moment: RunningState<Tensor<2>>,
    contexts: usize,
    forgetting: f64,
    ridge: f64,
}

/// What the synthesizer sees of a batch.
struct Seen {
    /// `[h U; 1]`, `[batch, rank + 1]`.
    values: Tensor<2>,
    /// `p - c`, `[batch, contexts]`.
    surprise: Option<Tensor<2>>,
    /// `v`.
    all: Tensor<2>,
}

impl LeastSquaresSynthesizer {
    fn see(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Seen {
        let context = checked(context, self.contexts);
        let one = Tensor::ones([message.dims()[0], 1], &message.device());
        let values = Tensor::cat(vec![self.down.forward(message), one], 1);
        let surprise = self.probe.as_ref().zip(context.as_ref());
        let surprise = surprise.map(|(probe, context)| {
            let answer = probe.forward(values.clone());
            Loss::CrossEntropy.gradient_of_each(answer, context.clone().into())
        });
        let mut all = vec![values.clone()];
        all.extend(surprise.clone());
        all.extend(context);
        Seen {
            values,
            surprise,
            all: Tensor::cat(all, 1),
        }
    }

    /// Takes the features of a batch into the second moments, of which it returns the new ones.
    fn observe(&self, seen: Tensor<2>) -> Tensor<2> {
        let share = (1.0 - self.forgetting) / seen.dims()[0] as f64;
        let of_batch = seen.clone().transpose().matmul(seen) * share;
        let moment = self.moment.value_sync() * self.forgetting + of_batch;
        self.moment.update(moment.clone());
        moment
    }

    /// `(S + ridge mean(diag S) I)^-1` of the first `features` features.
    fn inverse(&self, moment: &DMatrix<f64>, features: usize) -> DMatrix<f64> {
        // The second moment of the one is the share of `S` that has been seen.
        let rank = self.down.outputs();
        let share = moment[(rank, rank)];
        let mut matrix = moment.view((0, 0), (features, features)) / share;
        let ridge = self.ridge * moment.trace() / (share * moment.nrows() as f64);
        for i in 0..features {
            matrix[(i, i)] += ridge;
        }
        // Above a ridge only what is not finite has no inverse: so is what comes out.
        Cholesky::new(matrix).map_or_else(
            || DMatrix::from_element(features, features, f64::NAN),
            |factor| factor.inverse(),
        )
    }
}

/// A symmetric matrix on the host.
fn on_host(matrix: Tensor<2>) -> DMatrix<f64> {
    let [rows, columns] = matrix.dims();
    DMatrix::from_iterator(rows, columns, matrix.into_data().iter::<f64>())
}

/// A symmetric matrix on a device.
fn on_device(matrix: DMatrix<f64>, device: &Device) -> Tensor<2> {
    let shape = [matrix.nrows(), matrix.ncols()];
    let values: Vec<f32> = matrix.iter().map(|&value| value as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

impl Synthesizer for LeastSquaresSynthesizer {
    fn forward(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        self.readout.forward(self.see(message, context).all)
    }

    fn features(&self) -> usize {
        self.readout.outputs()
    }

    fn contexts(&self) -> usize {
        self.contexts
    }

    fn takes_own_steps(&self) -> bool {
        true
    }

    /// What it gives as gradients are the directions of least squares.
    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        let Seen {
            values,
            surprise,
            all,
        } = self.see(message, context);
        let readout = self.readout.pass(Input::Data(all.clone()));
        let synthesizer = self.clone();
        Pass::new(readout.output.clone(), move |delta, parameters| {
            let device = all.device();
            let moment = on_host(synthesizer.observe(all));
            let mut descend = |weight: &Param<Tensor<2>>, mut gradients: GradientsParams| {
                let inverse = synthesizer.inverse(&moment, weight.dims()[0]);
                let gradient = gradients.remove::<2>(weight.id);
                let gradient = gradient.expect("a pass gives the gradient of its weight");
                let direction = on_device(inverse, &device).matmul(gradient);
                parameters.register(weight.id, direction);
            };
            let gradients = readout.back(delta).parameters;
            descend(&synthesizer.readout.weight, gradients);
            if let Some((probe, surprise)) = synthesizer.probe.as_ref().zip(surprise) {
                let batch = values.dims()[0] as f64;
                let pass = probe.pass(Input::Data(values));
                let gradients = pass.back(surprise / batch).parameters;
                descend(&probe.weight, gradients);
            }
            None
        })
    }
}
