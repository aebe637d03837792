//! The recurrent experiments as their users meet them: `dni copy`, `dni text`, and how they and
//! `dni clocks` go on after they were stopped.

mod common;

use std::fs;
use std::time::Duration;

use common::program::*;
use serde_json::Value;

const COPY: &str = "copy --units 8 --batch-size 4 --unroll 2";
const TEXT: &str = "text --units 8 --batch-size 4 --unroll 3 --characters 2000";

#[test]
fn results_have_the_documented_form() {
    let place = Place::new();
    let copy = place.results(&format!("{COPY} --budget 30"));
    let text = place.results(&format!("{TEXT} --budget 6 --eval-every 3"));
    for (report, experiment) in [(&copy, "copy"), (&text, "text")] {
        assert_eq!(report["experiment"], experiment);
        let results = report["results"].as_array().expect("a list of results");
        let methods: Vec<&Value> = results.iter().map(|result| &result["method"]).collect();
        assert_eq!(methods, ["bptt", "dni", "dni-aux"]);
    }
    for result in copy["results"].as_array().expect("a list") {
        assert_eq!(result["steps"], 30);
        assert!(result["longest"].is_u64(), "{result}");
        assert!(result["bits"].as_f64().is_some_and(|bits| bits > 0.0));
    }
    for report in [&copy, &text] {
        let looked_at = |i: usize| report["results"][i]["interfaces"].as_array().map(Vec::len);
        assert_eq!([0, 1, 2].map(looked_at), [Some(0), Some(1), Some(1)]);
    }
    for result in text["results"].as_array().expect("a list") {
        assert_eq!(result["characters"], 6 * 4 * 3);
        let optimum = result["optimum"].as_f64().expect("the language is known");
        for part in ["train", "valid", "test"] {
            let bits = result["bits_per_character"][part].as_f64();
            assert!(bits.is_some_and(|bits| bits > optimum), "{result}");
        }
    }
}

#[test]
fn every_flag_has_its_effect() {
    let place = Place::new();
    let result = |call: &str| timeless(place.results(call))["results"][0].clone();
    for (plain, other_core) in [
        (format!("{COPY} --budget 30 --method dni"), "--core lstm"),
        (
            format!("{TEXT} --budget 6 --method dni --eval-every 6"),
            "--core gru",
        ),
    ] {
        let usual = result(&plain);
        assert_eq!(result(&plain), usual, "the same seed is the same run");
        for flag in [
            "--seed 2",
            other_core,
            "--synthesizer mlp:8",
            "--synthesizer-lr 0.1",
            "--scale 30",
            "--scale 0.5 --scale-targets false",
            "--lr 0.01",
        ] {
            assert_ne!(result(&format!("{plain} {flag}")), usual, "{flag}");
        }
        for (given, other) in [
            ("--units 8", "--units 9"),
            ("--batch-size 4", "--batch-size 5"),
        ] {
            assert_ne!(result(&plain.replace(given, other)), usual, "{other}");
        }
    }
}

/// The quality of synthetic gradients is in the log, on the way and after the last step.
#[test]
fn synthetic_futures_are_compared_with_true_ones() {
    let place = Place::new();
    for (call, steps) in [
        (
            format!("{COPY} --budget 500 --method dni"),
            vec![200, 400, 500],
        ),
        (format!("{TEXT} --budget 150 --method dni"), vec![100, 150]),
    ] {
        let folder = call.split(' ').next().unwrap_or_default();
        place.run(&format!("{call} --run-dir {folder}")).succeeds();
        let events = events(&place.path(folder));
        let compared = events.iter().filter(|event| event["event"] == "compared");
        let compared: Vec<&Value> = compared.collect();
        let at: Vec<_> = compared.iter().filter_map(|e| e["step"].as_u64()).collect();
        assert_eq!(at, steps, "{call}");
        for event in compared {
            let quality = &event["interfaces"][0];
            assert_eq!(quality["name"], "state");
            assert!(quality["norm"].as_f64().is_some_and(|norm| norm > 0.0));
            let cosine = quality["cosine"].as_f64().expect("a number");
            assert!((-1.0..=1.0).contains(&cosine) && cosine != 0.0);
        }
    }
}

#[test]
fn a_budget_in_minutes_ends_a_run() {
    let place = Place::new();
    let report = place.results(&format!("{COPY} --budget 0.005m --method bptt"));
    let seconds = report["results"][0]["seconds"].as_f64();
    assert!(
        seconds.is_some_and(|s| (0.3..60.0).contains(&s)),
        "{report}"
    );
}

#[test]
fn a_corpus_is_one_file_or_three() {
    let place = Place::new();
    for (name, text) in [
        ("a", "ab\n".repeat(200)),
        ("b", "ba\n".repeat(9)),
        ("c", "bc".into()),
        ("empty", String::new()),
    ] {
        fs::write(place.path(name), text).expect("a file can be written");
    }
    let call = "text --units 4 --batch-size 2 --unroll 3 --budget 2 --method dni";
    for corpus in ["a", "a,b,b"] {
        let report = place.results(&format!("{call} --corpus {corpus}"));
        assert!(report["results"][0]["optimum"].is_null());
    }
    for (corpus, words) in [
        ("a,b,c", vec!["'c' (U+0063)", "line 1, column 2"]),
        ("empty", vec!["empty"]),
        ("missing", vec!["missing"]),
    ] {
        place
            .run(&format!("{call} --corpus {corpus}"))
            .fails(1, &words);
    }
    place
        .run(&format!("{call} --corpus a,b"))
        .fails(2, &["three"]);
    place
        .run("text --characters 5 --budget 2")
        .fails(2, &["too short", "--batch-size", "--unroll"]);
    let long = call.replace("--unroll 3", "--unroll 3000");
    place
        .run(&format!("{long} --corpus a"))
        .fails(1, &["3000", "too short"]);
}

