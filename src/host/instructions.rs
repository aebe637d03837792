//! Which vector instructions the loops run in: the best that the processor has, found out when the
//! program runs.

use std::fmt;
use std::sync::OnceLock;

use pulp::{Arch, WithSimd};
use serde::{Deserialize, Serialize};

/// Vector instructions of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instructions {
    /// None: one number at a time.
    Scalar,
    /// Four at a time, on 64-bit ARM.
    Neon,
    /// Eight at a time with fused multiply-add, on x86 since about 2013.
    Avx2,
    /// Sixteen at a time, on some x86 processors.
    Avx512,
}

impl Instructions {
    /// All that the loops are compiled for, the best last.
    const ALL: [Self; 4] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512];

    /// The best that this processor has.
    pub fn best() -> Self {
        static BEST: OnceLock<Instructions> = OnceLock::new();
        *BEST.get_or_init(|| {
            let found = Self::ALL.into_iter().rfind(|i| i.arch().is_some());
            found.unwrap_or(Self::Scalar)
        })
    }

    /// Their name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// What runs them, if this processor can.
    fn arch(self) -> Option<Arch> {
        match self {
            Self::Scalar => Some(Arch::Scalar),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().map(Arch::V4),
            _ => None,
        }
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Runs a loop in the best vector instructions.
#[inline]
pub fn vectorized<Op: WithSimd>(op: Op) -> Op::Output {
    #[cfg(test)]
    if let Some(instructions) = tests::CHOSEN.get() {
        let arch = instructions.arch().expect("only available ones are chosen");
        return arch.dispatch(op);
    }
    static BEST: OnceLock<Arch> = OnceLock::new();
    let best = BEST.get_or_init(|| Instructions::best().arch().unwrap_or(Arch::Scalar));
    best.dispatch(op)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub(super) static CHOSEN: Cell<Option<Instructions>> = const { Cell::new(None) };
    }

    /// Runs a test of loops once in all instructions that this processor has, on two kernel
    /// threads.
    pub fn in_all_instructions(test: impl Fn(Instructions) + Sync) {
        let available = Instructions::ALL.into_iter();
        for instructions in available.filter(|i| i.arch().is_some()) {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(2)
                .start_handler(move |_| CHOSEN.set(Some(instructions)))
                .build()
                .expect("two threads are to be had");
            pool.install(|| test(instructions));
        }
    }

    /// Holds values that a loop makes in each of the instructions against those of the scalar one.
    pub fn agree_in_all_instructions(make: impl Fn() -> Vec<f32> + Sync) {
        let scalar = std::sync::OnceLock::new();
        in_all_instructions(|instructions| {
            let made = make();
            let expected: &Vec<f32> = scalar.get_or_init(|| made.clone());
            assert_eq!(made.len(), expected.len());
            for (i, (made, expected)) in made.iter().zip(expected).enumerate() {
                let near = (made - expected).abs() <= 1e-5 * (1.0 + expected.abs());
                assert!(near, "{instructions}: value {i} is {made}, not {expected}");
            }
        });
    }

    /// So many values from -2 to 2, in no order.
    pub fn values(count: usize) -> Vec<f32> {
        let value = |i: usize| ((i * 7919 + 13) % 401) as f32 / 100.0 - 2.0;
        (0..count).map(value).collect()
    }

    #[test]
    fn no_processor_with_vector_instructions_runs_scalar_loops() {
        let best = Instructions::best();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                assert_eq!(best, Instructions::Avx512);
            } else if has!("avx2") && has!("fma") {
                assert_eq!(best, Instructions::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        assert_eq!(best, Instructions::Neon);
        // What `vectorized` takes is what is told of it.
        let lanes = match best {
            Instructions::Scalar => 1,
            Instructions::Neon => 4,
            Instructions::Avx2 => 8,
            Instructions::Avx512 => 16,
        };
        assert_eq!(vectorized(Lanes), lanes);
    }

    #[test]
    fn tests_run_in_the_instructions_that_they_ask_for() {
        let seen = std::sync::Mutex::new(Vec::new());
        in_all_instructions(|instructions| {
            seen.lock().unwrap().push((instructions, vectorized(Lanes)));
        });
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen.first(), Some(&(Instructions::Scalar, 1)));
        assert_eq!(seen.last().map(|s| s.0), Some(Instructions::best()));
        assert!(seen.is_sorted_by_key(|s| s.1));
    }

    /// Floats of a vector.
    struct Lanes;

    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
}
