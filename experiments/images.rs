//! Images by feed-forward networks: the paper's sections 3.1 to 3.3 and its supplement.
//!
//! Claim: networks of any depth whose layers are all decoupled learn images as well as by backprop
//! if their synthesizers see the label (cDNI), even if each layer learns in a fifth of the steps
//! only, and with synthetic inputs as well; without labels (DNI) they fall behind with depth.
//! Command: `dni images`. It takes about a minute on two cores.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use burn::tensor::{Device, Tensor};
use clap::{Args, ValueEnum};
use dni::data::{Fingerprint, ImageSet, ImageShape, Images, Order, Stream, generator};
use dni::learner::Learner as _;
use dni::run::Checkpoint;
use dni::threaded::{self, Threaded};
use dni::train::{Plan, Progress, Task};
use dni::{Backend, Batch, Chain, Lessons, Place, Quality, Sparse, TargetScale};
use serde::{Deserialize, Serialize};

use crate::args::{
    LengthArgs, MachineArgs, Misuse, OutputArgs, check_rates, length, positive, probability, rate,
    set,
};
use crate::comparison::{self, Common, Comparison, Outcomes, Run, Settings as _, check_every};
use crate::defaults::{Defaults, DefaultsOf};
use crate::method::Method;
use crate::network::{Model, Network, POOL, Parts};
use crate::rates::RateSchedule;
use crate::sections::{Sections, quality_of};
use crate::shell::quoted_path;
use crate::sites::Sites;
use crate::source::{DataArgs, Source, TestDataArgs};
use crate::stats;
use crate::synthesizer::{Served, SynthesizerKind};
use crate::table::Table;
use crate::workers::{self, WorkerArgs, Workers};

/// Flags of `dni images`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct ImagesArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    length: LengthArgs,
    /// Steps between two looks at the test set [default: a quarter of all, 250 at
    /// least]
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length")]
    eval_every: Option<usize>,
    #[command(flatten)]
    workers: WorkerArgs,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The network. What is not given comes from the preset or is the default.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// The paper's settings for one of its networks; other flags change them
    #[arg(long, value_enum)]
    preset: Option<Preset>,

    /// Fully connected or convolutional hidden layers [default: fcn]
    #[arg(long, value_enum)]
    model: Option<Model>,

    /// Layers as the paper counts them, the output layer included [default: 4]
    #[arg(long, value_name = "N", value_parser = positive)]
    depth: Option<usize>,

    /// Units of the hidden layers of an fcn [default: 256]
    #[arg(long, value_name = "N", value_parser = positive)]
    units: Option<usize>,

    /// Channels of the hidden layers of a cnn [default: 64]
    #[arg(long, value_name = "N", value_parser = positive)]
    channels: Option<usize>,

    /// Pixels from one of the 3x3 windows that a cnn pools over to the next; 1 and 2 let them
    /// overlap [default: 3]
    #[arg(long, value_name = "N", value_parser = positive)]
    pool_stride: Option<usize>,

    /// Shape of the synthesizers: linear, linear:RANK, rls:RANK (of that rank by recursive least
    /// squares), probe:RANK (with a guess of the label besides), label, mlp:UNITS or conv:CHANNELS,
    /// with x between several hidden layers [default: linear with labels, mlp:256 without; in a
    /// cnn conv with one hidden layer of as many channels as the network's]
    #[arg(long, value_name = "KIND")]
    synthesizer: Option<SynthesizerKind>,

    /// Layers of each section from the bottom up, the output layer included, as in 2,2, or every for
    /// one each: interfaces stand between sections, and inside one gradients are exact [default:
    /// every; with workers and without a preset the layers of each worker]
    #[arg(long, value_name = "LAYERS")]
    sections: Option<Sections>,

    /// Complete unlock: layers train on synthetic inputs as well
    #[arg(long)]
    unlock: bool,

    /// Hidden units of the models that make synthetic inputs [default: 256]
    #[arg(long, value_name = "N", value_parser = positive)]
    input_units: Option<usize>,
}

