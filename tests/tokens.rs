//! Networks through time on tokens and classes: the same as on their one-hot rows, on every backend.

mod common;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};
use common::kept::restore;
use common::{Checks, differences, floats, on_every_device, random, said, seeded, tensor, values};
use dni::{
    Clocks, Core, Deltas, Dense, DenseConfig, Embedded, FastNetwork, Feedback, Future, GruConfig,
    Interface, LinearSynthesizerConfig, Loss, LstmConfig, Optimizer, Recurrent, Section, Sequence,
    SlowNetwork, Span, Tick, Unrolled, Window,
};

const TOKENS: usize = 12;
const UNITS: usize = 5;
const STEPS: usize = 4;
const BATCH: usize = 3;

/// Tokens, of which some come several times in a window.
fn tokens(steps: usize, first: usize, device: &Device) -> Tensor<2, Int> {
    let token = |i: usize| ((first + i * i) % TOKENS) as i32;
    let tokens: Vec<i32> = (0..steps * BATCH).map(token).collect();
    Tensor::<1, Int>::from_ints(tokens.as_slice(), device).reshape([steps, BATCH])
}

fn one_hot(tokens: &Tensor<2, Int>) -> Tensor<3> {
    tokens.clone().one_hot(TOKENS).float()
}

/// A window of tokens and classes, and the same of numbers: with weights, and sequences that begin.
fn windows(number: usize, device: &Device) -> [Window; 2] {
    let (input, target) = (
        tokens(STEPS, number, device),
        tokens(STEPS, number + 1, device),
    );
    let next = tokens(1, number + 2, device);
    let mut keep_mask = vec![1.0; STEPS * BATCH];
    (keep_mask[1], keep_mask[2 * BATCH]) = (0.0, 0.0);
    let keep_mask = Some(tensor(keep_mask, [STEPS, BATCH], device));
    let weights = random([STEPS, BATCH], &mut seeded(5), device).abs();
    let of_tokens = Window {
        sequence: Sequence {
            inputs: input.clone().into(),
            keep_mask: keep_mask.clone(),
        },
        targets: target.clone().into(),
        weights: Some(weights.clone()),
        next: Some(Sequence::new(next.clone())),
    };
    let of_numbers = Window {
        sequence: Sequence {
            inputs: one_hot(&input).into(),
            keep_mask,
        },
        targets: one_hot(&target).into(),
        weights: Some(weights),
        next: Some(Sequence::new(one_hot(&next))),
    };
    [of_tokens, of_numbers]
}

fn network(core: impl Core, device: &Device) -> Recurrent {
    let (rng, adam) = (&mut seeded(3), || Optimizer::adam(0.05));
    let synthesizer = LinearSynthesizerConfig::new(core.state_features()).init(rng, device);
    let readout = DenseConfig::new(UNITS, TOKENS).linear().init(rng, device);
    Recurrent::new(Loss::CrossEntropy, (core, adam()), (readout, adam()))
        .with_future(Future::new(Interface::new(synthesizer, adam())))
}

/// What a network made of some windows that it learned from, and predicts afterwards.
fn learned(mut network: Recurrent, which: usize, device: &Device) -> Vec<Vec<f32>> {
    let mut made = Vec::new();
    for number in 0..3 {
        let window = windows(number, device)[which].clone();
        let step = network.step(window.clone());
        made.push(values(network.losses(step.outputs.clone(), &window)));
        made.push(values(step.outputs));
        made.push(values(step.residual.expect("there is an interface")));
    }
    let after = windows(3, device)[which].clone();
    let (outputs, state) = network.predict(&after.sequence, network.state().cloned());
    made.extend([values(outputs), values(state)]);
    made
}

