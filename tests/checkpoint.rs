//! Checkpoints and the training loop: a restored network goes on as the saved one, a file that is
//! not whole or not of this network is refused, and a run ends as it says.

mod common;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, SgdConfig, SgdState};
use burn::tensor::{Device, Tensor};
use common::kept::state;
use common::{on_devices, on_every_device, random, seeded, values};
use dni::data::Fingerprint;
use dni::learner::Network;
use dni::optimizer::{Constants, UpdateRule};
use dni::run::{Checkpoint, RunFolder};
use dni::train::{Checkpointer, Event, Listener, Notes, Outcome, Plan, Progress, Task, train};
use dni::{
    Activation, Backend, Batch, Chain, ChainSchedule, Credit, Dense, DenseConfig, Error, Interface,
    LinearSynthesizerConfig, Loss, MlpSynthesizerConfig, Optimizer, Reduction, TargetScale,
};

const SETTINGS: &str = "experiment = \"test\"\n";

fn settings(text: &str) -> toml::Table {
    text.parse().expect("it is TOML")
}

/// What a network is built from; the seed decides its initial values.
#[derive(Clone, Copy)]
struct Terms {
    inputs: usize,
    width: usize,
    contexts: usize,
    scale: TargetScale,
    reduction: Reduction,
    bias: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            inputs: 4,
            width: 6,
            contexts: 2,
            scale: TargetScale::PerExample,
            reduction: Reduction::Mean,
            bias: true,
        }
    }
}

/// Batch norm in a section and in a synthesizer, Adam and SGD with and without momentum.
fn network(terms: Terms, seed: u64, device: &Device) -> Chain {
    let rng = &mut seeded(seed);
    let first = DenseConfig::new(terms.inputs, terms.width).with_batch_norm(true);
    let second = DenseConfig::new(terms.width, 5).with_activation(Activation::Tanh);
    let top = DenseConfig::new(5, 2).linear().with_bias(terms.bias);
    let mlp = MlpSynthesizerConfig::new(terms.width, vec![7]).with_contexts(terms.contexts);
    let linear = LinearSynthesizerConfig::new(5).with_contexts(terms.contexts);
    Chain::new(Loss::SquaredError)
        .with_reduction(terms.reduction)
        .section("first", first.init(rng, device), Optimizer::adam(0.01))
        .interface(
            Interface::new(mlp.init(rng, device), Optimizer::adam(0.03)).with_scale(terms.scale),
        )
        .section("second", second.init(rng, device), momentum(0.01))
        .interface(
            Interface::new(linear.init(rng, device), Optimizer::sgd(0.03)).with_scale(terms.scale),
        )
        .section("top", top.init(rng, device), Optimizer::sgd(0.01))
}

fn momentum(learning_rate: f64) -> Optimizer {
    let rule = SgdConfig::new().with_momentum(Some(MomentumConfig::new()));
    Optimizer::new(rule, learning_rate)
}

/// Random batches; the one of step `nan` has a NaN among its inputs.
struct Batches {
    device: Device,
    asked: usize,
    nan: Option<usize>,
    data: Option<Fingerprint>,
}

impl Batches {
    fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            asked: 0,
            nan: None,
            data: None,
        }
    }
}

impl Task<Chain> for Batches {
    fn data(&self) -> Option<Fingerprint> {
        self.data.clone()
    }

    fn batch(&mut self, step: usize) -> Batch {
        self.asked += 1;
        let rng = &mut seeded(1_000 + step as u64);
        let mut input = random([8, 4], rng, &self.device);
        if self.nan == Some(step) {
            let mut values = values(input);
            values[5] = f32::NAN;
            input = common::tensor(values, [8, 4], &self.device);
        }
        let target = random([8, 2], rng, &self.device);
        Batch::labelled(input, target)
    }
}

fn plan(steps: usize) -> Plan<ChainSchedule> {
    Plan {
        record_every: 1,
        check_every: 1,
        save_every: Duration::from_secs(3_600),
        ..Plan::new(steps, Credit::Synthetic)
    }
}

/// A folder for a run.
struct Place(common::TempDir);

impl Place {
    fn new() -> Self {
        Self(common::TempDir::new())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn checkpoint(&self) -> PathBuf {
        self.path().join("checkpoint.bpk")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).expect("the run has left it")
    }

