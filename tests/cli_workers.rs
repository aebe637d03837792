//! `dni images` with workers as its users meet it.

mod common;

use common::program::*;
use serde_json::Value;

/// A network of six layers that trains in milliseconds, on a few glyphs.
const TINY: &str = "images --steps 60 --depth 6 --units 8 --batch-size 8 --examples 64 \
                    --test-examples 32 --eval-every 25 --sections every";

/// A convolutional one of four layers.
const TINY_CNN: &str = "images --model cnn --steps 12 --depth 4 --channels 2 --batch-size 8 \
                        --examples 64 --test-examples 32 --sections every";

/// A run that lasts for a few seconds, with everything that workers share.
const LONG: &str = "images --steps 3000 --depth 4 --units 24 --batch-size 8 --examples 64 \
                    --test-examples 32 --method cdni --unlock --update-probability 0.7 \
                    --lr-schedule 1000:0.5,2000:0.5 --eval-every 700 --split 2,2 --run-dir run";

/// Where timing makes no difference, so do workers: the network ends as it does without any.
#[test]
fn workers_train_the_network_that_one_thread_trains() {
    let place = Place::new();
    for (i, (network, split, flags)) in [
        (TINY, "2,4", "--method cdni"),
        (TINY, "3,1,2", "--method dni --unlock"),
        (TINY, "5,1", "--method none"),
        (
            TINY,
            "2,2,2",
            "--method cdni --update-probability 0.5 --lr-schedule 20:0.5",
        ),
        (TINY, "2,4", "--method cdni --synthesizer probe:4"),
        (TINY_CNN, "2,2", "--method cdni"),
    ]
    .into_iter()
    .enumerate()
    {
        let trained = |workers: &str, folder: &str| {
            let call = format!("{network} {flags} {workers} --run-dir {folder}{i}");
            place.run(&call).succeeds();
            state(&place.path(&format!("{folder}{i}"))).tensors
        };
        let alone = trained("", "alone");
        let one = trained("--workers 1", "one");
        assert!(one == alone, "{network} {flags}: one worker");
        let two = trained("--workers 2 --queue 1", "two");
        assert!(two == alone, "{network} {flags}: two workers");
        let split = trained(&format!("--split {split} --queue 1"), "split");
        assert!(split == alone, "{network} {flags}: workers by a split");
    }
}

/// Without other words interfaces stand only where workers meet, whatever the machine: one thread
/// trains the same network if it is told where.
#[test]
fn interfaces_stand_where_workers_meet() {
    let place = Place::new();
    for (i, (network, workers, sections)) in [
        (TINY, "--workers 2", "1,5"),
        (TINY, "--split 2,1,3", "2,1,3"),
        (TINY_CNN, "--place flex,flex", "1,3"),
    ]
    .into_iter()
    .enumerate()
    {
        let network = network.replace("--sections every", "--method cdni --quiet");
        let trained = |flags: &str, folder: &str| {
            place
                .run(&format!("{network} {flags} --run-dir {folder}{i}"))
                .succeeds();
            state(&place.path(&format!("{folder}{i}"))).tensors
        };
        let shared = trained(workers, "shared");
        let settings = read(place.path(&format!("shared{i}/settings.toml")));
        assert!(
            settings.contains(&format!("sections = \"{sections}\"")),
            "{settings}"
        );
        let alone = trained(&format!("--sections {sections}"), "alone");
        assert!(shared == alone, "{network} {workers}");
    }
    // The paper's networks keep theirs.
    let preset = "images --preset paper-mnist-unlock --data glyphs --steps 2 --examples 512 \
                  --test-examples 32 --input-units 8 --method cdni --workers 2 --run-dir preset";
    place.run(preset).succeeds();
    assert!(read(place.path("preset/settings.toml")).contains("sections = \"every\""));
}

/// Gradients that are late by a number of steps are so however the threads run, and true ones can be
/// late as well.
#[test]
fn lateness_does_not_depend_on_the_timing() {
    let place = Place::new();
    let call = format!("{TINY} --split 2,4 --method cdni,delayed");
    let result = |flags: &str| timeless(place.results(&format!("{call} {flags}")));
    let strip = |mut report: Value| {
        for result in report["results"].as_array_mut().expect("a list") {
            result["workers"].take();
        }
        report
    };
    let late = result("--late 4");
    for result in late["results"].as_array().expect("a list") {
        let staleness = &result["workers"]["staleness"];
        let most = staleness.as_array().expect("a list").iter();
        assert_eq!(most.filter_map(|s| s["most"].as_u64()).max(), Some(4));
    }
    let late = strip(late);
    assert_eq!(strip(result("--late 4")), late);
    let prompt = strip(result("--late 0"));
    assert_eq!(strip(result("")), prompt);
    assert_ne!(late["results"][0]["test"], prompt["results"][0]["test"]);
    assert_ne!(late["results"][1]["test"], prompt["results"][1]["test"]);
    // Delayed by nothing it is backpropagation.
    let alone = TINY.to_string() + " --method backprop";
    let alone = timeless(place.results(&alone));
    assert_eq!(alone["results"][0]["test"], prompt["results"][1]["test"]);
}

