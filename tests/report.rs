//! Pictures and pages of runs: what is in them, and how large they get.

mod common;

use std::fmt::Write;
use std::fs;
use std::time::Instant;

use common::TempDir;
use common::program::*;
use common::report::*;
use dni::GradientState;
use dni::report::{self, Follower, Quantity};
use serde_json::Value;

#[test]
fn a_page_holds_all_that_runs_recorded_and_needs_nothing_else() {
    let place = place_with_runs();
    let done = place.run("report runs").succeeds();
    assert_eq!(done.stdout, "report: runs/report.html\n");
    let page = read(place.path("runs/report.html"));
    for word in ["http://", "https://", "src=", "@import", "{{"] {
        let namespace = "http://www.w3.org/2000/svg";
        assert!(!page.replace(namespace, "").contains(word), "{word}");
    }
    let data = data_of(&page);
    let labels: Vec<_> = list(&data, "groups").iter().map(|g| &g["label"]).collect();
    assert_eq!(labels, ["backprop", "cdni", "dni"]);
    for group in list(&data, "groups") {
        assert_eq!(list(group, "runs").len(), 2);
        assert!(
            list(group, "runs")
                .iter()
                .all(|run| run["finished"] == true)
        );
        let command = RUNS.replace(" --run-dir runs", "");
        assert_eq!(group["origins"][0]["command"], format!("dni {command}"));
        assert!(group["settings"]["run.batch_size"] == "16");
        assert!(group["settings"]["run.seed"].is_null());
    }
    // The rates of a method are among its settings, but go without saying in its label.
    let differences = ["lr", "run.methods", "synthesizer", "synthesizer_lr"];
    assert_eq!(list(&data, "differences"), &differences);

    let name = |chart: &Value| match &chart["interface"] {
        Value::String(interface) => format!("{} {interface}", chart["name"].as_str().unwrap()),
        _ => chart["name"].as_str().unwrap().to_string(),
    };
    let names: Vec<String> = list(&data, "charts").iter().map(name).collect();
    let expected = [
        "loss",
        "unseen_error",
        "cosine hidden1",
        "cosine hidden2",
        "relative_error hidden1",
        "relative_error hidden2",
        "norm hidden1",
        "norm hidden2",
        "synthesizer_loss hidden1",
        "synthesizer_loss hidden2",
    ];
    assert_eq!(names, expected);
    for chart in list(&data, "charts") {
        let groups = if chart["interface"].is_null() { 3 } else { 2 };
        assert_eq!(list(chart, "series").len(), groups);
        for series in list(chart, "series") {
            let points = list(series, "steps").len();
            for figure in ["seconds", "mean", "least", "most"] {
                assert_eq!(list(series, figure).len(), points);
            }
        }
    }
    let loss = &data["charts"][0]["series"][0];
    assert_eq!(list(loss, "steps").len(), 40, "so few points are all there");
}

#[test]
fn groups_are_named_by_what_differs() {
    let place = Place::new();
    for (units, folder) in [("8,8", "a"), ("16,8", "b")] {
        let call = RUNS
            .replace("8,8", units)
            .replace("--run-dir runs", "--run-dir");
        let call = call.replace("backprop,dni,cdni", "backprop,cdni");
        place.run(&format!("{call} {folder}")).succeeds();
    }
    let done = place.run("report a b").succeeds();
    assert_eq!(done.stdout, "report: report.html\n");
    let data = data_of(&read(place.path("report.html")));
    let labels: Vec<_> = list(&data, "groups").iter().map(|g| &g["label"]).collect();
    let expected = [
        "backprop, layers 8,8",
        "cdni, layers 8,8",
        "backprop, layers 16,8",
        "cdni, layers 16,8",
    ];
    assert_eq!(labels, expected);
    let differences = ["layers", "run.methods", "synthesizer", "synthesizer_lr"];
    assert_eq!(list(&data, "differences"), &differences);

    // What differs between experiments goes without saying: a run is named by what differs within its
    // own, and shares no chart with another's.
    let images = "images --steps 2 --depth 2 --units 8 --batch-size 8 --examples 32 \
                  --test-examples 16 --method cdni -q --run-dir c";
    place.run(images).succeeds();
    place.run("report a b c").succeeds();
    let data = data_of(&read(place.path("report.html")));
    let labels: Vec<_> = list(&data, "groups").iter().map(|g| &g["label"]).collect();
    let expected = [
        "adder backprop, layers 8,8",
        "adder cdni, layers 8,8",
        "adder backprop, layers 16,8",
        "adder cdni, layers 16,8",
        "images cdni",
    ];
    assert_eq!(labels, expected);
    let tasks: Vec<_> = list(&data, "groups").iter().map(|g| &g["task"]).collect();
    assert_eq!(tasks, ["adder", "adder", "adder", "adder", "images"]);
    let colours = list(&data, "groups").iter().map(|g| &g["colour"]);
    let colours: Vec<_> = colours.collect();
    assert_eq!(colours[1], colours[4], "a method keeps its colour");
    assert!((0..4).all(|i| (0..i).all(|j| colours[i] != colours[j])));
}

