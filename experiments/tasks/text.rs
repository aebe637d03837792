//! A character language model by recurrent networks: the paper's section 3.2, its Penn Treebank.
//!
//! The paper's claim: with a synthetic future at the end of every window a network models text
//! better than by truncated backpropagation through time over the same window. experiments/README.md has
//! the figures.
//! Command: `dni text`. It takes about two minutes on two cores.

mod reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::tensor::Device;
use clap::Args;
use dni::data::{Alphabet, Fingerprint, Lanes, Language, Reading};
use dni::run::Checkpoint;
use dni::train::{Plan, Task};
use dni::{Loss, Recurrent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::{CallArgs, Misuse, length, set};
use crate::budget::{Budget, BudgetArgs};
use crate::comparison::{self, Common, Run, Settings as _};
use crate::corpus::{Source, Text, TextDataArgs, Texts};
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::recurrent::{CoreKind, RecurrentArgs, RecurrentMethod, RecurrentNetwork};
use crate::synthesizer::SynthesizerKind;
use crate::verdict::Measure;
use crate::writing::write;
use crate::{output, session};
use reader::{Reader, VALID, bits_per_character};

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
    /// End a run after so many looks at the validation text without a new best one [default: 10]
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length")]
    patience: Option<usize>,
    #[command(flatten)]
    call: CallArgs,
    /// Characters to write with the trained model [default: 0, with --load 500]
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = characters)]
    sample: Option<usize>,
    /// Write with the model that this run has left, and end
    #[arg(long, value_name = "RUN", help_heading = "Output", conflicts_with_all = ["resume", "run_dir"])]
    load: Option<PathBuf>,
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

