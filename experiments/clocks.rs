//! Two networks that tick at different rates, on a stream of digits: the paper's multi-network
//! system.
//!
//! The paper's claim: where the gradient at the fast network's messages is predicted, the fast
//! network learns at every tick of the slow one instead of once in a whole span, so that both learn
//! faster than if they are coupled, and the slow one learns better than if none comes back.
//! It holds for a synthesizer that sees, beside the message, how many threes the window had; one
//! that sees the message alone never asks for what is not in it (README.md here).
//! Command: `dni clocks`. It takes under three minutes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use burn::tensor::{Device, Tensor};
use clap::{Args, ValueEnum};
use dni::data::{DigitStream, Fingerprint, ImageSet, Stream, generator};
use dni::learner::Network;
use dni::run::Checkpoint;
use dni::train::{Plan, Progress, Task};
use dni::{
    Backend, Clocks, DenseConfig, FastNetwork, Feedback, Init, Loss, LstmConfig, Mlp, Optimizer,
    Quality, SlowNetwork, Span, TargetScale,
};
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::args::{
    MachineArgs, Misuse, OutputArgs, SeedArgs, check_rates, length, positive, rate, scale, set,
};
use crate::comparison::{self, Common, Comparison, Outcomes, Run, Settings as _};
use crate::memory::{FLOAT, OF_PARAMETER};
use crate::recurrent::check_parts;
use crate::shell::quoted_path;
use crate::source::{DataArgs, Source, TestDataArgs};
use crate::stats;
use crate::synthesizer::SynthesizerKind;
use crate::table::Table;

/// Flags of `dni clocks`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct ClocksArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    length: StepsArgs,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    output: OutputArgs,
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
    /// threes there were), none (there are none) [default: all four]
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
    steps: Option<usize>,

    /// Steps between two looks at the test stream [default: a tenth of all]
    #[arg(long, value_name = "N", value_parser = length)]
    eval_every: Option<usize>,

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

impl std::fmt::Display for ClocksMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    run: Common<ClocksMethod>,
    data: Source,
    /// None here and below for all there are.
    examples: Option<usize>,
    test_examples: Option<usize>,
    period: usize,
    units: usize,
    /// None for one hidden layer of as many units.
    synthesizer: Option<SynthesizerKind>,
    scale: f64,
    lr: f64,
    /// None for the synthesizer's own rate, or 0.001.
    synthesizer_lr: Option<f64>,
    /// None for a tenth of all steps.
    eval_every: Option<usize>,
}

