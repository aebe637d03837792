//! Decoupled Neural Interfaces: networks whose parts train without waiting for each other.
//!
//! In backpropagation a layer waits: it is *update-locked* until all layers above it have run
//! forward and backward. With a **synthetic gradient** it need not. A small model between two
//! layers, the *synthesizer*, predicts the gradient that would have come back, from the layer's
//! output alone; the layer updates with the prediction at once. Later a better gradient arrives
//! from the layer above, and the synthesizer learns from it (Jaderberg et al., "Decoupled Neural
//! Interfaces using Synthetic Gradients", arXiv:1608.05343).
//!
//! # One step, in one picture
//!
//! ```text
//! for each section i from the bottom up:
//!     h_i         = f_i(cut(h_{i-1}))              the message, without a tape
//!     delta_hat_i = M_i(h_i, c)                    or the true dL/dh_N, at the top
//!     inject delta_hat_i at h_i                    backward, one section deep
//!     update f_i                                   nobody above has been asked
//!     M_{i-1} learns the gradient received at h_{i-1}
//! ```
//!
//! This is [`Chain::step`] with [`Credit::Synthetic`]. Its three verbs, [`cut`](message::cut),
//! [`inject`](message::inject) and [`receive`](message::receive), are in [`message`].
//!
//! # Words
//!
//! | word | meaning | here |
//! | --- | --- | --- |
//! | section | a piece of network between two interfaces, with its own optimizer (the paper's "module") | [`Section`] |
//! | message | what a section sends up: its output `h`, detached | `Tensor<2>`, `[batch, features]`: a [row](Section) for each example, or several |
//! | interface | the place between two sections: owns the synthesizer and what trains it | [`Interface`] |
//! | synthesizer | the model `M` that maps message and context to the synthetic gradient | [`Synthesizer`] |
//! | context | what only a synthesizer sees: in cDNI the label | [`Batch::context`] |
//! | credit | which gradient a section is given | [`Credit`] |
//! | update-locked, decoupled | waits for all sections above, for none | |
//! | complete unlock | synthetic inputs as well: waits for no section below either | [`InputModel`] |
//! | window, future | the steps over which a core is unrolled; what comes after them | [`Window`], [`Future`] |
//!
//! Everything is computed in 32-bit floats: other inputs are converted, other parameters refused.
//! `h`, `delta` and `delta_hat` are a message, the gradient of the loss `L` at it, and the
//! synthetic gradient at it; `theta_i` are the parameters of section `f_i`, `alpha` is a learning
//! rate, `x` the network's input.
//!
//! # Equations
//!
//! A section learns from the gradient at its own output; it needs nothing else from the layers
//! above (paper, section 2):
//!
//! ```text
//! update       theta_i <- theta_i - alpha delta_hat_i dh_i/dtheta_i
//! prediction   delta_hat_i = M_i(h_i, c),   at the top delta_hat_N = dL/dh_N
//! target       delta_i = delta_hat_{i+1} dh_{i+1}/dh_i
//! regression   M_i learns  1/2 |delta_hat_i - delta_i|^2
//! ```
//!
//! The target is itself a prediction sent one section down, as in temporal-difference learning;
//! true gradients come in only at the top and spread downwards as the synthesizers learn. In
//! backpropagation a section waits for this target and learns from it. [`Credit`] mixes the two:
//!
//! ```text
//! BP(lambda)   g_i = (1 - lambda) delta_hat_i + lambda g_{i+1} dh_{i+1}/dh_i
//! ```
//!
//! Without a context a synthesizer can predict no more than the mean gradient over all labels that
//! are possible given the message; in cDNI the label is the context `c`, and a linear `M` is often
//! enough. With complete unlock a section need not wait for its input either (section 3.3):
//!
//! ```text
//! input        h_hat_i = I_i(x),   I_i learns  1/2 |h_hat_i - h_i|^2
//! ```
//!
//! In a recurrent network the layers are steps in time, and the interface stands at the end of a
//! window of `T` steps, where truncated backpropagation assumes a zero gradient:
//!
//! ```text
//! update       theta <- theta - alpha (sum_{tau = t}^{t + T} dL_tau/dtheta + delta_hat_T dh_T/dtheta)
//! ```
//!
//! [`Chain::quality`] measures how good the predictions are: it compares them with the gradients of
//! backpropagation, by cosine and relative error.
//!
//! # A network of your own
//!
//! Any burn module can be a section. Its synthesizer sees the label:
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::tensor::{Device, Tensor, activation::gelu};
//! use dni::data::{Stream, generator};
//! use dni::{Batch, Chain, Credit, DenseConfig, Interface, LinearSynthesizerConfig, Loss, Optimizer};
//!
//! #[derive(Module, Debug)]
//! struct Mine { linear: Linear }
//!
//! impl dni::Section for Mine {
//!     fn forward(&self, input: Tensor<2>) -> Tensor<2> {
//!         gelu(self.linear.forward(input))
//!     }
//! }
//!
//! let (device, rng) = (Device::flex(), &mut generator(1, Stream::Parameters));
//! let mine = Mine { linear: LinearConfig::new(4, 16).init(&device) };
//! let synthesizer = LinearSynthesizerConfig::new(16).with_contexts(3).init(rng, &device);
//! let mut chain = Chain::new(Loss::CrossEntropy)
//!     .section("mine", mine, Optimizer::adam(1e-3))
//!     .interface(Interface::new(synthesizer, Optimizer::adam(3e-3)))
//!     .section("output", DenseConfig::new(16, 3).linear().init(rng, &device), Optimizer::adam(1e-3));
//!
//! let label = Tensor::<2>::from_floats([[1.0, 0.0, 0.0]], &device);
//! let input = Tensor::<2>::from_floats([[0.1, 0.2, 0.3, 0.4]], &device);
//! let batch = Batch::new(input, label.clone()).with_context(label);
//! let before = chain.loss_of(&batch);
//! for _ in 0..20 {
//!     chain.step(batch.clone(), Credit::Synthetic);
//! }
//! assert!(chain.loss_of(&batch) < before);
//! for quality in chain.quality(&batch) {
//!     assert!(quality.cosine > Some(0.0), "{quality:?}");
//! }
//! ```
//!
//! The [`guide`] has more: deeper and recurrent networks, a synthesizer and a schedule of your own.
//!
//! # Map
//!
//! From the bottom up: a module imports only from modules listed above it (checked by
//! `tests/modules.rs`).
//!
//! Definitions that all others use:
//!
//! - [`error`]: what can go wrong, and what to do about it.
//! - [`credit`]: which gradient a section is given.
//! - `rng`: the random numbers of a run; [`data`] exports the generator.
//! - `activation`: elementwise functions.
//! - `image`: the shape of an image, pooling.
//! - `fingerprint`: which data a network was trained on, so that other data are refused.
//! - [`init`]: initial values of parameters.
//! - [`schedule`]: which sections learn in a step, and how fast.
//!
//! Where tensors lie, and loops over them:
//!
//! - `host`: loops over host memory, in vector instructions.
//! - `gpu`: kernels for graphics adapters.
//! - [`backend`]: backends by name, and what comes back from their devices.
//! - [`place`]: devices of this machine and of others.
//!
//! One section:
//!
//! - [`message`]: the three verbs of a step.
//! - [`pass`]: one forward pass with its backward pass.
//! - [`batch`]: what a network learns from in one step.
//! - [`loss`]: what is minimised.
//! - [`quality`]: how good a synthetic gradient is.
//! - [`optimizer`]: what updates parameters.
//! - [`section`]: the pieces of a network.
//! - [`synthesizer`]: the models that predict gradients.
//! - `cores`: recurrent cores, exported by [`recurrent`].
//! - `trained`: a module together with what trains it.
//! - [`unlock`]: synthetic inputs.
//! - [`interface`]: the place between two sections.
//!
//! Networks and their steps:
//!
//! - [`learner`]: what a training loop needs to know about a network.
//! - [`feedforward`]: chains of sections.
//! - [`recurrent`]: a core through time, with a synthetic future.
//! - [`clocks`]: two networks that tick at different rates.
//! - [`threaded`]: sections that train at the same time, and parallel backprop to compare with.
//!
//! Runs:
//!
//! - [`train`]: the training loop, its plan and its events.
//! - [`run`]: the folder of a run, checkpoints, exports.
//! - [`report`]: curves of runs.
//! - [`data`]: sets of examples, texts and generated tasks.

