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
use dni::report::Measure;
use dni::train::Task;
use dni::{Loss, Quality, Recurrent, Sequence, Window};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::Misuse;
use crate::comparison::Run;
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::flags;
use crate::recurrent::{self, CoreKind, RecurrentNetwork};
use crate::sequences::{SequenceArgs, SequenceTask, Settings};
use crate::source::{DataArgs, ImageData, ImageSets, Source};
use crate::tally::Measures;

/// Which images are read.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Rows {
    #[command(flatten)]
    #[serde(flatten)]
    images: ImageData,
}

impl SequenceTask for Rows {
    const NAME: &'static str = "rows";
    const LOSS: Loss = Loss::CrossEntropy;
    type Call = DataArgs;

    /// What shows the difference in a minute.
    fn standard() -> Settings<Self> {
        let network = RecurrentNetwork {
            unroll: 7,
            lr: 2e-3,
            ..RecurrentNetwork::new(CoreKind::Gru, 128)
        };
        Settings::new(flags::standard(), 6_000, 32, network)
    }

    fn sizes(&self) -> (usize, usize) {
        let shape = self.images.data.shape();
        (shape.channels * shape.width, Source::CLASSES)
    }

    fn check(&self, batch: usize) -> Result<(), Misuse> {
        self.images.check(batch)
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
    let next = || Sequence::new(images.clone().narrow(0, end, 1));
    let asks = Tensor::zeros([steps, batch], device);
    Window {
        next: (!is_last).then(next),
        sequence: Sequence {
            keep_mask: (rows.start == 0).then(|| Sequence::beginning([steps, batch], device)),
            inputs: images.clone().narrow(0, rows.start, steps).into(),
        },
        targets: classes.unsqueeze::<3>().repeat_dim(0, steps).into(),
        weights: Some(match is_last {
            true => asks.slice_fill(steps - 1..steps, 1.0),
            false => asks,
        }),
    }
}

/// The images of a run, a batch after another, each in as many windows as it takes.
struct Reader<'a> {
    set: &'a ImageSet,
    data: Fingerprint,
    order: Order,
    network: &'a RecurrentNetwork,
    device: &'a Device,
}

impl Reader<'_> {
    /// The rows of every window of an image.
    fn windows(&self) -> Vec<Range<usize>> {
        let (height, unroll) = (self.set.train.shape().height, self.network.unroll);
        let firsts = (0..height).step_by(unroll);
        firsts.map(|i| i..height.min(i + unroll)).collect()
    }
}

impl Task<Recurrent> for Reader<'_> {
    fn batch(&mut self, step: usize) -> Window {
        let windows = self.windows();
        let rows = windows[step % windows.len()].clone();
        let which = self.order.rows(step / windows.len());
        window(&self.set.train, which, rows, self.device)
    }

    fn evaluate(&mut self, network: &Recurrent) -> dni::Result<BTreeMap<String, f64>> {
        Ok(measure(network, &self.set.test, self.device).named("test"))
    }

    /// After the first window of the first batch, from where the future is longest.
    fn compare(&mut self, network: &Recurrent) -> Vec<Quality> {
        let windows: Vec<Window> = (0..self.windows().len()).map(|i| self.batch(i)).collect();
        let quality = recurrent::quality(network, &windows, 1, self.network.reach());
        quality.into_iter().collect()
    }

    fn data(&self) -> Option<Fingerprint> {
        Some(self.data.clone())
    }
}

/// How well images are told apart after the last row.
fn measure(network: &Recurrent, images: &Images, device: &Device) -> Measures {
    let height = images.shape().height;
    Measures::of_images(images.len(), network.loss(), |some| {
        let whole = window(images, some, 0..height, device);
        let (outputs, _) = network.predict(&whole.sequence, None);
        let last = |steps: Tensor<3>| steps.narrow(0, height - 1, 1).squeeze_dim(0);
        let targets = whole.targets.numbers().expect("they are one-hot");
        (last(outputs), last(targets.clone()))
    })
}

/// What is measured of a run.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// On all test images.
    test: Measures,
}

type Column = experiment::Column<Figures>;

impl Experiment for Settings<Rows> {
    const ABOUT: &'static str =
        "Images read row by row by recurrent networks whose windows have a synthetic future";
    const LENGTH: &'static str = "--budget";
    const TRIAL: &'static [(&'static str, usize)] =
        &[("--examples", 1_024), ("--test-examples", 100)];
    const REFERENCE: &'static str = "bptt";

    type Shared = ImageSets;
    type Figures = Figures;

    fn images(&self) -> Option<&ImageData> {
        Some(&self.task.images)
    }

    fn files(args: &SequenceArgs<Rows>) -> Option<&DataArgs> {
        Some(&args.own)
    }

    fn about(&self) -> Value {
        json!({"data": self.task.images.data, "unroll": self.network.unroll})
    }

    fn prepare(&self, args: &SequenceArgs<Rows>) -> anyhow::Result<ImageSets> {
        Ok(args.own.sets(&self.task.images, args.call.output.quiet)?)
    }

    fn train(run: &Run<Self>, sets: &ImageSets) -> anyhow::Result<Trained<Figures>> {
        let (settings, set) = (&run.settings, sets.of_seed(run.seed)?);
        let mut network = settings.build(run.method, run.seed, run.device)?;
        let mut reader = Reader {
            set: &set,
            data: sets.fingerprint(&set),
            order: Order::new(set.train.len(), settings.run.batch_size, Some(run.seed))?,
            network: &settings.network,
            device: run.device,
        };
        let plan = settings.budget.plan(&settings.run, 4, 50);
        let progress = run.train(&mut network, &mut reader, &plan)?;
        let test = measure(&network, &set.test, run.device);
        Ok(Trained {
            progress,
            in_words: format!("test error {:.2} %", 100.0 * test.error),
            figures: Figures { test },
            interfaces: reader.compare(&network),
        })
    }

    fn measure(&self, figures: &Figures) -> Measure {
        figures.test.measure("of the test images wrong")
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
        let images = &saved.settings.task.images;
        let set = saved.data.load(&saved.checkpoint, saved.seed, images)?;
        let mut network = saved
            .settings
            .build(saved.method, saved.seed, saved.device)?;
        saved.checkpoint.restore(&mut network)?;
        Ok(measure(&network, &set.test, saved.device).named("test"))
    }
}
