//! Backpropagation by several workers, in a pipeline and data-parallel: the network of one thread, bit
//! for bit where nothing is split; and links between workers, which change times and nothing else.

mod common;

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use common::kept::state;
use common::{Checks, Gated, random, seeded};
use dni::data::ImageShape;
use dni::learner::{Chunk, Learner};
use dni::threaded::{Link, Sharing, Threaded, traffic};
use dni::{
    Activation, Batch, Chain, ChainSchedule, ConvConfig, Credit, DenseConfig, Error, Init, Input,
    Interface, LinearSynthesizerConfig, Loss, LrSchedule, Optimizer, Pass, Reduction, Section,
    Sparse,
};

const INPUTS: usize = 64;
const CLASSES: usize = 3;
const BATCH: usize = 7;
const SECTIONS: usize = 4;

fn batch(step: usize) -> Batch {
    let (rng, device) = (&mut seeded(1_000 + step as u64), &Device::flex());
    let input = random([BATCH, INPUTS], rng, device);
    let target = random([BATCH, CLASSES], rng, device);
    Batch::labelled(input, target)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Norm,
    Conv,
}

/// Four sections with interfaces between them, one by autodiff. Convolutions add up otherwise on
/// several threads than on the one that each worker has.
fn network(kind: Kind, optimizer: fn() -> Optimizer) -> Chain {
    dni::backend::set_kernel_threads(1).expect("one thread is always to be had");
    const WIDTH: usize = 5;
    let (rng, device) = (&mut seeded(1), &Device::flex());
    let mut chain = Chain::new(Loss::SquaredError);
    let mut inputs = INPUTS;
    for i in 0..SECTIONS - 1 {
        let layer = DenseConfig::new(inputs, WIDTH).with_activation(Activation::Tanh);
        let name = format!("section{i}");
        let mut outputs = WIDTH;
        chain = match (kind, i) {
            (Kind::Conv, 0) => {
                let shape = ImageShape {
                    channels: 1,
                    height: 8,
                    width: 8,
                };
                let config = ConvConfig::new(shape, 2)
                    .with_kernel(3)
                    .with_batch_norm(true);
                outputs = config.output_shape().len();
                chain.section(name, config.init(rng, device), optimizer())
            }
            (_, 1) => {
                let [value, gate] = [0; 2].map(|_| layer.init(rng, device));
                chain.section(name, Gated { value, gate }, optimizer())
            }
            _ => {
                let layer = layer.with_batch_norm(kind == Kind::Norm);
                chain.section(name, layer.init(rng, device), optimizer())
            }
        };
        let config = LinearSynthesizerConfig::new(outputs)
            .with_contexts(CLASSES)
            .with_init(Init::FanIn);
        let synthesizer = config.init(rng, device);
        chain = chain.interface(Interface::new(synthesizer, Optimizer::adam(0.03)));
        inputs = outputs;
    }
    let output = DenseConfig::new(inputs, CLASSES).linear().init(rng, device);
    chain.section("output", output, optimizer())
}

fn adam() -> Optimizer {
    Optimizer::adam(0.01)
}

/// Its steps are as far apart as the gradients are.
fn sgd() -> Optimizer {
    Optimizer::sgd(0.1)
}

/// Takes steps under rates that drop on the way; the losses.
fn learn(
    learner: &mut impl Learner<Batch = Batch, Schedule = ChainSchedule>,
    schedule: &ChainSchedule,
    steps: usize,
) -> Vec<f32> {
    let drops = LrSchedule::drops(vec![(7, 0.5), (19, 0.1)]).expect("the drops are in order");
    let mut losses = Vec::new();
    for steps in [0..steps / 2, steps / 2..steps] {
        let chunk = Chunk {
            steps,
            schedule,
            rates: &drops,
            check_every: 3,
        };
        let done = learner
            .learn_chunk(&mut batch, &chunk)
            .expect("nobody fails");
        let loss = |figures: &dni::learner::Metrics| {
            let is_loss =
                |(figure, _): &&(dni::learner::Metric, _)| *figure == dni::learner::Metric::Loss;
            let mut found = figures.iter().filter(is_loss);
            let (_, loss) = found.next().expect("every step has a loss");
            assert!(found.next().is_none(), "every step has one loss");
            loss.clone().into_scalar::<f32>()
        };
        losses.extend(done.iter().map(loss));
    }
    losses
}

fn pipeline(chain: Chain, split: &[usize], micro_batches: usize) -> Threaded {
    Threaded::pipeline(chain, split, micro_batches).expect("the split is right")
}

fn data_parallel(chain: Chain, workers: usize) -> Threaded {
    Threaded::data_parallel(chain, workers).expect("there are workers")
}

