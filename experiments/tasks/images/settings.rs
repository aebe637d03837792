//! The settings of `dni images`: flags, the paper's presets, and what is refused.

use clap::{Args, ValueEnum};
use dni::{Backend, Sparse, TargetScale};
use serde::{Deserialize, Serialize};

use crate::args::{
    CallArgs, LengthArgs, Misuse, check_rates, length, positive, probability, rate, set,
};
use crate::comparison::{self, Common, Settings as _};
use crate::defaults::{DefaultsOf, Learning};
use crate::flags::{self, Flags};
use crate::method::Method;
use crate::network::{Model, Network};
use crate::rates::RateSchedule;
use crate::sections::Sections;
use crate::source::{DataArgs, ImageData, Source};
use crate::synthesizer::{Served, SynthesizerKind};
use crate::token::TokenArgs;
use crate::workers::Workers;

/// Flags of `dni images`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct ImagesArgs {
    #[command(flatten)]
    settings: Flags<Settings>,
    #[command(flatten)]
    pub files: DataArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    length: LengthArgs,
    #[command(flatten, next_help_heading = "Workers")]
    pub token: TokenArgs,
    #[command(flatten)]
    pub call: CallArgs,
}

/// The ways to learn, and the images of a batch.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
struct TrainingArgs {
    /// Methods, separated by commas: backprop (with workers: data-parallel), pipeline (backprop by
    /// workers, in micro-batches), delayed (true gradients, late between workers), dni, cdni, none,
    /// lambda:X, and dni@N or cdni@N with a single interface, on top of hidden layer N [default:
    /// backprop,dni,cdni,none, and dni with a single interface in the middle]
    #[arg(
        long = "method",
        visible_alias = "methods",
        value_name = "METHODS",
        value_delimiter = ','
    )]
    methods: Option<Vec<Method>>,

    /// Images in a batch [default: 256]
    #[arg(long, value_name = "N", value_parser = positive)]
    batch_size: Option<usize>,
}

/// The paper's networks (its appendix A.1): Adam at 0.00003 with its two drops, 500,000 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// MNIST, 256 units, synthesizers linear (cdni) and mlp:1024x1024 (dni)
    PaperMnistFcn,
    /// MNIST, 64 channels, synthesizers conv:64x64
    PaperMnistCnn,
    /// CIFAR-10, 1000 units, synthesizers linear (cdni) and mlp:4000 (dni)
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

/// The network. What is not given comes from the preset or is the default.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Network")]
pub struct Architecture {
    /// The paper's settings for one of its networks; other flags override them
    #[arg(long, value_enum)]
    preset: Option<Preset>,

    #[command(flatten)]
    pub network: Network,

    /// Shape of the synthesizers: linear, linear:RANK, rls:RANK (of that rank by recursive least
    /// squares), probe:RANK (rls that also guesses the label), label, mlp:UNITS or conv:CHANNELS,
    /// with x between several hidden layers [default: linear if they see the label, else mlp:256;
    /// in a cnn conv with one hidden layer of as many channels as the network's]
    #[arg(long, value_name = "KIND")]
    synthesizer: Option<SynthesizerKind>,

    /// The synthesizers of a preset, with labels and without.
    #[arg(skip)]
    preset_synthesizers: Option<[SynthesizerKind; 2]>,

    /// Layers of each section from the bottom up, the output layer included, as in 2,2, or every
    /// for one layer each: interfaces stand between sections, and within a section gradients are
    /// exact [default: every; with workers and without a preset the layers of each worker]
    #[arg(
        long,
        value_name = "LAYERS",
        default_value = "every",
        hide_default_value = true
    )]
    #[serde(default)]
    pub sections: Sections,
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Settings {
    #[arg(skip = Common::new(
        Self::NAME,
        vec![Method::Backprop, Method::DNI, Method::CDNI, Method::None],
        2_500,
        256,
    ))]
    pub run: Common<Method>,

    #[command(flatten)]
    #[serde(flatten)]
    pub images: ImageData,

    #[command(flatten)]
    #[serde(flatten)]
    pub arch: Architecture,

    /// Learning rate of the layers [default: 0.001; 0.0001 if synthesizers do not see the label]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Training")]
    lr: Option<f64>,

    /// Learning rate of synthesizers and input models [default: that of the layers; 10 times that if
    /// synthesizers do not see the label]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Training")]
    synthesizer_lr: Option<f64>,

    /// Schedule of all learning rates: constant, end (a tenth in the last fifth of the steps), paper (a
    /// tenth after 3/5 of the steps and again after 4/5) or STEP:FACTOR,...
    #[arg(
        long,
        value_name = "SCHEDULE",
        default_value = "paper",
        help_heading = "Training"
    )]
    pub lr_schedule: RateSchedule,

    /// Probability that a section learns in a step, together with the synthesizer on top of it
    #[arg(long, value_name = "P", value_parser = probability, default_value = "1", help_heading = "Training")]
    pub update_probability: f64,

    #[arg(skip = TargetScale::PerExample)]
    pub target_scale: TargetScale,

    /// Steps between two evaluations on the test set [default: a quarter of all, at least 250]
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length")]
    eval_every: Option<usize>,

    #[command(flatten)]
    #[serde(default)]
    pub workers: Workers,

    /// What the methods use where nothing above says it, as it was when the call began.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "DefaultsOf::is_empty")]
    defaults: DefaultsOf,
}