impl Settings {
    /// `base`, or else the default, changed by the flags that were given.
    fn from_args(base: Option<&Self>, args: &ClocksArgs) -> Self {
        let mut s = base.cloned().unwrap_or_else(Self::standard);
        let ClocksArgs {
            data,
            network,
            training,
            length,
            ..
        } = args;
        s.run.set_seeds(&length.seeds, &args.machine);
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

    /// What shows the difference in two minutes.
    fn standard() -> Self {
        use ClocksMethod::{Conditional, Coupled, Decoupled, None as NoFeedback};
        Self {
            run: Common {
                experiment: Self::NAME.to_string(),
                backend: Backend::Flex,
                kernel_threads: 1,
                methods: vec![Coupled, Decoupled, Conditional, NoFeedback],
                seed: 1,
                seeds: 1,
                steps: 3_000,
                batch_size: 32,
            },
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
    fn limits(&self) -> [Option<usize>; 2] {
        [self.examples, self.test_examples]
    }

    fn synthesizer(&self) -> SynthesizerKind {
        let hidden = || SynthesizerKind::Mlp(vec![self.units]);
        self.synthesizer.clone().unwrap_or_else(hidden)
    }

    fn synthesizer_lr(&self) -> f64 {
        let rate = self.synthesizer_lr.or(self.synthesizer().own_rate());
        rate.unwrap_or(1e-3)
    }

    /// The networks of one run. They start alike under every method.
    fn build(&self, method: ClocksMethod, seed: u64, device: &Device) -> Result<Clocks, Misuse> {
        let rng = &mut generator(seed, Stream::Parameters);
        let (fast, slow) = (self.fast(rng, device), self.slow(rng, device));
        let feedback = match method {
            ClocksMethod::Coupled => Feedback::Coupled,
            ClocksMethod::None => Feedback::None,
            ClocksMethod::Decoupled | ClocksMethod::Conditional => {
                let contexts = match method {
                    ClocksMethod::Conditional => DigitStream::contexts(self.period),
                    _ => 0,
                };
                let optimizer = Optimizer::adam(self.synthesizer_lr());
                let interface = self
                    .synthesizer()
                    .interface(self.units, contexts, optimizer, rng, device)?;
                Feedback::Synthetic {
                    interface: interface.with_scale(TargetScale::PerExample),
                    scale: self.scale,
                }
            }
        };
        let loss = Loss::CrossEntropy;
        Ok(Clocks::new(loss, self.period, fast, slow, feedback))
    }

    /// Two layers on the image, an LSTM, a readout of counts, and a message.
    fn fast(&self, rng: &mut impl Rng, device: &Device) -> FastNetwork {
        let (units, adam) = (self.units, || Optimizer::adam(self.lr));
        let layers = [self.data.shape().len(), units].map(|inputs| {
            let layer = DenseConfig::new(inputs, units).with_batch_norm(true);
            layer.with_init(Init::He).init(rng, device)
        });
        let core = LstmConfig::new(units, units).init(rng, device);
        let classes = DigitStream::fast_classes(self.period);
        let readout = DenseConfig::new(units, classes).linear();
        let head = DenseConfig::new(units, units).linear();
        let head = head.with_batch_norm(true);
        FastNetwork::new(
            (Mlp::new(layers.to_vec()), adam()),
            (core, adam()),
            (readout.init(rng, device), adam()),
            (head.init(rng, device), adam()),
        )
    }

    /// An LSTM on the messages, and a readout of counts.
    fn slow(&self, rng: &mut impl Rng, device: &Device) -> SlowNetwork {
        let (units, adam) = (self.units, || Optimizer::adam(self.lr));
        let core = LstmConfig::new(units, units).init(rng, device);
        let classes = DigitStream::slow_classes(self.period);
        let readout = DenseConfig::new(units, classes).linear();
        SlowNetwork::new((core, adam()), (readout.init(rng, device), adam()))
    }

    fn evaluate_every(&self) -> usize {
        self.eval_every.unwrap_or((self.run.steps / 10).max(1))
    }

    fn plan(&self) -> Plan<()> {
        let record_every = (self.run.steps / 200).clamp(1, 100);
        Plan {
            record_every,
            evaluate_every: Some(self.evaluate_every()),
            compare_every: Some(self.run.compare_every(record_every)),
            check_every: self.run.check_every(record_every),
            save_every: Duration::from_secs(10),
            ..Plan::new(self.run.steps, ())
        }
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "clocks";

    fn resolve(&mut self) {
        self.synthesizer_lr = Some(self.synthesizer_lr());
        self.synthesizer = Some(self.synthesizer());
        self.eval_every = Some(self.evaluate_every());
    }

    type Method = ClocksMethod;

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

/// The stream that a run learns from, and that which it is tested with.
struct Streams<'a> {
    set: &'a ImageSet,
    data: Option<Fingerprint>,
    train: DigitStream<'a>,
    test: DigitStream<'a>,
    device: Device,
}

impl<'a> Streams<'a> {
    /// Streams of the test side by side.
    const TESTED: usize = 100;

    fn new(
        set: &'a ImageSet,
        settings: &Settings,
        seed: u64,
        device: &Device,
    ) -> dni::Result<Self> {
        let (period, batch) = (settings.period, settings.run.batch_size);
        Ok(Self {
            set,
            data: None,
            train: DigitStream::new(&set.train, seed, period, batch)?,
            test: DigitStream::new(&set.test, seed, period, Self::TESTED)?,
            device: device.clone(),
        })
    }

    /// Says where the images came from: a run that goes on refuses others.
    fn of(mut self, origin: &str) -> Self {
        self.data = Some(self.set.fingerprint(origin));
        self
    }
}

impl Task<Clocks> for Streams<'_> {
    fn data(&self) -> Option<Fingerprint> {
        self.data.clone()
    }

    fn batch(&mut self, step: usize) -> Span {
        self.train.span(step, &self.device)
    }

    fn evaluate(&mut self, clocks: &Clocks) -> dni::Result<BTreeMap<String, f64>> {
        let [fast, slow] = self.measure(clocks);
        let figures = [
            ("fast_error", fast.error),
            ("fast_loss", fast.loss),
            ("slow_error", slow.error),
            ("slow_loss", slow.loss),
        ];
        Ok(figures
            .map(|(name, value)| (name.to_string(), value))
            .into())
    }

    fn compare(&mut self, clocks: &Clocks) -> Vec<Quality> {
        if clocks.interface_names().is_empty() {
            return Vec::new();
        }
        // Always the same, and not from zero states.
        let [before, span] = [0, 1].map(|number| self.train.span(number, &self.device));
        let (_, _, states) = clocks.predict(before.inputs, None);
        clocks.quality(&span, Some(states)).into_iter().collect()
    }
}

/// All results of a call.
#[derive(Debug, Serialize)]
pub struct Report {
    experiment: &'static str,
    backend: Backend,
    data: Source,
    period: usize,
    #[serde(flatten)]
    outcomes: Outcomes<RunResult>,
}

/// The result of one run.
#[derive(Debug, Serialize)]
struct RunResult {
    method: ClocksMethod,
    seed: u64,
    steps: usize,
    seconds: f64,
    steps_per_second: f64,
    /// How well odd digits are counted in streams of test images.
    fast: Measures,
    /// How well threes are.
    slow: Measures,
    /// How good the synthetic gradients at messages are; empty if there are none.
    interfaces: Vec<Quality>,
    run_dir: String,
}

/// How well a network counts.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Measures {
    /// The share of answers that are not the right number.
    error: f64,
    /// The mean loss.
    loss: f64,
    /// How many answers were looked at.
    answers: usize,
}

/// `dni clocks`.
pub fn run(args: ClocksArgs) -> anyhow::Result<()> {
    if let Some(file) = &args.data.show {
        let quiet = args.output.quiet;
        return args.data.write_sheet(file, &args.length.seeds, quiet);
    }
    let (comparison, report) = compare(&args)?;
    comparison.print(&report, &report.outcomes, args.output.format, |report| {
        report.table(&comparison.settings)
    })?;
    report.outcomes.check()
}

/// Trains what the flags ask for.
pub fn compare(args: &ClocksArgs) -> anyhow::Result<(Comparison<Settings>, Report)> {
    let settings = |base: Option<&_>| Settings::from_args(base, args);
    let quiet = args.output.quiet;
    let prepare = |settings: &Settings| -> anyhow::Result<_> {
        Ok(args
            .data
            .common_set(settings.data, settings.limits(), quiet)?)
    };
    let (mut comparison, set) = Comparison::open(&args.machine, &args.output, settings, prepare)?;
    let data_dir = args.data.data_dir.as_deref();
    if !comparison.settings.data.is_drawn() {
        comparison.go_on_with("--data-dir", data_dir.map(quoted_path));
    }
    let settings = &comparison.settings;
    let outcomes = comparison.run(|run| run_one(run, set.as_ref(), data_dir, quiet))?;
    let report = Report {
        experiment: Settings::NAME,
        backend: settings.run.backend,
        data: settings.data,
        period: settings.period,
        outcomes,
    };
    Ok((comparison, report))
}

/// Figures of a run that has been trained, on a stream of the test images of its data or of others.
pub fn evaluate(
    checkpoint: Checkpoint,
    data: &TestDataArgs,
    device: &Device,
) -> anyhow::Result<BTreeMap<String, f64>> {
    let mut settings: Settings = toml::from_str(checkpoint.settings())?;
    let (method, seed) = settings.run.only()?;
    let (own, own_tests) = (settings.data, settings.test_examples);
    set(&mut settings.data, &data.data);
    settings.check()?;
    let limits = [
        settings.examples,
        data.test_examples.or(settings.test_examples),
    ];
    let set = settings
        .data
        .load(data.data_dir.as_deref(), seed, limits, true)?;
    data.check(&checkpoint, &set, own, own_tests)?;
    let mut clocks = settings.build(method, seed, device)?;
    checkpoint.restore(&mut clocks)?;
    Ok(Streams::new(&set, &settings, seed, device)?.evaluate(&clocks)?)
}

/// Trains and measures one run, on the images of all or on its own.
fn run_one(
    run: &Run<Settings>,
    common: Option<&ImageSet>,
    data_dir: Option<&Path>,
    quiet: bool,
) -> anyhow::Result<RunResult> {
    let settings = &run.settings;
    let own = settings.data.own_set(run.seed, settings.limits(), quiet)?;
    let set = common.or(own.as_ref()).expect("there is one of the two");
    let mut clocks = settings.build(run.method, run.seed, run.device)?;
    let origin = settings.data.origin(data_dir);
    let streams = Streams::new(set, settings, run.seed, run.device)?;
    let mut streams = streams.of(&origin);
    let Progress { step, seconds } = run.train(&mut clocks, &mut streams, &settings.plan())?;
    let [fast, slow] = streams.measure(&clocks);
    run.say(&format!(
        "{step} steps in {seconds:.1} s, error of the fast network {:.2} %, of the slow one {:.2} %",
        100.0 * fast.error,
        100.0 * slow.error
    ));
    Ok(RunResult {
        method: run.method,
        seed: run.seed,
        steps: step,
        seconds,
        steps_per_second: step as f64 / seconds,
        fast,
        slow,
        interfaces: streams.compare(&clocks),
        run_dir: run.folder.display().to_string(),
    })
}

impl Streams<'_> {
    /// How well both networks count in the first spans of the test streams, always the same.
    fn measure(&self, clocks: &Clocks) -> [Measures; 2] {
        const SPANS: usize = 20;
        let mut measures = [Measures::default(); 2];
        let mut states = None;
        for number in 0..SPANS {
            let span = self.test.span(number, &self.device);
            let (fast, slow, after) = clocks.predict(span.inputs, states);
            states = Some(after);
            let [windows, streams, classes] = fast.dims();
            let rows = |tensor: Tensor<3>| tensor.reshape([windows * streams, classes]);
            measures[0].add(clocks.loss(), rows(fast), rows(span.fast_targets));
            measures[1].add(clocks.loss(), slow, span.slow_targets);
        }
        measures.map(Measures::averaged)
    }
}

impl Measures {
    /// Adds answers, `[answers, classes]`, to the sums.
    fn add(&mut self, loss: Loss, outputs: Tensor<2>, targets: Tensor<2>) {
        let [answers, _] = outputs.dims();
        let losses = loss.of_each(outputs.clone(), targets.clone());
        self.loss += f64::from(losses.sum().into_scalar::<f32>());
        let right = outputs.argmax(1).equal(targets.argmax(1)).float().sum();
        self.error += answers as f64 - f64::from(right.into_scalar::<f32>());
        self.answers += answers;
    }

