//! The program as its users meet it: exit codes, stdout, stderr and the folders that it leaves.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use common::program::*;
use serde_json::Value;

/// A network that trains in milliseconds.
const TINY: &str = "--steps 20 --layers 8,8 --batch-size 16 --examples 48 --bits 4";

/// The same without its length, for benches.
const NETWORK: &str = "--layers 8,8 --batch-size 16 --examples 48 --bits 4";

/// One that trains long enough to be stopped on the way: DNI is the slowest method.
const LONG: &str = "--steps 40000 --layers 8,8 --batch-size 16 --examples 48 --bits 4 --method dni";

/// A long run that nobody disturbed.
static UNDISTURBED: LazyLock<Place> = LazyLock::new(|| {
    let place = Place::new();
    place.run(&format!("{LONG} --run-dir run")).succeeds();
    place
});

// Command lines that work.

#[test]
fn flags_alone_are_flags_of_the_adder() {
    let place = Place::new();
    let alone = place.results(TINY);
    let named = place.results(&format!("adder {TINY}"));
    let methods = alone["results"].as_array().expect("a list").iter();
    let methods: Vec<_> = methods.map(|result| &result["method"]).collect();
    assert_eq!(methods, ["backprop", "dni", "dni@1", "cdni"]);
    assert_eq!(timeless(alone), timeless(named));
}

#[test]
fn help_is_on_stdout() {
    let place = Place::new();
    for (call, words) in [
        (
            "--help",
            vec!["adder", "bench", "backends", "dni --backend"],
        ),
        ("-h", vec!["adder", "bench", "backends"]),
        ("help", vec!["adder", "bench", "backends"]),
        ("help bench", vec!["--export"]),
        ("--version", vec![env!("CARGO_PKG_VERSION")]),
        (
            "adder --help",
            vec![
                "--preset",
                "--method",
                "--layers",
                "--steps",
                "--epochs",
                "--seeds",
                "--resume",
                "--run-dir",
                "--backend",
                "--format",
                "--quiet",
                "notebook-dni",
                "lambda:X",
            ],
        ),
        (
            "bench --help",
            vec!["--backends", "--repetitions", "--methods", "--export"],
        ),
        ("backends --help", vec!["--format"]),
    ] {
        let done = place.run(call).succeeds();
        assert_eq!(done.stderr, "", "{done}");
        for word in words {
            assert!(done.stdout.contains(word), "no {word} in {done}");
        }
    }
    let nothing = fs::read_dir(place.path("")).expect("a folder can be listed");
    assert_eq!(nothing.count(), 0, "help leaves no files");
}

#[test]
fn backends_are_listed() {
    let place = Place::new();
    let without_sockets = &mut place.command("backends");
    let text = Done::of(without_sockets.env_remove("XDG_RUNTIME_DIR")).succeeds();
    assert_eq!(text.stderr, "", "drivers have nothing to complain about");
    let listed = place.run("backends --format json").json();
    for (i, name) in ["flex", "ndarray", "wgpu"].into_iter().enumerate() {
        assert!(
            text.stdout.lines().any(|line| line.starts_with(name)),
            "{text}"
        );
        let backend = &listed["backends"][i];
        assert_eq!(backend["backend"], name);
        assert!(backend["works"].is_boolean() && backend["note"].is_string());
        if name != "wgpu" {
            assert_eq!(backend["works"], true);
        }
    }
    let adapters = listed["adapters"].as_array().expect("a list");
    let has_gpu = adapters.iter().any(|adapter| adapter["is_gpu"] == true);
    let note = listed["backends"][2]["note"].as_str().expect("a text");
    assert!(has_gpu || !note.starts_with("GPU"), "{note}");
    assert!(["flex", "wgpu"].contains(&listed["auto"].as_str().expect("auto is a name")));
}

// Results.

#[test]
fn every_method_has_a_result_of_the_documented_form() {
    let place = Place::new();
    let report = place.results(&format!(
        "{TINY} --method backprop,dni,cdni,none,lambda:0.5 --seeds 2 --seed 7"
    ));
    let keys = |value: &Value| -> Vec<String> {
        let object = value.as_object().expect("an object");
        object.keys().cloned().collect()
    };
    assert_eq!(keys(&report), ["backend", "experiment", "results"]);
    assert_eq!(report["experiment"], "adder");
    assert_eq!(report["backend"], "flex");
    let results = report["results"].as_array().expect("a list");
    let who: Vec<_> = results
        .iter()
        .map(|r| (r["method"].as_str().expect("a name"), r["seed"].as_u64()))
        .collect();
    let methods = ["backprop", "dni", "cdni", "none", "lambda:0.5"];
    let expected: Vec<_> = methods
        .into_iter()
        .flat_map(|method| [(method, Some(7)), (method, Some(8))])
        .collect();
    assert_eq!(who, expected);
    for result in results {
        let fields = "interfaces loss measure method run_dir seconds seed steps steps_per_second test train worth";
        assert_eq!(keys(result).join(" "), fields);
        assert_eq!(result["steps"], 20);
        for figure in ["seconds", "steps_per_second", "loss"] {
            assert!(result[figure].as_f64().is_some_and(|f| f > 0.0), "{result}");
        }
        for set in ["train", "test"] {
            assert_eq!(keys(&result[set]), ["bit_accuracy", "exact"]);
            let [bits, exact] = ["bit_accuracy", "exact"]
                .map(|figure| result[set][figure].as_f64().expect("a number"));
            assert!((0.0..=1.0).contains(&exact) && exact <= bits && bits <= 1.0);
        }
        let interfaces = result["interfaces"].as_array().expect("a list");
        let method = result["method"].as_str().expect("a name");
        let names: Vec<_> = interfaces.iter().map(|i| &i["name"]).collect();
        if ["backprop", "none"].contains(&method) {
            assert!(names.is_empty());
        } else {
            assert_eq!(names, ["hidden1", "hidden2"]);
        }
        for interface in interfaces {
            let cosine = interface["cosine"].as_f64().expect("a number");
            assert!((-1.0001..=1.0001).contains(&cosine), "{interface}");
            let error = interface["relative_error"].as_f64();
            assert!(error.is_some_and(|error| error >= 0.0), "{interface}");
        }
        let folder = result["run_dir"].as_str().expect("a path");
        assert!(place.path(folder).join("checkpoint.bpk").exists());
    }
    let losses: Vec<_> = results.iter().map(|r| r["loss"].as_f64()).collect();
    assert!(losses[0] != losses[1], "another seed is another run");
}

