//! One training step of the image network 784-256x4-10, batch 256, Adam, batch norm: backprop and
//! cDNI by several synthesizers, against PyTorch's eager step on the CPU, taking turns.
//!
//! `cargo bench --profile dev --bench images` prints the median time of a step over the
//! repetitions, half the distance between the quartiles, and the ratio to the first row of its
//! block. PyTorch is skipped, with a message, where python3 cannot import it. A word after `--`
//! restricts the cases to those that have it in their name. `DNI_BENCH_LAYERS` sets hidden layers
//! and their units (`4x256` by default), `DNI_BENCH_BATCH` the batch size (256), `DNI_BENCH_BACKEND`
//! our backend (`flex`) and `DNI_BENCH_THREADS` the kernel threads of both (1).

mod common;

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use dni::data::{Stream, generator};
use dni::{
    Backend, Batch, Chain, Credit, DenseConfig, Init, Interface, LabelSynthesizerConfig,
    LeastSquaresSynthesizerConfig, LinearSynthesizerConfig, Loss, LowRankSynthesizerConfig,
    MlpSynthesizerConfig, Optimizer, backend,
};

use common::{Peer, Times};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 15;
const STEPS: usize = 20;
const CLASSES: usize = 10;
const PIXELS: usize = 784;

/// How the gradients are made.
#[derive(Clone, Copy)]
enum Kind {
    Backprop,
    Linear,
    Rank(usize),
    /// Least squares of a rank.
    Rls(usize),
    /// The same, with a guess of the label.
    Probe(usize),
    Label,
    /// DNI without labels, as in the paper.
    Mlp,
}

const CASES: [(&str, Kind); 10] = [
    ("backprop", Kind::Backprop),
    ("cdni linear", Kind::Linear),
    ("cdni linear:32", Kind::Rank(32)),
    ("cdni linear:16", Kind::Rank(16)),
    ("cdni linear:8", Kind::Rank(8)),
    ("cdni rls:64", Kind::Rls(64)),
    ("cdni probe:64", Kind::Probe(64)),
    ("cdni probe:32", Kind::Probe(32)),
    ("cdni label", Kind::Label),
    ("dni mlp:1024x1024", Kind::Mlp),
];

fn main() {
    let threads = setting("DNI_BENCH_THREADS", "1");
    let layers = setting("DNI_BENCH_LAYERS", "4x256");
    let sizes = sizes(&layers).expect("DNI_BENCH_LAYERS is LAYERSxUNITS, such as 4x256");
    let examples = setting("DNI_BENCH_BATCH", "256");
    let name = setting("DNI_BENCH_BACKEND", "flex");
    let count = threads.parse().expect("DNI_BENCH_THREADS is a number");
    backend::set_kernel_threads(count).expect("so many kernel threads are to be had");
    let backend = Backend::ALL.into_iter().find(|b| b.name() == name);
    let backend = backend.expect("DNI_BENCH_BACKEND is a backend");
    let device = backend.device().expect("the backend runs here");
    let batch = batch(
        examples.parse().expect("DNI_BENCH_BATCH is a number"),
        &device,
    );
    let asked = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let mut cases: Vec<(&str, Kind, Chain)> = CASES
        .iter()
        .filter(|(name, _)| asked.as_ref().is_none_or(|asked| name.contains(asked)))
        .map(|&(name, kind)| (name, kind, chain(kind, &sizes, &device)))
        .collect();
    for (_, kind, chain) in &mut cases {
        time(chain, *kind, &batch, 3);
    }
    let mut peer = match backend {
        Backend::Flex => Peer::start_with("torch", "images.py", &[&layers, &threads, &examples]),
        // `benches/peers/card.py` is the one for a graphics card.
        _ => None,
    };
    let mut times = Times::default();
    for _ in 0..REPETITIONS {
        if let Some(peer) = &mut peer {
            let [backprop] = peer.times(&["backprop"]);
            times.note("backprop torch".to_string(), backprop);
        }
        for (name, kind, chain) in &mut cases {
            let steps = if matches!(kind, Kind::Mlp) { 3 } else { STEPS };
            let time = time(chain, *kind, &batch, steps);
            times.note(format!("{name} {backend}"), time);
        }
    }
    times.print("backprop ");
    println!();
    for (name, _) in CASES {
        times.print_against(&format!("backprop {backend}"), &format!("{name} {backend}"));
    }
}

