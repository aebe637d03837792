//! `dni bench`: the time of a training step, compared fairly.
//!
//! All cases take turns, so that a machine that is slow for a while is slow for all of them; the
//! device is waited for inside the timed region; what the first steps cost (allocating, compiling
//! shaders) is left out.

#[cfg_attr(not(feature = "wgpu"), path = "left_out.rs")]
mod counts;
mod networks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use burn::tensor::Device;
use clap::Args;
use dni::Backend;
use dni::backend::{Instructions, processors, wait};
use serde::Serialize;

use crate::args::{BackendChoice, Format, LengthArgs, MachineArgs, Misuse, positive, threads};
use crate::comparison::Settings as _;
use crate::export::Exporter;
use crate::method::Method;
use crate::progress::Busy;
use crate::sections::Sections;
use crate::session::prepare_kernels;
use crate::stats;
use crate::table::Table;
use crate::tasks::adder::{Settings, TrainingArgs};
use crate::{memory, output};
use networks::{Network, Stepping};

/// Counts for one training step, its share of a record included.
#[derive(Debug, Clone, Serialize)]
pub struct Counts {
    pub launches: f64,
    /// Lots of commands handed to the driver.
    pub submissions: f64,
    /// Buffers that were new to the driver; most lie in pages that it made before.
    pub buffers: f64,
    /// Writes into buffers: of batches, and of the numbers that kernels are launched with.
    pub uploads: f64,
    /// For one record.
    pub read_backs_a_record: f64,
    /// Launches by kernel.
    pub kernels: BTreeMap<String, f64>,
}

/// Flags of `dni bench`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub struct BenchArgs {
    /// Backends to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        BackendChoice::Flex, BackendChoice::Ndarray, BackendChoice::Wgpu,
    ])]
    backends: Vec<BackendChoice>,

    /// Network whose step is timed
    #[arg(long = "network", value_name = "NETWORK", value_enum, default_value_t)]
    whose: Network,

    /// Instead of timing steps, count the work that a training step gives a graphics adapter, its
    /// batch, figures and share of a record included
    #[arg(long)]
    counts: bool,

    /// Timed repetitions of every case
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = positive)]
    repetitions: usize,

    /// Threads that one tensor operation may use on the CPU backends
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads)]
    kernel_threads: usize,

    /// Form of the results on stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Also write the results to a file: .json, .csv or .md
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,

    /// No messages on stderr except errors
    #[arg(long, short)]
    quiet: bool,

    #[command(flatten)]
    training: TrainingArgs,
}

/// What was measured of one backend and method.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    pub backend: Backend,
    pub method: Method,
    /// None if the backend cannot run here, or steps were counted.
    pub timing: Option<Timing>,
    /// None if steps were timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Why it cannot.
    pub note: Option<String>,
}

/// Times of a step, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Timing {
    /// The median over the repetitions.
    pub median_us: f64,
    /// Half the distance between the quartiles.
    pub spread_us: f64,
    pub steps_per_second: f64,
    pub examples_per_second: f64,
    /// The median relative to that of the first row that ran.
    pub ratio: f64,
}

/// The whole measurement.
#[derive(Debug, Serialize)]
pub struct Report {
    experiment: &'static str,
    network: Network,
    layers: Vec<usize>,
    sections: Sections,
    batch_size: usize,
    kernel_threads: usize,
    instructions: Instructions,
    processors: usize,
    repetitions: usize,
    pub results: Vec<Row>,
}

/// One network under one method on one backend, ready to run.
struct Case {
    device: Device,
    network: Box<dyn Stepping>,
    /// Steps in a repetition.
    steps: usize,
    times_us: Vec<f64>,
}

/// How long a repetition should take.
const REPETITION: Duration = Duration::from_millis(100);

/// `dni bench`.
pub fn run(args: BenchArgs) -> anyhow::Result<()> {
    let settings = settings(&args)?;
    // A bad file name should not be found out after the measurement.
    let exporter = args.export.as_deref().map(Exporter::create).transpose()?;
    let report = measure(&args, &settings)?;
    if let Some(exporter) = exporter {
        exporter.write(&report)?;
    }
    output::print(&match args.format {
        Format::Json => serde_json::to_string(&report)? + "\n",
        Format::Text => report.to_text(),
    })?;
    let ran = |row: &Row| row.timing.is_some() || row.counts.is_some();
    match report.results.iter().any(ran) {
        true => Ok(()),
        false => bail!("no case could run; the results say why"),
    }
}

