//! `dni plan`: what decoupled layers and their rivals would gain on more workers than this machine has
//! and over links, predicted from the times of the parts of a step, and checked on the workers that it
//! has.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use clap::Args;
use dni::data::{ImageShape, Images};
use dni::threaded::{Link, Threaded, locked_times, section_times, traffic};
use dni::{Backend, Batch, Chain, Credit, LrSchedule};
use serde::Serialize;

use crate::args::{BackendChoice, Format, Misuse, positive, whole};
use crate::comparison::Settings as _;
use crate::flags::Flags;
use crate::forecast::{Costs, Prediction};
use crate::method::Method;
use crate::progress::Busy;
use crate::sections::Sections;
use crate::session::prepare_kernels;
use crate::stats;
use crate::table::Table;
use crate::tasks::images::{Architecture, Settings};
use crate::workers::{MICRO_BATCHES, most_micro_batches};
use crate::{memory, output};

/// Flags of `dni plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Numbers of workers to predict a step for; those above the number of sections are left out
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = positive,
        default_values_t = [1, 2, 4, 8, 16, 32, 64, 128, 256])]
    workers: Vec<usize>,

    /// Micro-batches of the pipeline that decoupled layers are compared with
    #[arg(long, value_name = "N", default_value_t = MICRO_BATCHES, value_parser = positive)]
    micro_batches: usize,

    /// Network link between workers: one-way delay, bandwidth in each direction and jitter, as in 150ms,
    /// 150ms,100Mbit or 150ms,100Mbit,10ms [default: none, the memory of one machine]
    #[arg(long, value_name = "DELAY[,BANDWIDTH][,JITTER]")]
    link: Option<Link>,

    /// Microseconds that a worker needs to receive a message [default: measured, the time of a
    /// copy]
    #[arg(long, value_name = "N", value_parser = whole)]
    message_us: Option<usize>,

    /// Images in a batch
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = positive)]
    batch_size: usize,

    /// Timed repetitions when the prediction is checked on this machine
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = positive)]
    repetitions: usize,

    /// The backend that computes
    #[arg(long, env = "DNI_BACKEND", value_enum, default_value_t = BackendChoice::Flex)]
    backend: BackendChoice,

    /// Form of the results on stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    network: Flags<Architecture>,
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
    link: Option<Link>,
    /// Of one worker.
    backprop_seconds: f64,
    /// Of getting a message.
    message_seconds: f64,
    predictions: Vec<Row>,
    checks: Vec<Check>,
}

/// A number of workers.
#[derive(Debug, Serialize)]
struct Row {
    workers: usize,
    data_parallel: Prediction,
    pipeline: Prediction,
    delayed: Prediction,
    cdni: Prediction,
}

/// A prediction beside what was measured, the median over the repetitions.
#[derive(Debug, Serialize)]
struct Check {
    method: &'static str,
    workers: usize,
    predicted_seconds: f64,
    measured_seconds: f64,
}

