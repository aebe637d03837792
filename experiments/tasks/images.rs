//! Images by feed-forward networks: the paper's sections 3.1 to 3.3 and its supplement.
//!
//! Claim: networks of any depth whose layers are all decoupled learn images as well as by backprop
//! if their synthesizers see the label (cDNI), even if each layer learns in a fifth of the steps
//! only, and with synthetic inputs as well; without labels (DNI) they fall behind with depth.
//! Command: `dni images`. It takes about a minute on two cores.

mod settings;

use std::collections::BTreeMap;

use burn::tensor::Device;
use dni::data::{Fingerprint, Images, Order, ResidentImages, Stream, generator};
use dni::report::Measure;
use dni::threaded;
use dni::train::{Plan, Task};
use dni::{Batch, Chain, ChainSchedule, Quality, Sparse};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Misuse;
use crate::comparison::Run;
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::method::Method;
use crate::network::{Model, Parts};
use crate::shell::quoted_path;
use crate::sites::Sites;
use crate::source::{DataArgs, ImageData, ImageSets};
use crate::tally::{Measures, Tested};
use settings::ImagesArgs;
pub use settings::{Architecture, Settings};

impl Settings {
    /// The network of one run. Its layers start alike under every method.
    pub fn chain(
        &self,
        method: Method,
        seed: u64,
        images: &Images,
        device: &Device,
    ) -> Result<Chain, Misuse> {
        let learning = self.learning(method);
        let has_synthesizers = method.credit().uses_synthesizers();
        let parts = Parts {
            image: images.shape(),
            classes: images.classes(),
            sections: self.sections_of(method),
            synthesizer: Some(&learning.synthesizer).filter(|_| has_synthesizers),
            contexts: method.contexts(images.classes()),
            lr: learning.lr,
            synthesizer_lr: learning.synthesizer_lr,
            target_scale: self.target_scale,
            device,
        };
        let rng = &mut generator(seed, Stream::Parameters);
        self.arch.network.chain(&parts, rng)
    }

    fn plan(&self, method: Method, seed: u64) -> anyhow::Result<Plan<ChainSchedule>> {
        let most = match self.arch.network.model {
            Model::Fcn => 100,
            // Its steps are slow, and Ctrl-C waits for a record.
            Model::Cnn => 10,
        };
        let sparse = Some(self.update_probability).filter(|&p| p < 1.0);
        let schedule = ChainSchedule {
            sparse: sparse.map(|p| Sparse::new(p, seed)).transpose()?,
            ..ChainSchedule::from(method.credit())
        };
        let mut plan = self.run.plan(most, self.evaluate_every(), schedule);
        plan.rates = self.lr_schedule.of_run(self.run.steps);
        self.workers.adapt(&mut plan, &self.run, most);
        Ok(plan)
    }
}

/// The batches of a run.
struct Batches<'a> {
    train: ResidentImages<&'a Images>,
    test: ResidentImages<&'a Images>,
    data: Fingerprint,
    order: Order,
}

impl Task<Chain> for Batches<'_> {
    fn data(&self) -> Option<Fingerprint> {
        Some(self.data.clone())
    }

    fn batch(&mut self, step: usize) -> Batch {
        let (input, target) = self.train.rows(self.order.rows(step));
        Batch::labelled(input, target)
    }

    fn evaluate(&mut self, chain: &Chain) -> dni::Result<BTreeMap<String, f64>> {
        Ok(measure(chain, &self.test, usize::MAX).named("test"))
    }

    fn compare(&mut self, chain: &Chain) -> Vec<Quality> {
        // Always the same, so that what changes is the network.
        let batch = self.batch(0);
        chain.quality(&batch)
    }
}

/// What is measured of a run.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// On up to 10,000 images that it learned from.
    train: Measures,
    #[serde(flatten)]
    tested: Tested,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<threaded::Report>,
}

/// How well the first images are told apart, up to `most`.
fn measure(chain: &Chain, images: &ResidentImages<&Images>, most: usize) -> Measures {
    let count = images.images().len().min(most);
    Measures::of_images(count, chain.loss(), |rows| {
        let (input, target) = images.rows(rows);
        let output = chain.predict(input);
        let target = target.to_device(&output.device());
        (output, target)
    })
}