/// Losses, outputs, and what is learned: of tokens as of their one-hot rows. On flex bit for bit, as a
/// sum of products with zeros is a row.
#[test]
fn tokens_are_their_one_hot_rows() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(1);
        let lstm = LstmConfig::new(TOKENS, UNITS).init(rng, device);
        let gru = GruConfig::new(TOKENS, UNITS).init(rng, device);
        let both = [0, 1].map(|which| learned(network(lstm.clone(), device), which, device));
        same("LSTM", &both, device, checks);
        let both = [0, 1].map(|which| learned(network(gru.clone(), device), which, device));
        same("GRU", &both, device, checks);
    });
}

fn same(name: &str, both: &[Vec<Vec<f32>>; 2], device: &Device, checks: &mut Checks) {
    let [of_tokens, of_numbers] = both;
    match *device == Device::flex() {
        true => checks.all_same(name, of_tokens, of_numbers),
        false => checks.all_close(name, of_tokens, of_numbers, 1e-4),
    }
}

/// Every core's own way through a window of tokens is that of autodiff through its steps.
#[test]
fn unrolling_tokens_equals_the_tape() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(1);
        let lstm = LstmConfig::new(TOKENS, UNITS).init(rng, device);
        unroll("LSTM", &lstm.valid(), device, checks);
        let gru = GruConfig::new(TOKENS, UNITS).init(rng, device);
        unroll("GRU", &gru.valid(), device, checks);
        let lstm = LstmConfig::new(2, UNITS).init(rng, device);
        let lstm = Embedded::new(TOKENS, 2, lstm, rng, device);
        unroll("embedded LSTM", &lstm.valid(), device, checks);
        let gru = GruConfig::new(2, UNITS).init(rng, device);
        let gru = Embedded::new(TOKENS, 2, gru, rng, device);
        unroll("embedded GRU", &gru.valid(), device, checks);
    });
}

fn unroll<C: Core>(name: &str, core: &C, device: &Device, checks: &mut Checks) {
    let rng = &mut seeded(9);
    let [window, _] = windows(0, device);
    let state = random([BATCH, core.state_features()], rng, device);
    let at_outputs = random([STEPS * BATCH, UNITS], rng, device);
    let at_states = [(); 2].map(|()| random([BATCH, core.state_features()], rng, device));
    let of_core = |core: &C| {
        let values = floats(core).into_iter().map(|(_, value)| values(value));
        values.collect::<Vec<_>>()
    };
    let both = [
        core.unroll(window.sequence.clone(), state.clone()),
        Unrolled::on_tape(core, window.sequence, state),
    ];
    let [ours, tape] = both.map(|unrolled| {
        let [first, last] = at_states.clone();
        let made = [&unrolled.first, &unrolled.last].map(|state| values(state.clone()));
        let outputs = values(unrolled.outputs.clone());
        let (parameters, arrived) = unrolled.back(Deltas {
            outputs: at_outputs.clone().reshape([STEPS, BATCH, UNITS]),
            first: Some(first),
            last: Some(last),
        });
        let after = Optimizer::sgd(1.0).update(core.clone(), parameters);
        let moved = differences(&of_core(&after), &of_core(core));
        (
            [made.to_vec(), vec![outputs, values(arrived)]].concat(),
            moved,
        )
    });
    checks.all_close(format!("{name}: values"), &ours.0, &tape.0, 1e-5);
    checks.all_close(format!("{name}: parameters"), &ours.1, &tape.1, 1e-5);
    let all_move = ours.1.iter().all(|moved| moved.iter().any(|&by| by != 0.0));
    checks.that(format!("{name}: a parameter stays"), all_move);
}

/// A front end that embeds a token as its one-hot row.
#[derive(Module, Debug)]
struct Front {
    dense: Dense,
}

impl Section for Front {
    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        tokens.squeeze_dim::<1>(1).one_hot::<2>(TOKENS).float()
    }

    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.dense.forward(input)
    }
}

