//! Runs at the same time: how many, and what ends one of them or all.

use std::panic::resume_unwind;
use std::thread;

use crate::args::Misuse;
use crate::session::Interrupted;
use crate::sites::Lost;

/// How many of some runs are to be made at the same time, as many as asked for, if that was said. Those
/// that need the whole machine are alone.
pub fn jobs(
    asked: Option<usize>,
    is_alone: bool,
    kernel_threads: usize,
    runs: usize,
) -> Result<usize, Misuse> {
    let jobs = match asked {
        Some(2..) if is_alone => {
            return Err(Misuse(
                "--jobs is for runs on flex and ndarray without workers; others need the whole \
                 machine"
                    .to_string(),
            ));
        }
        Some(jobs) => jobs,
        None if is_alone => 1,
        None => dni::backend::processors() / kernel_threads.max(1),
    };
    Ok(jobs.clamp(1, runs))
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

/// Whether an error leaves nothing to the runs that would follow.
pub fn ends_all(error: &anyhow::Error) -> bool {
    error.is::<Interrupted>() || error.is::<Lost>() || error.is::<Misuse>()
}
