//! The dense section: `h = a(norm(x W + b))`.

use burn::module::{Module, Param, ParamId};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, assert_shape};
use rand::Rng;

use super::finish::{Finish, check_norm, rests};
use super::{Activation, Section};
use crate::host::dense::Layer;
use crate::host::product::{Matrix, accumulate, product};
use crate::host::{self, Values, sparse};
use crate::init::Init;
use crate::pass::{Input, Pass};

/// How to build a [`Dense`] section.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseConfig {
    /// Features of the input message.
    pub inputs: usize,
    /// Features of the output message.
    pub outputs: usize,
    /// The activation. Default: relu.
    pub activation: Activation,
    /// Whether there is a bias. Default: yes. With batch norm there is none, as the norm has its
    /// own shift.
    pub bias: bool,
    /// Whether batch norm stands before the activation, as in the paper's networks. It learns from
    /// batches of two examples or more. Default: no.
    pub batch_norm: bool,
    /// The initial values. Default: [`Init::FanIn`].
    pub init: Init,
}

impl DenseConfig {
    /// A relu layer from `inputs` to `outputs` features.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            activation: Activation::default(),
            bias: true,
            batch_norm: false,
            init: Init::default(),
        }
    }

    /// Sets the activation.
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// No activation: for the last section of a network, which outputs logits.
    pub fn linear(self) -> Self {
        self.with_activation(Activation::Identity)
    }

    /// Sets whether there is a bias.
    pub fn with_bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Sets whether there is batch norm.
    pub fn with_batch_norm(mut self, batch_norm: bool) -> Self {
        self.batch_norm = batch_norm;
        self
    }

    /// Sets the distribution of the initial values.
    pub fn with_init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Builds the section; `rng` draws the initial values.
    ///
    /// # Panics
    ///
    /// If a size is zero.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> Dense {
        let (weight, bias) = self.init.linear(self.inputs, self.outputs, rng, device);
        Dense {
            weight,
            bias: (self.bias && !self.batch_norm).then_some(bias),
            norm: self
                .batch_norm
                .then(|| BatchNormConfig::new(self.outputs).init(device)),
            activation: self.activation,
        }
    }
}

/// A dense layer: `h = a(x W + b)`, or `h = a(norm(x W))` with batch norm.
#[derive(Module, Debug)]
pub struct Dense {
    /// `W`, `[inputs, outputs]`.
    pub weight: Param<Tensor<2>>,
    /// `b`, `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The norm before the activation.
    pub norm: Option<BatchNorm>,
    #[module(skip)]
    pub(super) activation: Activation,
}

impl Section for Dense {
    /// # Panics
    ///
    /// If the input does not have the features that the section was built for, or batch norm would
    /// learn from a single example.
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let inputs = self.inputs();
        assert_shape!(input, [_, inputs]);
        if input.device().is_autodiff() && self.norm.as_ref().is_some_and(|norm| !rests(norm)) {
            check_norm(input.dims()[0]);
        }
        let z = affine(input, self.weight.val(), self.bias.as_ref().map(Param::val));
        let z = match &self.norm {
            Some(norm) => norm.forward(z),
            None => z,
        };
        self.activation.forward(z)
    }

    /// The local gradient is three products, `x^T dz`, `dz W^T` and the sum of `dz`, where
    /// `dz = delta * a'(z)`, or what batch norm makes of it. Taken directly they cost a third of
    /// the tape.
    fn pass(&self, input: Input) -> Pass {
        #[cfg(feature = "wgpu")]
        if let Some(pass) = self.gpu_pass(&input) {
            return pass;
        }
        let on_host = host::suits(&input.device());
        if self
            .norm
            .as_ref()
            .is_some_and(|norm| !on_host || rests(norm))
        {
            return Pass::on_tape(self, input, Self::forward);
        }
        let (input, wants_input) = input.into_parts();
        let [batch, inputs] = [input.dims()[0], self.inputs()];
        assert_shape!(input, [batch, inputs]);
        let layer = self.layer(batch);
        if !on_host {
            self.tensor_pass(input, wants_input)
        } else if self.norm.is_none() && layer.is_small() {
            self.small_pass(layer, input, wants_input)
        } else {
            self.host_pass(vec![input], wants_input)
        }
    }
}

