//! `dni plan`: what decoupled layers would gain on more workers than this machine has, predicted
//! from the times of the parts of a step, and checked on the workers that it has.

use std::time::{Duration, Instant};

use anyhow::Context;
use burn::tensor::{Device, Tensor};
use clap::Args;
use dni::data::{ImageShape, Images};
use dni::schedule::Threaded;
use dni::schedule::plan::{Costs, Prediction};
use dni::schedule::threaded::{locked_times, section_times};
use dni::{Backend, Batch, Chain, Credit, Drops};
use serde::Serialize;

use crate::args::{BackendChoice, Format, Misuse, positive};
use crate::comparison::Settings as _;
use crate::images::{NetworkArgs, Settings, with_label};
use crate::method::Method;
use crate::sections::Sections;
use crate::session::prepare_kernels;
use crate::stats;
use crate::table::Table;
use crate::{memory, output};

/// Flags of `dni plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Numbers of workers to predict a step for, those above the number of sections left out
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = positive,
        default_values_t = [1, 2, 4, 8, 16, 32, 64, 128, 256])]
    workers: Vec<usize>,

    /// Pieces of a batch in the pipeline that decoupled layers are compared with
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = positive)]
    micro_batches: usize,

    /// Microseconds that a worker needs to get a message [default: measured, the time of a copy]
    #[arg(long, value_name = "N")]
    message_us: Option<u64>,

    /// Images in a batch
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = positive)]
    batch_size: usize,

    /// Timed repetitions of the check on this machine
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = positive)]
    repetitions: usize,

    /// Where tensors live
    #[arg(long, env = "DNI_BACKEND", value_enum, default_value_t = BackendChoice::Flex)]
    backend: BackendChoice,

    /// Form of the results on stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    network: NetworkArgs,
}

/// What is predicted and what was measured.
#[derive(Debug, Serialize)]
struct Report {
    experiment: &'static str,
    backend: Backend,
    layers: usize,
    sections: Sections,
    batch_size: usize,
    micro_batches: usize,
    /// Of one worker.
    backprop_seconds: f64,
    /// Of getting a message.
    message_seconds: f64,
    predictions: Vec<Row>,
    check: Check,
}

/// A number of workers.
#[derive(Debug, Serialize)]
struct Row {
    workers: usize,
    pipeline: Prediction,
    cdni: Prediction,
}

/// A prediction beside what was measured, medians over the repetitions.
#[derive(Debug, Serialize)]
struct Check {
    workers: usize,
    predicted_seconds: f64,
    measured_seconds: f64,
    /// The same of one thread.
    alone_predicted_seconds: f64,
    alone_measured_seconds: f64,
}

/// `dni plan`.
pub fn run(args: PlanArgs) -> anyhow::Result<()> {
    const SEED: u64 = 1;
    prepare_kernels(1)?;
    let settings = Settings::of_network(&args.network, args.batch_size);
    settings.check()?;
    let backend = args.backend.resolve();
    memory::check(settings.memory(), backend)?;
    let layers = settings.network.depth;
    let sections = settings.sections_of(Method::CDNI).len();
    let mut numbers = args.workers.clone();
    numbers.retain(|&workers| workers <= sections);
    if numbers.is_empty() {
        return Err(Misuse(format!(
            "there are {sections} sections of {layers} layers; choose --workers from 1 to {sections}"
        ))
        .into());
    }
    let device = backend.device()?;
    let images = some_images(settings.shape(), args.batch_size)?;
    let chain = |method| settings.chain(method, SEED, &images, &device);
    let (locked, decoupled) = (chain(Method::Backprop)?, chain(Method::CDNI)?);
    let rows: Vec<usize> = (0..images.len()).collect();
    let (input, target) = images.rows(&rows, &device);
    let batch = with_label(input, target);

    let costs = measure(&args, &locked, &decoupled, &batch, &device)?;
    let rows = numbers.into_iter().map(|workers| {
        Ok(Row {
            workers,
            pipeline: costs.pipeline(workers, args.micro_batches)?,
            cdni: costs.decoupled(workers)?,
        })
    });
    let report = Report {
        experiment: "plan",
        backend,
        layers,
        sections: settings.sections.clone(),
        batch_size: args.batch_size,
        micro_batches: args.micro_batches,
        backprop_seconds: costs.backprop(),
        message_seconds: costs.message.as_secs_f64(),
        predictions: rows.collect::<dni::Result<_>>()?,
        check: check(
            &costs,
            decoupled,
            chain(Method::CDNI)?,
            &batch,
            args.repetitions,
        )?,
    };
    output::print(&match args.format {
        Format::Json => serde_json::to_string(&report)? + "\n",
        Format::Text => report.to_text(),
    })
}

/// As many images as a batch has. What they show does not matter to the time.
fn some_images(shape: ImageShape, count: usize) -> dni::Result<Images> {
    const CLASSES: u8 = 10;
    let pixels = (0..=u8::MAX).cycle().take(count * shape.len());
    let labels = (0..CLASSES).cycle().take(count);
    Images::new(pixels.collect(), labels.collect(), shape, CLASSES.into())
}

