//! A small dense layer at work in place, on parameters that its owner lends out.

use burn::module::Module;

use crate::host;
use crate::host::dense::Layer;
use crate::optimizer::Lent;
use crate::section::Dense;
use crate::synthesizer::LinearSynthesizer;
use crate::trained::{AnyTrained, Trained};

/// What is a dense layer and nothing else.
pub(super) trait IsDense: Module + 'static {
    fn dense(&self) -> &Dense;
    fn into_dense(self) -> Dense;
    fn from_dense(dense: Dense) -> Self;
}

impl IsDense for Dense {
    fn dense(&self) -> &Dense {
        self
    }

    fn into_dense(self) -> Dense {
        self
    }

    fn from_dense(dense: Dense) -> Self {
        dense
    }
}

impl IsDense for LinearSynthesizer {
    fn dense(&self) -> &Dense {
        &self.map
    }

    fn into_dense(self) -> Dense {
        self.map
    }

    fn from_dense(map: Dense) -> Self {
        Self { map }
    }
}

/// A dense layer with its parameters lent out; when this is dropped they go back.
pub(super) struct Small<'a, M: IsDense> {
    owner: &'a mut Trained<M>,
    pub layer: Layer,
    /// None only while it is dropped.
    weight: Option<Lent<2>>,
    bias: Option<Lent<1>>,
}

impl<'a, M: IsDense> Small<'a, M> {
    /// None if the layer is not small, has a norm, lies elsewhere or cannot be lent for `learns`.
    pub fn of(owner: &'a mut Trained<M>, batch: usize, learns: bool) -> Option<Self> {
        let dense = owner.module().dense();
        let layer = dense.layer(batch);
        let parameters = 1 + usize::from(dense.bias.is_some());
        let fits = dense.norm.is_none()
            && layer.is_small()
            && owner.home().is_some_and(host::suits)
            // More of them are a low-rank adapter of burn's.
            && owner.learns().len() == parameters
            && (!learns || owner.lends());
        if !fits {
            return None;
        }
        let (module, optimizer, learning) = owner.take();
        let (weight, bias) = module.into_dense().into_parameters();
        let weight = Some(optimizer.lend(0, weight, learns && learning[0]));
        let bias = bias.map(|bias| optimizer.lend(1, bias, learns && learning[1]));
        Some(Self {
            owner,
            layer,
            weight,
            bias,
        })
    }

    fn weight(&self) -> &Lent<2> {
        self.weight
            .as_ref()
            .expect("it goes back when this is dropped")
    }

    /// `a(x W + b)`, of features in parts.
    pub fn forward(&self, x: &[&[f32]]) -> Vec<f32> {
        let bias = self.bias.as_ref().map(Lent::as_slice);
        self.layer.forward(x, self.weight().as_slice(), bias)
    }

    /// `dz W^T`
    pub fn input_gradient(&self, dz: &[f32]) -> Vec<f32> {
        self.layer.input_gradient(self.weight().as_slice(), dz)
    }

    /// One update with the gradients `x^T dz` and the sum of `dz`.
    pub fn update(&mut self, x: &[&[f32]], dz: &[f32]) {
        let layer = self.layer;
        if let Some(weight) = &mut self.weight {
            weight.learn(|out, keep| layer.keep_weight_gradient(x, dz, out, keep));
        }
        if let Some(bias) = &mut self.bias {
            bias.learn(|out, keep| layer.keep_bias_gradient(dz, out, keep));
        }
    }
}

impl<M: IsDense> Drop for Small<'_, M> {
    fn drop(&mut self) {
        let Some(weight) = self.weight.take() else {
            return;
        };
        let bias = self.bias.take();
        let activation = self.layer.activation;
        self.owner.put_back(|optimizer| {
            let weight = optimizer.take_back(0, weight);
            let bias = bias.map(|bias| optimizer.take_back(1, bias));
            M::from_dense(Dense::from_parameters(weight, bias, activation))
        });
    }
}