impl Dense {
    /// In tensor operations, on any device.
    fn tensor_pass(&self, input: Tensor<2>, wants_input: bool) -> Pass {
        let weight = self.weight.val().inner();
        let bias = self.bias.as_ref().map(|bias| bias.val().inner());
        let bias_id = self.bias.as_ref().map(|bias| bias.id);
        let weight_id = self.weight.id;
        let (activation, outputs) = (self.activation, self.outputs());

        let z = affine(input.clone(), weight.clone(), bias);
        let h = activation.forward(z);
        Pass::new(h.clone(), move |delta, parameters| {
            let dz = activation.backward(h, delta);
            if let Some(id) = bias_id {
                parameters.register(id, dz.clone().sum_dim(0).reshape([outputs]));
            }
            parameters.register(weight_id, input.transpose().matmul(dz.clone()));
            wants_input.then(|| dz.matmul(weight.transpose()))
        })
    }

    /// A pass with a context beside the input, as if they were one, `[batch, features + contexts]`.
    /// Of a message, the gradient comes back; of the context, none does.
    pub(crate) fn pass_with_context(&self, input: Input, context: Tensor<2>) -> Pass {
        let (input, wants_input) = input.into_parts();
        let [batch, contexts] = context.dims();
        let features = self.inputs() - contexts;
        assert_shape!(input, [batch, features]);
        let is_large = match &self.norm {
            Some(norm) => !rests(norm),
            None => !self.layer(batch).is_small(),
        };
        if host::suits(&input.device()) && is_large {
            return self.host_pass(vec![input, context], wants_input);
        }
        let both = side_by_side(input, context);
        if !wants_input {
            return self.pass(Input::Data(both));
        }
        let beside = Pass::new(both.clone(), move |delta, _| {
            Some(delta.narrow(1, 0, features))
        });
        beside.then(self.pass(Input::Message(both)))
    }

    /// The sizes of the layer at work on so many examples.
    pub(crate) fn layer(&self, batch: usize) -> Layer {
        Layer {
            batch,
            inputs: self.inputs(),
            outputs: self.outputs(),
            activation: self.activation,
        }
    }

    /// On the host. Updates the running statistics of batch norm.
    fn host_pass(&self, parts: Vec<Tensor<2>>, wants_input: bool) -> Pass {
        let factors = Factors::new(parts, self);
        let (h, finish) = Finish::forward(
            factors.forward(),
            factors.outputs,
            self.bias.as_ref(),
            self.norm.as_ref(),
            self.activation,
            factors.device.clone(),
        );
        let h = factors.output(h);
        Pass::new(h.clone(), move |delta, parameters| {
            let (h, mut dz) = (Values::of(h), Values::of(delta));
            finish.backward(h.as_slice(), dz.as_mut_slice(), parameters);
            factors.backward(dz.as_slice(), wants_input, parameters)
        })
    }

    /// On the host, whole in fused loops.
    fn small_pass(&self, layer: Layer, input: Tensor<2>, wants_input: bool) -> Pass {
        let device = input.device();
        let x = Values::of(input);
        let weight = Values::of(self.weight.val().inner());
        let bias = self.bias.as_ref().map(|b| Values::of(b.val().inner()));
        let bias_id = self.bias.as_ref().map(|bias| bias.id);
        let weight_id = self.weight.id;
        let Layer {
            batch,
            inputs,
            outputs,
            ..
        } = layer;

        let h = layer.forward(
            &[x.as_slice()],
            weight.as_slice(),
            bias.as_ref().map(Values::as_slice),
        );
        let output = host::tensor(h.clone(), [batch, outputs], &device);
        Pass::new(output, move |delta, parameters| {
            let mut delta = Values::of(delta);
            let gradients = layer.backward(
                x.as_slice(),
                weight.as_slice(),
                &h,
                delta.as_mut_slice(),
                wants_input,
            );
            if let Some(id) = bias_id {
                parameters.register(id, host::tensor(gradients.bias, [outputs], &device));
            }
            let weight = host::tensor(gradients.weight, [inputs, outputs], &device);
            parameters.register(weight_id, weight);
            gradients
                .input
                .map(|input| host::tensor(input, [batch, inputs], &device))
        })
    }

    /// Weight and bias, taken out.
    ///
    /// # Panics
    ///
    /// If there is a norm.
    pub(crate) fn into_parameters(self) -> (Param<Tensor<2>>, Option<Param<Tensor<1>>>) {
        assert!(self.norm.is_none(), "a norm has parameters too");
        (self.weight, self.bias)
    }

