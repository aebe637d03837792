//! Copy and Repeat Copy by recurrent networks: the paper's section 3.2.
//!
//! The paper's claim: with a synthetic future at the end of every window a network learns to remember
//! over more steps than gradients go back, and over more than by truncated backpropagation through
//! time. README.md here has the figures.
//! Command: `dni copy`, and `dni copy --repeat`. It takes about a minute on two cores.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use burn::tensor::Device;
use clap::Args;
use dni::data::{CopyEpisodes, CopyLevel, Stream, generator};
use dni::run::Checkpoint;
use dni::train::{Notes, Plan, Progress, Task};
use dni::{Backend, Loss, Quality, Recurrent, Window};
use serde::{Deserialize, Serialize};

use crate::args::{MachineArgs, Misuse, OutputArgs, set};
use crate::budget::{Budget, BudgetArgs};
use crate::comparison::{self, Common, Comparison, Outcomes, Run, Settings as _};
use crate::recurrent::{self, CoreKind, RecurrentArgs, RecurrentMethod, RecurrentNetwork};
use crate::stats;
use crate::synthesizer::SynthesizerKind;
use crate::table::Table;

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
    machine: MachineArgs,
    #[command(flatten)]
    output: OutputArgs,
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
    /// `base`, or else the default, changed by the flags that were given.
    fn from_args(base: Option<&Self>, args: &CopyArgs) -> Self {
        let mut s = base.cloned().unwrap_or_else(Self::standard);
        s.budget = args.length.set(&mut s.run, s.budget, &args.machine);
        set(&mut s.run.methods, &args.network.methods);
        set(&mut s.run.batch_size, &args.network.batch_size);
        s.network.set(&args.network);
        s.repeat |= args.task.repeat;
        s
    }

    /// What shows the difference in a minute.
    fn standard() -> Self {
        let budget = Budget::Steps(20_000);
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
                batch_size: 32,
            },
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
        /// Evaluations cost nothing here: they say how far the curriculum is.
        const EVALUATIONS: usize = 20;
        /// Each costs a few steps.
        const COMPARISONS: usize = 50;
        let record_every = (self.run.steps / 200).clamp(1, 100);
        let evaluate_every = self
            .budget
            .share(EVALUATIONS)
            .next_multiple_of(record_every);
        let compare_every = self.budget.share(COMPARISONS).max(200);
        Plan {
            time: self.budget.time(),
            record_every,
            evaluate_every: Some(evaluate_every),
            compare_every: Some(compare_every.next_multiple_of(record_every)),
            check_every: self.run.check_every(record_every),
            save_every: Duration::from_secs(10),
            ..Plan::new(self.run.steps, ())
        }
    }
}

impl comparison::Settings for Settings {
    const NAME: &'static str = "copy";

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

/// Episodes that get harder as soon as they are answered well enough.
struct Curriculum {
    seed: u64,
    batch: usize,
    unroll: usize,
    reach: usize,
    repeat: bool,
    device: Device,
    level: CopyLevel,
    /// The episodes at hand, drawn when they are needed.
    episodes: Option<CopyEpisodes>,
    /// Their number and level, and the step within them.
    episode: u64,
    episode_level: CopyLevel,
    at: usize,
    /// Windows whose loss has not been heard.
    asked: VecDeque<Asked>,
    /// The sum of the losses heard of these episodes, and the steps heard of in all.
    loss: f64,
    heard: usize,
    /// The error of the last episodes in bits.
    bits: Option<f64>,
    /// The step at which each level was solved.
    solved: Vec<usize>,
}

/// A window that was asked for.
struct Asked {
    steps: usize,
    level: CopyLevel,
    is_last: bool,
}

impl Curriculum {
    /// The error per bit of the answers, in bits, below which the next level comes: the paper's.
    const GOOD_ENOUGH: f64 = 0.15;
    /// Episodes that the synthetic future is looked at in.
    const LOOKED_AT: usize = 16;

    fn new(settings: &Settings, seed: u64, device: &Device) -> Self {
        Self {
            seed,
            batch: settings.run.batch_size,
            unroll: settings.network.unroll,
            reach: settings.network.reach(),
            repeat: settings.repeat,
            device: device.clone(),
            level: CopyLevel::FIRST,
            episodes: None,
            episode: 0,
            episode_level: CopyLevel::FIRST,
            at: 0,
            asked: VecDeque::new(),
            loss: 0.0,
            heard: 0,
            bits: None,
            solved: Vec::new(),
        }
    }

    /// The levels solved, each with its step.
    fn solved(&self) -> Vec<Solved> {
        let levels = std::iter::successors(Some(CopyLevel::FIRST), |level| {
            Some(level.next(self.repeat))
        });
        let levels = levels.zip(&self.solved);
        levels
            .map(|(level, &step)| Solved {
                symbols: level.symbols,
                repeats: level.repeats,
                step,
            })
            .collect()
    }