impl Settings {
    /// What shows the difference in two minutes.
    fn standard() -> Self {
        let budget = Budget::Steps(3_000);
        Self {
            run: Common::new(
                Self::NAME,
                RecurrentMethod::ALL.to_vec(),
                budget.steps(),
                64,
            ),
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

    fn text(&self) -> Text {
        Text {
            source: self.source,
            files: self.corpus.clone(),
            characters: self.characters,
        }
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
        let plan = self.run.plan(50, self.evaluate_every(), ());
        let compare_every = self.budget.share(COMPARISONS).max(100);
        Plan {
            time: self.budget.time(),
            compare_every: Some(compare_every.next_multiple_of(plan.record_every)),
            ..plan
        }
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "text";

    type Method = RecurrentMethod;
    type Args = TextArgs;

    fn from_args(base: Option<&Self>, args: &TextArgs) -> Self {
        let mut s = base.cloned().unwrap_or_else(Self::standard);
        s.budget = args.length.set(&mut s.run, s.budget, &args.call.machine);
        set(&mut s.run.methods, &args.network.methods);
        set(&mut s.run.batch_size, &args.network.batch_size);
        set(&mut s.source, &args.data.source);
        set(&mut s.corpus, &args.data.files());
        set(&mut s.characters, &args.data.characters);
        s.eval_every = args.eval_every.or(s.eval_every);
        set(&mut s.patience, &args.patience);
        s.network.set(&args.network);
        s
    }

    fn resolve(&mut self) {
        self.eval_every = Some(self.evaluate_every());
        self.network.resolve();
    }

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
        let text = match self.text().is_drawn() {
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

/// What is measured of a run.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Characters learned from, each as often as it was read.
    characters: usize,
    /// The step after which the network was best on the validation text; that network is measured.
    best_step: usize,
    bits_per_character: Bits,
    /// What the test text takes for one who knows only how often each character comes.
    guessing: f64,
    /// What the test text takes for one who knows the language; none for other texts.
    optimum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<String>,
}

type Column = experiment::Column<Figures>;

/// Bits per character.
#[derive(Debug, Serialize)]
struct Bits {
    /// Of the beginning of the training text, as long as the test text.
    train: f64,
    valid: f64,
    test: f64,
}

/// What the runs of a call share.
pub struct Shared {
    texts: Texts,
    /// Characters to write.
    sample: Option<usize>,
}

impl Experiment for Settings {
    const ABOUT: &'static str = "A character language model with synthetic gradients through time";
    const LENGTH: &'static str = "--budget";
    const TRIAL: &'static [(&'static str, usize)] =
        &[("--characters", 20_000), ("--eval-every", 1_000_000)];

    const REFERENCE: &'static str = "bptt";

    type Shared = Shared;
    type Figures = Figures;

    fn about(&self) -> Value {
        json!({"source": self.text().name(), "unroll": self.network.unroll})
    }

    fn instead(args: &TextArgs) -> anyhow::Result<bool> {
        match &args.load {
            Some(folder) => write_with(folder, args).map(|()| true),
            None => Ok(false),
        }
    }

    /// Also refuses a part that is too short to learn from or to measure on.
    fn prepare(&self, args: &TextArgs) -> anyhow::Result<Shared> {
        let texts = args.data.texts(self.text(), args.call.output.quiet)?;
        let [train, valid, test] = texts.lengths();
        let blank = |length: usize| vec![0; length];
        Lanes::new(blank(train), 1, self.run.batch_size, self.network.unroll)
            .context("cannot cut the training text into windows")?;
        for (name, length) in [("validation", valid), ("test", test)] {
            Reading::new(blank(length), 1, 1, 1, 0)
                .with_context(|| format!("cannot measure on the {name} text"))?;
        }
        let sample = args.sample.filter(|&length| length > 0);
        Ok(Shared { texts, sample })
    }

    fn go_on_with(&self, args: &TextArgs) -> Vec<(&'static str, Option<String>)> {
        let sample = args.sample.map(|length| length.to_string());
        vec![args.data.go_on_with(self.source), ("--sample", sample)]
    }

    fn train(run: &Run<Self>, shared: &Shared) -> anyhow::Result<Trained<Figures>> {
        let settings = &run.settings;
        let corpus = shared.texts.of_seed(run.seed)?;
        let mut network = settings.network(run.method, run.seed, &corpus.alphabet, run.device)?;
        let mut reader = Reader::new(run, &corpus)?;
        let progress = run.train(&mut network, &mut reader, &settings.plan())?;
        let figures = measure(run, &mut network, &reader, progress.step, shared.sample)
            .with_context(|| format!("{} cannot be measured", run.label))?;
        let bits = figures.bits_per_character.test;
        Ok(Trained {
            progress,
            in_words: format!("{bits:.3} bits per character of the test text"),
            figures,
            interfaces: reader.compare(&network),
        })
    }

    fn measure(&self, figures: &Figures) -> Measure {
        Measure {
            name: "bits for a character of the test text",
            value: figures.bits_per_character.test,
            guessing: figures.guessing,
            best: figures.optimum,
            less_is_better: true,
            is_share: false,
        }
    }

    fn columns(&self, results: &[RunResult<Figures>]) -> Vec<Column> {
        let mut columns = vec![
            Column::new("train bpc", 3, |r| Some(r.figures.bits_per_character.train)),
            Column::new("valid bpc", 3, |r| Some(r.figures.bits_per_character.valid)),
            Column::new("test bpc", 3, |r| Some(r.figures.bits_per_character.test)),
        ];
        if results.iter().any(|r| r.figures.optimum.is_some()) {
            columns.push(Column::new("optimum", 3, |r| r.figures.optimum));
        }
        columns.extend([
            Column::new("best step", 0, |r| Some(r.figures.best_step as f64)),
            Column::speed(0),
            Column::worth(),
        ]);
        columns
    }

    fn below_table(results: &[RunResult<Figures>]) -> String {
        let samples = results.iter().filter_map(|r| {
            let sample = r.figures.sample.as_ref()?;
            Some(format!("\n{}, seed {}:\n{sample}\n", r.method, r.seed))
        });
        samples.collect()
    }

    /// On the texts held out.
    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>> {
        let (settings, device) = (&saved.settings, saved.device);
        let text = settings.text();
        let corpus = text.load(saved.data.data_dir.as_deref(), saved.seed, true)?;
        saved.checkpoint.check_data(&text.fingerprint(&corpus))?;
        let alphabet = &corpus.alphabet;
        let mut network = settings.network(saved.method, saved.seed, alphabet, device)?;
        saved.checkpoint.restore(&mut network)?;
        let bits = |codes| bits_per_character(&network, codes, alphabet.len(), device);
        Ok(BTreeMap::from([
            (VALID.to_string(), bits(&corpus.valid)?),
            ("test_bits_per_character".to_string(), bits(&corpus.test)?),
        ]))
    }
}

/// Measures the best network of a run, which takes the place of the last one.
fn measure(
    run: &Run<Settings>,
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
    let is_language = run.settings.text().is_drawn();
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

/// Writes with the best network that a run has left.
fn write_with(folder: &Path, args: &TextArgs) -> anyhow::Result<()> {
    const LENGTH: usize = 500;
    session::check_single(folder)?;
    let settings: Settings = session::read_settings(folder, Settings::NAME)?;
    let (method, _) = settings.run.only()?;
    session::prepare_kernels(args.call.machine.kernel_threads.unwrap_or(1))?;
    let backend = args.call.machine.backend;
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
    let seed = args.length.seeds.seed.unwrap_or(settings.run.seed);
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
