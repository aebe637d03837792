//! What an experiment is, and what is the same for all of them: how its runs are made, put side by
//! side, reported, and measured again.

mod column;

use std::collections::BTreeMap;

use burn::tensor::Device;
use clap::{ArgMatches, FromArgMatches};
use dni::data::ImageSet;
use dni::quality::WeightedCosine;
use dni::report::{Measure, Record};
use dni::run::Checkpoint;
use dni::train::Progress;
use dni::{Backend, Quality};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{CallArgs, Format, Misuse};
use crate::comparison::{Comparison, Outcomes, Run, Settings};
use crate::source::{DataArgs, ImageData, TestDataArgs};
use crate::table::Table;
use crate::verdict;
use crate::{output, results, session};

pub use column::Column;

/// A task, the networks that learn it, and what is measured of them, by its settings.
pub trait Experiment: Settings {
    /// What its command does, in the list of commands.
    const ABOUT: &'static str;

    /// Steps after which the time of a step can be told, as evaluations in between take little of it.
    const TRIAL_STEPS: usize = 8;

    /// What the runs of a call share.
    type Shared: Sync;

    /// What is measured of a trained network, as it stands in the results.
    type Figures: Serialize + Send;

    /// Loads what the runs share, and refuses what is missing before a folder is made.
    fn prepare(&self, args: &Self::Args) -> anyhow::Result<Self::Shared>;

    /// Trains one run, and measures it.
    fn train(run: &Run<Self>, shared: &Self::Shared) -> anyhow::Result<Trained<Self::Figures>>;

    /// The figure that says how well a run has learned its task.
    fn measure(&self, figures: &Self::Figures) -> Measure;

    /// The columns of the table of such results.
    fn columns(&self, results: &[RunResult<Self::Figures>]) -> Vec<Column<Self::Figures>>;

    /// Figures of a run that was trained earlier, by their names.
    fn evaluate(saved: Saved<Self>) -> anyhow::Result<BTreeMap<String, f64>>;

    /// The images that its networks look at, and may be measured on others. Default: none.
    fn images(&self) -> Option<&ImageData> {
        None
    }

    /// Where its images are, if there are any. Default: nowhere.
    fn files(_args: &Self::Args) -> Option<&DataArgs> {
        None
    }

    /// What the report says of the task. Default: nothing.
    fn about(&self) -> Value {
        json!({})
    }

    /// Flags that the command that goes on needs as well, with a word as a shell reads it if they
    /// were given. Default: what finds the images.
    fn go_on_with(&self, args: &Self::Args) -> Vec<(&'static str, Option<String>)> {
        let images = Self::files(args).zip(self.images());
        let flag = images.map(|(files, images)| files.go_on_with(images));
        flag.into_iter().collect()
    }

    /// Does what flags ask for instead of training: whether they do. Default: they do not.
    fn instead(_args: &Self::Args) -> anyhow::Result<bool> {
        Ok(false)
    }

    /// What is printed below the table. Default: nothing.
    fn below_table(_results: &[RunResult<Self::Figures>]) -> String {
        String::new()
    }
}

/// A run that has been trained, and what was measured of it.
pub struct Trained<F> {
    pub progress: Progress,
    pub figures: F,
    /// The most important of them.
    pub in_words: String,
    /// How good the synthetic gradients are at the end; empty if there are none to look at.
    pub interfaces: Vec<Quality>,
}

/// A run that was trained earlier, to be measured again.
pub struct Saved<'a, S: Settings> {
    pub settings: S,
    pub method: S::Method,
    pub seed: u64,
    pub checkpoint: Checkpoint,
    /// Other images, if they are wished.
    pub data: &'a TestDataArgs,
    pub device: &'a Device,
}

impl<S: Settings> Saved<'_, S> {
    /// The images to measure its network with, which was trained on `own` ones.
    pub fn images(&self, own: &ImageData) -> anyhow::Result<ImageSet> {
        self.data.load(&self.checkpoint, self.seed, own)
    }
}

/// All results of a call.
#[derive(Debug, Serialize)]
pub struct Report<F> {
    experiment: &'static str,
    backend: Backend,
    #[serde(flatten)]
    about: Value,
    #[serde(flatten)]
    outcomes: Outcomes<RunResult<F>>,
}

