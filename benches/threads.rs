//! Sections that train at the same time: an image network of 8 layers, 784-512x7-10, batch 256,
//! Adam, batch norm, by cDNI on one thread and by two workers, and by backprop, taking turns.
//!
//! `cargo bench --profile dev --bench threads` prints the median time of a step over the
//! repetitions, half the distance between the quartiles, and the ratio to the one thread. A word
//! after `--` restricts the cases to those that have it in their name. "2 kernel threads" means
//! that each operation is split among two threads, in a pool of their own.

mod common;

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};
use dni::data::{Stream, generator};
use dni::schedule::Threaded;
use dni::schedule::threaded::{even_split, section_times};
use dni::{
    Batch, Chain, Credit, DenseConfig, Init, Interface, LeastSquaresSynthesizerConfig, Lessons,
    LinearSynthesizerConfig, Loss, LowRankSynthesizerConfig, Optimizer, backend,
};

use common::Times;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 9;
const STEPS: usize = 20;
const BATCH: usize = 256;
const CLASSES: usize = 10;
const SIZES: [usize; 9] = [784, 512, 512, 512, 512, 512, 512, 512, CLASSES];

/// How the gradients are made.
#[derive(Clone, Copy)]
enum Kind {
    Backprop,
    Linear,
    Rank(usize),
    /// Least squares of a rank, with a guess of the label.
    Probe(usize),
}

/// Who takes the steps.
#[derive(Clone, Copy)]
enum Schedule {
    /// This thread, with so many threads for one operation.
    Alone(usize),
    Workers(usize),
}

const CASES: [(&str, Kind, Schedule); 10] = [
    ("cdni linear", Kind::Linear, Schedule::Alone(1)),
    ("cdni linear, 1 worker", Kind::Linear, Schedule::Workers(1)),
    ("cdni linear, 2 workers", Kind::Linear, Schedule::Workers(2)),
    ("cdni linear:32", Kind::Rank(32), Schedule::Alone(1)),
    (
        "cdni linear:32, 2 workers",
        Kind::Rank(32),
        Schedule::Workers(2),
    ),
    ("cdni probe:64", Kind::Probe(64), Schedule::Alone(1)),
    (
        "cdni probe:64, 2 workers",
        Kind::Probe(64),
        Schedule::Workers(2),
    ),
    ("backprop", Kind::Backprop, Schedule::Alone(1)),
    (
        "backprop, 2 kernel threads",
        Kind::Backprop,
        Schedule::Alone(2),
    ),
    (
        "cdni linear, 2 kernel threads",
        Kind::Linear,
        Schedule::Alone(2),
    ),
];

/// What takes steps.
enum Runner {
    Alone(Chain, Credit, rayon::ThreadPool),
    Workers(Threaded),
}

fn main() {
    backend::set_kernel_threads(1).expect("one kernel thread is always to be had");
    let device = Device::flex();
    let batch = batch(&device);
    let asked = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let mut cases: Vec<(&str, Runner)> = CASES
        .iter()
        .filter(|(name, ..)| asked.as_ref().is_none_or(|asked| name.contains(asked)))
        .map(|&(name, kind, schedule)| (name, Runner::new(name, kind, schedule, &batch, &device)))
        .collect();
    for (_, runner) in &mut cases {
        runner.time(&batch, 3);
    }
    let mut times = Times::default();
    for _ in 0..REPETITIONS {
        for (name, runner) in &mut cases {
            times.note(name.to_string(), runner.time(&batch, STEPS));
        }
    }
    let (reference, ..) = CASES[0];
    for (name, _) in &cases {
        times.print_against(reference, name);
    }
    for (name, runner) in &cases {
        if let Runner::Workers(threaded) = runner {
            let report = threaded.report();
            let busy: Vec<String> = report
                .workers
                .iter()
                .map(|w| format!("{:.0} %", 100.0 * w.busy_share()))
                .collect();
            let staleness: Vec<String> = report
                .staleness
                .iter()
                .map(|s| format!("{:.2}", s.mean()))
                .collect();
            println!(
                "{name}: split {:?}, busy {}, staleness {}",
                report.split,
                busy.join(" "),
                staleness.join(" ")
            );
        }
    }
}

