//! The notebook's two programs, trained by the crate and by a NumPy twin (`golden/generate.py`,
//! which says where both differ from the notebook): the same initial weights and batches must give
//! the same losses at every step and the same parameters after the last.

mod common;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use common::{Checks, Notes, Watched, differences, floats, on_every_device, tensor, values};
use dni::{
    Activation, Batch, Chain, Credit, Dense, DenseConfig, Interface, LinearSynthesizerConfig, Loss,
    Optimizer, Reduction,
};
use serde::Deserialize;

const GOLDEN: &str = include_str!("golden/notebook.json");
const STEPS: usize = 20;
const BATCH: usize = 10;

#[derive(Deserialize)]
struct Golden {
    backprop: Program,
    dni: Program,
}

/// What one program has computed.
#[derive(Deserialize)]
struct Program {
    /// The notebook's "Loss" at every step.
    losses: Vec<f64>,
    /// The notebook's "Synthetic Loss" at every step.
    #[serde(default)]
    synthetic_losses: Vec<f64>,
    /// How the parameters of every section have changed after all steps.
    sections: Vec<Vec<Summary>>,
    /// The same of every synthesizer.
    #[serde(default)]
    synthesizers: Vec<Vec<Summary>>,
}

/// A tensor in short.
#[derive(Deserialize)]
struct Summary {
    sum: f64,
    norm: f64,
    /// `values` are those at `0, stride, 2 stride, ..`.
    stride: usize,
    values: Vec<f64>,
}

impl Summary {
    /// Compares norm, sum and every stored value, relative to the root mean square of all.
    fn check(&self, what: &str, actual: &[f32], checks: &mut Checks) {
        const TOLERANCE: f64 = 1e-3;
        // Every step rounds a parameter to its last place, which for those between 4 and 8 loses
        // up to 2.4e-7.
        const ROUNDING: f64 = 2e-6;
        let count = actual.len() as f64;
        let tolerance = TOLERANCE * self.norm / count.sqrt() + ROUNDING;
        let kept: Vec<f32> = actual.iter().step_by(self.stride).copied().collect();
        checks.each_close(what, &kept, &self.values, tolerance, 0.0);
        let norm = actual
            .iter()
            .map(|&v| f64::from(v).powi(2))
            .sum::<f64>()
            .sqrt();
        checks.that(
            format!("{what}: norm {norm} vs {}", self.norm),
            (norm - self.norm).abs() <= TOLERANCE * self.norm,
        );
        let sum: f64 = actual.iter().map(|&v| f64::from(v)).sum();
        checks.that(
            format!("{what}: sum {sum} vs {}", self.sum),
            (sum - self.sum).abs() <= tolerance * count.sqrt(),
        );
    }
}

/// The generator that both sides draw from: `x <- 1664525 x + 1013904223 mod 2^32`.
struct Lcg(u32);

impl Lcg {
    /// From 0 up to 1; a multiple of 2^-24.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0 >> 8) / f64::from(1 << 24)
    }

    /// Nearly normal: twelve uniform numbers less six have variance one.
    fn normal(&mut self, mean: f64, std: f64) -> f32 {
        let twelve: f64 = (0..12).map(|_| self.uniform()).sum();
        ((twelve - 6.0) * std + mean) as f32
    }

    /// A sigmoid section with normal weights, row after row, and biases, if any.
    fn dense(
        &mut self,
        sizes: [usize; 2],
        mean: f64,
        std: f64,
        bias: bool,
        device: &Device,
    ) -> Dense {
        let [inputs, outputs] = sizes;
        let mut dense = DenseConfig::new(inputs, outputs)
            .with_activation(Activation::Sigmoid)
            .with_bias(bias)
            .init(&mut common::seeded(0), device);
        let mut normals = |count| {
            (0..count)
                .map(|_| self.normal(mean, std))
                .collect::<Vec<_>>()
        };
        let weight = TensorData::new(normals(inputs * outputs), sizes);
        dense.weight = Param::from_data(weight, device);
        dense.bias = bias.then(|| {
            let bias = TensorData::new(normals(outputs), [outputs]);
            Param::from_data(bias, device)
        });
        dense
    }

    /// A batch of binary additions: two numbers side by side, and their sum; high bit first.
    fn sums(&mut self, bits: usize, device: &Device) -> Batch {
        let vector = |number: u32| (0..bits).rev().map(move |i| (number >> i & 1) as f32);
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for _ in 0..BATCH {
            let [left, right] =
                [(); 2].map(|()| (self.uniform() * f64::from(1 << (bits - 1))) as u32);
            x.extend(vector(left).chain(vector(right)));
            y.extend(vector(left + right));
        }
        Batch::new(
            tensor(x, [BATCH, 2 * bits], device),
            tensor(y, [BATCH, bits], device),
        )
    }
}

/// A section or synthesizer in training: what it was and what it is.
struct Trained {
    before: Vec<Vec<f32>>,
    notes: Notes,
}