/// What the parts of a step cost on this machine.
fn measure(
    args: &PlanArgs,
    locked: &Chain,
    decoupled: &Chain,
    batch: &Batch,
    device: &Device,
) -> anyhow::Result<Costs> {
    let [forward, backward] = locked_times(locked, batch, device)?;
    let message = match args.message_us {
        Some(microseconds) => Duration::from_micros(microseconds),
        None => message_time(decoupled, args.batch_size, device)?,
    };
    Ok(Costs {
        forward,
        backward,
        decoupled: section_times(decoupled, batch, &Credit::Synthetic.into(), device)?,
        message,
    })
}

/// The time of bringing the largest message to other memory and back to the device.
fn message_time(chain: &Chain, batch_size: usize, device: &Device) -> anyhow::Result<Duration> {
    const TIMES: usize = 10;
    let features = chain.interfaces().iter().map(|i| i.contract().features);
    let features = features.max().unwrap_or(1);
    let message = Tensor::<2>::zeros([batch_size, features], device);
    let copy = || -> anyhow::Result<Duration> {
        let start = Instant::now();
        let data = message.clone().mul_scalar(1.0).into_data();
        let _arrived = Tensor::<2>::from_data(data, device);
        device.sync().context("the device failed")?;
        Ok(start.elapsed())
    };
    let mut shortest = copy()?;
    for _ in 1..TIMES {
        shortest = shortest.min(copy()?);
    }
    Ok(shortest)
}

/// Trains by as many workers as this machine has processors, and by one thread, taking turns.
fn check(
    costs: &Costs,
    mut alone: Chain,
    shared: Chain,
    batch: &Batch,
    repetitions: usize,
) -> anyhow::Result<Check> {
    const STEPS: usize = 10;
    let processors = dni::backend::processors();
    let workers = processors.min(costs.decoupled.len());
    // Threads of one machine hand over messages without copying them.
    let costs = Costs {
        message: Duration::ZERO,
        ..costs.clone()
    };
    let prediction = costs.decoupled(workers)?;
    let mut shared = Threaded::new(shared, &prediction.split)?;
    let lessons = Credit::Synthetic.into();
    let device = batch.input.device();
    let (mut by_one, mut by_all) = (Vec::new(), Vec::new());
    for _ in 0..=repetitions {
        let start = Instant::now();
        for _ in 0..STEPS {
            alone.step(batch.clone(), Credit::Synthetic);
        }
        device.sync().context("the device failed")?;
        by_one.push(start.elapsed().as_secs_f64() / STEPS as f64);
        let start = Instant::now();
        shared.train(0..STEPS, &lessons, &Drops::default(), |_| batch.clone())?;
        by_all.push(start.elapsed().as_secs_f64() / STEPS as f64);
    }
    // The first repetition also allocates what the others use again.
    Ok(Check {
        workers,
        predicted_seconds: prediction.step_seconds,
        measured_seconds: stats::median(&by_all[1..]),
        alone_predicted_seconds: costs.decoupled(1)?.step_seconds,
        alone_measured_seconds: stats::median(&by_one[1..]),
    })
}

impl Report {
    fn to_text(&self) -> String {
        let milliseconds = |seconds: f64| format!("{:.2} ms", 1e3 * seconds);
        let percent = |share: f64| format!("{:.0}", 100.0 * share);
        let gain = |seconds: f64| format!("{:.2}", self.backprop_seconds / seconds);
        let mut table = Table::new([
            "workers",
            "pipeline",
            "gain",
            "bubble %",
            "cdni",
            "gain",
            "computing %",
            "moving %",
            "waiting %",
        ]);
        for row in &self.predictions {
            let (pipeline, cdni) = (&row.pipeline, &row.cdni);
            table.add([
                row.workers.to_string(),
                milliseconds(pipeline.step_seconds),
                gain(pipeline.step_seconds),
                percent(1.0 - pipeline.computing - pipeline.moving),
                milliseconds(cdni.step_seconds),
                gain(cdni.step_seconds),
                percent(cdni.computing),
                percent(cdni.moving),
                percent(1.0 - cdni.computing - cdni.moving),
            ]);
        }
        let check = &self.check;
        let error = |measured: f64, predicted: f64| {
            let error = 100.0 * (predicted / measured - 1.0);
            format!("predicted {error:+.0} %")
        };
        format!(
            "{}gain: over backprop by one worker, {} a step; a message takes {:.0} us; {} micro-batches\n\
             measured here: cdni by one thread {} ({}), by {} {} ({})\n",
            table.to_text(),
            milliseconds(self.backprop_seconds),
            1e6 * self.message_seconds,
            self.micro_batches,
            milliseconds(check.alone_measured_seconds),
            error(check.alone_measured_seconds, check.alone_predicted_seconds),
            if check.workers == 1 {
                "1 worker".to_string()
            } else {
                format!("{} workers", check.workers)
            },
            milliseconds(check.measured_seconds),
            error(check.measured_seconds, check.predicted_seconds),
        )
    }
}
