//! Runs outlive the program that made them: folders of this version are kept as they were written, and
//! every later version goes on with them, measures, exports and reports them.
//!
//! `cargo test --test kept_runs -- --ignored` writes them anew, when their format has changed and the
//! changelog says so.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::program::*;
use serde_json::Value;

/// How long they are.
const STEPS: &str = "--steps 4";

/// The runs, by their folders: each kind of network, of synthesizer, and of schedule.
const RUNS: [(&str, &str); 7] = [
    (
        "adder-cdni",
        "adder --layers 4,3 --method cdni --batch-size 8",
    ),
    (
        "images-unlocked",
        "images --depth 3 --units 4 --batch-size 8 --examples 32 --test-examples 16 --method dni \
         --synthesizer mlp:3 --unlock --input-units 3 --update-probability 0.5",
    ),
    (
        "images-workers",
        "images --depth 4 --units 4 --batch-size 8 --examples 32 --test-examples 16 --method cdni \
         --sections 2,2 --workers 2 --synthesizer rls:2",
    ),
    (
        "images-cnn",
        "images --model cnn --depth 3 --channels 2 --batch-size 8 --examples 32 --test-examples 16 \
         --method cdni",
    ),
    (
        "copy-lstm",
        "copy --units 4 --batch-size 4 --unroll 2 --method dni-aux",
    ),
    (
        "text-gru",
        "text --core gru --units 4 --batch-size 4 --unroll 3 --method dni",
    ),
    (
        "clocks",
        "clocks --period 2 --units 3 --batch-size 4 --examples 32 --test-examples 16 --method conditional",
    ),
];

/// Where the folder of a run is kept.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/runs")
        .join(name)
}

/// What a run leaves that later versions need.
const FILES: [&str; 5] = [
    "settings.toml",
    "origin.toml",
    "events.jsonl",
    "scalars.csv",
    "checkpoint.bpk",
];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for file in FILES {
        fs::copy(from.join(file), to.join(file)).expect("every run has it");
    }
}

/// What `dni eval` says of a run.
fn figures(place: &Place, run: &str) -> Value {
    place.results(&format!("eval {run}"))["results"][0]["figures"].take()
}

/// Checks what a run is measured to be against what it was when it was kept. Another processor rounds in
/// another way.
fn check_figures(place: &Place, name: &str) {
    let now = figures(place, name);
    let known: Value =
        serde_json::from_str(&read(kept(name).join("figures.json"))).expect("it is JSON");
    let known = known.as_object().expect("they have names");
    assert!(!known.is_empty(), "{name}");
    for (figure, value) in known {
        let values = value.as_f64().zip(now[figure].as_f64());
        let (then, now) = values.unwrap_or_else(|| panic!("{name} has no {figure}"));
        assert!(
            (then - now).abs() <= 1e-3 * then.abs(),
            "{name}: {figure} was {then} and is {now}"
        );
    }
}

#[test]
fn kept_runs_are_measured_reported_exported_and_gone_on_with() {
    let place = Place::new();
    for (name, call) in RUNS {
        copy(&kept(name), &place.path(name));
        check_figures(&place, name);
        place
            .run(&format!("export {name} --output {name}.safetensors"))
            .succeeds();
        let (experiment, _) = call.split_once(' ').expect("there are flags");
        let longer = format!("{experiment} --resume {name} --steps 6");
        assert_eq!(place.results(&longer)["results"][0]["steps"], 6, "{name}");
    }
    let names = RUNS.map(|(name, _)| name).join(" ");
    place
        .run(&format!("report {names} --output all.html"))
        .succeeds();
    let page = read(place.path("all.html"));
    for (name, _) in RUNS {
        assert!(page.contains(name), "{name} is not in the report");
    }
}

/// The settings alone make a run again, whatever the defaults are by now.
#[test]
fn kept_settings_make_the_same_runs() {
    let place = Place::new();
    for (name, call) in RUNS {
        let folder = place.path(name);
        fs::create_dir(&folder).expect("a folder can be made");
        let file = "settings.toml";
        fs::copy(kept(name).join(file), folder.join(file)).expect("every run has it");
        let (experiment, _) = call.split_once(' ').expect("there are flags");
        place
            .run(&format!("{experiment} --resume {name}"))
            .succeeds();
        check_figures(&place, name);
    }
}

#[test]
#[ignore = "writes the kept runs anew"]
fn write_the_kept_runs() {
    let place = Place::new();
    for (name, call) in RUNS {
        place
            .run(&format!("{call} {STEPS} --run-dir {name}"))
            .succeeds();
        copy(&place.path(name), &kept(name));
        let figures = figures(&place, name).to_string();
        fs::write(kept(name).join("figures.json"), figures).expect("it can be written");
    }
}
