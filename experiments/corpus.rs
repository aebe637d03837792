//! Where the text of an experiment comes from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use dni::data::{Corpus, Fingerprint, Lanes, Language, Reading, shakespeare};
use dni::run::is_of_a_process;
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive};
use crate::progress::DownloadBar;
use crate::shell::quoted_path;
use crate::source::places;

/// The text of an experiment.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Data")]
pub struct Text {
    /// Where the text comes from
    #[arg(
        long,
        value_enum,
        conflicts_with = "corpus",
        default_value = "language"
    )]
    pub source: Source,

    /// A text file in UTF-8, plain or gzipped, split into 90, 5 and 5 percent to train, validate
    /// and test with; or three such files, separated by commas or each with its own --corpus
    #[arg(long = "corpus", id = "corpus", value_name = "FILES")]
    #[serde(rename = "corpus")]
    pub files: Vec<PathBuf>,

    /// Characters of the language to train on
    #[arg(long, value_name = "N", value_parser = positive, default_value = "1000000")]
    pub characters: usize,
}

/// Where the files of texts are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub struct TextDataArgs {
    /// Folder that contains a folder tinyshakespeare; a missing file is looked for in the cache,
    /// then downloaded
    #[arg(long, env = "DNI_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// A text without a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Sentences of an invented language of known entropy, drawn from the run's seed
    Language,
    /// The tiny Shakespeare corpus
    Shakespeare,
}

impl Text {
    /// Characters of the language to validate with, and to test with.
    const HELD_OUT: usize = 50_000;

    /// Bytes that it needs at the very least, if it is known how long it is.
    pub fn memory(&self) -> u128 {
        /// Of a character in the text and in its codes.
        const OF_CHARACTER: u128 = 3;
        match self.is_drawn() {
            true => OF_CHARACTER * self.characters as u128,
            false => 0,
        }
    }

    /// Refuses any other number of files.
    pub fn check(&self) -> Result<(), Misuse> {
        match self.files.len() {
            0 | 1 | 3 => Ok(()),
            files => Err(Misuse(format!(
                "a corpus is one file, or three: to train, to validate and to test with; not {files}"
            ))),
        }
    }

    /// Reads it, or draws it from a seed.
    pub fn load(&self, data_dir: Option<&Path>, seed: u64, quiet: bool) -> anyhow::Result<Corpus> {
        if !self.files.is_empty() {
            let corpus = Corpus::read(&self.files);
            return match self.files.iter().any(|file| is_of_a_process(file)) {
                true => corpus.context(
                    "the text came from a pipe, which is gone: only runs on files can be resumed \
                     and measured again",
                ),
                false => Ok(corpus?),
            };
        }
        let corpus = match self.source {
            Source::Language => Ok(Language.corpus(self.lengths(), seed)),
            Source::Shakespeare => {
                let mut bar = DownloadBar::new(quiet);
                shakespeare(&places(data_dir), &mut |fetched| bar.show(fetched))
            }
        };
        Ok(corpus?)
    }

    /// Whether it is drawn, and every seed has its own.
    pub fn is_drawn(&self) -> bool {
        self.files.is_empty() && self.source == Source::Language
    }

    /// Characters of the parts of a text that is drawn.
    fn lengths(&self) -> [usize; 3] {
        [self.characters, Self::HELD_OUT, Self::HELD_OUT]
    }

    /// What it is called in results.
    pub fn name(&self) -> String {
        match (&self.files[..], self.source) {
            ([], Source::Language) => "language".to_string(),
            ([], Source::Shakespeare) => "shakespeare".to_string(),
            (files, _) => {
                let files = files.iter().map(|file| file.display().to_string());
                files.collect::<Vec<_>>().join(",")
            }
        }
    }

    /// What a corpus of it is: a run that goes on refuses others.
    pub fn fingerprint(&self, corpus: &Corpus) -> Fingerprint {
        let files: Vec<String> = self.files.iter().map(|f| f.display().to_string()).collect();
        let name = self.name();
        corpus.fingerprint(match &files[..] {
            [train, valid, test] => [train, valid, test],
            _ => [&name; 3],
        })
    }
}

/// The text of the runs of a call: the same for all, read once, as a pipe can be, or drawn for each
/// seed.
pub struct Texts {
    text: Text,
    quiet: bool,
    common: Option<Arc<Corpus>>,
}

impl Texts {
    /// That of a run.
    pub fn of_seed(&self, seed: u64) -> anyhow::Result<Arc<Corpus>> {
        match &self.common {
            Some(corpus) => Ok(Arc::clone(corpus)),
            None => Ok(Arc::new(self.text.load(None, seed, self.quiet)?)),
        }
    }

    /// Refuses a text of which a part is too short to learn from in so many lanes, so many characters at
    /// a time, or to measure on.
    pub fn check(&self, lanes: usize, steps: usize) -> anyhow::Result<()> {
        let [train, valid, test] = self.lengths().map(|length| vec![0; length]);
        if let Err(error) = Lanes::new(train, 1, lanes, steps) {
            let said = format!(
                "cannot cut the training text into windows: {error} (--batch-size is the number of \
                 lanes, --unroll the length of a window)"
            );
            // A text that is drawn is as long as a flag says.
            return Err(match &self.common {
                Some(_) => anyhow!(said),
                None => Misuse(said).into(),
            });
        }
        for (name, part) in [("validation", valid), ("test", test)] {
            Reading::new(part, 1, 1, 1, 0)
                .with_context(|| format!("cannot measure on the {name} text"))?;
        }
        Ok(())
    }

    /// Characters to train, to validate and to test with.
    fn lengths(&self) -> [usize; 3] {
        match &self.common {
            Some(corpus) => [&corpus.train, &corpus.valid, &corpus.test].map(Vec::len),
            None => self.text.lengths(),
        }
    }
}

impl TextDataArgs {
    /// The text of all runs, or the way to draw it.
    pub fn texts(&self, text: &Text, quiet: bool) -> anyhow::Result<Texts> {
        /// Any: the text does not depend on it.
        const SEED: u64 = 1;
        let load = || text.load(self.data_dir.as_deref(), SEED, quiet);
        let common = (!text.is_drawn()).then(load).transpose()?;
        Ok(Texts {
            text: text.clone(),
            quiet,
            common: common.map(Arc::new),
        })
    }

    /// The flag by which a call that goes on finds the text, with its word if it needs it.
    pub fn go_on_with(&self, source: Source) -> (&'static str, Option<String>) {
        let data_dir = self.data_dir.as_deref();
        let data_dir = data_dir.filter(|_| source == Source::Shakespeare);
        ("--data-dir", data_dir.map(quoted_path))
    }
}

/// The files that are meant by some words of flags, each a name, or several with commas between them: by paths
/// that hold wherever the run goes on.
pub fn files(words: &[PathBuf]) -> Vec<PathBuf> {
    let named = |word: &PathBuf| match word.to_str() {
        Some(names) if !word.exists() => names.split(',').map(PathBuf::from).collect(),
        _ => vec![word.clone()],
    };
    let absolute = |file: PathBuf| std::path::absolute(&file).unwrap_or(file);
    words.iter().flat_map(named).map(absolute).collect()
}
