//! What it costs to record losses and the quality of the synthetic gradients as often as the program
//! does by default.
//!
//! `cargo bench --profile dev --bench recording`

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use common::Times;
use dni::data::{Stream, generator};
use dni::run::RunFolder;
use dni::train::{Event, Listener, Plan, Progress, Task, train};
use dni::{
    Batch, Chain, ChainSchedule, Credit, DenseConfig, Interface, LinearSynthesizerConfig, Loss,
    Optimizer, Quality, backend,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 11;
const BATCH: usize = 256;

/// The same batch again and again.
struct Same(Batch);

impl Task<Chain> for Same {
    fn batch(&mut self, _step: usize) -> Batch {
        self.0.clone()
    }

    fn compare(&mut self, chain: &Chain) -> Vec<Quality> {
        chain.quality(&self.0)
    }
}

/// The moments at which figures were recorded.
#[derive(Default)]
struct Moments(Vec<(usize, Instant)>);

impl Listener for Moments {
    fn hear(&mut self, event: &Event) -> dni::Result<()> {
        if let Event::Progress(scalars) = event {
            self.0.push((scalars.step, Instant::now()));
        }
        Ok(())
    }
}

/// A network as the program trains it by default.
struct Case {
    name: &'static str,
    features: &'static [usize],
    /// Steps of a repetition; the second half is timed.
    steps: usize,
    record_every: usize,
    compare_every: usize,
}

const CASES: [Case; 2] = [
    Case {
        name: "adder",
        features: &[16, 64, 32, 8],
        steps: 4_000,
        record_every: 100,
        compare_every: 200,
    },
    Case {
        name: "images",
        features: &[784, 256, 256, 256, 10],
        steps: 432,
        record_every: 12,
        compare_every: 108,
    },
];

fn main() {
    backend::set_kernel_threads(1).expect("one kernel thread is always to be had");
    let mut times = Times::default();
    for _ in 0..REPETITIONS {
        for case in &CASES {
            for (what, is_recorded) in [("bare", false), ("recorded", true)] {
                let time = case.microseconds_a_step(is_recorded);
                times.note(format!("{} {what}", case.name), time);
            }
        }
    }
    for case in &CASES {
        times.print(case.name);
    }
}

impl Case {
    fn microseconds_a_step(&self, is_recorded: bool) -> f64 {
        let device = Device::flex();
        let mut chain = chain(self.features, &device);
        let (first, last) = (self.features[0], self.features[self.features.len() - 1]);
        let target = Tensor::<2>::ones([BATCH, last], &device);
        let mut task = Same(Batch::labelled(
            Tensor::<2>::ones([BATCH, first], &device),
            target,
        ));
        let half = self.steps / 2;
        let plan: Plan<ChainSchedule> = Plan {
            record_every: if is_recorded { self.record_every } else { half },
            compare_every: is_recorded.then_some(self.compare_every),
            ..Plan::new(self.steps, Credit::Synthetic)
        };
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recording");
        let _ = fs::remove_dir_all(&path);
        let mut folder =
            RunFolder::create(&path, &toml::Table::new(), &chain).expect("a folder can be made");
        let mut moments = Moments::default();
        train(
            &mut chain,
            &mut task,
            &plan,
            Progress::default(),
            &mut folder,
            &mut [&mut moments],
            &AtomicBool::new(false),
        )
        .expect("nothing goes wrong");
        let moment = |wanted| moments.0.iter().find(|(step, _)| *step == wanted);
        match (moment(half), moment(self.steps)) {
            (Some((_, from)), Some((_, to))) => 1e6 * (*to - *from).as_secs_f64() / half as f64,
            _ => unreachable!("figures are recorded at the half and at the end"),
        }
    }
}

fn chain(features: &[usize], device: &Device) -> Chain {
    let rng = &mut generator(1, Stream::Parameters);
    let contexts = features[features.len() - 1];
    let mut chain = Chain::new(Loss::BinaryCrossEntropy);
    for (i, pair) in features.windows(2).enumerate() {
        if i > 0 {
            let synthesizer = LinearSynthesizerConfig::new(pair[0]).with_contexts(contexts);
            let synthesizer = synthesizer.init(rng, device);
            chain = chain.interface(Interface::new(synthesizer, Optimizer::adam(1e-3)));
        }
        let layer = DenseConfig::new(pair[0], pair[1]).init(rng, device);
        chain = chain.section(format!("layer{i}"), layer, Optimizer::adam(1e-3));
    }
    chain
}
