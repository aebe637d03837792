//! The dense section: `h = a(norm(x W + b))`.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, assert_shape};
use rand::Rng;

use super::{Activation, Section};
use crate::host::{self, Layer, Values};
use crate::init::Init;
use crate::pass::{Input, LocalGradients, Pass};

/// How to build a [`Dense`] section.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseConfig {
    /// Features of the message that comes in.
    pub inputs: usize,
    /// Features of the message that goes out.
    pub outputs: usize,
    /// The activation. Default: relu.
    pub activation: Activation,
    /// Whether there is a bias. Default: yes. With batch norm there is none, as the norm has its
    /// own shift.
    pub bias: bool,
    /// Whether batch norm stands before the activation, as in the paper's networks. Default: no.
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

    /// No activation: for the last section of a network, which answers with logits.
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
///
/// All its parameters learn: unlike other modules it takes no notice of burn's `freeze`.
#[derive(Module, Debug)]
pub struct Dense {
    /// `W`, `[inputs, outputs]`.
    pub weight: Param<Tensor<2>>,
    /// `b`, `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The norm before the activation.
    pub norm: Option<BatchNorm>,
    #[module(skip)]
    activation: Activation,
}

impl Section for Dense {
    /// # Panics
    ///
    /// If the input does not have the features that the section was built for.
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let inputs = self.inputs();
        assert_shape!(input, [_, inputs]);
        let z = affine(input, self.weight.val(), self.bias.as_ref().map(Param::val));
        let z = match &self.norm {
            Some(norm) => norm.forward(z),
            None => z,
        };
        self.activation.forward(z)
    }

    /// Without batch norm the local gradient is three products, `x^T dz`, the sum of `dz` and
    /// `dz W^T`, where `dz = delta * a'(z)`. Taken directly they cost a third of the tape.
    fn pass(&self, input: Input) -> Pass {
        if self.norm.is_some() {
            return Pass::on_tape(self, input, Self::forward);
        }
        let (input, wants_input) = input.into_parts();
        let [batch, inputs] = [input.dims()[0], self.inputs()];
        assert_shape!(input, [batch, inputs]);
        let layer = Layer {
            batch,
            inputs,
            outputs: self.outputs(),
            activation: self.activation,
        };
        if host::suits(&input.device(), layer) {
            self.pass_on_host(layer, input, wants_input)
        } else {
            self.pass_on_tensors(input, wants_input)
        }
    }
}

impl Dense {
    fn pass_on_tensors(&self, input: Tensor<2>, wants_input: bool) -> Pass {
        let weight = self.weight.val().inner();
        let bias = self.bias.as_ref().map(|bias| bias.val().inner());
        let bias_id = self.bias.as_ref().map(|bias| bias.id);
        let weight_id = self.weight.id;
        let activation = self.activation;

        let z = affine(input.clone(), weight.clone(), bias);
        let h = activation.forward(z);
        Pass::new(h.clone(), move |delta| {
            let [batch, outputs] = h.dims();
            assert_shape!(delta, [batch, outputs]);
            let dz = activation.backward(h, delta);
            let below = wants_input.then(|| dz.clone().matmul(weight.transpose()));
            let mut parameters = GradientsParams::new();
            if let Some(id) = bias_id {
                parameters.register(id, dz.clone().sum_dim(0).reshape([outputs]));
            }
            parameters.register(weight_id, input.transpose().matmul(dz));
            LocalGradients {
                parameters,
                input: below,
            }
        })
    }

    fn pass_on_host(&self, layer: Layer, input: Tensor<2>, wants_input: bool) -> Pass {
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
            x.as_slice(),
            weight.as_slice(),
            bias.as_ref().map(Values::as_slice),
        );
        let output = host::tensor(h.clone(), [batch, outputs], &device);
        Pass::new(output, move |delta| {
            assert_shape!(delta, [batch, outputs]);
            let mut delta = Values::of(delta);
            let gradients = layer.backward(
                x.as_slice(),
                weight.as_slice(),
                &h,
                delta.as_mut_slice(),
                wants_input,
            );
            let mut parameters = GradientsParams::new();
            if let Some(id) = bias_id {
                parameters.register(id, host::tensor(gradients.bias, [outputs], &device));
            }
            let weight = host::tensor(gradients.weight, [inputs, outputs], &device);
            parameters.register(weight_id, weight);
            LocalGradients {
                parameters,
                input: gradients
                    .input
                    .map(|input| host::tensor(input, [batch, inputs], &device)),
            }
        })
    }

    /// Features of the message that comes in.
    pub fn inputs(&self) -> usize {
        self.weight.dims()[0]
    }

    /// Features of the message that goes out.
    pub fn outputs(&self) -> usize {
        self.weight.dims()[1]
    }
}

/// `x W + b`
fn affine(input: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let product = input.matmul(weight);
    match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    }
}
