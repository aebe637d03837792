//! What is measured of the best network of a run.

use anyhow::Context;
use dni::Recurrent;
use dni::data::Language;
use dni::run::Checkpoint;
use serde::Serialize;

use super::Text;
use super::reader::Reader;
use super::writing::write;
use crate::comparison::Run;
use crate::sequences::Settings;

/// What is measured of a run.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Characters learned from, each as often as it was read.
    pub characters: usize,
    /// The step after which the network was best on the validation text; that network is measured.
    pub best_step: usize,
    pub bits_per_character: Bits,
    /// What the test text takes for one who knows only how often each character comes.
    pub guessing: f64,
    /// What the test text takes for one who knows the language; none for other texts.
    pub optimum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
}

/// Bits per character.
#[derive(Debug, Serialize)]
pub struct Bits {
    /// Of the beginning of the training text, as long as the test text.
    pub train: f64,
    pub valid: f64,
    pub test: f64,
}

/// Measures the best network of a run, which takes the place of the last one.
pub fn measure(
    run: &Run<Settings<Text>>,
    network: &mut Recurrent,
    reader: &Reader,
    steps: usize,
    sample: Option<usize>,
) -> anyhow::Result<Figures> {
    let best = reader
        .best
        .context("the validation text was never looked at")?;
    Checkpoint::read(&reader.best_path)?.restore(network)?;
    let corpus = reader.corpus;
    let train = &corpus.train[..corpus.train.len().min(corpus.test.len())];
    let test = corpus.alphabet.decode(&corpus.test);
    let is_language = run.settings.task.text.is_drawn();
    let write = |length| write(network, &corpus.alphabet, length, run.seed, run.device);
    Ok(Figures {
        characters: steps * reader.lanes.characters_per_window(),
        best_step: best.step,
        bits_per_character: Bits {
            train: reader.bits(network, train)?,
            valid: best.valid,
            test: reader.bits(network, &corpus.test)?,
        },
        guessing: bits_of_counts(&corpus.train, &corpus.test, corpus.alphabet.len()),
        optimum: is_language.then(|| Language.bits(&test)),
        sample: sample.map(write),
    })
}

/// Bits per character of a text for one who knows nothing but how often each character comes in another.
fn bits_of_counts(known: &[u16], text: &[u16], characters: usize) -> f64 {
    // One more of each: none is impossible.
    let mut counts = vec![1.0; characters];
    known
        .iter()
        .for_each(|&code| counts[usize::from(code)] += 1.0);
    let all: f64 = counts.iter().sum();
    let bits = text
        .iter()
        .map(|&code| (all / counts[usize::from(code)]).log2());
    bits.sum::<f64>() / text.len() as f64
}