/// How it learns.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Methods, separated by commas: backprop (by workers: each a share of the batch), pipeline
    /// (backprop by workers, in micro-batches), delayed (gradients that come late between workers),
    /// dni, cdni, none, lambda:X, and dni@N or cdni@N with a single interface, on top of hidden layer
    /// N [default: backprop,dni,cdni,none, and dni with a single interface in the middle]
    #[arg(
        long = "method",
        visible_alias = "methods",
        value_name = "METHODS",
        value_delimiter = ','
    )]
    methods: Option<Vec<Method>>,

    /// Learning rate of the layers [default: 0.001, without labels 0.0001]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    lr: Option<f64>,

    /// Learning rate of synthesizers and input models [default: that of the layers, without labels
    /// 10 times]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    synthesizer_lr: Option<f64>,

    /// Drops of all learning rates: constant, end (a tenth in the last fifth of the steps), paper (a
    /// tenth after 3/5 of the steps and again after 4/5) or STEP:FACTOR,... [default: paper]
    #[arg(long, value_name = "SCHEDULE")]
    lr_schedule: Option<RateSchedule>,

    /// Probability with which each section learns in a step, the synthesizer on top of it with it
    /// [default: 1]
    #[arg(long, value_name = "P", value_parser = probability)]
    update_probability: Option<f64>,

    /// Images in a batch [default: 256]
    #[arg(long, value_name = "N", value_parser = positive)]
    batch_size: Option<usize>,
}

/// The paper's networks (its appendix A.1): Adam at 0.00003 with its two drops, 500,000 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// MNIST, 256 units, synthesizers linear with labels and mlp:1024x1024 without
    PaperMnistFcn,
    /// MNIST, 64 channels, synthesizers conv:64x64
    PaperMnistCnn,
    /// CIFAR-10, 1000 units, synthesizers linear with labels and mlp:4000 without
    #[value(name = "paper-cifar10-fcn")]
    #[serde(rename = "paper-cifar10-fcn")]
    PaperCifar10Fcn,
    /// CIFAR-10, 128 channels, synthesizers conv:128x128
    #[value(name = "paper-cifar10-cnn")]
    #[serde(rename = "paper-cifar10-cnn")]
    PaperCifar10Cnn,
    /// MNIST, 256 units, synthetic inputs, all models with a hidden layer of 1024
    PaperMnistUnlock,
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub run: Common<Method>,
    preset: Option<Preset>,
    data: Source,
    /// None here and below for all there are.
    examples: Option<usize>,
    test_examples: Option<usize>,
    pub network: Network,
    #[serde(default)]
    pub sections: Sections,
    /// None here and below for the default, which depends on the method.
    lr: Option<f64>,
    synthesizer_lr: Option<f64>,
    synthesizer: Option<SynthesizerKind>,
    /// The synthesizers of a preset, with labels and without.
    preset_synthesizers: Option<[SynthesizerKind; 2]>,
    lr_schedule: RateSchedule,
    update_probability: f64,
    target_scale: TargetScale,
    /// None for a quarter of all steps, 250 at least.
    eval_every: Option<usize>,
    #[serde(default)]
    workers: Workers,
    /// What the methods use where nothing above says it, as it was when the call began.
    #[serde(default, skip_serializing_if = "DefaultsOf::is_empty")]
    defaults: DefaultsOf,
}