    /// The layer without a norm that has these parameters.
    pub(crate) fn from_parameters(
        weight: Param<Tensor<2>>,
        bias: Option<Param<Tensor<1>>>,
        activation: Activation,
    ) -> Self {
        Self {
            weight,
            bias,
            norm: None,
            activation,
        }
    }

    /// Features of the input message.
    pub fn inputs(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Features of the output message.
    pub fn outputs(&self) -> usize {
        self.weight.dims()[1]
    }
}

/// Both factors of `x W` on the host, kept for the way back.
struct Factors {
    /// `x`, whose features may come in parts.
    parts: Vec<Part>,
    weight: Values,
    weight_id: ParamId,
    batch: usize,
    outputs: usize,
    device: Device,
}

/// Some features of the input, `[batch, features]`.
struct Part {
    values: Values,
    features: usize,
}

impl Factors {
    fn new(parts: Vec<Tensor<2>>, dense: &Dense) -> Self {
        let first = parts.first().expect("an input has a part");
        Self {
            batch: first.dims()[0],
            outputs: dense.outputs(),
            device: first.device(),
            weight: Values::of(dense.weight.val().inner()),
            weight_id: dense.weight.id,
            parts: parts.into_iter().map(Part::new).collect(),
        }
    }

    /// `x W`
    fn forward(&self) -> Vec<f32> {
        let mut z = vec![0.0; self.batch * self.outputs];
        let mut weight = self.weight.as_slice();
        for part in &self.parts {
            let (rows, rest) = weight.split_at(part.features * self.outputs);
            part.add_product(&mut z, rows, self.outputs);
            weight = rest;
        }
        z
    }

    /// These values as the section's output.
    fn output(&self, values: Vec<f32>) -> Tensor<2> {
        host::tensor(values, [self.batch, self.outputs], &self.device)
    }

    /// `x^T dz`, which is registered, and `dz W^T` at the first part of the input, if it is wanted.
    fn backward(
        &self,
        dz: &[f32],
        wants_input: bool,
        parameters: &mut GradientsParams,
    ) -> Option<Tensor<2>> {
        let outputs = self.outputs;
        let inputs = self.weight.as_slice().len() / outputs;
        let mut gradient = vec![0.0; inputs * outputs];
        let mut rest = &mut gradient[..];
        for part in &self.parts {
            let (rows, after) = rest.split_at_mut(part.features * outputs);
            part.add_transposed_product(rows, dz, outputs);
            rest = after;
        }
        let gradient = host::tensor(gradient, [inputs, outputs], &self.device);
        parameters.register(self.weight_id, gradient);
        wants_input.then(|| {
            let features = self.parts[0].features;
            let weight = &self.weight.as_slice()[..features * outputs];
            let weight = Matrix::new(weight, outputs).transposed();
            let input = product(Matrix::new(dz, outputs), weight);
            host::tensor(input, [self.batch, features], &self.device)
        })
    }
}

impl Part {
    fn new(values: Tensor<2>) -> Self {
        Self {
            features: values.dims()[1],
            values: Values::of(values),
        }
    }

    /// `out <- out + x W`
    fn add_product(&self, out: &mut [f32], weight: &[f32], outputs: usize) {
        let x = self.values.as_slice();
        if self.is_sparse() {
            sparse::accumulate(out, x, self.features, weight);
        } else {
            let weight = Matrix::new(weight, outputs);
            accumulate(out, Matrix::new(x, self.features), weight);
        }
    }

    /// `out <- out + x^T dz`
    fn add_transposed_product(&self, out: &mut [f32], dz: &[f32], outputs: usize) {
        let x = self.values.as_slice();
        if self.is_sparse() {
            sparse::accumulate_transposed(out, x, self.features, dz);
        } else {
            let x = Matrix::new(x, self.features).transposed();
            accumulate(out, x, Matrix::new(dz, outputs));
        }
    }

    /// As one-hot labels are. Wide parts are not looked through, which costs more than it brings.
    fn is_sparse(&self) -> bool {
        const WIDE: usize = 64;
        self.features <= WIDE && sparse::is_sparse(self.values.as_slice())
    }
}

/// `[x; c]`
fn side_by_side(input: Tensor<2>, context: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "wgpu")]
    if let Some(both) = super::gpu::side_by_side(&input, &context) {
        return both;
    }
    Tensor::cat(vec![input, context], 1)
}

/// `x W + b`
fn affine(input: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let product = input.matmul(weight);
    match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    }
}
