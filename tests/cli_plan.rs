//! `dni plan` as its users meet it.

mod common;

use common::program::*;

const TINY: &str = "plan --depth 4 --units 8 --batch-size 8 --repetitions 1";

#[test]
fn a_plan_has_the_documented_form() {
    let place = Place::new();
    let report = place.results(&format!("{TINY} --workers 1,2,4,8"));
    assert_eq!(report["experiment"], "plan");
    assert_eq!(report["layers"], 4);
    let predictions = report["predictions"].as_array().expect("a list");
    // Eight workers would be more than there are layers.
    let workers: Vec<_> = predictions.iter().map(|p| p["workers"].as_u64()).collect();
    assert_eq!(workers, [1, 2, 4].map(Some));
    for prediction in predictions {
        for schedule in ["pipeline", "cdni"] {
            let of = &prediction[schedule];
            assert!(of["step_seconds"].as_f64() > Some(0.0), "{prediction}");
            let shares = ["computing", "moving"].map(|share| of[share].as_f64());
            let sum: f64 = shares.iter().flatten().sum();
            assert!(sum > 0.0 && sum < 1.0 + 1e-9, "{prediction}");
            let split = of["split"].as_array().expect("a list");
            assert_eq!(split.len() as u64, prediction["workers"]);
        }
    }
    let check = &report["check"];
    for measured in ["measured_seconds", "alone_measured_seconds"] {
        assert!(check[measured].as_f64() > Some(0.0), "{check}");
    }
    assert!(!place.path("runs").exists(), "a plan leaves no run");
}

#[test]
fn messages_that_take_long_are_seen_in_the_plan() {
    let place = Place::new();
    let call = format!("{TINY} --workers 4 --message-us 1000000");
    let done = place.run(&call).succeeds();
    for words in ["moving %", "a message takes 1000000 us", "measured here"] {
        assert!(done.stdout.contains(words), "no {words:?} in {done}");
    }
    let report = place.results(&call);
    let moving = report["predictions"][0]["cdni"]["moving"].as_f64();
    assert!(moving > Some(0.7), "{report}");
}

/// Every network that can be trained can be planned for.
#[test]
fn networks_of_all_kinds_have_a_plan() {
    let place = Place::new();
    for flags in [
        "--units 8 --unlock",
        "--units 8 --synthesizer probe:4",
        "--model cnn --channels 2",
        "--preset paper-cifar10-fcn",
    ] {
        let call = format!("plan --batch-size 8 --repetitions 1 --workers 2 {flags}");
        place.run(&call).succeeds();
    }
}

#[test]
fn wrong_use_is_told_with_the_cure() {
    let place = Place::new();
    for (flags, words) in [
        ("--workers 9", ["4 layers", "--workers from 1 to 4"]),
        ("--workers 0", ["at least 1", "--workers"]),
        ("--micro-batches 0", ["at least 1", "--micro-batches"]),
        ("--synthesizer conv:4", ["conv:4", "cnn"]),
    ] {
        place.run(&format!("{TINY} {flags}")).fails(2, &words);
    }
}
