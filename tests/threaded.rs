//! The threaded schedule: with nothing left to timing it is the locked one bit for bit, and whatever
//! the timing, every message is answered once; what fails is named, and nobody hangs.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use common::kept::state;
use common::program::PATIENCE;
use common::{Gated, on_devices, random, seeded, values};
use dni::data::ImageShape;
use dni::learner::{Chunk, Doing, Learner};
use dni::run::RunFolder;
use dni::threaded::{Threaded, Workload, even_split, locked_times, section_times};
use dni::train::{Outcome, Plan, Progress, Task, train};
use dni::{
    Activation, Backend, Batch, Chain, ChainSchedule, ConvConfig, Credit, Dense, DenseConfig,
    Error, Init, Input, InputModel, Interface, LinearSynthesizerConfig, Loss, LrSchedule,
    Optimizer, Pass, Place, Pool, Section, Sparse, Synthesizer, TargetScale,
};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

const INPUTS: usize = 64;
const CLASSES: usize = 3;
const BATCH: usize = 6;

fn batch(step: usize, device: &Device) -> Batch {
    let rng = &mut seeded(1_000 + step as u64);
    let input = random([BATCH, INPUTS], rng, device);
    let target = random([BATCH, CLASSES], rng, device);
    Batch::labelled(input, target)
}

/// The kinds of networks that are tried.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Dense layers with batch norm, one by autodiff, as sections.
    Dense,
    /// The same with synthetic inputs.
    Unlocked,
    /// Convolutions and a dense layer.
    Conv,
}

/// Five sections whose optimizers would show a step too many.
fn network(kind: Kind, device: &Device) -> Chain {
    let rng = &mut seeded(1);
    match kind {
        Kind::Conv => conv_network(rng, device),
        _ => dense_network(kind == Kind::Unlocked, rng, device),
    }
}

fn dense_network(is_unlocked: bool, rng: &mut ChaCha8Rng, device: &Device) -> Chain {
    const WIDTH: usize = 5;
    let mut chain = Chain::new(Loss::SquaredError);
    for i in 0..4 {
        let inputs = if i == 0 { INPUTS } else { WIDTH };
        let name = format!("section{i}");
        let layer = DenseConfig::new(inputs, WIDTH).with_activation(Activation::Tanh);
        chain = if i == 2 {
            let [value, gate] = [0; 2].map(|_| layer.init(rng, device));
            chain.section(name, Gated { value, gate }, Optimizer::adam(0.01))
        } else {
            let layer = layer.with_batch_norm(true).init(rng, device);
            chain.section(name, layer, Optimizer::adam(0.01))
        };
        let mut interface = interface(WIDTH, rng, device);
        if is_unlocked {
            let model = DenseConfig::new(INPUTS, WIDTH).with_batch_norm(true);
            let model = InputModel::new(model.init(rng, device), Optimizer::adam(0.02));
            interface = interface.with_input_model(model);
        }
        chain = chain.interface(interface);
    }
    let output = DenseConfig::new(WIDTH, CLASSES).linear().init(rng, device);
    chain.section("output", output, Optimizer::adam(0.01))
}

fn conv_network(rng: &mut ChaCha8Rng, device: &Device) -> Chain {
    let mut chain = Chain::new(Loss::SquaredError);
    let mut shape = ImageShape {
        channels: 1,
        height: 8,
        width: 8,
    };
    for i in 0..4 {
        let config = ConvConfig::new(shape, 2)
            .with_kernel(3)
            .with_batch_norm(true);
        let config = match i {
            0 => config.with_pool(Pool::max(2)),
            _ => config,
        };
        shape = config.output_shape();
        let layer = config.init(rng, device);
        chain = chain
            .section(format!("section{i}"), layer, Optimizer::adam(0.01))
            .interface(interface(shape.len(), rng, device));
    }
    let output = DenseConfig::new(shape.len(), CLASSES).linear();
    chain.section("output", output.init(rng, device), Optimizer::adam(0.01))
}

/// An interface whose synthesizer answers something from the first step on.
fn interface(features: usize, rng: &mut ChaCha8Rng, device: &Device) -> Interface {
    let config = LinearSynthesizerConfig::new(features)
        .with_contexts(CLASSES)
        .with_init(Init::FanIn);
    Interface::new(config.init(rng, device), Optimizer::adam(0.03))
}

