//! Images read row by row by a recurrent network, which says at the end what they show.
//!
//! Claim: the only loss comes with the last row. Truncated backpropagation through time teaches the
//! network nothing about the rows before the last window; with a synthetic future at the end of every
//! window it learns from these as well. The field knows the task as sequential MNIST.
//! Command: `dni rows`. It takes about a minute on two cores.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::{Device, Tensor};
use clap::Args;
use dni::data::{Fingerprint, ImageSet, Images, Order};
use dni::train::Task;
use dni::{Loss, Quality, Recurrent, Sequence, Window};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::{CallArgs, Misuse, set};
use crate::budget::{Budget, BudgetArgs};
use crate::comparison::{self, Common, Run, Settings as _};
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::recurrent::{self, CoreKind, RecurrentArgs, RecurrentMethod, RecurrentNetwork};
use crate::source::{DataArgs, ImageSets, Source};
use crate::synthesizer::SynthesizerKind;
use crate::tally::{Measures, Tally};
use crate::verdict::Measure;

/// Flags of `dni rows`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct RowsArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    network: RecurrentArgs,
    #[command(flatten)]
    length: BudgetArgs,
    #[command(flatten)]
    call: CallArgs,
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    run: Common<RecurrentMethod>,
    budget: Budget,
    data: Source,
    /// None here and below for all there are.
    examples: Option<usize>,
    test_examples: Option<usize>,
    network: RecurrentNetwork,
}

impl Settings {
    /// What shows the difference in a minute.
    fn standard() -> Self {
        let budget = Budget::Steps(6_000);
        let methods = RecurrentMethod::ALL.to_vec();
        Self {
            run: Common::new(Self::NAME, methods, budget.steps(), 32),
            budget,
            data: Source::Glyphs,
            examples: None,
            test_examples: None,
            network: RecurrentNetwork {
                core: CoreKind::Gru,
                units: 128,
                unroll: 7,
                synthesizer: SynthesizerKind::Linear,
                scale: 1.0,
                scale_targets: true,
                lr: 2e-3,
                synthesizer_lr: None,
            },
        }
    }

    /// How many images there may be, to train on and to test with.
    fn limits(&self) -> [Option<usize>; 2] {
        [self.examples, self.test_examples]
    }

    fn network(
        &self,
        method: RecurrentMethod,
        seed: u64,
        device: &Device,
    ) -> Result<Recurrent, Misuse> {
        let shape = self.data.shape();
        let task = (
            Loss::CrossEntropy,
            shape.channels * shape.width,
            Source::CLASSES,
        );
        self.network.build(method, seed, task, device)
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "rows";

    type Method = RecurrentMethod;
    type Args = RowsArgs;

    fn from_args(base: Option<&Self>, args: &RowsArgs) -> Self {
        let mut s = base.cloned().unwrap_or_else(Self::standard);
        s.budget = args.length.set(&mut s.run, s.budget, &args.call.machine);
        set(&mut s.run.methods, &args.network.methods);
        set(&mut s.run.batch_size, &args.network.batch_size);
        set(&mut s.data, &args.data.data);
        s.examples = args.data.examples.or(s.examples);
        s.test_examples = args.data.test_examples.or(s.test_examples);
        s.network.set(&args.network);
        s
    }

    fn common(&self) -> &Common<RecurrentMethod> {
        &self.run
    }

    fn common_mut(&mut self) -> &mut Common<RecurrentMethod> {
        &mut self.run
    }

    fn check(&self) -> Result<(), Misuse> {
        self.run.check()?;
        self.run
            .check_norm(self.network.synthesizer.has_batch_norm())?;
        let examples = self.examples.unwrap_or(usize::MAX);
        Order::new(
            examples.min(self.data.examples()),
            self.run.batch_size,
            None,
        )
        .map_err(|error| Misuse(error.to_string()))?;
        self.network.check()
    }

    fn memory(&self) -> u128 {
        self.network
            .memory(self.run.batch_size, self.data.shape().len())
    }

    fn set_length(&mut self, other: &Self) {
        (self.budget, self.run.steps) = (other.budget, other.run.steps);
    }

    fn is_longer_than(&self, other: &Self) -> bool {
        self.budget.is_longer_than(other.budget)
    }

    fn resolve(&mut self) {
        self.network.resolve();
    }
}

/// Some rows of some images as a window. Only the last row of an image asks what it shows.
fn window(images: &Images, which: &[usize], rows: Range<usize>, device: &Device) -> Window {
    let (shape, batch) = (images.shape(), which.len());
    let (steps, end, pixels) = (rows.len(), rows.end, shape.channels * shape.width);
    let is_last = end == shape.height;
    let (images, classes) = images.rows(which, device);
    let images = images.reshape([batch, shape.channels, shape.height, shape.width]);
    let images = images.permute([2, 0, 1, 3]);
    let images = images.reshape([shape.height, batch, pixels]);
    let next = || Sequence {
        inputs: images.clone().narrow(0, end, 1),
        keeps: None,
    };
    let asks = Tensor::zeros([steps, batch], device);
    Window {
        next: (!is_last).then(next),
        sequence: Sequence {
            keeps: (rows.start == 0).then(|| Sequence::beginning([steps, batch], device)),
            inputs: images.clone().narrow(0, rows.start, steps),
        },
        targets: classes.unsqueeze::<3>().repeat_dim(0, steps),
        weights: Some(match is_last {
            true => asks.slice_fill(steps - 1..steps, 1.0),
            false => asks,
        }),
    }
}

/// The images of a run, a batch after another, each in as many windows as it takes.
struct Reader<'a> {
    set: &'a ImageSet,
    /// None where nothing is trained.
    data: Option<Fingerprint>,
    order: Order,
    network: &'a RecurrentNetwork,
    device: Device,
}