impl Settings {
    /// `base`, or else the preset or the default, changed by the flags that were given.
    pub fn from_args(base: Option<&Self>, args: &ImagesArgs) -> Self {
        let mut s = match (base, args.network.preset) {
            (Some(base), preset) => Self {
                preset: preset.or(base.preset),
                ..base.clone()
            },
            (None, Some(preset)) => Self::of_preset(preset),
            (None, None) => Self::standard(),
        };
        let training = &args.training;
        s.run.set(&args.length, &args.machine);
        set(&mut s.run.methods, &training.methods);
        set(&mut s.run.batch_size, &training.batch_size);
        set(&mut s.data, &args.data.data);
        s.examples = args.data.examples.or(s.examples);
        s.test_examples = args.data.test_examples.or(s.test_examples);
        s.set_network(&args.network);
        s.lr = training.lr.or(s.lr);
        s.synthesizer_lr = training.synthesizer_lr.or(s.synthesizer_lr);
        set(&mut s.lr_schedule, &training.lr_schedule);
        set(&mut s.update_probability, &training.update_probability);
        s.eval_every = args.eval_every.or(s.eval_every);
        s.workers.set(&args.workers);
        if base.is_none() {
            // Runs that are older than this go on without: their checkpoints know nothing of it.
            s.workers.resolve(s.run.batch_size);
        }
        if base.is_none() && s.preset.is_none() && args.network.sections.is_none() {
            s.sections = s.sections_of_workers();
        }
        if base.is_none() && s.preset.is_none() && training.methods.is_none() {
            let layers = s.network.depth;
            s.run.methods = Method::with_placement(s.run.methods, &s.sections, layers);
        }
        let examples = s.examples.unwrap_or(usize::MAX).min(s.data.examples());
        s.run.set_epochs(&args.length, examples);
        s
    }

    /// The default with another network, for cDNI.
    pub fn of_network(args: &NetworkArgs, batch_size: usize) -> Self {
        let mut s = args.preset.map_or_else(Self::standard, Self::of_preset);
        s.set_network(args);
        s.run.methods = vec![Method::CDNI];
        s.run.batch_size = batch_size;
        s
    }

    /// How many images there may be, to train on and to test with.
    fn limits(&self) -> [Option<usize>; 2] {
        [self.examples, self.test_examples]
    }

    /// The shape of the images.
    pub fn shape(&self) -> ImageShape {
        self.data.shape()
    }

    fn set_network(&mut self, args: &NetworkArgs) {
        let network = &mut self.network;
        set(&mut network.model, &args.model);
        set(&mut network.depth, &args.depth);
        set(&mut network.units, &args.units);
        set(&mut network.channels, &args.channels);
        set(&mut network.pool_stride, &args.pool_stride);
        set(&mut network.input_units, &args.input_units);
        network.unlock |= args.unlock;
        set(&mut self.sections, &args.sections);
        self.synthesizer = args.synthesizer.clone().or(self.synthesizer.take());
    }

    /// What learns in a minute.
    fn standard() -> Self {
        Self {
            run: Common {
                experiment: Self::NAME.to_string(),
                backend: Backend::Flex,
                kernel_threads: 1,
                methods: vec![Method::Backprop, Method::DNI, Method::CDNI, Method::None],
                seed: 1,
                seeds: 1,
                steps: 2_500,
                batch_size: 256,
            },
            preset: None,
            data: Source::Glyphs,
            examples: None,
            test_examples: None,
            network: Network {
                model: Model::Fcn,
                depth: 4,
                units: 256,
                channels: 64,
                pool_stride: POOL,
                unlock: false,
                input_units: 256,
            },
            sections: Sections::Every,
            lr: None,
            synthesizer_lr: None,
            synthesizer: None,
            preset_synthesizers: None,
            lr_schedule: RateSchedule::Paper,
            update_probability: 1.0,
            target_scale: TargetScale::PerExample,
            eval_every: None,
            workers: Workers::default(),
            defaults: DefaultsOf::default(),
        }
    }

