//! One training step of a character model: LSTM 256, vocabulary 50, windows of 8, batch 64, Adam;
//! truncated backpropagation (on one-hot rows, and on tokens) and DNI by several synthesizers, against
//! PyTorch's nn.LSTM, taking turns.
//!
//! `cargo bench --profile dev --bench recurrent` prints the median time of a step over the
//! repetitions, half the distance between the quartiles, and the ratio to the first row of its
//! block. PyTorch is skipped, with a message, where python3 cannot import it. `DNI_BENCH_THREADS` sets
//! the kernel threads of both (1).

mod common;

use std::time::Instant;

use burn::tensor::{Device, Int, Tensor};
use dni::data::{Stream, generator};
use dni::{
    Data, DenseConfig, Future, Interface, LinearSynthesizerConfig, Loss, LowRankSynthesizerConfig,
    LstmConfig, MlpSynthesizerConfig, Optimizer, Recurrent, Sequence, Window, backend,
};

use common::{Peer, Times};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 15;
const STEPS: usize = 10;
const UNITS: usize = 256;
const VOCABULARY: usize = 50;
const WINDOW: usize = 8;
const BATCH: usize = 64;

/// What stands at the end of a window.
#[derive(Clone, Copy)]
enum Kind {
    /// Nothing: truncated backpropagation.
    Bptt,
    /// The same on tokens and classes in place of one-hot rows.
    Tokens,
    Linear,
    Rank(usize),
    /// One hidden layer of as many units as the LSTM has, as in the paper.
    Mlp,
    /// Rank 32 and the auxiliary task by a linear model.
    Auxiliary,
}

const CASES: [(&str, Kind); 6] = [
    ("bptt", Kind::Bptt),
    ("bptt-tokens", Kind::Tokens),
    ("dni linear:32", Kind::Rank(32)),
    ("dni linear", Kind::Linear),
    ("dni mlp:256", Kind::Mlp),
    ("dni-aux linear:32", Kind::Auxiliary),
];

fn main() {
    let threads = std::env::var("DNI_BENCH_THREADS").unwrap_or_else(|_| "1".to_string());
    let count = threads.parse().expect("DNI_BENCH_THREADS is a number");
    backend::set_kernel_threads(count).expect("so many kernel threads are to be had");
    let device = Device::flex();
    let mut cases = CASES.map(|(name, kind)| (name, network(kind, &device), window(kind, &device)));
    for (_, network, window) in &mut cases {
        time(network, window);
    }
    let mut peer = Peer::start_with("torch", "recurrent.py", &[&threads]);
    let mut times = Times::default();
    for _ in 0..REPETITIONS {
        if let Some(peer) = &mut peer {
            let [bptt] = peer.times(&["bptt"]);
            times.note("bptt torch".to_string(), bptt);
        }
        for (name, network, window) in &mut cases {
            times.note(format!("{name} flex"), time(network, window));
        }
    }
    times.print("bptt ");
    println!();
    for (name, _) in CASES {
        times.print_against("bptt flex", &format!("{name} flex"));
    }
}

/// Microseconds per step.
fn time(network: &mut Recurrent, window: &Window) -> f64 {
    let start = Instant::now();
    for _ in 0..STEPS {
        network.step(window.clone());
    }
    start.elapsed().as_secs_f64() / STEPS as f64 * 1e6
}

fn network(kind: Kind, device: &Device) -> Recurrent {
    let rng = &mut generator(1, Stream::Parameters);
    let adam = || Optimizer::adam(1e-3);
    let core = LstmConfig::new(VOCABULARY, UNITS).init(rng, device);
    let readout = DenseConfig::new(UNITS, VOCABULARY)
        .linear()
        .init(rng, device);
    let network = Recurrent::new(Loss::CrossEntropy, (core, adam()), (readout, adam()));
    let state = 2 * UNITS;
    let low_rank = |rank, rng: &mut _| LowRankSynthesizerConfig::new(state, rank).init(rng, device);
    let interface = match kind {
        Kind::Bptt | Kind::Tokens => return network,
        Kind::Linear => {
            let synthesizer = LinearSynthesizerConfig::new(state).init(rng, device);
            Interface::new(synthesizer, adam())
        }
        Kind::Rank(rank) => Interface::new(low_rank(rank, rng), adam()),
        Kind::Auxiliary => Interface::new(low_rank(32, rng), adam()),
        Kind::Mlp => {
            let config = MlpSynthesizerConfig::new(state, vec![UNITS]);
            Interface::new(config.init(rng, device), adam())
        }
    };
    let future = Future::new(interface);
    network.with_future(match kind {
        Kind::Auxiliary => {
            let model = DenseConfig::new(state, state).linear().init(rng, device);
            future.with_auxiliary(model, adam())
        }
        _ => future,
    })
}

fn window(kind: Kind, device: &Device) -> Window {
    let characters = |steps: usize, shift: usize| -> Data<3> {
        let character = |i: usize| ((i * 7 + shift) % VOCABULARY) as i32;
        let tokens: Vec<i32> = (0..steps * BATCH).map(character).collect();
        let tokens = Tensor::<1, Int>::from_ints(tokens.as_slice(), device);
        let tokens = tokens.reshape::<2, _>([steps, BATCH]);
        match kind {
            Kind::Tokens => tokens.into(),
            _ => tokens.one_hot::<3>(VOCABULARY).float().into(),
        }
    };
    Window {
        sequence: Sequence::new(characters(WINDOW, 0)),
        targets: characters(WINDOW, 1),
        weights: None,
        next: Some(Sequence::new(characters(1, 0))),
    }
}