/// What the runs of a call share.
pub struct Shared {
    sites: Sites,
    sets: ImageSets,
}

type Column = experiment::Column<Figures>;

impl Experiment for Settings {
    const ABOUT: &'static str = "Image classification by networks of any depth: decoupled, sparsely updated, completely unlocked";
    type Shared = Shared;
    type Figures = Figures;

    fn images(&self) -> Option<&ImageData> {
        Some(&self.images)
    }

    fn files(args: &ImagesArgs) -> Option<&DataArgs> {
        Some(&args.files)
    }

    fn about(&self) -> Value {
        json!({"data": self.images.data})
    }

    fn prepare(&self, args: &ImagesArgs) -> anyhow::Result<Shared> {
        let places = self.workers.places(self.run.backend);
        let sites = Sites::open(&places, &args.token)?;
        let sets = args.files.sets(&self.images, args.call.output.quiet)?;
        if let Some(set) = sets.common() {
            Order::new(set.train.len(), self.run.batch_size, None)?;
        }
        Ok(Shared { sites, sets })
    }

    fn go_on_with(&self, args: &ImagesArgs) -> Vec<(&'static str, Option<String>)> {
        let token = args.token.file().map(quoted_path);
        vec![args.files.go_on_with(&self.images), ("--token-file", token)]
    }

    fn train(run: &Run<Self>, shared: &Shared) -> anyhow::Result<Trained<Figures>> {
        let sites = &shared.sites;
        sites.guard(&run.go_on(), || train(run, &shared.sets, &sites.devices))
    }

    fn measure(&self, figures: &Figures) -> Measure {
        figures.tested.measure()
    }

    fn columns(&self, results: &[RunResult<Figures>]) -> Vec<Column> {
        let train = Column::percent("train error", |r| Some(r.figures.train.error));
        let [error, loss] = Tested::columns(|figures: &Figures| &figures.tested);
        let mut columns = vec![train, error, loss, Column::speed(1)];
        columns.extend(Column::worths(results, self.arch.network.depth - 1));
        columns
    }

    /// On the test images of the run, or on others.
    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>> {
        let (settings, device) = (&saved.settings, saved.device);
        let set = saved.images(&settings.images)?;
        let mut chain = settings.chain(saved.method, saved.seed, &set.train, device)?;
        saved.checkpoint.restore(&mut chain)?;
        let test = ResidentImages::new(&set.test, device);
        Ok(measure(&chain, &test, usize::MAX).named("test"))
    }
}

/// Trains one run, by workers if there are any, and measures it.
fn train(
    run: &Run<Settings>,
    sets: &ImageSets,
    devices: &[Device],
) -> anyhow::Result<Trained<Figures>> {
    const MOST: usize = 10_000;
    let settings = &run.settings;
    let set = &*sets.of_seed(run.seed)?;
    let mut chain = settings.chain(run.method, run.seed, &set.train, run.device)?;
    let mut batches = Batches {
        train: ResidentImages::new(&set.train, run.device),
        test: ResidentImages::new(&set.test, run.device),
        data: sets.fingerprint(set),
        order: Order::new(set.train.len(), settings.run.batch_size, Some(run.seed))?,
    };
    let plan = settings.plan(run.method, run.seed)?;
    let (chain, progress, workers) = if settings.workers.are_wanted() {
        let sections = settings.sections_of(run.method);
        let workers = &settings.workers;
        let (chain, progress, report) =
            workers.train(run, (chain, &sections), &mut batches, plan, devices)?;
        (chain, progress, Some(report))
    } else {
        let progress = run.train(&mut chain, &mut batches, &plan)?;
        (chain, progress, None)
    };
    let looked_at = settings.run.batch_size.min(set.train.len());
    let rows: Vec<usize> = (0..looked_at).collect();
    let (input, target) = batches.train.rows(&rows);
    let tested = Tested {
        test: measure(&chain, &batches.test, usize::MAX),
    };
    Ok(Trained {
        progress,
        in_words: tested.in_words(),
        figures: Figures {
            train: measure(&chain, &batches.train, MOST),
            tested,
            workers,
        },
        interfaces: chain.quality(&Batch::labelled(input, target)),
    })
}
