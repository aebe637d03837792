//! Backends by name: what this build has, what works on this machine, and what to do when it does
//! not.

mod reading;
#[cfg_attr(not(feature = "wgpu"), path = "left_out.rs")]
mod wgpu;

use std::fmt;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use crate::host::Instructions;
pub use reading::{failure, read, wait};
pub(crate) use wgpu::adapter_device;

/// A backend of burn. `ndarray` and `wgpu` are there in a build with the features of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// burn's maintained CPU backend, in Rust.
    Flex,
    /// The older CPU backend, which burn has deprecated.
    Ndarray,
    /// GPUs through Vulkan, Metal, DirectX 12 or WebGPU.
    Wgpu,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Flex, Self::Ndarray, Self::Wgpu];

    /// Its name, as the program's flags have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
        }
    }

    /// `wgpu` if this machine has a GPU, else `flex`. A software driver is not a GPU.
    pub fn auto() -> Self {
        if adapters().iter().any(|adapter| adapter.is_gpu) {
            Self::Wgpu
        } else {
            Self::Flex
        }
    }

    /// Its device, ready for use.
    ///
    /// # Errors
    ///
    /// If this build is without it, or there is no adapter for `wgpu`, with what to do.
    pub fn device(self) -> Result<Device> {
        match self {
            Self::Flex => Ok(Device::flex()),
            // The one place that names the deprecated backend.
            #[cfg(feature = "ndarray")]
            #[allow(deprecated)]
            Self::Ndarray => Ok(Device::ndarray()),
            #[cfg(not(feature = "ndarray"))]
            Self::Ndarray => Err(self.is_left_out()),
            Self::Wgpu => wgpu::device(),
        }
    }

    /// The error of a build without its feature.
    #[cfg(not(all(feature = "ndarray", feature = "wgpu")))]
    fn is_left_out(self) -> Error {
        Error::Backend {
            name: self.name(),
            reason: "this build of the program is without it".to_string(),
            cure: format!("build it with: cargo build --features {self}"),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A graphics adapter that wgpu found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Adapter {
    /// As the driver gives it.
    pub name: String,
    /// The graphics API, such as Vulkan.
    pub api: String,
    /// Whether it is a GPU and not a driver that computes on the CPU.
    pub is_gpu: bool,
}

/// All adapters that wgpu finds on this machine, GPUs first; none in a build without the feature
/// `wgpu`.
pub fn adapters() -> Vec<Adapter> {
    wgpu::adapters()
}

/// How many threads this machine runs at once.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Sets how many threads the CPU backends may use for one operation started by a thread that has no
/// [own number](set_kernel_threads). Call it once, before the first tensor.
///
/// # Errors
///
/// If `threads` is zero, it was called before, or the operating system gives no more threads.
pub fn set_shared_kernel_threads(threads: usize) -> Result<()> {
    let pool = kernel_pool(threads)?.build_global();
    pool.map_err(|error| Error::Invalid(format!("cannot start kernel threads: {error}")))
}

/// Sets how many threads the CPU backends may use for one operation started by this thread.
///
/// One is best for small networks, and for sections that train at the same time. Call it before
/// the thread's first tensor. A thread that already runs in a pool keeps it. `ndarray` takes the
/// number for its matrix products from the environment variable `MATMUL_NUM_THREADS` instead,
/// read when the process makes its first one.
///
/// # Errors
///
/// If `threads` is zero or the operating system gives no more threads.
pub fn set_kernel_threads(threads: usize) -> Result<()> {
    let pool = kernel_pool(threads)?;
    if rayon::current_thread_index().is_some() {
        return Ok(());
    }
    // The calling thread is one of the pool, so that with a single one nothing is handed over.
    let pool = pool
        .use_current_thread()
        .build()
        .map_err(|error| Error::Invalid(format!("cannot start kernel threads: {error}")))?;
    // It must live as long as the calling thread, which may be as long as the process.
    std::mem::forget(pool);
    Ok(())
}

/// A pool of so many kernel threads, to be built.
fn kernel_pool(threads: usize) -> Result<rayon::ThreadPoolBuilder> {
    if threads == 0 {
        return Err(Error::Invalid(
            "the number of kernel threads must be at least 1".to_string(),
        ));
    }
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_preferred_where_there_is_one() {
        let adapters = adapters();
        assert!(adapters.is_sorted_by_key(|adapter| !adapter.is_gpu));
        let has_gpu = adapters.iter().any(|adapter| adapter.is_gpu);
        assert_eq!(Backend::auto() == Backend::Wgpu, has_gpu);
    }

    #[test]
    fn nothing_runs_on_no_thread() {
        assert!(processors() > 0);
        assert!(set_kernel_threads(0).is_err() && set_shared_kernel_threads(0).is_err());
    }
}