#[test]
fn who_has_which_layers_and_how_they_did_is_told() {
    let place = Place::new();
    let done = place
        .run(&format!("{TINY} --method cdni --split 2,4"))
        .succeeds();
    for words in [
        "2 workers: hidden1 to hidden2, hidden3 to output",
        "workers busy",
        "0 messages late",
    ] {
        assert!(done.stderr.contains(words), "no {words:?} in {done}");
    }
    // A warm-up shares the layers out, and shows what it measured.
    let done = place
        .run(&format!("{TINY} --method cdni --workers 3"))
        .succeeds();
    for words in ["3 workers: hidden1", "ms a step"] {
        assert!(done.stderr.contains(words), "no {words:?} in {done}");
    }
    let quiet = place
        .run(&format!("{TINY} --method cdni --workers 3 --quiet"))
        .succeeds();
    assert_eq!(quiet.stderr, "");

    let report = place.results(&format!("{TINY} --method cdni --split 1,3,2 --queue 3"));
    let workers = &report["results"][0]["workers"];
    assert_eq!(workers["split"], serde_json::json!([1, 3, 2]));
    for worker in workers["workers"].as_array().expect("a list") {
        assert!(worker["busy_seconds"].as_f64() > Some(0.0), "{worker}");
        assert!(worker["waiting_seconds"].is_number(), "{worker}");
    }
    let staleness = workers["staleness"].as_array().expect("a list");
    let targets: Vec<_> = staleness.iter().map(|s| s["targets"].as_u64()).collect();
    // Between workers, and only there, gradients can be late.
    assert_eq!(targets, [60, 0, 0, 60, 0].map(Some));
    assert!(staleness.iter().all(|s| s["most"].as_u64() < Some(3)));
}

/// Evaluations find all workers at one step, and say how they have worked.
#[test]
fn evaluations_are_at_their_steps() {
    let place = Place::new();
    place
        .run(&format!("{TINY} --method cdni --workers 2 --run-dir run"))
        .succeeds();
    let events = events(&place.path("run"));
    let evaluated = events.iter().filter(|event| event["event"] == "evaluated");
    let evaluated: Vec<_> = evaluated.collect();
    let steps: Vec<_> = evaluated.iter().map(|e| e["step"].as_u64()).collect();
    assert_eq!(steps, [25, 50, 60].map(Some));
    for event in evaluated {
        let event = event.to_string();
        // One interface is between the two.
        assert_eq!(event.matches("\"staleness_hidden").count(), 1, "{event}");
        assert!(event.contains("\"busy_worker1\":"), "{event}");
        assert!(event.contains("\"busy_worker2\":"), "{event}");
    }
    let traced = events.iter().filter(|event| event["event"] == "traced");
    let traced: Vec<_> = traced.map(|e| e["step"].as_u64()).collect();
    assert_eq!(traced, steps);
}

/// After a kill and after Ctrl-C, workers go on as if nothing had happened.
#[cfg(unix)]
#[test]
fn a_run_that_is_killed_or_interrupted_goes_on() {
    let undisturbed = Place::new();
    undisturbed.run(LONG).succeeds();
    for is_killed in [true, false] {
        let place = Place::new();
        let folder = place.path("run");
        let mut child = place.start(LONG);
        wait_until(&mut child, || saved_step(&folder).is_some());
        match is_killed {
            true => signal(&child, "KILL"),
            false => ask_to_stop(&child),
        }
        let output = child.wait_with_output().expect("a child can be waited for");
        let stderr = String::from_utf8_lossy(&output.stderr);
        if !is_killed {
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.contains("--resume /"), "{stderr}");
            let stopped = events(&folder);
            let stopped = stopped.last().expect("there are events");
            assert_eq!(stopped["event"], "interrupted");
            let saved = saved_step(&folder).map(|step| step as u64);
            assert_eq!(stopped["step"].as_u64(), saved);
        }
        place.run("images --resume run").succeeds();
        assert_same_run(&folder, &undisturbed.path("run"));
    }
}