/// Whole batches, whatever the split, or one worker with all of them: backprop bit for bit, with its
/// optimizers, running statistics and losses.
#[test]
fn where_no_batch_is_split_rivals_are_backprop_bit_for_bit() {
    let mut checks = Checks::default();
    let sparse = ChainSchedule {
        sparse: Some(Sparse::new(0.6, 5).expect("it is a probability")),
        ..Credit::Backprop.into()
    };
    for kind in [Kind::Plain, Kind::Norm, Kind::Conv] {
        for schedule in [Credit::Backprop.into(), sparse.clone()] {
            let mut alone = network(kind, adam);
            let losses = learn(&mut alone, &schedule, 24);
            let expected = state(&alone);
            let mut same = |what: &str, mut rival: Threaded| {
                let what = format!("{what}, {kind:?}, {:?}", schedule.sparse.is_some());
                let found = learn(&mut rival, &schedule, 24);
                checks.that(format!("{what}: losses"), found == losses);
                checks.that(&what, state(&rival) == expected);
            };
            for split in [&[4][..], &[1, 3], &[2, 2], &[1; 4]] {
                let rival = pipeline(network(kind, adam), split, 1);
                same(&format!("pipeline {split:?}"), rival);
            }
            same("data-parallel", data_parallel(network(kind, adam), 1));
        }
    }
    checks.finish();
}

/// What a network answers to some batches.
fn answers(chain: &Chain) -> Vec<Vec<f32>> {
    let answer = |step| common::values(chain.predict(batch(step).input));
    (50..53).map(answer).collect()
}

/// Parts of batches, uneven ones too, make the same gradients but for rounding.
#[test]
fn parts_of_a_batch_make_its_gradients() {
    let mut checks = Checks::default();
    for reduction in [Reduction::Mean, Reduction::Sum] {
        let rate = || Optimizer::sgd(0.02);
        let network = || network(Kind::Plain, rate).with_reduction(reduction);
        let schedule = Credit::Backprop.into();
        let mut alone = network();
        let losses = learn(&mut alone, &schedule, 6);
        let expected = answers(&alone);
        for pieces in [2, 3, BATCH] {
            for (what, mut rival) in [
                ("pipeline", pipeline(network(), &[1, 3], pieces)),
                ("data-parallel", data_parallel(network(), pieces)),
            ] {
                let what = format!("{what} in {pieces}, {reduction:?}");
                let found = learn(&mut rival, &schedule, 6);
                checks.close(format!("{what}: losses"), &found, &losses, 1e-5);
                checks.all_close(what, &answers(rival.chain()), &expected, 1e-5);
            }
        }
    }
    checks.finish();
}

/// Batch norm takes the statistics of each part, so both rivals learn alike, and not as one thread
/// does.
#[test]
fn batch_norm_sees_the_parts() {
    let mut checks = Checks::default();
    let schedule = Credit::Backprop.into();
    let losses = |mut learner: Threaded| learn(&mut learner, &schedule, 6);
    let whole = losses(pipeline(network(Kind::Norm, sgd), &[4], 1));
    let piped = losses(pipeline(network(Kind::Norm, sgd), &[2, 2], 3));
    let shared = losses(data_parallel(network(Kind::Norm, sgd), 3));
    checks.close("both rivals", &piped, &shared, 1e-4);
    let apart = common::relative_difference(&piped, &whole);
    checks.that(format!("one thread: {apart}"), apart > 1e-3);
    checks.finish();
}

/// How long a learner takes for some steps, one chunk.
fn time(learner: &mut Threaded, credit: Credit, steps: usize) -> Duration {
    let start = Instant::now();
    let done = learner.train(0..steps, &credit.into(), &LrSchedule::default(), batch);
    done.expect("nobody fails");
    start.elapsed()
}

fn link(text: &str) -> Link {
    text.parse().expect("it is a link")
}

/// A link changes when things arrive, not what comes of them, where nothing is left to the timing.
/// Every step takes what has to go through it.
#[test]
fn a_link_takes_its_time_and_changes_nothing_else() {
    const STEPS: usize = 3;
    let mut checks = Checks::default();
    let slow = link("10ms,1Mbit");
    let sent = traffic(&network(Kind::Norm, adam), &batch(0));
    let message = slow.transfer(sent.messages[1]);
    let gradients: Duration = sent
        .gradients
        .iter()
        .map(|&bytes| slow.transfer(bytes))
        .sum();
    type Learn = (&'static str, fn(Chain) -> Threaded, Credit, Duration);
    let cases: [Learn; 3] = [
        // Up and down once.
        (
            "pipeline",
            |chain| pipeline(chain, &[2, 2], 1),
            Credit::Backprop,
            (slow.delay() + message) * 2 * STEPS as u32,
        ),
        (
            "data-parallel",
            |chain| data_parallel(chain, 2),
            Credit::Backprop,
            (slow.delay() + gradients) * STEPS as u32,
        ),
        (
            "a queue of one message",
            |chain| Threaded::new(chain, &[2, 2]).expect("the split is right"),
            Credit::Synthetic,
            // A second message is sent before the first is answered.
            (slow.delay() + message) * STEPS as u32,
        ),
    ];
    for (what, learner, credit, least) in cases {
        let mut near = learner(network(Kind::Norm, adam));
        time(&mut near, credit, STEPS);
        let mut far = learner(network(Kind::Norm, adam)).with_link(slow);
        let took = time(&mut far, credit, STEPS);
        checks.that(what, state(&far) == state(&near));
        checks.that(format!("{what}: {took:?} < {least:?}"), took >= least);
        checks.that(what, far.report().link == Some(slow));
    }
    checks.finish();
}

/// A section that takes a while, in which the machine is free for others.
#[derive(Module, Debug)]
struct Slow;

impl Section for Slow {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        input
    }

    fn pass(&self, input: Input) -> Pass {
        let (input, is_message) = input.into_parts();
        std::thread::sleep(STEP);
        Pass::new(input.clone(), move |delta, _| is_message.then_some(delta))
    }
}