    /// Trains in this folder, from its checkpoint if there is one.
    fn train(
        &self,
        chain: &mut Chain,
        task: &mut impl Task<Chain>,
        plan: &Plan<ChainSchedule>,
        listeners: &mut [&mut dyn Listener],
        stop: &AtomicBool,
    ) -> dni::Result<Outcome> {
        let (mut folder, start) = match RunFolder::open(self.path(), &settings(SETTINGS), chain)? {
            Some((folder, checkpoint)) => (folder, checkpoint.restore(chain)?),
            None => {
                let folder = RunFolder::create(self.path(), &settings(SETTINGS), chain)?;
                (folder, Progress::default())
            }
        };
        train(chain, task, plan, start, &mut folder, listeners, stop)
    }

    /// Trains without listeners what must go well.
    fn finish(&self, chain: &mut Chain, plan: &Plan<ChainSchedule>, device: &Device) {
        let stop = AtomicBool::new(false);
        let outcome = self
            .train(chain, &mut Batches::new(device), plan, &mut [], &stop)
            .expect("nothing goes wrong");
        assert!(
            matches!(outcome, Outcome::Finished(progress) if progress.step == plan.steps),
            "{outcome:?}"
        );
    }
}

fn prediction(chain: &Chain, device: &Device) -> Vec<f32> {
    values(chain.predict(random([5, 4], &mut seeded(77), device)))
}

fn section_values(chain: &Chain) -> Vec<Vec<f32>> {
    ["first", "second", "top"]
        .into_iter()
        .flat_map(|name| {
            let section = chain.get::<Dense>(name).expect("all sections are dense");
            common::floats(section)
        })
        .map(|(_, tensor)| values(tensor))
        .collect()
}

#[test]
fn a_restored_network_goes_on_as_the_saved_one() {
    on_every_device(|device, checks| {
        let place = Place::new();
        let mut saved = network(Terms::default(), 1, device);
        place.finish(&mut saved, &plan(7), device);

        let mut restored = network(Terms::default(), 2, device);
        let differs = prediction(&restored, device) != prediction(&saved, device);
        checks.that("another seed is another network", differs);
        let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
        checks.that("settings are kept", checkpoint.settings() == SETTINGS);
        let progress = checkpoint.restore(&mut restored).expect("it fits");
        checks.that("the step is kept", progress.step == 7);
        checks.that("the time is kept", progress.seconds > 0.0);
        // What was read is what was written, on every device.
        checks.that("the same state", state(&restored) == state(&saved));
        checks.that(
            "the same parameters",
            common::bits(&section_values(&restored)) == common::bits(&section_values(&saved)),
        );
        let predictions = [&restored, &saved].map(|chain| vec![prediction(chain, device)]);
        checks.all_same(
            "predictions when restored",
            &predictions[0],
            &predictions[1],
        );

        let mut task = Batches::new(device);
        for step in 7..11 {
            let [actual, expected] = [&mut restored, &mut saved].map(|chain| {
                let done = chain.step(task.batch(step), Credit::Synthetic);
                let mut tensors = vec![values(done.output)];
                tensors.extend(done.residuals.into_iter().flatten().map(values));
                // In use batch norm takes its running statistics.
                tensors.push(prediction(chain, device));
                tensors.extend(section_values(chain));
                tensors
            });
            checks.all_same(format!("after step {}", step + 1), &actual, &expected);
        }
        if checks.are_exact() {
            checks.that(
                "the same state in the end",
                state(&restored) == state(&saved),
            );
        }
    });
}

#[test]
fn an_interrupted_run_ends_as_an_undisturbed_one() {
    on_devices(&[Backend::Flex, Backend::Ndarray], |device, checks| {
        let plan = Plan {
            record_every: 2,
            ..plan(12)
        };
        let undisturbed = Place::new();
        let mut expected = network(Terms::default(), 1, device);
        undisturbed.finish(&mut expected, &plan, device);

        let place = Place::new();
        let stop = AtomicBool::new(false);
        let mut task = Stopping {
            batches: Batches::new(device),
            at: 2,
            stop: &stop,
        };
        let mut chain = network(Terms::default(), 1, device);
        let outcome = place.train(&mut chain, &mut task, &plan, &mut [], &stop);
        // Asked in the third step, it stops after it, although figures are recorded after the next.
        let stopped = matches!(outcome, Ok(Outcome::Interrupted(progress)) if progress.step == 3);
        checks.that(format!("stopped, not {outcome:?}"), stopped);
        checks.that("no batch too many", task.batches.asked == 3);

        let mut resumed = network(Terms::default(), 2, device);
        place.finish(&mut resumed, &plan, device);
        checks.that("the same state", state(&resumed) == state(&expected));
        let losses = |place: &Place| -> Vec<String> {
            let text = place.read("scalars.csv");
            let without_seconds = |line: &str| {
                let mut cells: Vec<&str> = line.split(',').collect();
                cells.remove(1);
                cells.join(",")
            };
            text.lines().map(without_seconds).collect()
        };
        checks.that("every step is recorded once", losses(&place).len() == 7);
        checks.that("the same figures", losses(&place) == losses(&undisturbed));
    });
}