/// `dni plan`.
pub fn run(args: PlanArgs) -> anyhow::Result<()> {
    const SEED: u64 = 1;
    prepare_kernels(1)?;
    let settings = Settings::of_network(&args.network, args.batch_size);
    settings.check()?;
    let backend = args.backend.resolve();
    memory::check(settings.memory(), backend)?;
    let layers = settings.arch.network.depth;
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
    let images = some_images(settings.images.data.shape(), args.batch_size)?;
    let chain = |method| settings.chain(method, SEED, &images, &device);
    // The same sections without interfaces.
    let (locked, decoupled) = (chain(Method::Delayed)?, chain(Method::CDNI)?);
    let rows: Vec<usize> = (0..images.len()).collect();
    let (input, target) = images.rows(&rows, &device);
    let batch = Batch::labelled(input, target);

    let busy = Busy::new("timing the parts of a step", false);
    let costs = measure(&args, &locked, &decoupled, &batch, &device)?;
    let rows = numbers.into_iter().map(|workers| {
        Ok(Row {
            workers,
            data_parallel: costs.data_parallel(workers)?,
            pipeline: costs.pipeline(workers, args.micro_batches)?,
            delayed: costs.delayed(workers)?,
            cdni: costs.decoupled(workers)?,
        })
    });
    let report = Report {
        experiment: "plan",
        backend,
        layers,
        sections: settings.arch.sections.clone(),
        batch_size: args.batch_size,
        micro_batches: args.micro_batches,
        link: args.link,
        backprop_seconds: costs.backprop(),
        message_seconds: costs.message.as_secs_f64(),
        predictions: rows.collect::<dni::Result<_>>()?,
        checks: check(&costs, &args, chain, &batch, &busy)?,
    };
    drop(busy);
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
        Some(microseconds) => Duration::from_micros(microseconds as u64),
        None => message_time(decoupled, args.batch_size, device)?,
    };
    Ok(Costs {
        forward,
        backward,
        decoupled: section_times(decoupled, batch, &Credit::Synthetic.into(), device)?,
        message,
        traffic: traffic(locked, batch),
        link: args.link,
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
        dni::backend::wait(device)?;
        Ok(start.elapsed())
    };
    let mut shortest = copy()?;
    for _ in 1..TIMES {
        shortest = shortest.min(copy()?);
    }
    Ok(shortest)
}

/// Something that is measured.
struct Case {
    method: &'static str,
    prediction: Prediction,
    learner: Threaded,
    credit: Credit,
    steps: usize,
    /// What a chunk takes beyond its steps.
    beyond: Duration,
    /// Seconds of a step, in every repetition.
    measured: Vec<f64>,
}

/// Trains by one worker, and by as many as this machine has processors in every way, taking turns.
fn check(
    costs: &Costs,
    args: &PlanArgs,
    chain: impl Fn(Method) -> Result<Chain, Misuse>,
    batch: &Batch,
    busy: &Busy,
) -> anyhow::Result<Vec<Check>> {
    let processors = dni::backend::processors();
    let workers = processors.min(costs.decoupled.len());
    // Threads of one machine hand over messages without copying them.
    let costs = Costs {
        message: Duration::ZERO,
        ..costs.clone()
    };
    let (decoupled, delayed) = (costs.decoupled(workers)?, costs.delayed(workers)?);
    let pieces = args.micro_batches.min(most_micro_batches(args.batch_size));
    let pipeline = costs.pipeline(workers, pieces)?;
    let unlocked = |method, chain: Chain, prediction: Prediction, credit| {
        let learner = Threaded::new(chain, &prediction.split)?;
        unlocked_case(method, learner, prediction, credit, args.link)
    };
    let mut cases = vec![unlocked(
        "cdni",
        chain(Method::CDNI)?,
        costs.decoupled(1)?,
        Credit::Synthetic,
    )?];
    if workers > 1 {
        let piped = Threaded::pipeline(chain(Method::Pipeline)?, &pipeline.split, pieces)?;
        let shared = Threaded::data_parallel(chain(Method::Backprop)?, workers)?;
        cases.extend([
            locked_case(
                "data-parallel",
                shared,
                costs.data_parallel(workers)?,
                args.link,
            ),
            locked_case("pipeline", piped, pipeline, args.link),
            unlocked("delayed", chain(Method::Delayed)?, delayed, Credit::Delayed)?,
            unlocked("cdni", chain(Method::CDNI)?, decoupled, Credit::Synthetic)?,
        ]);
    }
    for repetition in 0..=args.repetitions {
        for case in &mut cases {
            busy.set(format!(
                "checking {} on this machine, {repetition} of {} repetitions done",
                case.method, args.repetitions
            ));
            let start = Instant::now();
            let (steps, schedule) = (0..case.steps, case.credit.into());
            let train = |_| batch.clone();
            case.learner
                .train(steps, &schedule, &LrSchedule::default(), train)?;
            let took = start.elapsed().saturating_sub(case.beyond);
            case.measured.push(took.as_secs_f64() / case.steps as f64);
        }
    }
    let checks = cases.into_iter().map(|case| Check {
        method: case.method,
        workers: case.prediction.split.len(),
        predicted_seconds: case.prediction.step_seconds,
        // The first repetition also allocates what the others use again.
        measured_seconds: stats::median(&case.measured[1..]),
    });
    Ok(checks.collect())
}

