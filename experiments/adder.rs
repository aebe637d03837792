//! Binary addition, the notebook's task, by several methods side by side.
//!
//! Claim: a network whose layers are decoupled by synthetic gradients learns the task as well as
//! by backprop if its synthesizers see the label (cDNI), and much more slowly if they do not (DNI).
//! Command: `dni adder`. It takes about a minute on two cores.

use std::path::Path;

use anyhow::Context;
use burn::tensor::{Device, Tensor};
use clap::{Args, ValueEnum};
use dni::data::{Adder, Examples, Order, Stream, generator};
use dni::run::{Plan, Progress, Task};
use dni::{
    Activation, Backend, Batch, Chain, Dense, DenseConfig, Init, Interface,
    LinearSynthesizerConfig, Loss, MlpSynthesizerConfig, Optimizer, Quality, Reduction,
    TargetScale,
};
use serde::{Deserialize, Serialize};

use crate::args::{Format, MachineArgs, Misuse, OutputArgs, positive, rate};
use crate::method::{Method, SynthesizerKind};
use crate::output;
use crate::session::{self, Session};
use crate::stats;
use crate::table::Table;

const NAME: &str = "adder";

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

    /// Methods, separated by commas: backprop, dni, cdni, none, lambda:X [default:
    /// backprop,dni,cdni]
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

    /// Shape of the synthesizers: linear or mlp:UNITS [default: linear with labels, mlp:256
    /// without]
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

    /// Learning rate of the layers [default: 0.004, without labels 0.0003]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    lr: Option<f64>,

    /// Learning rate of the synthesizers [default: 3 times that of the layers, without labels 10
    /// times]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    synthesizer_lr: Option<f64>,
}

/// How long it learns, and from which seeds.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Length")]
pub struct LengthArgs {
    /// Training steps [default: 20000]
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "epochs")]
    steps: Option<usize>,

    /// Training length in passes through the examples, instead of steps
    #[arg(long, value_name = "N", value_parser = positive)]
    epochs: Option<usize>,

    /// Seed of everything random [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Runs of each method, with consecutive seeds [default: 1]
    #[arg(long, value_name = "N", value_parser = positive)]
    seeds: Option<usize>,
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
    experiment: String,
    pub backend: Backend,
    pub kernel_threads: usize,
    preset: Option<Preset>,
    pub methods: Vec<Method>,
    seed: u64,
    seeds: usize,
    steps: usize,
    pub batch_size: usize,
    shuffle: bool,
    bits: usize,
    examples: usize,
    pub layers: Vec<usize>,
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
    target_scale: TargetScale,
    hidden_init: Init,
    output_init: Init,
}

impl Settings {
    /// The preset or the default, changed by the flags that were given.
    pub fn from_args(
        network: &NetworkArgs,
        length: &LengthArgs,
        machine: &MachineArgs,
    ) -> Result<Self, Misuse> {
        let mut s = match network.preset {
            None => Self::standard(),
            Some(Preset::NotebookBackprop) => Self::notebook_backprop(),
            Some(Preset::NotebookDni) => Self::notebook_dni(),
        };
        s.set(network, length, machine);
        s.check()?;
        Ok(s)
    }

