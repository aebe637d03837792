//! Credit: which gradient a section is given.

use serde::{Deserialize, Serialize};

/// The gradient that a section is given for its update.
///
/// All are one recursion, the paper's BP(lambda): from the top, where `g_N = dL/dh_N`,
/// `g_i = (1 - lambda) delta_hat_i + lambda g_{i+1} dh_{i+1}/dh_i`, and the synthesizer below
/// section `i + 1` learns `g_{i+1} dh_{i+1}/dh_i`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credit {
    /// The true gradient: backpropagation. Synthesizers are neither used nor trained.
    Backprop,
    /// The synthetic gradient, `lambda = 0`: DNI. No section waits for those above it.
    Synthetic,
    /// A mixture of both: BP(lambda). Sections are update-locked unless `lambda` is zero. With
    /// `lambda = 1` sections learn by backprop while synthesizers learn the true gradients
    /// without being applied, which is how a warm-up runs.
    Mixed {
        /// The share of the gradient that comes from above, from 0 to 1.
        lambda: f64,
    },
    /// The true gradient when it comes: an asynchronous pipeline, without synthesizers. Between two
    /// [workers](crate::Threaded) that is some steps late: it is taken back through the
    /// pass of its own step, with the parameters of then, and moves those of today. Where nothing
    /// comes late it is backpropagation.
    Delayed,
    /// None below the top: the paper's "no bprop", where only the last section learns.
    None,
}

impl Credit {
    /// Whether sections wait for those above them before they go on.
    pub fn is_update_locked(self) -> bool {
        match self {
            Self::Backprop => true,
            Self::Mixed { lambda } => lambda != 0.0,
            Self::Synthetic | Self::Delayed | Self::None => false,
        }
    }

    /// Whether synthesizers take part.
    pub fn uses_synthesizers(self) -> bool {
        matches!(self, Self::Synthetic | Self::Mixed { .. })
    }
}