/// Steps of a repetition.
const STEPS: usize = 10;

/// What waits in every step.
fn locked_case(
    method: &'static str,
    learner: Threaded,
    prediction: Prediction,
    link: Option<Link>,
) -> Case {
    Case {
        method,
        learner: linked(learner, link),
        credit: Credit::Backprop,
        // Steps that wait for a link are all alike.
        steps: if link.is_some() { STEPS / 5 } else { STEPS },
        beyond: Duration::ZERO,
        measured: Vec::new(),
        prediction,
    }
}

/// What waits at the end of a chunk only: for all that is under way.
fn unlocked_case(
    method: &'static str,
    learner: Threaded,
    prediction: Prediction,
    credit: Credit,
    link: Option<Link>,
) -> dni::Result<Case> {
    let (mut queue, mut beyond) = (1, Duration::ZERO);
    let is_linked = prediction.split.len() > 1;
    if let Some(link) = link.filter(|_| is_linked) {
        let step = Duration::from_secs_f64(prediction.step_seconds);
        queue = link.queue(step, prediction.sent_bytes);
        beyond = 2 * link.one_way(prediction.sent_bytes);
    }
    Ok(Case {
        method,
        learner: linked(learner.with_queue(queue)?, link),
        credit,
        steps: STEPS.max(2 * queue),
        beyond,
        measured: Vec::new(),
        prediction,
    })
}

fn linked(learner: Threaded, link: Option<Link>) -> Threaded {
    match link {
        Some(link) => learner.with_link(link),
        None => learner,
    }
}

impl Report {
    fn to_text(&self) -> String {
        let milliseconds = |seconds: f64| format!("{:.2} ms", 1e3 * seconds);
        let percent = |share: f64| format!("{:.0}", 100.0 * share);
        let mut head = vec!["workers"];
        for method in ["data-parallel", "pipeline", "delayed", "cdni"] {
            head.extend([method, "gain"]);
        }
        head.extend(["computing %", "moving %", "waiting %"]);
        head.extend(self.link.map(|_| "steps late"));
        let mut table = Table::new(head);
        for row in &self.predictions {
            let cdni = &row.cdni;
            let mut line = vec![row.workers.to_string()];
            for prediction in [&row.data_parallel, &row.pipeline, &row.delayed, cdni] {
                let seconds = prediction.step_seconds;
                line.push(milliseconds(seconds));
                line.push(format!("{:.2}", self.backprop_seconds / seconds));
            }
            line.extend([
                percent(cdni.computing),
                percent(cdni.moving),
                percent(1.0 - cdni.computing - cdni.moving),
            ]);
            line.extend(self.link.map(|_| format!("{:.1}", cdni.steps_late)));
            table.add(line);
        }
        let mut text = format!(
            "{}gain: over backprop by one worker, {} a step; a message takes {:.0} us; {} \
             micro-batches; the last columns are of cdni\n",
            table.to_text(),
            milliseconds(self.backprop_seconds),
            1e6 * self.message_seconds,
            self.micro_batches,
        );
        if let (Some(link), Some(row)) = (self.link, self.predictions.last()) {
            let megabytes = |prediction: &Prediction| prediction.sent_bytes as f64 / 1e6;
            text += &format!(
                "link {link}: in a step data-parallel workers send each other {:.2} MB of \
                 gradients, the others {:.2} MB up and as much down\n",
                megabytes(&row.data_parallel),
                megabytes(&row.pipeline),
            );
        }
        let checks = self.checks.iter().map(|check| {
            let error = 100.0 * (check.predicted_seconds / check.measured_seconds - 1.0);
            let workers = match check.workers {
                1 => "1 worker".to_string(),
                workers => format!("{workers} workers"),
            };
            format!(
                "{} by {workers} {} (predicted {error:+.0} %)",
                check.method,
                milliseconds(check.measured_seconds),
            )
        });
        let checks: Vec<String> = checks.collect();
        text + &format!("measured here: {}\n", checks.join(", "))
    }
}