/// The page shows it as text, and is not ended by it.
#[test]
fn a_setting_may_hold_anything() {
    let place = place_with_runs();
    let settings = place.path("runs/dni-seed1/settings.toml");
    let text = format!("note = '</script><b>&'\n{}", read(&settings));
    fs::write(&settings, text).expect("a file can be written");
    place.run("report runs").succeeds();
    let data = data_of(&read(place.path("runs/report.html")));
    assert!(list(&data, "differences").contains(&"note".into()));
    assert_eq!(data["groups"][2]["label"], "dni, note </script><b>&");
    place.run("plot runs -o all.svg").succeeds();
    assert!(read(place.path("all.svg")).contains("note &lt;/script&gt;&lt;b&gt;&amp;<"));

    let settings = place.path("runs/cdni-seed1/settings.toml");
    fs::write(settings, "in: another way").expect("a file can be written");
    place.run("report runs").succeeds();
    let data = data_of(&read(place.path("runs/report.html")));
    assert_eq!(
        data["groups"][1]["settings"],
        serde_json::json!({"settings": "in: another way"})
    );
}

#[test]
fn every_folder_has_its_curves() {
    let place = place_with_runs();
    let curves = |folder: &str| {
        let svg = read(place.path(folder).join("curves.svg"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        ["training loss", "unseen error %", "cosine", "hidden2"].map(|word| svg.contains(word))
    };
    assert_eq!(curves("runs/backprop-seed1"), [true, true, false, false]);
    assert_eq!(curves("runs/dni-seed2"), [true; 4]);
    assert_eq!(curves("runs"), [true; 4]);
}

#[test]
fn a_plot_is_drawn_over_steps_or_seconds() {
    let place = place_with_runs();
    let done = place.run("plot runs --output all.svg").succeeds();
    assert_eq!(done.stdout, "plot: all.svg\n");
    assert_eq!(
        read(place.path("all.svg")),
        read(place.path("runs/curves.svg"))
    );

    let over = |axis: &str| {
        place
            .run(&format!("plot runs --over {axis} -o {axis}.svg"))
            .succeeds();
        let picture = read(place.path(&format!("{axis}.svg")));
        assert!(picture.contains(&format!(">{axis}</text>")), "{picture}");
        picture
    };
    assert_ne!(over("seconds"), over("steps"));
}

/// Names and tags stand beside the settings, and not in them.
#[test]
fn runs_are_found_by_their_names_and_tags() {
    let place = Place::new();
    let tiny = "adder --steps 4 --layers 4,4 --batch-size 8 --examples 16 --bits 3";
    for call in [
        "--method dni --run-dir runs/a --name first --tag quick,lecture",
        "--method cdni --run-dir runs/b",
    ] {
        place.run(&format!("{tiny} {call}")).succeeds();
    }
    let found = |filter: &str| -> Vec<Value> {
        let found = place.run(&format!("list --filter {filter} --format json"));
        let found = list(&found.json(), "runs").clone();
        found.iter().map(|run| run["run"].clone()).collect()
    };
    assert_eq!(found("lecture"), ["runs/a"]);
    assert_eq!(found("FIRST"), ["runs/a"]);
    assert!(!read(place.path("runs/a/settings.toml")).contains("lecture"));
    place.run("adder --resume runs/b --name second").succeeds();
    assert_eq!(found("second"), ["runs/b"]);
    let table = place.run("list").succeeds().stdout;
    assert!(table.contains("quick, lecture"), "{table}");
    place
        .run(&format!("{tiny} --tag a,,b"))
        .fails(2, &["--tag", "must be a word"]);
}

#[test]
fn runs_are_listed_sorted_and_filtered() {
    let place = place_with_runs();
    let listed = |flags: &str| {
        let list_of = place.run(&format!("list {flags} --format json")).json();
        list(&list_of, "runs").clone()
    };
    let all = listed("--sort figure");
    assert_eq!(all.len(), 6);
    for run in &all {
        assert_eq!(run["experiment"], "adder");
        assert_eq!(run["steps"], 40);
        assert_eq!(run["is_finished"], true);
        assert_eq!(run["figure"]["name"], "unseen_error");
        assert!(run["date"].as_str().is_some_and(|date| date.ends_with('Z')));
    }
    let errors = all.iter().map(|run| run["figure"]["value"].as_f64());
    assert!(errors.is_sorted(), "{all:?}");
    let dni: Vec<Value> = listed("runs --filter CDNI --sort run")
        .iter()
        .map(|run| run["seed"].clone())
        .collect();
    assert_eq!(dni, [1, 2]);
    let table = place.run("list").succeeds().stdout;
    assert_eq!(table.lines().count(), 7, "{table}");
    assert!(!table.contains("tags"), "nothing is named or tagged");
    place.run("list nowhere").fails(1, &["nowhere"]);
    // One that is damaged does not keep the others from being listed.
    let log = place.path("runs/dni-seed1/scalars.csv");
    fs::write(log, "epoch,loss\n1,2\n").expect("a file can be written");
    let done = place.run("list").fails_in_part(&["1 of 6 runs"]);
    assert_eq!(done.stdout.lines().count(), 6, "{done}");
}

#[test]
fn wrong_uses_are_explained() {
    let place = place_with_runs();
    place
        .run("plot runs -o plot.pdf")
        .fails(2, &["plot.pdf", ".svg"]);
    place
        .run("plot runs/nowhere -o a.svg")
        .fails(1, &["runs/nowhere"]);
    fs::create_dir(place.path("empty")).expect("a folder can be made");
    place.run("report empty").fails(1, &["no run in 'empty'"]);
    assert_eq!(place.run("report").code, Some(2));

    let log = place.path("runs/dni-seed1/scalars.csv");
    fs::write(&log, "epoch,loss\n1,2\n").expect("a file can be written");
    place
        .run("report runs")
        .fails_in_part(&["scalars.csv", "step and seconds"]);
}

/// A run that is at work, or was killed, has logs that end anywhere.
#[test]
fn half_a_line_at_the_end_is_no_mistake() {
    let place = place_with_runs();
    for log in ["scalars.csv", "events.jsonl"] {
        let path = place.path("runs/dni-seed1").join(log);
        let text = read(&path);
        fs::write(&path, &text[..text.len() - 4]).expect("a file can be written");
    }
    place.run("report runs").succeeds();
    let data = data_of(&read(place.path("runs/report.html")));
    let finished: Vec<_> = list(&data["groups"][2], "runs")
        .iter()
        .map(|r| &r["finished"])
        .collect();
    assert_eq!(finished, [false, true]);
}

/// What runs of another kind may record: how late gradients are, how busy a worker is.
#[test]
fn figures_of_parts_have_charts_of_their_own() {
    let place = place_with_runs();
    let log = place.path("runs/dni-seed1/events.jsonl");
    let more =
        r#"{"event":"evaluated","step":40,"figures":{"busy_worker1":0.5,"staleness_hidden1":2}}"#;
    let new = r#"{"event":"from-a-later-version","step":40}"#;
    fs::write(&log, read(&log) + more + "\n" + new + "\n").expect("a file can be written");
    place.run("report runs").succeeds();
    let data = data_of(&read(place.path("runs/report.html")));
    let chart = |name: &str| {
        list(&data, "charts")
            .iter()
            .find(|chart| chart["name"] == name)
    };
    let busy = chart("busy").expect("it is there");
    assert_eq!(
        (&busy["title"], &busy["interface"]),
        (&"busy %".into(), &"worker1".into())
    );
    assert_eq!(busy["series"][0]["mean"], serde_json::json!([50.0]));
    assert_eq!(
        chart("staleness").expect("it is there")["interface"],
        "hidden1"
    );
}

/// Of a run that is over a page shows what was measured of it.
#[test]
fn results_that_are_in_the_folder_are_on_the_page() {
    let folder = TempDir::new();
    let path = folder.path().join("run");
    write_run(&path, "dni", 1, 100);
    let results = r#"{"experiment":"text","results":[{"method":"dni","optimum":1.5,"sample":"some words",
        "bits_per_character":{"train":1,"valid":2,"test":2.25},
        "measure":{"name":"of it","value":0.1,"guessing":0.5,"best":0.0,"less_is_better":true,"is_share":true}}]}"#;
    fs::write(path.join("results.json"), results).expect("a file can be written");
    let groups = dni::report::read(&[path]).expect("it is a run");
    let data = data_of(&dni::report::html(&groups));
    let measured = &data["groups"][0]["results"][0];
    assert_eq!(measured["test_bits"], 2.25);
    assert_eq!(measured["optimum"], 1.5);
    assert_eq!(measured["sample"], "some words");
    assert_eq!(measured["measure"]["guessing"], 0.5);
}