/// Takes steps under rates that drop on the way.
fn learn(
    learner: &mut impl Learner<Batch = Batch, Schedule = ChainSchedule>,
    schedule: &ChainSchedule,
) {
    let drops = LrSchedule::drops(vec![(7, 0.5), (19, 0.1)]).expect("the drops are in order");
    for steps in [0..13, 13..14, 14..25] {
        let chunk = Chunk {
            steps,
            schedule,
            rates: &drops,
            check_every: 3,
        };
        let done = learner.learn_chunk(&mut |step| batch(step, &Device::flex()), &chunk);
        done.expect("nobody fails");
    }
}

/// One worker, or a queue of one message, leaves nothing to the timing: the network, its optimizers
/// and its running statistics are those of the locked schedule.
#[test]
fn without_slack_it_is_the_locked_schedule_bit_for_bit() {
    let sparse = |schedule: ChainSchedule| ChainSchedule {
        sparse: Some(Sparse::new(0.6, 5).expect("it is a probability")),
        ..schedule
    };
    on_devices(&[Backend::Flex], |device, checks| {
        for kind in [Kind::Dense, Kind::Unlocked, Kind::Conv] {
            for credit in [Credit::Synthetic, Credit::None] {
                for schedule in [credit.into(), sparse(credit.into())] {
                    let mut locked = network(kind, device);
                    learn(&mut locked, &schedule);
                    let expected = state(&locked);
                    for split in [&[5][..], &[2, 3], &[4, 1], &[1, 4], &[1; 5], &[2, 2, 1]] {
                        let what = format!("{kind:?}, {schedule:?}, {split:?}");
                        let threaded = Threaded::new(network(kind, device), split);
                        let threaded = threaded.and_then(|threaded| threaded.with_queue(1));
                        let mut threaded = threaded.expect("the split is right");
                        learn(&mut threaded, &schedule);
                        checks.that(&what, state(&threaded) == expected);
                        let staleness = &threaded.report().staleness;
                        let most = staleness.iter().map(|s| s.most).max();
                        checks.that(format!("{what}: stale"), most == Some(0));
                    }
                }
            }
        }
    });
}

/// Queues of one message are the default, also for workers of one section.
#[test]
fn by_default_timing_makes_no_difference() {
    on_devices(&[Backend::Flex], |device, checks| {
        let schedule = Credit::Synthetic.into();
        let mut locked = network(Kind::Dense, device);
        learn(&mut locked, &schedule);
        for split in [[2, 3], [1, 4]] {
            let threaded = Threaded::new(network(Kind::Dense, device), &split);
            let mut threaded = threaded.expect("the split is right");
            learn(&mut threaded, &schedule);
            checks.that(format!("{split:?}"), state(&threaded) == state(&locked));
        }
    });
}

/// What a chain was told of its rates stays said, and drops come on top, by workers as without.
#[test]
fn a_factor_of_the_rates_stays_and_drops_come_on_top() {
    on_devices(&[Backend::Flex], |device, checks| {
        let schedule: ChainSchedule = Credit::Synthetic.into();
        let drops = LrSchedule::drops(vec![(4, 0.5)]).expect("the drops are in order");
        let chain = |factor| {
            let mut chain = network(Kind::Unlocked, device);
            chain.set_rate_factor(factor);
            chain
        };
        let mut expected = chain(1.0);
        for step in 0..8 {
            expected.set_rate_factor(if step < 4 { 0.1 } else { 0.05 });
            expected.step(batch(step, device), Credit::Synthetic);
        }
        let mut locked = chain(0.1);
        let chunk = Chunk {
            steps: 0..8,
            schedule: &schedule,
            rates: &drops,
            check_every: 1,
        };
        let done = locked.learn_chunk(&mut |step| batch(step, device), &chunk);
        done.expect("nothing goes wrong");
        let threaded = Threaded::new(chain(0.1), &[2, 3]);
        let mut threaded = threaded.expect("the split is right");
        let done = threaded.train(0..8, &schedule, &drops, |step| batch(step, device));
        done.expect("nothing goes wrong");
        checks.that("the chain's steps", state(&locked) == state(&expected));
        checks.that("the workers' steps", state(&threaded) == state(&expected));
        let mut whole = chain(1.0);
        let done = whole.learn_chunk(&mut |step| batch(step, device), &chunk);
        done.expect("nothing goes wrong");
        checks.that(
            "a factor changes something",
            state(&whole) != state(&expected),
        );
    });
}