/// Interfaces stand between sections only; inside one gradients are exact.
#[test]
fn sections_say_where_interfaces_stand() {
    let place = Place::new();
    let result =
        |flags: &str| timeless(place.results(&format!("{TINY} {flags}")))["results"][0].clone();
    let at_one = result("--method cdni --sections 1,2 --run-dir run");
    let names = |result: &Value| -> Vec<String> {
        let interfaces = result["interfaces"].as_array().expect("a list").iter();
        interfaces
            .map(|i| i["name"].as_str().expect("a name").to_string())
            .collect()
    };
    assert_eq!(names(&at_one), ["hidden1"]);
    assert_eq!(names(&result("--method cdni --sections 2,1")), ["hidden2"]);
    assert_eq!(
        names(&result("--method cdni --sections every")),
        ["hidden1", "hidden2"]
    );
    let mut by_method = result("--method cdni@1");
    by_method["method"] = "cdni".into();
    assert_eq!(by_method, at_one);
    // Nothing but where interfaces stand is another.
    assert_eq!(
        result("--method cdni --sections 3")["loss"],
        result("--method backprop")["loss"]
    );

    let settings = read(place.path("run/settings.toml"));
    assert!(settings.contains("sections = \"1,2\""), "{settings}");
    let evaluated = place.run("eval run --format json").succeeds().json();
    let unseen = 1.0 - at_one["test"]["exact"].as_f64().expect("a number");
    let error = evaluated["results"][0]["figures"]["unseen_error"].as_f64();
    assert!(
        error.is_some_and(|error| (error - unseen).abs() < 1e-9),
        "{evaluated}"
    );
    place.run("export run --output net.safetensors").succeeds();
    let file = fs::read(place.path("net.safetensors")).expect("it was exported");
    let file = String::from_utf8_lossy(&file);
    for name in [
        "sections.0.weight",
        "sections.1.layers.0.weight",
        "sections.1.layers.1.bias",
    ] {
        assert!(file.contains(&format!("\"{name}\"")), "no {name}");
    }
    place.run("--resume run").succeeds();
    let bench = format!("bench {NETWORK} --backends flex --repetitions 1 --sections 1,2");
    assert_eq!(
        place
            .run(&format!("{bench} --format json"))
            .succeeds()
            .json()["sections"],
        "1,2"
    );
}

#[test]
fn the_bench_times_no_steps_that_mean_nothing() {
    let place = Place::new();
    let bench = "bench --backends flex --repetitions 1 --batch-size 4";
    for (flags, words) in [
        (
            "--methods backprop --lr 1e30",
            "infinite while it was timed",
        ),
        ("--network images --methods dni@1", "choose dni or cdni"),
    ] {
        let run = place.run(&format!("{bench} {flags}"));
        assert!(run.stdout.contains(words), "{run}");
        run.fails_in_part(&["no case could run"]);
    }
    let report = place.results(&format!("{bench} --network images"));
    let rows = report["results"].as_array().expect("a row for each method");
    let methods: Vec<_> = rows.iter().map(|row| row["method"].as_str()).collect();
    assert_eq!(methods, ["backprop", "dni", "cdni"].map(Some));
    assert!(rows.iter().all(|row| row["note"].is_null()), "{report}");
}

#[test]
fn there_is_no_test_without_unseen_sums() {
    let place = Place::new();
    let all =
        place.results(&format!("{TINY} --examples 64 --method cdni").replace("--examples 48", ""));
    assert!(all["results"][0]["test"].is_null(), "{all}");
    let most = place.results(&format!("{TINY} --method cdni"));
    assert!(most["results"][0]["test"].is_object(), "{most}");
}

#[test]
fn the_same_seed_is_the_same_run_to_the_last_bit() {
    let place = Place::new();
    let call = format!("{TINY} --method dni,cdni,lambda:0.3 --seed 5");
    let (first, second) = (place.results(&call), place.results(&call));
    assert_eq!(timeless(first), timeless(second));
    let folders: Vec<PathBuf> = fs::read_dir(place.path("runs"))
        .expect("there are runs")
        .map(|entry| entry.expect("a folder can be listed").path())
        .collect();
    assert_eq!(folders.len(), 2, "each call has a folder of its own");
    assert_same_run(&folders[0].join("dni-seed5"), &folders[1].join("dni-seed5"));
}

#[test]
fn presets_report_the_loss_of_the_notebook() {
    let place = Place::new();
    for (preset, method, steps) in [
        ("notebook-backprop", "backprop", "--steps 3"),
        ("notebook-dni", "dni", "--epochs 2"),
    ] {
        let report = place.results(&format!("--preset {preset} {steps}"));
        let result = &report["results"][0];
        assert_eq!(report["results"].as_array().map(Vec::len), Some(1));
        assert_eq!(result["method"], method);
        assert_eq!(
            result["steps"],
            if preset == "notebook-dni" { 20 } else { 3 }
        );
        let loss = result["train"]["notebook_loss"].as_f64();
        assert!(loss.is_some_and(|loss| loss > 0.0), "{report}");
        let text = place.run(&format!("--preset {preset} {steps}")).succeeds();
        assert!(text.stdout.contains("notebook loss"), "{text}");
    }
}

#[test]
fn synthesizers_and_lengths_can_be_chosen() {
    let place = Place::new();
    for flags in ["linear", "rls:3", "mlp:8x8"].map(|kind| format!("--synthesizer {kind}")) {
        let report = place.results(&format!("{TINY} --method dni,cdni {flags}"));
        assert_eq!(report["results"].as_array().map(Vec::len), Some(2));
    }
    let tiny = TINY.replace("--steps 20", "");
    let report = place.results(&format!(
        "{tiny} --epochs 3 --method none --kernel-threads 2"
    ));
    // 48 sums are three batches.
    assert_eq!(report["results"][0]["steps"], 9);
    let report = place.results(&format!(
        "{TINY} --method cdni --lr 0.01 --synthesizer-lr 0.1"
    ));
    assert_eq!(report["results"][0]["steps"], 20);
}

