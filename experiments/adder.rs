//! Binary addition, the notebook's task, by several methods side by side.
//!
//! Claim: a network whose layers are decoupled by synthetic gradients learns the task as well as
//! by backprop if its synthesizers see the label (cDNI), and much more slowly if they do not (DNI).
//! Command: `dni adder`. It takes about a minute on two cores.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use clap::{Args, ValueEnum};
use dni::data::{Adder, Examples, Order, Stream, generator};
use dni::run::Checkpoint;
use dni::train::{Plan, Progress, Task};
use dni::{
    Activation, Backend, Batch, Chain, Dense, DenseConfig, Init, Interface, Lessons, Loss,
    Optimizer, Quality, Reduction, TargetScale,
};
use serde::{Deserialize, Serialize};

use crate::args::{LengthArgs, MachineArgs, Misuse, OutputArgs, check_rates, positive, rate, set};
use crate::comparison::{self, Common, Comparison, Outcomes, Run, Settings as _};
use crate::defaults::{Defaults, DefaultsOf};
use crate::memory::{FLOAT, OF_PARAMETER};
use crate::method::Method;
use crate::rates::RateSchedule;
use crate::sections::{Sections, add_dense, layer_name, quality_of};
use crate::stats;
use crate::synthesizer::{Served, SynthesizerKind};
use crate::table::Table;

/// Flags of `dni adder`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct AdderArgs {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    length: LengthArgs,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The network and how it learns. What is not given comes from the preset or is the default.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Training")]
pub struct NetworkArgs {
    /// One of the notebook's two programs; other flags change it
    #[arg(long, value_enum)]
    preset: Option<Preset>,

    /// Methods, separated by commas: backprop, dni, cdni, none, lambda:X, and dni@N or cdni@N with a
    /// single interface, on top of hidden layer N [default: backprop,dni,cdni, and
    /// dni with a single interface in the middle]
    #[arg(
        long = "method",
        visible_alias = "methods",
        value_name = "METHODS",
        value_delimiter = ','
    )]
    methods: Option<Vec<Method>>,

    /// Units of the hidden layers [default: 64,32]
    #[arg(long, value_name = "UNITS", value_delimiter = ',', value_parser = positive)]
    layers: Option<Vec<usize>>,

    /// Layers of each section from the bottom up, the output layer included, as in 1,2, or every for
    /// one each: interfaces stand between sections, and inside one gradients are exact [default:
    /// every]
    #[arg(long, value_name = "LAYERS")]
    sections: Option<Sections>,

    /// Shape of the synthesizers: linear, linear:RANK, rls:RANK (of that rank by recursive least
    /// squares), label or mlp:UNITS, with x between several hidden layers [default: linear with
    /// labels, without mlp:128 with one interface and mlp:128x128 with more]
    #[arg(long, value_name = "KIND")]
    synthesizer: Option<SynthesizerKind>,

    /// Bits of the sums [default: 8]
    #[arg(long, value_name = "N", value_parser = positive)]
    bits: Option<usize>,

    /// Sums to train on [default: 4096]
    #[arg(long, value_name = "N", value_parser = positive)]
    examples: Option<usize>,

    /// Examples in a batch [default: 256]
    #[arg(long, value_name = "N", value_parser = positive)]
    batch_size: Option<usize>,

    /// Learning rate of the layers [default: 0.004, without labels 0.002 with one interface and
    /// 0.0005 with more]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    lr: Option<f64>,

    /// Learning rate of the synthesizers [default: 3 times that of the layers, without labels 1.5
    /// times with one interface and 4 times with more]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    synthesizer_lr: Option<f64>,

    /// Drops of all learning rates: constant, end (a tenth in the last fifth of the steps), paper (a
    /// tenth after 3/5 of the steps and again after 4/5) or STEP:FACTOR,... [default: end]
    #[arg(long, value_name = "SCHEDULE")]
    lr_schedule: Option<RateSchedule>,
}

