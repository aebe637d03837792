//! The notebook's two training steps, and the second with synthesizers that see the target: dni
//! against JAX and NumPy, taking turns.
//!
//! `cargo bench --profile dev --bench notebook` prints the median time of a step over the
//! repetitions, half the distance between the quartiles, and the ratio of the medians. JAX compiles
//! its steps into one loop; ours are taken one by one, as a program takes them, and return all that
//! they leave. JAX and NumPy are skipped, with a message, where python3 cannot import them.

mod common;

use std::time::Instant;

use burn::tensor::{Device, Tensor};
use dni::data::{Adder, Stream, generator};
use dni::{
    Activation, Backend, Batch, Chain, Credit, DenseConfig, Init, Interface,
    LinearSynthesizerConfig, Loss, Optimizer, Reduction, backend,
};

use common::{Peer, Times};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 21;
const STEPS: usize = 1_000;
const BATCH: usize = 10;
const PROGRAMS: [&str; 3] = ["backprop", "dni", "cdni"];
const PEERS: [(&str, &str); 2] = [("jax", "notebook_jax.py"), ("numpy", "notebook.py")];

fn main() {
    backend::set_kernel_threads(1).expect("one kernel thread is always to be had");
    let mut ours: Vec<(Backend, [Program; 3])> = Vec::new();
    for backend in [Backend::Flex, Backend::Ndarray] {
        let device = backend.device().expect("CPU backends always work");
        let programs = [
            Program::backprop(&device),
            Program::dni(&device, false),
            Program::dni(&device, true),
        ];
        ours.push((backend, programs));
    }
    let peers = PEERS.map(|(module, script)| (module, Peer::start(module, script)));
    let mut peers: Vec<(&str, Peer)> = peers
        .into_iter()
        .filter_map(|(module, peer)| Some((module, peer?)))
        .collect();
    for (_, programs) in &mut ours {
        for program in programs {
            program.time();
        }
    }
    let mut times = Times::default();
    for _ in 0..REPETITIONS {
        for (module, peer) in &mut peers {
            for (program, time) in PROGRAMS.iter().zip(peer.times(&PROGRAMS)) {
                times.note(format!("{program} {module}"), time);
            }
        }
        for (backend, programs) in &mut ours {
            for (name, program) in PROGRAMS.iter().zip(programs) {
                times.note(format!("{name} {backend}"), program.time());
            }
        }
    }
    for program in PROGRAMS {
        times.print(&format!("{program} "));
    }
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
            batch: batch(12, false, device),
            credit: Credit::Backprop,
        }
    }

    /// 16-64-32-8 with linear synthesizers, which may see the target.
    fn dni(device: &Device, conditional: bool) -> Self {
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
                let contexts = if conditional { sizes[3] } else { 0 };
                let synthesizer = LinearSynthesizerConfig::new(pair[1]).with_contexts(contexts);
                let synthesizer = synthesizer.init(rng, device);
                chain = chain.interface(Interface::new(synthesizer, Optimizer::sgd(0.01)));
            }
        }
        Self {
            chain,
            batch: batch(8, conditional, device),
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
            let target = self.batch.target.numbers().expect("sums are numbers");
            let mut delta = h.clone() - target.clone();
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

fn batch(bits: usize, with_context: bool, device: &Device) -> Batch {
    let rng = &mut generator(1, Stream::Examples);
    let sums = Adder::new(bits, BATCH, rng).expect("there are more sums than a batch");
    let (input, target) = sums.train.all(device);
    match with_context {
        true => Batch::labelled(input, target),
        false => Batch::new(input, target),
    }
}
