//! Values that come back from a device, which may have failed meanwhile.
//!
//! A device works behind the program that gives it work: that it had no memory left, or was lost,
//! shows when a value is read.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};

/// The values of a tensor, row after row, once its device has computed them.
///
/// # Errors
///
/// If the device has failed since the last value was read.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data();
    let data = data.map_err(|error| failed(&error.to_string()))?;
    // Some devices only promise the bytes; to look at them as numbers would panic.
    let bytes = data.bytes().read(Default::default());
    bytes.map_err(|error| failed(&error.to_string()))?;
    Ok(data.iter::<f32>().collect())
}

/// Waits until a device is through with what it was given.
///
/// # Errors
///
/// If the device has failed.
pub fn wait(device: &Device) -> Result<()> {
    device.sync().map_err(|error| failed(&error.to_string()))
}

/// The error behind a panic's [message](crate::error::message_of), if burn or wgpu reports a failed
/// device by it; none for any other panic.
pub fn failure(message: &str) -> Option<Error> {
    const BEGINNINGS: [&str; 3] = [
        "Error while reading data",
        "bytes: host access failed",
        "wgpu error",
    ];
    let is_failure = BEGINNINGS
        .iter()
        .any(|beginning| message.starts_with(beginning));
    // Some of them have the error in its debug form.
    is_failure.then(|| failed(&message.replace("\\n", "\n")))
}

/// The error of a device of which burn says this: the last cause in it, without the calls that led
/// there.
fn failed(text: &str) -> Error {
    let causes = text.split("Caused by:");
    let firsts = causes.filter_map(|cause| cause.lines().map(str::trim).find(|l| !l.is_empty()));
    let cause = firsts.last().unwrap_or("it does not say why");
    Error::Device {
        reason: match text.contains("poisoned") {
            true => format!("it was lost ({})", cause.trim_end_matches(':')),
            false => cause.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As burn has it.
    const TEXT: &str = "Error while reading data: use `try_into_data` instead to catch the error at \
        runtime: An error happened during execution\nCaused by:\n  Several failures at once\nCaused \
        by:\n  can't allocate buffer of size: 324000000\nNo backtrace available\nAsked at:\n   0: main";

    #[test]
    fn a_failure_is_told_by_its_last_cause() {
        let error = failure(TEXT).expect("a device has failed").to_string();
        assert!(
            error.contains("can't allocate buffer of size: 324000000;"),
            "{error}"
        );
        assert!(!error.contains("main"), "{error}");
        assert!(error.contains("last checkpoint"), "{error}");
        let error = failure("wgpu error: Out of Memory\n").expect("a device has failed");
        assert!(error.to_string().contains("Out of Memory;"), "{error}");
        let quoted = r#"bytes: host access failed: Read("The device is poisoned\nCaused by:\n  Reset: \nBacktrace:\n0")"#;
        let error = failure(quoted).expect("a device has failed").to_string();
        assert!(error.contains("it was lost (Reset);"), "{error}");
        assert!(failure("index out of bounds").is_none());
    }
}
