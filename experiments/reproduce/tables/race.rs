//! Time to an error: decoupled layers by two workers beside their rivals, on one machine and over links.

use std::ops::Range;

use super::*;
use crate::reproduce::race::Race;

/// What lies between two workers, in the order of the columns. The first is the machine's memory.
const LINKS: [&str; 3] = ["", " --link 20ms,1Gbit", " --link 150ms,1Gbit"];
const PLACES: [&str; 3] = ["near", "20ms", "150ms"];

/// Steps that are enough to know a pace by: on one machine, where the first ones are slower, and over
/// a link, where all take as long.
const PACE_STEPS: [usize; 2] = [200, 20];

/// A network and the grid of settings in which every method looks for its own best.
struct Track {
    name: &'static str,
    /// The folder of its runs.
    folder: &'static str,
    network: &'static str,
    /// Where the only interface stands: the layers of each section.
    sections: &'static str,
    /// The flags of synthesizers with labels and without.
    synthesizers: [&'static str; 2],
    /// The error that counts, in percent.
    limit: f64,
    rates: &'static [&'static str],
    steps: &'static [usize],
    seeds: usize,
}

/// How two workers, or two threads, share the work.
struct Entry {
    name: &'static str,
    /// The folder of its runs.
    folder: &'static str,
    method: &'static [&'static str],
    /// Flags besides those of the network and the grid.
    flags: String,
    kind: Kind,
}

impl Entry {
    /// Whether its workers may be far from each other.
    fn is_far(&self) -> bool {
        !matches!(self.kind, Kind::Alone | Kind::Peer) && self.folder != "kernel-threads"
    }
}

/// What changes with a link.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// There is nothing that a link could lie between.
    Alone,
    /// The same runs as those of an entry, at another pace.
    PaceOf(usize),
    /// Its pace.
    Locked,
    /// What is learned, as gradients come late.
    Late,
    /// Another program.
    Peer,
}

/// The entries of a track, in the order of the rows.
fn entries(track: &Track) -> Vec<Entry> {
    let entry = |name, folder, method: &'static [&'static str], flags: &str, kind| Entry {
        name,
        folder,
        method,
        flags: flags.to_string(),
        kind,
    };
    let one_interface = |synthesizer: &str| {
        let sections = track.sections;
        format!(" --sections {sections} --split {sections}{synthesizer}")
    };
    let [conditional, blind] = track.synthesizers.map(one_interface);
    let two_halves = format!(" --split {}", track.sections);
    let whole_batches = format!("{two_halves} --micro-batches 1");
    vec![
        entry(
            "backprop, one thread",
            "backprop",
            &["backprop"],
            "",
            Kind::Alone,
        ),
        entry(
            "backprop, two kernel threads",
            "kernel-threads",
            &["backprop"],
            " --kernel-threads 2",
            Kind::PaceOf(0),
        ),
        entry(
            "PyTorch, two threads",
            "pytorch",
            &["pytorch"],
            " --threads 2",
            Kind::Peer,
        ),
        entry(
            "backprop, a half in each place",
            "halves",
            &["pipeline"],
            &whole_batches,
            Kind::PaceOf(0),
        ),
        entry(
            "data-parallel, two workers",
            "data-parallel",
            &["backprop"],
            " --workers 2",
            Kind::Locked,
        ),
        entry(
            "pipeline, 8 micro-batches",
            "pipeline",
            &["pipeline"],
            &two_halves,
            Kind::Locked,
        ),
        entry(
            "delayed gradients",
            "delayed",
            &["delayed"],
            &two_halves,
            Kind::Late,
        ),
        entry(
            "cDNI, one interface",
            "cdni",
            &["cdni"],
            &conditional,
            Kind::Late,
        ),
        entry("DNI, one interface", "dni", &["dni"], &blind, Kind::Late),
    ]
}

const ALONE: usize = 0;
const KERNEL_THREADS: usize = 1;
const PYTORCH: usize = 2;
const HALVES: usize = 3;
const DATA_PARALLEL: usize = 4;
const PIPELINE: usize = 5;
const DELAYED: usize = 6;
const CDNI: usize = 7;

/// Columns.
const STEPS: usize = 1;
const FAR: [usize; 2] = [3, 4];

/// 784-512x7-10.
pub fn dense(scope: Scope) -> Study {
    let standard = scope != Scope::Quick;
    race(
        &Track {
            name: "784-512x7-10",
            folder: "fcn",
            network: scope.choose(
                "--data glyphs --depth 4 --units 32",
                "--data mnist --depth 8 --units 512",
                "--data mnist --depth 8 --units 512",
            ),
            sections: if standard { "4,4" } else { "2,2" },
            synthesizers: [" --synthesizer linear:32", " --synthesizer mlp:256"],
            limit: if standard { 2.5 } else { 60.0 },
            rates: if standard {
                &["0.002", "0.004"]
            } else {
                &["0.002"]
            },
            steps: if standard {
                &[150, 200, 250, 300, 400, 500]
            } else {
                &[20, 40]
            },
            seeds: scope.choose(1, 3, 3),
        },
        scope.choose(NOTE_QUICK, NOTE, NOTE),
    )
}