    /// Means in the place of sums.
    fn averaged(self) -> Self {
        Self {
            error: self.error / self.answers as f64,
            loss: self.loss / self.answers as f64,
            ..self
        }
    }
}

impl Report {
    /// A row for each method: means over the seeds, with their standard deviation.
    fn table(&self, settings: &Settings) -> Table {
        let mut table = Table::new([
            "method",
            "fast error %",
            "fast loss",
            "slow error %",
            "slow loss",
            "steps/s",
            "cosine",
        ]);
        for method in &settings.run.methods {
            let results = self.outcomes.results.iter().filter(|r| r.method == *method);
            let results: Vec<&RunResult> = results.collect();
            let summary = |digits: usize, figure: &dyn Fn(&RunResult) -> Option<f64>| {
                let figures: Vec<f64> = results.iter().filter_map(|r| figure(r)).collect();
                stats::summary(&figures, digits)
            };
            table.add([
                method.to_string(),
                summary(2, &|r| Some(100.0 * r.fast.error)),
                summary(4, &|r| Some(r.fast.loss)),
                summary(2, &|r| Some(100.0 * r.slow.error)),
                summary(4, &|r| Some(r.slow.loss)),
                summary(1, &|r| Some(r.steps_per_second)),
                stats::cosines(results.iter().filter_map(|r| r.interfaces.first())),
            ]);
        }
        table
    }
}
