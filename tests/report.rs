//! Pictures and pages of runs: what is on them, how large they get, and that a browser shows them.

mod common;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use common::TempDir;
use common::program::*;
use dni::GradientState;
use serde_json::Value;

/// Runs that take a moment.
const RUNS: &str = "adder --steps 40 --layers 8,8 --batch-size 16 --examples 48 --bits 4 \
                    --method backprop,dni,cdni --seeds 2 --quiet --run-dir runs";

/// A place in which some runs have been made.
fn place_with_runs() -> Place {
    let place = Place::new();
    place.run(RUNS).succeeds();
    place
}

/// What the script of a page reads.
fn data_of(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("a page has data");
    let (data, _) = rest.split_once("</script>").expect("which end");
    serde_json::from_str(data).expect("and are JSON")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("no list {name}"))
}

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

    // Too much differs between experiments to be said in a label.
    let images = "images --steps 2 --depth 2 --units 8 --batch-size 8 --examples 32 \
                  --test-examples 16 --method cdni -q --run-dir c";
    place.run(images).succeeds();
    place.run("report a b c").succeeds();
    let data = data_of(&read(place.path("report.html")));
    let labels: Vec<_> = list(&data, "groups").iter().map(|g| &g["label"]).collect();
    let expected = [
        "adder backprop (1)",
        "adder cdni (2)",
        "adder backprop (3)",
        "adder cdni (4)",
        "images cdni",
    ];
    assert_eq!(labels, expected);
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

/// Writes what a run of so many records would leave, with three interfaces.
fn write_run(folder: &Path, method: &str, seed: usize, records: usize) {
    fs::create_dir_all(folder).expect("a folder can be made");
    let settings = format!("[run]\nmethods = [\"{method}\"]\nseed = {seed}\n");
    let mut scalars = String::from("step,seconds,loss");
    for interface in 1..=3 {
        let _ = write!(scalars, ",synthesizer_loss_hidden{interface}");
    }
    scalars.push('\n');
    let mut events = String::new();
    for record in 1..=records {
        let step = 10 * record;
        let noise = (record * (seed + 7) % 97) as f64 / 97.0;
        let loss = 1.0 / (1.0 + record as f64) + 0.1 * noise;
        let seconds = 0.001234567 * step as f64;
        let _ = writeln!(
            scalars,
            "{step},{seconds},{loss},{},{},{}",
            loss / 3.0,
            loss / 7.0,
            noise
        );
        let _ = writeln!(
            events,
            r#"{{"event":"progress","step":{step},"seconds":{seconds},"loss":{loss},"synthesizer_losses":[{},{},{noise}],"input_losses":[null,null,null],"auxiliary_losses":[null,null,null]}}"#,
            loss / 3.0,
            loss / 7.0,
        );
        if record.is_multiple_of(records / 100) {
            let quality = |i: usize| {
                format!(
                    r#"{{"name":"hidden{i}","cosine":{noise},"relative_error":{loss},"norm":{loss},"absolute_error":1}}"#
                )
            };
            let [a, b, c] = [1, 2, 3].map(quality);
            let _ = writeln!(
                events,
                r#"{{"event":"compared","step":{step},"interfaces":[{a},{b},{c}]}}"#
            );
        }
    }
    for (name, text) in [
        ("settings.toml", settings),
        ("scalars.csv", scalars),
        ("events.jsonl", events),
    ] {
        fs::write(folder.join(name), text).expect("a file can be written");
    }
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

/// A browser of the Chromium family, if there is one.
fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// The page as a browser has it once its scripts have run.
fn shown(browser: &Path, place: &Place, page: &str, options: &[&str]) -> String {
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
        ])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000"])
        .args(options)
        .arg(format!(
            "--user-data-dir={}",
            place.path("profile").display()
        ))
        .arg(format!("file://{}", place.path(page).display()))
        .stdin(Stdio::null())
        .output()
        .expect("a browser can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<_> = stderr
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    String::from_utf8(output.stdout).expect("a page is UTF-8")
}

