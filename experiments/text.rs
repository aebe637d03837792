//! A character language model by recurrent networks: the paper's section 3.2, its Penn Treebank.
//!
//! The paper's claim: with a synthetic future at the end of every window a network models text
//! better than by truncated backpropagation through time over the same window. README.md here has
//! the figures.
//! Command: `dni text`. It takes about two minutes on two cores.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use burn::tensor::{Device, Tensor, TensorData, activation};
use clap::{Args, ValueEnum};
use dni::data::{
    Alphabet, Corpus, Fingerprint, Lanes, Language, Reading, Stream, generator, shakespeare,
};
use dni::run::{Checkpoint, RunFolder, is_of_a_process};
use dni::train::{Notes, Plan, Progress, Task};
use dni::{Backend, Loss, Quality, Recurrent, Sequence, Window};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::args::{Format, MachineArgs, Misuse, OutputArgs, length, positive, set};
use crate::budget::{Budget, BudgetArgs};
use crate::comparison::{self, Common, Comparison, Outcomes, Run, Settings as _};
use crate::output;
use crate::progress::DownloadBar;
use crate::recurrent::{self, CoreKind, RecurrentArgs, RecurrentMethod, RecurrentNetwork};
use crate::session;
use crate::shell::quoted_path;
use crate::source::places;
use crate::stats;
use crate::synthesizer::SynthesizerKind;
use crate::table::Table;

/// Flags of `dni text`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct TextArgs {
    #[command(flatten)]
    data: TextDataArgs,
    #[command(flatten)]
    network: RecurrentArgs,
    #[command(flatten)]
    length: BudgetArgs,
    /// Steps between two looks at the validation text [default: a twentieth of the steps]
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length")]
    eval_every: Option<usize>,
    /// Looks at the validation text without a new best one after which a run ends [default: 10]
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length")]
    patience: Option<usize>,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Characters to write with the trained model [default: 0, with --load 500]
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = characters)]
    sample: Option<usize>,
    /// Write with the model that this run has left, and end
    #[arg(long, value_name = "RUN", help_heading = "Output", conflicts_with_all = ["resume", "run_dir"])]
    load: Option<PathBuf>,
}

/// The text.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub struct TextDataArgs {
    /// Where the text comes from [default: language]
    #[arg(long, value_enum, conflicts_with = "corpus")]
    source: Option<Source>,

    /// A text file in UTF-8, plain or gzipped, cut into 90, 5 and 5 percent to train, validate and test
    /// with, or three such files, separated by commas or each with this flag
    #[arg(long, value_name = "FILES")]
    corpus: Option<Vec<PathBuf>>,

    /// Folder with a folder tinyshakespeare; what is not found there is looked for in the cache,
    /// then downloaded
    #[arg(long, env = "DNI_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Characters of the language to train on [default: 1000000]
    #[arg(long, value_name = "N", value_parser = positive)]
    characters: Option<usize>,
}

/// A text without a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Sentences of a language of our own, drawn from the run's seed, whose entropy is known
    Language,
    /// The tiny Shakespeare corpus
    Shakespeare,
}

/// How much a model is to write.
fn characters(text: &str) -> Result<usize, String> {
    const MOST: usize = 1 << 24;
    let length = text.parse().ok().filter(|length| *length <= MOST);
    length.ok_or_else(|| format!("it must be a whole number up to {MOST}"))
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    run: Common<RecurrentMethod>,
    budget: Budget,
    source: Source,
    /// Files instead of a source.
    corpus: Vec<PathBuf>,
    characters: usize,
    eval_every: Option<usize>,
    patience: usize,
    network: RecurrentNetwork,
}

/// The files that are meant by some words, each a name, or several with commas between them: by paths
/// that hold wherever the run goes on.
fn files(words: &[PathBuf]) -> Vec<PathBuf> {
    let named = |word: &PathBuf| match word.to_str() {
        Some(names) if !word.exists() => names.split(',').map(PathBuf::from).collect(),
        _ => vec![word.clone()],
    };
    let absolute = |file: PathBuf| std::path::absolute(&file).unwrap_or(file);
    words.iter().flat_map(named).map(absolute).collect()
}