#[test]
fn the_table_has_a_row_for_each_method_and_then_a_sentence() {
    let place = Place::new();
    let done = place
        .run(&format!(
            "{TINY} --method backprop,dni,lambda:0.5 --seeds 2"
        ))
        .succeeds();
    let first = |line: &str| line.split_whitespace().next().map(String::from);
    let rows: Vec<String> = done.stdout.lines().filter_map(first).collect();
    let methods = ["backprop", "dni", "lambda:0.5"];
    let expected = [
        &["method"],
        &methods[..],
        &methods,
        &["worth:", "runs:", "next:"],
    ];
    assert_eq!(rows, expected.concat(), "{done}");
    assert!(done.stdout.contains('±'), "two seeds have a spread: {done}");
    assert!(done.stderr.contains("dni, seed 2: 20 steps in"), "{done}");
    assert!(done.stdout.contains("runs: runs/adder-"), "{done}");
    assert!(!done.stdout.contains('\u{1b}') && !done.stdout.contains('\r'));
    assert!(!done.stderr.contains('\r'), "no bar where nobody sees it");

    for flag in ["--quiet", "-q"] {
        let quiet = place.run(&format!("{TINY} --method dni {flag}")).succeeds();
        assert_eq!(quiet.stderr, "");
        assert_eq!(quiet.stdout.lines().count(), 7, "{quiet}");
    }
}

// Folders.

#[track_caller]
fn assert_is_run(folder: &Path, steps: u64, columns: &str) {
    let settings: toml::Table = read(folder.join("settings.toml"))
        .parse()
        .expect("settings are TOML");
    assert_eq!(settings["run"]["experiment"].as_str(), Some("adder"));
    assert_eq!(settings["run"]["steps"].as_integer(), Some(steps as i64));

    let events = events(folder);
    let names = names(&events);
    assert_eq!(names.first(), Some(&"started"));
    assert_eq!(names.last(), Some(&"finished"));
    assert_eq!(events[0]["step"], 0);
    assert_eq!(events[0]["steps"], steps);
    assert_eq!(events[events.len() - 1]["step"], steps);

    let scalars = read(folder.join("scalars.csv"));
    let header = scalars.lines().next().expect("there is a header");
    assert_eq!(header, columns);
    let steps_of_rows: Vec<u64> = scalars
        .lines()
        .skip(1)
        .map(|row| {
            let cells: Vec<&str> = row.split(',').collect();
            assert_eq!(cells.len(), columns.split(',').count(), "{row}");
            // Not everything is measured in every step.
            for cell in cells.iter().filter(|cell| !cell.is_empty()) {
                assert!(cell.parse::<f64>().is_ok(), "{row}");
            }
            cells[0].parse().expect("a step")
        })
        .collect();
    assert_eq!(steps_of_rows.last(), Some(&steps));
    assert_eq!(steps_of_rows, recorded_steps(folder));
    assert_eq!(saved_step(folder), Some(steps as usize));
}

/// What was evaluated and compared stands in the row of its step, as it does in the events.
#[track_caller]
fn assert_figures_agree(folder: &Path) {
    let table = read(folder.join("scalars.csv"));
    let mut rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("there is a header");
    let rows: Vec<_> = rows.collect();
    let cell = |step: &Value, name: &str| {
        let step = step.to_string();
        let row = rows.iter().find(|row| row[0] == step);
        let column = header.iter().position(|column| *column == name);
        let (row, column) = row.zip(column).expect("there is such a cell");
        row[column].parse::<f64>().ok()
    };
    // Readers of JSON may round.
    let is_same = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (a, b) => a == b,
    };
    let mut compared = 0;
    for event in events(folder) {
        if let Some(error) = event["figures"]["unseen_error"].as_f64() {
            assert!(is_same(cell(&event["step"], "unseen_error"), Some(error)));
        }
        for interface in event["interfaces"].as_array().into_iter().flatten() {
            let name = interface["name"].as_str().expect("it has a name");
            let cosine = cell(&event["step"], &format!("cosine_{name}"));
            assert!(is_same(cosine, interface["cosine"].as_f64()), "{event}");
            compared += 1;
        }
    }
    assert!(compared > 0, "nothing was compared");
}

/// The results in a folder are what the call has printed.
#[test]
fn every_run_and_every_call_leaves_its_results() {
    let place = Place::new();
    let printed = place.results(&format!("{TINY} --method backprop,dni --run-dir it"));
    let left = |folder: &str| -> Value {
        let text = read(place.path(folder).join("results.json"));
        serde_json::from_str(&text).expect("it is JSON")
    };
    assert_eq!(left("it"), printed);
    for (i, run) in ["it/backprop-seed1", "it/dni-seed1"].iter().enumerate() {
        let own = left(run);
        assert_eq!(own["results"], serde_json::json!([printed["results"][i]]));
        assert_eq!(own["experiment"], "adder");
    }
    // A finished run that is gone on with leaves them again.
    fs::remove_file(place.path("it/dni-seed1/results.json")).expect("it is there");
    place.run("--resume it").succeeds();
    assert_eq!(left("it/dni-seed1")["results"][0], printed["results"][1]);
    assert_eq!(left("it"), printed);
}