/// A timeline has a few steps from the middle of a chunk: every section and interface once in each,
/// one after another on every worker.
#[test]
fn timelines_say_what_workers_did() {
    on_devices(&[Backend::Flex], |device, checks| {
        let threaded = Threaded::new(network(Kind::Dense, device), &[2, 3]);
        let mut threaded = threaded.expect("the split is right");
        checks.that("nothing at first", threaded.timeline().is_empty());
        let schedule = Credit::Synthetic.into();
        let trained = threaded.train(0..20, &schedule, &LrSchedule::default(), |step| {
            batch(step, device)
        });
        trained.expect("nothing goes wrong");
        let timeline = threaded.timeline();
        for step in 8..12 {
            for (worker, names) in [
                (1, vec!["section0", "section1"]),
                (2, vec!["section2", "section3", "output"]),
            ] {
                let run: Vec<_> = timeline
                    .iter()
                    .filter(|a| (a.worker, a.step) == (worker, step))
                    .filter(|a| a.doing == Doing::Section)
                    .filter_map(|a| a.section.as_deref())
                    .collect();
                // The highest has sent its message before it learns.
                let mut whole = run.clone();
                whole.dedup();
                checks.that(format!("{run:?} in step {step}"), whole == names);
            }
        }
        let steps = timeline.iter().all(|a| (8..12).contains(&a.step));
        checks.that("no other steps", steps);
        let learned = timeline.iter().filter(|a| a.doing == Doing::Interface);
        checks.that("every interface in each", learned.count() == 4 * 4);
        for worker in [1, 2] {
            let own: Vec<_> = timeline.iter().filter(|a| a.worker == worker).collect();
            let in_order = own.windows(2).all(|two| two[0].end <= two[1].start);
            let forward = own.iter().all(|a| 0.0 <= a.start && a.start <= a.end);
            checks.that(format!("worker {worker}"), in_order && forward);
        }
    });
}

/// Sleeps for up to a few milliseconds, or not at all, at random.
#[derive(Debug, Clone)]
struct Naps(Arc<Mutex<ChaCha8Rng>>);

impl Naps {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seeded(seed))))
    }

    fn take(&self) {
        let mut rng = self.0.lock().expect("nobody panics with it");
        let length = if rng.random_bool(0.3) {
            rng.random_range(0..2_000)
        } else {
            0
        };
        drop(rng);
        thread::sleep(Duration::from_micros(length));
    }
}

/// What happened to messages: the step that each belongs to, in the order of events.
type Log = Arc<Mutex<Vec<usize>>>;

fn log(log: &Log, step: f32) {
    let mut log = log.lock().expect("nobody panics with it");
    log.push(step as usize);
}

/// A section that hands on its input, which is the number of the step, and sends it back as the
/// gradient.
#[derive(Module, Debug)]
struct Relay {
    #[module(skip)]
    naps: Naps,
    /// The steps of the inputs.
    #[module(skip)]
    seen: Log,
}

impl Section for Relay {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        input
    }

    fn pass(&self, input: Input) -> Pass {
        let (input, is_message) = input.into_parts();
        log(&self.seen, values(input.clone())[0]);
        self.naps.take();
        let naps = self.naps.clone();
        Pass::new(input.clone(), move |_, _| {
            naps.take();
            is_message.then_some(input)
        })
    }
}

/// A synthesizer that predicts zero and notes which gradients it is to learn for which messages.
#[derive(Module, Debug)]
struct Clerk {
    #[module(skip)]
    naps: Naps,
    /// The steps of the gradients.
    #[module(skip)]
    learned: Log,
    /// Whether a gradient came for the message of another step.
    #[module(skip)]
    mixed_up: Arc<AtomicBool>,
}

impl Synthesizer for Clerk {
    fn forward(&self, message: Tensor<2>, _context: Option<Tensor<2>>) -> Tensor<2> {
        message.zeros_like()
    }

    fn features(&self) -> usize {
        1
    }

