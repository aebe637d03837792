//! A text read window by window, and the network that was best on the text held out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use burn::tensor::Device;
use dni::data::{Corpus, Fingerprint, Lanes, Reading};
use dni::run::{Checkpoint, RunFolder};
use dni::train::{Notes, Progress, Task};
use dni::{Quality, Recurrent, Window};

use super::{Settings, Text};
use crate::comparison::Run;
use crate::{recurrent, session};

/// What a text takes under a model, in bits per character.
pub fn bits_per_character(
    network: &Recurrent,
    codes: &[u16],
    alphabet: usize,
    device: &Device,
) -> dni::Result<f64> {
    // Read side by side, so many steps at a time, each after so many characters before its own.
    const LANES: usize = 128;
    const STEPS: usize = 50;
    const WARM_UP: usize = 100;
    let reading = Reading::new(codes, alphabet, LANES, STEPS, WARM_UP)?;
    let (mut nats, mut state) = (0.0, None);
    for window in reading.windows(device) {
        let (outputs, after) = network.predict(&window.sequence, state);
        let losses = network.losses(outputs, &window).sum();
        nats += f64::from(losses.into_scalar::<f32>());
        state = Some(after);
    }
    Ok(nats / reading.targets() as f64 / std::f64::consts::LN_2)
}

/// What the bits of the validation text are called.
pub const VALID: &str = "valid_bits_per_character";

/// The windows of a run, and the best that it has come to.
pub struct Reader<'a> {
    pub corpus: &'a Corpus,
    pub lanes: Lanes,
    /// Fewer lanes, in which the synthetic future is looked at.
    looked_at: Lanes,
    reach: usize,
    device: Device,
    patience: usize,
    /// Where the best network is kept, and under which settings.
    pub best_path: PathBuf,
    settings: String,
    data: Fingerprint,
    step: usize,
    pub best: Option<Best>,
    /// Looks since the best.
    waited: usize,
}

/// The best that a run has come to.
#[derive(Debug, Clone, Copy)]
pub struct Best {
    pub step: usize,
    /// Bits per character of the validation text.
    pub valid: f64,
}

impl<'a> Reader<'a> {
    /// Lanes that the synthetic future is looked at in.
    const LOOKED_AT: usize = 16;

    pub fn new(run: &Run<Settings<Text>>, corpus: &'a Corpus) -> anyhow::Result<Self> {
        let settings = &run.settings;
        let (batch, steps) = (settings.run.batch_size, settings.network.unroll);
        let lanes = |lanes| {
            Lanes::new(&corpus.train[..], corpus.alphabet.len(), lanes, steps)
                .context("cannot cut the training text into windows")
        };
        Ok(Self {
            lanes: lanes(batch)?,
            looked_at: lanes(batch.min(Self::LOOKED_AT))?,
            reach: settings.network.reach(),
            corpus,
            device: run.device.clone(),
            patience: settings.task.patience,
            best_path: run.folder.join(RunFolder::BEST),
            settings: session::write_settings(settings)?,
            data: settings.task.text.fingerprint(corpus),
            step: 0,
            best: None,
            waited: 0,
        })
    }

    /// What a text takes under a network, in bits per character.
    pub fn bits(&self, network: &Recurrent, codes: &[u16]) -> dni::Result<f64> {
        bits_per_character(network, codes, self.corpus.alphabet.len(), &self.device)
    }
}

impl Task<Recurrent> for Reader<'_> {
    fn batch(&mut self, step: usize) -> Window {
        self.step = step + 1;
        self.lanes.window(step, &self.device)
    }

    fn evaluate(&mut self, network: &Recurrent) -> dni::Result<BTreeMap<String, f64>> {
        let (step, valid) = (self.step, self.bits(network, &self.corpus.valid)?);
        if self.best.is_none_or(|best| valid < best.valid) {
            let progress = Progress { step, seconds: 0.0 };
            let (path, notes, data) = (&self.best_path, Notes::new(), Some(&self.data));
            Checkpoint::write(path, network, &notes, progress, &self.settings, data, &[])?;
            self.best = Some(Best { step, valid });
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        Ok(BTreeMap::from([(VALID.to_string(), valid)]))
    }

    /// Always after the same beginning of the text, which is as long as what the future is measured on.
    fn compare(&mut self, network: &Recurrent) -> Vec<Quality> {
        let windows = (2 * self.reach).min(self.looked_at.windows_per_pass());
        let windows = (0..windows).map(|step| self.looked_at.window(step, &self.device));
        let windows: Vec<Window> = windows.collect();
        recurrent::quality(network, &windows, windows.len() / 2, self.reach)
    }

    fn is_done(&self) -> bool {
        self.waited >= self.patience
    }

    fn data(&self) -> Option<Fingerprint> {
        Some(self.data.clone())
    }

    fn notes(&self) -> Notes {
        let mut notes = Notes::from([("waited".to_string(), self.waited as f64)]);
        if let Some(best) = self.best {
            notes.insert("best.step".to_string(), best.step as f64);
            notes.insert("best.valid".to_string(), best.valid);
        }
        notes
    }

    fn recall(&mut self, notes: &Notes) {
        let note = |name: &str| notes.get(name).copied();
        self.waited = note("waited").unwrap_or_default() as usize;
        let best = note("best.step").zip(note("best.valid"));
        self.best = best.map(|(step, valid)| Best {
            step: step as usize,
            valid,
        });
    }
}