impl Settings {
    /// The default with another network, for cDNI.
    pub fn of_network(network: &Flags<Architecture>, batch_size: usize) -> Self {
        let mut arch: Architecture = flags::standard();
        network.set(&mut arch);
        let mut s = arch.preset.map_or_else(flags::standard, Self::of_preset);
        network.set(&mut s.arch);
        s.run.methods = vec![Method::CDNI];
        s.run.batch_size = batch_size;
        s
    }

    fn of_preset(preset: Preset) -> Self {
        let standard: Self = flags::standard();
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
            images: ImageData {
                data,
                ..standard.images
            },
            arch: Architecture {
                preset: Some(preset),
                network: Network {
                    model,
                    units: width,
                    channels: width,
                    unlock: is_unlocked,
                    input_units: 1024,
                    ..standard.arch.network
                },
                preset_synthesizers: Some(synthesizers),
                ..standard.arch
            },
            lr: Some(3e-5),
            synthesizer_lr: Some(3e-5),
            ..standard
        }
    }

    /// Interfaces only where two workers meet, or everywhere if there are none.
    fn sections_of_workers(&self) -> Sections {
        let (network, shape) = (&self.arch.network, self.images.data.shape());
        let work = network.check(shape);
        let work = work.and_then(|()| network.work(shape, Source::CLASSES));
        // Without work, because the network is refused.
        self.workers.sections(&work.unwrap_or_default())
    }

    /// The layers of each section.
    pub fn sections_of(&self, method: Method) -> Vec<usize> {
        method.sections(&self.arch.sections, self.arch.network.depth)
    }

    /// What a method learns with where nobody says it: the rate of the layers, by how much that of the
    /// synthesizers is higher, and their shape. Synthesizers without labels are so far behind
    /// that layers must learn more slowly.
    fn standard_of(&self, method: Method) -> (f64, f64, SynthesizerKind) {
        let is_blind = method.learns_blindly();
        let (lr, times) = if is_blind { (1e-4, 10.0) } else { (1e-3, 1.0) };
        let of_preset = self.arch.preset_synthesizers.as_ref();
        let of_preset = of_preset.map(|kinds| kinds[usize::from(is_blind)].clone());
        let synthesizer = of_preset.unwrap_or(match (self.arch.network.model, is_blind) {
            (Model::Fcn, true) => SynthesizerKind::Mlp(vec![256]),
            (Model::Fcn, false) => SynthesizerKind::Linear,
            (Model::Cnn, _) => SynthesizerKind::Conv(vec![self.arch.network.channels]),
        });
        (lr, times, synthesizer)
    }

    /// What a method learns with.
    pub fn learning(&self, method: Method) -> Learning {
        let said = (self.lr, &self.arch.synthesizer, self.synthesizer_lr);
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
        let mut asked: Self = flags::standard();
        args.settings.set(&mut asked);
        let mut s = match (base, asked.arch.preset) {
            (Some(base), _) => base.clone(),
            (None, Some(preset)) => Self::of_preset(preset),
            (None, None) => flags::standard(),
        };
        args.settings.set(&mut s);
        s.run.set(&args.length, &args.call.machine);
        set(&mut s.run.methods, &args.training.methods);
        set(&mut s.run.batch_size, &args.training.batch_size);
        if base.is_none() {
            // Runs that are older than this go on without: their checkpoints know nothing of it.
            s.workers.resolve(s.run.batch_size);
        }
        if base.is_none() && s.arch.preset.is_none() && !args.settings.has("sections") {
            s.arch.sections = s.sections_of_workers();
        }
        if base.is_none() && s.arch.preset.is_none() && args.training.methods.is_none() {
            let layers = s.arch.network.depth;
            s.run.methods = Method::with_placement(s.run.methods, &s.arch.sections, layers);
        }
        s.run.set_epochs(&args.length, s.images.count());
        s
    }

    fn resolve(&mut self) {
        self.eval_every = Some(self.evaluate_every());
        let defaults = DefaultsOf::new(&self.run.methods, |method| self.learning(method));
        self.defaults = defaults.put(
            &mut self.lr,
            &mut self.arch.synthesizer,
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
        // All hidden layers have it.
        self.run.check_norm(true)?;
        self.arch.network.check(self.images.data.shape())?;
        check_rates(&[self.lr, self.synthesizer_lr])?;
        Sparse::new(self.update_probability, 0).map_err(|error| Misuse(error.to_string()))?;
        let layers = self.arch.network.depth;
        self.workers.check(layers)?;
        self.arch.sections.check(layers)?;
        for &method in &self.run.methods {
            method.check_sections(layers)?;
            let sections = self.sections_of(method);
            self.workers
                .check_method(method, &sections, self.run.batch_size)?;
        }
        self.images.check(self.run.batch_size)?;
        for &method in &self.run.methods {
            if !method.credit().uses_synthesizers() {
                continue;
            }
            let served = Served {
                images: self.arch.network.model == Model::Cnn,
                classes: true,
            };
            self.learning(method).synthesizer.check(method, served)?;
        }
        if self.arch.network.unlock && !self.run.methods.iter().any(|m| m.learns_from_synthetic()) {
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
            self.arch
                .network
                .memory(self.images.data.shape(), synthesizer, batch)
        };
        self.run.methods.iter().map(of_method).max().unwrap_or(0)
    }
}