    /// The hardest level solved.
    fn hardest_solved(&self) -> Option<CopyLevel> {
        let solved = self.solved();
        solved.last().map(|solved| CopyLevel {
            symbols: solved.symbols,
            repeats: solved.repeats,
        })
    }

    /// The measure of the paper's table for the hardest level solved: the symbols that were copied,
    /// or the steps of an episode of Repeat Copy.
    fn longest(&self) -> usize {
        self.hardest_solved().map_or(0, |level| {
            if self.repeat {
                level.steps()
            } else {
                level.symbols
            }
        })
    }

    /// Episodes that nobody learns from, always the same of a level.
    fn unseen(&self, level: CopyLevel, episodes: usize) -> CopyEpisodes {
        let rng = &mut generator(self.seed, Stream::Measured);
        CopyEpisodes::draw(level, episodes, rng)
    }

    /// How good the synthetic future is on the level at hand, where the last window before the
    /// answers ends and it stands for all of these; none if an episode is a single window.
    fn quality(&self, network: &Recurrent) -> Option<Quality> {
        let read = self.level.symbols + 2;
        let before = (read / self.unroll).max(1);
        let episodes = self.unseen(self.level, Self::LOOKED_AT);
        let windows = episodes.windows(self.unroll, &self.device);
        recurrent::quality(network, &windows, before, self.reach)
    }

    /// The error per bit of the answers to episodes of a level that nobody has learned from, in
    /// bits.
    fn error(&self, network: &Recurrent, level: CopyLevel) -> f64 {
        const EPISODES: usize = 200;
        let episodes = self.unseen(level, EPISODES);
        let whole = episodes.window(0, level.steps(), &self.device);
        let (outputs, _) = network.predict(&whole.sequence, None);
        let nats = network.losses(outputs, &whole).sum();
        let answered = EPISODES * level.answers() * CopyEpisodes::OUTPUTS;
        f64::from(nats.into_scalar::<f32>()) / answered as f64 / std::f64::consts::LN_2
    }
}

impl Task<Recurrent> for Curriculum {
    fn batch(&mut self, _step: usize) -> Window {
        if self.at == 0 {
            self.episode_level = self.level;
        }
        let (seed, level, batch) = (self.seed, self.episode_level, self.batch);
        let stream = Stream::Episode(self.episode);
        let episodes = self
            .episodes
            .get_or_insert_with(|| CopyEpisodes::draw(level, batch, &mut generator(seed, stream)));
        let window = episodes.window(self.at, self.unroll, &self.device);
        let [steps, _, _] = window.sequence.dims();
        self.at += steps;
        let is_last = window.next.is_none();
        self.asked.push_back(Asked {
            steps,
            level,
            is_last,
        });
        if is_last {
            (self.episodes, self.at) = (None, 0);
            self.episode += 1;
        }
        window
    }

    fn hear(&mut self, loss: f64) {
        let asked = self.asked.pop_front();
        let asked = asked.expect("there is a loss for every window, and no other");
        self.heard += 1;
        self.loss += loss * asked.steps as f64;
        if !asked.is_last {
            return;
        }
        let answered = asked.level.answers() * CopyEpisodes::OUTPUTS;
        let bits = self.loss / answered as f64 / std::f64::consts::LN_2;
        self.loss = 0.0;
        self.bits = Some(bits);
        if bits < Self::GOOD_ENOUGH && asked.level == self.level {
            self.solved.push(self.heard);
            self.level = self.level.next(self.repeat);
        }
    }

    fn evaluate(&mut self, _network: &Recurrent) -> dni::Result<BTreeMap<String, f64>> {
        let mut figures = BTreeMap::from([("longest".to_string(), self.longest() as f64)]);
        figures.extend(self.bits.map(|bits| ("bits".to_string(), bits)));
        Ok(figures)
    }

    fn compare(&mut self, network: &Recurrent) -> Vec<Quality> {
        self.quality(network).into_iter().collect()
    }

    fn notes(&self) -> Notes {
        let mut notes = Notes::new();
        let mut note = |name: &str, value: f64| notes.insert(name.to_string(), value);
        for (name, level) in [("level", self.level), ("episode", self.episode_level)] {
            note(&format!("{name}.symbols"), level.symbols as f64);
            note(&format!("{name}.repeats"), level.repeats as f64);
        }
        note("episode", self.episode as f64);
        note("at", self.at as f64);
        note("loss", self.loss);
        note("heard", self.heard as f64);
        if let Some(bits) = self.bits {
            note("bits", bits);
        }
        for (i, &step) in self.solved.iter().enumerate() {
            note(&format!("solved.{i}"), step as f64);
        }
        notes
    }