/// A table ends with what came of each method and the command that shows more, as the program was
/// called.
#[test]
fn a_call_says_what_came_of_it_and_what_to_do_next() {
    let place = Place::new();
    let call = format!("{TINY} --method backprop,cdni --run-dir it");
    let text = place.run(&call).succeeds().stdout;
    for words in [
        "  worth 1  worth 2\n",
        "\nbackprop learned ",
        " of the unseen sums wrong (",
        " by backprop, 93.75 % by guessing); its synthetic gradients were worth ",
        "\nworth: the mean cosine",
        "\nruns: it\nnext: dni report it\n",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let json = place.results("--resume it");
    let [backprop, cdni] = [0, 1].map(|i| &json["results"][i]);
    assert_eq!(backprop["worth"], serde_json::json!([]));
    let worth = cdni["worth"][0]["cosine"].as_f64();
    assert!(
        worth.is_some_and(|worth| (-1.0..=1.0).contains(&worth)),
        "{cdni}"
    );
    assert_eq!(cdni["measure"]["guessing"], 0.9375);

    let mut command = place.command("--resume it");
    let by_cargo = command.env("CARGO", "cargo").env("CARGO_PKG_NAME", "dni");
    let text = Done::of(by_cargo).succeeds().stdout;
    assert!(text.contains("\nnext: cargo run -- report it\n"), "{text}");
}

/// Who waits is told what for, where there is no terminal as well.
#[test]
fn a_long_run_is_not_silent() {
    let place = Place::new();
    let call = "adder --steps 1000000 --method dni --run-dir it";
    let mut child = place.start(call);
    let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let begun = std::time::Instant::now();
    let progress = |line: &String| line.starts_with("run 1 of 1") && line.contains("dni, seed 1");
    let line = stderr.lines().map_while(Result::ok).find(progress);
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    assert!(line.is_some(), "it said nothing");
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn a_run_leaves_settings_logs_and_a_checkpoint() {
    let place = Place::new();
    place
        .run(&format!("{TINY} --method dni --run-dir deep/one"))
        .succeeds();
    let columns = "step,seconds,loss,synthesizer_loss_hidden1,synthesizer_loss_hidden2,rate_factor,\
        unseen_error,cosine_hidden1,cosine_hidden2,norm_hidden1,norm_hidden2,relative_error_hidden1,\
        relative_error_hidden2";
    assert_is_run(&place.path("deep/one"), 20, columns);
    assert_figures_agree(&place.path("deep/one"));
    let mut files: Vec<_> = fs::read_dir(place.path("deep/one"))
        .expect("there is a folder")
        .map(|entry| entry.expect("a folder can be listed").file_name())
        .collect();
    files.sort();
    let expected = [
        ".lock",
        "checkpoint.bpk",
        "curves.svg",
        "events.jsonl",
        "origin.toml",
        "results.json",
        "scalars.csv",
        "settings.toml",
    ];
    assert_eq!(files, expected);

    place
        .run(&format!(
            "{TINY} --method backprop,lambda:0.5 --seeds 2 --seed 3 --run-dir many"
        ))
        .succeeds();
    for seed in [3, 4] {
        let folder = place.path(&format!("many/backprop-seed{seed}"));
        assert_is_run(&folder, 20, "step,seconds,loss,rate_factor,unseen_error");
        assert_is_run(
            &place.path(&format!("many/lambda-0.5-seed{seed}")),
            20,
            columns,
        );
    }
    let settings: toml::Table = read(place.path("many/settings.toml"))
        .parse()
        .expect("settings are TOML");
    assert_eq!(settings["run"]["seeds"].as_integer(), Some(2));
    assert!(!place.path("many/checkpoint.bpk").exists());
}

#[test]
fn a_finished_run_that_is_resumed_prints_the_same_results() {
    let place = Place::new();
    let call = format!("{TINY} --method dni,backprop --run-dir runs/it");
    let first = place.results(&call);
    let rows = read(place.path("runs/it/dni-seed1/scalars.csv"));
    // Flags that agree with the folder do no harm, all of them or a few.
    for flags in ["", TINY, "--layers 8,8", "--method dni,backprop"] {
        let again = place.results(&format!("--resume runs/it {flags}"));
        assert_eq!(again, first, "even the time spent in training is the same");
    }
    assert_eq!(read(place.path("runs/it/dni-seed1/scalars.csv")), rows);
    let last = events(&place.path("runs/it/dni-seed1"));
    assert_eq!(names(&last).last(), Some(&"finished"));
}

// Wrong use: exit code 2.

#[test]
fn wrong_use_is_told_from_failure_and_names_the_culprit() {
    let place = Place::new();
    for (arguments, words) in [
        (
            "--method bp",
            vec!["'bp'", "--method", "backprop", "lambda:X"],
        ),
        ("--method lambda:2", vec!["'lambda:2'", "from 0 to 1"]),
        ("--method dni,dni", vec!["dni", "twice"]),
        (
            "--method lambda:0.5,lambda:0.50",
            vec!["lambda:0.5", "twice"],
        ),
        ("--backend tpu", vec!["'tpu'", "flex, ndarray, wgpu"]),
        ("--preset numpy", vec!["'numpy'", "notebook-dni"]),
        ("--synthesizer conv", vec!["'conv'", "linear", "mlp:"]),
        ("--synthesizer mlp:0", vec!["'mlp:0'", "mlp:UNITS"]),
        (
            "--method cdni --synthesizer probe:4",
            vec!["'probe:4'", "class", "rls:RANK"],
        ),
        ("--format xml", vec!["'xml'", "json"]),
        ("imagine", vec!["'imagine'"]),
        ("--momentum 1", vec!["'--momentum'"]),
        ("--steps 0", vec!["'0'", "--steps", "at least 1"]),
        ("--steps -5", vec!["'-5'", "--steps", "whole number"]),
        ("--steps 1.5", vec!["'1.5'", "--steps", "whole number"]),
        ("--epochs 0", vec!["'0'", "--epochs", "at least 1"]),
        ("--layers 0", vec!["'0'", "--layers", "at least 1"]),
        ("--layers 8,0", vec!["'0'", "--layers", "at least 1"]),
        ("--layers -8", vec!["'-8'", "--layers", "whole number"]),
        ("--layers=-8,8", vec!["'-8'", "--layers", "whole number"]),
        ("--bits 0", vec!["'0'", "--bits", "at least 1"]),
        ("--bits -1", vec!["'-1'", "--bits", "whole number"]),
        ("--bits 1", vec!["1 bits", "from 2 to 24"]),
        ("--bits 99", vec!["99 bits", "from 2 to 24"]),
        (
            "--bits 24 --examples 1000000000",
            vec!["1000000000 examples", "choose from 1"],
        ),
        ("--layers 1000000000", vec!["parameters", "fewer units"]),
        ("--synthesizer mlp:1000000000", vec!["fewer units"]),
        (
            "--synthesizer mlp:99999999999",
            vec!["'99999999999'", "choose up to 1000000000"],
        ),
        ("--examples 0", vec!["'0'", "--examples", "at least 1"]),
        ("--examples -1", vec!["'-1'", "--examples", "whole number"]),
        ("--batch-size 0", vec!["'0'", "--batch-size", "at least 1"]),
        (
            "--batch-size -1",
            vec!["'-1'", "--batch-size", "whole number"],
        ),
        ("--seeds 0", vec!["'0'", "--seeds", "at least 1"]),
        ("--seeds -1", vec!["'-1'", "--seeds", "whole number"]),
        ("--seed -1", vec!["'-1'", "--seed"]),
        (
            "--seed 18446744073709551615",
            vec!["18446744073709551615", "choose"],
        ),
        (
            "--seed 9223372036854775807 --seeds 2",
            vec!["9223372036854775807", "choose"],
        ),
        ("--steps 18446744073709551615", vec!["choose up to"]),
        ("--epochs 18446744073709551615", vec!["choose up to"]),
        (
            "--kernel-threads 0",
            vec!["'0'", "--kernel-threads", "at least 1"],
        ),
        (
            "--kernel-threads -1",
            vec!["'-1'", "--kernel-threads", "whole number"],
        ),
        (
            "--method dni --batch-size 1",
            vec!["batch norm", "2 or more"],
        ),
        ("--lr 0", vec!["'0'", "--lr", "above 0"]),
        ("--sections 2,2", vec!["2,2", "3 layers"]),
        ("--sections 3,0", vec!["'3,0'", "--sections", "every"]),
        ("--method dni@3", vec!["dni@3", "there are 2"]),
        ("--lr -0.1", vec!["'-0.1'", "--lr", "above 0"]),
        ("--lr nan", vec!["'nan'", "--lr", "above 0"]),
        ("--lr inf", vec!["'inf'", "--lr", "above 0"]),
        (
            "--synthesizer-lr 0",
            vec!["'0'", "--synthesizer-lr", "above 0"],
        ),
        (
            "--synthesizer-lr -1",
            vec!["'-1'", "--synthesizer-lr", "above 0"],
        ),
        ("--steps 5 --epochs 5", vec!["--steps", "--epochs"]),
        (
            "--bits 4 --examples 65 --batch-size 8",
            vec!["65 examples", "from 1 to 64"],
        ),
        (
            "--batch-size 65 --examples 64",
            vec!["batch of 65", "from 1 to 64"],
        ),
        ("--resume a --run-dir b", vec!["--resume", "--run-dir"]),
        ("--resume missing", vec!["resume", "no folder 'missing'"]),
        (
            "bench --export x.txt",
            vec!["'x.txt'", ".json, .csv or .md"],
        ),
        ("bench --export x", vec!["'x'", ".json, .csv or .md"]),
        ("bench --repetitions 0", vec!["'0'", "--repetitions"]),
        ("bench --repetitions -1", vec!["'-1'", "--repetitions"]),
        (
            "bench --backends cuda",
            vec!["'cuda'", "--backends", "wgpu"],
        ),
        ("bench --methods bp", vec!["'bp'", "--method", "backprop"]),
        ("bench --methods dni,dni", vec!["dni", "twice"]),
        ("bench --method dni,dni", vec!["dni", "twice"]),
        ("bench --steps 5", vec!["'--steps'"]),
        ("bench --epochs 5", vec!["'--epochs'"]),
        ("bench --seed 5", vec!["'--seed'"]),
        ("bench --seeds 5", vec!["'--seeds'"]),
        ("backends --format xml", vec!["'xml'", "json"]),
    ] {
        place.run(arguments).fails(2, &words);
    }
    Done::of(place.command(TINY).env("DNI_BACKEND", "tpu")).fails(2, &["'tpu'", "flex"]);
    let nothing = fs::read_dir(place.path("")).expect("a folder can be listed");
    assert_eq!(nothing.count(), 0, "wrong use leaves no files");
}

#[test]
fn only_a_folder_of_a_run_under_its_own_settings_can_be_resumed() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).expect("a folder can be made");
    place
        .run("--resume empty")
        .fails(2, &["empty/settings.toml", "folder of a run"]);

    place
        .run(&format!("{TINY} --method dni --seed 3 --run-dir it"))
        .succeeds();
    for flags in [
        "--steps 19",
        "--layers 8",
        "--method cdni",
        "--seed 4",
        "--seeds 2",
        "--lr 0.5",
        "--epochs 1",
        "--steps 21 --layers 8",
        "--preset notebook-dni",
        "--synthesizer linear",
        "--kernel-threads 2",
        // What the program would take without the flag is a contradiction all the same.
        "--seed 1",
        "--layers 64,32",
    ] {
        place
            .run(&format!("--resume it {flags}"))
            .fails(2, &["--resume", "leave out the flags"]);
    }

    let settings = read(place.path("it/settings.toml"));
    let altered = |text: &str| {
        fs::write(place.path("it/settings.toml"), text).expect("a file can be written");
        place.run("--resume it")
    };
    let other = settings.replace("experiment = \"adder\"", "experiment = \"images\"");
    assert_ne!(other, settings);
    altered(&other).fails(2, &["resume", "'images'"]);
    for length in [0, 10, settings.len() / 2, settings.len() - 10] {
        altered(&settings[..length]).fails(2, &["resume", "it/settings.toml", "not whole"]);
    }
    for (from, to, word) in [
        ("layers = [8, 8]", "layers = [0, 8]", "at least 1"),
        ("batch_size = 16", "batch_size = 0", "batch size"),
        ("batch_size = 16", "batch_size = -1", "it/settings.toml"),
        ("bits = 4", "bits = 40", "from 2 to 24"),
        ("lr = 0.0005", "lr = nan", "above 0"),
        ("[\"dni\"]", "[\"bp\"]", "choose from backprop"),
        ("steps = 20", "steps = 20\nmomentum = 0.9", "momentum"),
    ] {
        assert!(settings.contains(from));
        altered(&settings.replace(from, to)).fails(2, &[word]);
    }
    // Sound settings, but not those of the checkpoint.
    altered(&settings.replace("[8, 8]", "[8, 9]")).fails(1, &["checkpoint.bpk", "other settings"]);
    altered(&settings).succeeds();
}