/// Characters of the language to validate with, and to test with.
const HELD_OUT: usize = 50_000;

impl Settings {
    /// `base`, or else the default, changed by the flags that were given.
    fn from_args(base: Option<&Self>, args: &TextArgs) -> Self {
        let mut s = base.cloned().unwrap_or_else(Self::standard);
        s.budget = args.length.set(&mut s.run, s.budget, &args.machine);
        set(&mut s.run.methods, &args.network.methods);
        set(&mut s.run.batch_size, &args.network.batch_size);
        set(&mut s.source, &args.data.source);
        set(&mut s.corpus, &args.data.corpus.as_deref().map(files));
        set(&mut s.characters, &args.data.characters);
        s.eval_every = args.eval_every.or(s.eval_every);
        set(&mut s.patience, &args.patience);
        s.network.set(&args.network);
        s
    }

    /// What shows the difference in two minutes.
    fn standard() -> Self {
        let budget = Budget::Steps(3_000);
        use RecurrentMethod::{Bptt, Dni, DniAux};
        Self {
            run: Common {
                experiment: Self::NAME.to_string(),
                backend: Backend::Flex,
                kernel_threads: 1,
                methods: vec![Bptt, Dni, DniAux],
                seed: 1,
                seeds: 1,
                steps: budget.steps(),
                batch_size: 64,
            },
            budget,
            source: Source::Language,
            corpus: Vec::new(),
            characters: 1_000_000,
            eval_every: None,
            patience: 10,
            network: RecurrentNetwork {
                core: CoreKind::Lstm,
                units: 256,
                unroll: 8,
                synthesizer: SynthesizerKind::Linear,
                scale: 0.1,
                scale_targets: true,
                lr: 2e-3,
                synthesizer_lr: None,
            },
        }
    }

    fn corpus(&self, data_dir: Option<&Path>, seed: u64, quiet: bool) -> anyhow::Result<Corpus> {
        if !self.corpus.is_empty() {
            let corpus = Corpus::read(&self.corpus);
            return match self.corpus.iter().any(|file| is_of_a_process(file)) {
                true => corpus.context(
                    "the text came from a pipe, which is gone: only runs on files can go on and be \
                     measured again",
                ),
                false => Ok(corpus?),
            };
        }
        let corpus = match self.source {
            Source::Language => Ok(Language.corpus([self.characters, HELD_OUT, HELD_OUT], seed)),
            Source::Shakespeare => {
                let mut bar = DownloadBar::new(quiet);
                shakespeare(&places(data_dir), &mut |fetched| bar.show(fetched))
            }
        };
        Ok(corpus?)
    }

    /// Whether every seed has a text of its own.
    fn has_own_texts(&self) -> bool {
        self.corpus.is_empty() && self.source == Source::Language
    }

    /// The text of all runs, unless each has its own: read once, as a pipe can be.
    ///
    /// # Errors
    ///
    /// If there is none, or a part is too short to learn from or to measure on.
    fn common_corpus(&self, args: &TextArgs) -> anyhow::Result<Option<Corpus>> {
        let (seed, quiet) = (self.run.seed, args.output.quiet);
        let corpus = match self.has_own_texts() {
            true => None,
            false => Some(self.corpus(args.data.data_dir.as_deref(), seed, quiet)?),
        };
        let own = [self.characters, HELD_OUT, HELD_OUT];
        let lengths = corpus
            .as_ref()
            .map(|c| [&c.train, &c.valid, &c.test].map(Vec::len));
        let [train, valid, test] = lengths.unwrap_or(own);
        let blank = |length: usize| vec![0; length];
        Lanes::new(blank(train), 1, self.run.batch_size, self.network.unroll)
            .context("cannot cut the training text into windows")?;
        for (name, length) in [("validation", valid), ("test", test)] {
            Reading::new(blank(length), 1, 1, 1, 0)
                .with_context(|| format!("cannot measure on the {name} text"))?;
        }
        Ok(corpus)
    }