/// What the environment says, or else a default.
fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_string())
}

/// Features from the input to the output, for so many hidden layers of so many units.
fn sizes(layers: &str) -> Option<Vec<usize>> {
    let (layers, units) = layers.split_once('x')?;
    let hidden = vec![units.parse().ok()?; layers.parse().ok()?];
    Some([vec![PIXELS], hidden, vec![CLASSES]].concat())
}

/// Microseconds per step.
fn time(chain: &mut Chain, kind: Kind, batch: &Batch, steps: usize) -> f64 {
    let credit = match kind {
        Kind::Backprop => Credit::Backprop,
        _ => Credit::Synthetic,
    };
    let start = Instant::now();
    for _ in 0..steps {
        chain.step(batch.clone(), credit);
    }
    let synced = batch.input.device().sync();
    synced.expect("the device works");
    start.elapsed().as_secs_f64() / steps as f64 * 1e6
}

fn chain(kind: Kind, sizes: &[usize], device: &Device) -> Chain {
    let rng = &mut generator(1, Stream::Parameters);
    let mut chain = Chain::new(Loss::CrossEntropy);
    let top = sizes.len() - 2;
    for (i, pair) in sizes.windows(2).enumerate() {
        let config = DenseConfig::new(pair[0], pair[1]).with_init(Init::He);
        let config = if i < top {
            config.with_batch_norm(true)
        } else {
            config.linear()
        };
        let section = config.init(rng, device);
        chain = chain.section(format!("section{i}"), section, Optimizer::adam(1e-3));
        if i == top {
            break;
        }
        let optimizer = Optimizer::adam(1e-3);
        let features = pair[1];
        chain = match kind {
            Kind::Backprop => chain,
            Kind::Linear => {
                let config = LinearSynthesizerConfig::new(features).with_contexts(CLASSES);
                chain.interface(Interface::new(config.init(rng, device), optimizer))
            }
            Kind::Rank(rank) => {
                let config = LowRankSynthesizerConfig::new(features, rank).with_contexts(CLASSES);
                chain.interface(Interface::new(config.init(rng, device), optimizer))
            }
            Kind::Rls(rank) | Kind::Probe(rank) => {
                let config = LeastSquaresSynthesizerConfig::new(features, rank)
                    .with_contexts(CLASSES)
                    .with_probe(matches!(kind, Kind::Probe(_)));
                let synthesizer = config.init(rng, device);
                chain.interface(Interface::new(synthesizer, Optimizer::sgd(0.2)))
            }
            Kind::Label => {
                let config = LabelSynthesizerConfig::new(features, CLASSES);
                chain.interface(Interface::new(config.init(rng, device), optimizer))
            }
            Kind::Mlp => {
                let config = MlpSynthesizerConfig::new(features, vec![1024, 1024]);
                chain.interface(Interface::new(config.init(rng, device), optimizer))
            }
        };
    }
    chain
}

fn batch(examples: usize, device: &Device) -> Batch {
    let input = Tensor::<2>::random([examples, PIXELS], Distribution::Uniform(0.0, 1.0), device);
    let labels: Vec<f32> = (0..examples * CLASSES)
        .map(|i| f32::from(u8::from(i / CLASSES % CLASSES == i % CLASSES)))
        .collect();
    let target = Tensor::<1>::from_floats(labels.as_slice(), device).reshape([examples, CLASSES]);
    Batch::labelled(input, target)
}
