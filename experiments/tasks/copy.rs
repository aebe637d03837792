//! Copy and Repeat Copy by recurrent networks: the paper's section 3.2.
//!
//! The paper's claim: with a synthetic future at the end of every window a network learns to remember
//! over more steps than gradients go back, and over more than by truncated backpropagation through
//! time. experiments/README.md has the figures.
//! Command: `dni copy`, and `dni copy --repeat`. It takes about a minute on two cores.

mod curriculum;

use std::collections::BTreeMap;

use burn::tensor::Device;
use clap::Args;
use dni::data::CopyEpisodes;
use dni::train::{Plan, Task};
use dni::{Loss, Recurrent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::args::{CallArgs, Misuse, set};
use crate::budget::{Budget, BudgetArgs};
use crate::comparison::{self, Common, Run, Settings as _};
use crate::experiment::{self, Experiment, RunResult, Saved, Trained};
use crate::recurrent::{CoreKind, RecurrentArgs, RecurrentMethod, RecurrentNetwork};
use crate::synthesizer::SynthesizerKind;
use crate::verdict::Measure;
use curriculum::{Curriculum, Solved};

/// Flags of `dni copy`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct CopyArgs {
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    network: RecurrentArgs,
    #[command(flatten)]
    length: BudgetArgs,
    #[command(flatten)]
    call: CallArgs,
}

/// The task.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Task")]
pub struct TaskArgs {
    /// Repeat Copy: the symbols are asked for several times
    #[arg(long)]
    repeat: bool,
}

/// Everything that decides what happens: written to the run's folder, and enough to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    run: Common<RecurrentMethod>,
    budget: Budget,
    repeat: bool,
    network: RecurrentNetwork,
}

impl Settings {
    /// What shows the difference in a minute.
    fn standard() -> Self {
        let budget = Budget::Steps(20_000);
        Self {
            run: Common::new(
                Self::NAME,
                RecurrentMethod::ALL.to_vec(),
                budget.steps(),
                32,
            ),
            budget,
            repeat: false,
            network: RecurrentNetwork {
                core: CoreKind::Gru,
                units: 128,
                unroll: 5,
                synthesizer: SynthesizerKind::Linear,
                scale: 1.0,
                scale_targets: true,
                lr: 1e-3,
                synthesizer_lr: None,
            },
        }
    }

    fn network(
        &self,
        method: RecurrentMethod,
        seed: u64,
        device: &Device,
    ) -> Result<Recurrent, Misuse> {
        let task = (
            Loss::BinaryCrossEntropy,
            CopyEpisodes::INPUTS,
            CopyEpisodes::OUTPUTS,
        );
        self.network.build(method, seed, task, device)
    }

    fn plan(&self) -> Plan<()> {
        // Evaluations cost nothing here: they say how far the curriculum is.
        self.budget.plan(&self.run, 20, 50)
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "copy";

    type Method = RecurrentMethod;
    type Args = CopyArgs;

    fn from_args(base: Option<&Self>, args: &CopyArgs) -> Self {
        let mut s = base.cloned().unwrap_or_else(Self::standard);
        s.budget = args.length.set(&mut s.run, s.budget, &args.call.machine);
        set(&mut s.run.methods, &args.network.methods);
        set(&mut s.run.batch_size, &args.network.batch_size);
        s.network.set(&args.network);
        s.repeat |= args.task.repeat;
        s
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
        self.network.check()
    }

    fn memory(&self) -> u128 {
        self.network
            .memory(self.run.batch_size, CopyEpisodes::INPUTS)
    }

    fn set_length(&mut self, other: &Self) {
        (self.budget, self.run.steps) = (other.budget, other.run.steps);
    }

    fn is_longer_than(&self, other: &Self) -> bool {
        self.budget.is_longer_than(other.budget)
    }

    fn resolve(&mut self) {
        self.network.resolve();
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

impl Experiment for Settings {
    const ABOUT: &'static str =
        "Copy and Repeat Copy by recurrent networks whose windows have a synthetic future";
    const LENGTH: &'static str = "--budget";

    const REFERENCE: &'static str = "bptt";

    type Shared = ();
    type Figures = Figures;

    fn about(&self) -> Value {
        json!({"repeat": self.repeat, "unroll": self.network.unroll})
    }

    fn prepare(&self, _args: &Self::Args) -> anyhow::Result<()> {
        Ok(())
    }

    fn train(run: &Run<Self>, (): &()) -> anyhow::Result<Trained<Figures>> {
        let settings = &run.settings;
        let mut network = settings.network(run.method, run.seed, run.device)?;
        let mut curriculum = Curriculum::new(settings, run.seed, run.device);
        let progress = run.train(&mut network, &mut curriculum, &settings.plan())?;
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
            name: match self.repeat {
                true => "steps in the longest sequence that it has learned",
                false => "symbols in the longest sequence that it has learned",
            },
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
        let mut network = settings.network(saved.method, saved.seed, device)?;
        let mut curriculum = Curriculum::new(settings, saved.seed, device);
        curriculum.recall(saved.checkpoint.notes());
        saved.checkpoint.restore(&mut network)?;
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
