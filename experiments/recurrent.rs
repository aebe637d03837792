//! What the recurrent experiments share: the ways to train, and the network.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use clap::{ArgAction, Args, ValueEnum};
use dni::data::{Stream, generator};
use dni::{
    Core, DenseConfig, Future, GruConfig, Init, Loss, LstmConfig, Optimizer, Quality, Recurrent,
    TargetScale, Window,
};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, check_rates, positive, rate, scale};
use crate::memory::{FLOAT, OF_PARAMETER};
use crate::synthesizer::SynthesizerKind;

/// A way to train a recurrent network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RecurrentMethod {
    /// Truncated backpropagation through time.
    Bptt,
    /// With a synthetic future at the end of every window.
    Dni,
    /// And the auxiliary task.
    DniAux,
}

impl RecurrentMethod {
    pub const ALL: [Self; 3] = [Self::Bptt, Self::Dni, Self::DniAux];

    fn name(self) -> &'static str {
        match self {
            Self::Bptt => "bptt",
            Self::Dni => "dni",
            Self::DniAux => "dni-aux",
        }
    }
}

impl fmt::Display for RecurrentMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for RecurrentMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| "choose from bptt, dni and dni-aux".to_string())
    }
}

impl TryFrom<String> for RecurrentMethod {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RecurrentMethod> for String {
    fn from(method: RecurrentMethod) -> Self {
        method.to_string()
    }
}

/// The core of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoreKind {
    /// Long short-term memory
    Lstm,
    /// Gated recurrent units
    Gru,
}

/// The ways to train, and the sequences of a batch.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct TrainingArgs {
    /// Methods, separated by commas: bptt (truncated backpropagation through time), dni (with a
    /// synthetic future at the end of every window), dni-aux (dni that also learns to predict the
    /// next synthetic gradient) [default: all three]
    #[arg(
        long = "method",
        visible_alias = "methods",
        value_name = "METHODS",
        value_delimiter = ','
    )]
    pub methods: Option<Vec<RecurrentMethod>>,

    /// Sequences in a batch
    #[arg(long, value_name = "N", value_parser = positive)]
    pub batch_size: Option<usize>,
}

/// Refuses units, synthesizers and scales of synthetic gradients that no recurrent network can have.
pub fn check_parts(units: usize, synthesizer: &SynthesizerKind, scale: f64) -> Result<(), Misuse> {
    const MOST_UNITS: usize = 1 << 13;
    if units == 0 {
        return Err(Misuse("units must be at least 1".to_string()));
    }
    let hidden = synthesizer.hidden().into_iter();
    if hidden.chain([units]).any(|units| units > MOST_UNITS) {
        return Err(Misuse(format!(
            "a layer would have over {MOST_UNITS} units; choose fewer"
        )));
    }
    if !(scale >= 0.0 && scale.is_finite()) {
        return Err(Misuse(format!(
            "the scale must be a number from 0, not {scale}"
        )));
    }
    synthesizer.check_for_sequences()
}

/// The settings of a recurrent network. Each experiment has its own defaults.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Network")]
pub struct RecurrentNetwork {
    /// Steps of a window, T: gradients go back no further
    #[arg(long, value_name = "T", value_parser = positive)]
    pub unroll: usize,

    /// The recurrent cell [default: copy and rows gru, text lstm]
    #[arg(long, value_enum)]
    pub core: CoreKind,

    /// Units of the recurrent cell
    #[arg(long, value_name = "N", value_parser = positive)]
    pub units: usize,

    /// Shape of the synthesizer: linear, linear:RANK, rls:RANK (of that rank by recursive least
    /// squares) or mlp:UNITS, with x between several hidden layers
    #[arg(long, value_name = "KIND")]
    pub synthesizer: SynthesizerKind,

    /// Factor of the synthetic gradient that the cell learns from; 0.1 in the paper
    #[arg(long, value_name = "X", value_parser = scale)]
    pub scale: f64,

    /// Whether the factor also applies in the synthesizer's targets; if not, every window is
    /// unrolled twice, unless the factor is 1 [default: true]
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    pub scale_targets: bool,

    /// Learning rate of the network
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub lr: f64,

    /// Learning rate of the synthesizer [default: that of the network]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub synthesizer_lr: Option<f64>,
}

