//! Runs at the same time: how many, and what ends one of them or all.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use anyhow::anyhow;

use super::Settings;
use crate::args::{Misuse, OutputArgs};
use crate::session::Interrupted;
use crate::sites::Lost;

/// How many runs are to be made at the same time.
pub fn jobs<S: Settings>(settings: &S, output: &OutputArgs) -> Result<usize, Misuse> {
    let common = settings.common();
    let is_alone = settings.is_alone();
    match output.jobs {
        Some(2..) if is_alone => Err(Misuse(
            "--jobs is for runs on flex and ndarray without workers; others need the whole machine"
                .to_string(),
        )),
        Some(jobs) => Ok(jobs.min(common.runs().len())),
        None if is_alone => Ok(1),
        None => {
            let most = dni::backend::processors() / common.kernel_threads.max(1);
            Ok(most.clamp(1, common.runs().len()))
        }
    }
}

/// Lets so many threads work, each with as many kernel threads; what they have done.
pub fn on_threads<R: Send>(
    threads: usize,
    kernel_threads: usize,
    work: impl Fn() -> Vec<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let work = || -> anyhow::Result<Vec<R>> {
        dni::backend::set_kernel_threads(kernel_threads)?;
        Ok(work())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut done = Vec::new();
        for thread in threads {
            let own = thread.join();
            done.extend(own.unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok(done)
    })
}

/// What a run does, whose panic is an error, so that it ends no other run.
pub fn caught<R>(run: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<R> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = dni::error::message_of(&*panic);
        if let Some(error) = dni::backend::failure(&message) {
            return Err(error.into());
        }
        Err(anyhow!(
            "it panicked: {message}; that is a fault of dni, please report it with the command"
        ))
    })
}

/// Whether an error leaves nothing to the runs that would follow.
pub fn ends_all(error: &anyhow::Error) -> bool {
    error.is::<Interrupted>() || error.is::<Lost>() || error.is::<Misuse>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_its_run() {
        let error = caught::<()>(|| panic!("lost at step {}", 3)).expect_err("it panics");
        assert!(error.to_string().contains("lost at step 3"), "{error}");
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
}
