//! Binary addition, the notebook's task, by several methods side by side.
//!
//! Claim: a network whose layers are decoupled by synthetic gradients learns the task as well as
//! by backprop if its synthesizers see the label (cDNI), and much more slowly if they do not (DNI).
//! Command: `dni adder`. It takes about a minute on two cores.

mod measures;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use burn::tensor::Device;
use dni::data::{Adder, Order, Stream, generator};
use dni::report::Measure;
use dni::train::{Plan, Task};
use dni::{Batch, Chain, ChainSchedule, Dense, DenseConfig, Interface, Optimizer, Quality};
use rand::Rng;
use serde::Serialize;

use crate::args::Misuse;
use crate::comparison::Run;
use crate::defaults::Learning;
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::method::Method;
use crate::sections::{add_dense, layer_name};
use measures::Measures;
use settings::Rule;
pub use settings::{Settings, TrainingArgs};

impl Settings {
    /// The network of one run. Its layers start alike under every method.
    pub fn chain(&self, method: Method, seed: u64, device: &Device) -> Result<Chain, Misuse> {
        let rng = &mut generator(seed, Stream::Parameters);
        let top = self.layers.len();
        let mut inputs = 2 * self.bits;
        let mut layers: Vec<Dense> = Vec::with_capacity(top + 1);
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
            layers.push(config.init(rng, device));
            inputs = outputs;
        }
        let learning = self.learning(method);
        let mut chain = Chain::new(self.loss).with_reduction(self.reduction);
        let (mut layers, mut below) = (layers.into_iter(), 0);
        for size in self.sections_of(method) {
            below += size;
            let name = layer_name(below - 1, top + 1);
            let own = layers.by_ref().take(size).collect();
            chain = add_dense(chain, name, own, self.optimizer(learning.lr));
            if below <= top && method.credit().uses_synthesizers() {
                let features = (self.layers[below - 1], method.contexts(self.bits));
                chain = chain.interface(self.interface(&learning, features, rng, device)?);
            }
        }
        Ok(chain)
    }

    /// An interface for messages and contexts of so many features.
    fn interface(
        &self,
        learning: &Learning,
        (features, contexts): (usize, usize),
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<Interface, Misuse> {
        let optimizer = self.optimizer(learning.synthesizer_lr);
        let kind = &learning.synthesizer;
        let interface = kind.interface(features, contexts, optimizer, rng, device)?;
        Ok(interface.with_scale(self.target_scale))
    }

    fn optimizer(&self, lr: f64) -> Optimizer {
        match self.rule {
            Rule::Adam => Optimizer::adam(lr),
            Rule::Sgd => Optimizer::sgd(lr),
        }
    }

    fn plan(&self, method: Method) -> Plan<ChainSchedule> {
        let evaluate_every = (self.run.steps / 10).max(1);
        Plan {
            rates: self.lr_schedule.of_run(self.run.steps),
            save_every: Duration::from_secs(1),
            ..self.run.plan(100, evaluate_every, method.credit())
        }
    }
}

/// The batches of a run.
pub struct Sums {
    data: Adder,
    order: Order,
    settings: Settings,
    device: Device,
}

impl Sums {
    pub fn new(settings: &Settings, seed: u64, device: &Device) -> dni::Result<Self> {
        let rng = &mut generator(seed, Stream::Examples);
        Ok(Self {
            data: Adder::new(settings.bits, settings.examples, rng)?,
            order: settings.order(seed)?,
            settings: settings.clone(),
            device: device.clone(),
        })
    }
}

impl Task<Chain> for Sums {
    fn batch(&mut self, step: usize) -> Batch {
        let (input, target) = self.data.train.rows(self.order.rows(step), &self.device);
        Batch::labelled(input, target)
    }