/// Batches of which one brings a wish to stop.
struct Stopping<'a> {
    batches: Batches,
    at: usize,
    stop: &'a AtomicBool,
}

impl Task<Chain> for Stopping<'_> {
    fn batch(&mut self, step: usize) -> Batch {
        if step == self.at {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.batches.batch(step)
    }
}

/// A listener made of a function.
struct Listen<F>(F);

impl<F: FnMut(&Event) -> dni::Result<()>> Listener for Listen<F> {
    fn hear(&mut self, event: &Event) -> dni::Result<()> {
        (self.0)(event)
    }
}

// What is refused.

#[test]
fn a_network_under_other_terms_is_refused() {
    let device = &Device::flex();
    let place = Place::new();
    let terms = Terms::default();
    place.finish(&mut network(terms, 1, device), &plan(2), device);
    let restore = |mut chain: Chain| {
        let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
        checkpoint.restore(&mut chain)
    };
    assert!(restore(network(terms, 2, device)).is_ok());

    for (other, words) in [
        (
            Terms {
                contexts: 3,
                ..terms
            },
            [
                "interface 1",
                "6 features with 2 of context",
                "with 3 of context",
            ],
        ),
        (
            Terms {
                scale: TargetScale::Loss,
                ..terms
            },
            [
                "interface 1",
                "gradients per example",
                "gradients of the loss",
            ],
        ),
        (
            Terms {
                reduction: Reduction::Sum,
                ..terms
            },
            ["interface 1", "under a mean loss", "under a summed loss"],
        ),
        (
            Terms { width: 7, ..terms },
            ["interface 1", "6 features", "7 features"],
        ),
    ] {
        let error = restore(network(other, 1, device)).expect_err("the terms differ");
        assert!(matches!(error, Error::Contract { .. }), "{error:?}");
        for word in words {
            assert!(error.to_string().contains(word), "no {word:?} in: {error}");
        }
    }

    let rng = &mut seeded(1);
    let without = Chain::new(Loss::SquaredError)
        .section(
            "first",
            DenseConfig::new(4, 6).init(rng, device),
            Optimizer::sgd(0.1),
        )
        .section(
            "second",
            DenseConfig::new(6, 2).init(rng, device),
            Optimizer::sgd(0.1),
        );
    let error = restore(without).expect_err("it has no interfaces");
    assert!(matches!(error, Error::Contract { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("number of interfaces was 2, here it is 0"),
        "{text}"
    );
}

#[test]
fn a_network_of_another_shape_is_refused() {
    let device = &Device::flex();
    let place = Place::new();
    let terms = Terms::default();
    place.finish(&mut network(terms, 1, device), &plan(2), device);
    let wider = Terms { inputs: 5, ..terms };
    let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
    let error = checkpoint.restore(&mut network(wider, 1, device));
    let error = error.expect_err("the first section has another shape");
    assert!(matches!(error, Error::Record(_)), "{error:?}");
    assert!(error.to_string().contains("does not fit"), "{error}");
}

#[test]
fn a_missing_tensor_is_named() {
    let device = &Device::flex();
    let place = Place::new();
    let terms = Terms::default();
    let without_bias = Terms {
        bias: false,
        ..terms
    };
    place.finish(&mut network(without_bias, 1, device), &plan(2), device);
    let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
    let error = checkpoint.restore(&mut network(terms, 1, device));
    let error = error.expect_err("a bias is missing");
    assert!(
        matches!(&error, Error::MissingTensor { name } if name == "section.2.parameters.bias"),
        "{error:?}"
    );
}

/// States are taken by the same update rule with the same constants only.
#[test]
fn another_optimizer_is_refused() {
    let device = &Device::flex();
    let place = Place::new();
    let with = |optimizer: fn() -> Optimizer| {
        let section = DenseConfig::new(4, 2).init(&mut seeded(1), device);
        Chain::new(Loss::SquaredError).section("only", section, optimizer())
    };
    let optimizers: [fn() -> Optimizer; 9] = [
        || Optimizer::adam(0.1),
        || momentum(0.1),
        || Optimizer::sgd(0.1),
        || Optimizer::sgd(0.1).with_clipping(GradientClippingConfig::Norm(1.0)),
        || Optimizer::sgd(0.1).with_clipping(GradientClippingConfig::Norm(2.0)),
        || Optimizer::new(AdamConfig::new().with_amsgrad(true), 0.1),
        || Optimizer::new(AdamConfig::new().with_beta_1(0.5), 0.1),
        || Optimizer::new(AdamWConfig::new(), 0.1),
        || Optimizer::new(AdamWConfig::new().with_weight_decay(0.0), 0.1),
    ];
    for (i, saved) in optimizers.into_iter().enumerate() {
        let mut chain = with(saved);
        let mut task = Batches::new(device);
        chain.step(task.batch(0), Credit::Backprop);
        let progress = Progress::default();
        Checkpoint::write(
            &place.checkpoint(),
            &chain,
            &Notes::new(),
            progress,
            SETTINGS,
            None,
            &[],
        )
        .expect("a checkpoint can be written");
        for (j, other) in optimizers.into_iter().enumerate() {
            let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
            let outcome = checkpoint.restore(&mut with(other));
            match outcome {
                Ok(_) => assert!(i == j, "state {i} was taken for that of {j}"),
                Err(Error::Contract { saved, current, .. }) => {
                    assert!(i != j && saved != current, "{saved}, {current}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A checkpoint of a small network.
fn small_checkpoint(place: &Place) -> Vec<u8> {
    let device = &Device::flex();
    let rng = &mut seeded(1);
    let synthesizer = LinearSynthesizerConfig::new(2).init(rng, device);
    let mut chain = Chain::new(Loss::SquaredError)
        .section(
            "first",
            DenseConfig::new(4, 2).init(rng, device),
            Optimizer::adam(0.1),
        )
        .interface(Interface::new(synthesizer, Optimizer::sgd(0.1)))
        .section(
            "top",
            DenseConfig::new(2, 2).init(rng, device),
            Optimizer::sgd(0.1),
        );
    place.finish(&mut chain, &plan(3), device);
    fs::read(place.checkpoint()).expect("the run has left it")
}

#[test]
fn a_truncated_or_altered_checkpoint_is_refused() {
    let place = Place::new();
    let whole = small_checkpoint(&place);
    let read_of = |bytes: &[u8]| {
        fs::write(place.checkpoint(), bytes).expect("a file can be written");
        Checkpoint::read(&place.checkpoint())
    };
    assert!(read_of(&whole).is_ok());
    let is_refused = |bytes: &[u8]| matches!(read_of(bytes), Err(Error::Damaged { .. }));
    for length in 0..whole.len() {
        assert!(is_refused(&whole[..length]), "cut to {length} bytes");
    }
    for position in 0..whole.len() {
        let mut altered = whole.clone();
        altered[position] ^= 1 << (position % 8);
        assert!(is_refused(&altered), "altered at {position}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(is_refused(&longer), "a byte too many");
    let mut swapped = whole.clone();
    let unequal = (0..whole.len() - 1).find(|&i| whole[i] != whole[i + 1]);
    let i = unequal.expect("not all bytes are equal");
    swapped.swap(i, i + 1);
    assert!(is_refused(&swapped), "two bytes changed places");
}

fn with_checksum(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.extend(crc32fast::hash(content).to_le_bytes());
    bytes
}

#[test]
fn a_checkpoint_of_another_format_is_refused_as_such() {
    const NAME: &[u8] = b"format";
    let place = Place::new();
    let whole = small_checkpoint(&place);
    let mut content = whole[..whole.len() - 4].to_vec();
    let name = content.windows(NAME.len()).position(|word| word == NAME);
    let name = name.expect("it has a format");
    let digit = content[name..].iter().position(u8::is_ascii_digit);
    content[name + digit.expect("it is a number")] = b'9';
    fs::write(place.checkpoint(), with_checksum(&content)).expect("a file can be written");
    let error = Checkpoint::read(&place.checkpoint()).err();
    assert!(
        matches!(&error, Some(Error::OtherFormat { found, .. }) if found == "9"),
        "{error:?}"
    );
}

/// A program that writes wrong checkpoints would give them right checksums.
#[test]
fn nonsense_under_a_right_checksum_is_no_panic() {
    let place = Place::new();
    let whole = small_checkpoint(&place);
    let content = &whole[..whole.len() - 4];
    let outcome = |content: &[u8]| {
        fs::write(place.checkpoint(), with_checksum(content)).expect("a file can be written");
        catch_unwind(AssertUnwindSafe(|| {
            Checkpoint::read(&place.checkpoint()).is_ok()
        }))
    };
    assert!(outcome(content).is_ok_and(|whole| whole));
    let mut failures = Vec::new();
    for length in 0..content.len() {
        match outcome(&content[..length]) {
            Ok(false) => {}
            Ok(true) => failures.push(format!("cut to {length}: accepted")),
            Err(_) => failures.push(format!("cut to {length}: panic")),
        }
    }
    for position in 0..content.len() {
        let mut altered = content.to_vec();
        altered[position] ^= 1 << (position % 8);
        if outcome(&altered).is_err() {
            failures.push(format!("altered at {position}: panic"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_folder_is_opened_only_under_the_settings_of_its_run() {
    let place = Place::new();
    let chain = network(Terms::default(), 1, &Device::flex());
    let open = |text| RunFolder::open(place.path(), &settings(text), &chain);
    assert!(matches!(open(SETTINGS), Ok(None)), "there is no run yet");
    small_checkpoint(&place);
    let error = RunFolder::create(place.path(), &settings(SETTINGS), &chain).err();
    let error = error.expect("there is a run").to_string();
    assert!(error.contains("resume that run"), "{error}");
    let error = open("experiment = \"other\"\n").err().expect("another run");
    let difference = "other settings: experiment was \"test\", here it is \"other\"";
    assert!(error.to_string().contains(difference), "{error}");
    assert!(matches!(
        open("experiment = 'test' # by value"),
        Ok(Some(_))
    ));

    // What was logged after the checkpoint is cut off, what was lost before it is missed.
    let events = place.read("events.jsonl");
    let log = place.path().join("events.jsonl");
    fs::write(&log, format!("{events}half a li")).expect("a file can be written");
    assert!(matches!(open(SETTINGS), Ok(Some(_))));
    assert_eq!(place.read("events.jsonl"), events);
    fs::write(&log, &events[..10]).expect("a file can be written");
    let error = open(SETTINGS).err().expect("the log is too short");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    fs::remove_file(&log).expect("a file can be removed");
    let error = open(SETTINGS).err().expect("the log is gone");
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("events.jsonl"), "{error}");
}

/// As a longer run is: from then on the folder is that of a run under those settings.
#[test]
fn a_run_goes_on_under_settings_that_it_is_given() {
    let place = Place::new();
    small_checkpoint(&place);
    let chain = network(Terms::default(), 1, &Device::flex());
    let open = |text| RunFolder::open(place.path(), &settings(text), &chain);
    let longer = "experiment = \"test\"\nsteps = 5\n";
    assert!(open(longer).is_err(), "they are others");
    let (mut folder, _) = open(SETTINGS).ok().flatten().expect("there is a run");
    let set = folder.set_settings(&settings(longer));
    set.expect("they can be written");
    assert_eq!(place.read("settings.toml"), longer);
    folder
        .save(&chain, &Notes::new(), Progress::default())
        .expect("it can be saved");
    drop(folder);
    assert!(matches!(open(longer), Ok(Some(_))));
    assert!(open(SETTINGS).is_err(), "they were replaced");
}

/// The network of a run is the best one where its task kept it, and else the last.
#[test]
fn the_best_network_of_a_run_is_preferred() {
    let place = Place::new();
    let step = || Checkpoint::best_or_last(place.path()).map(|found| found.progress().step);
    assert!(step().is_err(), "there is none yet");
    let chain = network(Terms::default(), 1, &Device::flex());
    for (name, saved) in [("checkpoint.bpk", 7), (RunFolder::BEST, 3)] {
        let (path, notes) = (place.path().join(name), Notes::new());
        let progress = Progress {
            step: saved,
            ..Progress::default()
        };
        let written = Checkpoint::write(&path, &chain, &notes, progress, SETTINGS, None, &[]);
        written.expect("it can be written");
        assert_eq!(step().ok(), Some(saved));
    }
}

/// A run knows its data, also when it has ended, and takes no others.
#[test]
fn other_data_are_refused() {
    let device = &Device::flex();
    let place = Place::new();
    let data = |meaning: &str, values: &[u8]| {
        let data = Fingerprint::default().with_term("classes", meaning);
        Some(data.with_part("train", "examples.bin", [values]))
    };
    let train = |steps, data: Option<Fingerprint>| {
        let mut task = Batches::new(device);
        task.data = data;
        let mut chain = network(Terms::default(), 1, device);
        let stop = AtomicBool::new(false);
        place.train(&mut chain, &mut task, &plan(steps), &mut [], &stop)
    };
    train(2, data("7", b"abc")).expect("it is new");
    let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
    assert_eq!(checkpoint.data(), data("7", b"abc").as_ref());
    let check = |values: &[u8]| checkpoint.check_data(&data("7", values).expect("they are given"));
    assert!(check(b"abc").is_ok() && check(b"abd").is_err());
    for steps in [2, 4] {
        for (other, words) in [
            (data("8", b"abc"), ["classes was '7'", "here it is '8'"]),
            (data("7", b"abd"), ["the part to train with", "CRC-32"]),
        ] {
            let error = train(steps, other).expect_err("they are others");
            assert!(matches!(error, Error::OtherData { .. }), "{error:?}");
            for word in words.into_iter().chain(["examples.bin"]) {
                assert!(error.to_string().contains(word), "no {word:?} in {error}");
            }
        }
    }
    train(3, data("7", b"abc")).expect("they are the same");
    // Whoever does not say what its data are keeps what was said.
    train(4, None).expect("nothing is known");
    train(5, data("7", b"abd")).expect_err("they are others");
}

/// A task whose note has a name of the training loop's own.
struct Intruder(Batches);

impl Task<Chain> for Intruder {
    fn batch(&mut self, step: usize) -> Batch {
        self.0.batch(step)
    }

    fn notes(&self) -> Notes {
        Notes::from([("record.loss.sum".to_string(), 3.0)])
    }
}

#[test]
fn notes_do_not_take_the_names_of_the_loop() {
    let device = &Device::flex();
    let mut chain = network(Terms::default(), 1, device);
    let (mut task, stop) = (Intruder(Batches::new(device)), AtomicBool::new(false));
    let start = Progress::default();
    let outcome = train(
        &mut chain,
        &mut task,
        &plan(2),
        start,
        &mut (),
        &mut [],
        &stop,
    );
    let error = outcome.expect_err("it cannot be kept").to_string();
    assert!(error.contains("'record.loss.sum'"), "{error}");
}

/// An update that panics loses what it was at; what follows says so.
#[test]
fn a_failed_update_leaves_an_error_and_no_panic() {
    let device = &Device::flex();
    let place = Place::new();
    let mut chain = network(Terms::default(), 1, device);
    let whole = place.checkpoint();
    let write = |chain: &Chain| {
        let progress = Progress::default();
        Checkpoint::write(&whole, chain, &Notes::new(), progress, SETTINGS, None, &[])
    };
    write(&chain).expect("it is whole");
    let top = DenseConfig::new(5, 2).linear().init(&mut seeded(1), device);
    let mut failing =
        Chain::new(Loss::SquaredError).section("top", top, Optimizer::new(Failing, 0.1));
    let mut batch = Batches::new(device).batch(0);
    batch.input = random([8, 5], &mut seeded(1), device).into();
    let step = AssertUnwindSafe(|| failing.step(batch, Credit::Backprop));
    assert!(catch_unwind(step).is_err(), "the rule fails");
    let found = failing.find_not_finite().expect("the device works");
    assert!(found.is_none(), "nothing is known");
    let error = write(&failing).expect_err("there is nothing to write");
    assert!(error.to_string().contains("last checkpoint"), "{error}");
    let checkpoint = Checkpoint::read(&whole).expect("the last one is still there");
    checkpoint.restore(&mut chain).expect("and fits");
}

/// A rule that fails in its first step.
#[derive(Clone)]
struct Failing;

impl UpdateRule for Failing {
    const NAME: &'static str = "failing";
    type Rule = Self;

    fn rule(&self) -> Self {
        self.clone()
    }

    fn constants(&self) -> Constants {
        Constants::new()
    }
}

impl burn::optim::Optimizer for Failing {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        _: f64,
        _: Tensor<D>,
        _: Tensor<D>,
        _: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        panic!("it fails");
    }

    fn to_device<const D: usize>(state: SgdState<D>, _: &Device) -> SgdState<D> {
        state
    }
}

// The training loop.

#[test]
fn in_a_warm_up_synthesizers_learn_and_sections_follow_backprop() {
    on_devices(&[Backend::Flex, Backend::Ndarray], |device, checks| {
        let run = |steps, warm_up, credit| {
            let mut chain = network(Terms::default(), 1, device);
            let schedule = ChainSchedule {
                warm_up,
                ..ChainSchedule::from(credit)
            };
            let plan = Plan {
                schedule,
                ..plan(steps)
            };
            let place = Place::new();
            place.finish(&mut chain, &plan, device);
            (chain, place.read("scalars.csv"))
        };
        let (warm, rows) = run(10, 10, Credit::Synthetic);
        let (backprop, _) = run(10, 0, Credit::Backprop);
        let (cold, _) = run(10, 0, Credit::Synthetic);
        checks.all_close(
            "sections in a warm-up",
            &section_values(&warm),
            &section_values(&backprop),
            1e-6,
        );
        checks.that(
            "without one they go another way",
            section_values(&cold) != section_values(&backprop),
        );
        let predicted = |chain: &Chain| -> Vec<Vec<f32>> {
            let widths = [6, 5];
            let interfaces = chain.interfaces().iter().zip(widths);
            interfaces
                .map(|(interface, width)| {
                    let rng = &mut seeded(5);
                    let message = random([8, width], rng, device);
                    let context = random([8, 2], rng, device);
                    values(interface.predict(message, Some(context)).delta_hat())
                })
                .collect()
        };
        let is_zero = |tensor: &Vec<f32>| tensor.iter().all(|&value| value == 0.0);
        checks.that(
            "under backprop synthesizers stay at zero",
            predicted(&backprop).iter().all(is_zero),
        );
        checks.that(
            "in a warm-up they do not",
            !predicted(&warm).iter().any(is_zero),
        );
        let last = rows.lines().last().expect("there are rows");
        checks.that(
            format!("their losses are recorded: {last}"),
            // Beside the step, the seconds, the loss and the factor of the rates.
            last.split(',').filter(|cell| !cell.is_empty()).count() == 6,
        );

        // After it, they are applied.
        let (after, _) = run(13, 10, Credit::Synthetic);
        let (on, _) = run(13, 0, Credit::Backprop);
        let difference = |a: &Chain, b: &Chain| {
            let [a, b] = [a, b].map(|chain| section_values(chain).concat());
            common::relative_difference(&a, &b)
        };
        checks.that("then they are applied", difference(&after, &on) > 1e-4);
    });
}

#[test]
fn listeners_hear_what_happens_in_order() {
    let device = &Device::flex();
    let place = Place::new();
    let mut heard = Vec::new();
    let mut listener = Listen(|event: &Event| {
        heard.push(match event {
            Event::Started { step, steps } => {
                let steps = steps.expect("no time limit was set");
                format!("started {step}/{steps}")
            }
            Event::Progress(scalars) => format!("progress {}", scalars.step),
            Event::Evaluated { step, .. } => format!("evaluated {step}"),
            Event::Compared { step, .. } => format!("compared {step}"),
            Event::Traced { step, .. } => format!("traced {step}"),
            Event::Saved { step } => format!("saved {step}"),
            Event::Interrupted { step } => format!("interrupted {step}"),
            Event::Finished { step, .. } => format!("finished {step}"),
        });
        Ok(())
    });
    let plan = Plan {
        record_every: 2,
        save_every: Duration::ZERO,
        ..plan(5)
    };
    let mut chain = network(Terms::default(), 1, device);
    let mut task = Batches::new(device);
    let stop = AtomicBool::new(false);
    place
        .train(&mut chain, &mut task, &plan, &mut [&mut listener], &stop)
        .expect("nothing goes wrong");
    let expected = [
        "started 0/5",
        "progress 2",
        "saved 2",
        "progress 4",
        "saved 4",
        "progress 5",
        "finished 5",
    ];
    assert_eq!(heard, expected);
    let lines = place.read("events.jsonl");
    assert_eq!(lines.lines().count(), expected.len());
}

#[test]
fn the_error_of_a_listener_ends_the_run() {
    let device = &Device::flex();
    let place = Place::new();
    let mut full = Listen(|event: &Event| match event {
        Event::Progress(scalars) if scalars.step == 3 => {
            Err(Error::Invalid("no space left".to_string()))
        }
        _ => Ok(()),
    });
    let mut chain = network(Terms::default(), 1, device);
    let mut task = Batches::new(device);
    let stop = AtomicBool::new(false);
    let error = place
        .train(&mut chain, &mut task, &plan(9), &mut [&mut full], &stop)
        .expect_err("the listener failed");
    assert_eq!(error.to_string(), "no space left");
    assert_eq!(task.asked, 3);
    // It can go on from where it was saved.
    let mut resumed = network(Terms::default(), 2, device);
    place.finish(&mut resumed, &plan(9), device);
    let undisturbed = Place::new();
    let mut expected = network(Terms::default(), 1, device);
    undisturbed.finish(&mut expected, &plan(9), device);
    assert!(state(&resumed) == state(&expected));
}

#[test]
fn nan_is_named_with_its_step_and_leaves_the_last_good_checkpoint() {
    let device = &Device::flex();
    for (record_every, check_every, save_every, saved) in [
        (100, 1, Duration::ZERO, 0),
        (100, 5, Duration::ZERO, 0),
        (2, 1, Duration::ZERO, 6),
        (2, 5, Duration::ZERO, 6),
        (1, 5, Duration::ZERO, 7),
        (3, 100, Duration::ZERO, 6),
        (100, 100, Duration::ZERO, 0),
    ] {
        let case = format!("recorded every {record_every}, checked every {check_every}");
        let place = Place::new();
        let plan = Plan {
            record_every,
            check_every,
            save_every,
            ..plan(20)
        };
        let mut chain = network(Terms::default(), 1, device);
        let mut task = Batches::new(device);
        task.nan = Some(7);
        let stop = AtomicBool::new(false);
        let error = place
            .train(&mut chain, &mut task, &plan, &mut [], &stop)
            .expect_err("a NaN went in");
        let named =
            matches!(&error, Error::NotFinite { what, step: 8 } if what == "section 'first'");
        assert!(named, "{case}: {error}");

        let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
        let mut restored = network(Terms::default(), 2, device);
        let progress = checkpoint.restore(&mut restored).expect("it fits");
        assert_eq!(progress.step, saved, "{case}");
        let found = restored.find_not_finite().expect("the device works");
        assert_eq!(found, None, "{case}");
        let finite = prediction(&restored, device).iter().all(|v| v.is_finite());
        assert!(finite, "{case}: the running statistics are good, too");
    }
}

/// The loss of a step is taken before its update, so it does not show what the update did.
#[test]
fn a_network_that_is_not_finite_is_never_saved() {
    let device = &Device::flex();
    for (steps, save_every) in [(1, Duration::from_secs(3_600)), (9, Duration::ZERO)] {
        let place = Place::new();
        let section = DenseConfig::new(4, 2).init(&mut seeded(1), device);
        let mut chain =
            Chain::new(Loss::SquaredError).section("only", section, Optimizer::sgd(1e300));
        let plan = Plan {
            schedule: Credit::Backprop.into(),
            save_every,
            ..plan(steps)
        };
        let stop = AtomicBool::new(false);
        let error = place
            .train(&mut chain, &mut Batches::new(device), &plan, &mut [], &stop)
            .expect_err("the learning rate is too large");
        let named =
            matches!(&error, Error::NotFinite { what, step: 1 } if what == "section 'only'");
        assert!(named, "{error}");
        let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
        assert_eq!(checkpoint.progress().step, 0);
    }
}

#[test]
fn a_checkpoint_moves_between_backends() {
    let place = Place::new();
    let flex = &Device::flex();
    let mut saved = network(Terms::default(), 1, flex);
    place.finish(&mut saved, &plan(5), flex);
    let expected = prediction(&saved, flex);
    on_every_device(|device, checks| {
        let mut restored = network(Terms::default(), 2, device);
        let checkpoint = Checkpoint::read(&place.checkpoint()).expect("it is whole");
        checkpoint.restore(&mut restored).expect("it fits");
        let [input, output] = {
            let input: Tensor<2> = random([5, 4], &mut seeded(77), device);
            [input.clone(), restored.predict(input)]
        };
        checks.that(
            "tensors lie on the network's device",
            output.device() == input.device(),
        );
        checks.close("prediction", &values(output), &expected, 1e-5);
        checks.that("the state is the same", state(&restored) == state(&saved));
    });
}
