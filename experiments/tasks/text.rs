//! A character language model by recurrent networks: the paper's section 3.2, its Penn Treebank.
//!
//! The paper's claim: with a synthetic future at the end of every window a network models text
//! better than by truncated backpropagation through time over the same window. experiments/README.md has
//! the figures.
//! Command: `dni text`. It takes about two minutes on two cores.

mod measures;
mod reader;
mod writing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use burn::tensor::Device;
use clap::Args;
use dni::data::Alphabet;
use dni::report::Measure;
use dni::train::{Plan, Task};
use dni::{Loss, Recurrent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::{Misuse, length};
use crate::budget::Budget;
use crate::comparison::Run;
use crate::corpus::{self, TextDataArgs, Texts};
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::flags::Flags;
use crate::recurrent::{CoreKind, RecurrentMethod, RecurrentNetwork};
use crate::sequences::{SequenceArgs, SequenceTask, Settings};
use measures::{Figures, measure};
use reader::{Reader, VALID, bits_per_character};
use writing::{characters, write_with};

/// The text, and how long it is read.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
pub struct Text {
    #[command(flatten)]
    #[serde(flatten)]
    text: corpus::Text,
    /// Steps between two evaluations on the validation text [default: a twentieth of the steps]
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length")]
    eval_every: Option<usize>,
    /// Evaluations without a new best one on the validation text after which a run ends
    #[arg(long, value_name = "N", value_parser = length, help_heading = "Length", default_value = "10")]
    patience: usize,
}

/// Flags that change nothing about the training.
#[derive(Debug, Args)]
pub struct OwnArgs {
    #[command(flatten)]
    data: TextDataArgs,
    /// Characters to write with the trained model [default: 0, with --load 500]
    #[arg(long, value_name = "N", help_heading = "Output", value_parser = characters)]
    sample: Option<usize>,
    /// Write text with the trained model of this run, and end
    #[arg(long, value_name = "RUN", help_heading = "Output", conflicts_with_all = ["resume", "run_dir"])]
    load: Option<PathBuf>,
}

impl SequenceTask for Text {
    const NAME: &'static str = "text";
    const LOSS: Loss = Loss::CrossEntropy;
    type Call = OwnArgs;

    /// What shows the difference in two minutes.
    fn standard() -> Settings<Self> {
        let network = RecurrentNetwork {
            unroll: 8,
            scale: 0.1,
            lr: 2e-3,
            ..RecurrentNetwork::new(CoreKind::Lstm, 256)
        };
        Settings::new(3_000, 64, network)
    }

    /// The alphabet says it.
    fn sizes(&self) -> (usize, usize) {
        (1, 1)
    }

    fn check(&self, _batch: usize) -> Result<(), Misuse> {
        if self.eval_every == Some(0) || self.patience == 0 {
            return Err(Misuse(
                "looks at the validation text must be at least 1 step apart, and at least 1 of \
                 them waited for"
                    .to_string(),
            ));
        }
        self.text.check()
    }

    fn memory(&self) -> u128 {
        self.text.memory()
    }

    fn complete(&mut self, flags: &Flags<Self>) {
        if flags.has("corpus") {
            self.text.files = corpus::files(&self.text.files);
        }
    }

    fn resolve(&mut self, budget: Budget) {
        self.eval_every = self.eval_every.or(Some(budget.share(20)));
    }
}

impl Settings<Text> {
    fn network(
        &self,
        method: RecurrentMethod,
        seed: u64,
        alphabet: &Alphabet,
        device: &Device,
    ) -> Result<Recurrent, Misuse> {
        let size = alphabet.len();
        self.network
            .build(method, seed, (Text::LOSS, size, size), device)
    }

    fn plan(&self) -> Plan<()> {
        /// Each costs a few steps.
        const COMPARISONS: usize = 30;
        let evaluate_every = self.task.eval_every.unwrap_or(self.budget.share(20));
        let plan = self.run.plan(50, evaluate_every, ());
        let compare_every = self.budget.share(COMPARISONS).max(100);
        Plan {
            time: self.budget.time(),
            compare_every: Some(compare_every.next_multiple_of(plan.record_every)),
            ..plan
        }
    }
}

/// What the runs of a call share.
pub struct Shared {
    texts: Texts,
    /// Characters to write.
    sample: Option<usize>,
}

type Column = experiment::Column<Figures>;

impl Experiment for Settings<Text> {
    const ABOUT: &'static str = "A character language model with synthetic gradients through time";

    type Shared = Shared;
    type Figures = Figures;

    fn about(&self) -> Value {
        json!({"source": self.task.text.name(), "unroll": self.network.unroll})
    }

    fn instead(args: &SequenceArgs<Text>) -> anyhow::Result<bool> {
        match &args.own.load {
            Some(folder) => write_with(folder, args).map(|()| true),
            None => Ok(false),
        }
    }

    fn prepare(&self, args: &SequenceArgs<Text>) -> anyhow::Result<Shared> {
        let quiet = args.call.output.quiet;
        let texts = args.own.data.texts(&self.task.text, quiet)?;
        texts.check(self.run.batch_size, self.network.unroll)?;
        let sample = args.own.sample.filter(|&length| length > 0);
        Ok(Shared { texts, sample })
    }

    fn go_on_with(&self, args: &SequenceArgs<Text>) -> Vec<(&'static str, Option<String>)> {
        let sample = args.own.sample.map(|length| length.to_string());
        vec![
            args.own.data.go_on_with(self.task.text.source),
            ("--sample", sample),
        ]
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
            name: "bits for a character of the test text".to_string(),
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
        let text = &settings.task.text;
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
