//! The notebook's two training steps: dni against NumPy, taking turns.
//!
//! `cargo bench --profile dev --bench notebook` prints the median time of a step over the
//! repetitions, half the distance between the quartiles, and the ratio of the medians. NumPy is
//! skipped, with a message, where python3 cannot import it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use burn::tensor::{Device, Tensor};
use dni::data::{Adder, Stream, generator};
use dni::{
    Activation, Backend, Batch, Chain, Credit, DenseConfig, Init, Interface,
    LinearSynthesizerConfig, Loss, Optimizer, Reduction, backend,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 21;
const STEPS: usize = 1_000;
const BATCH: usize = 10;
const PROGRAMS: [&str; 2] = ["backprop", "dni"];

fn main() {
    backend::set_kernel_threads(1).expect("one kernel thread is always to be had");
    let mut rows: Vec<(String, Vec<f64>)> = Vec::new();
    let mut ours: Vec<(Backend, [Program; 2])> = Vec::new();
    for backend in [Backend::Flex, Backend::Ndarray] {
        let device = backend.device().expect("CPU backends always work");
        ours.push((backend, [Program::backprop(&device), Program::dni(&device)]));
    }
    let mut peer = Peer::start();
    for (_, programs) in &mut ours {
        for program in programs {
            program.time();
        }
    }
    let mut note = |name: String, time: f64| match rows.iter_mut().find(|(n, _)| *n == name) {
        Some((_, times)) => times.push(time),
        None => rows.push((name, vec![time])),
    };
    for _ in 0..REPETITIONS {
        if let Some(peer) = &mut peer {
            for (program, time) in PROGRAMS.iter().zip(peer.times()) {
                note(format!("{program} numpy"), time);
            }
        }
        for (backend, programs) in &mut ours {
            for (name, program) in PROGRAMS.iter().zip(programs) {
                note(format!("{name} {backend}"), program.time());
            }
        }
    }
    for program in PROGRAMS {
        let of_program = |name: &str| name.starts_with(&format!("{program} "));
        let reference = rows.iter().find(|(name, _)| of_program(name));
        let reference = reference.map_or(f64::NAN, |(_, times)| quartiles(times)[1]);
        for (name, times) in rows.iter().filter(|(name, _)| of_program(name)) {
            let [lower, median, upper] = quartiles(times);
            println!(
                "{name:18} {median:7.1} us  ± {:4.1}  ratio {:.2}",
                (upper - lower) / 2.0,
                median / reference
            );
        }
    }
}

fn quartiles(times: &[f64]) -> [f64; 3] {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[(sorted.len() - 1) * quarter / 4])
}

/// One of the notebook's programs: its network, a batch and the losses that it adds up.
struct Program {
    chain: Chain,
    batch: Batch,
    credit: Credit,
}

impl Program {
    /// 24-128-64-12 without biases.
    fn backprop(device: &Device) -> Self {
        let rng = &mut generator(1, Stream::Parameters);
        let init = Init::Normal {
            mean: -0.1,
            std: 0.2,
        };
        let mut chain = Chain::new(Loss::SquaredError).with_reduction(Reduction::Sum);
        for (i, sizes) in [24, 128, 64, 12].windows(2).enumerate() {
            let section = DenseConfig::new(sizes[0], sizes[1])
                .with_activation(Activation::Sigmoid)
                .with_bias(false)
                .with_init(init);
            let section = section.init(rng, device);
            chain = chain.section(format!("layer{i}"), section, Optimizer::sgd(0.1));
        }
        Self {
            chain,
            batch: batch(12, device),
            credit: Credit::Backprop,
        }
    }

    /// 16-64-32-8 with linear synthesizers.
    fn dni(device: &Device) -> Self {
        let rng = &mut generator(1, Stream::Parameters);
        let init = Init::Normal {
            mean: -1.0,
            std: 2.0,
        };
        let sizes = [16, 64, 32, 8];
        let mut chain = Chain::new(Loss::SquaredError).with_reduction(Reduction::Sum);
        for (i, pair) in sizes.windows(2).enumerate() {
            let section = DenseConfig::new(pair[0], pair[1])
                .with_activation(Activation::Sigmoid)
                .with_init(init)
                .init(rng, device);
            chain = chain.section(format!("layer{i}"), section, Optimizer::sgd(0.01));
            if i + 2 < sizes.len() {
                let synthesizer = LinearSynthesizerConfig::new(pair[1]).init(rng, device);
                chain = chain.interface(Interface::new(synthesizer, Optimizer::sgd(0.01)));
            }
        }
        Self {
            chain,
            batch: batch(8, device),
            credit: Credit::Synthetic,
        }
    }

    /// Microseconds per step, the notebook's sums of absolute errors included.
    fn time(&mut self) -> f64 {
        let start = Instant::now();
        let mut error = 0.0;
        for _ in 0..STEPS {
            let step = self.chain.step(self.batch.clone(), self.credit);
            let h = step.output;
            let mut delta = h.clone() - self.batch.target.clone();
            if self.credit == Credit::Backprop {
                delta = delta * (h.clone() - h.clone() * h);
            }
            error += read_sum(delta);
            if let Some(residual) = step.residuals.into_iter().flatten().last() {
                error += read_sum(residual);
            }
        }
        assert!(error.is_finite());
        start.elapsed().as_secs_f64() / STEPS as f64 * 1e6
    }
}

fn read_sum(tensor: Tensor<2>) -> f32 {
    tensor.abs().sum().into_scalar()
}

fn batch(bits: usize, device: &Device) -> Batch {
    let rng = &mut generator(1, Stream::Examples);
    let sums = Adder::new(bits, BATCH, rng).expect("there are more sums than a batch");
    let (input, target) = sums.train.all(device);
    Batch {
        input,
        target,
        context: None,
    }
}

/// The NumPy program in its own process.
struct Peer {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn start() -> Option<Self> {
        let has_numpy = Command::new("python3")
            .args(["-c", "import numpy"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !has_numpy {
            eprintln!("python3 has no numpy: timed without it (pip install numpy)");
            return None;
        }
        let mut process = Command::new("python3")
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/benches/peers/notebook.py"
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 was there a moment ago");
        let answers = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Some(Self { process, answers })
    }

    /// Microseconds per step of both programs, in the order of [`PROGRAMS`].
    fn times(&mut self) -> [f64; 2] {
        let stdin = self.process.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(b"\n").expect("the peer listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the peer answers");
        let times: serde_json::Value = serde_json::from_str(&line).expect("the peer speaks JSON");
        PROGRAMS.map(|program| times[program].as_f64().expect("the peer times both"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Closing its input ends it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
