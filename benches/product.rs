//! The three products of a dense layer, `x W`, `x^T dz` and `dz W^T`, over the sizes of the
//! experiments: ours, the `gemm` crate's as they are called without us, and NumPy's, taking turns.
//!
//! `cargo bench --profile dev --bench product` prints GFLOP/s (median of the repetitions), their
//! share of what one core can do, measured by a loop of fused multiply-adds in the same run, and
//! the time of ours in that of the others. One thread each. NumPy is skipped, with a message, where
//! python3 cannot import it.

mod common;

use std::hint::black_box;
use std::time::Instant;

use dni::backend::{self, Instructions};
use dni::kernels::{Matrix, product, vectorized};
use pulp::{Simd, WithSimd};

use common::{Peer, median};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 15;

/// Batch, inputs and outputs of layers: of the images' network, of LSTMs, of the notebook.
const SIZES: [[usize; 3]; 6] = [
    [256, 784, 256],
    [256, 512, 512],
    [64, 256, 1024],
    [64, 512, 2048],
    [10, 64, 32],
    [256, 64, 32],
];

/// One product.
struct Case {
    name: String,
    a: Vec<f32>,
    b: Vec<f32>,
    /// Rows and columns of the result, and the terms of each sum.
    sizes: [usize; 3],
    a_is_transposed: bool,
    b_is_transposed: bool,
    /// Microseconds: ours, gemm's, NumPy's.
    times: [Vec<f64>; 3],
}

fn main() {
    let threads = std::env::var("DNI_BENCH_THREADS").map_or(1, |t| t.parse().expect("a number"));
    backend::set_kernel_threads(threads).expect("so many kernel threads are to be had");
    let mut cases: Vec<Case> = SIZES.into_iter().flat_map(Case::of_layer).collect();
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    let mut peer = Peer::start_with("numpy", "product.py", &names);
    let names: Vec<String> = names.into_iter().map(String::from).collect();
    let mut peaks = Vec::new();
    for _ in 0..REPETITIONS {
        peaks.push(peak());
        for case in &mut cases {
            let ours = case.time(Case::by_us);
            let gemms = case.time(Case::by_gemm);
            case.times[0].push(ours);
            case.times[1].push(gemms);
        }
        if let Some(peer) = &mut peer {
            let times = peer.times_of(&names);
            for (case, time) in cases.iter_mut().zip(times) {
                case.times[2].push(time);
            }
        }
    }
    let peak = median(&peaks);
    println!(
        "{}: one core can do {peak:.0} GFLOP/s",
        Instructions::best()
    );
    for case in &cases {
        case.print(peak);
    }
}

impl Case {
    /// The way up and both ways down.
    fn of_layer([batch, inputs, outputs]: [usize; 3]) -> [Self; 3] {
        let sizes = format!("{batch}x{inputs}x{outputs}");
        let (x, w, dz) = (
            values(batch * inputs),
            values(inputs * outputs),
            values(batch * outputs),
        );
        let case = |kind: &str, a: &[f32], b: &[f32], sizes_of, transposed: [bool; 2]| Self {
            name: format!("{kind}:{sizes}"),
            a: a.to_vec(),
            b: b.to_vec(),
            sizes: sizes_of,
            a_is_transposed: transposed[0],
            b_is_transposed: transposed[1],
            times: Default::default(),
        };
        [
            case("xW", &x, &w, [batch, outputs, inputs], [false, false]),
            case("xT dz", &x, &dz, [inputs, outputs, batch], [true, false]),
            case("dz WT", &dz, &w, [batch, inputs, outputs], [false, true]),
        ]
    }

    fn by_us(&self) -> Vec<f32> {
        let [rows, columns, depth] = self.sizes;
        let factor = |values, [rows, columns]: [usize; 2], is_transposed| match is_transposed {
            true => Matrix::new(values, rows).transposed(),
            false => Matrix::new(values, columns),
        };
        product(
            factor(&self.a, [rows, depth], self.a_is_transposed),
            factor(&self.b, [depth, columns], self.b_is_transposed),
        )
    }

    fn by_gemm(&self) -> Vec<f32> {
        let [rows, columns, depth] = self.sizes;
        let mut out = vec![0.0; rows * columns];
        let strides = |[rows, columns]: [usize; 2], is_transposed| match is_transposed {
            true => [rows as isize, 1],
            false => [1, columns as isize],
        };
        let [a_column, a_row] = strides([rows, depth], self.a_is_transposed);
        let [b_column, b_row] = strides([depth, columns], self.b_is_transposed);
        // SAFETY: the slices are as long as the sizes say.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                depth,
                out.as_mut_ptr(),
                1,
                columns as isize,
                false,
                self.a.as_ptr(),
                a_column,
                a_row,
                self.b.as_ptr(),
                b_column,
                b_row,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
        out
    }

    /// Microseconds of a product.
    fn time(&self, by: fn(&Self) -> Vec<f32>) -> f64 {
        let repetitions = (2e8 / self.terms()).max(1.0) as usize;
        let start = Instant::now();
        for _ in 0..repetitions {
            black_box(by(black_box(self)));
        }
        start.elapsed().as_secs_f64() / repetitions as f64 * 1e6
    }

    fn terms(&self) -> f64 {
        self.sizes.iter().product::<usize>() as f64
    }

    fn print(&self, peak: f64) {
        let [ours, gemms, numpys] = &self.times;
        let rate = |times: &[f64]| 2.0 * self.terms() / median(times) * 1e-3;
        let mut line = format!(
            "{:16} {:6.1} GFLOP/s  share {:.2}  gemm {:6.1}  ratio {:.2}",
            self.name,
            rate(ours),
            rate(ours) / peak,
            rate(gemms),
            median(ours) / median(gemms),
        );
        if !numpys.is_empty() {
            let ratio = median(ours) / median(numpys);
            line += &format!("  numpy {:6.1}  ratio {ratio:.2}", rate(numpys));
        }
        println!("{line}");
    }
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i % 13) as f32 * 0.1 - 0.6).collect()
}

/// GFLOP/s of a core that only multiplies and adds.
fn peak() -> f64 {
    const STEPS: usize = 200_000;
    let start = Instant::now();
    let lanes = black_box(vectorized(MultiplyAdd(STEPS)));
    (2 * SUMS * lanes * STEPS) as f64 / start.elapsed().as_secs_f64() * 1e-9
}

/// So many sums at a time that each multiply-add finds its operands ready.
const SUMS: usize = 12;

/// A loop of fused multiply-adds; returns how many numbers each works on.
struct MultiplyAdd(usize);

impl WithSimd for MultiplyAdd {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let mut sums = [simd.splat_f32s(0.0); SUMS];
        let [a, b] = [1.0, 1e-9].map(|value| black_box(simd.splat_f32s(value)));
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(a, b, *sum);
            }
        }
        black_box(sums);
        S::F32_LANES
    }
}
