//! Images by feed-forward networks: the paper's sections 3.1 to 3.3 and its supplement.
//!
//! Claim: networks of any depth whose layers are all decoupled learn images as well as by backprop
//! if their synthesizers see the label (cDNI), even if each layer learns in a fifth of the steps
//! only, and with synthetic inputs as well; without labels (DNI) they fall behind with depth.
//! Command: `dni images`. It takes about a minute on two cores.

mod settings;

use std::collections::BTreeMap;

use burn::tensor::Device;
use dni::data::{Fingerprint, ImageSet, Images, Order, Stream, generator};
use dni::threaded;
use dni::train::{Plan, Task};
use dni::{Batch, Chain, Lessons, Place, Quality, Sparse};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Misuse;
use crate::comparison::{Run, check_every};
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::method::Method;
use crate::network::{Model, Parts};
use crate::sections::quality_of;
use crate::shell::quoted_path;
use crate::sites::Sites;
use crate::source::{ImageSets, Source};
use crate::tally::{Measures, Tally};
use crate::verdict::Measure;
use settings::ImagesArgs;
pub use settings::{NetworkArgs, Settings};

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
            contexts: if method.is_conditional() {
                images.classes()
            } else {
                0
            },
            lr: learning.lr,
            synthesizer_lr: learning.synthesizer_lr,
            target_scale: self.target_scale,
            device,
        };
        let rng = &mut generator(seed, Stream::Parameters);
        self.network.chain(&parts, rng)
    }

    fn plan(&self, method: Method, seed: u64) -> anyhow::Result<Plan<Lessons>> {
        let most = match self.network.model {
            Model::Fcn => 100,
            // Its steps are slow, and Ctrl-C waits for a record.
            Model::Cnn => 10,
        };
        let sparse = Some(self.update_probability).filter(|&p| p < 1.0);
        let lessons = Lessons {
            sparse: sparse.map(|p| Sparse::new(p, seed)).transpose()?,
            ..Lessons::from(method.credit())
        };
        let mut plan = self.run.plan(most, self.evaluate_every(), lessons);
        plan.rates = self.lr_schedule.of_run(self.run.steps);
        if self.workers.are_wanted() {
            // All of them must come to the same step for a record.
            plan.record_every = plan.record_every.max(most / 2);
            plan.compare_every = Some(self.run.compare_every(plan.record_every));
        }
        let places = self.workers.places(self.run.backend);
        let check_every = places.iter().map(|place| match place {
            Place::Backend(backend) => check_every(*backend, plan.record_every),
            // Each look waits for the device.
            Place::Adapter(_) | Place::Server(_) => plan.record_every,
        });
        plan.check_every = check_every.max().unwrap_or(1);
        Ok(plan)
    }
}

/// The batches of a run.
pub struct Batches<'a> {
    set: &'a ImageSet,
    /// None where nothing is trained.
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

    /// Says what the images are: a run that goes on refuses others.
    fn of(mut self, data: Fingerprint) -> Self {
        self.data = Some(data);
        self
    }
}

impl Task<Chain> for Batches<'_> {
    fn data(&self) -> Option<Fingerprint> {
        self.data.clone()
    }

    fn batch(&mut self, step: usize) -> Batch {
        let (input, target) = self.set.train.rows(self.order.rows(step), &self.device);
        Batch::labelled(input, target)
    }

    fn evaluate(&mut self, chain: &Chain) -> dni::Result<BTreeMap<String, f64>> {
        let test = &self.set.test;
        let measures = measure(chain, test, test.len(), &self.device);
        Ok(BTreeMap::from([
            ("test_error".to_string(), measures.error),
            ("test_loss".to_string(), measures.loss),
        ]))
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
    /// On all test images.
    test: Measures,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<threaded::Report>,
}

type Column = experiment::Column<Figures>;

/// On the first images, up to `most`.
fn measure(chain: &Chain, images: &Images, most: usize, device: &Device) -> Measures {
    const AT_ONCE: usize = 500;
    let examples = images.len().min(most);
    let mut tally = Tally::default();
    for first in (0..examples).step_by(AT_ONCE) {
        let rows: Vec<usize> = (first..examples.min(first + AT_ONCE)).collect();
        let (input, target) = images.rows(&rows, device);
        let output = chain.predict(input);
        let target = target.to_device(&output.device());
        tally.add(chain.loss(), output, target);
    }
    tally.into()
}