    fn contexts(&self) -> usize {
        0
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        self.naps.take();
        let step = values(message.clone())[0];
        let clerk = self.clone();
        Pass::new(self.forward(message, context), move |residual, _| {
            clerk.naps.take();
            let delta = -values(residual)[0];
            log(&clerk.learned, delta);
            clerk.mixed_up.fetch_or(delta != step, Ordering::Relaxed);
            None
        })
    }
}

/// What a random network leaves of its messages.
struct Traces {
    seen: Vec<Log>,
    learned: Vec<Log>,
    mixed_up: Arc<AtomicBool>,
}

/// Relays with clerks between them.
fn relays(sections: usize, is_unlocked: bool, seed: u64) -> (Chain, Traces) {
    let naps = |i: usize| Naps::new(seed * 100 + i as u64);
    let mut traces = Traces {
        seen: Vec::new(),
        learned: Vec::new(),
        mixed_up: Arc::default(),
    };
    let mut chain = Chain::new(Loss::SquaredError);
    for i in 0..sections {
        let seen = Log::default();
        traces.seen.push(seen.clone());
        let relay = Relay {
            naps: naps(i),
            seen,
        };
        chain = chain.section(format!("relay{i}"), relay, Optimizer::sgd(0.1));
        if i + 1 == sections {
            break;
        }
        let learned = Log::default();
        traces.learned.push(learned.clone());
        let clerk = Clerk {
            naps: naps(50 + i),
            learned,
            mixed_up: traces.mixed_up.clone(),
        };
        let interface = Interface::new(clerk, Optimizer::sgd(0.1)).with_scale(TargetScale::Loss);
        // A guess that is always right.
        let model = Relay {
            naps: naps(70 + i),
            seen: Log::default(),
        };
        chain = chain.interface(match is_unlocked {
            true => interface.with_input_model(InputModel::new(model, Optimizer::sgd(0.1))),
            false => interface,
        });
    }
    (chain, traces)
}

/// A batch whose input is the number of its step.
fn numbered(step: usize) -> Batch {
    let input = Tensor::from_floats([[step as f32]], &Device::flex());
    let target = Tensor::zeros_like(&input);
    Batch::new(input, target)
}

/// Runs `work` on a thread of its own; nothing if it takes too long.
fn in_time<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Option<R> {
    let (done, result) = channel();
    thread::spawn(move || done.send(work()));
    match result.recv_timeout(PATIENCE) {
        Ok(result) => Some(result),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => panic!("the work panicked"),
    }
}

/// Steps and splits at random, with delays wherever a worker can be held up: nobody waits for ever,
/// every section sees every message once and in order, and every synthesizer learns one gradient
/// for each, that of the same step.
#[test]
fn no_message_is_lost_or_doubled_whatever_the_timing() {
    for seed in 0..150 {
        let rng = &mut seeded(seed);
        let mut split: Vec<usize> = Vec::new();
        for _ in 0..rng.random_range(2..5) {
            split.push(rng.random_range(1..4));
        }
        let sections: usize = split.iter().sum();
        let steps = rng.random_range(1..25);
        let queue = rng.random_range(1..5);
        let is_unlocked = rng.random_bool(0.5);
        let sparse = rng.random_bool(0.3).then(|| Sparse::new(0.6, seed));
        let sparse = sparse.transpose().expect("it is a probability");
        let what = format!(
            "seed {seed}: split {split:?}, queue {queue}, {steps} steps, unlocked {is_unlocked}, \
             {sparse:?}"
        );
        let (chain, traces) = relays(sections, is_unlocked, seed);
        let schedule = ChainSchedule {
            sparse,
            ..Credit::Synthetic.into()
        };
        let naps = Naps::new(seed);
        let report = in_time(move || {
            let threaded = Threaded::new(chain, &split).and_then(|t| t.with_queue(queue));
            let mut threaded = threaded.expect("the split is right");
            let figures = threaded.train(0..steps, &schedule, &LrSchedule::default(), |step| {
                naps.take();
                numbered(step)
            });
            assert_eq!(figures.expect("nobody fails").len(), steps);
            threaded.report().clone()
        });
        let report = report.unwrap_or_else(|| panic!("{what}: still waiting"));
        let read = |log: &Log| log.lock().expect("nobody panics with it").clone();
        let all: Vec<usize> = (0..steps).collect();
        for (i, seen) in traces.seen.iter().enumerate() {
            assert_eq!(read(seen), all, "{what}: messages seen by section {i}");
        }
        for (i, learned) in traces.learned.iter().enumerate() {
            let learns = |step: &usize| sparse.is_none_or(|s| s.learners(*step, sections)[i + 1]);
            let expected: Vec<usize> = (0..steps).filter(learns).collect();
            assert_eq!(
                read(learned),
                expected,
                "{what}: gradients at interface {i}"
            );
        }
        assert!(!traces.mixed_up.load(Ordering::Relaxed), "{what}: mixed up");
        let most = report.staleness.iter().map(|s| s.most).max();
        assert!(most < Some(queue), "{what}: {report:?}");
    }
}

