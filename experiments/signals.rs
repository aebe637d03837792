//! Signals that ask for an end.

/// Calls `handler` at Ctrl-C and, on Unix, at SIGTERM and SIGHUP. A signal that the program was
/// started to ignore, as by `nohup`, stays ignored.
pub fn listen(handler: impl FnMut() + Send + 'static) -> Result<(), ctrlc::Error> {
    #[cfg(unix)]
    let ignored = unix::ignored();
    ctrlc::set_handler(handler)?;
    #[cfg(unix)]
    unix::ignore(&ignored);
    Ok(())
}

#[cfg(unix)]
mod unix {
    use std::ffi::c_int;

    /// SIGHUP, SIGINT and SIGTERM, everywhere.
    const SIGNALS: [c_int; 3] = [1, 2, 15];
    /// What stands for a handler that ignores a signal, everywhere.
    const IGNORE: usize = 1;

    unsafe extern "C" {
        /// Of the C library: sets the handler of a signal, and returns the one before.
        fn signal(signal: c_int, handler: usize) -> usize;
    }

    /// Those of the signals that are ignored.
    pub fn ignored() -> Vec<c_int> {
        let is_ignored = |number: &c_int| {
            // SAFETY: to ignore a signal runs no code of ours, and the handler before comes back.
            unsafe {
                let before = signal(*number, IGNORE);
                signal(*number, before);
                before == IGNORE
            }
        };
        SIGNALS.into_iter().filter(is_ignored).collect()
    }

    pub fn ignore(signals: &[c_int]) {
        for &number in signals {
            // SAFETY: to ignore a signal runs no code of ours.
            unsafe { signal(number, IGNORE) };
        }
    }
}
