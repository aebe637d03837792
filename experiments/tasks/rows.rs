//! Images read row by row by a recurrent network, which says at the end what they show.
//!
//! Claim: the only loss comes with the last row. Truncated backpropagation through time teaches the
//! network nothing about the rows before the last window; with a synthetic future at the end of every
//! window it learns from these as well. The field knows the task as sequential MNIST.
//! Command: `dni rows`. It takes about a minute on two cores.

use std::collections::BTreeMap;

use burn::tensor::Device;
use dni::data::{Fingerprint, ImageRows, Images};
use dni::report::Measure;
use dni::train::Task;
use dni::{Loss, Quality, Recurrent, Window};
use serde_json::{Value, json};

use crate::args::Misuse;
use crate::comparison::Run;
use crate::experiment::{Column, Experiment, RunResult, Saved, Trained};
use crate::recurrent::{self, CoreKind, RecurrentNetwork};
use crate::sequences::{SequenceArgs, SequenceTask, Settings};
use crate::source::{DataArgs, ImageData, ImageSets, Source};
use crate::tally::{Measures, Tested};

/// Which images are read: the task has no other settings.
pub type Rows = ImageData;

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
        Settings::new(6_000, 32, network)
    }

    fn sizes(&self) -> (usize, usize) {
        let shape = self.data.shape();
        (shape.channels * shape.width, Source::CLASSES)
    }

    fn check(&self, batch: usize) -> Result<(), Misuse> {
        ImageData::check(self, batch)
    }
}

/// The images of a run.
struct Reader<'a> {
    train: ImageRows<'a>,
    test: &'a Images,
    data: Fingerprint,
    /// Windows over which the true future is taken.
    reach: usize,
    device: &'a Device,
}

impl Task<Recurrent> for Reader<'_> {
    fn batch(&mut self, step: usize) -> Window {
        self.train.window(step, self.device)
    }

    fn evaluate(&mut self, network: &Recurrent) -> dni::Result<BTreeMap<String, f64>> {
        Ok(measure(network, self.test, self.device).named("test"))
    }

    /// After the first window of the first batch, from where the future is longest.
    fn compare(&mut self, network: &Recurrent) -> Vec<Quality> {
        let windows = 0..self.train.windows_per_image();
        let windows: Vec<Window> = windows.map(|i| self.batch(i)).collect();
        recurrent::quality(network, &windows, 1, self.reach)
    }

    fn data(&self) -> Option<Fingerprint> {
        Some(self.data.clone())
    }
}

/// How well images are told apart after the last row.
fn measure(network: &Recurrent, images: &Images, device: &Device) -> Measures {
    Measures::of_images(images.len(), network.loss(), |some| {
        ImageRows::answers(network, images, some, device)
    })
}

impl Experiment for Settings<Rows> {
    const ABOUT: &'static str =
        "Images read row by row by recurrent networks whose windows have a synthetic future";
    type Shared = ImageSets;
    type Figures = Tested;

    fn images(&self) -> Option<&ImageData> {
        Some(&self.task)
    }

    fn files(args: &SequenceArgs<Rows>) -> Option<&DataArgs> {
        Some(&args.own)
    }

    fn about(&self) -> Value {
        json!({"data": self.task.data, "unroll": self.network.unroll})
    }

    fn prepare(&self, args: &SequenceArgs<Rows>) -> anyhow::Result<ImageSets> {
        Ok(args.own.sets(&self.task, args.call.output.quiet)?)
    }

    fn train(run: &Run<Self>, sets: &ImageSets) -> anyhow::Result<Trained<Tested>> {
        let (settings, set) = (&run.settings, sets.of_seed(run.seed)?);
        let (batch, unroll) = (settings.run.batch_size, settings.network.unroll);
        let mut network = settings.build(run.method, run.seed, run.device)?;
        let mut reader = Reader {
            train: ImageRows::new(&set.train, batch, unroll, Some(run.seed))?,
            test: &set.test,
            data: sets.fingerprint(&set),
            reach: settings.network.reach(),
            device: run.device,
        };
        let plan = settings.budget.plan(&settings.run, 4, 50);
        let progress = run.train(&mut network, &mut reader, &plan)?;
        let test = measure(&network, &set.test, run.device);
        let figures = Tested { test };
        Ok(Trained {
            progress,
            in_words: figures.in_words(),
            figures,
            interfaces: reader.compare(&network),
        })
    }

    fn measure(&self, figures: &Tested) -> Measure {
        figures.measure()
    }

    fn columns(&self, _results: &[RunResult<Tested>]) -> Vec<Column<Tested>> {
        let [error, loss] = Tested::columns(|figures| figures);
        vec![error, loss, Column::speed(0), Column::worth()]
    }

    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>> {
        let (set, device) = (saved.images(&saved.settings.task)?, saved.device);
        Ok(measure(&saved.network()?, &set.test, device).named("test"))
    }
}
