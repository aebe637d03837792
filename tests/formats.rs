//! Checkpoints outlive the program that wrote them: those of every format that is read go on, bit for
//! bit, whatever types and modules are called by now.
//!
//! The files hold what the network was to answer next. `cargo test --test formats -- --ignored` writes
//! them anew, for a new format only.

mod common;

use std::path::{Path, PathBuf};

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamWConfig, SgdConfig};
use burn::tensor::Device;
use common::{random, seeded, values};
use dni::data::{Fingerprint, ImageShape};
use dni::learner::Network;
use dni::run::Checkpoint;
use dni::train::{Notes, Progress};
use dni::{
    Batch, Chain, ConvConfig, Credit, DenseConfig, Future, InputModel, Interface,
    LinearSynthesizerConfig, Loss, LstmConfig, MlpSynthesizerConfig, Optimizer, Pool, Recurrent,
    Sequence, Window,
};

const STEPS: usize = 3;
const SETTINGS: &str = "made = \"by a test\"\n";

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.bpk"))
}

fn data() -> Fingerprint {
    Fingerprint::default().with_term("classes", 2).with_part(
        Fingerprint::TRAIN,
        "a test",
        [&b"examples"[..]],
    )
}

/// A network that the tests keep.
trait Kept: Network {
    fn built(seed: u64) -> Self;

    /// Takes the step of this number; the outputs before its update.
    fn take(&mut self, step: usize) -> Vec<f32>;
}

/// Every kind of section and model that a chain has, and optimizers of several kinds.
impl Kept for Chain {
    fn built(seed: u64) -> Self {
        let (device, rng) = (&Device::flex(), &mut seeded(seed));
        let image = ImageShape {
            channels: 1,
            height: 4,
            width: 4,
        };
        let conv = ConvConfig::new(image, 2).with_kernel(3);
        let conv = conv.with_batch_norm(true).with_pool(Pool::max(2));
        let momentum = SgdConfig::new().with_momentum(Some(MomentumConfig::new()));
        let decaying = AdamWConfig::new().with_weight_decay(0.01);
        let mlp = MlpSynthesizerConfig::new(8, vec![3]).with_contexts(2);
        let linear = LinearSynthesizerConfig::new(4);
        let model = DenseConfig::new(16, 4).linear();
        let clipping = GradientClippingConfig::Norm(0.5);
        Chain::new(Loss::CrossEntropy)
            .section("conv", conv.init(rng, device), Optimizer::adam(0.01))
            .interface(Interface::new(mlp.init(rng, device), Optimizer::adam(0.02)))
            .section(
                "dense",
                DenseConfig::new(8, 4)
                    .with_batch_norm(true)
                    .init(rng, device),
                Optimizer::new(momentum, 0.05),
            )
            .interface(
                Interface::new(linear.init(rng, device), Optimizer::sgd(0.1)).with_input_model(
                    InputModel::new(model.init(rng, device), Optimizer::adam(0.01)),
                ),
            )
            .section(
                "output",
                DenseConfig::new(4, 2).linear().init(rng, device),
                Optimizer::new(decaying, 0.01).with_clipping(clipping),
            )
    }

    fn take(&mut self, step: usize) -> Vec<f32> {
        let (device, rng) = (&Device::flex(), &mut seeded(100 + step as u64));
        let target = random([3, 2], rng, device);
        let batch = Batch::labelled(random([3, 16], rng, device), target);
        values(self.step(batch, Credit::Synthetic).output)
    }
}

/// An LSTM with a synthetic future and the auxiliary task, in the middle of its sequences.
impl Kept for Recurrent {
    fn built(seed: u64) -> Self {
        let (device, rng) = (&Device::flex(), &mut seeded(seed));
        let adam = || Optimizer::adam(0.01);
        let core = LstmConfig::new(2, 3).init(rng, device);
        let readout = DenseConfig::new(3, 2).init(rng, device);
        let synthesizer = LinearSynthesizerConfig::new(6).init(rng, device);
        let model = DenseConfig::new(6, 6).linear().init(rng, device);
        let future = Future::new(Interface::new(synthesizer, adam())).with_auxiliary(model, adam());
        Recurrent::new(Loss::SquaredError, (core, adam()), (readout, adam())).with_future(future)
    }

    fn take(&mut self, step: usize) -> Vec<f32> {
        let (device, rng) = (&Device::flex(), &mut seeded(100 + step as u64));
        let of_steps =
            |steps: usize, rng: &mut _| random([2 * steps, 2], rng, device).reshape([steps, 2, 2]);
        let sequence = |steps: usize, rng: &mut _| Sequence::new(of_steps(steps, rng));
        let window = Window {
            sequence: sequence(2, rng),
            targets: of_steps(2, rng).into(),
            weights: None,
            next: Some(sequence(1, rng)),
        };
        values(self.step(window).outputs)
    }
}

/// The outputs of the steps that follow, by name.
fn following(network: &mut impl Kept) -> Notes {
    let outputs = (STEPS..STEPS + 2).flat_map(|step| network.take(step));
    let named = outputs.enumerate();
    named
        .map(|(i, v)| (format!("output.{i}"), f64::from(v)))
        .collect()
}

fn trained<K: Kept>() -> K {
    let mut network = K::built(1);
    (0..STEPS).for_each(|step| {
        network.take(step);
    });
    network
}

fn write<K: Kept>(path: &Path) {
    let notes = following(&mut trained::<K>());
    let progress = Progress {
        step: STEPS,
        seconds: 0.5,
    };
    let (network, data) = (trained::<K>(), Some(data()));
    Checkpoint::write(
        path,
        &network,
        &notes,
        progress,
        SETTINGS,
        data.as_ref(),
        &[1, 2],
    )
    .expect("it can be written");
}

fn goes_on<K: Kept>(name: &str) {
    let checkpoint = Checkpoint::read(&kept(name)).expect("it is whole");
    assert_eq!(checkpoint.settings(), SETTINGS);
    assert_eq!(checkpoint.data(), Some(&data()));
    assert_eq!(checkpoint.log_lengths(), [1, 2]);
    let expected = checkpoint.notes().clone();
    let mut network = K::built(2);
    let progress = checkpoint.restore(&mut network).expect("it fits");
    assert_eq!((progress.step, progress.seconds), (STEPS, 0.5));
    let found = following(&mut network);
    assert_eq!(found.len(), expected.len());
    // Other processors round otherwise.
    for (name, expected) in expected {
        let found = found[&name];
        assert!(
            (found - expected).abs() < 1e-5,
            "{name}: {found}, not {expected}"
        );
    }
}

#[test]
fn checkpoints_of_format_1_go_on() {
    goes_on::<Chain>("chain-1");
    goes_on::<Recurrent>("recurrent-1");
}

#[test]
#[ignore = "writes the files that the others read"]
fn files_are_written() {
    write::<Chain>(&kept("chain-1"));
    write::<Recurrent>(&kept("recurrent-1"));
}
