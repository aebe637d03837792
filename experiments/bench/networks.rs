//! The networks whose steps `dni bench` times and counts.

use std::sync::atomic::AtomicBool;

use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::ValueEnum;
use dni::data::{ImageShape, Images, ResidentImages, Stream, generator};
use dni::learner::Learner;
use dni::train::{Plan, Progress, Task, train};
use dni::{
    Batch, Chain, ChainSchedule, Data, DenseConfig, Future, Init, Interface,
    LinearSynthesizerConfig, Loss, LowRankSynthesizerConfig, LstmConfig, MlpSynthesizerConfig,
    Optimizer, Recurrent, Sequence, Window,
};
use rand::Rng as _;
use serde::Serialize;

use crate::method::Method;
use crate::tasks::adder::{Settings, Sums};

/// Whose step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Binary addition, set by the training flags
    #[default]
    Adder,
    /// 784-256x4-10 with batch norm; synthesizers are linear with labels and mlp:1024x1024 without
    Images,
    /// 256 units over 50 characters, one-hot, windows of 8 steps, batch 64; backprop is truncated,
    /// the synthesizer linear:32
    Lstm,
    /// The same on tokens and classes
    LstmTokens,
}

impl Network {
    /// The network as a method trains it, ready to run.
    pub fn build(
        self,
        settings: &Settings,
        method: Method,
        device: &Device,
    ) -> dni::Result<Box<dyn Stepping>> {
        const SEED: u64 = 1;
        Ok(match self {
            Self::Adder => {
                let chain = settings.chain(method, SEED, device);
                let chain = chain.map_err(|misuse| dni::Error::Invalid(misuse.0))?;
                of_chain(chain, Sums::new(settings, SEED, device)?, method)
            }
            Self::Images => {
                let chain = images(method, SEED, device)?;
                let noise = Noise::new(settings.run.batch_size, SEED, device)?;
                of_chain(chain, noise, method)
            }
            Self::Lstm | Self::LstmTokens => {
                let mut characters = Characters {
                    are_tokens: self == Self::LstmTokens,
                    device: device.clone(),
                };
                let window = characters.batch(0);
                Box::new(Ready {
                    learner: lstm(method, SEED, device)?,
                    task: characters,
                    batch: window,
                    schedule: (),
                    step: |network: &mut Recurrent, window, ()| {
                        network.step(window);
                    },
                })
            }
        })
    }

    /// Examples in a batch.
    pub fn batch_size(self, settings: &Settings) -> usize {
        match self {
            Self::Adder | Self::Images => settings.run.batch_size,
            Self::Lstm | Self::LstmTokens => SEQUENCES,
        }
    }
}

/// A network with something to learn from.
pub trait Stepping {
    /// One step on a batch that lies on the device already.
    fn step(&mut self);

    /// So many steps as a run takes them: with new batches, figures, and a record at the end of
    /// each of them.
    ///
    /// # Errors
    ///
    /// If a figure or a parameter is not finite.
    fn train(&mut self, steps: usize, record_every: usize) -> dni::Result<()>;
}

struct Ready<L: Learner, T> {
    learner: L,
    task: T,
    batch: L::Batch,
    schedule: L::Schedule,
    step: fn(&mut L, L::Batch, &L::Schedule),
}

impl<L: Learner, T: Task<L>> Stepping for Ready<L, T>
where
    L::Batch: Clone,
    L::Schedule: Clone,
{
    fn step(&mut self) {
        (self.step)(&mut self.learner, self.batch.clone(), &self.schedule);
    }

    fn train(&mut self, steps: usize, record_every: usize) -> dni::Result<()> {
        let mut plan = Plan::new(steps, self.schedule.clone());
        (plan.record_every, plan.check_every) = (record_every, record_every);
        let (start, never) = (Progress::default(), AtomicBool::new(false));
        let (learner, task) = (&mut self.learner, &mut self.task);
        train(learner, task, &plan, start, &mut (), &mut [], &never)?;
        Ok(())
    }
}

fn of_chain(
    chain: Chain,
    mut task: impl Task<Chain> + 'static,
    method: Method,
) -> Box<dyn Stepping> {
    Box::new(Ready {
        learner: chain,
        batch: task.batch(0),
        task,
        schedule: ChainSchedule::from(method.credit()),
        step: |chain: &mut Chain, batch, schedule| {
            chain.step(batch, schedule.credit);
        },
    })
}

const PIXELS: usize = 28;
const CLASSES: usize = 10;

