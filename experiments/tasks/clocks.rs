//! Two networks that tick at different rates, on a stream of digits: the paper's multi-network
//! system.
//!
//! The paper's claim: where the gradient at the fast network's messages is predicted, the fast
//! network learns at every tick of the slow one instead of once in a whole span, so that both learn
//! faster than if they are coupled, and the slow one learns better than if none comes back.
//! It holds for a synthesizer that sees, beside the message, how many threes the window had; one
//! that sees the message alone never asks for what is not in it (experiments/README.md).
//! Command: `dni clocks`. It takes under three minutes.

mod settings;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use dni::data::{DigitStream, Fingerprint, ImageSet, Stream, generator};
use dni::learner::Network;
use dni::train::{Plan, Task};
use dni::{
    Clocks, DenseConfig, FastNetwork, Feedback, Init, Loss, LstmConfig, Mlp, Optimizer, Quality,
    SlowNetwork, Span, TargetScale,
};
use rand::Rng;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{Misuse, set};
use crate::comparison::{Run, Settings as _};
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::source::ImageSets;
use crate::tally::Tally;
use crate::verdict::Measure;
pub use settings::Settings;
use settings::{ClocksArgs, ClocksMethod};

impl Settings {
    /// The networks of one run. They start alike under every method.
    fn build(&self, method: ClocksMethod, seed: u64, device: &Device) -> Result<Clocks, Misuse> {
        let rng = &mut generator(seed, Stream::Parameters);
        let (fast, slow) = (self.fast(rng, device), self.slow(rng, device));
        let feedback = match method {
            ClocksMethod::Coupled => Feedback::Coupled,
            ClocksMethod::None => Feedback::None,
            ClocksMethod::Decoupled | ClocksMethod::Conditional => {
                let contexts = match method {
                    ClocksMethod::Conditional => DigitStream::contexts(self.period),
                    _ => 0,
                };
                let optimizer = Optimizer::adam(self.synthesizer_lr());
                let interface = self
                    .synthesizer()
                    .interface(self.units, contexts, optimizer, rng, device)?;
                Feedback::Synthetic {
                    interface: interface.with_scale(TargetScale::PerExample),
                    scale: self.scale,
                }
            }
        };
        let loss = Loss::CrossEntropy;
        Ok(Clocks::new(loss, self.period, fast, slow, feedback))
    }

    /// Two layers on the image, an LSTM, a readout of counts, and a message.
    fn fast(&self, rng: &mut impl Rng, device: &Device) -> FastNetwork {
        let (units, adam) = (self.units, || Optimizer::adam(self.lr));
        let layers = [self.data.shape().len(), units].map(|inputs| {
            let layer = DenseConfig::new(inputs, units).with_batch_norm(true);
            layer.with_init(Init::He).init(rng, device)
        });
        let core = LstmConfig::new(units, units).init(rng, device);
        let classes = DigitStream::fast_classes(self.period);
        let readout = DenseConfig::new(units, classes).linear();
        let head = DenseConfig::new(units, units).linear();
        let head = head.with_batch_norm(true);
        FastNetwork::new(
            (Mlp::new(layers.to_vec()), adam()),
            (core, adam()),
            (readout.init(rng, device), adam()),
            (head.init(rng, device), adam()),
        )
    }

    /// An LSTM on the messages, and a readout of counts.
    fn slow(&self, rng: &mut impl Rng, device: &Device) -> SlowNetwork {
        let (units, adam) = (self.units, || Optimizer::adam(self.lr));
        let core = LstmConfig::new(units, units).init(rng, device);
        let classes = DigitStream::slow_classes(self.period);
        let readout = DenseConfig::new(units, classes).linear();
        SlowNetwork::new((core, adam()), (readout.init(rng, device), adam()))
    }

    fn plan(&self) -> Plan<()> {
        self.run.plan(100, self.evaluate_every(), ())
    }
}

/// The stream that a run learns from, and that which it is tested with.
struct Streams<'a> {
    /// None where nothing is trained.
    data: Option<Fingerprint>,
    train: DigitStream<'a>,
    test: DigitStream<'a>,
    device: Device,
}

impl<'a> Streams<'a> {
    /// Streams of the test side by side.
    const TESTED: usize = 100;

    fn new(
        set: &'a ImageSet,
        settings: &Settings,
        seed: u64,
        device: &Device,
    ) -> dni::Result<Self> {
        let (period, batch) = (settings.period, settings.run.batch_size);
        Ok(Self {
            data: None,
            train: DigitStream::new(&set.train, seed, period, batch)?,
            test: DigitStream::new(&set.test, seed, period, Self::TESTED)?,
            device: device.clone(),
        })
    }

    /// Says what the images are: a run that goes on refuses others.
    fn of(mut self, data: Fingerprint) -> Self {
        self.data = Some(data);
        self
    }
}

impl Task<Clocks> for Streams<'_> {
    fn data(&self) -> Option<Fingerprint> {
        self.data.clone()
    }

    fn batch(&mut self, step: usize) -> Span {
        self.train.span(step, &self.device)
    }

    fn evaluate(&mut self, clocks: &Clocks) -> dni::Result<BTreeMap<String, f64>> {
        let Figures { fast, slow } = self.measure(clocks);
        let figures = [
            ("fast_error", fast.error),
            ("fast_loss", fast.loss),
            ("slow_error", slow.error),
            ("slow_loss", slow.loss),
        ];
        Ok(figures
            .map(|(name, value)| (name.to_string(), value))
            .into())
    }

    fn compare(&mut self, clocks: &Clocks) -> Vec<Quality> {
        if clocks.interface_names().is_empty() {
            return Vec::new();
        }
        // Always the same, and not from zero states.
        let [before, span] = [0, 1].map(|number| self.train.span(number, &self.device));
        let (_, _, states) = clocks.predict(before.inputs, None);
        clocks.quality(&span, Some(states)).into_iter().collect()
    }
}

