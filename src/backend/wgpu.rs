//! Graphics adapters, through wgpu.

use std::sync::OnceLock;

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, DeviceKind};

use super::Adapter;
use crate::error::{Error, Result};

pub(super) fn adapters() -> Vec<Adapter> {
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

/// The device of the adapter of this number in [`adapters`](super::adapters).
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
pub(super) fn device() -> Result<Device> {
    static DEVICE: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let ready = DEVICE.get_or_init(|| {
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