/// The notebook's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Its first: 24-128-64-12 by backprop
    NotebookBackprop,
    /// Its second: 16-64-32-8 by DNI
    NotebookDni,
}

/// The update rule of layers and synthesizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rule {
    Adam,
    Sgd,
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub run: Common<Method>,
    preset: Option<Preset>,
    shuffle: bool,
    bits: usize,
    examples: usize,
    pub layers: Vec<usize>,
    #[serde(default)]
    pub sections: Sections,
    hidden_activation: Activation,
    output_activation: Activation,
    bias: bool,
    loss: Loss,
    reduction: Reduction,
    rule: Rule,
    /// None here and below for the default, which depends on the method.
    lr: Option<f64>,
    synthesizer: Option<SynthesizerKind>,
    synthesizer_lr: Option<f64>,
    #[serde(default = "RateSchedule::constant")]
    lr_schedule: RateSchedule,
    target_scale: TargetScale,
    hidden_init: Init,
    output_init: Init,
    /// What the methods use where nothing above says it, as it was when the call began.
    #[serde(default, skip_serializing_if = "DefaultsOf::is_empty")]
    defaults: DefaultsOf,
}

impl Settings {
    /// `base`, or else the preset or the default, changed by the flags that were given.
    pub fn from_args(
        base: Option<&Self>,
        network: &NetworkArgs,
        length: &LengthArgs,
        machine: &MachineArgs,
    ) -> Self {
        let mut s = match (base, network.preset) {
            (Some(base), preset) => Self {
                preset: preset.or(base.preset),
                ..base.clone()
            },
            (None, None) => Self::standard(),
            (None, Some(Preset::NotebookBackprop)) => Self::notebook_backprop(),
            (None, Some(Preset::NotebookDni)) => Self::notebook_dni(),
        };
        s.run.set(length, machine);
        set(&mut s.run.methods, &network.methods);
        set(&mut s.run.batch_size, &network.batch_size);
        set(&mut s.layers, &network.layers);
        set(&mut s.sections, &network.sections);
        if base.is_none() && s.preset.is_none() && network.methods.is_none() {
            s.run.methods = Method::with_placement(s.run.methods, &s.sections, s.layers.len() + 1);
        }
        set(&mut s.bits, &network.bits);
        set(&mut s.examples, &network.examples);
        s.lr = network.lr.or(s.lr);
        s.synthesizer_lr = network.synthesizer_lr.or(s.synthesizer_lr);
        s.synthesizer = network.synthesizer.clone().or(s.synthesizer.take());
        set(&mut s.lr_schedule, &network.lr_schedule);
        s.run.set_epochs(length, s.examples);
        s
    }

    /// Adam on relu layers, which learns the task in a few seconds.
    fn standard() -> Self {
        Self {
            run: Common {
                experiment: Self::NAME.to_string(),
                backend: Backend::Flex,
                kernel_threads: 1,
                methods: vec![Method::Backprop, Method::DNI, Method::CDNI],
                seed: 1,
                seeds: 1,
                steps: 20_000,
                batch_size: 256,
            },
            preset: None,
            shuffle: true,
            bits: 8,
            examples: 4_096,
            layers: vec![64, 32],
            sections: Sections::Every,
            hidden_activation: Activation::Relu,
            output_activation: Activation::Identity,
            bias: true,
            loss: Loss::BinaryCrossEntropy,
            reduction: Reduction::Mean,
            rule: Rule::Adam,
            lr: None,
            synthesizer: None,
            synthesizer_lr: None,
            lr_schedule: RateSchedule::End,
            target_scale: TargetScale::PerExample,
            hidden_init: Init::He,
            output_init: Init::FanIn,
            defaults: DefaultsOf::default(),
        }
    }