/// Two networks of different clocks see tokens, and are asked for classes, as if both were numbers.
#[test]
fn clocks_take_tokens_and_classes() {
    on_every_device(|device, checks| {
        let (seen, asked) = (tokens(4, 0, device), tokens(2, 1, device));
        let at_last = tokens(1, 2, device);
        let of_tokens = Span {
            inputs: seen.clone().into(),
            fast_targets: asked.clone().into(),
            slow_targets: at_last.clone().reshape([BATCH, 1]).into(),
            contexts: None,
        };
        let of_numbers = Span {
            inputs: one_hot(&seen).into(),
            fast_targets: one_hot(&asked).into(),
            slow_targets: one_hot(&at_last).reshape([BATCH, TOKENS]).into(),
            contexts: None,
        };
        let [ours, expected] = [of_tokens, of_numbers].map(|span| {
            let mut clocks = clocks(device);
            let first = clocks.step(span.clone());
            let (fast, slow, _) = clocks.predict(span.inputs, None);
            [first.fast_outputs, fast]
                .map(values)
                .into_iter()
                .chain([first.slow_outputs, slow].map(values))
                .collect::<Vec<_>>()
        });
        checks.all_close("clocks", &ours, &expected, 1e-4);
    });
}

fn clocks(device: &Device) -> Clocks {
    let (rng, sgd) = (&mut seeded(2), || Optimizer::sgd(0.5));
    let mut dense = |inputs, outputs| DenseConfig::new(inputs, outputs).init(rng, device);
    let front = Front {
        dense: dense(TOKENS, UNITS),
    };
    let (message, answers) = (dense(UNITS, UNITS), [(); 2].map(|()| dense(UNITS, TOKENS)));
    let [fast, slow] = answers;
    let gru = || GruConfig::new(UNITS, UNITS).init(&mut seeded(4), device);
    let fast = FastNetwork::new(
        (front, sgd()),
        (gru(), sgd()),
        (fast, sgd()),
        (message, sgd()),
    );
    let slow = SlowNetwork::new((gru(), sgd()), (slow, sgd()));
    Clocks::new(Loss::CrossEntropy, 2, fast, slow, Feedback::Coupled)
}

/// A model of so many words that their one-hot rows would take gigabytes: it learns which follows.
#[test]
fn a_large_vocabulary_is_embedded() {
    const WORDS: usize = 50_000;
    let (device, rng) = (&Device::flex(), &mut seeded(1));
    let core = LstmConfig::new(4, 8).init(rng, device);
    let core = Embedded::new(WORDS, 4, core, rng, device);
    let readout = DenseConfig::new(8, WORDS).linear().init(rng, device);
    let sgd = || Optimizer::sgd(1.0);
    let mut network = Recurrent::new(Loss::CrossEntropy, (core, sgd()), (readout, sgd()));
    let words = |words| Tensor::<2, Int>::from_ints(words, device);
    let window = Window {
        sequence: Sequence::new(words([[7, 49_999], [300, 7]])),
        targets: words([[300, 7], [49_999, 300]]).into(),
        weights: None,
        next: None,
    };
    let losses: Vec<f32> = (0..10)
        .map(|_| {
            let outputs = network.step(window.clone()).outputs;
            network.losses(outputs, &window).mean().into_scalar()
        })
        .collect();
    assert!(losses[0] > 10.0 && losses[9] < 5.0, "{losses:?}");
}

/// Saved and restored, a core with its table goes on as if nothing had been.
#[test]
fn a_table_is_kept() {
    on_every_device(|device, checks| {
        let embedded = |seed| {
            let rng = &mut seeded(seed);
            let core = LstmConfig::new(2, UNITS).init(rng, device);
            network(Embedded::new(TOKENS, 2, core, rng, device), device)
        };
        let (mut saved, mut restored) = (embedded(1), embedded(2));
        let [window, _] = windows(3, device);
        saved.step(window.clone());
        restore(&saved, &mut restored);
        let [expected, actual] = [saved, restored].map(|mut network| {
            let first = values(network.step(window.clone()).outputs);
            vec![first, values(network.step(window.clone()).outputs)]
        });
        checks.all_same("two more steps", &actual, &expected);
    });
}