impl Trained {
    fn new<M: Module>(module: M) -> (Watched<M>, Self) {
        let before = floats(&module).into_iter().map(|(_, value)| values(value));
        let before = before.collect();
        let (watched, notes) = Watched::new(module);
        (watched, Self { before, notes })
    }

    fn check(&self, what: &str, expected: &[Summary], checks: &mut Checks) {
        let changes = differences(&self.notes.read(), &self.before);
        checks.that(
            format!("{what}: {} tensors, not {}", changes.len(), expected.len()),
            changes.len() == expected.len(),
        );
        for (i, (change, expected)) in changes.iter().zip(expected).enumerate() {
            expected.check(&format!("{what}, tensor {i}"), change, checks);
        }
    }
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).expect("golden/notebook.json is what generate.py writes")
}

fn sum_of_magnitudes(tensor: Tensor<2>) -> f32 {
    values(tensor.abs().sum())[0]
}

fn chain() -> Chain {
    Chain::new(Loss::SquaredError).with_reduction(Reduction::Sum)
}

/// The notebook's first program: 24-128-64-12, sigmoid, no biases, by backprop.
#[test]
fn backprop_computes_what_the_notebook_does() {
    const BITS: usize = 12;
    let golden = golden().backprop;
    on_every_device(|device, checks| {
        let lcg = &mut Lcg(1);
        let sizes = [2 * BITS, 128, 64, BITS];
        let (mut chain, mut sections) = (chain(), Vec::new());
        for (i, pair) in sizes.windows(2).enumerate() {
            let dense = lcg.dense([pair[0], pair[1]], -0.1, 0.2, false, device);
            let (section, trained) = Trained::new(dense);
            chain = chain.section(format!("layer {}", i + 1), section, Optimizer::sgd(0.1));
            sections.push(trained);
        }
        let mut losses = Vec::new();
        for _ in 0..STEPS {
            let batch = lcg.sums(BITS, device);
            let y = common::numbers(&batch.target);
            let out = chain.step(batch, Credit::Backprop).output;
            let slope = out.clone() * (out.clone() * -1.0 + 1.0);
            losses.push(sum_of_magnitudes((out - y) * slope));
        }
        checks.each_close("Loss", &losses, &golden.losses, 0.0, 1e-5);
        chain.predict(lcg.sums(BITS, device).input);
        for (i, (section, expected)) in sections.iter().zip(&golden.sections).enumerate() {
            section.check(&format!("layer {}", i + 1), expected, checks);
        }
    });
}

/// The notebook's second program: 16-64-32-8, sigmoid, with biases, by synthetic gradients from
/// linear synthesizers without context.
#[test]
fn dni_computes_what_the_notebook_does() {
    const BITS: usize = 8;
    let golden = golden().dni;
    on_every_device(|device, checks| {
        let lcg = &mut Lcg(2);
        let sizes = [2 * BITS, 64, 32, BITS];
        let (mut chain, mut sections, mut synthesizers) = (chain(), Vec::new(), Vec::new());
        for (i, pair) in sizes.windows(2).enumerate() {
            let dense = lcg.dense([pair[0], pair[1]], -1.0, 2.0, true, device);
            let (section, trained) = Trained::new(dense);
            chain = chain.section(format!("layer {}", i + 1), section, Optimizer::sgd(0.01));
            sections.push(trained);
            if i < sizes.len() - 2 {
                let config = LinearSynthesizerConfig::new(pair[1]);
                let synthesizer = config.init(&mut common::seeded(0), device);
                let (synthesizer, trained) = Trained::new(synthesizer);
                chain = chain.interface(Interface::new(synthesizer, Optimizer::sgd(0.01)));
                synthesizers.push(trained);
            }
        }
        let (mut losses, mut synthetic_losses) = (Vec::new(), Vec::new());
        for _ in 0..STEPS {
            let batch = lcg.sums(BITS, device);
            let y = common::numbers(&batch.target);
            let mut step = chain.step(batch, Credit::Synthetic);
            losses.push(sum_of_magnitudes(step.output - y));
            let below_the_top = step
                .residuals
                .pop()
                .flatten()
                .expect("there are two interfaces");
            synthetic_losses.push(sum_of_magnitudes(below_the_top));
        }
        checks.each_close("Loss", &losses, &golden.losses, 0.0, 1e-5);
        checks.each_close(
            "Synthetic Loss",
            &synthetic_losses,
            &golden.synthetic_losses,
            0.0,
            1e-5,
        );

        chain.predict(lcg.sums(BITS, device).input);
        for (interface, features) in chain.interfaces().iter().zip(&sizes[1..]) {
            interface.predict(Tensor::zeros([1, *features], device), None);
        }
        for (i, (section, expected)) in sections.iter().zip(&golden.sections).enumerate() {
            section.check(&format!("layer {}", i + 1), expected, checks);
        }
        for (i, (synthesizer, expected)) in
            synthesizers.iter().zip(&golden.synthesizers).enumerate()
        {
            synthesizer.check(&format!("synthesizer {}", i + 1), expected, checks);
        }
    });
}