// Failures: exit code 1.

#[test]
fn a_folder_that_cannot_be_used_is_a_failure() {
    let place = Place::new();
    fs::write(place.path("file"), "not a folder").expect("a file can be written");
    place
        .run(&format!("{TINY} --run-dir file/below"))
        .fails(1, &["file/below", "Not a directory"]);
    place
        .run(&format!("bench {NETWORK} --export file/below.json"))
        .fails(1, &["file/below.json"]);

    place
        .run(&format!("{TINY} --method dni --run-dir it"))
        .succeeds();
    let before = state(&place.path("it"));
    place
        .run(&format!("{TINY} --method dni --run-dir it"))
        .fails(1, &["'it'", "--resume it", "--run-dir"]);
    assert!(state(&place.path("it")) == before, "it was left alone");
}

#[test]
fn a_damaged_checkpoint_is_refused() {
    let place = Place::new();
    place
        .run(&format!("{TINY} --method cdni --run-dir it"))
        .succeeds();
    let path = place.path("it/checkpoint.bpk");
    let whole = fs::read(&path).expect("there is a checkpoint");
    let resumed_with = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file can be written");
        place.run("--resume it")
    };
    let last = whole.len() - 1;
    for position in [
        0,
        1,
        9,
        40,
        300,
        last / 3,
        last / 2,
        last - 4,
        last - 3,
        last,
    ] {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x10;
        resumed_with(&flipped).fails(1, &["it/checkpoint.bpk", "damaged", "start it anew"]);
    }
    for length in [0, 3, 4, 5, 64, last / 2, last - 4, last] {
        resumed_with(&whole[..length]).fails(1, &["it/checkpoint.bpk", "damaged"]);
    }
    resumed_with(&whole).succeeds();

    let events = read(place.path("it/events.jsonl"));
    fs::write(place.path("it/events.jsonl"), &events[..20]).expect("a file can be written");
    place
        .run("--resume it")
        .fails(1, &["it/events.jsonl", "shorter"]);
}