    fn of_preset(preset: Preset) -> Self {
        let standard = Self::standard();
        let mlp = |hidden: &[usize]| SynthesizerKind::Mlp(hidden.to_vec());
        let conv = |channels| SynthesizerKind::Conv(vec![channels, channels]);
        let linear = SynthesizerKind::Linear;
        let (data, model, width, synthesizers) = match preset {
            Preset::PaperMnistFcn => (Source::Mnist, Model::Fcn, 256, [linear, mlp(&[1024, 1024])]),
            Preset::PaperMnistUnlock => {
                (Source::Mnist, Model::Fcn, 256, [mlp(&[1024]), mlp(&[1024])])
            }
            Preset::PaperMnistCnn => (Source::Mnist, Model::Cnn, 64, [conv(64), conv(64)]),
            Preset::PaperCifar10Fcn => (Source::Cifar10, Model::Fcn, 1000, [linear, mlp(&[4000])]),
            Preset::PaperCifar10Cnn => (Source::Cifar10, Model::Cnn, 128, [conv(128), conv(128)]),
        };
        let is_unlocked = preset == Preset::PaperMnistUnlock;
        Self {
            run: Common {
                steps: 500_000,
                ..standard.run
            },
            preset: Some(preset),
            data,
            network: Network {
                model,
                units: width,
                channels: width,
                unlock: is_unlocked,
                input_units: 1024,
                ..standard.network
            },
            lr: Some(3e-5),
            synthesizer_lr: Some(3e-5),
            preset_synthesizers: Some(synthesizers),
            ..standard
        }
    }

    /// Interfaces only where two workers meet, or everywhere if there are none.
    fn sections_of_workers(&self) -> Sections {
        let (network, shape) = (&self.network, self.shape());
        let work = network.check(shape);
        let work = work.and_then(|()| network.work(shape, Source::CLASSES));
        // Without work, because the network is refused.
        self.workers.sections(&work.unwrap_or_default())
    }

    /// The layers of each section.
    pub fn sections_of(&self, method: Method) -> Vec<usize> {
        method.sections(&self.sections, self.network.depth)
    }

    /// The learning rate of the layers. Synthesizers without labels are so far behind that layers
    /// must learn more slowly.
    fn lr_of(&self, method: Method) -> f64 {
        let default = if method.learns_blindly() { 1e-4 } else { 1e-3 };
        let known = self.defaults.get(method).map(|known| known.lr);
        self.lr.or(known).unwrap_or(default)
    }

    fn synthesizer_lr_of(&self, method: Method) -> f64 {
        let times = if method.learns_blindly() { 10.0 } else { 1.0 };
        let of_kind = self.synthesizer_of(method).own_rate();
        let known = self
            .defaults
            .get(method)
            .and_then(|known| known.synthesizer_lr);
        let rate = self.synthesizer_lr.or(known).or(of_kind);
        rate.unwrap_or(times * self.lr_of(method))
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
        let is_blind = method.learns_blindly();
        let of_preset = self.preset_synthesizers.as_ref();
        let known = self.defaults.get(method);
        self.synthesizer
            .clone()
            .or(known.and_then(|known| known.synthesizer.clone()))
            .or(of_preset.map(|kinds| kinds[usize::from(is_blind)].clone()))
            .unwrap_or(match (self.network.model, is_blind) {
                (Model::Fcn, true) => SynthesizerKind::Mlp(vec![256]),
                (Model::Fcn, false) => SynthesizerKind::Linear,
                (Model::Cnn, _) => SynthesizerKind::Conv(vec![self.network.channels]),
            })
    }

    /// The network of one run. Its layers start alike under every method.
    pub fn chain(
        &self,
        method: Method,
        seed: u64,
        images: &Images,
        device: &Device,
    ) -> Result<Chain, Misuse> {
        let synthesizer = self.synthesizer_of(method);
        let has_synthesizers = method.credit().uses_synthesizers();
        let parts = Parts {
            image: images.shape(),
            classes: images.classes(),
            sections: self.sections_of(method),
            synthesizer: Some(&synthesizer).filter(|_| has_synthesizers),
            contexts: if method.is_conditional() {
                images.classes()
            } else {
                0
            },
            lr: self.lr_of(method),
            synthesizer_lr: self.synthesizer_lr_of(method),
            target_scale: self.target_scale,
            device,
        };
        let rng = &mut generator(seed, Stream::Parameters);
        self.network.chain(&parts, rng)
    }

