//! Backends by name: what this build has, what works on this machine, and what to do when it does
//! not.

use std::fmt;
use std::sync::OnceLock;

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, DeviceKind};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A backend of burn that this build can run on.
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
    /// If there is no adapter for `wgpu`, with what to install.
    pub fn device(self) -> Result<Device> {
        match self {
            Self::Flex => Ok(Device::flex()),
            // The one place that names the deprecated backend.
            #[allow(deprecated)]
            Self::Ndarray => Ok(Device::ndarray()),
            Self::Wgpu => wgpu_device(),
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

/// All adapters that wgpu finds on this machine, GPUs first.
pub fn adapters() -> Vec<Adapter> {
    let adapters = adapter_infos().into_iter().map(|info| Adapter {
        is_gpu: is_gpu(&info),
        name: info.name,
        api: info.backend.to_string(),
    });
    adapters.collect()
}

/// What wgpu says of the adapters, GPUs first.
fn adapter_infos() -> Vec<wgpu::AdapterInfo> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let found = instance.enumerate_adapters(wgpu::Backends::PRIMARY);
    let found = futures_lite::future::block_on(found);
    let mut infos: Vec<_> = found.iter().map(|adapter| adapter.get_info()).collect();
    infos.sort_by_key(|info| !is_gpu(info));
    infos
}

fn is_gpu(info: &wgpu::AdapterInfo) -> bool {
    info.device_type != wgpu::DeviceType::Cpu
}

/// The device of the adapter of this number in [`adapters`].
///
/// # Errors
///
/// If there is none, or it cannot be used.
pub(crate) fn adapter_device(index: usize) -> Result<Device> {
    use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu, VirtualGpu};
    let failed = |reason: String| Error::Backend {
        name: "wgpu",
        reason,
        cure: "choose another; `dni backends` lists them, counted from 0".to_string(),
    };
    let infos = adapter_infos();
    let Some(info) = infos.get(index) else {
        let reason = format!("there is no adapter {index}, but {} in all", infos.len());
        return Err(failed(reason));
    };
    // burn counts the adapters of each kind on their own.
    let before = infos[..index].iter();
    let of_kind = before.filter(|i| i.device_type == info.device_type);
    let kind = match (info.device_type, of_kind.count()) {
        (DiscreteGpu, before) => DeviceKind::DiscreteGpu(before),
        (IntegratedGpu, before) => DeviceKind::IntegratedGpu(before),
        (VirtualGpu, before) => DeviceKind::VirtualGpu(before),
        (Cpu, 0) => DeviceKind::Cpu,
        _ => {
            let reason = format!("burn cannot choose the adapter {index}, '{}'", info.name);
            return Err(failed(reason));
        }
    };
    let device = Device::wgpu_options().device_kind(kind).init();
    device.map_err(|error| failed(error.to_string()))
}

/// The device of the adapter that wgpu prefers, set up once for the process.
fn wgpu_device() -> Result<Device> {
    static DEVICE: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let ready = DEVICE.get_or_init(|| {
        if adapters().is_empty() {
            return Err("no graphics adapter found".to_string());
        }
        Device::wgpu_options()
            .init()
            .map(|_| ())
            .map_err(|error| error.to_string())
    });
    match ready {
        Ok(()) => Ok(Device::wgpu(DeviceKind::DefaultDevice)),
        Err(reason) => Err(Error::Backend {
            name: "wgpu",
            reason: reason.clone(),
            cure: "install the GPU's Vulkan driver, or a software one \
                   (Debian and Ubuntu: apt install mesa-vulkan-drivers), \
                   or use --backend flex"
                .to_string(),
        }),
    }
}

/// Whether tensors of this device lie in the host's memory as flex keeps them.
pub(crate) fn is_flex(device: &Device) -> bool {
    *device == Device::flex()
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