impl Runner {
    fn new(name: &str, kind: Kind, schedule: Schedule, batch: &Batch, device: &Device) -> Self {
        let chain = chain(kind, device);
        match schedule {
            Schedule::Alone(threads) => {
                let credit = match kind {
                    Kind::Backprop => Credit::Backprop,
                    _ => Credit::Synthetic,
                };
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                Self::Alone(chain, credit, pool.expect("threads can be started"))
            }
            Schedule::Workers(workers) => {
                let times = section_times(&chain, batch, &Credit::Synthetic.into());
                let times: Vec<Duration> = times.expect("sections can be timed");
                println!("{name}: {times:?}");
                let split = even_split(&times, workers).expect("there are enough sections");
                let threaded = Threaded::new(chain, &split).expect("the split is right");
                Self::Workers(threaded)
            }
        }
    }

    /// Microseconds per step.
    fn time(&mut self, batch: &Batch, steps: usize) -> f64 {
        let start = Instant::now();
        match self {
            Self::Alone(chain, credit, pool) => pool.install(|| {
                for _ in 0..steps {
                    chain.step(batch.clone(), *credit);
                }
            }),
            Self::Workers(threaded) => {
                let lessons = Lessons::from(Credit::Synthetic);
                let done = threaded.train(0..steps, &lessons, |_| batch.clone());
                done.expect("no worker fails");
            }
        }
        start.elapsed().as_secs_f64() / steps as f64 * 1e6
    }
}

fn chain(kind: Kind, device: &Device) -> Chain {
    let rng = &mut generator(1, Stream::Parameters);
    let mut chain = Chain::new(Loss::CrossEntropy);
    let top = SIZES.len() - 2;
    for (i, pair) in SIZES.windows(2).enumerate() {
        let config = DenseConfig::new(pair[0], pair[1]).with_init(Init::He);
        let config = if i < top {
            config.with_batch_norm(true)
        } else {
            config.linear()
        };
        let section = config.init(rng, device);
        chain = chain.section(format!("section{i}"), section, Optimizer::adam(1e-3));
        if i < top {
            chain = with_interface(chain, kind, pair[1], device);
        }
    }
    chain
}

fn with_interface(chain: Chain, kind: Kind, features: usize, device: &Device) -> Chain {
    let rng = &mut generator(2, Stream::Parameters);
    let adam = Optimizer::adam(1e-3);
    match kind {
        Kind::Backprop => chain,
        Kind::Linear => {
            let config = LinearSynthesizerConfig::new(features).with_contexts(CLASSES);
            chain.interface(Interface::new(config.init(rng, device), adam))
        }
        Kind::Rank(rank) => {
            let config = LowRankSynthesizerConfig::new(features, rank).with_contexts(CLASSES);
            chain.interface(Interface::new(config.init(rng, device), adam))
        }
        Kind::Probe(rank) => {
            let config = LeastSquaresSynthesizerConfig::new(features, rank)
                .with_contexts(CLASSES)
                .with_probe(true);
            let synthesizer = config.init(rng, device);
            chain.interface(Interface::new(synthesizer, Optimizer::sgd(0.2)))
        }
    }
}

fn batch(device: &Device) -> Batch {
    let input = Tensor::random([BATCH, SIZES[0]], Distribution::Uniform(0.0, 1.0), device);
    let labels: Vec<f32> = (0..BATCH * CLASSES)
        .map(|i| f32::from(u8::from(i / CLASSES % CLASSES == i % CLASSES)))
        .collect();
    let target = Tensor::<1>::from_floats(labels.as_slice(), device).reshape([BATCH, CLASSES]);
    Batch {
        input,
        context: Some(target.clone()),
        target,
    }
}