/// The result of one run.
#[derive(Debug, Serialize)]
pub struct RunResult<F> {
    pub method: String,
    pub seed: u64,
    pub steps: usize,
    pub seconds: f64,
    pub steps_per_second: f64,
    #[serde(flatten)]
    pub figures: F,
    /// How well it has learned.
    pub measure: Measure,
    /// How good the synthetic gradients were in the end.
    pub interfaces: Vec<Quality>,
    /// What they were worth on the way.
    pub worth: Vec<Worth>,
    pub run_dir: String,
}

/// What the synthetic gradients of an interface were worth while there was something to learn.
#[derive(Debug, Serialize)]
pub struct Worth {
    pub interface: String,
    /// The mean cosine with the true gradient, weighted by its norm; none if they were never compared.
    pub cosine: Option<f64>,
}

/// The command of an experiment.
pub fn run<E: Experiment>(flags: &ArgMatches) -> anyhow::Result<()> {
    let (args, call) = (
        E::Args::from_arg_matches(flags)?,
        CallArgs::from_arg_matches(flags)?,
    );
    if E::instead(&args)? || shows_images::<E>(&args, call.output.quiet)? {
        return Ok(());
    }
    let (comparison, report) = compare::<E>(&args, &call)?;
    let format = call.output.format;
    comparison.print(&report, &report.outcomes, format, |report| {
        let table = report.table(&comparison.settings).to_text();
        format!("{table}\n{}\n", report.sentences(&comparison.settings))
    })?;
    if let Format::Text = format {
        output::print(&E::below_table(&report.outcomes.results))?;
    }
    report.outcomes.check()
}

/// Writes a sheet of the images, if that is asked for: whether it is.
fn shows_images<E: Experiment>(args: &E::Args, quiet: bool) -> anyhow::Result<bool> {
    let Some(files) = E::files(args).filter(|files| files.show.is_some()) else {
        return Ok(false);
    };
    let settings = E::from_args(None, args);
    match settings.images() {
        Some(images) => files.show(images, settings.common().seed, quiet),
        None => Ok(false),
    }
}

/// The results of the command, which prints nothing on stdout.
pub fn results<E: Experiment>(flags: &ArgMatches) -> anyhow::Result<Value> {
    let (args, call) = (
        E::Args::from_arg_matches(flags)?,
        CallArgs::from_arg_matches(flags)?,
    );
    let (_, report) = compare::<E>(&args, &call)?;
    Ok(serde_json::to_value(report)?)
}

/// What a call would do.
pub struct Outline {
    /// The settings that it would leave in its folder.
    pub settings: String,
    pub runs: usize,
    pub backend: Backend,
    /// Bytes that a run needs at the very least.
    pub memory: u128,
    /// Whether a run takes the machine for itself.
    pub is_alone: bool,
}

/// What the flags ask for, which nothing is done of but to refuse what could not be trained.
pub fn outline<E: Experiment>(flags: &ArgMatches) -> anyhow::Result<Outline> {
    let mut settings = E::from_args(None, &E::Args::from_arg_matches(flags)?);
    settings.check()?;
    settings.resolve();
    let common = settings.common();
    Ok(Outline {
        settings: session::write_settings(&settings)?,
        runs: common.methods.len() * common.seeds,
        backend: common.backend,
        memory: settings.memory(),
        is_alone: settings.is_alone(),
    })
}

/// Trains what the flags ask for.
fn compare<E: Experiment>(
    args: &E::Args,
    call: &CallArgs,
) -> anyhow::Result<(Comparison<E>, Report<E::Figures>)> {
    let settings = |base: Option<&E>| E::from_args(base, args);
    let prepare = |settings: &E| settings.prepare(args);
    let (mut comparison, shared) = Comparison::open(call, settings, prepare)?;
    for (flag, word) in comparison.settings.go_on_with(args) {
        comparison.go_on_with(flag, word);
    }
    let report = |outcomes| Report {
        experiment: E::NAME,
        backend: comparison.settings.common().backend,
        about: comparison.settings.about(),
        outcomes,
    };
    let one = |run: &Run<E>| {
        let result = RunResult::new(run, E::train(run, &shared)?)?;
        let mut alone = report(Outcomes {
            results: vec![result],
            failures: Vec::new(),
        });
        results::write(&run.folder, &alone)?;
        Ok(alone.outcomes.results.remove(0))
    };
    let report = report(comparison.run(one)?);
    comparison.keep(&report)?;
    Ok((comparison, report))
}

