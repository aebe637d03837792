//! The settings of `dni clocks`: flags, defaults, and what is refused.

use std::fmt;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::args::{CallArgs, Misuse, SeedArgs, check_rates, length, positive, rate, scale, set};
use crate::comparison::{self, Common, Settings as _};
use crate::flags::{self, Flags};
use crate::memory::{FLOAT, OF_PARAMETER};
use crate::recurrent::check_parts;
use crate::source::{DataArgs, ImageData, Source};
use crate::synthesizer::SynthesizerKind;

/// Flags of `dni clocks`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct ClocksArgs {
    #[command(flatten)]
    settings: Flags<Settings>,
    #[command(flatten)]
    pub files: DataArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    length: StepsArgs,
    #[command(flatten)]
    pub call: CallArgs,
}

/// The ways to learn, and the streams of a batch.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
struct TrainingArgs {
    /// Methods, separated by commas: coupled (gradients go back from the slow network to the fast
    /// one), decoupled (a synthesizer predicts them), conditional (a synthesizer that also sees the
    /// number of threes predicts them), none (the fast network gets none) [default: all four]
    #[arg(
        long = "method",
        visible_alias = "methods",
        value_name = "METHODS",
        value_delimiter = ','
    )]
    methods: Option<Vec<ClocksMethod>>,

    /// Streams in a batch [default: 32]
    #[arg(long, value_name = "N", value_parser = positive)]
    batch_size: Option<usize>,
}

/// How long they learn, and from which seeds.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Length")]
struct StepsArgs {
    /// Training steps, of T^2 digits of every stream each [default: 3000]
    #[arg(long, value_name = "N", value_parser = length)]
    steps: Option<usize>,

    #[command(flatten)]
    seeds: SeedArgs,
}

/// How gradients come from the slow network to the fast one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClocksMethod {
    /// By backpropagation.
    Coupled,
    /// By prediction, from the message alone.
    Decoupled,
    /// By prediction, from the message and the number of threes in the window.
    Conditional,
    /// Not at all.
    None,
}

impl ClocksMethod {
    const ALL: [Self; 4] = [
        Self::Coupled,
        Self::Decoupled,
        Self::Conditional,
        Self::None,
    ];
}

impl fmt::Display for ClocksMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Coupled => "coupled",
            Self::Decoupled => "decoupled",
            Self::Conditional => "conditional",
            Self::None => "none",
        })
    }
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    #[arg(skip = Common::new(Self::NAME, ClocksMethod::ALL.to_vec(), 3_000, 32))]
    pub run: Common<ClocksMethod>,

    #[command(flatten)]
    #[serde(flatten)]
    pub images: ImageData,

    /// Steps of the stream per tick of the slow network, T; it answers after T ticks
    #[arg(long, value_name = "T", value_parser = positive, default_value = "4", help_heading = "Network")]
    pub period: usize,

    /// Units of the two layers of the front end, of each LSTM, and of a message
    #[arg(long, value_name = "N", value_parser = positive, default_value = "128", help_heading = "Network")]
    pub units: usize,

    /// Shape of the synthesizer: linear, linear:RANK, rls:RANK (of that rank by recursive least
    /// squares) or mlp:UNITS, with x between several hidden layers [default: one hidden layer of
    /// the network's units]
    #[arg(long, value_name = "KIND", help_heading = "Network")]
    pub synthesizer: Option<SynthesizerKind>,

    /// Factor of the synthetic gradient that the fast network learns from
    #[arg(
        long,
        value_name = "X",
        value_parser = scale,
        default_value = "3",
        help_heading = "Training"
    )]
    pub scale: f64,

    /// Learning rate of both networks
    #[arg(
        long,
        value_name = "RATE",
        value_parser = rate,
        default_value = "0.0003",
        help_heading = "Training"
    )]
    pub lr: f64,

    /// Learning rate of the synthesizer [default: 0.001]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Training")]
    pub synthesizer_lr: Option<f64>,

    /// Steps between two evaluations on the test stream [default: a tenth of all]
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length")]
    pub eval_every: Option<usize>,
}

impl Settings {
    pub fn synthesizer(&self) -> SynthesizerKind {
        let hidden = || SynthesizerKind::Mlp(vec![self.units]);
        self.synthesizer.clone().unwrap_or_else(hidden)
    }

    pub fn synthesizer_lr(&self) -> f64 {
        let rate = self.synthesizer_lr.or(self.synthesizer().own_rate());
        rate.unwrap_or(1e-3)
    }

    pub fn evaluate_every(&self) -> usize {
        self.eval_every.unwrap_or((self.run.steps / 10).max(1))
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "clocks";
    const REFERENCE: &'static str = "coupled";

    type Method = ClocksMethod;
    type Args = ClocksArgs;

    fn from_args(base: Option<&Self>, args: &ClocksArgs) -> Self {
        let mut s = base.cloned().unwrap_or_else(flags::standard);
        s.run.set_seeds(&args.length.seeds, &args.call.machine);
        set(&mut s.run.steps, &args.length.steps);
        set(&mut s.run.methods, &args.training.methods);
        set(&mut s.run.batch_size, &args.training.batch_size);
        args.settings.set(&mut s);
        s
    }

    fn resolve(&mut self) {
        self.synthesizer_lr = Some(self.synthesizer_lr());
        self.synthesizer = Some(self.synthesizer());
        self.eval_every = Some(self.evaluate_every());
    }

    fn common(&self) -> &Common<ClocksMethod> {
        &self.run
    }

    fn common_mut(&mut self) -> &mut Common<ClocksMethod> {
        &mut self.run
    }

    fn check(&self) -> Result<(), Misuse> {
        /// Of the slow network's answer.
        const MOST_PERIOD: usize = 32;
        self.run.check()?;
        // The heads of messages have it.
        self.run.check_norm(true)?;
        if !matches!(self.images.data, Source::Glyphs | Source::Mnist) {
            return Err(Misuse(
                "the stream needs digits; choose --data glyphs or --data mnist".to_string(),
            ));
        }
        if self.period == 0 || self.run.batch_size == 0 {
            return Err(Misuse(
                "the period and streams must be at least 1".to_string(),
            ));
        }
        if self.period > MOST_PERIOD {
            return Err(Misuse(format!(
                "a span of {} steps is too long; choose a period up to {MOST_PERIOD}",
                self.period.saturating_mul(self.period)
            )));
        }
        check_parts(self.units, &self.synthesizer(), self.scale)?;
        if self.eval_every == Some(0) {
            return Err(Misuse(
                "evaluations must be at least 1 step apart".to_string(),
            ));
        }
        check_rates(&[Some(self.lr), self.synthesizer_lr])
    }

    fn memory(&self) -> u128 {
        let units = self.units as u128;
        let steps = self.period.saturating_mul(self.period) as u128;
        let inputs = self.images.data.shape().len() as u128;
        let outputs = steps
            .saturating_mul(self.run.batch_size as u128)
            .saturating_mul(inputs + units);
        FLOAT * (OF_PARAMETER * units * (units + inputs)).saturating_add(outputs)
    }
}
