//! The threaded schedule: sections that train at the same time.
//!
//! A chain is split into groups of neighbouring sections, and each group is a *worker*: a thread
//! that owns these sections, the interfaces on top of them, and all their optimizers. Every worker
//! takes its steps as [`Chain::step`] does. Where two workers meet there are two queues:
//!
//! ```text
//!     worker above                 h_i of step s  ──>  runs on it, learns, and answers
//!        ▲      │
//!  (s, h_i)   (s, delta_i)
//!        │      ▼
//!     worker below     sends h_i, learns from delta_hat_i = M_i(h_i, c) and goes on with step s + 1;
//!                      M_i learns delta_i when it comes
//! ```
//!
//! Both are bounded: when a worker has as many unanswered messages as [`Threaded::with_queue`]
//! allows, it waits before its highest section learns. So memory does not grow with the number of
//! steps, and gradients are fewer steps late than that number. Every message is answered once, in
//! order, if only with the news that the section above did not learn; hence neither queue is ever
//! full when something is put into it, and some worker can always continue: of two neighbours that
//! both wait, one would wait for something that the other has already sent.
//!
//! The worker below owns the synthesizer of the interface between the two, since this worker must
//! not wait for a prediction; it keeps each message until the gradient comes. If its synthesizer
//! has learned since, it then predicts again, so that a late gradient is learned with the
//! parameters and at the rate of the step in which it arrives
//! ([`Interface::learn`](crate::Interface::learn)). The worker above owns the input model, if
//! inputs are synthetic: this worker must not wait for a message, and keeps each input until the
//! message comes.
//!
//! A worker sends its message as soon as its highest section has run. Just before that section is
//! updated, which needs the synthesizer, the worker takes the answers that have come, and waits for
//! those that it must have. So with a queue of one message that synthesizer has learned from the step
//! before when it predicts, as in `Chain::step`, and the result is that of `Chain::step`, bit for
//! bit, whatever the split and however the threads are scheduled. Nobody has to wait for long: the
//! worker above answers the step before while this one updates its highest section, and runs its
//! sections in the next step. Longer queues even out steps of varying length; their cost is that
//! synthesizers between workers learn some steps late ([`Staleness`]), and how late depends on the
//! timing, unless [`Threaded::with_lateness`] fixes it.
//!
//! Under [`Credit::Delayed`] there are no synthesizers: a worker keeps the passes of its sections
//! until the true gradient comes, and sends it back through them. Then a queue of one message gives
//! backpropagation, in which workers only wait for each other; with longer queues sections learn
//! late themselves.
//!
//! Between distant workers there is a [`Link`]: what is put into a queue comes out of it later,
//! while both workers continue.
//!
//! The alternatives are here as well, on the same threads, queues and links: backpropagation in a
//! [pipeline](Threaded::pipeline), and by workers that [share the batch](Threaded::data_parallel).

mod crew;
mod delayed;
mod link;
mod member;
mod messages;
mod notes;
mod parallel;
mod pipeline;
mod queue;
mod report;
mod split;
mod times;
mod trace;
mod wiring;
mod worker;

pub use link::Link;
pub use report::{Report, Sharing, Staleness, Workload};
pub use split::{check_split, even_split};
pub use times::{Traffic, locked_times, section_times, traffic};

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use burn::optim::{StateSink, StateSource};

use crate::batch::Batch;
use crate::credit::Credit;
use crate::error::{Error, Result};
use crate::feedforward::{Chain, ChainSchedule};
use crate::interface::Contract;
use crate::learner::{Activity, Chunk, Learner, Metric, Metrics, Network};
use crate::schedule::LrSchedule;
use crate::unlock::InputModel;

use crew::Crew;
use member::{Course, Halt, Member, Outcome};
use messages::Lesson;
use queue::Sender;
use wiring::{replicas, stages, workers};
use worker::Manner;

/// Steps after which the metrics of a chunk are taken home.
const MOST_STEPS: usize = 1_000;