#[test]
fn nan_ends_a_run_with_the_culprit_and_the_step() {
    let place = Place::new();
    for (folder, flags, words) in [
        (
            "section",
            "--method backprop --lr 1e30",
            ["section 'hidden2'", "at step 2", "smaller learning rate"],
        ),
        (
            "synthesizer",
            "--method dni --synthesizer-lr 1e30",
            ["synthesizer on top of section", "at step", "smaller"],
        ),
        (
            "loss",
            "--method cdni --synthesizer-lr 1e30",
            ["synthesizer on top of section", "at step 2", "smaller"],
        ),
        (
            "last-step",
            "--method backprop --lr 1e300 --steps 1",
            ["section 'hidden1'", "at step 1;", "smaller"],
        ),
    ] {
        let tiny = if flags.contains("--steps") {
            TINY.replace("--steps 20", "")
        } else {
            TINY.to_string()
        };
        let first = place
            .run(&format!("{tiny} {flags} --run-dir {folder} -q"))
            .fails(1, &words);
        assert_eq!(saved_step(&place.path(folder)), Some(0));
        // The checkpoint is good, and goes on to where it failed.
        let again = place.run(&format!("--resume {folder} -q")).fails(1, &words);
        assert_eq!(again.stderr, first.stderr);
        let events = events(&place.path(folder));
        assert!(!names(&events).contains(&"finished"));
    }
}

/// An environment in which no graphics driver is to be found.
fn without_graphics(command: &mut Command) -> &mut Command {
    command
        .env("VK_DRIVER_FILES", "/nowhere.json")
        .env("VK_ICD_FILENAMES", "/nowhere.json")
}

#[cfg(target_os = "linux")]
#[test]
fn a_missing_gpu_is_told_with_the_cure() {
    let place = Place::new();
    let words = ["wgpu", "mesa-vulkan-drivers", "--backend flex"];
    let run = |arguments: &str| Done::of(without_graphics(&mut place.command(arguments)));
    run(&format!("{TINY} --backend wgpu")).fails(1, &words);
    assert!(!place.path("runs").exists(), "nothing was begun");

    let listed = run("backends").succeeds();
    let line = |text: &str| {
        text.lines()
            .find(|l| l.starts_with("wgpu"))
            .map(String::from)
    };
    let wgpu = line(&listed.stdout).expect("wgpu has a line");
    assert!(wgpu.contains("does not work") && wgpu.contains("mesa-vulkan-drivers"));
    assert!(listed.stdout.contains("--backend auto is flex here"));
    assert_eq!(
        run("backends --format json").json()["backends"][2]["works"],
        false
    );

    let call = format!("bench {NETWORK} --backends flex,wgpu --methods backprop --repetitions 1");
    let timed = run(&call).succeeds();
    let wgpu = line(&timed.stdout).expect("wgpu has a row");
    assert!(wgpu.contains("cannot run"), "{timed}");
    assert!(timed.stdout.contains("mesa-vulkan-drivers"), "{timed}");
    assert!(
        timed
            .stdout
            .lines()
            .any(|l| l.starts_with("flex") && l.contains(" us"))
    );
    let all_fail = call.replace("flex,wgpu", "wgpu");
    run(&all_fail).fails_in_part(&["no case could run"]);
    let rows = run(&format!("{call} --format json")).json();
    assert!(rows["results"][0]["timing"]["median_us"].as_f64() > Some(0.0));
    assert!(rows["results"][0]["note"].is_null());
    assert!(rows["results"][1]["timing"].is_null());
    assert!(
        rows["results"][1]["note"]
            .as_str()
            .is_some_and(|note| note.contains("wgpu"))
    );
    run(&format!("{call} --export times.md")).succeeds();
    let markdown = read(place.path("times.md"));
    let (table, notes) = markdown.split_once("\n\n").expect("a note below the table");
    assert!(table.lines().all(|l| l.starts_with("| ")), "{markdown}");
    assert!(notes.contains("mesa-vulkan-drivers"), "{markdown}");

    let auto = run(&format!(
        "{TINY} --backend auto --method none --format json"
    ))
    .json();
    assert_eq!(auto["backend"], "flex");
}

#[test]
fn the_environment_names_a_backend_and_the_flag_overrides_it() {
    let place = Place::new();
    let ndarray = |arguments: &str| {
        let call = format!("{TINY} --method cdni --format json {arguments}");
        Done::of(place.command(&call).env("DNI_BACKEND", "ndarray")).json()
    };
    let (obeyed, overridden) = (ndarray("--run-dir it"), ndarray("--backend flex"));
    assert_eq!(obeyed["backend"], "ndarray");
    assert_eq!(overridden["backend"], "flex");
    let loss = |report: &Value| report["results"][0]["loss"].as_f64().expect("a number");
    assert!((loss(&obeyed) - loss(&overridden)).abs() < 1e-4);

    // The folder of a run says more than the environment, but a flag is a wish.
    let mut command = place.command("--resume it --format json");
    let resumed = Done::of(command.env("DNI_BACKEND", "flex"));
    assert!(
        resumed.stderr.contains("continuing with backend ndarray"),
        "{resumed}"
    );
    assert_eq!(resumed.json()["backend"], "ndarray");
    let words = ["--resume", "leave out the flags"];
    place.run("--resume it --backend flex").fails(2, &words);
}

