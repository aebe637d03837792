//! Two networks of different clocks: what their ways to learn have in common, on every backend.

mod common;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use common::kept::restore;
use common::{Oracle, differences, floats, on_devices, on_every_device, random, seeded, values};
use dni::{
    Backend, Clocks, Dense, DenseConfig, FastNetwork, Feedback, Interface, LinearSynthesizerConfig,
    Loss, Lstm, LstmConfig, Optimizer, SlowNetwork, Span, Synthesizer, TargetScale,
};

const INPUTS: usize = 3;
const UNITS: usize = 4;
const MESSAGE: usize = 5;
const CLASSES: usize = 2;
const BATCH: usize = 6;

fn clocks(period: usize, rate: f64, feedback: Feedback, device: &Device) -> Clocks {
    let rng = &mut seeded(1);
    let sgd = || Optimizer::sgd(rate);
    let mut dense = |inputs, outputs| DenseConfig::new(inputs, outputs).linear().init(rng, device);
    let (front, fast_readout) = (dense(INPUTS, UNITS), dense(UNITS, CLASSES));
    let (head, slow_readout) = (dense(UNITS, MESSAGE), dense(UNITS, CLASSES));
    let mut lstm = |inputs| LstmConfig::new(inputs, UNITS).init(rng, device);
    let fast = FastNetwork::new(
        (front, sgd()),
        (lstm(UNITS), sgd()),
        (fast_readout, sgd()),
        (head, sgd()),
    );
    let slow = SlowNetwork::new((lstm(MESSAGE), sgd()), (slow_readout, sgd()));
    Clocks::new(Loss::SquaredError, period, fast, slow, feedback)
}

fn span(period: usize, seed: u64, device: &Device) -> Span {
    let rng = &mut seeded(seed);
    let mut rows = |rows: usize, features: usize| {
        let values = random([rows * BATCH, features], rng, device);
        values.reshape([rows, BATCH, features])
    };
    Span {
        inputs: rows(period * period, INPUTS).into(),
        fast_targets: rows(period, CLASSES).into(),
        slow_targets: rows(1, CLASSES).reshape::<2, _>([BATCH, CLASSES]).into(),
        contexts: Some(rows(period, MESSAGE)),
    }
}

/// The parameters of the fast network's front end, core and message.
fn fast_of(clocks: &Clocks) -> Vec<Vec<f32>> {
    let fast = clocks.fast();
    let front = floats(fast.front::<Dense>().expect("it is dense"));
    let core = floats(fast.core::<Lstm>().expect("it is an LSTM"));
    let head = floats(fast.head::<Dense>().expect("it is dense"));
    let all = front.into_iter().chain(core).chain(head);
    all.map(|(_, value)| values(value)).collect()
}

/// Answers with its context.
#[derive(Module, Debug)]
struct Echo;

impl Synthesizer for Echo {
    fn forward(&self, _: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        context.expect("it takes one")
    }

    fn features(&self) -> usize {
        MESSAGE
    }

