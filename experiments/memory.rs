//! Memory: what there is, so that what could never fit is refused before anything begins.

use std::fs;

use dni::Backend;

use crate::args::Misuse;

/// Bytes of a 32-bit float.
pub const FLOAT: u128 = 4;
/// Values for each parameter: itself, its gradient, and Adam's two moments.
pub const OF_PARAMETER: u128 = 4;

/// Refuses what needs more memory than there is where a backend computes.
pub fn check(least: u128, backend: Backend) -> Result<(), Misuse> {
    let known = match backend {
        Backend::Flex | Backend::Ndarray => available(),
        Backend::Wgpu => None,
    };
    let (there, known) = match known {
        Some(bytes) => (bytes, "there are"),
        // Whatever is not known, no machine of today has more.
        None => (1 << 42, "any machine has at most"),
    };
    if least <= there {
        return Ok(());
    }
    let in_words = |bytes: u128| format!("{:.1} GB", bytes as f64 / 1e9);
    Err(Misuse(format!(
        "this needs at least {} of memory, and {known} {}; choose a smaller batch or network, or \
         less data",
        in_words(least),
        in_words(there)
    )))
}

/// Bytes that are free, for a process in its container, where the system tells it.
fn available() -> Option<u128> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let free = line.trim().strip_suffix(" kB")?.parse::<u128>().ok()? * 1024;
    let number = |name: &str| {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}"));
        text.ok()?.trim().parse::<u128>().ok()
    };
    // Cached files count as used there; they can be let go.
    let limit = number("max").unwrap_or(u128::MAX);
    Some(free.min(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_nowhere_is_refused() {
        assert!(check(1 << 20, Backend::Flex).is_ok());
        assert!(check(1 << 40, Backend::Wgpu).is_ok());
        let error = check(1 << 60, Backend::Flex).unwrap_err().to_string();
        assert!(error.contains("1152921504.6 GB"), "{error}");
    }
}
