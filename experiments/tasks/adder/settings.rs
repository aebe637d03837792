//! The settings of `dni adder`: flags, the notebook's presets, and what is refused.

use clap::{Args, ValueEnum};
use dni::data::{Adder, Order};
use dni::{Activation, Init, Loss, Reduction, TargetScale};
use serde::{Deserialize, Serialize};

use crate::args::{CallArgs, LengthArgs, MachineArgs, Misuse, check_rates, positive, rate, set};
use crate::comparison::{self, Common, Settings as _};
use crate::defaults::{DefaultsOf, Learning};
use crate::flags::{self, Flags};
use crate::memory::{FLOAT, OF_PARAMETER};
use crate::method::Method;
use crate::rates::RateSchedule;
use crate::sections::Sections;
use crate::synthesizer::{Served, SynthesizerKind};

/// Flags of `dni adder`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct AdderArgs {
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub length: LengthArgs,
    #[command(flatten)]
    pub call: CallArgs,
}

/// The network and how it learns. What is not given comes from the preset or is the default.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    #[command(flatten)]
    pub settings: Flags<Settings>,

    /// Methods, separated by commas: backprop, dni, cdni, none, lambda:X, and dni@N or cdni@N with a
    /// single interface, on top of hidden layer N [default: backprop,dni,cdni, and
    /// dni with a single interface in the middle]
    #[arg(
        long = "method",
        visible_alias = "methods",
        value_name = "METHODS",
        value_delimiter = ','
    )]
    pub methods: Option<Vec<Method>>,

    /// Examples in a batch [default: 256]
    #[arg(long, value_name = "N", value_parser = positive)]
    batch_size: Option<usize>,
}

/// The notebook's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The first program: 24-128-64-12 by backprop
    NotebookBackprop,
    /// The second program: 16-64-32-8 by DNI
    NotebookDni,
}

/// The update rule of layers and synthesizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    Adam,
    Sgd,
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Training")]
pub struct Settings {
    #[arg(skip = Common::new(Self::NAME, vec![Method::Backprop, Method::DNI, Method::CDNI], 20_000, 256))]
    pub run: Common<Method>,

    /// The settings of one of the notebook's two programs; other flags override them
    #[arg(long, value_enum)]
    pub preset: Option<Preset>,

    #[arg(skip = true)]
    pub shuffle: bool,

    /// Units of the hidden layers
    #[arg(long, value_name = "UNITS", value_delimiter = ',', value_parser = positive, default_value = "64,32")]
    pub layers: Vec<usize>,

    /// Layers of each section from the bottom up, the output layer included, as in 1,2, or every
    /// for one layer each: interfaces stand between sections, and within a section gradients are
    /// exact
    #[arg(long, value_name = "LAYERS", default_value = "every")]
    #[serde(default)]
    pub sections: Sections,

    /// Shape of the synthesizers: linear, linear:RANK, rls:RANK (of that rank by recursive least
    /// squares), label or mlp:UNITS, with x between several hidden layers [default: linear if
    /// they see the label; else mlp:128 with one interface and mlp:128x128 with more]
    #[arg(long, value_name = "KIND")]
    pub synthesizer: Option<SynthesizerKind>,

    /// Bits of the sums
    #[arg(long, value_name = "N", value_parser = positive, default_value = "8")]
    pub bits: usize,

    /// Sums to train on
    #[arg(long, value_name = "N", value_parser = positive, default_value = "4096")]
    pub examples: usize,

    /// Learning rate of the layers [default: 0.004; if synthesizers do not see the label, 0.002 with
    /// one interface and 0.0005 with more]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub lr: Option<f64>,

    /// Learning rate of the synthesizers [default: 3 times that of the layers; if they do not see the
    /// label, 1.5 times with one interface and 4 times with more]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub synthesizer_lr: Option<f64>,

    /// Schedule of all learning rates: constant, end (a tenth in the last fifth of the steps), paper (a
    /// tenth after 3/5 of the steps and again after 4/5) or STEP:FACTOR,...
    #[arg(long, value_name = "SCHEDULE", default_value = "end")]
    #[serde(default = "RateSchedule::constant")]
    pub lr_schedule: RateSchedule,