/// A threaded run has a timeline, with all that workers can do.
#[test]
fn timelines_of_workers_are_drawn() {
    let place = Place::new();
    let run = "images --steps 60 --depth 4 --units 8 --batch-size 8 --examples 64 --test-examples \
               32 --method cdni --workers 2 -q --run-dir run";
    place.run(run).succeeds();
    place.run("report run").succeeds();
    let data = data_of(&read(place.path("run/report.html")));
    let timeline = &data["groups"][0]["timeline"];
    assert_eq!(timeline["step"], 60);
    let activities = list(timeline, "activities");
    assert!(activities.iter().any(|one| one["worker"] == 2));
    let Some(browser) = browser() else {
        eprintln!("skipped, as there is no chromium");
        return;
    };
    let options = ["--window-size=390,12000"];
    let page = shown(&browser, &place, "run/report.html", &options);
    let (_, workers) = page.split_once("Who did what when").expect("a timeline");
    let (timeline, _) = workers.split_once("</figure>").expect("it is whole");
    for word in ["worker 1<", "worker 2<", "milliseconds", "M", "waits"] {
        assert!(timeline.contains(word), "no {word:?} in {timeline}");
    }
    assert_eq!(timeline.matches("<path").count(), 3);
    assert!(!timeline.contains("NaN"), "{timeline}");
}

/// Points at the first chart, then leaves out a series and looks at it over wall time, and notes
/// what is seen.
const USE: &str = r##"<script>
const whenDrawn = setInterval(() => {
  const chart = document.querySelector("figure");
  if (!chart.querySelector("polyline")) return;
  clearInterval(whenDrawn);
  const drawing = chart.querySelector("svg");
  const box = drawing.getBoundingClientRect();
  const place = { clientX: box.left + box.width / 2, clientY: box.top + 50 };
  drawing.dispatchEvent(new PointerEvent("pointermove", place));
  const values = chart.querySelector(".values").innerText;
  document.querySelector("#legend button").click();
  document.querySelector("#across button:last-child").click();
  const curves = chart.querySelectorAll("polyline").length;
  const unit = [...chart.querySelectorAll("text")].at(-1).textContent;
  const csv = chart.view.csv();
  const buttons = [...chart.querySelectorAll("button")].map((button) => button.innerText);
  const svg = [...document.querySelectorAll("figure")].map((figure) => figure.view.svg());
  const parsed = svg.map((text) => new DOMParser().parseFromString(text, "image/svg+xml"));
  const isWhole = parsed.every((page) => !page.querySelector("parsererror"));
  const seen = { values, curves, unit, csv, buttons, isWhole, drawings: svg.length };
  document.body.append(Object.assign(document.createElement("output"), { textContent: JSON.stringify(seen) }));
}, 50);
</script></body>"##;

#[test]
fn a_browser_shows_the_page_without_complaint() {
    let Some(browser) = browser() else {
        eprintln!("skipped, as there is no chromium");
        return;
    };
    let place = place_with_runs();
    place.run("report runs").succeeds();
    let desk = [
        "--window-size=1280,6000",
        "--blink-settings=preferredColorScheme=0",
    ];
    let phone = [
        "--window-size=390,12000",
        "--blink-settings=preferredColorScheme=1",
    ];
    for options in [desk, phone] {
        let page = shown(&browser, &place, "runs/report.html", &options);
        let (_, body) = page.split_once("<main").expect("there is a page");
        let (body, _) = body.split_once("</main>").expect("it is whole");
        let count = |word: &str| body.matches(word).count();
        // Two charts of the network, four figures of two interfaces, two heat maps.
        assert_eq!(count("<svg"), 2 + 4 * 2 + 2);
        assert_eq!(count("<polyline"), 2 * 3 + 4 * 2 * 2);
        assert!((2..=4).contains(&count("<path")));
        assert_eq!(count("NaN"), 0);
    }

    let page = read(place.path("runs/report.html")).replace("</body>", USE);
    fs::write(place.path("used.html"), page).expect("a file can be written");
    let page = shown(&browser, &place, "used.html", &desk);
    let (_, seen) = page.split_once("<output>").expect("it was used");
    let (seen, _) = seen.split_once("</output>").expect("it is whole");
    let seen: Value = serde_json::from_str(seen).expect("it is JSON");
    let values = seen["values"].as_str().expect("a text");
    for word in ["step ", "backprop", "cdni", " to "] {
        assert!(values.contains(word), "no {word} in {values}");
    }
    assert_eq!(seen["curves"], 2, "one of three was left out");
    assert_eq!(seen["unit"], "seconds");
    assert_eq!(
        (&seen["isWhole"], &seen["drawings"]),
        (&true.into(), &12.into())
    );
    assert_eq!(seen["buttons"], serde_json::json!(["SVG", "CSV", "log"]));
    let csv = seen["csv"].as_str().expect("a text");
    assert_eq!(csv.lines().count(), 1 + 3 * 40);
    assert!(csv.starts_with("runs,step,seconds,mean,least,most\n\"backprop\",1,"));
}