/// With whole batches, or a single worker, rivals end with the network of one thread; a link and what
/// it makes of a run is told.
#[test]
fn rivals_train_the_network_of_one_thread() {
    let place = Place::new();
    let loss = |flags: &str| {
        let report = place.results(&format!("{TINY} {flags}"));
        let loss = report["results"][0]["test"]["loss"].as_f64();
        loss.expect("a number")
    };
    let alone = loss("--method backprop");
    for flags in [
        "--method backprop --workers 1",
        "--method pipeline --workers 2 --micro-batches 1",
        "--method pipeline --split 1,3,2 --micro-batches 1 --link 1ms,1Gbit",
    ] {
        assert_eq!(loss(flags), alone, "{flags}");
    }
    // Batch norm sees other examples.
    assert_ne!(loss("--method backprop --workers 2"), alone);
    // Those who share batches may be more than there are layers.
    let large = TINY.replace("--batch-size 8", "--batch-size 32");
    place
        .run(&format!("{large} --method backprop --workers 7"))
        .succeeds();
    assert_ne!(loss("--method pipeline --workers 2"), alone);
}

#[test]
fn a_link_is_recorded_and_its_queue_is_chosen() {
    let place = Place::new();
    let call = format!("{TINY} --method cdni --workers 2 --link 20ms,1Gbit --run-dir linked");
    let report = place.results(&call);
    let workers = &report["results"][0]["workers"];
    assert_eq!(workers["link"], "20ms,1Gbit");
    assert_eq!(workers["sharing"], "decoupled");
    // A step takes far less than 20 ms.
    assert!(workers["queue"].as_u64() > Some(3), "{workers}");
    let staleness = workers["staleness"].as_array().expect("a list");
    let late = staleness.iter().find(|s| s["targets"].as_u64() > Some(0));
    let late = late.expect("two workers meet");
    assert_eq!(late["targets"].as_u64(), Some(60));
    assert!(late["sum_seconds"].as_f64() > Some(60.0 * 0.04), "{late}");
    let settings = std::fs::read_to_string(place.path("linked").join("settings.toml"));
    let settings = settings.expect("there are settings");
    assert!(settings.contains("link = \"20ms,1Gbit\""), "{settings}");

    let report = place.results(&format!(
        "{TINY} --method pipeline --workers 2 --micro-batches 4"
    ));
    let workers = &report["results"][0]["workers"];
    let sharing = serde_json::json!({"pipeline": {"micro_batches": 4}});
    assert_eq!(workers["sharing"], sharing);
}

/// What nobody said is written down when a run is made, but for what depends on the timing: another
/// default tomorrow changes no run of today. Settings that are older go on without it.
#[test]
fn settings_say_how_workers_talk() {
    let place = Place::new();
    let call = TINY.replace("--batch-size 8", "--batch-size 16");
    for (i, (flags, said, unsaid)) in [
        (
            "--method pipeline --workers 2",
            &["micro_batches = 8", "queue = 1"][..],
            "late",
        ),
        ("--method cdni --split 2,4", &["queue = 1"], "late"),
        (
            "--method cdni --workers 2 --queue 3 --micro-batches 2",
            &["queue = 3", "micro_batches = 2"],
            "late",
        ),
        ("--method cdni --workers 2 --late 3", &["late = 3"], "queue"),
        (
            "--method cdni --workers 2 --link 1ms",
            &["link = \"1ms\""],
            "queue",
        ),
        ("--method cdni", &[], "micro_batches"),
    ]
    .into_iter()
    .enumerate()
    {
        place
            .run(&format!("{call} {flags} --run-dir run{i}"))
            .succeeds();
        let settings = read(place.path(&format!("run{i}/settings.toml")));
        for line in said {
            assert!(settings.contains(line), "no {line} by {flags}: {settings}");
        }
        let unsaid = format!("{unsaid} = ");
        assert!(!settings.contains(&unsaid), "{flags}: {settings}");
    }
    // A run that was stopped before its first checkpoint.
    let path = place.path("run0/settings.toml");
    let settings = read(&path);
    let old = settings.replace("micro_batches = 8\n", "");
    let old = old.replace("queue = 1\n", "");
    assert!(old.len() + 28 == settings.len(), "{settings}");
    std::fs::write(&path, &old).expect("it can be written");
    std::fs::remove_file(place.path("run0/checkpoint.bpk")).expect("it is there");
    place.run("images --resume run0").succeeds();
    assert_eq!(read(&path), old);
}

/// A run that blows up says where and when, and everything ends.
#[test]
fn a_figure_that_is_not_finite_names_its_worker() {
    let place = Place::new();
    let call = format!("{TINY} --method cdni --workers 2 --lr 1e30 --synthesizer-lr 1e30");
    place
        .run(&call)
        .fails(1, &["worker ", "NaN or infinite at step", "learning rate"]);
}

