//! The convolutional section: `h = pool(a(norm(x * W + b)))`.

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, assert_shape};
use rand::Rng;

use super::finish::{Finish, check_norm, rests};
use super::{Activation, Pool, Section};
use crate::host::convolution::{Convolution, channels_first, channels_last};
use crate::host::finish;
use crate::host::pool::Pooling;
use crate::host::{self, Values};
use crate::image::ImageShape;
use crate::init::Init;
use crate::pass::{Input, Pass};

/// How to build a [`Conv`] section.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvConfig {
    /// The shape of the input images.
    pub input: ImageShape,
    /// Channels of the output images.
    pub channels: usize,
    /// Rows and columns of the kernel, an odd number. Default: 5, as in the paper.
    pub kernel: usize,
    /// The activation. Default: relu.
    pub activation: Activation,
    /// Whether there is a bias for each channel. Default: yes. With batch norm there is none, as
    /// the norm has its own shift.
    pub bias: bool,
    /// Whether batch norm stands before the activation, as in the paper's networks. Default: no.
    pub batch_norm: bool,
    /// The pooling after the activation. Default: none.
    pub pool: Option<Pool>,
    /// The initial values. Default: [`Init::FanIn`].
    pub init: Init,
}

impl ConvConfig {
    /// A relu layer with a kernel of 5 x 5, from images of shape `input` to `channels` channels.
    pub fn new(input: ImageShape, channels: usize) -> Self {
        Self {
            input,
            channels,
            kernel: 5,
            activation: Activation::default(),
            bias: true,
            batch_norm: false,
            pool: None,
            init: Init::default(),
        }
    }

    /// Sets the rows and columns of the kernel.
    pub fn with_kernel(mut self, kernel: usize) -> Self {
        self.kernel = kernel;
        self
    }

    /// Sets the activation.
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// No activation.
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

    /// Sets the pooling after the activation.
    pub fn with_pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Sets the distribution of the initial values.
    pub fn with_init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// The shape of the output images.
    ///
    /// # Panics
    ///
    /// If the size or the stride of the pooling is zero, or the image is smaller than its window.
    pub fn output_shape(&self) -> ImageShape {
        output_shape(self.input, self.channels, self.pool)
    }

    /// Builds the section; `rng` draws the initial values.
    ///
    /// # Panics
    ///
    /// If a size is zero, the kernel is even, or the image is smaller than the pooling window.
    pub fn init(&self, rng: &mut impl Rng, device: &Device) -> Conv {
        self.check();
        let inputs = self.input.channels;
        let (weight, bias) = self
            .init
            .convolution(inputs, self.channels, self.kernel, rng, device);
        Conv {
            weight,
            bias: (self.bias && !self.batch_norm).then_some(bias),
            norm: self
                .batch_norm
                .then(|| BatchNormConfig::new(self.channels).init(device)),
            activation: self.activation,
            pool: self.pool,
            input: self.input,
        }
    }

    /// What would otherwise fail in the first step only.
    fn check(&self) {
        let ImageShape { height, width, .. } = self.input;
        assert!(
            height > 0 && width > 0,
            "there is nothing to convolve in an image of {height} x {width}"
        );
        assert!(
            !self.kernel.is_multiple_of(2),
            "a kernel of {0} x {0} has no middle: it must be odd",
            self.kernel
        );
        let _ = self.output_shape();
    }
}

/// A convolution of stride one whose output is as large as its input, the paper's "same padding":
/// `h = pool(a(x * W + b))`, or `h = pool(a(norm(x * W)))` with batch norm over examples, rows and
/// columns. At output channel `o`, row `i` and column `j`, with a kernel of `k` rows and columns,
///
/// ```text
/// (x * W)[o, i, j] = sum over c, u, v of W[o, c, u, v] x[c, i + u - (k-1)/2, j + v - (k-1)/2]
/// ```
///
/// where `x` beyond its edges is zero. Messages hold one image per row,
/// `[batch, channels * height * width]`, channel after channel and row after row.
#[derive(Module, Debug)]
pub struct Conv {
    /// `W`, `[channels out, channels in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `b`, `[channels out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// The norm before the activation.
    pub norm: Option<BatchNorm>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    pool: Option<Pool>,
    #[module(skip)]
    input: ImageShape,
}

impl Section for Conv {
    /// # Panics
    ///
    /// If the rows of the input are not images of the shape that the section was built for.
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let features = self.input.len();
        assert_shape!(input, [_, features]);
        let ImageShape {
            channels,
            height,
            width,
        } = self.input;
        let batch = input.dims()[0];
        if input.device().is_autodiff() && self.norm.as_ref().is_some_and(|norm| !rests(norm)) {
            check_norm(batch * height * width);
        }
        let images = input.reshape([batch, channels, height, width]);
        let bias = self.bias.as_ref().map(Param::val);
        let z = conv2d(images, self.weight.val(), bias, self.options());
        let z = match &self.norm {
            Some(norm) => norm.forward(z),
            None => z,
        };
        let h = self.activation.forward(z);
        let h = match self.pool {
            Some(pool) => pool.forward(h),
            None => h,
        };
        h.flatten(1, 3)
    }

    /// On the host the convolution is one product, and so are both its gradients: see
    /// `host::convolution`.
    fn pass(&self, input: Input) -> Pass {
        if host::suits(&input.device()) && !self.norm.as_ref().is_some_and(rests) {
            self.host_pass(input)
        } else {
            Pass::on_tape(self, input, Self::forward)
        }
    }

    /// On the host it is the product of [`pass`](Section::pass), with the norm in its weight and bias.
    fn predict(&self, input: Tensor<2>) -> Tensor<2> {
        if host::suits(&input.device()) {
            self.host_predict(input)
        } else {
            self.forward(input)
        }
    }
}