/// A section that runs when all do, each a step behind the one below it. It hands on its input,
/// which is the number of the step.
#[derive(Module, Debug)]
struct Crowd {
    #[module(skip)]
    place: usize,
    #[module(skip)]
    all: Arc<Barrier>,
}

impl Crowd {
    const SECTIONS: usize = 8;
    const STEPS: usize = 40;
}

impl Section for Crowd {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        input
    }

    fn pass(&self, input: Input) -> Pass {
        let (input, is_message) = input.into_parts();
        let round = values(input.clone())[0] as usize + self.place;
        // In the other rounds some have nothing to run on.
        if (Self::SECTIONS - 1..Self::STEPS).contains(&round) {
            self.all.wait();
        }
        Pass::new(input.clone(), move |_, _| is_message.then_some(input))
    }
}

/// However many there are: neither the queues between neighbours nor those of the schedule make one
/// of them wait for a step of another that itself waits.
#[test]
fn workers_of_one_section_all_run_at_the_same_time() {
    let all = Arc::new(Barrier::new(Crowd::SECTIONS));
    let mut chain = Chain::new(Loss::SquaredError);
    for place in 0..Crowd::SECTIONS {
        let crowd = Crowd {
            place,
            all: all.clone(),
        };
        chain = chain.section(format!("crowd{place}"), crowd, Optimizer::sgd(0.1));
        if place + 1 < Crowd::SECTIONS {
            let synthesizer = LinearSynthesizerConfig::new(1).init(&mut seeded(1), &Device::flex());
            chain = chain.interface(Interface::new(synthesizer, Optimizer::sgd(1e-6)));
        }
    }
    let done = in_time(move || {
        let threaded = Threaded::new(chain, &[1; Crowd::SECTIONS]);
        let mut threaded = threaded.expect("the split is right");
        let steps = 0..Crowd::STEPS;
        threaded.train(
            steps,
            &Credit::Synthetic.into(),
            &LrSchedule::default(),
            numbered,
        )
    });
    let figures = done.expect("nobody waits for ever");
    assert_eq!(figures.expect("nobody fails").len(), Crowd::STEPS);
}

/// A section that does something unwanted at its tenth pass.
#[derive(Module, Debug)]
struct Faulty {
    dense: Dense,
    #[module(skip)]
    passes: Arc<Mutex<usize>>,
    #[module(skip)]
    fault: Fault,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// With this message.
    Panic(&'static str),
    NotFinite,
}

const FAULTY_STEP: usize = 10;

impl Section for Faulty {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.dense.forward(input)
    }

    fn pass(&self, input: Input) -> Pass {
        let mut passes = self.passes.lock().expect("nobody panics with it");
        *passes += 1;
        let is_faulty = *passes == FAULTY_STEP;
        drop(passes);
        let pass = self.dense.pass(input);
        match self.fault {
            Fault::Panic(message) if is_faulty => panic!("{message}"),
            Fault::NotFinite if is_faulty => {
                let output = pass.output.clone().mul_scalar(f32::NAN);
                Pass::new(output, move |delta, parameters| {
                    let gradients = pass.back(delta);
                    *parameters = gradients.parameters;
                    gradients.input
                })
            }
            _ => pass,
        }
    }
}

/// Three sections, of which the middle one is faulty.
fn faulty(fault: Fault) -> Chain {
    let (rng, device) = (&mut seeded(3), &Device::flex());
    let middle = Faulty {
        dense: DenseConfig::new(5, 5).init(rng, device),
        passes: Arc::default(),
        fault,
    };
    let below = DenseConfig::new(INPUTS, 5).init(rng, device);
    let above = DenseConfig::new(5, CLASSES).linear().init(rng, device);
    Chain::new(Loss::SquaredError)
        .section("below", below, Optimizer::adam(0.01))
        .interface(interface(5, rng, device))
        .section("middle", middle, Optimizer::adam(0.01))
        .interface(interface(5, rng, device))
        .section("above", above, Optimizer::adam(0.01))
}