    fn evaluate(&mut self, chain: &Chain) -> dni::Result<BTreeMap<String, f64>> {
        let unseen = &self.data.test;
        if unseen.is_empty() {
            return Ok(BTreeMap::new());
        }
        let measures = Measures::of(&self.settings, chain, unseen, &self.device);
        let error = 1.0 - measures.exact;
        Ok(BTreeMap::from([("unseen_error".to_string(), error)]))
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
    /// The mean loss of the training sums after the last step.
    loss: f64,
    train: Measures,
    /// On sums never seen; none if there are no others.
    test: Option<Measures>,
}

type Column = experiment::Column<Figures>;

impl Experiment for Settings {
    const ABOUT: &'static str = "Binary addition by backprop, DNI and cDNI, side by side";
    // It evaluates ten times, however short a run is.
    const TRIAL_STEPS: usize = 200;

    type Shared = ();
    type Figures = Figures;

    fn prepare(&self, _args: &Self::Args) -> anyhow::Result<()> {
        Ok(())
    }

    fn train(run: &Run<Self>, (): &()) -> anyhow::Result<Trained<Figures>> {
        const LOOKED_AT: usize = 1_024;
        let settings = &run.settings;
        let mut chain = settings.chain(run.method, run.seed, run.device)?;
        let mut sums = Sums::new(settings, run.seed, run.device)?;
        let progress = run.train(&mut chain, &mut sums, &settings.plan(run.method))?;
        let Adder { train, test } = &sums.data;
        let rows: Vec<usize> = (0..train.len().min(LOOKED_AT)).collect();
        let (input, target) = train.rows(&rows, run.device);
        let interfaces = chain.quality(&Batch::labelled(input, target));
        let (input, target) = train.all(run.device);
        let measures = |examples| Measures::of(settings, &chain, examples, run.device);
        let loss = chain.loss_of(&Batch::labelled(input, target)).into();
        Ok(Trained {
            progress,
            in_words: format!("loss {loss:.4}"),
            figures: Figures {
                loss,
                train: measures(train),
                test: Some(test).filter(|test| !test.is_empty()).map(measures),
            },
            interfaces,
        })
    }

    /// Whoever guesses has each bit right every other time.
    fn measure(&self, figures: &Figures) -> Measure {
        let (name, measures) = match &figures.test {
            Some(test) => ("of the unseen sums wrong", test),
            None => ("of the sums wrong", &figures.train),
        };
        Measure {
            name: name.to_string(),
            value: 1.0 - measures.exact,
            guessing: 1.0 - 0.5_f64.powi(self.bits as i32),
            best: Some(0.0),
            less_is_better: true,
            is_share: true,
        }
    }

    fn columns(&self, _results: &[RunResult<Figures>]) -> Vec<Column> {
        let unseen = |measure: fn(&Measures) -> f64| {
            move |r: &RunResult<Figures>| r.figures.test.as_ref().map(measure)
        };
        let mut columns = vec![
            Column::new("loss", 4, |r| Some(r.figures.loss)),
            Column::percent("train bits", |r| Some(r.figures.train.bit_accuracy)),
            Column::percent("train sums", |r| Some(r.figures.train.exact)),
            Column::percent("unseen bits", unseen(|test| test.bit_accuracy)),
            Column::percent("unseen sums", unseen(|test| test.exact)),
            Column::speed(0),
        ];
        columns.extend((0..self.layers.len()).map(Column::worth_of_layer));
        if self.preset.is_some() {
            columns.extend([
                Column::new("notebook loss", 2, |r| r.figures.train.notebook_loss),
                // What its second program prints of the synthesizer at the top.
                Column::new("notebook synthetic loss", 1, |r| {
                    r.interfaces
                        .last()
                        .and_then(|quality| quality.absolute_error)
                }),
            ]);
        }
        columns
    }

    /// On the sums that the run has not seen.
    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>> {
        let (settings, device) = (&saved.settings, saved.device);
        let mut chain = settings.chain(saved.method, saved.seed, device)?;
        saved.checkpoint.restore(&mut chain)?;
        Ok(Sums::new(settings, saved.seed, device)?.evaluate(&chain)?)
    }
}