/// A core that takes numbers only.
#[derive(Module, Debug)]
struct Plain {
    linear: Linear,
}

impl Core for Plain {
    fn state_features(&self) -> usize {
        UNITS
    }

    fn step(&self, input: Tensor<2>, state: Tensor<2>) -> Tick {
        let state = (self.linear.forward(input) + state).tanh();
        Tick {
            output: state.clone(),
            state,
        }
    }
}

/// A token that a core does not know is refused in host memory; elsewhere what it leads to is not
/// finite.
#[test]
fn unknown_tokens_are_found_everywhere() {
    on_every_device(|device, checks| {
        let rng = &mut seeded(1);
        let lstm = LstmConfig::new(TOKENS, UNITS).init(rng, device);
        let gru = GruConfig::new(TOKENS, UNITS).init(rng, device);
        let below = LstmConfig::new(2, UNITS).init(rng, device);
        let embedded = Embedded::new(TOKENS, 2, below, rng, device);
        let networks = [
            ("lstm", network(lstm, device)),
            ("gru", network(gru, device)),
            ("embedded", network(embedded, device)),
        ];
        for (name, network) in networks {
            for other in [-1, TOKENS as i32] {
                let tokens = Tensor::<2, Int>::from_ints([[0, other]], device);
                let answers = || values(network.predict(&Sequence::new(tokens), None).0);
                if *device == Device::flex() {
                    let refused = said(|| drop(answers()));
                    let words = format!("token {other} is none of the {TOKENS}");
                    checks.that(format!("{name}: {refused}"), refused.contains(&words));
                    continue;
                }
                let answers = answers();
                let (known, unknown) = answers.split_at(TOKENS);
                let are_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
                checks.that(format!("{name}: known"), are_finite(known));
                checks.that(format!("{name}: unknown"), !are_finite(unknown));
            }
        }
    });
}

#[test]
fn what_does_not_fit_is_refused_with_what_to_do() {
    let (device, rng) = (&Device::flex(), &mut seeded(1));
    let plain = Plain {
        linear: LinearConfig::new(TOKENS, UNITS).init(device),
    };
    let [of_tokens, of_numbers] = windows(0, device);
    network(plain.clone(), device).step(of_numbers);
    let of_numbers_only = said(|| {
        network(plain.clone(), device).step(of_tokens.clone());
    });
    for way_out in ["Embedded", "Core::step_tokens"] {
        assert!(of_numbers_only.contains(way_out), "{of_numbers_only}");
    }
    // The same core with a table below it takes both.
    let embedded = Embedded::new(TOKENS, TOKENS, plain, rng, device);
    network(embedded, device).step(of_tokens.clone());

    let small = LstmConfig::new(9, UNITS).init(rng, device);
    let unknown = said(|| {
        network(small, device).step(of_tokens.clone());
    });
    assert!(
        unknown.contains("token 9 is none of the 9 that this core knows"),
        "{unknown}"
    );
    let lstm = LstmConfig::new(TOKENS, UNITS).init(rng, device);
    let other_targets = said(|| {
        let targets = tokens(STEPS - 1, 0, device).into();
        network(lstm.clone(), device).step(Window {
            targets,
            ..of_tokens.clone()
        });
    });
    assert!(
        other_targets.contains("need as many targets"),
        "{other_targets}"
    );
    let back = said(|| {
        let state = Tensor::zeros([BATCH, 2 * UNITS], device);
        let unrolled = lstm.unroll(of_tokens.sequence, state);
        unrolled.back_to_inputs(Deltas {
            outputs: Tensor::zeros([STEPS, BATCH, UNITS], device),
            first: None,
            last: None,
        });
    });
    assert!(back.contains("tokens have no gradient"), "{back}");
}