/// Times the steps that the flags ask for.
pub fn compare(args: &BenchArgs) -> anyhow::Result<Report> {
    measure(args, &settings(args)?)
}

fn settings(args: &BenchArgs) -> anyhow::Result<Settings> {
    let machine = MachineArgs {
        backend: None,
        kernel_threads: Some(args.kernel_threads),
    };
    let length = LengthArgs::default();
    let mut settings = Settings::of_flags(None, &args.training, &length, &machine);
    if args.whose != Network::Adder && args.training.methods.is_none() {
        let methods = &mut settings.run.methods;
        methods.retain(|method| method.only_interface().is_none());
    }
    settings.check()?;
    let on_adapters = |backend: &BackendChoice| backend.resolve() == Backend::Wgpu;
    if args.counts && !args.backends.iter().all(on_adapters) {
        return Err(
            Misuse("--counts is about graphics adapters; add --backends wgpu".to_string()).into(),
        );
    }
    for backend in &args.backends {
        memory::check(settings.memory(), backend.resolve())?;
    }
    Ok(settings)
}

fn measure(args: &BenchArgs, settings: &Settings) -> anyhow::Result<Report> {
    prepare_kernels(args.kernel_threads)?;
    let results = match args.counts {
        true => count(args, settings),
        false => time(args, settings),
    };
    Ok(Report {
        experiment: "bench",
        network: args.whose,
        layers: settings.layers.clone(),
        sections: settings.sections.clone(),
        batch_size: args.whose.batch_size(settings),
        kernel_threads: args.kernel_threads,
        instructions: Instructions::best(),
        processors: processors(),
        repetitions: args.repetitions,
        results,
    })
}