#[test]
fn a_benchmark_is_exported_in_three_forms() {
    let place = Place::new();
    let call = format!("bench {NETWORK} --backends flex,ndarray --methods none --repetitions 2");
    let done = place
        .run(&format!("{call} --export times.json -q"))
        .succeeds();
    assert_eq!(done.stderr, "");
    let first = |line: &str| line.split_whitespace().next().map(String::from);
    let rows: Vec<String> = done.stdout.lines().filter_map(first).collect();
    assert_eq!(rows, ["backend", "flex", "ndarray", "on"], "{done}");
    let json: Value = serde_json::from_str(&read(place.path("times.json"))).expect("JSON");
    assert_eq!(json["results"].as_array().map(Vec::len), Some(2));
    assert_eq!(json["results"][0]["timing"]["ratio"], 1.0);

    place.run(&format!("{call} --export times.csv")).succeeds();
    let csv = read(place.path("times.csv"));
    assert!(csv.starts_with("backend,method,median_us"), "{csv}");
    assert_eq!(csv.lines().count(), 3);
    place.run(&format!("{call} --export times.md")).succeeds();
    let markdown = read(place.path("times.md"));
    let (table, machine) = markdown.split_once("\n\n").expect("a line below the table");
    assert!(
        table.lines().all(|line| line.starts_with("| ")),
        "{markdown}"
    );
    assert_eq!(table.lines().count(), 4);
    assert!(machine.starts_with("on "), "{markdown}");
}

#[test]
fn an_old_export_stays_until_there_is_a_new_one() {
    let place = Place::new();
    let old = "old\n".repeat(10_000);
    let path = place.path("times.csv");
    fs::write(&path, &old).expect("a file can be written");
    let call = format!("bench {NETWORK} --backends flex --methods none --export times.csv");

    let mut child = place.start(&format!("{call} --repetitions 100000"));
    let mut message = String::new();
    BufReader::new(child.stderr.take().expect("stderr is piped"))
        .read_line(&mut message)
        .expect("the program speaks UTF-8");
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    assert!(message.starts_with("warming up"), "{message}");
    assert_eq!(read(&path), old);

    place.run(&format!("{call} --repetitions 1")).succeeds();
    let new = read(&path);
    assert!(new.starts_with("backend,method,median_us"), "{new}");
    assert_eq!(new.lines().count(), 2);
}

#[test]
fn methods_have_one_flag_of_two_names() {
    let place = Place::new();
    for flag in ["--method", "--methods"] {
        for call in [
            format!("adder {TINY}"),
            format!("bench {NETWORK} --backends flex --repetitions 1"),
        ] {
            let report = place.results(&format!("{call} {flag} none"));
            assert_eq!(report["results"].as_array().map(Vec::len), Some(1));
            assert_eq!(report["results"][0]["method"], "none");
        }
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let place = Place::new();
    for arguments in [
        format!("{TINY} --format json -q"),
        TINY.to_string(),
        "--help".to_string(),
        "backends".to_string(),
    ] {
        let mut child = place.start(&arguments);
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("a child can be waited for");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {stderr}");
        assert!(
            !stderr.contains("panicked") && !stderr.contains("Broken pipe"),
            "{stderr}"
        );
    }
    // Nor is one of messages: the results still come.
    let mut child = place.start(&format!("{TINY} --format json --run-dir it"));
    drop(child.stderr.take());
    let output = child.wait_with_output().expect("a child can be waited for");
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).expect("stdout is JSON");
    assert_eq!(report["results"].as_array().map(Vec::len), Some(4));
    let mut child = place.start(&format!("{TINY} --run-dir it"));
    drop(child.stderr.take());
    assert_eq!(
        child.wait().expect("a child can be waited for").code(),
        Some(1)
    );
}

// Runs that are stopped.

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened() {
    let place = Place::new();
    let folder = place.path("run");
    let mut child = place.start(&format!("{LONG} --run-dir run"));
    wait_until(&mut child, || saved_step(&folder).is_some());
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");

    let mut child = place.start("--resume run");
    wait_until(&mut child, || saved_step(&folder) > Some(0));
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    let step = saved_step(&folder);
    // Logs are written in large pieces: a kill may well leave half a line beyond the checkpoint.
    for (log, half) in [
        ("events.jsonl", "{\"event\":\"progr"),
        ("scalars.csv", "9999,1.5,0."),
    ] {
        let text = read(folder.join(log)) + half;
        fs::write(folder.join(log), text).expect("a file can be written");
    }

    let done = place.run("--resume run").succeeds();
    let started: Vec<Value> = events(&folder)
        .into_iter()
        .filter(|event| event["event"] == "started")
        .collect();
    let last = started.last().expect("it was started");
    assert_eq!(
        last["step"].as_u64(),
        step.map(|step| step as u64),
        "{done}"
    );
    assert_same_run(&folder, &UNDISTURBED.path("run"));
}

#[test]
fn a_session_that_was_killed_in_its_second_run_finishes_both() {
    let call = LONG.replace("--steps 40000", "--steps 8000").replace(
        "--method dni",
        "--method backprop,dni --run-dir it --jobs 1",
    );
    let undisturbed = Place::new();
    let expected = undisturbed.results(&call);

    let place = Place::new();
    let mut child = place.start(&call);
    let [first, second] = ["it/backprop-seed1", "it/dni-seed1"].map(|name| place.path(name));
    wait_until(&mut child, || saved_step(&second).is_some());
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    let rows = read(first.join("scalars.csv"));

    let resumed = place.results("--resume it");
    assert_eq!(timeless(resumed.clone()), timeless(expected));
    assert_eq!(
        read(first.join("scalars.csv")),
        rows,
        "it was not trained again"
    );
    for run in ["it/backprop-seed1", "it/dni-seed1"] {
        assert_same_run(&place.path(run), &undisturbed.path(run));
    }
    assert_eq!(place.results("--resume it"), resumed);
}