/// A chain whose sections are trained by several workers at the same time.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use dni::data::{Stream, generator};
/// use dni::{
///     Batch, Chain, Credit, DenseConfig, LrSchedule, Interface, LinearSynthesizerConfig, Loss, Optimizer,
///     Threaded,
/// };
///
/// let (device, rng) = (Device::flex(), &mut generator(1, Stream::Parameters));
/// let synthesizer = LinearSynthesizerConfig::new(8).with_contexts(1).init(rng, &device);
/// let chain = Chain::new(Loss::BinaryCrossEntropy)
///     .section("hidden", DenseConfig::new(2, 8).init(rng, &device), Optimizer::adam(1e-2))
///     .interface(Interface::new(synthesizer, Optimizer::adam(3e-2)))
///     .section("output", DenseConfig::new(8, 1).linear().init(rng, &device), Optimizer::adam(1e-2));
///
/// let input = Tensor::from_floats([[0., 0.], [0., 1.], [1., 0.], [1., 1.]], &device);
/// let target = Tensor::<2>::from_floats([[0.], [1.], [1.], [0.]], &device);
/// let batch = Batch::labelled(input, target);
///
/// // One worker for each section.
/// let mut threaded = Threaded::new(chain, &[1, 1])?;
/// let schedule = Credit::Synthetic.into();
/// threaded.train(0..500, &schedule, &LrSchedule::default(), |_step| batch.clone())?;
/// assert!(threaded.chain().loss_of(&batch) < 0.1);
/// println!("{:?}", threaded.report());
/// # Ok::<(), dni::Error>(())
/// ```
pub struct Threaded {
    chain: Chain,
    split: Vec<usize>,
    crews: Vec<Crew>,
    sharing: Sharing,
    depth: usize,
    is_exact: bool,
    link: Option<Link>,
    report: Report,
    /// What the workers did in some steps of the last chunk.
    timeline: Vec<Activity>,
}

impl Threaded {
    /// Gives the sections of a chain to workers, from the bottom up; `split` has the number of
    /// sections of each worker. [`even_split`] finds a split.
    ///
    /// # Errors
    ///
    /// If the numbers do not add up to that of the sections, one is zero, or the operating system
    /// cannot start the threads.
    pub fn new(chain: Chain, split: &[usize]) -> Result<Self> {
        check_split(split, chain.names().len())?;
        Self::shared(chain, split, Sharing::Decoupled)
    }

    /// The same for backpropagation in a pipeline: each batch goes through the workers in
    /// `micro_batches` micro-batches. The network is that of [`Chain::step`] up to rounding and the
    /// statistics of batch norm, which are those of each micro-batch. With one micro-batch it is
    /// the same bit for bit.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if `micro_batches` is zero.
    pub fn pipeline(chain: Chain, split: &[usize], micro_batches: usize) -> Result<Self> {
        check_split(split, chain.names().len())?;
        if micro_batches == 0 {
            return Err(Error::Invalid(
                "a pipeline needs at least 1 micro-batch".to_string(),
            ));
        }
        Self::shared(chain, split, Sharing::Pipeline { micro_batches })
    }

    /// Gives every worker a copy of the whole chain and a share of each batch, for backpropagation
    /// by the sum of their gradients. The network is that of [`Chain::step`] up to rounding and the
    /// statistics of batch norm, which are those of each share; the running statistics are the
    /// first worker's. With one worker it is the same bit for bit.
    ///
    /// # Errors
    ///
    /// If there is no worker, or the operating system cannot start the threads.
    pub fn data_parallel(chain: Chain, workers: usize) -> Result<Self> {
        if workers == 0 {
            return Err(Error::Invalid(
                "data-parallel training needs at least 1 worker".to_string(),
            ));
        }
        let sections = chain.names().len();
        Self::shared(chain, &vec![sections; workers], Sharing::DataParallel)
    }