/// What follows runs reads them when they are new, have changed or are gone, and counts how often.
#[test]
fn runs_in_progress_are_followed() {
    let place = TempDir::new();
    let [first, second] = ["first", "second"].map(|name| place.path().join(name));
    let mut follower = Follower::new(vec![place.path().to_path_buf()]);
    assert!(follower.refresh().is_err(), "there is no run yet");
    let mut refresh = || {
        follower.refresh().expect("there is a run");
        let groups = follower.groups();
        let steps = groups.iter().map(|group| group.runs[0].steps);
        (follower.version(), steps.collect::<Vec<_>>())
    };
    write_run(&first, "dni", 1, 10);
    assert_eq!(refresh(), (1, vec![100]));
    assert_eq!(refresh(), (1, vec![100]), "nothing has changed");
    write_run(&first, "dni", 1, 20);
    write_run(&second, "cdni", 1, 10);
    assert_eq!(refresh(), (2, vec![200, 100]));
    fs::remove_dir_all(&first).expect("a folder can be removed");
    assert_eq!(refresh(), (3, vec![100]));
    assert!(
        data_of(&report::live_html()).is_null(),
        "the page asks for them"
    );
}

/// One damaged run keeps nobody from the others.
#[test]
fn runs_are_read_one_by_one() {
    let place = TempDir::new();
    let runs = ["whole", "damaged"].map(|name| place.path().join(name));
    runs.iter().for_each(|run| write_run(run, "dni", 1, 10));
    fs::write(runs[1].join("events.jsonl"), "no events\n").expect("a file can be written");
    assert!(report::read(&runs).is_err());
    let (groups, errors) = report::read_each(&runs);
    assert_eq!((groups.len(), errors.len()), (1, 1));
    assert!(errors[0].to_string().contains("damaged"), "{}", errors[0]);
    assert_eq!(groups[0].setting("run.seed"), "default");
    assert_eq!(groups[0].setting("run.methods"), "dni");
    let loss = groups[0].curve(&Quantity {
        name: "loss".to_string(),
        interface: None,
    });
    assert_eq!(loss.map(|loss| loss.points().count()), Some(10));

    report::draw_curves(&runs[0]).expect("it can be drawn");
    let drawn = report::plot(&groups, report::Over::Steps).to_svg();
    assert_eq!(read(runs[0].join("curves.svg")), drawn);
}