/// Figures of a run that was trained earlier, on data that it has not learned from.
pub fn evaluate<E: Experiment>(
    checkpoint: Checkpoint,
    data: &TestDataArgs,
    device: &Device,
) -> anyhow::Result<BTreeMap<String, f64>> {
    let settings: E = dni::run::read_settings(checkpoint.settings())?;
    if data.data.is_some() && settings.images().is_none() {
        let reason = format!("dni {} uses no images; leave out --data", E::NAME);
        return Err(Misuse(reason).into());
    }
    let (method, seed) = settings.common().only()?;
    E::evaluate(Saved {
        settings,
        method,
        seed,
        checkpoint,
        data,
        device,
    })
}

impl<F> RunResult<F> {
    /// Also says how the run went.
    fn new<E>(run: &Run<E>, trained: Trained<F>) -> anyhow::Result<Self>
    where
        E: Experiment<Figures = F>,
    {
        let Progress { step, seconds } = trained.progress;
        run.say(&format!(
            "{step} steps in {seconds:.1} s, {}",
            trained.in_words
        ));
        let of_interface = |(interface, worth): (String, WeightedCosine)| Worth {
            interface,
            cosine: worth.mean(),
        };
        // The curves are not wanted here.
        let record = Record::read(&run.folder, 1)?;
        Ok(Self {
            method: run.method.to_string(),
            seed: run.seed,
            steps: step,
            seconds,
            steps_per_second: step as f64 / seconds,
            measure: run.settings.measure(&trained.figures),
            figures: trained.figures,
            interfaces: trained.interfaces,
            worth: record.worth.into_iter().map(of_interface).collect(),
            run_dir: run.folder.display().to_string(),
        })
    }

    /// What the synthetic gradients of an interface were worth.
    fn worth_at(&self, interface: &str) -> Option<f64> {
        let mut worth = self.worth.iter();
        worth.find(|worth| worth.interface == interface)?.cosine
    }
}

impl<F> Report<F> {
    /// A row for each method.
    fn table<E: Experiment<Figures = F>>(&self, settings: &E) -> Table {
        let results = &self.outcomes.results;
        let columns = settings.columns(results);
        let titles = columns.iter().map(|column| column.title.clone());
        let mut table = Table::new(["method".to_string()].into_iter().chain(titles));
        for method in &settings.common().methods {
            let method = method.to_string();
            let own = results.iter().filter(|result| result.method == method);
            let own: Vec<&RunResult<F>> = own.collect();
            let cells = columns.iter().map(|column| (column.cell)(&own));
            table.add([method.clone()].into_iter().chain(cells));
        }
        table
    }

    /// A sentence for each method: whether it has learned, and what its synthetic gradients were worth.
    fn sentences<E: Experiment<Figures = F>>(&self, settings: &E) -> String {
        let results = &self.outcomes.results;
        let methods = settings.common().methods.iter().map(ToString::to_string);
        let methods: Vec<String> = methods.collect();
        let of_method = |method: &str| {
            let own: Vec<_> = results.iter().filter(|r| r.method == method).collect();
            let measures: Vec<Measure> = own.iter().map(|r| r.measure.clone()).collect();
            let worths = own.iter().flat_map(|r| &r.worth);
            let worths = worths.filter_map(|w| Some((w.interface.as_str(), w.cosine?)));
            (measures, worths.collect::<Vec<_>>())
        };
        let (measures, worths) = of_method(E::REFERENCE);
        let reference = verdict::Runs {
            method: E::REFERENCE,
            measures: &measures,
            worths: &worths,
        };
        let sentences = methods.iter().map(|method| {
            let (measures, worths) = of_method(method);
            let runs = verdict::Runs {
                method,
                measures: &measures,
                worths: &worths,
            };
            verdict::sentence(&runs, Some(&reference))
        });
        let mut said: Vec<String> = sentences.filter(|text| !text.is_empty()).collect();
        if results.iter().any(|result| !result.worth.is_empty()) {
            said.push(verdict::WORTH.to_string());
        }
        said.join("\n")
    }
}
