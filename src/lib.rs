//! Decoupled neural interfaces.

pub mod backend;
pub mod credit;
pub mod data;
pub mod error;
pub mod feedforward;
mod host;
pub mod init;
pub mod interface;
pub mod loss;
pub mod message;
pub mod optimizer;
pub mod pass;
pub mod quality;
pub mod run;
pub mod section;
pub mod synthesizer;
mod trained;

pub use backend::Backend;
pub use credit::Credit;
pub use error::{Error, Result};
pub use feedforward::{Batch, Chain, Step};
pub use init::Init;
pub use interface::{Contract, Interface, Prediction, TargetScale};
pub use loss::{Loss, Reduction};
pub use optimizer::Optimizer;
pub use pass::{Input, LocalGradients, Pass};
pub use quality::Quality;
pub use section::{Activation, Dense, DenseConfig, Section};
pub use synthesizer::{
    LinearSynthesizer, LinearSynthesizerConfig, MlpSynthesizer, MlpSynthesizerConfig, Synthesizer,
};