/// How a run of a faulty network ends.
fn failure_of(fault: Fault, split: &'static [usize]) -> Error {
    let outcome = in_time(move || {
        let mut threaded = Threaded::new(faulty(fault), split).expect("the split is right");
        let device = Device::flex();
        let schedule = Credit::Synthetic.into();
        threaded
            .train(0..1_000, &schedule, &LrSchedule::default(), |step| {
                batch(step, &device)
            })
            .err()
    });
    let error = outcome.unwrap_or_else(|| panic!("{fault:?}, {split:?}: still waiting"));
    error.unwrap_or_else(|| panic!("{fault:?}, {split:?}: nobody noticed"))
}

const SPLITS: [&[usize]; 4] = [&[1, 1, 1], &[2, 1], &[1, 2], &[3]];

/// The workers that the middle section belongs to under these splits.
const CULPRITS: [usize; 4] = [2, 1, 2, 1];

#[test]
fn a_panic_ends_the_run_with_the_workers_name_its_step_and_the_cause() {
    for (split, culprit) in SPLITS.into_iter().zip(CULPRITS) {
        match failure_of(Fault::Panic("the tenth pass fails"), split) {
            Error::Worker {
                worker,
                sections,
                step,
                cause,
            } => {
                assert_eq!(worker, culprit, "{split:?}");
                assert!(sections.contains("section"), "{sections}");
                assert_eq!(step, FAULTY_STEP);
                assert_eq!(cause, "the tenth pass fails");
            }
            other => panic!("{split:?}: {other}"),
        }
    }
}

#[test]
fn how_to_go_on_after_a_device_has_failed_is_said_once() {
    let error = failure_of(Fault::Panic("wgpu error: Out of Memory"), &[1, 1, 1]).to_string();
    for words in ["worker 2", "Out of Memory", "short of", "checkpoint"] {
        assert_eq!(error.matches(words).count(), 1, "{words:?} in: {error}");
    }
}

#[test]
fn a_figure_that_is_not_finite_ends_the_run_with_its_section_and_step() {
    for (split, culprit) in SPLITS.into_iter().zip(CULPRITS) {
        match failure_of(Fault::NotFinite, split) {
            Error::NotFinite { what, step } => {
                let expected = format!("section 'middle' (worker {culprit})");
                assert_eq!((what, step), (expected, FAULTY_STEP), "{split:?}");
            }
            other => panic!("{split:?}: {other}"),
        }
    }
}

/// A panic in what makes the batches is the caller's own, and stops the workers.
#[test]
fn batches_that_panic_stop_the_workers() {
    let ended = in_time(|| {
        let device = Device::flex();
        let threaded = Threaded::new(network(Kind::Dense, &device), &[2, 3]);
        let mut threaded = threaded.expect("the split is right");
        let schedule = Credit::Synthetic.into();
        let batches = |step| match step {
            7 => panic!("no batch"),
            _ => batch(step, &device),
        };
        catch_unwind(AssertUnwindSafe(|| {
            threaded
                .train(0..100, &schedule, &LrSchedule::default(), batches)
                .is_ok()
        }))
        .is_err()
    });
    assert_eq!(ended, Some(true));
}