#![warn(missing_docs)]

mod activation;
pub mod backend;
pub mod batch;
pub mod clocks;
mod cores;
pub mod credit;
pub mod data;
pub mod error;
pub mod feedforward;
mod fingerprint;
#[cfg(feature = "wgpu")]
mod gpu;
mod host;
mod image;
pub mod init;
pub mod interface;
pub mod learner;
pub mod loss;
pub mod message;
pub mod optimizer;
pub mod pass;
pub mod place;
pub mod quality;
pub mod recurrent;
pub mod report;
mod rng;
pub mod run;
pub mod schedule;
pub mod section;
pub mod synthesizer;
pub mod threaded;
pub mod train;
mod trained;
pub mod unlock;

pub use backend::Backend;
pub use batch::{Batch, Data};
pub use clocks::{ClockStates, Clocks, FastNetwork, Feedback, SlowNetwork, Span, SpanStep};
pub use credit::Credit;
pub use error::{Error, Result};
pub use feedforward::{Chain, ChainSchedule, SectionMut, Step};
pub use init::Init;
pub use interface::{Contract, FutureTerms, Interface, Prediction, TargetScale};
pub use loss::{Loss, LossFunction, Reduction};
pub use optimizer::Optimizer;
pub use pass::{Input, LocalGradients, Pass};
pub use place::Place;
pub use quality::{GradientState, Quality};
pub use recurrent::{
    Arrived, Core, Deltas, Embedded, Future, Gru, GruConfig, Lstm, LstmConfig, Recurrent, Sequence,
    Tick, Unrolled, View, Window, WindowGradients, WindowStep,
};
pub use schedule::{LrSchedule, Sparse};
pub use section::{
    Activation, Conv, ConvConfig, Dense, DenseConfig, Dropout, Mlp, Pool, PoolKind, Section,
};
pub use synthesizer::{
    ConvSynthesizer, ConvSynthesizerConfig, LabelSynthesizer, LabelSynthesizerConfig,
    LeastSquaresSynthesizer, LeastSquaresSynthesizerConfig, LinearSynthesizer,
    LinearSynthesizerConfig, LowRankSynthesizer, LowRankSynthesizerConfig, MlpSynthesizer,
    MlpSynthesizerConfig, Synthesizer,
};
pub use threaded::Threaded;
pub use unlock::InputModel;

/// What `benches/product` measures; no part of the interface.
#[doc(hidden)]
pub mod kernels {
    pub use crate::host::product::{Matrix, product};
    pub use crate::host::vectorized;
}

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

/// The README's listings, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