    fn evaluate_every(&self) -> usize {
        /// An evaluation takes as long as ten steps.
        const LEAST: usize = 250;
        let quarter = self.run.steps.div_ceil(4);
        self.eval_every.unwrap_or(quarter.max(LEAST))
    }

    fn plan(&self, method: Method, seed: u64) -> anyhow::Result<Plan<Lessons>> {
        let most = match self.network.model {
            Model::Fcn => 100,
            // Its steps are slow, and Ctrl-C waits for a record.
            Model::Cnn => 10,
        };
        let least = match self.workers.are_wanted() {
            // All of them must come to the same step for a record.
            true => most / 2,
            false => 1,
        };
        let record_every = (self.run.steps / 200).clamp(least, most);
        let places = self.workers.places(self.run.backend);
        let check_every = places.iter().map(|place| match place {
            Place::Backend(backend) => check_every(*backend, record_every),
            // Each look waits for the device.
            Place::Adapter(_) | Place::Server(_) => record_every,
        });
        let sparse = Some(self.update_probability).filter(|&p| p < 1.0);
        let lessons = Lessons {
            sparse: sparse.map(|p| Sparse::new(p, seed)).transpose()?,
            ..Lessons::from(method.credit())
        };
        Ok(Plan {
            drops: self.lr_schedule.drops(self.run.steps),
            record_every,
            evaluate_every: Some(self.evaluate_every()),
            compare_every: Some(self.run.compare_every(record_every)),
            check_every: check_every.max().unwrap_or(1),
            save_every: std::time::Duration::from_secs(10),
            ..Plan::new(self.run.steps, lessons)
        })
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "images";

    type Method = Method;

    fn resolve(&mut self) {
        self.eval_every = Some(self.evaluate_every());
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
        let misuse = |error: dni::Error| Misuse(error.to_string());
        self.run.check()?;
        // All hidden layers have it.
        self.run.check_norm(true)?;
        self.network.check(self.data.shape())?;
        check_rates(&[self.lr, self.synthesizer_lr])?;
        Sparse::new(self.update_probability, 0).map_err(misuse)?;
        let layers = self.network.depth;
        self.workers.check(layers)?;
        self.sections.check(layers)?;
        for &method in &self.run.methods {
            method.check_sections(layers)?;
            let sections = self.sections_of(method);
            self.workers
                .check_method(method, &sections, self.run.batch_size)?;
        }
        let examples = self
            .examples
            .unwrap_or(usize::MAX)
            .min(self.data.examples());
        Order::new(examples, self.run.batch_size, None).map_err(misuse)?;
        for &method in &self.run.methods {
            if !method.credit().uses_synthesizers() {
                continue;
            }
            let served = Served {
                images: self.network.model == Model::Cnn,
                classes: true,
            };
            self.synthesizer_of(method).check(method, served)?;
        }
        if self.network.unlock && !self.run.methods.iter().any(|m| m.learns_from_synthetic()) {
            return Err(Misuse(
                "synthetic inputs need synthetic gradients; add the method dni or cdni, or leave \
                 out --unlock"
                    .to_string(),
            ));
        }
        if self.eval_every == Some(0) {
            return Err(Misuse(
                "evaluations must be at least 1 step apart".to_string(),
            ));
        }
        Ok(())
    }

    fn is_alone(&self) -> bool {
        self.workers.are_wanted() || self.run.backend == Backend::Wgpu
    }

    fn memory(&self) -> u128 {
        let of_method = |&method: &Method| {
            let synthesizer = self.synthesizer_of(method);
            let synthesizer = Some(&synthesizer).filter(|_| method.credit().uses_synthesizers());
            let batch = self.run.batch_size;
            self.network.memory(self.data.shape(), synthesizer, batch)
        };
        self.run.methods.iter().map(of_method).max().unwrap_or(0)
    }
}

/// The batches of a run.
pub struct Batches<'a> {
    set: &'a ImageSet,
    data: Option<Fingerprint>,
    order: Order,
    device: Device,
}

