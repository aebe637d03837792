//! Credit: which gradient a section is given.

use serde::{Deserialize, Serialize};

/// The gradient that a section is given for its update.
///
/// All variants follow one recursion, the paper's BP(lambda): from the top, where `g_N = dL/dh_N`,
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
    /// `lambda = 1` sections learn by backprop while synthesizers learn the true gradients but are
    /// not used, as in a warm-up.
    Mixed {
        /// The share of the gradient that comes from above, from 0 to 1.
        lambda: f64,
    },
    /// The true gradient when it arrives: an asynchronous pipeline, without synthesizers. Between
    /// two [workers](crate::Threaded) it is some steps late: it goes back through the pass of its
    /// own step, at the parameters of that step, and updates the current ones. Where nothing is
    /// late this is backpropagation.
    Delayed,
    /// No gradient below the top: the paper's "no bprop", where only the last section learns.
    None,
}

impl Credit {
    /// Whether sections wait for those above them before they continue.
    pub(crate) fn is_update_locked(self) -> bool {
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