impl Conv {
    /// On the host, where channels lie last between the product and the pooling. Updates the
    /// running statistics of batch norm.
    fn host_pass(&self, input: Input) -> Pass {
        let (input, wants_input) = input.into_parts();
        let [batch, features] = [input.dims()[0], self.input.len()];
        assert_shape!(input, [batch, features]);
        let device = input.device();
        let (shape, weight_id) = (self.weight.dims(), self.weight.id);
        let (convolution, pooling) = (self.convolution(), self.pooling());
        let output = self.output_shape();

        let x = channels_last(Values::of(input).as_slice(), self.input);
        let weight = Values::of(self.weight.val().inner());
        let (h, finish) = Finish::forward(
            convolution.forward(&x, weight.as_slice()),
            output.channels,
            self.bias.as_ref(),
            self.norm.as_ref(),
            self.activation,
            device.clone(),
        );
        let pooled = pooling.map(|pooling| (pooling, pooling.forward(&h)));
        let message = match &pooled {
            Some((_, (pooled, _))) => channels_first(pooled, output),
            None => channels_first(&h, output),
        };
        let message = host::tensor(message, [batch, output.len()], &device);
        let kept = pooled.map(|(pooling, (_, kept))| (pooling, kept));
        Pass::new(message, move |delta, parameters| {
            let delta = channels_last(Values::of(delta).as_slice(), output);
            let mut dz = match kept {
                Some((pooling, kept)) => pooling.backward(&kept, &delta),
                None => delta,
            };
            finish.backward(&h, &mut dz, parameters);
            let gradient = convolution.weight_gradient(&x, &dz);
            parameters.register(weight_id, host::tensor(gradient, shape, &device));
            wants_input.then(|| {
                let gradient = convolution.input_gradient(&dz, weight.as_slice());
                let gradient = channels_first(&gradient, convolution.input);
                host::tensor(gradient, [batch, features], &device)
            })
        })
    }

    /// [`predict`](Section::predict) on the host: with `s = gamma / sqrt(variance + epsilon)`,
    ///
    /// ```text
    /// norm(x * W) = x * (s W) + beta - s mean
    /// ```
    fn host_predict(&self, input: Tensor<2>) -> Tensor<2> {
        let [batch, features] = [input.dims()[0], self.input.len()];
        assert_shape!(input, [batch, features]);
        let device = input.device();
        let weight = self.weight.val().inner();
        let (weight, bias) = match &self.norm {
            Some(norm) => {
                let [mean, variance] = [&norm.running_mean, &norm.running_var]
                    .map(|running| running.value_sync().inner());
                let scale = norm.gamma.val().inner() / (variance + norm.epsilon).sqrt();
                let shift = norm.beta.val().inner() - scale.clone() * mean;
                (weight * scale.reshape([-1, 1, 1, 1]), Some(shift))
            }
            None => (weight, self.bias.as_ref().map(|bias| bias.val().inner())),
        };

        let x = channels_last(Values::of(input).as_slice(), self.input);
        let mut h = self
            .convolution()
            .forward(&x, Values::of(weight).as_slice());
        let bias = bias.map(Values::of);
        finish::biased(&mut h, bias.as_ref().map(Values::as_slice), self.activation);
        let output = self.output_shape();
        let message = match self.pooling() {
            Some(pooling) => channels_first(&pooling.forward(&h).0, output),
            None => channels_first(&h, output),
        };
        host::tensor(message, [batch, output.len()], &device)
    }

    fn convolution(&self) -> Convolution {
        let [outputs, _, kernel, _] = self.weight.dims();
        Convolution {
            input: self.input,
            outputs,
            kernel,
        }
    }

    fn pooling(&self) -> Option<Pooling> {
        let [channels, ..] = self.weight.dims();
        let convolved = ImageShape {
            channels,
            ..self.input
        };
        self.pool.map(|pool| Pooling::new(pool, convolved))
    }

    /// The shape of the output images.
    pub fn output_shape(&self) -> ImageShape {
        output_shape(self.input, self.weight.dims()[0], self.pool)
    }

    /// Stride one, and zeros around the image for windows around all its pixels.
    fn options(&self) -> ConvOptions<2> {
        let edge = self.weight.dims()[3] / 2;
        ConvOptions::new([1, 1], [edge, edge], [1, 1], 1)
    }
}

/// The shape of pooled images of this many channels.
fn output_shape(input: ImageShape, channels: usize, pool: Option<Pool>) -> ImageShape {
    let convolved = ImageShape { channels, ..input };
    pool.map_or(convolved, |pool| pool.output_shape(convolved))
}
