//! Panics are errors: none ends other runs, and all end the program as errors do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::anyhow;

/// What some work comes to, whose panic is an error.
pub fn caught<R>(work: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = dni::error::message_of(&*panic);
        if let Some(error) = dni::backend::failure(&message) {
            return Err(error.into());
        }
        Err(anyhow!(
            "it panicked: {message}; that is a fault of dni, please report it with the command"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::ends_all;
    use crate::session::Interrupted;

    #[test]
    fn a_panic_is_an_error() {
        let error = caught::<()>(|| panic!("lost at step {}", 3)).expect_err("it panics");
        assert!(error.to_string().contains("lost at step 3"), "{error}");
        assert!(error.to_string().contains("fault of dni"), "{error}");
        assert!(!ends_all(&error));
        let stopped = || Interrupted {
            at: "step 3".to_string(),
            command: "dni".to_string(),
        };
        let error = caught::<()>(|| Err(stopped().into()));
        assert!(
            error.is_err_and(|error| ends_all(&error)),
            "errors stay what they are"
        );
        assert_eq!(caught(|| Ok(3)).ok(), Some(3));
    }

    #[test]
    fn a_device_that_fails_is_no_fault_of_the_program() {
        let error = caught::<()>(|| panic!("wgpu error: Out of Memory")).expect_err("it panics");
        assert!(error.to_string().contains("the device failed"), "{error}");
        assert!(!error.to_string().contains("fault of dni"), "{error}");
    }
}