    fn contexts(&self) -> usize {
        MESSAGE
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> dni::Pass {
        dni::Pass::new(self.forward(message, context), |_, _| None)
    }
}

/// Feedback of which the gradient of the reduced loss is known.
fn known(delta: Tensor<2>) -> Feedback {
    by(Oracle { delta })
}

/// Feedback by a synthesizer that does not learn and works in units of the reduced loss.
fn by(synthesizer: impl Synthesizer) -> Feedback {
    let interface = Interface::new(synthesizer, Optimizer::sgd(0.0));
    Feedback::Synthetic {
        interface: interface.with_scale(TargetScale::Loss),
        scale: 1.0,
    }
}

/// An interface with a linear synthesizer.
fn interface(rate: f64, device: &Device) -> Interface {
    let config = LinearSynthesizerConfig::new(MESSAGE);
    let synthesizer = config.init(&mut seeded(2), device);
    Interface::new(synthesizer, Optimizer::adam(rate))
}

/// Feedback by what it has learned.
fn learned(scale: f64, device: &Device) -> Feedback {
    Feedback::Synthetic {
        interface: interface(0.003, device),
        scale,
    }
}

/// In a span of one window, where no state is cut, the exact gradient in the interface's place makes
/// the decoupled step the coupled one; and it is what the interface learns from.
#[test]
fn an_exact_prediction_is_coupling() {
    on_every_device(|device, checks| {
        let zeros = Tensor::zeros([BATCH, MESSAGE], device);
        let mut blind = clocks(1, 0.0, known(zeros), device);
        let arrived = -blind.step(span(1, 7, device)).residuals[0].clone();

        let before = fast_of(&clocks(1, 1.0, Feedback::None, device));
        let gradient = |feedback| {
            let mut net = clocks(1, 1.0, feedback, device);
            net.step(span(1, 7, device));
            differences(&fast_of(&net), &before)
        };
        let coupled = gradient(Feedback::Coupled);
        checks.all_close("exact", &gradient(known(arrived)), &coupled, 1e-5);
        let none = gradient(Feedback::None);
        let far = common::relative_difference(&none.concat(), &coupled.concat());
        checks.that(format!("without feedback: {far}"), far > 1e-3);
    });
}

/// A conditional synthesizer sees, at every message, the context of that window.
#[test]
fn contexts_come_with_their_windows() {
    const PERIOD: usize = 3;
    on_every_device(|device, checks| {
        let residuals = |feedback| {
            let mut net = clocks(PERIOD, 0.0, feedback, device);
            let residuals = net.step(span(PERIOD, 7, device)).residuals;
            residuals.into_iter().map(values).collect::<Vec<_>>()
        };
        let zeros = Tensor::zeros([BATCH, MESSAGE], device);
        let shown = differences(&residuals(by(Echo)), &residuals(known(zeros)));
        let contexts = span(PERIOD, 7, device).contexts.expect("there are some");
        let contexts = contexts
            .iter_dim(0)
            .map(|row| values(row.reshape([BATCH, MESSAGE])));
        checks.all_close("contexts", &shown, &contexts.collect::<Vec<_>>(), 1e-5);
    });
}

/// The quality is measured against what arrives at the messages: who knows that is right. Looking
/// leaves no trace.
#[test]
fn quality_is_measured_against_what_arrives() {
    const PERIOD: usize = 3;
    on_every_device(|device, checks| {
        let zeros = Tensor::zeros([BATCH, MESSAGE], device);
        let mut blind = clocks(PERIOD, 0.0, known(zeros), device);
        let silent = blind.quality(&span(PERIOD, 7, device), None);
        let silent = silent.expect("there is an interface");
        let residuals = blind.step(span(PERIOD, 7, device)).residuals;
        let arrived = Tensor::stack::<3>(residuals, 0).neg();
        let norm = values(arrived.clone().square().sum())[0].sqrt();
        checks.close(
            "norm",
            &[silent.norm.unwrap_or_default() as f32],
            &[norm],
            1e-5,
        );
        checks.that(
            format!("{silent:?}"),
            silent.cosine == Some(0.0) && silent.relative_error == Some(1.0),
        );

        let mut knowing = clocks(PERIOD, 0.1, by(Echo), device);
        let before = fast_of(&knowing);
        let told = Span {
            contexts: Some(arrived),
            ..span(PERIOD, 7, device)
        };
        let right = knowing.quality(&told, None).expect("there is an interface");
        checks.that(
            format!("{right:?}"),
            right
                .cosine
                .is_some_and(|cosine| (cosine - 1.0).abs() < 1e-5),
        );
        checks.that(format!("{right:?}"), right.relative_error < Some(1e-4));
        checks.all_same("untouched", &fast_of(&knowing), &before);
        let mut unwatched = clocks(PERIOD, 0.1, by(Echo), device);
        for net in [&mut knowing, &mut unwatched] {
            net.step(span(PERIOD, 7, device));
        }
        checks.all_same("as without", &fast_of(&knowing), &fast_of(&unwatched));

        let coupled = clocks(PERIOD, 0.1, Feedback::Coupled, device);
        let none = coupled.quality(&span(PERIOD, 7, device), None);
        checks.that("coupled", none.is_none());
    });
}

/// A synthetic gradient of scale zero is no feedback, bit for bit; one that learns is not.
#[test]
fn nothing_flows_down_without_feedback() {
    on_every_device(|device, checks| {
        let after = |feedback| {
            let mut net = clocks(2, 0.1, feedback, device);
            for seed in 0..3 {
                net.step(span(2, seed, device));
            }
            fast_of(&net)
        };
        let none = after(Feedback::None);
        checks.all_same("scale zero", &after(learned(0.0, device)), &none);
        checks.that("scale one", after(learned(1.0, device)) != none);
        // Nobody asks for messages, so their head stays as it was.
        let count = none.len();
        let first = fast_of(&clocks(2, 0.1, Feedback::None, device));
        checks.all_same("head", &none[count - 2..], &first[count - 2..]);
    });
}

/// On a span that comes again and again, of networks that stand still, it comes nearer to the
/// gradients than one that predicts nothing.
#[test]
fn the_synthesizer_learns() {
    on_devices(&[Backend::Flex], |device, checks| {
        let miss = |feedback| {
            let mut net = clocks(1, 0.0, feedback, device);
            for _ in 0..1_000 {
                net.step(span(1, 3, device));
            }
            let residuals = net.step(span(1, 3, device)).residuals;
            let misses = residuals.into_iter();
            misses
                .map(|r| r.square().sum().into_scalar::<f32>())
                .sum::<f32>()
        };
        let untaught = Feedback::Synthetic {
            interface: interface(0.0, device),
            scale: 1.0,
        };
        let [nothing, learned] = [untaught, learned(1.0, device)].map(miss);
        let what = format!("{learned} against {nothing}");
        checks.that(what, learned < 0.7 * nothing);
    });
}

/// A checkpoint holds everything that the next step depends on, both states included.
#[test]
fn a_restored_network_goes_on_as_the_saved_one() {
    on_every_device(|device, checks| {
        let mut saved = clocks(2, 0.1, learned(1.0, device), device);
        saved.step(span(2, 1, device));
        let mut restored = clocks(2, 0.1, learned(1.0, device), device);
        restore(&saved, &mut restored);
        let answers = [&mut saved, &mut restored].map(|net| {
            let steps = [2, 3].map(|seed| net.step(span(2, seed, device)));
            steps.map(|step| values(step.slow_outputs)).to_vec()
        });
        checks.all_same("answers", &answers[1], &answers[0]);
        checks.all_same("parameters", &fast_of(&restored), &fast_of(&saved));
    });
}

#[test]
#[should_panic(expected = "has 4 steps, got 1")]
fn a_span_of_another_period_is_refused() {
    let device = Device::flex();
    clocks(2, 0.1, Feedback::Coupled, &device).step(span(1, 1, &device));
}