/// What the runs of a call share.
pub struct Shared {
    sites: Sites,
    sets: ImageSets,
}

impl Experiment for Settings {
    const ABOUT: &'static str =
        "Images by networks of any depth: decoupled, sparsely updated, completely unlocked";
    const TRIAL: &'static [(&'static str, usize)] = &[
        ("--examples", 1_024),
        ("--test-examples", 100),
        ("--eval-every", 1_000_000),
    ];
    const HAS_IMAGES: bool = true;

    type Shared = Shared;
    type Figures = Figures;

    fn about(&self) -> Value {
        json!({"data": self.data})
    }

    fn instead(args: &ImagesArgs) -> anyhow::Result<bool> {
        args.data.show(&args.length.seeds, args.call.output.quiet)
    }

    fn prepare(&self, args: &ImagesArgs) -> anyhow::Result<Shared> {
        let places = self.workers.places(self.run.backend);
        let sites = Sites::open(&places, &args.workers.token)?;
        let quiet = args.call.output.quiet;
        let sets = args.data.sets(self.data, self.limits(), quiet)?;
        if let Some(set) = sets.common() {
            Order::new(set.train.len(), self.run.batch_size, None)?;
        }
        Ok(Shared { sites, sets })
    }

    fn go_on_with(&self, args: &ImagesArgs) -> Vec<(&'static str, Option<String>)> {
        let token = args.workers.token.file().map(quoted_path);
        vec![args.data.go_on_with(self.data), ("--token-file", token)]
    }

    fn train(run: &Run<Self>, shared: &Shared) -> anyhow::Result<Trained<Figures>> {
        let sites = &shared.sites;
        sites.guard(&run.go_on(), || train(run, &shared.sets, &sites.devices))
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

    fn columns(&self, results: &[RunResult<Figures>]) -> Vec<Column> {
        let has_interface = |&i: &usize| {
            let mut results = results.iter();
            results.any(|r| quality_of(&r.interfaces, i).is_some())
        };
        let interfaces: Vec<usize> = (0..self.network.depth - 1).filter(has_interface).collect();
        let shown = match interfaces[..] {
            [lowest, .., highest] if interfaces.len() > 5 => {
                vec![lowest, interfaces[interfaces.len() / 2], highest]
            }
            _ => interfaces,
        };
        let mut columns = vec![
            Column::percent("train error", |r| Some(r.figures.train.error)),
            Column::percent("test error", |r| Some(r.figures.test.error)),
            Column::new("test loss", 4, |r| Some(r.figures.test.loss)),
            Column::speed(1),
        ];
        columns.extend(shown.into_iter().map(Column::worth_of_layer));
        columns
    }

    /// On the test images of the run, or on others.
    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>> {
        let (settings, data, device) = (&saved.settings, saved.data, saved.device);
        let source = data.data.unwrap_or(settings.data);
        if source.shape() != settings.shape() {
            return Err(Misuse(
                "the network was trained on images of another shape; choose another --data"
                    .to_string(),
            )
            .into());
        }
        let set = data.load(
            &saved.checkpoint,
            saved.seed,
            settings.data,
            settings.limits(),
        )?;
        let mut chain = settings.chain(saved.method, saved.seed, &set.train, device)?;
        saved.checkpoint.restore(&mut chain)?;
        Ok(Batches::new(&set, settings, saved.seed, device)?.evaluate(&chain)?)
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
    let batches = Batches::new(set, settings, run.seed, run.device)?;
    let mut batches = batches.of(sets.fingerprint(set));
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
    let (input, target) = set.train.rows(&rows, run.device);
    let test = measure(&chain, &set.test, set.test.len(), run.device);
    Ok(Trained {
        progress,
        in_words: format!("test error {:.2} %", 100.0 * test.error),
        figures: Figures {
            train: measure(&chain, &set.train, MOST, run.device),
            test,
            workers,
        },
        interfaces: chain.quality(&Batch::labelled(input, target)),
    })
}
