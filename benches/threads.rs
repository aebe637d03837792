//! Sections that train at the same time: image networks of seven and eight layers of 512 units and
//! an output layer, batch 256, Adam, batch norm; cDNI on one thread and by two, four and eight
//! workers, and backprop on one thread and with operations shared by as many, taking turns, as far
//! as the machine has processors for them.
//!
//! `cargo bench --profile dev --bench threads` prints the median time of a step over the
//! repetitions, half the distance between the quartiles, and the ratio to one thread of the same
//! method. A word after `--` restricts the cases to those that have it in their name. "2 kernel
//! threads" means that each operation is split among two threads, in a pool of their own. "waiting" is
//! a network whose eight sections compute nothing and take 2 ms to run and 4 ms to learn, as those on
//! other devices do for the thread that drives them: it shows what the schedule gains by itself, on
//! any number of processors.

mod common;

use std::time::{Duration, Instant};
use std::{fmt, iter, thread};

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use dni::data::{Stream, generator};
use dni::threaded::{Report, Threaded, even_split, section_times};
use dni::{
    Batch, Chain, ChainSchedule, Credit, DenseConfig, Init, Input, Interface,
    LeastSquaresSynthesizerConfig, LinearSynthesizerConfig, Loss, LowRankSynthesizerConfig,
    LrSchedule, Optimizer, Pass, Section, backend,
};

use common::Times;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 7;
/// As many as `dni images` lets workers take at once.
const STEPS: usize = 50;
const BATCH: usize = 256;
const INPUTS: usize = 784;
const UNITS: usize = 512;
const CLASSES: usize = 10;

/// Layers of 512 units below the output layer.
const HIDDEN: [usize; 2] = [8, 7];

/// How the gradients are made.
#[derive(Clone, Copy)]
enum Kind {
    Backprop,
    Linear,
    Rank(usize),
    /// Least squares of a rank, with a guess of the label.
    Probe(usize),
}

const KINDS: [(&str, Kind); 4] = [
    ("cdni linear", Kind::Linear),
    ("cdni linear:32", Kind::Rank(32)),
    ("cdni probe:64", Kind::Probe(64)),
    ("backprop", Kind::Backprop),
];

/// Who takes the steps.
#[derive(Clone, Copy)]
enum Schedule {
    /// This thread, with so many threads for one operation.
    Alone(usize),
    Workers(usize),
}

/// Those that the machine has processors for.
fn schedules() -> Vec<Schedule> {
    let processors = dni::backend::processors();
    let shared = [2, 4, 8].into_iter().filter(|&n| n <= processors);
    let shared = shared.flat_map(|n| [Schedule::Alone(n), Schedule::Workers(n)]);
    iter::once(Schedule::Alone(1)).chain(shared).collect()
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alone(1) => Ok(()),
            Self::Alone(threads) => write!(f, ", {threads} kernel threads"),
            Self::Workers(workers) => write!(f, ", {workers} workers"),
        }
    }
}

/// A section for which this machine does nothing but wait.
#[derive(Module, Debug)]
struct Elsewhere;

impl Section for Elsewhere {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        input
    }

    fn pass(&self, input: Input) -> Pass {
        let (input, is_message) = input.into_parts();
        thread::sleep(Duration::from_millis(2));
        Pass::new(input.clone(), move |_, _| {
            thread::sleep(Duration::from_millis(4));
            is_message.then_some(input)
        })
    }
}

/// A case with the name of what it is compared with.
struct Case {
    name: String,
    reference: String,
    batch: Batch,
    runner: Runner,
}

/// What takes steps.
enum Runner {
    Alone(Chain, Credit, rayon::ThreadPool),
    Workers(Box<Threaded>),
}

fn main() {
    backend::set_kernel_threads(1).expect("one kernel thread is always to be had");
    let device = Device::flex();
    let asked = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let mut cases = cases(asked.as_deref().unwrap_or(""), &device);
    for case in &mut cases {
        case.time(3);
    }
    let mut times = Times::default();
    for _ in 0..REPETITIONS {
        for case in &mut cases {
            times.note(case.name.clone(), case.time(STEPS));
        }
    }
    for case in &cases {
        times.print_against(&case.reference, &case.name);
    }
    for case in &cases {
        if let Runner::Workers(threaded) = &case.runner {
            print_report(&case.name, threaded.report());
        }
    }
}

/// The cases whose name has a word in it.
fn cases(word: &str, device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    let of_images = random(INPUTS, CLASSES, device);
    for hidden in HIDDEN {
        for (kind_name, kind) in KINDS {
            for schedule in schedules() {
                let reference = format!("512x{hidden} {kind_name}");
                let name = format!("{reference}{schedule}");
                let is_locked = matches!(kind, Kind::Backprop);
                let has_workers = matches!(schedule, Schedule::Workers(_));
                if name.contains(word) && !(is_locked && has_workers) {
                    let chain = chain(hidden, kind, device);
                    let runner = Runner::new(chain, kind, schedule, &of_images);
                    cases.push(Case::new(name, reference, &of_images, runner));
                }
            }
        }
    }
    let workers = [2, 4, 8].map(Schedule::Workers);
    let of_one = random(1, 1, device);
    for schedule in iter::once(Schedule::Alone(1)).chain(workers) {
        let reference = "waiting".to_string();
        let name = format!("{reference}{schedule}");
        if name.contains(word) {
            let runner = Runner::new(waiting(device), Kind::Linear, schedule, &of_one);
            cases.push(Case::new(name, reference, &of_one, runner));
        }
    }
    cases
}