fn images(method: Method, seed: u64, device: &Device) -> dni::Result<Chain> {
    if method.only_interface().is_some() {
        return Err(dni::Error::Invalid(format!(
            "the images' network has an interface on every layer, and not that of {method}; choose \
             dni or cdni"
        )));
    }
    let rng = &mut generator(seed, Stream::Parameters);
    let sizes = [PIXELS * PIXELS, 256, 256, 256, 256, CLASSES];
    let mut chain = Chain::new(Loss::CrossEntropy);
    let top = sizes.len() - 2;
    for (i, pair) in sizes.windows(2).enumerate() {
        let config = DenseConfig::new(pair[0], pair[1]).with_init(Init::He);
        let config = match i == top {
            true => config.linear(),
            false => config.with_batch_norm(true),
        };
        let section = config.init(rng, device);
        chain = chain.section(format!("layer{i}"), section, Optimizer::adam(1e-3));
        if i == top || !method.credit().uses_synthesizers() {
            continue;
        }
        let (features, optimizer) = (pair[1], Optimizer::adam(1e-3));
        chain = chain.interface(if method.is_conditional() {
            let config = LinearSynthesizerConfig::new(features).with_contexts(CLASSES);
            Interface::new(config.init(rng, device), optimizer)
        } else {
            let config = MlpSynthesizerConfig::new(features, vec![1024, 1024]);
            Interface::new(config.init(rng, device), optimizer)
        });
    }
    Ok(chain)
}

/// Images of noise.
struct Noise(ResidentImages<Images>);

impl Noise {
    fn new(images: usize, seed: u64, device: &Device) -> dni::Result<Self> {
        let shape = ImageShape {
            channels: 1,
            height: PIXELS,
            width: PIXELS,
        };
        let mut pixels = vec![0; images * shape.len()];
        generator(seed, Stream::Examples).fill_bytes(&mut pixels);
        let labels = (0..images).map(|i| (i % CLASSES) as u8).collect();
        let images = Images::new(pixels, labels, shape, CLASSES)?;
        Ok(Self(ResidentImages::new(images, device)))
    }
}

impl Task<Chain> for Noise {
    fn batch(&mut self, _step: usize) -> Batch {
        let rows: Vec<usize> = (0..self.0.images().len()).collect();
        let (input, label) = self.0.rows(&rows);
        Batch::labelled(input, label)
    }
}

const UNITS: usize = 256;
const VOCABULARY: usize = 50;
const STEPS: usize = 8;
const SEQUENCES: usize = 64;

fn lstm(method: Method, seed: u64, device: &Device) -> dni::Result<Recurrent> {
    let rng = &mut generator(seed, Stream::Parameters);
    let adam = || Optimizer::adam(1e-3);
    let core = LstmConfig::new(VOCABULARY, UNITS).init(rng, device);
    let readout = DenseConfig::new(UNITS, VOCABULARY).linear();
    let readout = readout.init(rng, device);
    let network = Recurrent::new(Loss::CrossEntropy, (core, adam()), (readout, adam()));
    match method {
        Method::Backprop => Ok(network),
        Method::Dni { only: None } => {
            let synthesizer = LowRankSynthesizerConfig::new(2 * UNITS, 32).init(rng, device);
            Ok(network.with_future(Future::new(Interface::new(synthesizer, adam()))))
        }
        _ => Err(dni::Error::Invalid(format!(
            "the LSTM learns by backprop and dni, not by {method}"
        ))),
    }
}

/// Characters that follow each other by a rule.
struct Characters {
    are_tokens: bool,
    device: Device,
}

impl Characters {
    /// Those of some steps, as tokens or one-hot.
    fn of_steps(&self, steps: usize, shift: usize) -> Data<3> {
        let characters = (0..steps * SEQUENCES).map(|i| (i * 7 + shift) % VOCABULARY);
        if self.are_tokens {
            let tokens: Vec<i32> = characters.map(|character| character as i32).collect();
            let data = TensorData::new(tokens, [steps, SEQUENCES]);
            return Tensor::<2, Int>::from_data(data, &self.device).into();
        }
        let mut values = vec![0.0_f32; steps * SEQUENCES * VOCABULARY];
        let rows = values.chunks_exact_mut(VOCABULARY);
        rows.zip(characters)
            .for_each(|(row, character)| row[character] = 1.0);
        let data = TensorData::new(values, [steps, SEQUENCES, VOCABULARY]);
        Tensor::<3>::from_data(data, &self.device).into()
    }
}

impl Task<Recurrent> for Characters {
    fn batch(&mut self, _step: usize) -> Window {
        Window {
            sequence: Sequence::new(self.of_steps(STEPS, 0)),
            targets: self.of_steps(STEPS, 1),
            weights: None,
            next: Some(Sequence::new(self.of_steps(1, 0))),
        }
    }
}