    fn recall(&mut self, notes: &Notes) {
        let note = |name: &str| notes.get(name).copied();
        let count = |name: &str| note(name).unwrap_or_default() as usize;
        let level = |name: &str| CopyLevel {
            symbols: count(&format!("{name}.symbols")),
            repeats: count(&format!("{name}.repeats")),
        };
        (self.level, self.episode_level) = (level("level"), level("episode"));
        self.episode = count("episode") as u64;
        self.at = count("at");
        self.loss = note("loss").unwrap_or_default();
        self.heard = count("heard");
        self.bits = note("bits");
        let solved = (0..).map_while(|i| note(&format!("solved.{i}")));
        self.solved = solved.map(|step| step as usize).collect();
    }
}

/// All results of a call.
#[derive(Debug, Serialize)]
pub struct Report {
    experiment: &'static str,
    backend: Backend,
    repeat: bool,
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
    /// Of the longest sequence that it has learned: for Copy the symbols, for Repeat Copy the steps.
    longest: usize,
    /// The error per bit of the last answers, in bits; none if no episode has ended.
    bits: Option<f64>,
    solved: Vec<Solved>,
    /// How good the synthetic future is at the end; empty if there is none to look at.
    interfaces: Vec<Quality>,
    run_dir: String,
}

/// A level that was solved.
#[derive(Debug, Serialize)]
struct Solved {
    symbols: usize,
    repeats: usize,
    /// The training step after which it was.
    step: usize,
}

/// `dni copy`.
pub fn run(args: CopyArgs) -> anyhow::Result<()> {
    let (comparison, report) = compare(&args)?;
    comparison.print(&report, &report.outcomes, args.output.format, |report| {
        report.table(&comparison.settings)
    })?;
    report.outcomes.check()
}

/// Trains what the flags ask for.
pub fn compare(args: &CopyArgs) -> anyhow::Result<(Comparison<Settings>, Report)> {
    let settings = |base: Option<&_>| Settings::from_args(base, args);
    // There is nothing that could be missing.
    let prepare = |_: &Settings| Ok(());
    let (comparison, ()) = Comparison::open(&args.machine, &args.output, settings, prepare)?;
    let settings = &comparison.settings;
    let report = Report {
        experiment: Settings::NAME,
        backend: settings.run.backend,
        repeat: settings.repeat,
        unroll: settings.network.unroll,
        outcomes: comparison.run(run_one)?,
    };
    Ok((comparison, report))
}

/// Figures of a run that has been trained, on episodes that it has not seen: the error of the level
/// that it was learning, and of the hardest one that it had solved.
pub fn evaluate(checkpoint: Checkpoint, device: &Device) -> anyhow::Result<BTreeMap<String, f64>> {
    let settings: Settings = toml::from_str(checkpoint.settings())?;
    let (method, seed) = settings.run.only()?;
    let mut network = settings.network(method, seed, device)?;
    let mut curriculum = Curriculum::new(&settings, seed, device);
    curriculum.recall(checkpoint.notes());
    checkpoint.restore(&mut network)?;
    let mut figures = BTreeMap::from([
        ("longest".to_string(), curriculum.longest() as f64),
        (
            "bits".to_string(),
            curriculum.error(&network, curriculum.level),
        ),
    ]);
    let hardest = curriculum.hardest_solved();
    let longest_bits = hardest.map(|level| curriculum.error(&network, level));
    figures.extend(longest_bits.map(|bits| ("longest_bits".to_string(), bits)));
    Ok(figures)
}

/// Trains one run.
fn run_one(run: &Run<Settings>) -> anyhow::Result<RunResult> {
    let settings = &run.settings;
    let mut network = settings.network(run.method, run.seed, run.device)?;
    let mut curriculum = Curriculum::new(settings, run.seed, run.device);
    let Progress { step, seconds } = run.train(&mut network, &mut curriculum, &settings.plan())?;
    let longest = curriculum.longest();
    run.say(&format!(
        "{step} steps in {seconds:.1} s, longest {longest}"
    ));
    Ok(RunResult {
        method: run.method,
        seed: run.seed,
        steps: step,
        seconds,
        steps_per_second: step as f64 / seconds,
        longest,
        bits: curriculum.bits,
        solved: curriculum.solved(),
        interfaces: curriculum.compare(&network),
        run_dir: run.folder.display().to_string(),
    })
}

impl Report {
    /// A row for each method: means over the seeds, with their standard deviation.
    fn table(&self, settings: &Settings) -> Table {
        let mut table = Table::new(["method", "longest", "levels solved", "steps/s", "cosine"]);
        for method in &settings.run.methods {
            let results = self.outcomes.results.iter().filter(|r| r.method == *method);
            let results: Vec<&RunResult> = results.collect();
            let summary = |digits: usize, figure: &dyn Fn(&RunResult) -> Option<f64>| {
                let figures: Vec<f64> = results.iter().filter_map(|r| figure(r)).collect();
                stats::summary(&figures, digits)
            };
            table.add([
                method.to_string(),
                summary(1, &|r| Some(r.longest as f64)),
                summary(1, &|r| Some(r.solved.len() as f64)),
                summary(0, &|r| Some(r.steps_per_second)),
                stats::cosines(results.iter().filter_map(|r| r.interfaces.first())),
            ]);
        }
        table
    }
}
