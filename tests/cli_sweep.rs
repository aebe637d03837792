//! `dni sweep`: every combination of several values, kept, and sorted.

mod common;

use std::fs;

use common::program::*;
use serde_json::Value;

/// Networks that train in milliseconds.
const SWEEP: &str = "sweep adder --steps 20 --layers 8,8 --batch-size 16 --examples 48 --bits 4 \
                     --method backprop,cdni --lr 0.001,0.01 --synthesizer linear --synthesizer linear:2 \
                     --run-dir it";

fn results(place: &Place, flags: &str) -> Value {
    place.results(&format!("{SWEEP} {flags}"))
}

#[test]
fn every_combination_is_run_and_the_best_comes_first() {
    let place = Place::new();
    let report = results(&place, "--seeds 2 --jobs 2");
    let rows = report["rows"].as_array().expect("there are rows");
    assert_eq!(rows.len(), 2 * 2 * 2, "{report}");
    let figures: Vec<f64> = rows.iter().map(|r| r["figure"].as_f64().unwrap()).collect();
    assert!(figures.is_sorted(), "{figures:?}");
    for row in rows {
        assert_eq!(
            row["results"].as_array().map(Vec::len),
            Some(2),
            "of two seeds"
        );
    }
    let folder = place.path("it/synthesizer=linear-2-lr=0.01/cdni-seed2");
    let settings: toml::Table = read(folder.join("settings.toml")).parse().expect("TOML");
    assert_eq!(settings["lr"].as_float(), Some(0.01));
    assert_eq!(settings["synthesizer"].as_str(), Some("linear:2"));
    assert!(place.path("it/report.html").exists());
    let left: Value = serde_json::from_str(&read(place.path("it/results.json"))).expect("JSON");
    assert_eq!(left, report);

    // The runs are those of single calls.
    let alone = "adder --steps 20 --layers 8,8 --batch-size 16 --examples 48 --bits 4 --method cdni \
                 --lr 0.01 --synthesizer linear:2 --seed 2 --run-dir alone";
    place.run(alone).succeeds();
    assert_same_run(&folder, &place.path("alone"));
}

#[test]
fn what_is_finished_is_not_made_again() {
    let place = Place::new();
    let first = results(&place, "");
    let (kept, made) = (
        "it/synthesizer=linear-lr=0.001",
        "it/synthesizer=linear-lr=0.01",
    );
    let written = |folder: &str| {
        let checkpoint = place.path(folder).join("cdni-seed1/checkpoint.bpk");
        fs::metadata(checkpoint)
            .and_then(|file| file.modified())
            .expect("it is there")
    };
    let before = written(kept);
    fs::remove_dir_all(place.path(made)).expect("it is there");
    let table = place
        .run(&format!("{SWEEP} --sort -seconds"))
        .succeeds()
        .stdout;
    assert_eq!(written(kept), before);
    assert!(place.path(made).join("results.json").exists());
    assert!(table.starts_with("method   "), "{table}");
    assert!(table.contains("report: it/report.html"), "{table}");
    // A figure that there is not is said at the end, and costs nothing.
    let unsorted = place.run(&format!("{SWEEP} --sort secnds"));
    let unsorted = unsorted.fails_in_part(&["secnds"]);
    assert!(unsorted.stdout.contains("report: it/report.html"));
    let rows = |report: &Value| report["rows"].as_array().map(Vec::len);
    assert_eq!(rows(&results(&place, "")), rows(&first));
    // Runs of another sweep are not taken for those of this one.
    let longer = SWEEP.replace("--steps 20", "--steps 30");
    place
        .run(&longer)
        .fails(2, &["other settings", "--run-dir"]);
}

/// A sweep that was killed goes on.
#[cfg(unix)]
#[test]
fn a_sweep_that_is_stopped_says_how_to_go_on() {
    let place = Place::new();
    let call = SWEEP.replace("--steps 20", "--steps 200000");
    let child = place.start(&call);
    let begun = place.path("it/synthesizer=linear-lr=0.001/backprop-seed1");
    let mut child = child;
    wait_until(&mut child, || saved_step(&begun).is_some());
    ask_to_stop(&child);
    let output = child.wait_with_output().expect("it can be waited for");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in ["dni sweep adder", "--lr=0.001 --lr=0.01", "--run-dir /"] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[test]
fn what_cannot_be_swept_is_refused_before_anything_runs() {
    let place = Place::new();
    for (flags, words) in [
        ("--seeds 1,2", ["--seeds cannot be swept", "once"]),
        ("--lr 0.1,x", ["'x'", "--lr"]),
        ("--lr 0.1,0.2 --bits 99", ["bits", ""]),
        ("--steps 5", ["nothing is swept", "--lr 0.001,0.003"]),
        ("--lr 0.1,0.2 --dashboard", ["--dashboard", "leave it out"]),
    ] {
        place.run(&format!("sweep adder {flags}")).fails(2, &words);
    }
    assert!(!place.path("runs").exists(), "no folder is made");
}
