//! The threads of a worker.

use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};

/// Threads that live as long as this does: one on which a worker runs, and others if its
/// operations are to run on several.
///
/// They are a pool of their own, because operations split their work among the threads of the pool
/// that they are called in: without one all workers would share those of the process and wait for
/// each other there.
pub(super) struct Crew {
    /// None only while it is dropped.
    pool: Option<rayon::ThreadPool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// The crew of a worker, with so many threads for one operation.
    ///
    /// # Errors
    ///
    /// If `kernel_threads` is zero or the operating system gives no more threads.
    pub fn new(worker: usize, kernel_threads: usize) -> Result<Self> {
        if kernel_threads == 0 {
            return Err(Error::Invalid(
                "a worker needs at least 1 kernel thread".to_string(),
            ));
        }
        let mut threads = Vec::with_capacity(kernel_threads);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(kernel_threads)
            .spawn_handler(|work| {
                let thread = thread::Builder::new().name(format!("dni worker {worker}"));
                threads.push(thread.spawn(|| work.run())?);
                Ok(())
            })
            .build()
            .map_err(|error| {
                Error::Invalid(format!(
                    "cannot start the threads of worker {worker}: {error}; choose fewer workers \
                     or kernel threads"
                ))
            })?;
        Ok(Self {
            pool: Some(pool),
            threads,
        })
    }

    /// Runs `work` on the worker's thread; its result.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let pool = self.pool.as_ref().expect("only dropping takes the pool");
        pool.install(work)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Without the pool its threads end.
        drop(self.pool.take());
        for thread in self.threads.drain(..) {
            // It has nothing to say: a worker's panics are caught where it runs.
            let _ = thread.join();
        }
    }
}
