//! One forward and backward pass through a layer, by closed form and by autodiff, on the CPU
//! backends: `cargo bench --profile dev --bench step`.

use std::fmt;

use burn::tensor::Tensor;
use dni::data::{Stream, generator};
use dni::{Backend, Dense, DenseConfig, Input, Pass, Section, backend};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Clone, Copy)]
struct Case {
    backend: Backend,
    batch: usize,
    inputs: usize,
    outputs: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            backend,
            batch,
            inputs,
            outputs,
        } = self;
        write!(f, "{backend} {batch}x{inputs}x{outputs}")
    }
}

/// The notebook's layer, and two of an MNIST network.
fn cases() -> Vec<Case> {
    let sizes = [(10, 64, 32), (256, 256, 256), (256, 784, 256)];
    let of = |backend| {
        sizes.map(|(batch, inputs, outputs)| Case {
            backend,
            batch,
            inputs,
            outputs,
        })
    };
    [Backend::Flex, Backend::Ndarray].map(of).concat()
}

fn main() {
    divan::main();
}

fn layer(case: Case) -> (Dense, Tensor<2>, Tensor<2>) {
    backend::set_kernel_threads(1).expect("one kernel thread is always to be had");
    let device = case.backend.device().expect("CPU backends always work");
    let rng = &mut generator(1, Stream::Parameters);
    let dense = DenseConfig::new(case.inputs, case.outputs).init(rng, &device);
    let input = Tensor::ones([case.batch, case.inputs], &device);
    let delta = Tensor::ones([case.batch, case.outputs], &device);
    (dense, input, delta)
}

#[divan::bench(args = cases())]
fn closed_form(bencher: divan::Bencher, case: Case) {
    let (dense, input, delta) = layer(case);
    bencher.bench_local(|| {
        let pass = dense.pass(Input::Message(input.clone()));
        pass.back(delta.clone())
    });
}

#[divan::bench(args = cases())]
fn on_tape(bencher: divan::Bencher, case: Case) {
    let (dense, input, delta) = layer(case);
    bencher.bench_local(|| {
        let pass = Pass::on_tape(&dense, Input::Message(input.clone()), Dense::forward);
        pass.back(delta.clone())
    });
}
