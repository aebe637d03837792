//! Two networks that tick at different rates, on a stream of digits: the paper's multi-network
//! system.
//!
//! The paper's claim: where the gradient at the fast network's messages is predicted, the fast
//! network learns at every tick of the slow one instead of once in a whole span, so that both learn
//! faster than if they are coupled, and the slow one learns better than if none comes back.
//! It holds for a synthesizer that sees, beside the message, how many threes the window had; one
//! that sees the message alone never asks for what is not in it (experiments/README.md).
//! Command: `dni clocks`. It takes under three minutes.

mod measures;
mod settings;

use std::collections::BTreeMap;

use burn::tensor::Device;
use dni::data::{DigitStream, Fingerprint, Stream, generator};
use dni::learner::Network;
use dni::report::Measure;
use dni::train::{Plan, Task};
use dni::{
    Clocks, DenseConfig, FastNetwork, Feedback, Init, Loss, LstmConfig, Mlp, Optimizer, Quality,
    SlowNetwork, Span, TargetScale,
};
use rand::Rng;
use serde_json::{Value, json};

use crate::args::{Misuse, set};
use crate::comparison::{Run, Settings as _};
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::source::{DataArgs, ImageData, ImageSets};
use measures::{Figures, measure, test_stream};
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
        let layers = [self.images.data.shape().len(), units].map(|inputs| {
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
    data: Fingerprint,
    train: DigitStream<'a>,
    test: DigitStream<'a>,
    device: Device,
}

impl Task<Clocks> for Streams<'_> {
    fn data(&self) -> Option<Fingerprint> {
        Some(self.data.clone())
    }

    fn batch(&mut self, step: usize) -> Span {
        self.train.span(step, &self.device)
    }

    fn evaluate(&mut self, clocks: &Clocks) -> dni::Result<BTreeMap<String, f64>> {
        Ok(measure(clocks, &self.test, &self.device).named())
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

type Column = experiment::Column<Figures>;

impl Experiment for Settings {
    const ABOUT: &'static str =
        "Two recurrent networks that tick at different rates, counting digits in a stream";

    type Shared = ImageSets;
    type Figures = Figures;

    fn images(&self) -> Option<&ImageData> {
        Some(&self.images)
    }

    fn files(args: &ClocksArgs) -> Option<&DataArgs> {
        Some(&args.files)
    }

    fn about(&self) -> Value {
        json!({"data": self.images.data, "period": self.period})
    }

    fn prepare(&self, args: &ClocksArgs) -> anyhow::Result<ImageSets> {
        Ok(args.files.sets(&self.images, args.call.output.quiet)?)
    }

    fn train(run: &Run<Self>, sets: &ImageSets) -> anyhow::Result<Trained<Figures>> {
        let settings = &run.settings;
        let set = sets.of_seed(run.seed)?;
        let mut clocks = settings.build(run.method, run.seed, run.device)?;
        let (period, batch) = (settings.period, settings.run.batch_size);
        let mut streams = Streams {
            data: sets.fingerprint(&set),
            train: DigitStream::new(&set.train, run.seed, period, batch)?,
            test: test_stream(&set, settings, run.seed)?,
            device: run.device.clone(),
        };
        let progress = run.train(&mut clocks, &mut streams, &settings.plan())?;
        let figures = measure(&clocks, &streams.test, run.device);
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
            name: "of the slow network's counts wrong".to_string(),
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
        let own = settings.images.clone();
        set(&mut settings.images.data, &saved.data.data);
        settings.check()?;
        let images = saved.data.load(&saved.checkpoint, saved.seed, &own)?;
        let mut clocks = settings.build(saved.method, saved.seed, device)?;
        saved.checkpoint.restore(&mut clocks)?;
        let test = test_stream(&images, &settings, saved.seed)?;
        Ok(measure(&clocks, &test, device).named())
    }
}