#[test]
fn runs_at_the_same_time_end_as_one_after_another() {
    let call = format!("{TINY} --method backprop,dni,cdni --seeds 2 --run-dir it");
    let [one, many] = [Place::new(), Place::new()];
    let expected = timeless(one.results(&format!("{call} --jobs 1")));
    assert_eq!(
        timeless(many.results(&format!("{call} --jobs 4"))),
        expected
    );
    for method in ["backprop", "dni", "cdni"] {
        for seed in [1, 2] {
            let run = format!("it/{method}-seed{seed}");
            assert_same_run(&many.path(&run), &one.path(&run));
        }
    }
    for call in [
        format!("{TINY} --method none --seeds 2 --backend wgpu"),
        "images --steps 1 --method cdni --seeds 2 --workers 2".to_string(),
    ] {
        let call = format!("{call} --jobs 2");
        many.run(&call).fails(2, &["--jobs", "workers"]);
    }
}

#[cfg(unix)]
#[test]
fn runs_at_the_same_time_stop_and_go_on_together() {
    let call = LONG.replace("--method dni", "--method dni,none --run-dir it");
    let [place, undisturbed] = [Place::new(), Place::new()];
    undisturbed.run(&call).succeeds();
    let mut child = place.start(&format!("{call} --jobs 2"));
    let runs = ["it/dni-seed1", "it/none-seed1"];
    wait_until(&mut child, || {
        let mut runs = runs.iter();
        runs.all(|run| saved_step(&place.path(run)).is_some())
    });
    ask_to_stop(&child);
    let output = child.wait_with_output().expect("a child can be waited for");
    assert_eq!(output.status.code(), Some(1));
    for run in runs {
        let events = events(&place.path(run));
        let last = events.last().expect("there are events");
        assert_eq!(last["event"], "interrupted", "{run}");
    }
    place.run("--resume it --jobs 2").succeeds();
    for run in runs {
        assert_same_run(&place.path(run), &undisturbed.path(run));
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let place = Place::new();
    let folder = place.path("my run");
    let mut command = place.command(&format!("{LONG} --run-dir"));
    let mut child = command.arg("my run").spawn().expect("it can be started");
    wait_until(&mut child, || saved_step(&folder).is_some());
    ask_to_stop(&child);
    let output = child.wait_with_output().expect("a child can be waited for");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    let stopped = events(&folder);
    let stopped = stopped.last().expect("there are events");
    assert_eq!(stopped["event"], "interrupted");
    assert_eq!(
        stopped["step"].as_u64(),
        saved_step(&folder).map(|step| step as u64)
    );

    // The command as it stands in the message, in whatever folder.
    let (_, how) = stderr
        .split_once("go on with: ")
        .expect("it says how to go on");
    let binary = Path::new(PROGRAM);
    let mut shell = Command::new("sh");
    let path = std::env::join_paths(binary.parent().map(Path::to_path_buf).into_iter().chain(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()),
    ))
    .expect("paths have no colons");
    let elsewhere = place.path("else where");
    fs::create_dir(&elsewhere).expect("a folder can be made");
    let shell = place.prepare(shell.args(["-c", how.trim()]).env("PATH", path));
    Done::of(shell.current_dir(elsewhere)).succeeds();
    assert_same_run(&folder, &UNDISTURBED.path("run"));
}

// The GPU, or a driver that computes on the CPU.

#[test]
fn wgpu_trains_as_flex_does() {
    let place = Place::new();
    let wgpu = &place.run("backends --format json").json()["backends"][2];
    if wgpu["works"] != true {
        assert!(
            std::env::var_os("CI").is_none(),
            "install mesa-vulkan-drivers: {wgpu}"
        );
        eprintln!("skipping wgpu: {}", wgpu["note"]);
        return;
    }
    let tiny = TINY.replace("--steps 20", "--steps 5");
    let [wgpu, flex] = ["wgpu", "flex"]
        .map(|backend| place.results(&format!("--backend {backend} {tiny} --method cdni")));
    assert_eq!(wgpu["backend"], "wgpu");
    let loss = |report: &Value| report["results"][0]["loss"].as_f64().expect("a number");
    assert!(
        (loss(&wgpu) - loss(&flex)).abs() < 1e-4 * loss(&flex),
        "{wgpu} and {flex}"
    );
}

/// What was left open is written down when a call begins: a default that changes later, which an
/// edited file stands for, changes no run of it.
#[test]
fn defaults_are_those_of_the_day() {
    let place = Place::new();
    let read = |path: &str| fs::read_to_string(place.path(path)).expect("it was written");
    place
        .run(&format!("{TINY} --method backprop,dni --run-dir it"))
        .succeeds();
    let table = |path: &str| -> toml::Table { read(path).parse().expect("it is TOML") };
    let of_call = table("it/settings.toml");
    assert!(!of_call.contains_key("lr"), "it depends on the method");
    let of_dni = table("it/dni-seed1/settings.toml");
    for name in ["lr", "synthesizer", "synthesizer_lr"] {
        assert_eq!(of_dni[name], of_call["defaults"]["dni"][name], "{name}");
    }
    let of_backprop = table("it/backprop-seed1/settings.toml");
    assert_eq!(of_backprop["lr"], of_call["defaults"]["backprop"]["lr"]);
    assert!(!of_backprop.contains_key("synthesizer"), "it has none");

    place
        .run(&format!("{TINY} --method dni --run-dir alone"))
        .succeeds();
    let alone = table("alone/settings.toml");
    assert_eq!(alone["lr"], of_dni["lr"]);

    let lr = of_dni["lr"].to_string();
    let other = read("it/settings.toml").replacen(&format!("lr = {lr}"), "lr = 0.125", 1);
    assert_ne!(other, read("it/settings.toml"));
    fs::write(place.path("it/settings.toml"), other).expect("a file can be written");
    fs::remove_dir_all(place.path("it/dni-seed1")).expect("it is there");
    place.run("--resume it").succeeds();
    assert_eq!(
        table("it/dni-seed1/settings.toml")["lr"].as_float(),
        Some(0.125)
    );

    let origin = table("it/origin.toml");
    assert!(
        origin["date"]
            .as_str()
            .is_some_and(|date| date.starts_with("20"))
    );
}