    /// What both of the notebook's programs share: sigmoids, squared error summed over batches
    /// that always come in the same order, plain gradient descent.
    fn notebook() -> Self {
        let steps_of_an_epoch = 10;
        let standard = Self::standard();
        Self {
            run: Common {
                methods: vec![Method::DNI],
                batch_size: 10,
                steps: 100_000 * steps_of_an_epoch,
                ..standard.run
            },
            shuffle: false,
            hidden_activation: Activation::Sigmoid,
            output_activation: Activation::Sigmoid,
            loss: Loss::SquaredError,
            reduction: Reduction::Sum,
            rule: Rule::Sgd,
            lr_schedule: RateSchedule::Constant,
            synthesizer: Some(SynthesizerKind::Linear),
            ..standard
        }
    }

    fn notebook_backprop() -> Self {
        let init = Init::Normal {
            mean: -0.1,
            std: 0.2,
        };
        let notebook = Self::notebook();
        Self {
            run: Common {
                methods: vec![Method::Backprop],
                steps: 1_000 * 100,
                ..notebook.run
            },
            preset: Some(Preset::NotebookBackprop),
            bits: 12,
            examples: 1_000,
            layers: vec![128, 64],
            bias: false,
            lr: Some(0.1),
            synthesizer_lr: Some(0.1),
            hidden_init: init,
            output_init: init,
            ..notebook
        }
    }

    fn notebook_dni() -> Self {
        let init = Init::Normal {
            mean: -1.0,
            std: 2.0,
        };
        Self {
            preset: Some(Preset::NotebookDni),
            examples: 100,
            lr: Some(0.01),
            synthesizer_lr: Some(0.01),
            hidden_init: init,
            output_init: init,
            ..Self::notebook()
        }
    }

    /// Refuses what would not fit into memory.
    fn check_sizes(&self) -> Result<(), Misuse> {
        const MOST_PARAMETERS: u128 = 1 << 28;
        if self.parameters() > MOST_PARAMETERS {
            return Err(Misuse(format!(
                "the layers and synthesizers would have over {MOST_PARAMETERS} parameters; choose \
                 fewer units"
            )));
        }
        Ok(())
    }

    /// Refuses what no flag accepts, but a settings file that was edited may hold.
    fn check_what_flags_cannot_say(&self) -> Result<(), Misuse> {
        if self.layers.contains(&0) {
            return Err(Misuse("layers must have at least 1 unit".to_string()));
        }
        for init in [self.hidden_init, self.output_init] {
            if let Init::Normal { mean, std } = init
                && !(mean.is_finite() && std.is_finite() && std >= 0.0)
            {
                return Err(Misuse(format!(
                    "initial values cannot have a mean of {mean} and a standard deviation of {std}"
                )));
            }
        }
        check_rates(&[self.lr, self.synthesizer_lr])
    }

    /// About how many parameters the largest network has, synthesizers included.
    fn parameters(&self) -> u128 {
        let product = |a: usize, b: usize| (a as u128).saturating_mul(b as u128);
        let mut sizes = vec![2 * self.bits];
        sizes.extend(&self.layers);
        sizes.push(self.bits);
        let sections = sizes.windows(2).map(|pair| product(pair[0], pair[1]));
        let methods = self.run.methods.iter();
        let methods = methods.filter(|method| method.credit().uses_synthesizers());
        let kinds: Vec<_> = methods.map(|&method| self.synthesizer_of(method)).collect();
        let synthesizers = self.layers.iter().map(|&units| {
            let values = kinds.iter().map(|kind| kind.values(units, self.bits));
            values.max().unwrap_or(0)
        });
        sections.chain(synthesizers).fold(0, u128::saturating_add)
    }

    fn sums(&self, seed: u64) -> dni::Result<Adder> {
        Adder::new(
            self.bits,
            self.examples,
            &mut generator(seed, Stream::Examples),
        )
    }

    fn order(&self, seed: u64) -> dni::Result<Order> {
        let shuffle = self.shuffle.then_some(seed);
        Order::new(self.examples, self.run.batch_size, shuffle)
    }