impl<'a> Batches<'a> {
    pub fn new(
        set: &'a ImageSet,
        settings: &Settings,
        seed: u64,
        device: &Device,
    ) -> dni::Result<Self> {
        Ok(Self {
            set,
            data: None,
            order: Order::new(set.train.len(), settings.run.batch_size, Some(seed))?,
            device: device.clone(),
        })
    }

    /// Says where the images came from: a run that goes on refuses others.
    fn of(mut self, origin: &str) -> Self {
        self.data = Some(self.set.fingerprint(origin));
        self
    }
}

impl Task<Chain> for Batches<'_> {
    fn data(&self) -> Option<Fingerprint> {
        self.data.clone()
    }

    fn batch(&mut self, step: usize) -> Batch {
        let (input, target) = self.set.train.rows(self.order.rows(step), &self.device);
        with_label(input, target)
    }

    fn evaluate(&mut self, chain: &Chain) -> dni::Result<BTreeMap<String, f64>> {
        let measures = Measures::of(chain, &self.set.test, &self.device);
        Ok(BTreeMap::from([
            ("test_error".to_string(), measures.error),
            ("test_loss".to_string(), measures.loss),
        ]))
    }

    fn compare(&mut self, chain: &Chain) -> Vec<Quality> {
        // Always the same, so that what changes is the network.
        let batch = Task::<Chain>::batch(self, 0);
        chain.quality(&batch)
    }
}

impl Task<Threaded> for Batches<'_> {
    fn data(&self) -> Option<Fingerprint> {
        Task::<Chain>::data(self)
    }

    fn batch(&mut self, step: usize) -> Batch {
        Task::<Chain>::batch(self, step)
    }

    fn evaluate(&mut self, threaded: &Threaded) -> dni::Result<BTreeMap<String, f64>> {
        let mut figures = self.evaluate(threaded.chain())?;
        figures.extend(workers::figures(threaded));
        Ok(figures)
    }

    fn compare(&mut self, threaded: &Threaded) -> Vec<Quality> {
        self.compare(threaded.chain())
    }
}

/// In cDNI the context is the label.
pub fn with_label(input: Tensor<2>, target: Tensor<2>) -> Batch {
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
    data: Source,
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
    /// On up to 10,000 images that it learned from.
    train: Measures,
    /// On all test images.
    test: Measures,
    interfaces: Vec<Quality>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<threaded::Report>,
    run_dir: String,
}

/// How well images are told apart.
#[derive(Debug, Serialize)]
struct Measures {
    /// The share of images that are taken for another class.
    error: f64,
    /// The mean loss.
    loss: f64,
    /// How many images were looked at.
    examples: usize,
}