    /// What the text is.
    fn fingerprint(&self, corpus: &Corpus) -> Fingerprint {
        let files: Vec<String> = self
            .corpus
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        let source = self.source_name();
        corpus.fingerprint(match &files[..] {
            [train, valid, test] => [train, valid, test],
            _ => [&source; 3],
        })
    }

    fn network(
        &self,
        method: RecurrentMethod,
        seed: u64,
        alphabet: &Alphabet,
        device: &Device,
    ) -> Result<Recurrent, Misuse> {
        let size = alphabet.len();
        let task = (Loss::CrossEntropy, size, size);
        self.network.build(method, seed, task, device)
    }

    fn evaluate_every(&self) -> usize {
        self.eval_every.unwrap_or(self.budget.share(20))
    }

    fn plan(&self) -> Plan<()> {
        /// Each costs a few steps.
        const COMPARISONS: usize = 30;
        let record_every = (self.run.steps / 200).clamp(1, 50);
        let compare_every = self.budget.share(COMPARISONS).max(100);
        Plan {
            time: self.budget.time(),
            record_every,
            evaluate_every: Some(self.evaluate_every()),
            compare_every: Some(compare_every.next_multiple_of(record_every)),
            check_every: self.run.check_every(record_every),
            save_every: Duration::from_secs(10),
            ..Plan::new(self.run.steps, ())
        }
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "text";

    fn resolve(&mut self) {
        self.eval_every = Some(self.evaluate_every());
        self.network.resolve();
    }

    type Method = RecurrentMethod;

    fn common(&self) -> &Common<RecurrentMethod> {
        &self.run
    }

    fn common_mut(&mut self) -> &mut Common<RecurrentMethod> {
        &mut self.run
    }

    fn check(&self) -> Result<(), Misuse> {
        self.run.check()?;
        self.run
            .check_norm(self.network.synthesizer.has_batch_norm())?;
        self.network.check()?;
        if self.eval_every == Some(0) || self.patience == 0 {
            return Err(Misuse(
                "looks at the validation text must be at least 1 step apart, and at least 1 of \
                 them waited for"
                    .to_string(),
            ));
        }
        if ![0, 1, 3].contains(&self.corpus.len()) {
            return Err(Misuse(format!(
                "a corpus is one file, or three: to train, to validate and to test with; not {}",
                self.corpus.len()
            )));
        }
        Ok(())
    }

    fn memory(&self) -> u128 {
        /// Bytes of a character in the text and in its codes.
        const OF_CHARACTER: u128 = 3;
        let text = match self.has_own_texts() {
            true => OF_CHARACTER * self.characters as u128,
            false => 0,
        };
        text.saturating_add(self.network.memory(self.run.batch_size, 1))
    }

    fn set_length(&mut self, other: &Self) {
        (self.budget, self.run.steps) = (other.budget, other.run.steps);
    }

    fn is_longer_than(&self, other: &Self) -> bool {
        self.budget.is_longer_than(other.budget)
    }
}

/// What a text takes under a model, in bits per character.
fn bits_per_character(
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
const VALID: &str = "valid_bits_per_character";

/// The windows of a run, and the best that it has come to.
struct Reader<'a> {
    corpus: &'a Corpus,
    lanes: Lanes,
    /// Fewer lanes, in which the synthetic future is looked at.
    looked_at: Lanes,
    reach: usize,
    device: Device,
    patience: usize,
    /// Where the best network is kept, and under which settings.
    best_path: PathBuf,
    settings: String,
    data: Fingerprint,
    step: usize,
    best: Option<Best>,
    /// Looks since the best.
    waited: usize,
}

/// The best that a run has come to.
#[derive(Debug, Clone, Copy)]
struct Best {
    step: usize,
    /// Bits per character of the validation text.
    valid: f64,
}

impl<'a> Reader<'a> {
    /// Lanes that the synthetic future is looked at in.
    const LOOKED_AT: usize = 16;

