//! The settings of `dni images`: flags, the paper's presets, and what is refused.

use clap::{Args, ValueEnum};
use dni::data::{ImageShape, Order};
use dni::{Backend, Sparse, TargetScale};
use serde::{Deserialize, Serialize};

use crate::args::{
    CallArgs, LengthArgs, Misuse, check_rates, length, positive, probability, rate, set,
};
use crate::comparison::{self, Common, Settings as _};
use crate::defaults::{DefaultsOf, Learning};
use crate::method::Method;
use crate::network::{Model, Network, POOL};
use crate::rates::RateSchedule;
use crate::sections::Sections;
use crate::source::{DataArgs, Source};
use crate::synthesizer::{Served, SynthesizerKind};
use crate::workers::{WorkerArgs, Workers};

/// Flags of `dni images`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct ImagesArgs {
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub length: LengthArgs,
    /// Steps between two looks at the test set [default: a quarter of all, 250 at
    /// least]
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length")]
    pub eval_every: Option<usize>,
    #[command(flatten)]
    pub workers: WorkerArgs,
    #[command(flatten)]
    pub call: CallArgs,
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
    pub preset: Option<Preset>,
    pub data: Source,
    /// None here and below for all there are.
    pub examples: Option<usize>,
    pub test_examples: Option<usize>,
    pub network: Network,
    #[serde(default)]
    pub sections: Sections,
    /// None here and below for the default, which depends on the method.
    pub lr: Option<f64>,
    pub synthesizer_lr: Option<f64>,
    pub synthesizer: Option<SynthesizerKind>,
    /// The synthesizers of a preset, with labels and without.
    pub preset_synthesizers: Option<[SynthesizerKind; 2]>,
    pub lr_schedule: RateSchedule,
    pub update_probability: f64,
    pub target_scale: TargetScale,
    /// None for a quarter of all steps, 250 at least.
    pub eval_every: Option<usize>,
    #[serde(default)]
    pub workers: Workers,
    /// What the methods use where nothing above says it, as it was when the call began.
    #[serde(default, skip_serializing_if = "DefaultsOf::is_empty")]
    pub defaults: DefaultsOf,
}

impl Settings {
    /// The default with another network, for cDNI.
    pub fn of_network(args: &NetworkArgs, batch_size: usize) -> Self {
        let mut s = args.preset.map_or_else(Self::standard, Self::of_preset);
        s.set_network(args);
        s.run.methods = vec![Method::CDNI];
        s.run.batch_size = batch_size;
        s
    }

    /// How many images there may be, to train on and to test with.
    pub fn limits(&self) -> [Option<usize>; 2] {
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
            run: Common::new(
                Self::NAME,
                vec![Method::Backprop, Method::DNI, Method::CDNI, Method::None],
                2_500,
                256,
            ),
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

    /// What a method learns with where nobody says it: the rate of the layers, by how much that of the
    /// synthesizers is higher, and their shape. Synthesizers without labels are so far behind
    /// that layers must learn more slowly.
    fn standard_of(&self, method: Method) -> (f64, f64, SynthesizerKind) {
        let is_blind = method.learns_blindly();
        let (lr, times) = if is_blind { (1e-4, 10.0) } else { (1e-3, 1.0) };
        let of_preset = self.preset_synthesizers.as_ref();
        let of_preset = of_preset.map(|kinds| kinds[usize::from(is_blind)].clone());
        let synthesizer = of_preset.unwrap_or(match (self.network.model, is_blind) {
            (Model::Fcn, true) => SynthesizerKind::Mlp(vec![256]),
            (Model::Fcn, false) => SynthesizerKind::Linear,
            (Model::Cnn, _) => SynthesizerKind::Conv(vec![self.network.channels]),
        });
        (lr, times, synthesizer)
    }

    /// What a method learns with.
    pub fn learning(&self, method: Method) -> Learning {
        let said = (self.lr, &self.synthesizer, self.synthesizer_lr);
        self.defaults
            .learning(method, said, self.standard_of(method))
    }

    pub fn evaluate_every(&self) -> usize {
        /// An evaluation takes as long as ten steps.
        const LEAST: usize = 250;
        let quarter = self.run.steps.div_ceil(4);
        self.eval_every.unwrap_or(quarter.max(LEAST))
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "images";

    type Method = Method;
    type Args = ImagesArgs;

    fn from_args(base: Option<&Self>, args: &ImagesArgs) -> Self {
        let mut s = match (base, args.network.preset) {
            (Some(base), preset) => Self {
                preset: preset.or(base.preset),
                ..base.clone()
            },
            (None, Some(preset)) => Self::of_preset(preset),
            (None, None) => Self::standard(),
        };
        let training = &args.training;
        s.run.set(&args.length, &args.call.machine);
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

    fn resolve(&mut self) {
        self.eval_every = Some(self.evaluate_every());
        let defaults = DefaultsOf::new(&self.run.methods, |method| self.learning(method));
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
            self.learning(method).synthesizer.check(method, served)?;
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
            let synthesizer = self.learning(method).synthesizer;
            let synthesizer = Some(&synthesizer).filter(|_| method.credit().uses_synthesizers());
            let batch = self.run.batch_size;
            self.network.memory(self.data.shape(), synthesizer, batch)
        };
        self.run.methods.iter().map(of_method).max().unwrap_or(0)
    }
}