/// What is measured of a run.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// How well odd digits are counted in streams of test images.
    fast: Measures,
    /// How well threes are.
    slow: Measures,
}

type Column = experiment::Column<Figures>;

/// How well a network counts.
#[derive(Debug, Serialize)]
struct Measures {
    /// The share of answers that are not the right number.
    error: f64,
    /// The same share for one who always gives the answer that is right most often.
    guessing: f64,
    /// The mean loss.
    loss: f64,
    /// How many answers were looked at.
    answers: usize,
}

impl Streams<'_> {
    /// How well both networks count in the first spans of the test streams, always the same.
    fn measure(&self, clocks: &Clocks) -> Figures {
        const SPANS: usize = 20;
        let (mut fast, mut slow, mut states) = (Tally::default(), Tally::default(), None);
        for number in 0..SPANS {
            let span = self.test.span(number, &self.device);
            let (fast_outputs, slow_outputs, after) = clocks.predict(span.inputs, states);
            states = Some(after);
            let [windows, streams, classes] = fast_outputs.dims();
            let rows = |tensor: Tensor<3>| tensor.reshape([windows * streams, classes]);
            fast.add(clocks.loss(), rows(fast_outputs), rows(span.fast_targets));
            slow.add(clocks.loss(), slow_outputs, span.slow_targets);
        }
        let [fast, slow] = [fast, slow].map(|tally| Measures {
            error: tally.error(),
            guessing: tally.guessing(),
            loss: tally.loss(),
            answers: tally.answers,
        });
        Figures { fast, slow }
    }
}

impl Experiment for Settings {
    const ABOUT: &'static str =
        "Two recurrent networks that tick at different rates, counting digits in a stream";
    const TRIAL: &'static [(&'static str, usize)] = &[
        ("--examples", 1_024),
        ("--test-examples", 100),
        ("--eval-every", 1_000_000),
    ];
    const HAS_IMAGES: bool = true;

    const REFERENCE: &'static str = "coupled";

    type Shared = ImageSets;
    type Figures = Figures;

    fn about(&self) -> Value {
        json!({"data": self.data, "period": self.period})
    }

    fn instead(args: &ClocksArgs) -> anyhow::Result<bool> {
        args.data.show(&args.length.seeds, args.call.output.quiet)
    }

    fn prepare(&self, args: &ClocksArgs) -> anyhow::Result<ImageSets> {
        let quiet = args.call.output.quiet;
        Ok(args.data.sets(self.data, self.limits(), quiet)?)
    }

    fn go_on_with(&self, args: &ClocksArgs) -> Vec<(&'static str, Option<String>)> {
        vec![args.data.go_on_with(self.data)]
    }

    fn train(run: &Run<Self>, sets: &ImageSets) -> anyhow::Result<Trained<Figures>> {
        let settings = &run.settings;
        let set = sets.of_seed(run.seed)?;
        let mut clocks = settings.build(run.method, run.seed, run.device)?;
        let streams = Streams::new(&set, settings, run.seed, run.device)?;
        let mut streams = streams.of(sets.fingerprint(&set));
        let progress = run.train(&mut clocks, &mut streams, &settings.plan())?;
        let figures = streams.measure(&clocks);
        Ok(Trained {
            progress,
            in_words: format!(
                "error of the fast network {:.2} %, of the slow one {:.2} %",
                100.0 * figures.fast.error,
                100.0 * figures.slow.error
            ),
            figures,
            interfaces: streams.compare(&clocks),
        })
    }

    /// Of the slow network, which needs the messages of the fast one.
    fn measure(&self, figures: &Figures) -> Measure {
        Measure {
            name: "of the slow network's counts wrong",
            value: figures.slow.error,
            guessing: figures.slow.guessing,
            best: Some(0.0),
            less_is_better: true,
            is_share: true,
        }
    }

    fn columns(&self, _results: &[RunResult<Figures>]) -> Vec<Column> {
        vec![
            Column::percent("fast error", |r| Some(r.figures.fast.error)),
            Column::new("fast loss", 4, |r| Some(r.figures.fast.loss)),
            Column::percent("slow error", |r| Some(r.figures.slow.error)),
            Column::new("slow loss", 4, |r| Some(r.figures.slow.loss)),
            Column::speed(1),
            Column::worth(),
        ]
    }

    /// On a stream of the test images of the run, or of others.
    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>> {
        let (mut settings, device) = (saved.settings, saved.device);
        let own = settings.data;
        set(&mut settings.data, &saved.data.data);
        settings.check()?;
        let (data, limits) = (saved.data, settings.limits());
        let images = data.load(&saved.checkpoint, saved.seed, own, limits)?;
        let mut clocks = settings.build(saved.method, saved.seed, device)?;
        saved.checkpoint.restore(&mut clocks)?;
        Ok(Streams::new(&images, &settings, saved.seed, device)?.evaluate(&clocks)?)
    }
}