#[test]
fn a_trained_model_writes() {
    let place = Place::new();
    place
        .run(&format!("{TEXT} --budget 2 --method bptt --run-dir run"))
        .succeeds();
    let done = place.run("text --load run --sample 40").succeeds();
    assert_eq!(done.stdout.chars().count(), 41, "{done}");
    place
        .run(&format!("{TEXT} --budget 2 --run-dir several"))
        .succeeds();
    place
        .run("text --load several")
        .fails(2, &["name one of", "several/dni-aux-seed1"]);
}

#[test]
fn wrong_uses_are_explained() {
    let place = Place::new();
    for (flags, words) in [
        ("copy --budget 0", vec!["minutes"]),
        ("copy --method dnl", vec!["bptt, dni and dni-aux"]),
        ("copy --synthesizer label", vec!["'label'", "rls:RANK"]),
        ("copy --scale -1", vec!["from 0"]),
        ("text --units 9000", vec!["8192", "fewer"]),
        (
            "copy --synthesizer mlp:4 --batch-size 1",
            vec!["batch norm", "2 or more"],
        ),
    ] {
        place.run(flags).fails(2, &words);
    }
}

/// State, curriculum and place in the text are as if nothing had happened.
#[test]
fn a_stopped_run_goes_on() {
    const CLOCKS: &str =
        "clocks --period 2 --units 8 --batch-size 4 --examples 64 --test-examples 32 --steps 4000";
    for call in [
        format!("{COPY} --budget 20000 --method dni-aux"),
        format!("{TEXT} --budget 6000 --method dni-aux --eval-every 3000"),
        format!("{CLOCKS} --method decoupled --eval-every 4000"),
    ] {
        let experiment = call.split(' ').next().unwrap_or_default();
        let (undisturbed, place) = (Place::new(), Place::new());
        undisturbed.run(&format!("{call} --run-dir run")).succeeds();
        let folder = place.path("run");
        let mut child = place.start(&format!("{call} --run-dir run"));
        wait_until(&mut child, || saved_step(&folder).is_some());
        std::thread::sleep(Duration::from_millis(200));
        ask_to_stop(&child);
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{call}");
        assert!(saved_step(&folder).is_some_and(|step| step > 0), "{call}");
        place.run(&format!("{experiment} --resume run")).succeeds();
        let states = [&folder, &undisturbed.path("run")].map(|folder| state(folder));
        assert!(states[0] == states[1], "{call}");
        assert_eq!(
            scalars(&folder).len(),
            scalars(&undisturbed.path("run")).len()
        );
    }
}

/// A network knows what it was trained on, wherever it meets data.
#[test]
fn another_text_is_refused_by_name() {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        fs::write(place.path(name), text).expect("a file can be written");
    };
    let call = "text --units 4 --batch-size 2 --unroll 3 --method dni --quiet";
    write("a.txt", &"ab\n".repeat(200));
    place
        .run(&format!("{call} --budget 2 --corpus a.txt --run-dir run"))
        .succeeds();
    let settings = fs::read_to_string(place.path("run/settings.toml")).expect("it was written");
    let absolute = place.path("a.txt").display().to_string();
    assert!(settings.contains(&absolute), "{settings}");
    place.run("text --resume run --quiet").succeeds();
    place.run("eval run").succeeds();
    for (what, text) in [
        // As many different letters, and the same ones in another order.
        ("alphabet", "ac\n".repeat(200)),
        ("CRC-32", "ba\n".repeat(200)),
    ] {
        write("a.txt", &text);
        for command in [
            "text --resume run --quiet",
            "text --resume run --quiet --budget 4",
            "eval run",
        ] {
            let words = ["a.txt", "is not what this network was trained on", what];
            place.run(command).fails(1, &words);
        }
    }
    // What was refused has changed nothing.
    let after = fs::read_to_string(place.path("run/settings.toml")).expect("it is still there");
    assert_eq!(after, settings);
}

/// One rule for all who use a trained network: the best one that the run has kept.
#[test]
fn the_best_network_is_measured_written_with_and_exported() {
    let place = Place::new();
    let call = "text --units 4 --batch-size 2 --unroll 3 --method dni --characters 2000 --quiet";
    for (steps, folder) in [(2, "short"), (4, "long")] {
        let run = format!("{call} --budget {steps} --run-dir {folder}");
        place.run(&run).succeeds();
    }
    // Of the long run the best shall be the network after two steps.
    fs::copy(place.path("short/best.bpk"), place.path("long/best.bpk")).expect("it is there");
    let step = place.results("eval short")["results"][0]["step"].clone();
    let measured = place.results("eval long");
    assert_eq!(measured["results"][0]["step"], step);
    let done = place.run("export long --output net.safetensors").succeeds();
    let said = format!("parameters after step {step}: net.safetensors\n");
    assert_eq!(done.stdout, said);
    let written = |run: &str| {
        let done = place.run(&format!("text --load {run} --sample 40"));
        done.succeeds().stdout
    };
    assert_eq!(written("long"), written("short"));
}
