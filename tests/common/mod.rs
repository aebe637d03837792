//! What the integration tests share: the devices to test on, seeded values, a look at parameters
//! that a chain owns, and checks that report every failure at once.

// Every test file is a crate of its own and uses only a part of this.
#![allow(dead_code)]

pub mod kept;
pub mod program;
pub mod report;
pub mod server;
pub mod slow_link;

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use burn::module::{Module, ModuleDisplay, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData, activation};
use dni::error::message_of;
use dni::{Activation, Backend, Data, Dense, Input, Pass, Section, Synthesizer};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// All devices to test on, by backend name. A machine without a graphics driver leaves `wgpu`
/// out; continuous integration must not.
///
/// # Panics
///
/// If `wgpu` is missing and the environment variable `CI` is set.
pub fn devices() -> Vec<(&'static str, Device)> {
    devices_of(&Backend::ALL)
}

fn devices_of(backends: &[Backend]) -> Vec<(&'static str, Device)> {
    dni::backend::set_kernel_threads(1).expect("one thread is always to be had");
    let device = |backend: &Backend| match backend.device() {
        Ok(device) => Some((backend.name(), device)),
        Err(error) if std::env::var_os("CI").is_some() => {
            panic!("install mesa-vulkan-drivers to test {backend}: {error}")
        }
        Err(error) => {
            eprintln!("skipping {backend}: {error}");
            None
        }
    };
    backends.iter().filter_map(device).collect()
}

/// Runs `test` on every device, then fails if any check on any device has failed.
pub fn on_every_device(test: impl Fn(&Device, &mut Checks)) {
    on_devices(&Backend::ALL, test);
}

/// [`on_every_device`] of a few backends.
pub fn on_devices(backends: &[Backend], test: impl Fn(&Device, &mut Checks)) {
    let mut checks = Checks::default();
    for (name, device) in devices_of(backends) {
        checks.backend = name;
        test(&device, &mut checks);
    }
    checks.finish();
}

/// Gathers failures, so that one run of a test names them all.
#[derive(Default)]
pub struct Checks {
    backend: &'static str,
    made: usize,
    failures: Vec<String>,
}

impl Checks {
    /// Whether the sums of the device at hand come out alike every time: a GPU backend may choose
    /// another kernel for the same product.
    pub fn are_exact(&self) -> bool {
        self.backend != Backend::Wgpu.name()
    }

    /// Checks that something holds.
    pub fn that(&mut self, what: impl Display, holds: bool) {
        self.made += 1;
        if !holds {
            self.failures.push(format!("{}: {what}", self.backend));
        }
    }

    /// Checks that `|actual - expected| <= tolerance * |expected|`, in Euclidean norms.
    pub fn close(&mut self, what: impl Display, actual: &[f32], expected: &[f32], tolerance: f64) {
        let difference = relative_difference(actual, expected);
        self.that(
            format!("{what}: relative difference {difference:.2e} > {tolerance:.0e}"),
            difference <= tolerance,
        );
    }

    /// [`close`](Self::close) for each tensor of a list.
    pub fn all_close(
        &mut self,
        what: impl Display,
        actual: &[Vec<f32>],
        expected: &[Vec<f32>],
        tolerance: f64,
    ) {
        self.that(
            format!("{what}: {} tensors, not {}", actual.len(), expected.len()),
            actual.len() == expected.len(),
        );
        for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
            self.close(format!("{what}, tensor {i}"), actual, expected, tolerance);
        }
    }

    /// Checks that two lists of tensors are equal bit for bit, on devices that
    /// [are exact](Self::are_exact); elsewhere that they are close.
    pub fn all_same(&mut self, what: impl Display, actual: &[Vec<f32>], expected: &[Vec<f32>]) {
        if self.are_exact() {
            self.that(
                format!("{what}: not the same bits"),
                bits(actual) == bits(expected),
            );
        } else {
            self.all_close(what, actual, expected, 1e-5);
        }
    }

    /// Checks that each value is within `absolute + relative * |expected|` of the expected one.
    pub fn each_close(
        &mut self,
        what: impl Display,
        actual: &[f32],
        expected: &[f64],
        absolute: f64,
        relative: f64,
    ) {
        self.that(
            format!("{what}: {} values, not {}", actual.len(), expected.len()),
            actual.len() == expected.len(),
        );
        for (i, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
            let difference = (f64::from(actual) - expected).abs();
            let tolerance = absolute + relative * expected.abs();
            self.that(
                format!(
                    "{what}[{i}]: {actual} vs {expected} (|Δ|={difference:.1e} > {tolerance:.1e})"
                ),
                difference <= tolerance,
            );
        }
    }

    /// Fails if any check has, with all of them.
    pub fn finish(self) {
        assert!(self.made > 0, "nothing was checked");
        assert!(
            self.failures.is_empty(),
            "{} of {} checks failed:\n{}",
            self.failures.len(),
            self.made,
            self.failures.join("\n")
        );
    }
}

/// `|a - b| / |b|`; infinite if a value is not finite or the lengths differ.
pub fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let differences = a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b));
    let difference = norm(&mut differences.into_iter());
    let size = norm(&mut b.iter().map(|&b| f64::from(b)));
    match (a.len() == b.len() && difference.is_finite(), size > 0.0) {
        (false, _) => f64::INFINITY,
        (true, true) => difference / size,
        (true, false) => difference,
    }
}