    #[arg(skip = Activation::Relu)]
    pub hidden_activation: Activation,
    #[arg(skip = Activation::Identity)]
    pub output_activation: Activation,
    #[arg(skip = true)]
    pub bias: bool,
    #[arg(skip = Loss::BinaryCrossEntropy)]
    pub loss: Loss,
    #[arg(skip = Reduction::Mean)]
    pub reduction: Reduction,
    #[arg(skip = Rule::Adam)]
    pub rule: Rule,
    #[arg(skip = TargetScale::PerExample)]
    pub target_scale: TargetScale,
    #[arg(skip = Init::He)]
    pub hidden_init: Init,
    #[arg(skip = Init::FanIn)]
    pub output_init: Init,

    /// What the methods use where nothing above says it, as it was when the call began.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "DefaultsOf::is_empty")]
    pub defaults: DefaultsOf,
}

impl Settings {
    /// `base`, or else the preset or the default, changed by the flags that were given.
    pub fn of_flags(
        base: Option<&Self>,
        training: &TrainingArgs,
        length: &LengthArgs,
        machine: &MachineArgs,
    ) -> Self {
        let mut asked: Self = flags::standard();
        training.settings.set(&mut asked);
        let mut s = match (base, asked.preset) {
            (Some(base), _) => base.clone(),
            (None, None) => flags::standard(),
            (None, Some(Preset::NotebookBackprop)) => Self::notebook_backprop(),
            (None, Some(Preset::NotebookDni)) => Self::notebook_dni(),
        };
        training.settings.set(&mut s);
        s.run.set(length, machine);
        set(&mut s.run.methods, &training.methods);
        set(&mut s.run.batch_size, &training.batch_size);
        if base.is_none() && s.preset.is_none() && training.methods.is_none() {
            s.run.methods = Method::with_placement(s.run.methods, &s.sections, s.layers.len() + 1);
        }
        s.run.set_epochs(length, s.examples);
        s
    }

    /// What both of the notebook's programs share: sigmoids, squared error summed over batches
    /// that always come in the same order, plain gradient descent.
    fn notebook() -> Self {
        let steps_of_an_epoch = 10;
        let standard: Self = flags::standard();
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
        let kinds: Vec<_> = methods
            .map(|&method| self.learning(method).synthesizer)
            .collect();
        let synthesizers = self.layers.iter().map(|&units| {
            let values = kinds.iter().map(|kind| kind.values(units, self.bits));
            values.max().unwrap_or(0)
        });
        sections.chain(synthesizers).fold(0, u128::saturating_add)
    }

    /// The order of the sums in a run.
    pub fn order(&self, seed: u64) -> dni::Result<Order> {
        let shuffle = self.shuffle.then_some(seed);
        Order::new(self.examples, self.run.batch_size, shuffle)
    }

    /// The layers of each section.
    pub fn sections_of(&self, method: Method) -> Vec<usize> {
        method.sections(&self.sections, self.layers.len() + 1)
    }

    /// What a method learns with where nobody says it: the rate of the layers, by how much that of the
    /// synthesizers is higher, and their shape. Synthesizers without labels are so far behind
    /// that layers must learn more slowly, the more so where one learns from another.
    fn standard_of(&self, method: Method) -> (f64, f64, SynthesizerKind) {
        match (method.learns_blindly(), self.sections_of(method).len()) {
            (false, _) => (4e-3, 3.0, SynthesizerKind::Linear),
            (true, ..=2) => (2e-3, 1.5, SynthesizerKind::Mlp(vec![128])),
            (true, _) => (5e-4, 4.0, SynthesizerKind::Mlp(vec![128, 128])),
        }
    }

    /// What a method learns with.
    pub fn learning(&self, method: Method) -> Learning {
        let said = (self.lr, &self.synthesizer, self.synthesizer_lr);
        self.defaults
            .learning(method, said, self.standard_of(method))
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "adder";

    type Method = Method;
    type Args = AdderArgs;

    fn from_args(base: Option<&Self>, args: &AdderArgs) -> Self {
        Self::of_flags(base, &args.training, &args.length, &args.call.machine)
    }

    fn resolve(&mut self) {
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
            let synthesizer = self.learning(method).synthesizer;
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
