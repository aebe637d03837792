//! `dni clocks` as its users meet it.

mod common;

use common::program::*;
use serde_json::Value;

/// A call that trains in milliseconds, on a few glyphs.
const TINY: &str = "clocks --period 2 --units 8 --batch-size 4 --examples 64 --test-examples 32";

#[test]
fn every_method_has_a_result_of_the_documented_form() {
    let place = Place::new();
    let report = place.results(&format!("{TINY} --steps 6"));
    assert_eq!(report["experiment"], "clocks");
    assert_eq!(report["period"], 2);
    let results = report["results"].as_array().expect("a list of results");
    let methods: Vec<&Value> = results.iter().map(|result| &result["method"]).collect();
    assert_eq!(methods, ["coupled", "decoupled", "conditional", "none"]);
    for (result, interfaces) in results.iter().zip([0, 1, 1, 0]) {
        assert_eq!(result["steps"], 6);
        let looked_at = result["interfaces"].as_array().expect("a list");
        assert_eq!(looked_at.len(), interfaces, "{result}");
        for network in ["fast", "slow"] {
            let error = result[network]["error"].as_f64().expect("a number");
            assert!((0.0..=1.0).contains(&error), "{result}");
            assert!(result[network]["loss"].as_f64().is_some_and(|l| l > 0.0));
        }
    }
}

#[test]
fn every_flag_has_its_effect() {
    let place = Place::new();
    let losses = |flags: &str| {
        let report = place.results(&format!("clocks {flags} --method decoupled"));
        let result = report["results"][0].clone();
        [&result["fast"]["loss"], &result["slow"]["loss"]].map(Value::to_string)
    };
    let plain = format!("{TINY} --steps 6").replacen("clocks ", "", 1);
    let usual = losses(&plain);
    assert_eq!(losses(&plain), usual, "the same seed is the same run");
    for (flag, other) in [
        ("--period 2", "--period 3"),
        ("--units 8", "--units 9"),
        ("--batch-size 4", "--batch-size 5"),
        ("--examples 64", "--examples 63"),
        ("--steps 6", "--steps 7"),
    ] {
        assert_ne!(losses(&plain.replacen(flag, other, 1)), usual, "{other}");
    }
    for flag in [
        "--seed 2",
        "--lr 0.01",
        "--synthesizer linear",
        "--synthesizer-lr 0.1",
        "--scale 30",
    ] {
        assert_ne!(losses(&format!("{plain} {flag}")), usual, "{flag}");
    }
}

#[test]
fn wrong_uses_are_explained() {
    let place = Place::new();
    for (flags, words) in [
        ("--data fashion-mnist", vec!["digits", "--data glyphs"]),
        ("--synthesizer label", vec!["'label'", "linear"]),
        ("--period 33", vec!["period", "32"]),
        ("--units 9000", vec!["8192", "fewer"]),
        ("--method backprop", vec!["coupled"]),
    ] {
        place.run(&format!("clocks {flags}")).fails(2, &words);
    }
}