/// Of each interface the page has what its gradients were worth over all seeds.
#[test]
fn worth_is_that_of_all_seeds() {
    let place = place_with_runs();
    let groups = dni::report::read(&[place.path("runs")]).expect("there are runs");
    let worth: Vec<&str> = groups[1].worth.iter().map(|(name, _)| &**name).collect();
    assert_eq!(worth, ["hidden1", "hidden2"]);
    let mut all = dni::quality::WeightedCosine::default();
    for seed in [1, 2] {
        for event in events(&place.path(&format!("runs/cdni-seed{seed}"))) {
            let compared = &event["interfaces"][0];
            all.add(compared["cosine"].as_f64(), compared["norm"].as_f64());
        }
    }
    let [found, expected] = [groups[1].worth[0].1, all].map(|worth| worth.mean().unwrap());
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

/// A gradient that is zero or no number has no cosine, and the page says so.
#[test]
fn gradients_that_are_dead_or_broken_are_said() {
    let folder = TempDir::new();
    let path = folder.path().join("run");
    write_run(&path, "dni", 1, 100);
    let mut events = fs::read_to_string(path.join("events.jsonl")).expect("it was written");
    for (step, states) in [(101, ["dead", "broken"]), (102, ["dead", "alive"])] {
        let compared = [1, 2].map(|i| {
            let state = states[i - 1];
            let cosine = if state == "alive" { "0.5" } else { "null" };
            format!(
                r#"{{"name":"hidden{i}","state":"{state}","cosine":{cosine},"relative_error":null,"norm":null,"absolute_error":null}}"#
            )
        });
        let [a, b] = compared;
        let _ = writeln!(
            events,
            r#"{{"event":"compared","step":{step},"interfaces":[{a},{b}]}}"#
        );
    }
    fs::write(path.join("events.jsonl"), events).expect("a file can be written");
    let groups = dni::report::read(&[path]).expect("it is a run");
    let found: Vec<_> = groups[0].runs[0]
        .not_compared
        .iter()
        .map(|n| (n.interface.as_str(), n.state, n.times, n.at_end))
        .collect();
    let expected = [
        ("hidden1", GradientState::Dead, 2, true),
        ("hidden2", GradientState::Broken, 1, false),
    ];
    assert_eq!(found, expected);
    let page = dni::report::html(&groups);
    assert!(page.contains(r#""interface":"hidden1","state":"dead","times":2"#));
}

/// The size of a page of 50 runs with so many records each, and how long it takes to write it.
fn page_of_fifty(records: usize, seeds: usize) -> (usize, f64) {
    let folder = TempDir::new();
    for run in 0..50 {
        let name = folder.path().join(format!("run{run}"));
        write_run(&name, &format!("method{}", run / seeds), run, records);
    }
    let start = Instant::now();
    let groups = dni::report::read(&[folder.path().to_path_buf()]).expect("they are runs");
    let page = dni::report::html(&groups);
    (page.len(), start.elapsed().as_secs_f64())
}

#[test]
fn a_page_of_many_runs_stays_small() {
    const MOST: usize = 10_000_000;
    for seeds in [1, 5] {
        let (bytes, _) = page_of_fifty(2_000, seeds);
        assert!(bytes < MOST, "{bytes} bytes");
    }
}

/// Writes 1.4 GB; run it with `cargo test --test report -- --ignored --nocapture`.
#[test]
#[ignore = "it takes a minute and 1.4 GB of disk"]
fn a_page_of_fifty_long_runs_is_written_in_ten_seconds() {
    let (bytes, seconds) = page_of_fifty(100_000, 1);
    eprintln!("50 runs of 100,000 points: {bytes} bytes in {seconds:.1} s");
    assert!(bytes < 10_000_000 && seconds < 10.0);
}