/// Three convolutions and an output layer.
pub fn convolutional(scope: Scope) -> Study {
    let standard = scope != Scope::Quick;
    race(
        &Track {
            name: "CNN",
            folder: "cnn",
            network: scope.choose(
                "--data glyphs --model cnn --depth 4 --channels 2",
                "--data mnist --model cnn --depth 4 --channels 16",
                "--data mnist --model cnn --depth 4 --channels 16",
            ),
            sections: "2,2",
            synthesizers: ["", ""],
            limit: if standard { 2.5 } else { 60.0 },
            rates: if standard { &["0.004"] } else { &["0.002"] },
            steps: if standard {
                &[225, 300, 400, 500]
            } else {
                &[20, 40]
            },
            seeds: scope.choose(1, 2, 2),
        },
        scope.choose(NOTE_QUICK, NOTE_CNN, NOTE_CNN),
    )
}

fn race(track: &Track, note: &'static str) -> Study {
    let mut calls = Vec::new();
    let mut grids: Vec<Range<usize>> = Vec::new();
    let entries = entries(track).into_iter();
    let rows = entries.map(|entry| row(track, &entry, &mut grids, &mut calls));
    let rows = rows.collect();
    Study {
        claims: claims(track.name),
        calls,
        corner: "method",
        columns: vec![
            Column::new("one machine, s", None),
            Column::new("steps", None),
            Column::new("error %", None),
            Column::new("link 20 ms, s", None),
            Column::new("link 150 ms, s", None),
        ],
        rows,
        spread: Spread::Deviation,
        sample: "seed",
        notes: vec![note],
    }
}

const NOTE: &str = "Seconds of training until the mean error on MNIST's 10,000 test images is at most \
    2.5 %, with two workers or threads, at each method's own best of the rates 0.002 and 0.004 and of the \
    lengths 150, 200, 250, 300, 400 and 500 steps; rates drop to a tenth after 3/5 of the steps and again \
    after 4/5; batches of 256. Links have 1 Gbit a second each way, and their delay is one way. Steps and \
    error are those of one machine. What waits for the link in every step learns the same over it, so \
    that its time there is its steps times what a step takes.";

const NOTE_CNN: &str = "Seconds of training until the mean error on MNIST's 10,000 test images is at most \
    2.5 %, with 16 channels and depth 4, by two workers or threads, at the rate 0.004 and each method's own \
    best of the lengths 225, 300, 400 and 500 steps; rates drop to a tenth after 3/5 of the steps and again \
    after 4/5; batches of 256. Links have 1 Gbit a second each way, and \
    their delay is one way. Steps and error are those of one machine. What waits for the link in every \
    step learns the same over it, so that its time there is its steps times what a step takes.";

const NOTE_QUICK: &str = "Seconds of training of a small network until at most 60 % of the glyphs \
    are taken for others: whether everything runs.";

/// Where a time is found: the runs of a grid, and what else [`Race`] wants to know of it.
#[derive(Clone)]
struct Found {
    calls: Range<usize>,
    pace: Option<usize>,
    nearer: Option<Range<usize>>,
}

impl Found {
    /// By the runs of a grid alone.
    fn in_grid(calls: Range<usize>) -> Self {
        Self {
            calls,
            pace: None,
            nearer: None,
        }
    }

    fn cell(self, track: &Track, entry: &Entry, pointer: &'static str) -> Cell {
        Cell {
            figure: Some(Figure {
                calls: self.calls,
                of: match entry.kind {
                    // The steps are those of another method.
                    Kind::PaceOf(_) => Vec::new(),
                    _ => vec![["method", entry.method[0]]],
                },
                pointer,
                times: if pointer == ERROR { 100.0 } else { 1.0 },
                race: Some(Race {
                    limit: track.limit,
                    pace: self.pace,
                    nearer: self.nearer,
                }),
            }),
            reference: "",
        }
    }
}