    /// Changes what flags were given for, but for the preset.
    fn set(&mut self, network: &NetworkArgs, length: &LengthArgs, machine: &MachineArgs) {
        fn set<T: Clone>(setting: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                setting.clone_from(value);
            }
        }
        set(&mut self.methods, &network.methods);
        set(&mut self.layers, &network.layers);
        set(&mut self.bits, &network.bits);
        set(&mut self.examples, &network.examples);
        set(&mut self.steps, &length.steps);
        set(&mut self.batch_size, &network.batch_size);
        set(&mut self.seed, &length.seed);
        set(&mut self.seeds, &length.seeds);
        self.lr = network.lr.or(self.lr);
        self.synthesizer_lr = network.synthesizer_lr.or(self.synthesizer_lr);
        self.synthesizer = network.synthesizer.clone().or(self.synthesizer.take());
        if let Some(backend) = machine.backend {
            self.backend = backend.resolve();
        }
        set(&mut self.kernel_threads, &machine.kernel_threads);
        if let Some(epochs) = length.epochs {
            self.steps = epochs.saturating_mul(self.examples / self.batch_size);
        }
    }

    /// Adam on relu layers, which learns the task in a few seconds.
    fn standard() -> Self {
        Self {
            experiment: NAME.to_string(),
            backend: Backend::Flex,
            kernel_threads: 1,
            preset: None,
            methods: vec![Method::Backprop, Method::Dni, Method::Cdni],
            seed: 1,
            seeds: 1,
            steps: 20_000,
            batch_size: 256,
            shuffle: true,
            bits: 8,
            examples: 4_096,
            layers: vec![64, 32],
            hidden_activation: Activation::Relu,
            output_activation: Activation::Identity,
            bias: true,
            loss: Loss::BinaryCrossEntropy,
            reduction: Reduction::Mean,
            rule: Rule::Adam,
            lr: None,
            synthesizer: None,
            synthesizer_lr: None,
            target_scale: TargetScale::PerExample,
            hidden_init: Init::He,
            output_init: Init::FanIn,
        }
    }

    /// What both of the notebook's programs share: sigmoids, squared error summed over batches
    /// that always come in the same order, plain gradient descent.
    fn notebook() -> Self {
        let steps_of_an_epoch = 10;
        Self {
            batch_size: 10,
            steps: 100_000 * steps_of_an_epoch,
            shuffle: false,
            hidden_activation: Activation::Sigmoid,
            output_activation: Activation::Sigmoid,
            loss: Loss::SquaredError,
            reduction: Reduction::Sum,
            rule: Rule::Sgd,
            synthesizer: Some(SynthesizerKind::Linear),
            ..Self::standard()
        }
    }

    fn notebook_backprop() -> Self {
        let init = Init::Normal {
            mean: -0.1,
            std: 0.2,
        };
        Self {
            preset: Some(Preset::NotebookBackprop),
            methods: vec![Method::Backprop],
            bits: 12,
            examples: 1_000,
            steps: 1_000 * 100,
            layers: vec![128, 64],
            bias: false,
            lr: Some(0.1),
            synthesizer_lr: Some(0.1),
            hidden_init: init,
            output_init: init,
            ..Self::notebook()
        }
    }

    fn notebook_dni() -> Self {
        let init = Init::Normal {
            mean: -1.0,
            std: 2.0,
        };
        Self {
            preset: Some(Preset::NotebookDni),
            methods: vec![Method::Dni],
            examples: 100,
            lr: Some(0.01),
            synthesizer_lr: Some(0.01),
            hidden_init: init,
            output_init: init,
            ..Self::notebook()
        }
    }

    /// Refuses what could not be trained, before anything is.
    fn check(&self) -> Result<(), Misuse> {
        Adder::check(self.bits, self.examples)
            .and_then(|_| self.order(self.seed))
            .map_err(|error| Misuse(error.to_string()))?;
        for (i, method) in self.methods.iter().enumerate() {
            if self.methods[..i].contains(method) {
                return Err(Misuse(format!(
                    "the method {method} is given twice; name each method once"
                )));
            }
        }
        self.check_sizes()?;
        self.check_what_flags_cannot_say()
    }

    /// Refuses what would never end, or not fit into memory.
    fn check_sizes(&self) -> Result<(), Misuse> {
        // TOML has no larger numbers.
        const MOST: u64 = i64::MAX as u64;
        if self.steps as u64 > MOST {
            return Err(Misuse(format!(
                "so many steps never end; choose up to {MOST}"
            )));
        }
        if self.seed.saturating_add(self.seeds as u64) > MOST {
            return Err(Misuse(format!(
                "the seed {} is too large; choose seeds below {MOST}",
                self.seed
            )));
        }
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
        if self.layers.contains(&0) || self.steps == 0 || self.seeds == 0 {
            return Err(Misuse(
                "layers, steps and seeds must be at least 1".to_string(),
            ));
        }
        if self.methods.is_empty() {
            return Err(Misuse("there is no method to run".to_string()));
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
        for rate in [self.lr, self.synthesizer_lr].into_iter().flatten() {
            if !(rate > 0.0 && rate.is_finite()) {
                return Err(Misuse(format!(
                    "a learning rate must be a number above 0, not {rate}"
                )));
            }
        }
        Ok(())
    }

    /// About how many parameters the largest network has, synthesizers included.
    fn parameters(&self) -> u128 {
        let product = |a: usize, b: usize| (a as u128).saturating_mul(b as u128);
        let mut sizes = vec![2 * self.bits];
        sizes.extend(&self.layers);
        sizes.push(self.bits);
        let sections = sizes.windows(2).map(|pair| product(pair[0], pair[1]));
        let synthesizers = self.layers.iter().flat_map(|&units| {
            let mut sizes = vec![units.saturating_add(self.bits)];
            for &method in &self.methods {
                if let SynthesizerKind::Mlp(hidden) = self.synthesizer_of(method) {
                    sizes.extend(hidden);
                }
            }
            sizes.push(units);
            let products = sizes.windows(2).map(|pair| product(pair[0], pair[1]));
            products.collect::<Vec<u128>>()
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
        Order::new(self.examples, self.batch_size, shuffle)
    }

    /// The learning rate of the layers. Synthesizers without labels are so far behind that layers
    /// must learn more slowly.
    fn lr_of(&self, method: Method) -> f64 {
        self.lr
            .unwrap_or(if learns_blindly(method) { 3e-4 } else { 4e-3 })
    }

    fn synthesizer_lr_of(&self, method: Method) -> f64 {
        let times = if learns_blindly(method) { 10.0 } else { 3.0 };
        self.synthesizer_lr.unwrap_or(times * self.lr_of(method))
    }

    fn synthesizer_of(&self, method: Method) -> SynthesizerKind {
        self.synthesizer
            .clone()
            .unwrap_or(if learns_blindly(method) {
                SynthesizerKind::Mlp(vec![256])
            } else {
                SynthesizerKind::Linear
            })
    }

    fn optimizer(&self, lr: f64) -> Optimizer {
        match self.rule {
            Rule::Adam => Optimizer::adam(lr),
            Rule::Sgd => Optimizer::sgd(lr),
        }
    }

    /// The network of one run. Its layers start alike under every method.
    pub fn chain(&self, method: Method, seed: u64, device: &Device) -> Chain {
        let rng = &mut generator(seed, Stream::Parameters);
        let top = self.layers.len();
        let mut inputs = 2 * self.bits;
        let mut sections: Vec<Dense> = Vec::with_capacity(top + 1);
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
            sections.push(config.init(rng, device));
            inputs = outputs;
        }
        let mut chain = Chain::new(self.loss).with_reduction(self.reduction);
        for (i, section) in sections.into_iter().enumerate() {
            let name = if i < top {
                format!("hidden{}", i + 1)
            } else {
                "output".to_string()
            };
            chain = chain.section(name, section, self.optimizer(self.lr_of(method)));
            if i < top && method.credit().uses_synthesizers() {
                let interface = self.interface(method, self.layers[i], rng, device);
                chain = chain.interface(interface);
            }
        }
        chain
    }

    fn interface(
        &self,
        method: Method,
        features: usize,
        rng: &mut impl rand::Rng,
        device: &Device,
    ) -> Interface {
        let optimizer = self.optimizer(self.synthesizer_lr_of(method));
        let contexts = if method.is_conditional() {
            self.bits
        } else {
            0
        };
        let interface = match self.synthesizer_of(method) {
            SynthesizerKind::Linear => {
                let config = LinearSynthesizerConfig::new(features).with_contexts(contexts);
                Interface::new(config.init(rng, device), optimizer)
            }
            SynthesizerKind::Mlp(hidden) => {
                let config = MlpSynthesizerConfig::new(features, hidden).with_contexts(contexts);
                Interface::new(config.init(rng, device), optimizer)
            }
        };
        interface.with_scale(self.target_scale)
    }

    fn plan(&self, method: Method) -> Plan {
        let record_every = (self.steps / 200).clamp(1, 100);
        Plan {
            record_every,
            check_every: if self.backend == Backend::Wgpu {
                record_every
            } else {
                1
            },
            save_every: std::time::Duration::from_secs(1),
            ..Plan::new(self.steps, method.credit())
        }
    }
}

/// Whether the method has synthesizers that do not see the label.
fn learns_blindly(method: Method) -> bool {
    method.credit().uses_synthesizers() && !method.is_conditional()
}

/// The batches of a run.
pub struct Sums {
    data: Adder,
    order: Order,
    device: Device,
}

impl Sums {
    pub fn new(settings: &Settings, seed: u64, device: &Device) -> dni::Result<Self> {
        Ok(Self {
            data: settings.sums(seed)?,
            order: settings.order(seed)?,
            device: device.clone(),
        })
    }
}

impl Task for Sums {
    fn batch(&mut self, step: usize) -> Batch {
        let (input, target) = self.data.train.rows(self.order.rows(step), &self.device);
        with_label(input, target)
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
struct Report {
    experiment: &'static str,
    backend: Backend,
    results: Vec<RunResult>,
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
    let saved: Option<Settings> = args
        .output
        .resume
        .as_deref()
        .map(session::read_settings)
        .transpose()?;
    prepare_kernels(match &saved {
        Some(saved) => saved.kernel_threads,
        None => args.machine.kernel_threads.unwrap_or(1),
    })?;
    let settings = match saved {
        Some(saved) => resumed_settings(saved, &args)?,
        None => Settings::from_args(&args.network, &args.length, &args.machine)?,
    };
    let folder = args
        .output
        .resume
        .clone()
        .or(args.output.run_dir.clone())
        .unwrap_or_else(|| session::default_folder(NAME));
    let device = settings.backend.device()?;
    let session = Session::new(NAME, folder, args.output.quiet)?;
    if args.output.resume.is_none() {
        session.create(&session::write_settings(&settings)?)?;
    } else if let Some(asked) = args.machine.backend
        && asked.resolve() != settings.backend
    {
        session.say(&format!(
            "going on with backend {}, as the folder says",
            settings.backend
        ));
    }
    let mut report = Report {
        experiment: NAME,
        backend: settings.backend,
        results: Vec::new(),
    };
    for &method in &settings.methods {
        for seed in settings.seed..settings.seed + settings.seeds as u64 {
            let result = run_one(&session, &settings, method, seed, &device)?;
            report.results.push(result);
        }
    }
    match args.output.format {
        Format::Json => output::print(&(serde_json::to_string(&report)? + "\n")),
        Format::Text => {
            let table = report.table(&settings).to_text();
            output::print(&format!("{table}runs: {}\n", session.folder.display()))
        }
    }
}

/// Sets the number of threads of the CPU backends: the first thing that an experiment does, before
/// anything starts a thread.
pub fn prepare_kernels(threads: usize) -> anyhow::Result<()> {
    // SAFETY: the program has started no other thread yet that could read the environment.
    unsafe { std::env::set_var("MATMUL_NUM_THREADS", threads.to_string()) };
    dni::backend::set_kernel_threads(threads)?;
    Ok(())
}

/// The settings of runs that are to go on. Flags that would change them are refused.
fn resumed_settings(saved: Settings, args: &AdderArgs) -> anyhow::Result<Settings> {
    if saved.experiment != NAME {
        return Err(Misuse(format!(
            "cannot resume: the folder holds runs of the experiment '{}'; use dni {0} --resume",
            saved.experiment
        ))
        .into());
    }
    saved.check()?;
    let mut asked = saved.clone();
    asked.preset = args.network.preset.or(saved.preset);
    asked.set(&args.network, &args.length, &args.machine);
    // The variable is a default, not a wish for this run.
    if std::env::var_os("DNI_BACKEND").is_some() {
        asked.backend = saved.backend;
    }
    if asked != saved {
        return Err(Misuse(
            "--resume goes on under the settings in the folder; leave out the flags that differ \
             from them"
                .to_string(),
        )
        .into());
    }
    Ok(saved)
}

/// Trains and measures one run.
fn run_one(
    session: &Session,
    settings: &Settings,
    method: Method,
    seed: u64,
    device: &Device,
) -> anyhow::Result<RunResult> {
    let own = Settings {
        methods: vec![method],
        seed,
        seeds: 1,
        ..settings.clone()
    };
    let is_alone = settings.methods.len() * settings.seeds == 1;
    let folder = if is_alone {
        session.folder.clone()
    } else {
        session
            .folder
            .join(format!("{method}-seed{seed}").replace(':', "-"))
    };
    let mut chain = own.chain(method, seed, device);
    let mut sums = Sums::new(&own, seed, device)?;
    let label = format!("{method}, seed {seed}");
    let progress = session.train(
        &label,
        &folder,
        &session::write_settings(&own)?,
        &mut chain,
        &mut sums,
        &own.plan(method),
    )?;
    let result = RunResult::measure(&own, method, seed, &chain, &sums, progress, &folder)
        .with_context(|| format!("{label} cannot be measured"))?;
    session.say(&format!(
        "{label}: {} steps in {:.1} s, loss {:.4}",
        result.steps, result.seconds, result.loss
    ));
    Ok(result)
}

impl RunResult {
    fn measure(
        settings: &Settings,
        method: Method,
        seed: u64,
        chain: &Chain,
        sums: &Sums,
        progress: Progress,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        const LOOKED_AT: usize = 1_024;
        let rows: Vec<usize> = (0..sums.data.train.len().min(LOOKED_AT)).collect();
        let (input, target) = sums.data.train.rows(&rows, &sums.device);
        let interfaces = chain.quality(&with_label(input, target));
        let (input, target) = sums.data.train.all(&sums.device);
        let loss = chain.loss_of(&with_label(input, target)).into();
        let measures = |examples: &Examples| Measures::of(settings, chain, examples, &sums.device);
        let test = Some(&sums.data.test).filter(|test| !test.is_empty());
        Ok(Self {
            method,
            seed,
            steps: progress.step,
            seconds: progress.seconds,
            steps_per_second: progress.step as f64 / progress.seconds,
            loss,
            train: measures(&sums.data.train)?,
            test: test.map(measures).transpose()?,
            interfaces,
            run_dir: folder.display().to_string(),
        })
    }
}

impl Measures {
    fn of(
        settings: &Settings,
        chain: &Chain,
        examples: &Examples,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let (input, target) = examples.all(device);
        let read = |tensor: Tensor<2>| {
            tensor
                .into_data()
                .try_into_vec::<f32>()
                .map_err(|error| anyhow::anyhow!("cannot read the outputs: {error:?}"))
        };
        let (output, target) = (read(chain.predict(input))?, read(target)?);
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
        Ok(Self {
            bit_accuracy: right.iter().filter(|&&right| right).count() as f64 / right.len() as f64,
            exact: exact as f64 / examples.len() as f64,
            notebook_loss: settings
                .preset
                .map(|preset| notebook_loss(preset, &output, &target)),
        })
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
        for method in &settings.methods {
            let results: Vec<&RunResult> = self
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
                row.push(summary(2, &|r| r.interfaces.get(i).map(|q| q.cosine)));
            }
            if settings.preset.is_some() {
                row.push(summary(2, &|r| r.train.notebook_loss));
                let top = |r: &RunResult| r.interfaces.last().map(|q| q.absolute_error);
                row.push(summary(1, &top));
            }
            table.add(row);
        }
        table
    }
}