const STEP: Duration = Duration::from_millis(4);

/// With a queue for all that is under way decoupled workers go on as without a link, and say how late
/// gradients are.
#[test]
fn decoupled_workers_do_not_wait_for_a_link() {
    const STEPS: usize = 100;
    let far = link("20ms");
    let chain = || {
        let interface = LinearSynthesizerConfig::new(INPUTS).init(&mut seeded(1), &Device::flex());
        let output = DenseConfig::new(INPUTS, CLASSES).init(&mut seeded(2), &Device::flex());
        Chain::new(Loss::SquaredError)
            .section("slow", Slow, sgd())
            .interface(Interface::new(interface, sgd()))
            .section("output", output, sgd())
    };
    let learner = || Threaded::new(chain(), &[1, 1]).expect("the split is right");
    let queue = far.queue(STEP, 4 * BATCH * INPUTS);
    let mut near = learner();
    let alone = time(&mut near, Credit::Synthetic, STEPS);
    let mut apart = learner()
        .with_queue(queue)
        .expect("it holds some")
        .with_link(far);
    let linked = time(&mut apart, Credit::Synthetic, STEPS);
    // One round trip, at the end, and what the machine is busy with besides.
    assert!(
        linked < alone + 2 * far.delay() + STEPS as u32 * STEP / 4,
        "{linked:?} with a link, {alone:?} without"
    );
    let mut waiting = learner().with_link(far);
    let waited = time(&mut waiting, Credit::Synthetic, STEPS / 10);
    // Two messages are under way at a time.
    assert!(waited >= STEPS as u32 / 10 * far.delay(), "{waited:?}");

    let late = apart.report().staleness[0];
    assert_eq!(late.targets, STEPS);
    assert!(late.mean_time() >= 2 * far.delay(), "{late:?}");
    assert!(late.most_time >= late.mean_time(), "{late:?}");
    assert!(
        late.most < queue && late.mean() > queue as f64 / 3.0,
        "{late:?}"
    );
    assert_eq!(apart.report().queue, queue);
}

#[test]
fn reports_say_how_the_work_was_shared() {
    let sharing = |learner: &Threaded| learner.report().sharing;
    let learner = pipeline(network(Kind::Plain, sgd), &[1, 3], 2);
    assert_eq!(sharing(&learner), Sharing::Pipeline { micro_batches: 2 });
    let learner = data_parallel(network(Kind::Plain, sgd), 2);
    assert_eq!(sharing(&learner), Sharing::DataParallel);
    assert_eq!(learner.report().split, [SECTIONS; 2]);
}

#[test]
fn what_makes_no_sense_is_refused_and_says_why() {
    let chain = || network(Kind::Plain, sgd);
    assert!(Threaded::pipeline(chain(), &[2, 2], 0).is_err());
    assert!(Threaded::pipeline(chain(), &[2, 3], 2).is_err());
    assert!(Threaded::data_parallel(chain(), 0).is_err());
    for mut rival in [pipeline(chain(), &[2, 2], 2), data_parallel(chain(), 2)] {
        for credit in [
            Credit::Synthetic,
            Credit::Mixed { lambda: 0.5 },
            Credit::None,
        ] {
            let done = rival.train(0..1, &credit.into(), &LrSchedule::default(), batch);
            let error = done.expect_err("it is refused").to_string();
            assert!(error.contains("backprop"), "{error}");
        }
    }
    // There are fewer examples than parts.
    for (mut rival, worker) in [
        (pipeline(chain(), &[2, 2], BATCH + 1), 1),
        (data_parallel(chain(), BATCH + 1), 1),
    ] {
        match rival.train(
            0..1,
            &Credit::Backprop.into(),
            &LrSchedule::default(),
            batch,
        ) {
            Err(Error::Worker {
                worker: found,
                cause,
                ..
            }) => {
                assert_eq!(found, worker);
                assert!(
                    cause.contains("7 examples cannot be split into 8"),
                    "{cause}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