    fn shared(mut chain: Chain, split: &[usize], sharing: Sharing) -> Result<Self> {
        chain.sync_statistics();
        let sections = chain.names().len();
        Ok(Self {
            chain,
            split: split.to_vec(),
            crews: crews(split.len(), 1)?,
            sharing,
            depth: 1,
            is_exact: false,
            link: None,
            report: Report::new(sharing, split, sections),
            timeline: Vec::new(),
        })
    }

    /// Puts a link between workers: what they send each other arrives after the time that the link
    /// takes, and they continue meanwhile. Batches do not go through it: every worker has the data.
    /// Default: no link, workers share the machine's memory.
    ///
    /// To continue without waiting, decoupled workers need a queue for everything that is under way
    /// ([`Link::queue`]).
    pub fn with_link(mut self, link: Link) -> Self {
        self.link = Some(link);
        self.report.link = Some(link);
        self
    }

    /// Sets how many messages of a worker may be unanswered when its highest section learns, that
    /// of the same step included. Default: 1, which makes the result independent of the timing.
    /// Larger numbers even out steps of varying length, but gradients come later, which costs
    /// accuracy.
    ///
    /// # Errors
    ///
    /// If it is zero.
    pub fn with_queue(mut self, depth: usize) -> Result<Self> {
        if depth == 0 {
            return Err(Error::Invalid(
                "a queue between workers must hold at least 1 message".to_string(),
            ));
        }
        (self.depth, self.is_exact) = (depth, false);
        self.report.queue = depth;
        Ok(self)
    }

    /// Lets every gradient between two workers, and every message where inputs are synthetic,
    /// arrive exactly `steps` steps late, even if it is there earlier, so that the result does not
    /// depend on the timing. At the end of a chunk all workers come to the same step and nothing is
    /// left under way, so the last gradients of a chunk are less late. A chunk has twenty times
    /// `steps + 1` steps, or fewer before a record. A run can be stopped only at the end of a
    /// chunk, as its result would change otherwise.
    pub fn with_lateness(mut self, steps: usize) -> Self {
        (self.depth, self.is_exact) = (steps.saturating_add(1), true);
        self.report.queue = self.depth;
        self
    }

    /// Sets the number of threads for the operations of each worker. Default: 1.
    ///
    /// # Errors
    ///
    /// If it is zero, or the operating system cannot start the threads.
    pub fn with_kernel_threads(mut self, threads: usize) -> Result<Self> {
        self.crews = crews(self.split.len(), threads)?;
        Ok(self)
    }

    /// The network in its current state.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The network without its workers.
    pub fn into_chain(self) -> Chain {
        self.chain
    }

    /// What the workers have done so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Takes some steps, counted from 0, and returns when all workers have finished them; `batches`
    /// makes the batch of each, and learning rates are multiplied by the chain's own
    /// [factor](Chain::set_rate_factor) and that of `rates`. [`train`](crate::train::train) does
    /// the same and more.
    ///
    /// # Errors
    ///
    /// If the credit makes sections wait, an interface is missing, or a worker fails: by a panic,
    /// or because a metric is not finite. The network is then between two steps.
    ///
    /// # Panics
    ///
    /// If `batches` panics, or a batch is empty.
    pub fn train(
        &mut self,
        steps: Range<usize>,
        schedule: &ChainSchedule,
        rates: &LrSchedule,
        mut batches: impl FnMut(usize) -> Batch,
    ) -> Result<Vec<Metrics>> {
        let chunk = Chunk {
            steps,
            schedule,
            rates,
            check_every: 1,
        };
        self.learn_chunk(&mut batches, &chunk)
    }

