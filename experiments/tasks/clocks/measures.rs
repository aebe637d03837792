//! How well the two networks count.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use dni::Clocks;
use dni::data::{DigitStream, ImageSet};
use serde::Serialize;

use super::settings::Settings;
use crate::tally::Tally;

/// What is measured of a run.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// How well odd digits are counted in streams of test images.
    pub fast: Measures,
    /// How well threes are.
    pub slow: Measures,
}

/// How well a network counts.
#[derive(Debug, Serialize)]
pub struct Measures {
    /// The share of answers that are not the right number.
    pub error: f64,
    /// The same share for one who always gives the answer that is right most often.
    pub guessing: f64,
    /// The mean loss.
    pub loss: f64,
    /// How many answers were looked at.
    pub answers: usize,
}

impl Figures {
    /// Errors and losses, as they are called in the log.
    pub fn named(&self) -> BTreeMap<String, f64> {
        let figures = [
            ("fast_error", self.fast.error),
            ("fast_loss", self.fast.loss),
            ("slow_error", self.slow.error),
            ("slow_loss", self.slow.loss),
        ];
        figures
            .map(|(name, value)| (name.to_string(), value))
            .into()
    }
}

/// The stream that networks of a run are tested with.
pub fn test_stream<'a>(
    set: &'a ImageSet,
    settings: &Settings,
    seed: u64,
) -> dni::Result<DigitStream<'a>> {
    const STREAMS: usize = 100;
    DigitStream::new(&set.test, seed, settings.period, STREAMS)
}

/// How well both networks count in the first spans of a test stream, always the same.
pub fn measure(clocks: &Clocks, test: &DigitStream, device: &Device) -> Figures {
    const SPANS: usize = 20;
    let (mut fast, mut slow, mut states) = (Tally::default(), Tally::default(), None);
    for number in 0..SPANS {
        let span = test.span(number, device);
        let (fast_outputs, slow_outputs, after) = clocks.predict(span.inputs, states);
        states = Some(after);
        let [windows, streams, classes] = fast_outputs.dims();
        let rows = |tensor: Tensor<3>| tensor.reshape([windows * streams, classes]);
        let targets = span.fast_targets.numbers().zip(span.slow_targets.numbers());
        let (fast_targets, slow_targets) = targets.expect("they are one-hot");
        fast.add(
            clocks.loss(),
            rows(fast_outputs),
            rows(fast_targets.clone()),
        );
        slow.add(clocks.loss(), slow_outputs, slow_targets.clone());
    }
    let [fast, slow] = [fast, slow].map(|tally| Measures {
        error: tally.error(),
        guessing: tally.guessing(),
        loss: tally.loss(),
        answers: tally.answers,
    });
    Figures { fast, slow }
}