/// The bits of every value: `==` on floats would take zeros of both signs for the same.
pub fn bits(tensors: &[Vec<f32>]) -> Vec<Vec<u32>> {
    let bits = |tensor: &Vec<f32>| tensor.iter().map(|v| v.to_bits()).collect();
    tensors.iter().map(bits).collect()
}

/// `a - b`, tensor by tensor.
pub fn differences(a: &[Vec<f32>], b: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let difference = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| a - b).collect();
    a.iter().zip(b).map(difference).collect()
}

/// What a batch holds that is known to hold numbers.
pub fn numbers<const D: usize>(data: &Data<D>) -> Tensor<D> {
    data.numbers().expect("the batch has numbers").clone()
}

/// The values of a tensor, row after row.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .inner()
        .into_data()
        .try_to_vec()
        .expect("the tensors of the tests hold f32")
}

/// A tensor with these values, row after row.
pub fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The generator of a seed.
pub fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Values from -1 to 1.
pub fn random(shape: [usize; 2], rng: &mut ChaCha8Rng, device: &Device) -> Tensor<2> {
    let values = (0..shape[0] * shape[1]).map(|_| rng.random_range(-1.0..=1.0));
    tensor(values.collect(), shape, device)
}

/// Every activation of a dense section.
pub const ACTIVATIONS: [Activation; 4] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Tanh,
    Activation::Sigmoid,
];

/// A section of a user's own: it has no closed form, autodiff does it.
#[derive(Module, Debug)]
pub struct Gated {
    pub value: Dense,
    pub gate: Dense,
}

impl Section for Gated {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.value.forward(input.clone()) * activation::sigmoid(self.gate.forward(input))
    }
}

/// A section or synthesizer whose parameters stay in sight when a chain owns it.
#[derive(Module, Debug)]
pub struct Watched<M> {
    inner: M,
    #[module(skip)]
    notes: Notes,
}

/// The float tensors that a [`Watched`] module held when it was last used.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Vec<Tensor<1>>>>);

impl Notes {
    /// The noted values, in the order of the module's fields.
    pub fn read(&self) -> Vec<Vec<f32>> {
        let notes = self.0.lock().expect("no test panics while it takes notes");
        notes.iter().cloned().map(values).collect()
    }
}

impl<M: Module> Watched<M> {
    /// Watches `inner`; the notes are its parameters as of the last use.
    pub fn new(inner: M) -> (Self, Notes) {
        let notes = Notes::default();
        let watched = Self {
            inner,
            notes: notes.clone(),
        };
        (watched, notes)
    }

    fn take_notes(&self) {
        let found = floats(&self.inner).into_iter().map(|(_, value)| value);
        *self
            .notes
            .0
            .lock()
            .expect("no test panics while it takes notes") = found.collect();
    }
}

/// A use is [`dni::Chain::predict`].
impl<S: Section + ModuleDisplay> Section for Watched<S> {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.take_notes();
        self.inner.forward(input)
    }

    fn pass(&self, input: Input) -> Pass {
        self.inner.pass(input)
    }
}

/// A use is [`dni::Interface::predict`], which every step makes as well.
impl<M: Synthesizer + ModuleDisplay> Synthesizer for Watched<M> {
    fn forward(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        self.inner.forward(message, context)
    }

    fn features(&self) -> usize {
        self.inner.features()
    }

    fn contexts(&self) -> usize {
        self.inner.contexts()
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        self.take_notes();
        self.inner.pass(message, context)
    }
}

/// Answers with a fixed gradient, whatever it is shown.
#[derive(Module, Debug)]
pub struct Oracle {
    pub delta: Tensor<2>,
}

impl Synthesizer for Oracle {
    fn forward(&self, message: Tensor<2>, _: Option<Tensor<2>>) -> Tensor<2> {
        self.delta.clone() + message * 0.0
    }

    fn features(&self) -> usize {
        self.delta.dims()[1]
    }

    fn contexts(&self) -> usize {
        0
    }

    fn pass(&self, message: Tensor<2>, context: Option<Tensor<2>>) -> Pass {
        Pass::new(self.forward(message, context), |_, _| None)
    }
}

/// What a panic says.
pub fn said(action: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(action)).expect_err("it must be refused");
    message_of(&*panic)
}

/// All float tensors of a module, the running statistics of batch norm among them.
pub fn floats<M: Module>(module: &M) -> Vec<(ParamId, Tensor<1>)> {
    let mut floats = Floats {
        found: Vec::new(),
        only_trainable: false,
    };
    module.visit(&mut floats);
    floats.found
}

/// The parameters of a module that an optimizer may change.
pub fn parameters<M: Module>(module: &M) -> Vec<(ParamId, Tensor<1>)> {
    let mut floats = Floats {
        found: Vec::new(),
        only_trainable: true,
    };
    module.clone().train().visit(&mut floats);
    floats.found
}

struct Floats {
    found: Vec<(ParamId, Tensor<1>)>,
    only_trainable: bool,
}

impl ModuleVisitor for Floats {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if !self.only_trainable || value.is_require_grad() {
            let count = value.shape().num_elements();
            self.found.push((param.id, value.inner().reshape([count])));
        }
    }
}

/// A new empty folder, removed with everything in it when this is dropped.
pub struct TempDir(std::path::PathBuf);

impl TempDir {
    pub fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "dni-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("the target folder can be written");
        Self(path)
    }

    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