    /// Lets all workers take the steps of a chunk.
    fn work(
        &mut self,
        batches: &mut dyn FnMut(usize) -> Batch,
        chunk: &Chunk<ChainSchedule>,
    ) -> Vec<Outcome> {
        let sections = self.chain.names().len();
        let rate_factor = self.chain.with_rate_factor(1.0);
        let mut teach = |lanes| teach(lanes, batches, chunk, sections, rate_factor);
        let course = Course {
            steps: chunk.steps.clone(),
            check_every: chunk.check_every,
        };
        let outcomes = match self.sharing {
            Sharing::Decoupled => self.work_decoupled(&course, chunk.schedule.credit, teach),
            Sharing::Pipeline { micro_batches } => {
                let groups = self.chain.groups(&self.split, true);
                let (stages, lanes) = stages(&course, groups, micro_batches, self.link.as_ref());
                at_work(&self.crews, stages, || teach(lanes))
            }
            Sharing::DataParallel => {
                let workers = self.split.len();
                let mut copies: Vec<Chain> = (1..workers).map(|_| self.chain.observer()).collect();
                let chains = std::iter::once(&mut self.chain).chain(&mut copies);
                let (replicas, lanes) =
                    replicas(&course, chains, [workers, sections], self.link.as_ref());
                at_work(&self.crews, replicas, || teach(lanes))
            }
        };
        self.chain.sync_statistics();
        outcomes
    }

    fn work_decoupled(
        &mut self,
        course: &Course,
        credit: Credit,
        teach: impl FnOnce(Vec<Sender<Lesson>>),
    ) -> Vec<Outcome> {
        let manner = Manner {
            credit,
            // More than there are steps are never unanswered.
            depth: self.depth.min(course.steps.len().max(1)),
            is_exact: self.is_exact,
        };
        let rests = !credit.uses_synthesizers();
        let mut models = self.take_input_models();
        let groups = self.chain.groups(&self.split, rests);
        let lent = models.iter_mut().map(|model| match rests {
            true => None,
            false => model.as_mut(),
        });
        let (workers, lanes) = workers(course, manner, groups, lent, self.link.as_ref());
        let outcomes = at_work(&self.crews, workers, || teach(lanes));
        self.put_input_models(models);
        outcomes
    }

    /// Takes the input models out of the interfaces between workers: they go to the workers above.
    fn take_input_models(&mut self) -> Vec<Option<InputModel>> {
        let tops = tops(&self.split);
        let chain = &mut self.chain;
        tops.map(|top| chain.take_input_model(top)).collect()
    }

    fn put_input_models(&mut self, models: Vec<Option<InputModel>>) {
        for (top, model) in tops(&self.split).zip(models) {
            if let Some(model) = model {
                self.chain.put_input_model(top, model);
            }
        }
    }

    /// Adds to the report what workers have done in a chunk that took so long.
    fn note(&mut self, outcomes: &[Outcome], duration: Duration) {
        let workloads = self.report.workers.iter_mut().zip(outcomes);
        for (workload, outcome) in workloads {
            workload.busy += outcome.busy;
            workload.waiting += duration.saturating_sub(outcome.busy);
        }
        if self.sharing == Sharing::Decoupled {
            for (top, outcome) in tops(&self.split).zip(outcomes) {
                self.report.staleness[top].add(outcome.staleness);
            }
        }
        let done = outcomes.iter().map(|outcome| &outcome.done[..]);
        self.timeline = trace::timeline(done, &self.chain.names());
    }

    /// Whether gradients are told to come late.
    fn is_late(&self) -> bool {
        self.sharing == Sharing::Decoupled && self.is_exact && self.depth > 1
    }

    /// The first failure, if there is one.
    fn failure(&self, outcomes: &[Outcome]) -> Option<Error> {
        let failures = outcomes.iter().enumerate().filter_map(|(i, outcome)| {
            let (at, error) = match outcome.end.as_ref().err()? {
                Halt::Stopped => return None,
                Halt::NotFinite { step, metric } => {
                    let error = Error::NotFinite {
                        what: self.culprit(*metric),
                        step: step + 1,
                    };
                    ((*step, Some(*metric)), error)
                }
                Halt::Failed { step, message } => {
                    let error = Error::Worker {
                        worker: i + 1,
                        sections: self.sections_of(i),
                        step: step + 1,
                        cause: message.clone(),
                    };
                    ((*step, None), error)
                }
            };
            Some((at, error))
        });
        let first = failures.min_by_key(|(at, _)| *at);
        first.map(|(_, error)| error)
    }

