//! Copy and Repeat Copy by recurrent networks: the paper's section 3.2.
//!
//! The paper's claim: with a synthetic future at the end of every window a network learns to remember
//! over more steps than gradients go back, and over more than by truncated backpropagation through
//! time. experiments/README.md has the figures.
//! Command: `dni copy`, and `dni copy --repeat`. It takes about a minute on two cores.

mod curriculum;

use std::collections::BTreeMap;

use clap::Args;
use dni::Loss;
use dni::data::CopyEpisodes;
use dni::report::Measure;
use dni::train::Task;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::NoArgs;
use crate::comparison::Run;
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::recurrent::{CoreKind, RecurrentNetwork};
use crate::sequences::{SequenceTask, Settings};
use curriculum::{Curriculum, Solved};

/// Which of the two is learned.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Task")]
pub struct Copy {
    /// Learn Repeat Copy: the symbols must be repeated several times
    #[arg(long)]
    repeat: bool,
}

impl SequenceTask for Copy {
    const NAME: &'static str = "copy";
    const LOSS: Loss = Loss::BinaryCrossEntropy;
    type Call = NoArgs;

    /// What shows the difference in a minute.
    fn standard() -> Settings<Self> {
        let network = RecurrentNetwork::new(CoreKind::Gru, 128);
        Settings::new(20_000, 32, network)
    }

    fn sizes(&self) -> (usize, usize) {
        (CopyEpisodes::INPUTS, CopyEpisodes::OUTPUTS)
    }
}

/// What is measured of a run.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Of the longest sequence that it has learned: for Copy the symbols, for Repeat Copy the steps.
    longest: usize,
    /// The error per bit of the last answers, in bits; none if no episode has ended.
    bits: Option<f64>,
    solved: Vec<Solved>,
}

type Column = experiment::Column<Figures>;

impl Experiment for Settings<Copy> {
    const ABOUT: &'static str =
        "Copy and Repeat Copy by recurrent networks whose windows have a synthetic future";

    type Shared = ();
    type Figures = Figures;

    fn about(&self) -> Value {
        json!({"repeat": self.task.repeat, "unroll": self.network.unroll})
    }

    fn prepare(&self, _args: &Self::Args) -> anyhow::Result<()> {
        Ok(())
    }

    fn train(run: &Run<Self>, (): &()) -> anyhow::Result<Trained<Figures>> {
        let settings = &run.settings;
        let mut network = settings.build(run.method, run.seed, run.device)?;
        let mut curriculum = Curriculum::new(settings, run.seed, run.device);
        // Evaluations cost nothing here: they say how far the curriculum is.
        let plan = settings.budget.plan(&settings.run, 20, 50);
        let progress = run.train(&mut network, &mut curriculum, &plan)?;
        let longest = curriculum.longest();
        Ok(Trained {
            progress,
            in_words: format!("longest {longest}"),
            figures: Figures {
                longest,
                bits: curriculum.bits,
                solved: curriculum.solved(),
            },
            interfaces: curriculum.compare(&network),
        })
    }

    fn measure(&self, figures: &Figures) -> Measure {
        Measure {
            name: match self.task.repeat {
                true => "steps in the longest sequence that it has learned",
                false => "symbols in the longest sequence that it has learned",
            }
            .to_string(),
            value: figures.longest as f64,
            guessing: 0.0,
            best: None,
            less_is_better: false,
            is_share: false,
        }
    }

    fn columns(&self, _results: &[RunResult<Figures>]) -> Vec<Column> {
        vec![
            Column::new("longest", 1, |r| Some(r.figures.longest as f64)),
            Column::new("levels solved", 1, |r| Some(r.figures.solved.len() as f64)),
            Column::speed(0),
            Column::worth(),
        ]
    }

    /// On episodes that the run has not seen: the error of the level that it was learning, and of the
    /// hardest one that it had solved.
    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>> {
        let (settings, device) = (&saved.settings, saved.device);
        let mut curriculum = Curriculum::new(settings, saved.seed, device);
        curriculum.recall(saved.checkpoint.notes());
        let network = saved.network()?;
        let bits = curriculum.error(&network, curriculum.level);
        let mut figures = BTreeMap::from([
            ("longest".to_string(), curriculum.longest() as f64),
            ("bits".to_string(), bits),
        ]);
        let hardest = curriculum.hardest_solved();
        let longest_bits = hardest.map(|level| curriculum.error(&network, level));
        figures.extend(longest_bits.map(|bits| ("longest_bits".to_string(), bits)));
        Ok(figures)
    }
}