/// The row of an entry, whose calls are added, with its grid.
fn row(track: &Track, entry: &Entry, grids: &mut Vec<Range<usize>>, calls: &mut Vec<Call>) -> Row {
    let grid = match entry.kind {
        Kind::PaceOf(other) => grids[other].clone(),
        _ => grid(track, entry, 0, calls),
    };
    grids.push(grid.clone());
    let mut times = Vec::with_capacity(PLACES.len());
    for place in 0..PLACES.len() {
        let found = Found::in_grid(grid.clone());
        times.push(match entry.kind {
            Kind::Alone | Kind::Peer | Kind::PaceOf(_) if place > 0 && !entry.is_far() => None,
            Kind::Alone | Kind::Peer => Some(found),
            Kind::Locked | Kind::Late if place == 0 => Some(found),
            // A link changes the pace alone.
            Kind::PaceOf(_) | Kind::Locked => Some(Found {
                pace: Some(pace(track, entry, place, calls)),
                ..found
            }),
            Kind::Late => Some(Found {
                nearer: Some(grid.clone()),
                ..Found::in_grid(self::grid(track, entry, place, calls))
            }),
        });
    }
    let mut cells = times.into_iter().map(|found| match found {
        Some(found) => found.cell(track, entry, SECONDS),
        None => Cell {
            figure: None,
            reference: "",
        },
    });
    let near = cells.next();
    let of_grid = |pointer| Found::in_grid(grid.clone()).cell(track, entry, pointer);
    Row {
        name: entry.name.to_string(),
        digits: 2,
        cells: near
            .into_iter()
            .chain([of_grid("/steps"), of_grid(ERROR)])
            .chain(cells)
            .collect(),
    }
}

const SECONDS: &str = "/seconds";
const ERROR: &str = "/test/error";

/// The runs of an entry over its grid, shorter ones first.
fn grid(track: &Track, entry: &Entry, place: usize, calls: &mut Vec<Call>) -> Range<usize> {
    let first = calls.len();
    for &steps in track.steps {
        for rate in track.rates {
            let run = format!("lr{rate}-steps{steps}");
            calls.push(call(track, entry, place, &run, rate, (steps, track.seeds)));
        }
    }
    first..calls.len()
}

/// A short run of an entry, for its pace.
fn pace(track: &Track, entry: &Entry, place: usize, calls: &mut Vec<Call>) -> usize {
    let [near, far] = PACE_STEPS;
    let work = (if place == 0 { near } else { far }, 1);
    calls.push(call(track, entry, place, "pace", track.rates[0], work));
    calls.len() - 1
}

fn call(
    track: &Track,
    entry: &Entry,
    place: usize,
    run: &str,
    rate: &str,
    (steps, seeds): (usize, usize),
) -> Call {
    let name = format!("{}-{}-{}/{run}", track.folder, entry.folder, PLACES[place]);
    let (network, flags, link) = (track.network, &entry.flags, LINKS[place]);
    if entry.kind == Kind::Peer {
        return Call {
            name,
            command: "pytorch",
            flags: format!("{network} --batch-size 256 --lr {rate}{flags}"),
            work: Work::Peer { steps, seeds },
        };
    }
    // Evaluated at its end only.
    let flags = format!("{network}{flags} --lr {rate} --eval-every {steps}{link}");
    training(name, "images", flags, entry.method, (steps, seeds))
}

/// What a track is to show.
fn claims(name: &str) -> Vec<Claim> {
    let at_most = |column: usize, factor: f64, rival: usize| {
        let rival = (rival, column);
        Comparison::at_most((CDNI, column), times(rival, factor))
    };
    let far = |column: usize, delay: &str, [locked, other]: [f64; 2]| {
        Claim::new(
            format!(
                "{name}, {delay}: cDNI takes at most {locked} of the time of backprop over the link, \
                 and {other} of the pipeline's and that of delayed gradients"
            ),
            [
                at_most(column, locked, HALVES),
                at_most(column, other, PIPELINE),
                at_most(column, other, DELAYED),
            ],
        )
    };
    let rivals = [KERNEL_THREADS, DATA_PARALLEL, PIPELINE, DELAYED];
    vec![
        Claim::new(
            format!(
                "{name}, one machine: cDNI takes at most 0.65 of the time of backprop on one thread"
            ),
            [at_most(0, 0.65, ALONE)],
        ),
        Claim::new(
            format!(
                "{name}, one machine: cDNI is at most 5 % slower than any rival by two threads"
            ),
            rivals.map(|rival| at_most(0, 1.05, rival)),
        ),
        Claim::new(
            format!("{name}, one machine: cDNI is at most 5 % slower than PyTorch's two threads"),
            [at_most(0, 1.05, PYTORCH)],
        ),
        far(FAR[0], "20 ms", [0.5, 0.8]),
        far(FAR[1], "150 ms", [0.2, 0.5]),
        Claim::new(
            format!("{name}: cDNI with one interface needs at most 1.2 times backprop's steps"),
            [at_most(STEPS, 1.2, ALONE)],
        ),
    ]
}