    /// What a method learns with where nobody says it: the rate of the layers, by how much that of the
    /// synthesizers is higher, and their shape. Synthesizers without labels are so far behind that
    /// layers must learn more slowly, the more so where one learns from another.
    fn standard_of(&self, method: Method) -> (f64, f64, SynthesizerKind) {
        match (method.learns_blindly(), self.sections_of(method).len()) {
            (false, _) => (4e-3, 3.0, SynthesizerKind::Linear),
            (true, ..=2) => (2e-3, 1.5, SynthesizerKind::Mlp(vec![128])),
            (true, _) => (5e-4, 4.0, SynthesizerKind::Mlp(vec![128, 128])),
        }
    }

    fn lr_of(&self, method: Method) -> f64 {
        let known = self.defaults.get(method).map(|known| known.lr);
        self.lr.or(known).unwrap_or(self.standard_of(method).0)
    }

    fn synthesizer_lr_of(&self, method: Method) -> f64 {
        let of_kind = self.synthesizer_of(method).own_rate();
        let known = self
            .defaults
            .get(method)
            .and_then(|known| known.synthesizer_lr);
        let rate = self.synthesizer_lr.or(known).or(of_kind);
        rate.unwrap_or(self.standard_of(method).1 * self.lr_of(method))
    }

    /// What a method learns with.
    fn defaults_of(&self, method: Method) -> Defaults {
        let has_synthesizers = method.credit().uses_synthesizers();
        Defaults {
            lr: self.lr_of(method),
            synthesizer: has_synthesizers.then(|| self.synthesizer_of(method)),
            synthesizer_lr: has_synthesizers.then(|| self.synthesizer_lr_of(method)),
        }
    }

    fn synthesizer_of(&self, method: Method) -> SynthesizerKind {
        let known = self.defaults.get(method);
        self.synthesizer
            .clone()
            .or(known.and_then(|known| known.synthesizer.clone()))
            .unwrap_or(self.standard_of(method).2)
    }

    fn optimizer(&self, lr: f64) -> Optimizer {
        match self.rule {
            Rule::Adam => Optimizer::adam(lr),
            Rule::Sgd => Optimizer::sgd(lr),
        }
    }

    /// The network of one run. Its layers start alike under every method.
    pub fn chain(&self, method: Method, seed: u64, device: &Device) -> Result<Chain, Misuse> {
        let rng = &mut generator(seed, Stream::Parameters);
        let top = self.layers.len();
        let mut inputs = 2 * self.bits;
        let mut layers: Vec<Dense> = Vec::with_capacity(top + 1);
        for (i, &outputs) in self.layers.iter().chain([&self.bits]).enumerate() {
            let (activation, init) = if i < top {
                (self.hidden_activation, self.hidden_init)
            } else {
                (self.output_activation, self.output_init)
            };
            let config = DenseConfig::new(inputs, outputs)
                .with_activation(activation)
                .with_bias(self.bias)
                .with_init(init);
            layers.push(config.init(rng, device));
            inputs = outputs;
        }
        let mut chain = Chain::new(self.loss).with_reduction(self.reduction);
        let (mut layers, mut below) = (layers.into_iter(), 0);
        for size in self.sections_of(method) {
            below += size;
            let name = layer_name(below - 1, top + 1);
            let own = layers.by_ref().take(size).collect();
            chain = add_dense(chain, name, own, self.optimizer(self.lr_of(method)));
            if below <= top && method.credit().uses_synthesizers() {
                let interface = self.interface(method, self.layers[below - 1], rng, device)?;
                chain = chain.interface(interface);
            }
        }
        Ok(chain)
    }

    /// The layers of each section.
    pub fn sections_of(&self, method: Method) -> Vec<usize> {
        method.sections(&self.sections, self.layers.len() + 1)
    }