fn print_report(name: &str, report: &Report) {
    let workers = report.workers.iter();
    let busy: Vec<String> = workers
        .map(|worker| format!("{:.0} %", 100.0 * worker.busy_share()))
        .collect();
    let stalest = report.staleness.iter().map(|s| s.most).max();
    println!(
        "{name}: split {:?}, busy {}, gradients up to {} messages late",
        report.split,
        busy.join(", "),
        stalest.unwrap_or(0)
    );
}

impl Case {
    fn new(name: String, reference: String, batch: &Batch, runner: Runner) -> Self {
        Self {
            name,
            reference,
            batch: batch.clone(),
            runner,
        }
    }

    /// Microseconds per step.
    fn time(&mut self, steps: usize) -> f64 {
        self.runner.time(&self.batch, steps)
    }
}

impl Runner {
    fn new(chain: Chain, kind: Kind, schedule: Schedule, batch: &Batch) -> Self {
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
                let (schedule, device) = (Credit::Synthetic.into(), batch.input.device());
                let times = section_times(&chain, batch, &schedule, &device);
                let times = vec![times.expect("sections can be timed"); workers];
                let split = even_split(&times).expect("there are enough sections");
                let threaded = Threaded::new(chain, &split).expect("the split is right");
                Self::Workers(Box::new(threaded))
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
                let schedule = ChainSchedule::from(Credit::Synthetic);
                let done = threaded.train(0..steps, &schedule, &LrSchedule::default(), |_| {
                    batch.clone()
                });
                done.expect("no worker fails");
            }
        }
        start.elapsed().as_secs_f64() / steps as f64 * 1e6
    }
}

fn chain(hidden: usize, kind: Kind, device: &Device) -> Chain {
    let rng = &mut generator(1, Stream::Parameters);
    let mut chain = Chain::new(Loss::CrossEntropy);
    for i in 0..hidden {
        let inputs = if i == 0 { INPUTS } else { UNITS };
        let config = DenseConfig::new(inputs, UNITS).with_batch_norm(true);
        let section = config.with_init(Init::He).init(rng, device);
        chain = chain.section(format!("hidden{i}"), section, Optimizer::adam(1e-3));
        chain = with_interface(chain, kind, device);
    }
    let output = DenseConfig::new(UNITS, CLASSES).linear().init(rng, device);
    chain.section("output", output, Optimizer::adam(1e-3))
}

/// Eight sections that hand on what they get.
fn waiting(device: &Device) -> Chain {
    const SECTIONS: usize = 8;
    let rng = &mut generator(3, Stream::Parameters);
    let mut chain = Chain::new(Loss::SquaredError);
    for i in 0..SECTIONS {
        chain = chain.section(format!("section{i}"), Elsewhere, Optimizer::sgd(1.0));
        if i + 1 < SECTIONS {
            let synthesizer = LinearSynthesizerConfig::new(1).init(rng, device);
            chain = chain.interface(Interface::new(synthesizer, Optimizer::sgd(0.0)));
        }
    }
    chain
}

fn with_interface(chain: Chain, kind: Kind, device: &Device) -> Chain {
    let rng = &mut generator(2, Stream::Parameters);
    let adam = Optimizer::adam(1e-3);
    match kind {
        Kind::Backprop => chain,
        Kind::Linear => {
            let config = LinearSynthesizerConfig::new(UNITS).with_contexts(CLASSES);
            chain.interface(Interface::new(config.init(rng, device), adam))
        }
        Kind::Rank(rank) => {
            let config = LowRankSynthesizerConfig::new(UNITS, rank).with_contexts(CLASSES);
            chain.interface(Interface::new(config.init(rng, device), adam))
        }
        Kind::Probe(rank) => {
            let config = LeastSquaresSynthesizerConfig::new(UNITS, rank)
                .with_contexts(CLASSES)
                .with_probe(true);
            let synthesizer = config.init(rng, device);
            chain.interface(Interface::new(synthesizer, Optimizer::sgd(0.2)))
        }
    }
}

/// A batch with a label for each of some classes, in turn.
fn random(inputs: usize, classes: usize, device: &Device) -> Batch {
    let input = Tensor::<2>::random([BATCH, inputs], Distribution::Uniform(0.0, 1.0), device);
    let labels: Vec<f32> = (0..BATCH * classes)
        .map(|i| f32::from(u8::from(i / classes % classes == i % classes)))
        .collect();
    let target = Tensor::<1>::from_floats(labels.as_slice(), device).reshape([BATCH, classes]);
    Batch::labelled(input, target)
}