#[test]
fn wrong_use_is_told_with_the_cure() {
    let place = Place::new();
    for (flags, words) in [
        (
            "--split 2,4 --method backprop",
            ["share batches and not layers", "--method pipeline"],
        ),
        ("--method pipeline", ["pipeline", "add --workers"]),
        (
            "--workers 2 --method pipeline --micro-batches 9",
            ["batches of 8", "--micro-batches"],
        ),
        ("--link 5ms --method cdni", ["--link", "add --workers"]),
        (
            "--workers 2 --link 5 --method cdni",
            ["'5' is not a link", "150ms,100Mbit"],
        ),
        (
            "--workers 2 --link 5ms,0bit --method cdni",
            ["at least 1 bit", "--link"],
        ),
        (
            "--workers 2 --method lambda:0.5",
            ["lambda:0.5", "update-locked"],
        ),
        ("--workers 7 --method cdni", ["there are 6", "--workers 6"]),
        ("--workers 0 --method cdni", ["at least 1", "--workers"]),
        ("--split 2,3 --method cdni", ["2,3", "has 6"]),
        ("--split 6,0 --method cdni", ["at least 1", "--split"]),
        (
            "--split 2,4 --workers 2 --method cdni",
            ["--split", "--workers"],
        ),
        ("--queue 2 --method cdni", ["--queue", "add --workers"]),
        ("--late 2 --method cdni", ["--late", "add --workers"]),
        (
            "--late 2 --queue 2 --workers 2 --method cdni",
            ["--late", "--queue"],
        ),
        (
            "--split 2,4 --method cdni@3",
            ["cdni@3", "meet where sections do"],
        ),
        ("--workers 3 --method cdni@3", ["cdni@3", "--workers 2"]),
        ("--method dni@6", ["dni@6", "hidden layer 6"]),
        (
            "--place flex,flex --workers 3 --method cdni",
            ["2 places", "3 workers"],
        ),
        ("--place flex,abacus --method cdni", ["abacus", "--place"]),
        (
            "--place flex,ws://gpu --method cdni",
            ["ws://gpu'", "--place"],
        ),
        (
            "--workers 2 --queue 0 --method cdni",
            ["at least 1", "--queue"],
        ),
    ] {
        place.run(&format!("{TINY} {flags}")).fails(2, &words);
        assert!(!place.path("runs").exists(), "{flags} left a folder");
    }
}

/// Workers on different backends train the same network but for rounding, and stop and go on.
#[test]
fn workers_may_be_on_different_backends() {
    let place = Place::new();
    // So few steps that rounding has not grown.
    let short = TINY.replace("--steps 60", "--steps 5");
    let loss = |flags: &str| {
        let report = place.results(&format!("{short} --method cdni {flags}"));
        report["results"][0]["test"]["loss"]
            .as_f64()
            .expect("a number")
    };
    let expected = loss("");
    for flags in ["--place flex,ndarray", "--place ndarray,flex --split 2,4"] {
        let loss = loss(flags);
        assert!((loss - expected).abs() < 1e-3 * expected, "{flags}: {loss}");
    }
    let call = "--method cdni --place ndarray,flex --run-dir placed";
    let done = place.run(&format!("{TINY} {call}")).succeeds();
    assert!(done.stderr.contains("on ndarray ("), "{done}");
    place.run("images --resume placed").succeeds();
}

/// Adapters are counted, and those that are not there cannot be chosen.
#[test]
fn a_worker_may_choose_an_adapter() {
    let place = Place::new();
    let call = format!("{TINY} --method cdni --split 2,4 --place flex");
    place
        .run(&format!("{call},wgpu:99"))
        .fails(1, &["worker 2", "no adapter 99", "dni backends"]);
    if common::devices().iter().any(|(name, _)| *name == "wgpu") {
        let done = place.run(&format!("{call},wgpu:0")).succeeds();
        assert!(done.stderr.contains("on wgpu:0"), "{done}");
    }
}

/// Without the feature a server is refused before anything is left, and it is said how to get it.
#[cfg(not(feature = "remote"))]
#[test]
fn servers_need_a_feature() {
    let place = Place::new();
    let words = ["cargo build --features remote"];
    place
        .run(&format!(
            "{TINY} --method cdni --place flex,ws://127.0.0.1:3000"
        ))
        .fails(2, &[words[0], "ws://127.0.0.1:3000"]);
    assert!(!place.path("runs").exists(), "it left a folder");
    place.run("serve --insecure").fails(2, &words);
}

/// What workers do is for the results of a run with workers.
#[test]
fn results_without_workers_have_nothing_of_them() {
    let place = Place::new();
    let report = place.results(&format!("{TINY} --method cdni"));
    assert_eq!(report["results"][0].get("workers"), None::<&Value>);
}