impl<'a> Reader<'a> {
    fn new(
        set: &'a ImageSet,
        data: Option<Fingerprint>,
        settings: &'a Settings,
        seed: u64,
        device: &Device,
    ) -> dni::Result<Self> {
        Ok(Self {
            set,
            data,
            order: Order::new(set.train.len(), settings.run.batch_size, Some(seed))?,
            network: &settings.network,
            device: device.clone(),
        })
    }

    /// The rows of every window of an image.
    fn windows(&self) -> Vec<Range<usize>> {
        let (height, unroll) = (self.set.train.shape().height, self.network.unroll);
        let firsts = (0..height).step_by(unroll);
        firsts.map(|i| i..height.min(i + unroll)).collect()
    }

    /// How well test images are told apart.
    fn measure(&self, network: &Recurrent) -> Measures {
        const AT_ONCE: usize = 500;
        let images = &self.set.test;
        let all: Vec<usize> = (0..images.len()).collect();
        let mut tally = Tally::default();
        for some in all.chunks(AT_ONCE) {
            let height = images.shape().height;
            let whole = window(images, some, 0..height, &self.device);
            let (outputs, _) = network.predict(&whole.sequence, None);
            let last = |steps: Tensor<3>| steps.narrow(0, height - 1, 1).squeeze_dim(0);
            tally.add(network.loss(), last(outputs), last(whole.targets));
        }
        tally.into()
    }
}

impl Task<Recurrent> for Reader<'_> {
    fn batch(&mut self, step: usize) -> Window {
        let windows = self.windows();
        let rows = windows[step % windows.len()].clone();
        let which = self.order.rows(step / windows.len());
        window(&self.set.train, which, rows, &self.device)
    }

    fn evaluate(&mut self, network: &Recurrent) -> dni::Result<BTreeMap<String, f64>> {
        let Measures { error, loss, .. } = self.measure(network);
        let figures = [("test_error", error), ("test_loss", loss)];
        Ok(figures
            .map(|(name, value)| (name.to_string(), value))
            .into())
    }

    /// After the first window of the first batch, from where the future is longest.
    fn compare(&mut self, network: &Recurrent) -> Vec<Quality> {
        let windows: Vec<Window> = (0..self.windows().len()).map(|i| self.batch(i)).collect();
        let quality = recurrent::quality(network, &windows, 1, self.network.reach());
        quality.into_iter().collect()
    }

    fn data(&self) -> Option<Fingerprint> {
        self.data.clone()
    }
}

/// What is measured of a run.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// On all test images.
    test: Measures,
}

type Column = experiment::Column<Figures>;

impl Experiment for Settings {
    const ABOUT: &'static str =
        "Images read row by row by recurrent networks whose windows have a synthetic future";
    const LENGTH: &'static str = "--budget";
    const TRIAL: &'static [(&'static str, usize)] =
        &[("--examples", 1_024), ("--test-examples", 100)];
    const HAS_IMAGES: bool = true;

    const REFERENCE: &'static str = "bptt";

    type Shared = ImageSets;
    type Figures = Figures;

    fn about(&self) -> Value {
        json!({"data": self.data, "unroll": self.network.unroll})
    }

    fn instead(args: &RowsArgs) -> anyhow::Result<bool> {
        args.data.show(&args.length.seeds, args.call.output.quiet)
    }

    fn prepare(&self, args: &RowsArgs) -> anyhow::Result<ImageSets> {
        let quiet = args.call.output.quiet;
        Ok(args.data.sets(self.data, self.limits(), quiet)?)
    }

    fn go_on_with(&self, args: &RowsArgs) -> Vec<(&'static str, Option<String>)> {
        vec![args.data.go_on_with(self.data)]
    }

    fn train(run: &Run<Self>, sets: &ImageSets) -> anyhow::Result<Trained<Figures>> {
        let (settings, set) = (&run.settings, sets.of_seed(run.seed)?);
        let mut network = settings.network(run.method, run.seed, run.device)?;
        let data = Some(sets.fingerprint(&set));
        let mut reader = Reader::new(&set, data, settings, run.seed, run.device)?;
        let plan = settings.budget.plan(&settings.run, 4, 50);
        let progress = run.train(&mut network, &mut reader, &plan)?;
        let test = reader.measure(&network);
        Ok(Trained {
            progress,
            in_words: format!("test error {:.2} %", 100.0 * test.error),
            figures: Figures { test },
            interfaces: reader.compare(&network),
        })
    }

    fn measure(&self, figures: &Figures) -> Measure {
        Measure {
            name: "of the test images wrong",
            value: figures.test.error,
            guessing: Source::GUESSING,
            best: Some(0.0),
            less_is_better: true,
            is_share: true,
        }
    }

    fn columns(&self, _results: &[RunResult<Figures>]) -> Vec<Column> {
        vec![
            Column::percent("test error", |r| Some(r.figures.test.error)),
            Column::new("test loss", 4, |r| Some(r.figures.test.loss)),
            Column::speed(0),
            Column::worth(),
        ]
    }

    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>> {
        let (settings, data, device) = (&saved.settings, saved.data, saved.device);
        let set = data.load(
            &saved.checkpoint,
            saved.seed,
            settings.data,
            settings.limits(),
        )?;
        let mut network = settings.network(saved.method, saved.seed, device)?;
        saved.checkpoint.restore(&mut network)?;
        Ok(Reader::new(&set, None, settings, saved.seed, device)?.evaluate(&network)?)
    }
}