    fn interface(
        &self,
        method: Method,
        features: usize,
        rng: &mut impl rand::Rng,
        device: &Device,
    ) -> Result<Interface, Misuse> {
        let optimizer = self.optimizer(self.synthesizer_lr_of(method));
        let contexts = if method.is_conditional() {
            self.bits
        } else {
            0
        };
        let kind = self.synthesizer_of(method);
        let interface = kind.interface(features, contexts, optimizer, rng, device)?;
        Ok(interface.with_scale(self.target_scale))
    }

    fn plan(&self, method: Method) -> Plan<Lessons> {
        let record_every = (self.run.steps / 200).clamp(1, 100);
        Plan {
            record_every,
            evaluate_every: Some((self.run.steps / 10).max(1)),
            compare_every: Some(self.run.compare_every(record_every)),
            check_every: self.run.check_every(record_every),
            drops: self.lr_schedule.drops(self.run.steps),
            save_every: std::time::Duration::from_secs(1),
            ..Plan::new(self.run.steps, method.credit())
        }
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "adder";

    type Method = Method;

    fn resolve(&mut self) {
        let defaults = DefaultsOf::new(&self.run.methods, |method| self.defaults_of(method));
        self.defaults = defaults.put(
            &mut self.lr,
            &mut self.synthesizer,
            &mut self.synthesizer_lr,
        );
    }

    fn common(&self) -> &Common<Method> {
        &self.run
    }

    fn common_mut(&mut self) -> &mut Common<Method> {
        &mut self.run
    }

    fn check(&self) -> Result<(), Misuse> {
        self.run.check()?;
        Adder::check(self.bits, self.examples)
            .and_then(|_| self.order(self.run.seed))
            .map_err(|error| Misuse(error.to_string()))?;
        self.sections.check(self.layers.len() + 1)?;
        for &method in &self.run.methods {
            method.check_sections(self.layers.len() + 1)?;
            let served = Served {
                images: false,
                classes: false,
            };
            let synthesizer = self.synthesizer_of(method);
            synthesizer.check(method, served)?;
            let is_used = method.credit().uses_synthesizers();
            self.run
                .check_norm(is_used && synthesizer.has_batch_norm())?;
        }
        self.check_sizes()?;
        self.check_what_flags_cannot_say()
    }

    fn memory(&self) -> u128 {
        let widths = self.layers.iter().map(|&units| units as u128);
        let of_example = widths.fold(0, u128::saturating_add);
        let outputs = of_example.saturating_mul(self.run.batch_size as u128);
        FLOAT * (OF_PARAMETER * self.parameters()).saturating_add(outputs)
    }
}

/// The batches of a run.
pub struct Sums {
    data: Adder,
    order: Order,
    settings: Settings,
    device: Device,
}

impl Sums {
    pub fn new(settings: &Settings, seed: u64, device: &Device) -> dni::Result<Self> {
        Ok(Self {
            data: settings.sums(seed)?,
            order: settings.order(seed)?,
            settings: settings.clone(),
            device: device.clone(),
        })
    }
}

impl Task<Chain> for Sums {
    fn batch(&mut self, step: usize) -> Batch {
        let (input, target) = self.data.train.rows(self.order.rows(step), &self.device);
        with_label(input, target)
    }

    fn evaluate(&mut self, chain: &Chain) -> dni::Result<BTreeMap<String, f64>> {
        let unseen = &self.data.test;
        if unseen.is_empty() {
            return Ok(BTreeMap::new());
        }
        let measures = Measures::of(&self.settings, chain, unseen, &self.device);
        let error = 1.0 - measures.exact;
        Ok(BTreeMap::from([("unseen_error".to_string(), error)]))
    }