impl RecurrentNetwork {
    /// What does for most tasks.
    pub fn new(core: CoreKind, units: usize) -> Self {
        Self {
            core,
            units,
            unroll: 5,
            synthesizer: SynthesizerKind::Linear,
            scale: 1.0,
            scale_targets: true,
            lr: 1e-3,
            synthesizer_lr: None,
        }
    }

    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<(), Misuse> {
        if self.unroll == 0 {
            return Err(Misuse(
                "the steps of a window must be at least 1".to_string(),
            ));
        }
        check_parts(self.units, &self.synthesizer, self.scale)?;
        check_rates(&[Some(self.lr), self.synthesizer_lr])
    }

    /// Bytes that it needs at the very least, to learn from so many sequences side by side.
    pub fn memory(&self, batch: usize, inputs: usize) -> u128 {
        /// Of the shortest sequences that there are.
        const STEPS: usize = 4;
        let units = self.units as u128;
        let parameters = units * (units + inputs as u128);
        let outputs = (batch as u128)
            .saturating_mul(self.unroll.min(STEPS) as u128)
            .saturating_mul(units + inputs as u128);
        FLOAT * (OF_PARAMETER * parameters).saturating_add(outputs)
    }

    /// Windows over which the true future of a state is taken: 32 steps at least, and several
    /// windows. What a network remembers longer is left out.
    pub fn reach(&self) -> usize {
        const STEPS: usize = 32;
        const WINDOWS: usize = 4;
        STEPS.div_ceil(self.unroll).max(WINDOWS)
    }

    fn synthesizer_lr(&self) -> f64 {
        let rate = self.synthesizer_lr.or(self.synthesizer.own_rate());
        rate.unwrap_or(self.lr)
    }

    /// Writes down what is used where nothing was said.
    pub fn resolve(&mut self) {
        self.synthesizer_lr = Some(self.synthesizer_lr());
    }

    /// Builds it. Core and readout start alike under every method.
    pub fn build(
        &self,
        method: RecurrentMethod,
        seed: u64,
        (loss, inputs, outputs): (Loss, usize, usize),
        device: &Device,
    ) -> Result<Recurrent, Misuse> {
        let rng = &mut generator(seed, Stream::Parameters);
        match self.core {
            CoreKind::Lstm => {
                let core = LstmConfig::new(inputs, self.units).init(rng, device);
                self.around(core, method, (loss, outputs), rng, device)
            }
            CoreKind::Gru => {
                let core = GruConfig::new(inputs, self.units).init(rng, device);
                self.around(core, method, (loss, outputs), rng, device)
            }
        }
    }

    /// A network around a core.
    fn around(
        &self,
        core: impl Core,
        method: RecurrentMethod,
        (loss, outputs): (Loss, usize),
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<Recurrent, Misuse> {
        let state = core.state_features();
        let adam = || Optimizer::adam(self.lr);
        let readout = DenseConfig::new(self.units, outputs).linear();
        let readout = readout.init(rng, device);
        let network = Recurrent::new(loss, (core, adam()), (readout, adam()));
        if method == RecurrentMethod::Bptt {
            return Ok(network);
        }
        let optimizer = Optimizer::adam(self.synthesizer_lr());
        let interface = self
            .synthesizer
            .interface(state, 0, optimizer, rng, device)?
            .with_scale(TargetScale::PerExample);
        let future = Future::new(interface)
            .with_scale(self.scale)
            .with_scaled_targets(self.scale_targets);
        Ok(network.with_future(match method {
            RecurrentMethod::DniAux => {
                // Like the synthesizer it begins with predicting nothing.
                let model = DenseConfig::new(state, state)
                    .linear()
                    .with_init(Init::Zeros);
                future.with_auxiliary(model.init(rng, device), adam())
            }
            _ => future,
        }))
    }
}

/// How good the synthetic future is after the first `before` of some windows, which begin their
/// sequences, measured against the losses of the next `reach` of them. Empty without a future to
/// look at.
pub fn quality(
    network: &Recurrent,
    windows: &[Window],
    before: usize,
    reach: usize,
) -> Vec<Quality> {
    let quality = || {
        network.future()?;
        let (before, after) = windows.split_at_checked(before)?;
        let state = before.iter().fold(None, |state, window| {
            Some(network.predict(&window.sequence, state).1)
        })?;
        network.quality(state, &after[..after.len().min(reach)])
    };
    quality().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_as_what_they_name() {
        for name in ["bptt", "dni", "dni-aux"] {
            let method: RecurrentMethod = name.parse().unwrap();
            assert_eq!(method.to_string(), name);
        }
        assert!("backprop".parse::<RecurrentMethod>().is_err());
    }
}