/// `dni images`.
pub fn run(args: ImagesArgs) -> anyhow::Result<()> {
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
pub fn compare(args: &ImagesArgs) -> anyhow::Result<(Comparison<Settings>, Report)> {
    let settings = |base: Option<&_>| Settings::from_args(base, args);
    let prepare = |settings: &Settings| -> anyhow::Result<_> {
        let places = settings.workers.places(settings.run.backend);
        let sites = Sites::open(&places, &args.workers.token)?;
        let set = args
            .data
            .common_set(settings.data, settings.limits(), args.output.quiet)?;
        if let Some(set) = &set {
            Order::new(set.train.len(), settings.run.batch_size, None)?;
        }
        Ok((sites, set))
    };
    let (mut comparison, (sites, set)) =
        Comparison::open(&args.machine, &args.output, settings, prepare)?;
    let data_dir = args.data.data_dir.as_deref();
    if !comparison.settings.data.is_drawn() {
        comparison.go_on_with("--data-dir", data_dir.map(quoted_path));
    }
    comparison.go_on_with("--token-file", args.workers.token.file().map(quoted_path));
    let settings = &comparison.settings;
    let one = |run: &Run<Settings>| run_one(run, set.as_ref(), data_dir, &sites, args.output.quiet);
    let go_on = comparison.go_on();
    let outcomes = comparison.run(|run| sites.guard(&go_on, || one(run)))?;
    let report = Report {
        experiment: Settings::NAME,
        backend: settings.run.backend,
        data: settings.data,
        outcomes,
    };
    Ok((comparison, report))
}

/// Figures of a run that has been trained, on the test images of its data or of others.
pub fn evaluate(
    checkpoint: Checkpoint,
    data: &TestDataArgs,
    device: &Device,
) -> anyhow::Result<BTreeMap<String, f64>> {
    let settings: Settings = toml::from_str(checkpoint.settings())?;
    let (method, seed) = settings.run.only()?;
    let source = data.data.unwrap_or(settings.data);
    if source.shape() != settings.data.shape() {
        return Err(Misuse(
            "the network was trained on images of another shape; choose another --data".to_string(),
        )
        .into());
    }
    let test_examples = data.test_examples.or(settings.test_examples);
    let limits = [settings.examples, test_examples];
    let set = source.load(data.data_dir.as_deref(), seed, limits, true)?;
    data.check(&checkpoint, &set, settings.data, settings.test_examples)?;
    let mut chain = settings.chain(method, seed, &set.train, device)?;
    checkpoint.restore(&mut chain)?;
    Ok(Batches::new(&set, &settings, seed, device)?.evaluate(&chain)?)
}

/// Trains and measures one run, on the images of all or on its own.
fn run_one(
    run: &Run<Settings>,
    common: Option<&ImageSet>,
    data_dir: Option<&Path>,
    sites: &Sites,
    quiet: bool,
) -> anyhow::Result<RunResult> {
    let settings = &run.settings;
    let own = settings.data.own_set(run.seed, settings.limits(), quiet)?;
    let set = common.or(own.as_ref()).expect("there is one of the two");
    let mut chain = settings.chain(run.method, run.seed, &set.train, run.device)?;
    let origin = settings.data.origin(data_dir);
    let batches = Batches::new(set, settings, run.seed, run.device)?;
    let mut batches = batches.of(&origin);
    let plan = settings.plan(run.method, run.seed)?;
    let (chain, progress, workers) = if settings.workers.are_wanted() {
        train_by_workers(run, chain, &mut batches, plan, &sites.devices)?
    } else {
        let progress = run.train(&mut chain, &mut batches, &plan)?;
        (chain, progress, None)
    };
    let result = RunResult::measure(run, &chain, set, progress, workers)
        .with_context(|| format!("{} cannot be measured", run.label))?;
    run.say(&format!(
        "{} steps in {:.1} s, test error {:.2} %",
        result.steps,
        result.seconds,
        100.0 * result.test.error
    ));
    Ok(result)
}

/// Trains a run whose layers several workers share.
fn train_by_workers(
    run: &Run<Settings>,
    chain: Chain,
    batches: &mut Batches,
    mut plan: Plan<Lessons>,
    devices: &[Device],
) -> anyhow::Result<(Chain, Progress, Option<threaded::Report>)> {
    let settings = &run.settings;
    let first = Task::<Chain>::batch(batches, 0);
    let kernel_threads = settings.run.kernel_threads;
    let sections = settings.sections_of(run.method);
    let hired = settings.workers.hire(
        (chain, &sections),
        &first,
        (run.method, &plan.schedule),
        devices,
        kernel_threads,
    )?;
    run.say(&hired.shares);
    plan.record_every = plan.record_every.max(hired.threaded.at_least());
    plan.compare_every = plan
        .compare_every
        .map(|every| every.next_multiple_of(plan.record_every));
    let mut threaded = hired.threaded;
    let progress = run.train(&mut threaded, batches, &plan)?;
    let report = threaded.report().clone();
    run.say(&workers::summary(&report));
    Ok((threaded.into_chain(), progress, Some(report)))
}

impl RunResult {
    fn measure(
        run: &Run<Settings>,
        chain: &Chain,
        set: &ImageSet,
        progress: Progress,
        workers: Option<threaded::Report>,
    ) -> anyhow::Result<Self> {
        const MOST: usize = 10_000;
        let looked_at = run.settings.run.batch_size.min(set.train.len());
        let rows: Vec<usize> = (0..looked_at).collect();
        let (input, target) = set.train.rows(&rows, run.device);
        Ok(Self {
            method: run.method,
            seed: run.seed,
            steps: progress.step,
            seconds: progress.seconds,
            steps_per_second: progress.step as f64 / progress.seconds,
            train: Measures::of_first(chain, &set.train, MOST, run.device),
            test: Measures::of(chain, &set.test, run.device),
            interfaces: chain.quality(&with_label(input, target)),
            workers,
            run_dir: run.folder.display().to_string(),
        })
    }
}

impl Measures {
    fn of(chain: &Chain, images: &Images, device: &Device) -> Self {
        Self::of_first(chain, images, images.len(), device)
    }

    /// On the first images, up to `most`.
    fn of_first(chain: &Chain, images: &Images, most: usize, device: &Device) -> Self {
        const AT_ONCE: usize = 500;
        let examples = images.len().min(most);
        let (mut wrong, mut loss) = (0.0, 0.0);
        for first in (0..examples).step_by(AT_ONCE) {
            let rows: Vec<usize> = (first..examples.min(first + AT_ONCE)).collect();
            let (input, target) = images.rows(&rows, device);
            let output = chain.predict(input);
            let target = target.to_device(&output.device());
            let sum = chain.loss().of_each(output.clone(), target.clone()).sum();
            loss += f64::from(sum.into_scalar::<f32>());
            let right = output.argmax(1).equal(target.argmax(1)).float().sum();
            wrong += rows.len() as f64 - f64::from(right.into_scalar::<f32>());
        }
        Self {
            error: wrong / examples as f64,
            loss: loss / examples as f64,
            examples,
        }
    }
}

impl Report {
    /// A row for each method: means over the seeds, with their standard deviation.
    fn table(&self, settings: &Settings) -> Table {
        let interfaces: Vec<usize> = (0..settings.network.depth - 1)
            .filter(|&i| {
                let mut results = self.outcomes.results.iter();
                results.any(|r| quality_of(&r.interfaces, i).is_some())
            })
            .collect();
        let shown: Vec<usize> = match interfaces[..] {
            [lowest, .., highest] if interfaces.len() > 5 => {
                vec![lowest, interfaces[interfaces.len() / 2], highest]
            }
            _ => interfaces,
        };
        let figures = ["train error %", "test error %", "test loss", "steps/s"];
        let mut header: Vec<String> = vec!["method".to_string()];
        header.extend(figures.map(String::from));
        header.extend(shown.iter().map(|i| format!("cosine {}", i + 1)));
        let mut table = Table::new(header);
        for method in &settings.run.methods {
            let of_method = |r: &&RunResult| r.method == *method;
            let results: Vec<&RunResult> = self.outcomes.results.iter().filter(of_method).collect();
            let summary = |digits: usize, figure: &dyn Fn(&RunResult) -> Option<f64>| {
                let figures: Vec<f64> = results.iter().filter_map(|r| figure(r)).collect();
                stats::summary(&figures, digits)
            };
            let mut row = vec![
                method.to_string(),
                summary(2, &|r| Some(100.0 * r.train.error)),
                summary(2, &|r| Some(100.0 * r.test.error)),
                summary(4, &|r| Some(r.test.loss)),
                summary(1, &|r| Some(r.steps_per_second)),
            ];
            for &i in &shown {
                let interfaces = results.iter().map(|r| &r.interfaces[..]);
                row.push(stats::cosines(
                    interfaces.filter_map(|qualities| quality_of(qualities, i)),
                ));
            }
            table.add(row);
        }
        table
    }
}
