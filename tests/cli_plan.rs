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
        for schedule in ["data_parallel", "pipeline", "delayed", "cdni"] {
            let of = &prediction[schedule];
            assert!(of["step_seconds"].as_f64() > Some(0.0), "{prediction}");
            let shares = ["computing", "moving"].map(|share| of[share].as_f64());
            let sum: f64 = shares.iter().flatten().sum();
            assert!(sum > 0.0 && sum < 1.0 + 1e-9, "{prediction}");
            let split = of["split"].as_array().expect("a list");
            assert_eq!(split.len() as u64, prediction["workers"]);
        }
    }
    let checks = report["checks"].as_array().expect("a list");
    assert_eq!(checks[0]["method"], "cdni");
    assert_eq!(checks[0]["workers"], 1);
    for check in checks {
        assert!(check["measured_seconds"].as_f64() > Some(0.0), "{check}");
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

/// Over a link that takes far longer than any computation, all steps take what is predicted: those that
/// wait for it, and those that do not.
#[test]
fn over_a_link_steps_take_what_is_predicted() {
    let place = Place::new();
    let report =
        place.results("plan --depth 4 --units 8 --batch-size 8 --workers 1,2 --link 30ms,1Mbit");
    let predictions = &report["predictions"][1];
    let seconds = |of: &str| predictions[of]["step_seconds"].as_f64().expect("a number");
    // Up and down; a message has 8 x 8 numbers.
    assert!(seconds("pipeline") > 0.06);
    let layers = (784 * 8 + 2 * 8) + 2 * (8 * 8 + 2 * 8) + (8 * 10 + 10);
    let sent = predictions["data_parallel"]["sent_bytes"].as_u64();
    assert_eq!(sent, Some(4 * layers));
    assert!(seconds("data_parallel") > 0.03 + 32e-6 * layers as f64);
    assert!(predictions["cdni"]["steps_late"].as_f64() > Some(1.0));
    let checks = report["checks"].as_array().expect("a list");
    if checks.len() == 1 {
        eprintln!("skipping the measurement: there is one processor");
        return;
    }
    for method in ["data-parallel", "pipeline"] {
        let check = checks.iter().find(|check| check["method"] == method);
        let check = check.expect("it was measured");
        let [predicted, measured] = ["predicted_seconds", "measured_seconds"]
            .map(|of| check[of].as_f64().expect("a number"));
        assert!(predicted <= 1.02 * measured, "{check}");
        assert!(measured < 1.3 * predicted, "{check}");
    }
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
        ("--link soon", ["'soon' is not a link", "--link"]),
    ] {
        place.run(&format!("{TINY} {flags}")).fails(2, &words);
    }
}