#[test]
fn what_would_keep_workers_waiting_is_refused_and_says_why() {
    let device = Device::flex();
    let refused = |chain: Chain, schedule: ChainSchedule| {
        let mut threaded = Threaded::new(chain, &[2, 3]).expect("the split is right");
        let done = threaded.train(0..1, &schedule, &LrSchedule::default(), |step| {
            batch(step, &device)
        });
        done.expect_err("it is refused").to_string()
    };
    for credit in [Credit::Backprop, Credit::Mixed { lambda: 0.5 }] {
        let error = refused(network(Kind::Dense, &device), credit.into());
        assert!(error.contains("update-locked"), "{error}");
    }
    let warm_up = ChainSchedule {
        warm_up: 3,
        ..Credit::Synthetic.into()
    };
    let error = refused(network(Kind::Dense, &device), warm_up.clone());
    assert!(error.contains("3 steps of the warm-up"), "{error}");
    let timed = section_times(
        &network(Kind::Dense, &device),
        &batch(0, &device),
        &Credit::Backprop.into(),
        &device,
    );
    assert!(timed.is_err());

    let mut bare = Chain::new(Loss::SquaredError);
    for i in 0..5 {
        let sizes = [INPUTS, 4, 4, 4, 4, CLASSES];
        let layer = DenseConfig::new(sizes[i], sizes[i + 1]).init(&mut seeded(1), &device);
        bare = bare.section(format!("{i}"), layer, Optimizer::sgd(0.1));
    }
    let error = refused(bare, Credit::Synthetic.into());
    assert!(error.contains("interface"), "{error}");
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let device = Device::flex();
    let threaded = |split: &[usize]| Threaded::new(network(Kind::Dense, &device), split);
    for split in [&[][..], &[4], &[2, 2, 2], &[5, 0]] {
        assert!(threaded(split).is_err(), "{split:?}");
    }
    let right = || threaded(&[2, 3]).expect("the split is right");
    assert!(right().with_queue(0).is_err());
    assert!(right().with_kernel_threads(0).is_err());
    assert!(right().with_kernel_threads(2).is_ok());
}

#[test]
fn a_worker_that_has_not_begun_is_not_busy() {
    let second = Duration::from_secs(1);
    let half = Workload {
        busy: second,
        waiting: second,
    };
    assert_eq!(half.busy_share(), 0.5);
    assert_eq!(Workload::default().busy_share(), 0.0);
}

/// The sections are timed, and left as they were.
#[test]
fn a_warm_up_shares_the_work_out_and_leaves_no_trace() {
    on_devices(&[Backend::Flex, Backend::Ndarray], |device, checks| {
        let chain = network(Kind::Unlocked, device);
        let before = state(&chain);
        let schedule = Credit::Synthetic.into();
        let times = section_times(&chain, &batch(0, device), &schedule, device);
        let times = times.expect("sections can be timed");
        checks.that(
            "every section takes time",
            times.iter().all(|t| !t.is_zero()),
        );
        checks.that("one time for each section", times.len() == 5);
        let locked = locked_times(&chain, &batch(0, device), device);
        let locked = locked.expect("sections can be timed");
        checks.that(
            "both ways take time",
            locked.iter().all(|way| way.len() == 5 && !way[0].is_zero()),
        );
        checks.that("the chain is as it was", state(&chain) == before);
        let split = even_split(&vec![times; 2]).expect("there are enough sections");
        checks.that("a split", split.iter().sum::<usize>() == 5);
    });
}

/// Sections may lie on different devices: whatever the schedule, messages, gradients, labels and
/// synthetic inputs get to where they are needed.
#[test]
fn sections_may_lie_on_different_devices() {
    let devices = common::devices();
    let schedule = Credit::Synthetic.into();
    for (kind, tolerance) in [
        (Kind::Dense, 1e-3),
        (Kind::Unlocked, 1e-3),
        (Kind::Conv, 1e-2),
    ] {
        let mut reference = network(kind, &Device::flex());
        learn(&mut reference, &schedule);
        let probe = batch(100, &Device::flex());
        let expected = reference.loss_of(&probe);
        for (name, other) in &devices[1..] {
            let placed = || {
                let [a, b] = [Device::flex(), other.clone()];
                let mut chain = network(kind, &a);
                let places = [a.clone(), b.clone(), b, a.clone(), a];
                chain.place(&places).expect("nothing stands in the way");
                chain
            };
            let close = |what: &str, chain: &Chain| {
                let loss = chain.loss_of(&probe);
                let difference = (loss - expected).abs() / expected;
                assert!(
                    difference < tolerance,
                    "{kind:?}, {name}, {what}: {loss} and {expected}"
                );
                assert_eq!(chain.quality(&probe).len(), 4);
            };
            let mut locked = placed();
            learn(&mut locked, &schedule);
            close("locked", &locked);
            for split in [&[1, 2, 2][..], &[2, 3], &[5]] {
                let threaded = Threaded::new(placed(), split).and_then(|t| t.with_queue(1));
                let mut threaded = threaded.expect("the split is right");
                learn(&mut threaded, &schedule);
                close("threaded", threaded.chain());
                if *name == "ndarray" {
                    assert!(state(&threaded) == state(&locked), "{kind:?}, {split:?}");
                }
            }
        }
    }
}

