//! Progress on stderr: bars on a terminal, elsewhere a line now and then.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dni::Result;
use dni::data::fetch::Fetched;
use dni::train::{Event, Listener};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::{figure, output};

/// The bars of all runs that are made at the same time, one below the other.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Lets something else be written on stderr, where bars may be.
pub fn beside_bars<R>(write: impl FnOnce() -> R) -> R {
    BARS.suspend(write)
}

/// Shows a run's progress with its rate, time left and loss, if stderr is a terminal.
pub struct Bar {
    bar: ProgressBar,
    label: String,
    quiet: bool,
}

impl Bar {
    pub fn new(label: &str, quiet: bool) -> Self {
        let style = style("{prefix} {bar:30} {pos}/{len} steps, {rate}, {eta} left{msg}");
        let bar = ProgressBar::with_draw_target(None, target(quiet));
        let bar = if quiet { bar } else { BARS.add(bar) };
        Self {
            bar: bar.with_style(style).with_prefix(label.to_string()),
            label: label.to_string(),
            quiet,
        }
    }
}

impl Listener for Bar {
    fn hear(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Started { step, steps } => {
                match steps {
                    Some(steps) => self.bar.set_length(*steps as u64),
                    None => self
                        .bar
                        .set_style(style("{prefix} {pos} steps, {rate}, {elapsed}{msg}")),
                }
                self.bar.set_position(*step as u64);
                self.bar.reset_eta();
            }
            Event::Progress(scalars) => {
                self.bar.set_position(scalars.step as u64);
                self.bar.set_message(format!(", loss {:.4}", scalars.loss));
            }
            Event::Evaluated { step, metrics } => {
                let figures: Vec<String> = metrics
                    .iter()
                    .map(|(name, value)| figure::told(name, *value))
                    .collect();
                if !self.quiet {
                    let line = format!("{} step {step}: {}", self.label, figures.join(", "));
                    output::say(&line);
                }
            }
            Event::Compared { .. } | Event::Traced { .. } | Event::Saved { .. } => {}
            Event::Interrupted { .. } | Event::Finished { .. } => self.bar.finish_and_clear(),
        }
        Ok(())
    }
}

/// What the program is at, said on stderr for as long as this lives, and longer than a moment: by a line
/// that is kept up to date on a terminal, elsewhere by one after less than two seconds, and others in
/// distances that grow with the time.
pub struct Busy {
    /// Dropped when it is over.
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    text: Arc<Mutex<String>>,
}

impl Busy {
    /// Says a text, which [`set`](Self::set) changes.
    pub fn new(text: impl Into<String>, quiet: bool) -> Self {
        let text = Arc::new(Mutex::new(text.into()));
        let current = Arc::clone(&text);
        let said = move || lock(&current).clone();
        Self::start(text, quiet, said.clone(), said)
    }

    /// Says what the first of these has for a terminal, and the second for a line.
    pub fn saying(
        quiet: bool,
        for_terminal: impl Fn() -> String + Send + 'static,
        for_line: impl Fn() -> String + Send + 'static,
    ) -> Self {
        Self::start(Arc::default(), quiet, for_terminal, for_line)
    }

    fn start(
        text: Arc<Mutex<String>>,
        quiet: bool,
        for_terminal: impl Fn() -> String + Send + 'static,
        for_line: impl Fn() -> String + Send + 'static,
    ) -> Self {
        let (sender, over) = channel();
        let work = move || match io::stderr().is_terminal() {
            true => keep_line(&over, for_terminal),
            false => write_lines(&over, for_line),
        };
        // Without a thread it is silent.
        let thread = (!quiet).then(|| thread::Builder::new().name("dni progress".to_string()));
        Self {
            over: Some(sender),
            thread: thread.and_then(|thread| thread.spawn(work).ok()),
            text,
        }
    }

    /// Says something else from now on.
    pub fn set(&self, text: impl Into<String>) {
        *lock(&self.text) = text.into();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for so long: whether it is not over by then.
fn goes_on(over: &Receiver<()>, time: Duration) -> bool {
    over.recv_timeout(time) == Err(RecvTimeoutError::Timeout)
}

/// Keeps a line on the terminal, below the bars.
fn keep_line(over: &Receiver<()>, text: impl Fn() -> String) {
    /// What takes less is not worth a line.
    const MOMENT: Duration = Duration::from_millis(300);
    if !goes_on(over, MOMENT) {
        return;
    }
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    let style = style.expect("the template is well-formed");
    let bar = BARS.add(ProgressBar::new_spinner().with_style(style));
    loop {
        bar.set_message(text());
        bar.tick();
        if !goes_on(over, MOMENT) {
            break;
        }
    }
    bar.finish_and_clear();
    BARS.remove(&bar);
}

/// Writes a line, and others later.
fn write_lines(over: &Receiver<()>, text: impl Fn() -> String) {
    let begun = Instant::now();
    while goes_on(over, distance(begun.elapsed())) {
        output::say(&format!("{} ({} s)", text(), begun.elapsed().as_secs()));
    }
}

/// How long nothing is said after so much time: a log of hours has no thousands of lines.
fn distance(elapsed: Duration) -> Duration {
    const LEAST: Duration = Duration::from_millis(1_800);
    LEAST.max(elapsed / 10)
}

/// A style with a rate.
fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    ProgressStyle::with_template(template)
        .expect("the template is well-formed")
        .with_key("rate", rate)
}

/// Shows downloads, if stderr is a terminal.
pub struct DownloadBar(ProgressBar);

impl DownloadBar {
    pub fn new(quiet: bool) -> Self {
        let style = ProgressStyle::with_template(
            "{prefix} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left",
        )
        .expect("the template is well-formed");
        let bar = ProgressBar::with_draw_target(None, target(quiet));
        let bar = if quiet { bar } else { BARS.add(bar) };
        Self(bar.with_style(style))
    }

    pub fn show(&mut self, fetched: &Fetched) {
        self.0.set_prefix(fetched.name.clone());
        if let Some(total) = fetched.total {
            self.0.set_length(total);
        }
        self.0.set_position(fetched.done);
    }
}

impl Drop for DownloadBar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn target(quiet: bool) -> ProgressDrawTarget {
    if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_word_and_no_log_drowns_in_them() {
        let (mut elapsed, mut lines) = (Duration::ZERO, 0);
        while elapsed < Duration::from_secs(3_600) {
            let distance = distance(elapsed);
            assert!(distance < Duration::from_secs(2) || distance <= elapsed / 10);
            elapsed += distance;
            lines += 1;
        }
        assert!((50..100).contains(&lines), "{lines} lines in an hour");
    }
}