    fn compare(&mut self, chain: &Chain) -> Vec<Quality> {
        // Always the same, so that what changes is the network.
        let batch = self.batch(0);
        chain.quality(&batch)
    }
}

/// In cDNI the context is the label.
fn with_label(input: Tensor<2>, target: Tensor<2>) -> Batch {
    Batch {
        input,
        context: Some(target.clone()),
        target,
    }
}

/// All results of a call.
#[derive(Debug, Serialize)]
pub struct Report {
    experiment: &'static str,
    backend: Backend,
    #[serde(flatten)]
    outcomes: Outcomes<RunResult>,
}

/// The result of one run.
#[derive(Debug, Serialize)]
struct RunResult {
    method: Method,
    seed: u64,
    steps: usize,
    seconds: f64,
    steps_per_second: f64,
    /// The mean loss of the training sums after the last step.
    loss: f64,
    train: Measures,
    /// On sums never seen; none if there are no others.
    test: Option<Measures>,
    interfaces: Vec<Quality>,
    run_dir: String,
}

/// How well sums are answered.
#[derive(Debug, Serialize)]
struct Measures {
    /// The share of bits that are right.
    bit_accuracy: f64,
    /// The share of sums of which all bits are right.
    exact: f64,
    /// The notebook's 'Loss', for its presets.
    #[serde(skip_serializing_if = "Option::is_none")]
    notebook_loss: Option<f64>,
}

/// `dni adder`.
pub fn run(args: AdderArgs) -> anyhow::Result<()> {
    let (comparison, report) = compare(&args)?;
    comparison.print(&report, &report.outcomes, args.output.format, |report| {
        report.table(&comparison.settings)
    })?;
    report.outcomes.check()
}

/// Trains what the flags ask for.
pub fn compare(args: &AdderArgs) -> anyhow::Result<(Comparison<Settings>, Report)> {
    let settings =
        |base: Option<&_>| Settings::from_args(base, &args.network, &args.length, &args.machine);
    // There is nothing that could be missing.
    let prepare = |_: &Settings| Ok(());
    let (comparison, ()) = Comparison::open(&args.machine, &args.output, settings, prepare)?;
    let report = Report {
        experiment: Settings::NAME,
        backend: comparison.settings.run.backend,
        outcomes: comparison.run(run_one)?,
    };
    Ok((comparison, report))
}

/// Figures of a run that has been trained, on the sums that it has not seen.
pub fn evaluate(checkpoint: Checkpoint, device: &Device) -> anyhow::Result<BTreeMap<String, f64>> {
    let settings: Settings = toml::from_str(checkpoint.settings())?;
    let (method, seed) = settings.run.only()?;
    let mut chain = settings.chain(method, seed, device)?;
    checkpoint.restore(&mut chain)?;
    Ok(Sums::new(&settings, seed, device)?.evaluate(&chain)?)
}

/// Trains and measures one run.
fn run_one(run: &Run<Settings>) -> anyhow::Result<RunResult> {
    let mut chain = run.settings.chain(run.method, run.seed, run.device)?;
    let mut sums = Sums::new(&run.settings, run.seed, run.device)?;
    let plan = run.settings.plan(run.method);
    let progress = run.train(&mut chain, &mut sums, &plan)?;
    let result = RunResult::measure(run, &chain, &sums, progress);
    run.say(&format!(
        "{} steps in {:.1} s, loss {:.4}",
        result.steps, result.seconds, result.loss
    ));
    Ok(result)
}

impl RunResult {
    fn measure(run: &Run<Settings>, chain: &Chain, sums: &Sums, progress: Progress) -> Self {
        const LOOKED_AT: usize = 1_024;
        let rows: Vec<usize> = (0..sums.data.train.len().min(LOOKED_AT)).collect();
        let (input, target) = sums.data.train.rows(&rows, &sums.device);
        let interfaces = chain.quality(&with_label(input, target));
        let (input, target) = sums.data.train.all(&sums.device);
        let loss = chain.loss_of(&with_label(input, target)).into();
        let measures =
            |examples: &Examples| Measures::of(&run.settings, chain, examples, &sums.device);
        let test = Some(&sums.data.test).filter(|test| !test.is_empty());
        Self {
            method: run.method,
            seed: run.seed,
            steps: progress.step,
            seconds: progress.seconds,
            steps_per_second: progress.step as f64 / progress.seconds,
            loss,
            train: measures(&sums.data.train),
            test: test.map(measures),
            interfaces,
            run_dir: run.folder.display().to_string(),
        }
    }
}

impl Measures {
    fn of(settings: &Settings, chain: &Chain, examples: &Examples, device: &Device) -> Self {
        let (input, target) = examples.all(device);
        let read = |tensor: Tensor<2>| {
            let values = tensor.into_data().try_into_vec::<f32>();
            values.expect("outputs are f32")
        };
        let (output, target) = (read(chain.predict(input)), read(target));
        let one = match settings.output_activation {
            Activation::Sigmoid => 0.5,
            _ => 0.0,
        };
        let right: Vec<bool> = output
            .iter()
            .zip(&target)
            .map(|(&output, &target)| (output > one) == (target > 0.5))
            .collect();
        let exact = right
            .chunks_exact(settings.bits)
            .filter(|bits| bits.iter().all(|&right| right))
            .count();
        Self {
            bit_accuracy: right.iter().filter(|&&right| right).count() as f64 / right.len() as f64,
            exact: exact as f64 / examples.len() as f64,
            notebook_loss: settings
                .preset
                .map(|preset| notebook_loss(preset, &output, &target)),
        }
    }
}

/// What the notebook prints as 'Loss', for all examples at once. Its two programs differ: the
/// first multiplies the error by the derivative of the sigmoid.
fn notebook_loss(preset: Preset, output: &[f32], target: &[f32]) -> f64 {
    output
        .iter()
        .zip(target)
        .map(|(&h, &y)| match preset {
            Preset::NotebookBackprop => f64::from(((h - y) * h * (1.0 - h)).abs()),
            Preset::NotebookDni => f64::from((h - y).abs()),
        })
        .sum()
}

impl Report {
    /// A row for each method: means over the seeds, with their standard deviation.
    fn table(&self, settings: &Settings) -> Table {
        let mut header: Vec<String> = [
            "method",
            "loss",
            "train bits %",
            "train sums %",
            "unseen bits %",
            "unseen sums %",
            "steps/s",
        ]
        .map(String::from)
        .to_vec();
        header.extend((1..=settings.layers.len()).map(|i| format!("cosine {i}")));
        if settings.preset.is_some() {
            header.extend(["loss", "synthetic loss"].map(|loss| format!("notebook {loss}")));
        }
        let mut table = Table::new(header);
        for method in &settings.run.methods {
            let results: Vec<&RunResult> = self
                .outcomes
                .results
                .iter()
                .filter(|r| r.method == *method)
                .collect();
            let summary = |digits: usize, figure: &dyn Fn(&RunResult) -> Option<f64>| {
                let figures: Vec<f64> = results.iter().filter_map(|r| figure(r)).collect();
                stats::summary(&figures, digits)
            };
            let mut row = vec![
                method.to_string(),
                summary(4, &|r| Some(r.loss)),
                summary(2, &|r| Some(100.0 * r.train.bit_accuracy)),
                summary(2, &|r| Some(100.0 * r.train.exact)),
                summary(2, &|r| r.test.as_ref().map(|t| 100.0 * t.bit_accuracy)),
                summary(2, &|r| r.test.as_ref().map(|t| 100.0 * t.exact)),
                summary(0, &|r| Some(r.steps_per_second)),
            ];
            for i in 0..settings.layers.len() {
                let interfaces = results.iter().map(|r| &r.interfaces[..]);
                row.push(stats::cosines(
                    interfaces.filter_map(|qualities| quality_of(qualities, i)),
                ));
            }
            if settings.preset.is_some() {
                row.push(summary(2, &|r| r.train.notebook_loss));
                let top = |r: &RunResult| r.interfaces.last().and_then(|q| q.absolute_error);
                row.push(summary(1, &top));
            }
            table.add(row);
        }
        table
    }
}