    /// The names of a worker's sections.
    fn sections_of(&self, worker: usize) -> String {
        let first: usize = match self.sharing {
            Sharing::DataParallel => 0,
            Sharing::Decoupled | Sharing::Pipeline { .. } => self.split[..worker].iter().sum(),
        };
        let names = self.chain.names();
        let names = &names[first..first + self.split[worker]];
        match names {
            [only] => format!("section '{only}'"),
            _ => format!("sections '{}' to '{}'", names[0], names[names.len() - 1]),
        }
    }

    /// The worker, counted from 0, that makes a metric.
    fn maker_of(&self, metric: Metric) -> usize {
        let section = match metric {
            Metric::Output(i) | Metric::Synthesizer(i) | Metric::Auxiliary(i) => i,
            Metric::InputModel(i) => i + 1,
            Metric::Loss => return self.split.len() - 1,
        };
        tops(&self.split).take_while(|top| *top < section).count()
    }
}

fn crews(workers: usize, kernel_threads: usize) -> Result<Vec<Crew>> {
    let crew = |worker| Crew::new(worker, kernel_threads);
    (1..=workers).map(crew).collect()
}

/// The highest section of every worker but the last.
fn tops(split: &[usize]) -> impl Iterator<Item = usize> {
    let below_last = split[..split.len() - 1].iter();
    below_last.scan(0, |first, sections| {
        *first += sections;
        Some(*first - 1)
    })
}

/// Lets members work, each with its crew, while `teach` sends them their lessons.
fn at_work<M: Member + Send>(
    crews: &[Crew],
    members: Vec<M>,
    teach: impl FnOnce(),
) -> Vec<Outcome> {
    thread::scope(|scope| {
        let work = members.into_iter().zip(crews);
        let work: Vec<_> = work
            .map(|(member, crew)| scope.spawn(move || crew.run(|| member::run(member))))
            .collect();
        teach();
        work.into_iter()
            .map(|work| work.join().expect("a worker catches its panics"))
            .collect()
    })
}

/// Sends every worker the lessons of a chunk, until one of them stops. The factors of learning rates
/// multiply `rate_factor`.
fn teach(
    mut lanes: Vec<Sender<Lesson>>,
    batches: &mut dyn FnMut(usize) -> Batch,
    chunk: &Chunk<ChainSchedule>,
    sections: usize,
    rate_factor: f64,
) {
    for step in chunk.steps.clone() {
        let lesson = Lesson {
            step,
            batch: batches(step).off_tape(),
            rate_factor: rate_factor * chunk.rates.factor(step),
            learners: chunk.schedule.learners(step, sections),
        };
        if lanes
            .iter_mut()
            .any(|lane| lane.send(lesson.clone()).is_err())
        {
            return;
        }
    }
}

impl Learner for Threaded {
    type Batch = Batch;
    type Schedule = ChainSchedule;

    /// A single step leaves nothing to do for a second worker: it is that of the chain.
    fn learn(&mut self, batch: Batch, schedule: &ChainSchedule, step: usize) -> Metrics {
        self.chain.learn(batch, schedule, step)
    }

    /// Where it is said how late gradients come, always as many: what comes of it depends on where the
    /// chunks end.
    fn at_once(&self) -> usize {
        match self.is_late() {
            true => self.at_least(),
            false => MOST_STEPS,
        }
    }

    /// Where gradients come late, because workers are far from each other or are told so, twenty times
    /// as many steps as that may be: all of them come to the same step at the end, where none is late.
    fn at_least(&self) -> usize {
        /// No more than a twentieth of the time, and of the lateness, is lost.
        const ROUND_TRIPS: usize = 20;
        let is_far = self.link.is_some() || self.chain.is_on_servers();
        match self.sharing == Sharing::Decoupled && (is_far || self.is_late()) {
            true => ROUND_TRIPS.saturating_mul(self.depth),
            false => 1,
        }
    }

    fn timeline(&self) -> &[Activity] {
        &self.timeline
    }

