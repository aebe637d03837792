//! The settings of `dni clocks`: flags, defaults, and what is refused.

use std::fmt;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::args::{CallArgs, Misuse, SeedArgs, check_rates, length, positive, rate, scale, set};
use crate::comparison::{self, Common, Settings as _};
use crate::memory::{FLOAT, OF_PARAMETER};
use crate::recurrent::check_parts;
use crate::source::{DataArgs, Source};
use crate::synthesizer::SynthesizerKind;

/// Flags of `dni clocks`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct ClocksArgs {
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub length: StepsArgs,
    #[command(flatten)]
    pub call: CallArgs,
}

/// The networks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Steps of the stream in a tick of the slow network, T; it answers after T ticks [default: 4]
    #[arg(long, value_name = "T", value_parser = positive)]
    period: Option<usize>,

    /// Units of the two layers of the front end, of each LSTM, and of a message [default: 128]
    #[arg(long, value_name = "N", value_parser = positive)]
    units: Option<usize>,

    /// Shape of the synthesizer: linear, linear:RANK, rls:RANK (of that rank by recursive least
    /// squares) or mlp:UNITS, with x between several hidden layers [default: one hidden layer of
    /// the network's units]
    #[arg(long, value_name = "KIND")]
    synthesizer: Option<SynthesizerKind>,
}

/// How they learn.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Methods, separated by commas: coupled (gradients go back from the slow network to the fast
    /// one), decoupled (they are predicted), conditional (by a synthesizer that also sees how many
    /// threes there were), none (none come back) [default: all four]
    #[arg(
        long = "method",
        visible_alias = "methods",
        value_name = "METHODS",
        value_delimiter = ','
    )]
    methods: Option<Vec<ClocksMethod>>,

    /// What the synthetic gradient is multiplied by where the fast network learns from it
    /// [default: 3]
    #[arg(long, value_name = "X", value_parser = scale)]
    scale: Option<f64>,

    /// Learning rate of both networks [default: 0.0003]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    lr: Option<f64>,

    /// Learning rate of the synthesizer [default: 0.001]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    synthesizer_lr: Option<f64>,

    /// Streams side by side [default: 32]
    #[arg(long, value_name = "N", value_parser = positive)]
    batch_size: Option<usize>,
}

/// How long they learn, and from which seeds.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Length")]
pub struct StepsArgs {
    /// Training steps, of T^2 digits of every stream each [default: 3000]
    #[arg(long, value_name = "N", value_parser = length)]
    pub steps: Option<usize>,

    /// Steps between two looks at the test stream [default: a tenth of all]
    #[arg(long, value_name = "N", value_parser = length)]
    pub eval_every: Option<usize>,

    #[command(flatten)]
    pub seeds: SeedArgs,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub run: Common<ClocksMethod>,
    pub data: Source,
    /// None here and below for all there are.
    pub examples: Option<usize>,
    pub test_examples: Option<usize>,
    pub period: usize,
    pub units: usize,
    /// None for one hidden layer of as many units.
    pub synthesizer: Option<SynthesizerKind>,
    pub scale: f64,
    pub lr: f64,
    /// None for the synthesizer's own rate, or 0.001.
    pub synthesizer_lr: Option<f64>,
    /// None for a tenth of all steps.
    pub eval_every: Option<usize>,
}

impl Settings {
    /// What shows the difference in two minutes.
    fn standard() -> Self {
        use ClocksMethod::{Conditional, Coupled, Decoupled, None as NoFeedback};
        Self {
            run: Common::new(
                Self::NAME,
                vec![Coupled, Decoupled, Conditional, NoFeedback],
                3_000,
                32,
            ),
            data: Source::Glyphs,
            examples: None,
            test_examples: None,
            period: 4,
            units: 128,
            synthesizer: None,
            scale: 3.0,
            lr: 3e-4,
            synthesizer_lr: None,
            eval_every: None,
        }
    }

    /// How many images there may be, to train on and to test with.
    pub fn limits(&self) -> [Option<usize>; 2] {
        [self.examples, self.test_examples]
    }

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

    type Method = ClocksMethod;
    type Args = ClocksArgs;

    fn from_args(base: Option<&Self>, args: &ClocksArgs) -> Self {
        let mut s = base.cloned().unwrap_or_else(Self::standard);
        let ClocksArgs {
            data,
            network,
            training,
            length,
            ..
        } = args;
        s.run.set_seeds(&length.seeds, &args.call.machine);
        set(&mut s.run.steps, &length.steps);
        set(&mut s.run.methods, &training.methods);
        set(&mut s.run.batch_size, &training.batch_size);
        set(&mut s.data, &data.data);
        s.examples = data.examples.or(s.examples);
        s.test_examples = data.test_examples.or(s.test_examples);
        set(&mut s.period, &network.period);
        set(&mut s.units, &network.units);
        s.synthesizer = network.synthesizer.clone().or(s.synthesizer.take());
        set(&mut s.scale, &training.scale);
        set(&mut s.lr, &training.lr);
        s.synthesizer_lr = training.synthesizer_lr.or(s.synthesizer_lr);
        s.eval_every = length.eval_every.or(s.eval_every);
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
        if !matches!(self.data, Source::Glyphs | Source::Mnist) {
            return Err(Misuse(
                "the stream is one of digits; choose --data glyphs or --data mnist".to_string(),
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
        let inputs = self.data.shape().len() as u128;
        let outputs = steps
            .saturating_mul(self.run.batch_size as u128)
            .saturating_mul(inputs + units);
        FLOAT * (OF_PARAMETER * units * (units + inputs)).saturating_add(outputs)
    }
}