    fn new(run: &Run<Settings>, corpus: &'a Corpus) -> anyhow::Result<Self> {
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
            patience: settings.patience,
            best_path: run.folder.join(RunFolder::BEST),
            settings: session::write_settings(settings)?,
            data: settings.fingerprint(corpus),
            step: 0,
            best: None,
            waited: 0,
        })
    }

    /// How good the synthetic future is, always after the same beginning of the text, which is as
    /// long as what the future is measured on.
    fn quality(&self, network: &Recurrent) -> Option<Quality> {
        let windows = (2 * self.reach).min(self.looked_at.windows_per_pass());
        let windows = (0..windows).map(|step| self.looked_at.window(step, &self.device));
        let windows: Vec<Window> = windows.collect();
        recurrent::quality(network, &windows, windows.len() / 2, self.reach)
    }

    fn bits(&self, network: &Recurrent, codes: &[u16]) -> dni::Result<f64> {
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

    fn compare(&mut self, network: &Recurrent) -> Vec<Quality> {
        self.quality(network).into_iter().collect()
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

/// All results of a call.
#[derive(Debug, Serialize)]
pub struct Report {
    experiment: &'static str,
    backend: Backend,
    source: String,
    unroll: usize,
    #[serde(flatten)]
    outcomes: Outcomes<RunResult>,
}

/// The result of one run.
#[derive(Debug, Serialize)]
struct RunResult {
    method: RecurrentMethod,
    seed: u64,
    steps: usize,
    seconds: f64,
    steps_per_second: f64,
    /// Characters learned from, each as often as it was read.
    characters: usize,
    /// The step after which the network was best on the validation text; that network is measured.
    best_step: usize,
    bits_per_character: Bits,
    /// What the test text takes for one who knows the language; none for other texts.
    optimum: Option<f64>,
    /// How good the synthetic future is; empty if there is none.
    interfaces: Vec<Quality>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<String>,
    run_dir: String,
}

/// Bits per character.
#[derive(Debug, Serialize)]
struct Bits {
    /// Of the beginning of the training text, as long as the test text.
    train: f64,
    valid: f64,
    test: f64,
}

/// `dni text`.
pub fn run(args: TextArgs) -> anyhow::Result<()> {
    if let Some(folder) = &args.load {
        return write_with(folder, &args);
    }
    let (comparison, report) = compare(&args)?;
    comparison.print(&report, &report.outcomes, args.output.format, |report| {
        report.table(&comparison.settings)
    })?;
    let mut samples = report
        .outcomes
        .results
        .iter()
        .filter_map(|r| Some((r, r.sample.as_ref()?)));
    match args.output.format {
        Format::Text => samples.try_for_each(|(r, sample)| {
            output::print(&format!("\n{}, seed {}:\n{sample}\n", r.method, r.seed))
        }),
        Format::Json => Ok(()),
    }?;
    report.outcomes.check()
}

/// Trains what the flags ask for.
pub fn compare(args: &TextArgs) -> anyhow::Result<(Comparison<Settings>, Report)> {
    let settings = |base: Option<&_>| Settings::from_args(base, args);
    let prepare = |settings: &Settings| settings.common_corpus(args);
    let (mut comparison, corpus) =
        Comparison::open(&args.machine, &args.output, settings, prepare)?;
    if comparison.settings.source == Source::Shakespeare {
        let data_dir = args.data.data_dir.as_deref();
        comparison.go_on_with("--data-dir", data_dir.map(quoted_path));
    }
    comparison.go_on_with("--sample", args.sample.map(|length| length.to_string()));
    let settings = &comparison.settings;
    let report = Report {
        experiment: Settings::NAME,
        backend: settings.run.backend,
        source: settings.source_name(),
        unroll: settings.network.unroll,
        outcomes: comparison.run(|run| run_one(run, args, corpus.as_ref()))?,
    };
    Ok((comparison, report))
}

/// Figures of a run that has been trained, on the texts held out: bits per character.
pub fn evaluate(
    checkpoint: Checkpoint,
    data_dir: Option<&Path>,
    device: &Device,
) -> anyhow::Result<BTreeMap<String, f64>> {
    let settings: Settings = toml::from_str(checkpoint.settings())?;
    let (method, seed) = settings.run.only()?;
    let corpus = settings.corpus(data_dir, seed, true)?;
    checkpoint.check_data(&settings.fingerprint(&corpus))?;
    let Corpus {
        alphabet,
        valid,
        test,
        ..
    } = corpus;
    let mut network = settings.network(method, seed, &alphabet, device)?;
    checkpoint.restore(&mut network)?;
    let bits = |codes: &[u16]| bits_per_character(&network, codes, alphabet.len(), device);
    Ok(BTreeMap::from([
        (VALID.to_string(), bits(&valid)?),
        ("test_bits_per_character".to_string(), bits(&test)?),
    ]))
}

/// Trains and measures one run, on the text of all or on its own.
fn run_one(
    run: &Run<Settings>,
    args: &TextArgs,
    common: Option<&Corpus>,
) -> anyhow::Result<RunResult> {
    let settings = &run.settings;
    let own = match common {
        Some(_) => None,
        None => Some(settings.corpus(None, run.seed, args.output.quiet)?),
    };
    let corpus = common.or(own.as_ref()).expect("there is one of the two");
    let mut network = settings.network(run.method, run.seed, &corpus.alphabet, run.device)?;
    let mut reader = Reader::new(run, corpus)?;
    let progress = run.train(&mut network, &mut reader, &settings.plan())?;
    let result = RunResult::measure(run, &mut network, &reader, progress, args.sample)
        .with_context(|| format!("{} cannot be measured", run.label))?;
    run.say(&format!(
        "{} steps in {:.1} s, {:.3} bits per character of the test text",
        result.steps, result.seconds, result.bits_per_character.test
    ));
    Ok(result)
}

impl RunResult {
    fn measure(
        run: &Run<Settings>,
        network: &mut Recurrent,
        reader: &Reader,
        progress: Progress,
        sample: Option<usize>,
    ) -> anyhow::Result<Self> {
        let best = reader
            .best
            .context("the validation text was never looked at")?;
        Checkpoint::read(&reader.best_path)?.restore(network)?;
        let corpus = reader.corpus;
        let train = &corpus.train[..corpus.train.len().min(corpus.test.len())];
        let sample = sample.filter(|&length| length > 0);
        let sample =
            sample.map(|length| write(network, &corpus.alphabet, length, run.seed, run.device));
        let is_language = run.settings.source_name() == LANGUAGE;
        let test = corpus.alphabet.decode(&corpus.test);
        Ok(Self {
            method: run.method,
            seed: run.seed,
            steps: progress.step,
            seconds: progress.seconds,
            steps_per_second: progress.step as f64 / progress.seconds,
            characters: progress.step * reader.lanes.characters_per_window(),
            best_step: best.step,
            bits_per_character: Bits {
                train: reader.bits(network, train)?,
                valid: best.valid,
                test: reader.bits(network, &corpus.test)?,
            },
            optimum: is_language.then(|| Language.bits(&test)),
            interfaces: reader.quality(network).into_iter().collect(),
            sample,
            run_dir: run.folder.display().to_string(),
        })
    }
}

/// What the language is called in results.
const LANGUAGE: &str = "language";

impl Settings {
    fn source_name(&self) -> String {
        match (&self.corpus[..], self.source) {
            ([], Source::Language) => LANGUAGE.to_string(),
            ([], Source::Shakespeare) => "shakespeare".to_string(),
            (files, _) => {
                let files = files.iter().map(|file| file.display().to_string());
                files.collect::<Vec<_>>().join(",")
            }
        }
    }
}

/// Characters drawn one after another from what a network predicts, beginning with a new line, or
/// with its first character if it knows none.
fn write(
    network: &Recurrent,
    alphabet: &Alphabet,
    length: usize,
    seed: u64,
    device: &Device,
) -> String {
    let rng = &mut generator(seed, Stream::Sample);
    let mut code = alphabet.encode("\n", "it").map_or(0, |codes| codes[0]);
    let (mut state, mut text) = (None, String::with_capacity(length));
    for _ in 0..length {
        let mut input = vec![0.0; alphabet.len()];
        input[usize::from(code)] = 1.0;
        let input = TensorData::new(input, [1, 1, alphabet.len()]);
        let sequence = Sequence {
            inputs: Tensor::from_data(input, device),
            keeps: None,
        };
        let (output, after) = network.predict(&sequence, state);
        let output: Tensor<2> = output.reshape([1, alphabet.len()]);
        let probabilities = activation::softmax(output, 1).into_data();
        let probabilities: Vec<f32> = probabilities.try_into_vec().expect("they are f32");
        code = draw(&probabilities, rng.random()) as u16;
        text.push(alphabet.character(code));
        state = Some(after);
    }
    text
}

/// Which of these probabilities a number from 0 to 1 falls to.
fn draw(probabilities: &[f32], mut number: f32) -> usize {
    let found = probabilities.iter().position(|probability| {
        number -= probability;
        number < 0.0
    });
    // They may come to a little less than one.
    found.unwrap_or(probabilities.len() - 1)
}

/// Writes with the best network that a run has left.
fn write_with(folder: &Path, args: &TextArgs) -> anyhow::Result<()> {
    const LENGTH: usize = 500;
    session::check_single(folder)?;
    let settings: Settings = session::read_settings(folder, Settings::NAME)?;
    let (method, _) = settings.run.only()?;
    session::prepare_kernels(args.machine.kernel_threads.unwrap_or(1))?;
    let backend = args.machine.backend;
    let backend = backend.map_or(settings.run.backend, |backend| backend.resolve());
    let device = backend.device()?;
    let checkpoint = Checkpoint::best_or_last(folder)?;
    let characters = checkpoint
        .data()
        .and_then(|data| data.terms.get(Fingerprint::ALPHABET));
    let alphabet = characters.with_context(|| {
        format!(
            "the run in '{}' does not say which characters it knows",
            folder.display()
        )
    });
    let alphabet = Alphabet::new(alphabet?)?;
    let seed = args.length.seed().unwrap_or(settings.run.seed);
    let mut network = settings.network(method, seed, &alphabet, &device)?;
    checkpoint.restore(&mut network)?;
    let text = write(
        &network,
        &alphabet,
        args.sample.unwrap_or(LENGTH),
        seed,
        &device,
    );
    output::print(&format!("{text}\n"))
}

impl Report {
    /// A row for each method: means over the seeds, with their standard deviation.
    fn table(&self, settings: &Settings) -> Table {
        let has_optimum = self.outcomes.results.iter().any(|r| r.optimum.is_some());
        let mut header = vec!["method", "train bpc", "valid bpc", "test bpc"];
        if has_optimum {
            header.push("optimum");
        }
        header.extend(["best step", "steps/s", "cosine"]);
        let mut table = Table::new(header);
        for method in &settings.run.methods {
            let results = self.outcomes.results.iter().filter(|r| r.method == *method);
            let results: Vec<&RunResult> = results.collect();
            let summary = |digits: usize, figure: &dyn Fn(&RunResult) -> Option<f64>| {
                let figures: Vec<f64> = results.iter().filter_map(|r| figure(r)).collect();
                stats::summary(&figures, digits)
            };
            let mut row = vec![
                method.to_string(),
                summary(3, &|r| Some(r.bits_per_character.train)),
                summary(3, &|r| Some(r.bits_per_character.valid)),
                summary(3, &|r| Some(r.bits_per_character.test)),
            ];
            if has_optimum {
                row.push(summary(3, &|r| r.optimum));
            }
            row.push(summary(0, &|r| Some(r.best_step as f64)));
            row.push(summary(0, &|r| Some(r.steps_per_second)));
            row.push(stats::cosines(
                results.iter().filter_map(|r| r.interfaces.first()),
            ));
            table.add(row);
        }
        table
    }
}
