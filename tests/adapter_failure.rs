//! A graphics adapter that fails in the middle of a run: the error says so, and the last checkpoint is
//! as it was.

mod common;

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, Tensor};
use dni::data::{Stream, generator};
use dni::run::RunFolder;
use dni::train::{Plan, Progress, Task, train};
use dni::{Batch, Chain, Credit, DenseConfig, Error, Loss, Optimizer};

/// Bytes of the largest buffer of [`own_adapter`].
const MOST_BYTES: u64 = 1 << 26;
const INPUTS: usize = 8;

/// An adapter for this test alone, which it may break; none if this machine has none.
fn own_adapter() -> Option<WgpuSetup> {
    /// Drivers crash where several threads begin to use them at once.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    common::devices().iter().find(|(name, _)| *name == "wgpu")?;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let mut adapters =
        futures_lite::future::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(|adapter| adapter.get_info().device_type == wgpu::DeviceType::Cpu);
    let adapter = adapters.into_iter().next()?;
    let mut limits = adapter.limits();
    limits.max_buffer_size = MOST_BYTES;
    limits.max_storage_buffer_binding_size = MOST_BYTES;
    let descriptor = wgpu::DeviceDescriptor {
        required_limits: limits,
        // burn's kernels take all that the adapter has for granted.
        required_features: adapter.features() - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
        // SAFETY: as burn itself does it; the kernels are the same.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
        ..Default::default()
    };
    let (device, queue) = futures_lite::future::block_on(adapter.request_device(&descriptor))
        .expect("the adapter can do with less");
    Some(WgpuSetup {
        backend: adapter.get_info().backend,
        instance,
        adapter,
        device,
        queue,
    })
}

/// Breaks the device before a step.
struct Breaking<F> {
    device: Device,
    at: usize,
    break_it: F,
}

impl<F: Fn(&Device) -> Option<Batch>> Task<Chain> for Breaking<F> {
    fn batch(&mut self, step: usize) -> Batch {
        let broken = (step == self.at).then(|| (self.break_it)(&self.device));
        broken.flatten().unwrap_or_else(|| batch(4, &self.device))
    }
}

fn batch(examples: usize, device: &Device) -> Batch {
    let input = Tensor::<2>::ones([examples, INPUTS], device);
    Batch::new(input, Tensor::<2>::zeros([examples, 1], device))
}

fn chain(device: &Device) -> Chain {
    let rng = &mut generator(1, Stream::Parameters);
    let dense = |inputs, outputs, rng: &mut _| DenseConfig::new(inputs, outputs).init(rng, device);
    Chain::new(Loss::SquaredError)
        .section("hidden", dense(INPUTS, 16, rng), Optimizer::adam(1e-3))
        .section("output", dense(16, 1, rng), Optimizer::adam(1e-3))
}

/// Trains on an adapter that something breaks before the sixth step; what the error says.
fn failure(setup: WgpuSetup, break_it: impl Fn(&Device) -> Option<Batch>) -> String {
    let options = Device::wgpu_options().setup(setup);
    let device = options.init().expect("burn takes the adapter");
    let place = common::TempDir::new();
    let settings: toml::Table = "experiment = \"test\"\n".parse().expect("it is TOML");
    let mut chain_there = chain(&device);
    let mut folder = RunFolder::create(place.path(), &settings, &chain_there).expect("it is new");
    let mut plan = Plan::new(20, Credit::Backprop);
    plan.record_every = 2;
    plan.save_every = Duration::ZERO;
    let mut task = Breaking {
        device,
        at: 5,
        break_it,
    };
    let (start, never) = (Progress::default(), AtomicBool::new(false));
    let outcome = train(
        &mut chain_there,
        &mut task,
        &plan,
        start,
        &mut folder,
        &mut [],
        &never,
    );
    let error = outcome.expect_err("the adapter fails");
    assert!(matches!(error, Error::Device { .. }), "{error:?}");
    drop(folder);
    // What was saved goes on elsewhere.
    let mut chain = chain(&Device::flex());
    let opened = RunFolder::open(place.path(), &settings, &chain).expect("the folder is whole");
    let (_, checkpoint) = opened.unwrap_or_else(|| panic!("no checkpoint, but: {error}"));
    let progress = checkpoint.restore(&mut chain).expect("it is whole");
    assert_eq!(progress.step, 4);
    error.to_string()
}

#[test]
fn an_adapter_that_is_lost_leaves_the_last_checkpoint() {
    let Some(setup) = own_adapter() else { return };
    let adapter = setup.device.clone();
    let said = failure(setup, |_| {
        adapter.destroy();
        // As with a driver that resets, wgpu is told before it is given more work.
        adapter
            .poll(wgpu::PollType::Poll)
            .expect("nothing is waited for");
        None
    });
    assert!(said.contains("it was lost (Destroyed)"), "{said}");
}

#[test]
fn what_does_not_fit_into_an_adapter_leaves_the_last_checkpoint() {
    let Some(setup) = own_adapter() else { return };
    let too_many = MOST_BYTES as usize / (size_of::<f32>() * INPUTS) + 1;
    let said = failure(setup, |device| Some(batch(too_many, device)));
    assert!(said.contains("allocate"), "{said}");
    assert!(said.contains("smaller"), "{said}");
}