/// Counts one case after the other.
fn count(args: &BenchArgs, settings: &Settings) -> Vec<Row> {
    let methods = settings.run.methods.iter();
    let rows = methods.map(|&method| {
        let counts = Backend::Wgpu.device().and_then(|device| {
            let mut network = args.whose.build(settings, method, &device)?;
            counts::count(network.as_mut(), &device)
        });
        let (counts, note) = match counts {
            Ok(counts) => (Some(counts), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Row {
            backend: Backend::Wgpu,
            method,
            timing: None,
            counts,
            note,
        }
    });
    rows.collect()
}

/// Times all cases by turns.
fn time(args: &BenchArgs, settings: &Settings) -> Vec<Row> {
    let say = |text: String| {
        if !args.quiet {
            output::say(&text);
        }
    };

    let mut cases: Vec<(Backend, Method, Result<Case, String>)> = Vec::new();
    for backend in &args.backends {
        let backend = backend.resolve();
        for &method in &settings.run.methods {
            say(format!("warming up: {backend} {method}"));
            let _busy = Busy::new(format!("still warming up {backend} {method}"), args.quiet);
            let case = Case::new(args.whose, settings, backend, method);
            cases.push((backend, method, case.map_err(|error| error.to_string())));
        }
    }
    let mut each = |act: fn(&mut Case) -> dni::Result<()>| {
        for (_, _, case) in &mut cases {
            if let Ok(Err(error)) = case.as_mut().map(act) {
                *case = Err(error.to_string());
            }
        }
    };
    for repetition in 1..=args.repetitions {
        each(Case::repeat);
        say(format!("repetition {repetition} of {}", args.repetitions));
    }
    each(Case::check);

    rows(cases, args.whose.batch_size(settings))
}

impl Case {
    /// Builds the network, warms it up, and finds out how many steps fill a repetition.
    fn new(
        whose: Network,
        settings: &Settings,
        backend: Backend,
        method: Method,
    ) -> dni::Result<Self> {
        let device = backend.device()?;
        let mut case = Self {
            network: whose.build(settings, method, &device)?,
            device,
            steps: 1,
            times_us: Vec::new(),
        };
        case.warm_up()?;
        while case.time()? < REPETITION / 2 {
            case.steps *= 2;
        }
        Ok(case)
    }

    /// Runs single steps until two in a row take about as long: the first ones compile shaders.
    fn warm_up(&mut self) -> dni::Result<()> {
        const AT_LEAST: usize = 20;
        const AT_MOST: usize = 100;
        let mut last = self.time()?;
        for step in 2..=AT_MOST {
            let time = self.time()?;
            let is_steady = time < 2 * last && last < 2 * time;
            if step >= AT_LEAST && is_steady {
                break;
            }
            last = time;
        }
        self.check()
    }

    /// One more step, whose figures are read: a device does not tell of itself that it could not do
    /// what it was given.
    fn check(&mut self) -> dni::Result<()> {
        let step = self.network.train(1, 1);
        step.map_err(|error| match error {
            // The step that it names is counted from here.
            dni::Error::NotFinite { what, .. } => {
                dni::Error::Invalid(format!("{what} became NaN or infinite while it was timed"))
            }
            error => error,
        })
    }

    /// The time of `steps` steps, all of whose work is done.
    fn time(&mut self) -> dni::Result<Duration> {
        let start = Instant::now();
        for _ in 0..self.steps {
            self.network.step();
        }
        wait(&self.device)?;
        Ok(start.elapsed())
    }

    fn repeat(&mut self) -> dni::Result<()> {
        let time = self.time()?;
        self.times_us
            .push(time.as_secs_f64() * 1e6 / self.steps as f64);
        Ok(())
    }
}

fn rows(cases: Vec<(Backend, Method, Result<Case, String>)>, batch_size: usize) -> Vec<Row> {
    let first = cases
        .iter()
        .find_map(|(_, _, case)| case.as_ref().ok())
        .map_or(f64::NAN, |case| stats::median(&case.times_us));
    cases
        .into_iter()
        .map(|(backend, method, case)| {
            let timing = case
                .as_ref()
                .ok()
                .map(|case| Timing::of(&case.times_us, batch_size, first));
            Row {
                backend,
                method,
                timing,
                counts: None,
                note: case.err(),
            }
        })
        .collect()
}

impl Timing {
    fn of(times_us: &[f64], batch_size: usize, first_us: f64) -> Self {
        let median_us = stats::median(times_us);
        let steps_per_second = 1e6 / median_us;
        Self {
            median_us,
            spread_us: stats::half_quartile_distance(times_us),
            steps_per_second,
            examples_per_second: steps_per_second * batch_size as f64,
            ratio: median_us / first_us,
        }
    }
}

impl Report {
    fn table(&self) -> Table {
        match self.results.iter().any(|row| row.counts.is_some()) {
            true => self.table_of_counts(),
            false => self.table_of_times(),
        }
    }

    fn table_of_counts(&self) -> Table {
        let mut table = Table::new([
            "backend",
            "method",
            "launches",
            "submissions",
            "buffers",
            "uploads",
            "read-backs a record",
        ]);
        for row in &self.results {
            let mut cells = vec![row.backend.to_string(), row.method.to_string()];
            match &row.counts {
                Some(counts) => cells.extend(
                    [
                        counts.launches,
                        counts.submissions,
                        counts.buffers,
                        counts.uploads,
                        counts.read_backs_a_record,
                    ]
                    .map(|count| format!("{count:.1}")),
                ),
                None => cells.push("cannot run".to_string()),
            }
            table.add(cells);
        }
        table
    }

    fn table_of_times(&self) -> Table {
        let mut table = Table::new([
            "backend",
            "method",
            "step",
            "spread",
            "steps/s",
            "examples/s",
            "ratio",
        ]);
        for row in &self.results {
            let mut cells = vec![row.backend.to_string(), row.method.to_string()];
            match row.timing {
                Some(t) => cells.extend([
                    format!("{:.1} us", t.median_us),
                    format!("± {:.1}", t.spread_us),
                    format!("{:.0}", t.steps_per_second),
                    format!("{:.0}", t.examples_per_second),
                    format!("{:.2}", t.ratio),
                ]),
                None => cells.push("cannot run".to_string()),
            }
            table.add(cells);
        }
        table
    }

    /// The table, and below it what it was measured on and why a backend cannot run.
    fn to_text(&self) -> String {
        let notes = self.notes().into_iter().map(|note| format!("{note}\n"));
        self.table().to_text() + &notes.collect::<String>()
    }

    /// The same in Markdown.
    pub fn to_markdown(&self) -> String {
        let notes = self.notes().into_iter().map(|note| format!("\n{note}\n"));
        self.table().to_markdown() + &notes.collect::<String>()
    }

    /// What it was measured on, and why backends cannot run, each reason once.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "on {} of {} processors, vector instructions: {}",
            self.kernel_threads, self.processors, self.instructions
        )];
        notes.extend(self.results.iter().filter_map(|r| r.note.clone()));
        notes.dedup();
        notes
    }
}