/// Workers on one adapter may each have a queue of their own there.
#[test]
fn an_adapter_can_be_opened_for_each_worker() {
    if common::devices().iter().all(|(name, _)| *name != "wgpu") {
        return;
    }
    let open = || Place::Adapter(0).open(None).expect("there is an adapter");
    let (a, b) = (open(), open());
    assert_ne!(a, b, "they share a queue");
    let schedule = Credit::Synthetic.into();
    let placed = |places: [&Device; 5]| {
        let mut chain = network(Kind::Dense, &Device::flex());
        chain
            .place(&places.map(Clone::clone))
            .expect("nothing stands in the way");
        chain
    };
    let mut reference = placed([&a; 5]);
    learn(&mut reference, &schedule);
    let threaded = Threaded::new(placed([&a, &a, &b, &b, &b]), &[2, 3]);
    let mut threaded = threaded
        .and_then(|t| t.with_queue(1))
        .expect("the split is right");
    learn(&mut threaded, &schedule);
    assert!(state(&threaded) == state(&reference));
}

/// Optimizer states move as well.
#[test]
fn a_network_moves_in_the_middle_of_training() {
    let [flex, ndarray] = [Backend::Flex, Backend::Ndarray].map(|b| b.device().expect("a CPU"));
    let train = |chain: &mut Chain| {
        for step in 0..10 {
            chain.step(batch(step, &flex), Credit::Synthetic);
        }
    };
    let mut moved = network(Kind::Unlocked, &flex);
    train(&mut moved);
    let before = state(&moved);
    moved.place(&vec![ndarray; 5]).expect("it can be moved");
    assert!(state(&moved) == before, "moving changes nothing");
    let mut stayed = network(Kind::Unlocked, &flex);
    train(&mut stayed);
    train(&mut stayed);
    train(&mut moved);
    let [moved, stayed] = [moved, stayed].map(|chain| chain.loss_of(&batch(100, &flex)));
    assert!(
        (moved - stayed).abs() < 1e-3 * stayed,
        "{moved} and {stayed}"
    );
}

/// The batches of a run.
struct Batches(Device);

impl Task<Threaded> for Batches {
    fn batch(&mut self, step: usize) -> Batch {
        batch(step, &self.0)
    }
}

/// Ctrl-C and checkpoints find all workers at one step: a run that goes on ends as if it had not
/// been stopped.
#[test]
fn a_run_that_is_stopped_goes_on_as_if_nothing_had_happened() {
    let device = Device::flex();
    let plan = Plan {
        record_every: 4,
        save_every: Duration::ZERO,
        ..Plan::new(30, Credit::Synthetic)
    };
    let run = |folder: &common::TempDir, stop: bool| {
        let threaded = Threaded::new(network(Kind::Unlocked, &device), &[2, 3]);
        let mut threaded = threaded.expect("the split is right");
        let path = folder.path();
        let opened =
            RunFolder::open(path, &toml::Table::new(), &threaded).expect("the folder can be read");
        let (mut run_folder, start) = match opened {
            Some((run_folder, checkpoint)) => (
                run_folder,
                checkpoint.restore(&mut threaded).expect("it fits"),
            ),
            None => (
                RunFolder::create(path, &toml::Table::new(), &threaded)
                    .expect("a folder can be made"),
                Progress::default(),
            ),
        };
        let outcome = train(
            &mut threaded,
            &mut Batches(device.clone()),
            &plan,
            start,
            &mut run_folder,
            &mut [],
            &AtomicBool::new(stop),
        );
        (outcome.expect("nobody fails"), state(&threaded))
    };
    let (_, expected) = run(&common::TempDir::new(), false);
    let folder = common::TempDir::new();
    for stopped_at in [4, 8, 12] {
        match run(&folder, true).0 {
            Outcome::Interrupted(progress) => assert_eq!(progress.step, stopped_at),
            other => panic!("{other:?}"),
        }
    }
    let (outcome, state) = run(&folder, false);
    assert!(matches!(outcome, Outcome::Finished(p) if p.step == 30));
    assert!(state == expected, "the network is another");
}
