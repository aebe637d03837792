//! What training steps make a graphics adapter do.
//!
//! Kernels are counted where CubeCL hands them out. Everything else is counted where wgpu is asked for
//! it, by the trace that it leaves in the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;
use burn_cubecl::cubecl::logging::{LaunchObservation, LaunchObserver};
use log::{LevelFilter, Log, Metadata, Record};

use super::Counts;
use super::networks::Stepping;

/// Counts what a training step does.
///
/// # Errors
///
/// If it cannot be trained or the device fails.
pub fn count(network: &mut dyn Stepping, device: &Device) -> dni::Result<Counts> {
    /// Steps of a record.
    const STEPS: usize = 4;
    start_listening()?;
    // The first steps make states, compile kernels and fill the caches.
    network.train(STEPS, STEPS)?;
    let mut counted = |steps| {
        let kernels = Arc::new(Kernels::default());
        let before = TRACE.read();
        let watching = LaunchObservation::new(kernels.clone());
        network.train(steps, STEPS)?;
        drop(watching);
        dni::backend::wait(device)?;
        let after = TRACE.read();
        let trace: [u64; 4] = std::array::from_fn(|i| after[i] - before[i]);
        dni::Result::Ok((kernels.take(), trace))
    };
    // What happens once a run is in both.
    let (one, two) = (counted(STEPS)?, counted(2 * STEPS)?);
    let of_record = |i: usize| two.1[i] as f64 - one.1[i] as f64;
    let of_step = |i| of_record(i) / STEPS as f64;
    let kernels: BTreeMap<String, f64> = two
        .0
        .into_iter()
        .map(|(name, count)| {
            let of_one = one.0.get(&name).copied().unwrap_or(0);
            (name, (count as f64 - of_one as f64) / STEPS as f64)
        })
        .collect();
    Ok(Counts {
        launches: kernels.values().sum(),
        submissions: of_step(0),
        buffers: of_step(1),
        uploads: of_step(2),
        read_backs_a_record: of_record(3),
        kernels,
    })
}

/// Launches by kernel.
#[derive(Default)]
struct Kernels(Mutex<BTreeMap<&'static str, u64>>);

impl Kernels {
    fn take(&self) -> BTreeMap<String, u64> {
        let launches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = BTreeMap::new();
        for (name, count) in launches.iter() {
            *counts.entry(short(name)).or_default() += count;
        }
        counts
    }
}

impl LaunchObserver for Kernels {
    fn launched(&self, kernel: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kernel).or_default() += 1;
    }
}

/// The name of a type without the modules that it and its parameters are in.
fn short(name: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for c in name.chars() {
        match c {
            ':' => word.clear(),
            c if c.is_alphanumeric() || c == '_' => word.push(c),
            c => {
                short.push_str(&std::mem::take(&mut word));
                short.push(c);
            }
        }
    }
    short + &word
}

/// What wgpu was asked for: submissions, buffers, writes and maps.
struct Trace([AtomicU64; 4]);

static TRACE: Trace = Trace([const { AtomicU64::new(0) }; 4]);

/// What wgpu's trace says when it is asked for each of them.
const SAYINGS: [&str; 4] = [
    "Queue::submit",
    "Device::create_buffer",
    "Queue::write_buffer",
    "Buffer::map_async",
];

impl Trace {
    fn read(&self) -> [u64; 4] {
        std::array::from_fn(|i| self.0[i].load(Ordering::SeqCst))
    }
}

impl Log for Trace {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("wgpu_core")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let said = record.args().to_string();
        // It also says what comes of a submission.
        let is = |saying: &str| said.starts_with(saying) && !said.contains("returned");
        if let Some(i) = SAYINGS.iter().position(|saying| is(saying)) {
            self.0[i].fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flush(&self) {}
}

/// Listens to wgpu's trace from now on.
fn start_listening() -> dni::Result<()> {
    static LISTENING: AtomicBool = AtomicBool::new(false);
    if LISTENING.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    log::set_max_level(LevelFilter::Trace);
    let set = log::set_logger(&TRACE);
    set.map_err(|error| dni::Error::Invalid(format!("cannot listen to wgpu: {error}")))
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn names_lose_their_modules() {
        assert_eq!(short("a::b::C<d::E, f32>"), "C<E, f32>");
        assert_eq!(short("kernel"), "kernel");
    }
}
