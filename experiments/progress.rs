//! A progress bar on stderr.

use std::fmt;
use std::sync::LazyLock;

use dni::Result;
use dni::data::fetch::Fetched;
use dni::train::{Event, Listener};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output;

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
            Event::Evaluated { step, figures } => {
                let figures: Vec<String> = figures
                    .iter()
                    .map(|(name, value)| format!("{name} {value:.4}"))
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
        Self(ProgressBar::with_draw_target(None, target(quiet)).with_style(style))
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
