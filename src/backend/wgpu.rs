//! Graphics adapters, through wgpu.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, DeviceKind};
use futures_lite::future::block_on;

use super::Adapter;
use crate::error::{Error, Result};

pub(super) fn adapters() -> Vec<Adapter> {
    let _alone = alone();
    let adapters = adapter_infos().into_iter().map(|info| Adapter {
        is_gpu: is_gpu(&info),
        name: info.name,
        api: info.backend.to_string(),
    });
    adapters.collect()
}

/// One thread at a time: drivers crash when several start or stop using them at once.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What wgpu says of the adapters, GPUs first.
fn adapter_infos() -> Vec<wgpu::AdapterInfo> {
    let (_instance, adapters) = found();
    adapters.iter().map(wgpu::Adapter::get_info).collect()
}

/// The adapters of this machine, GPUs first.
fn found() -> (wgpu::Instance, Vec<wgpu::Adapter>) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let mut adapters = block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(|adapter| !is_gpu(&adapter.get_info()));
    (instance, adapters)
}

fn is_gpu(info: &wgpu::AdapterInfo) -> bool {
    info.device_type != wgpu::DeviceType::Cpu
}

/// The adapter of this number in [`adapters`](super::adapters), opened anew: a device with a queue,
/// kernels and memory of its own.
///
/// # Errors
///
/// If there is none, or it cannot be used.
pub(crate) fn adapter_device(index: usize) -> Result<Device> {
    let failed = |reason: String| Error::Backend {
        name: "wgpu",
        reason,
        cure: "choose another; `dni backends` lists them, counted from 0".to_string(),
    };
    let _alone = alone();
    let (instance, mut adapters) = found();
    if index >= adapters.len() {
        let reason = format!("there is no adapter {index}, but {} in all", adapters.len());
        return Err(failed(reason));
    }
    let adapter = adapters.swap_remove(index);
    let opened = block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        // burn's kernels take for granted whatever the adapter has.
        required_features: adapter.features() - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        // SAFETY: burn opens adapters with the same features; CubeCL compiles its kernels and ours.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        ..Default::default()
    }));
    let (device, queue) = opened.map_err(|error| failed(error.to_string()))?;
    let setup = WgpuSetup {
        backend: adapter.get_info().backend,
        instance,
        adapter,
        device,
        queue,
    };
    let device = Device::wgpu_options().setup(setup).init();
    device.map_err(|error| failed(error.to_string()))
}

/// The device of the adapter that wgpu prefers, set up once for the process.
pub(super) fn device() -> Result<Device> {
    static DEVICE: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let ready = DEVICE.get_or_init(|| {
        let _alone = alone();
        if adapter_infos().is_empty() {
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
