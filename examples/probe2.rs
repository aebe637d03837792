#[global_allocator]
static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
use burn::tensor::{Device, Distribution, Tensor};
use dni::*;
use rand::{SeedableRng, rngs::ChaCha8Rng};
use std::time::Instant;
fn t(name: &str, mut f: impl FnMut()) {
    for _ in 0..2000 {
        f();
    }
    let mut best = f64::MAX;
    let mut all = vec![];
    for _ in 0..9 {
        let s = Instant::now();
        for _ in 0..2000 {
            f();
        }
        let x = s.elapsed().as_secs_f64() / 2000.0 * 1e6;
        best = best.min(x);
        all.push(x);
    }
    all.sort_by(f64::total_cmp);
    println!("{name:40} min {best:.2} median {:.2} us", all[4]);
}
#[allow(deprecated)]
fn main() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .unwrap();
    std::mem::forget(pool);
    for (n, dev) in [("flex", Device::flex())] {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let init = Init::Normal {
            mean: -1.0,
            std: 2.0,
        };
        let sig = |i, o| {
            DenseConfig::new(i, o)
                .with_activation(Activation::Sigmoid)
                .with_init(init)
        };
        let mut chain = Chain::new(Loss::SquaredError)
            .with_reduction(Reduction::Sum)
            .section("1", sig(16, 64).init(rng, &dev), Optimizer::sgd(0.01))
            .interface(Interface::new(
                LinearSynthesizerConfig::new(64).init(rng, &dev),
                Optimizer::sgd(0.01),
            ))
            .section("2", sig(64, 32).init(rng, &dev), Optimizer::sgd(0.01))
            .interface(Interface::new(
                LinearSynthesizerConfig::new(32).init(rng, &dev),
                Optimizer::sgd(0.01),
            ))
            .section("3", sig(32, 8).init(rng, &dev), Optimizer::sgd(0.01));
        let input = Tensor::<2>::random([10, 16], Distribution::Bernoulli(0.5), &dev);
        let target = Tensor::<2>::random([10, 8], Distribution::Bernoulli(0.5), &dev);
        let batch = Batch {
            input,
            target,
            context: None,
        };
        t(&format!("{n} dni step"), || {
            let s = chain.step(batch.clone(), Credit::Synthetic);
            std::hint::black_box(
                (s.output - batch.target.clone())
                    .abs()
                    .sum()
                    .into_scalar::<f32>(),
            );
            std::hint::black_box(s.residuals[1].clone().abs().sum().into_scalar::<f32>());
        });
        let init = Init::Normal {
            mean: -0.1,
            std: 0.2,
        };
        let sig = |i, o| {
            DenseConfig::new(i, o)
                .with_activation(Activation::Sigmoid)
                .with_init(init)
                .with_bias(false)
        };
        let mut chain = Chain::new(Loss::SquaredError)
            .with_reduction(Reduction::Sum)
            .section("1", sig(24, 128).init(rng, &dev), Optimizer::sgd(0.1))
            .section("2", sig(128, 64).init(rng, &dev), Optimizer::sgd(0.1))
            .section("3", sig(64, 12).init(rng, &dev), Optimizer::sgd(0.1));
        let input = Tensor::<2>::random([10, 24], Distribution::Bernoulli(0.5), &dev);
        let target = Tensor::<2>::random([10, 12], Distribution::Bernoulli(0.5), &dev);
        let batch = Batch {
            input,
            target,
            context: None,
        };
        t(&format!("{n} bp step"), || {
            let s = chain.step(batch.clone(), Credit::Backprop);
            let h = s.output;
            let d = (h.clone() - batch.target.clone()) * (h.clone() - h.clone() * h);
            std::hint::black_box(d.abs().sum().into_scalar::<f32>());
        });
    }
}