    fn learn_chunk(
        &mut self,
        batches: &mut dyn FnMut(usize) -> Batch,
        chunk: &Chunk<ChainSchedule>,
    ) -> Result<Vec<Metrics>> {
        match self.sharing {
            Sharing::Decoupled => check_schedule(chunk.schedule, &self.chain)?,
            Sharing::Pipeline { .. } | Sharing::DataParallel => check_backprop(chunk.schedule)?,
        }
        let start = Instant::now();
        let outcomes = self.work(batches, chunk);
        self.note(&outcomes, start.elapsed());
        match self.failure(&outcomes) {
            Some(error) => Err(error),
            None => Ok(by_step(outcomes, &chunk.steps)),
        }
    }

    fn set_rate_factor(&mut self, factor: f64) {
        Learner::set_rate_factor(&mut self.chain, factor);
    }
}

/// The metrics of every step.
fn by_step(outcomes: Vec<Outcome>, steps: &Range<usize>) -> Vec<Metrics> {
    let mut metrics: Vec<Metrics> = steps.clone().map(|_| Metrics::new()).collect();
    // From the top down, so that a step's metrics begin with those of the top.
    for outcome in outcomes.into_iter().rev() {
        for note in outcome.notes {
            let metrics = &mut metrics[note.step - steps.start];
            match metrics
                .iter_mut()
                .find(|(metric, _)| *metric == note.metric)
            {
                // Each of several workers has made a part of it.
                Some((_, value)) => *value = value.clone() + note.value,
                None => metrics.push((note.metric, note.value)),
            }
        }
    }
    metrics
}

/// Refuses what is no backpropagation.
fn check_backprop(schedule: &ChainSchedule) -> Result<()> {
    match schedule.credit {
        Credit::Backprop => Ok(()),
        credit => Err(Error::Invalid(format!(
            "a pipeline and data-parallel workers train by backprop, not with {credit:?}; give the \
             chain to decoupled workers (Threaded::new)"
        ))),
    }
}

/// Refuses a schedule that would make workers wait for each other.
///
/// # Errors
///
/// If sections are update-locked in some step, or an interface is missing.
pub fn check_schedule(schedule: &ChainSchedule, chain: &Chain) -> Result<()> {
    let invalid = |reason: String| Err(Error::Invalid(reason));
    if schedule.credit.is_update_locked() {
        return invalid(format!(
            "with {:?} every section waits for those above it (it is update-locked), so workers \
             could not train at the same time; train with synthetic gradients, or without workers",
            schedule.credit
        ));
    }
    if schedule.warm_up > 0 && schedule.credit.uses_synthesizers() {
        return invalid(format!(
            "in the {} steps of the warm-up sections learn by backprop, where each waits for those \
             above it (it is update-locked); take them with the chain alone, then give it to \
             workers",
            schedule.warm_up
        ));
    }
    let (interfaces, sections) = (chain.interfaces().len(), chain.names().len());
    if schedule.credit.uses_synthesizers() && interfaces + 1 != sections {
        return invalid(format!(
            "{:?} needs an interface between each two sections",
            schedule.credit
        ));
    }
    Ok(())
}

impl Network for Threaded {
    fn interface_names(&self) -> Vec<&str> {
        self.chain.interface_names()
    }

    fn contracts(&self) -> Vec<Contract> {
        self.chain.contracts()
    }

    fn culprit(&self, metric: Metric) -> String {
        let what = self.chain.culprit(metric);
        match self.sharing {
            // All of them make it.
            Sharing::DataParallel => what,
            Sharing::Decoupled | Sharing::Pipeline { .. } => {
                format!("{what} (worker {})", self.maker_of(metric) + 1)
            }
        }
    }

    fn find_not_finite(&self) -> Result<Option<String>> {
        let metric = self.chain.not_finite()?;
        Ok(metric.map(|metric| self.culprit(metric)))
    }

    fn save(&self, sink: &mut StateSink) -> Result<()> {
        self.chain.save(sink)
    }

    fn load(&mut self, source: &mut StateSource) -> Result<()> {
        self.chain.load(source)
    }
}
