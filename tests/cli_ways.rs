//! What users name and give, in the forms in which they have it: data, texts, folders of runs, and longer
//! runs.

mod common;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use common::TempDir;
use common::program::*;
use dni::report::find;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A network that trains in milliseconds.
const TINY: &str = "--steps 20 --layers 8,8 --batch-size 16 --examples 48 --bits 4";

const TEXT: &str = "text --units 4 --batch-size 2 --unroll 3 --budget 2";

fn write(place: &Place, name: &str, bytes: &[u8]) {
    let path = place.path(name);
    let folder = path.parent().expect("it is in a folder");
    fs::create_dir_all(folder).expect("a folder can be made");
    fs::write(path, bytes).expect("a file can be written");
}

/// Whatever the experiment is: by every method it trains, goes on where it ended, is measured again and
/// comes into a report.
#[test]
fn every_experiment_has_what_all_have() {
    let experiments = experiments();
    assert!(experiments.len() >= 5, "{experiments:?}");
    for name in experiments {
        let place = Place::new();
        let flags = short_flags(&name).into_iter();
        let flags: String = flags
            .map(|(flag, value)| format!(" {flag} {value}"))
            .collect();
        let report = place.results(&format!("{name}{flags} --run-dir runs"));
        assert_eq!(report["experiment"], name);
        let runs = report["results"]
            .as_array()
            .expect("a list of results")
            .len();
        assert!(runs > 1, "{report}");
        for result in report["results"].as_array().into_iter().flatten() {
            assert!(result["steps"].as_u64() > Some(0), "{result}");
            assert!(result["interfaces"].is_array(), "{result}");
        }
        let again = place.results(&format!("{name} --resume runs"));
        assert_eq!(timeless(again), timeless(report), "{name}");
        let evaluated = place.run("eval runs --format json").succeeds().json();
        let evaluated = evaluated["results"].as_array().expect("a list of results");
        assert_eq!(evaluated.len(), runs, "{name}");
        for evaluation in evaluated {
            let figures = evaluation["figures"].as_object().expect("figures by name");
            assert!(!figures.is_empty(), "{evaluation}");
            assert!(
                figures.values().all(|figure| figure.is_number()),
                "{evaluation}"
            );
        }
        place.run("report runs").succeeds();
        place
            .run(&format!("{name} --resume runs --steps 1"))
            .fails(2, &["--resume"]);
    }
}

// Data.

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let place = Place::new();
    let mut command = place.command(&format!("{TINY} --method none"));
    for name in ["DNI_DATA_DIR", "DNI_BACKEND", "DNI_TOKEN"] {
        command.env(name, "");
    }
    Done::of(&mut command).succeeds();
    let mut command = place.command("images --data mnist --steps 1");
    Done::of(command.env("DNI_DATA_DIR", "")).fails(1, &["'mnist' is not in", "cannot download"]);
}

#[test]
fn a_data_folder_that_is_not_there_is_no_reason_to_download() {
    let place = Place::new();
    let call = "images --data mnist --steps 1 --data-dir nowhere";
    let done = place
        .run(call)
        .fails(1, &["no folder 'nowhere'", "name one"]);
    assert!(!done.stderr.contains("download"), "{done}");
    let done = place.run("text --source shakespeare --budget 1 --data-dir nowhere");
    assert!(
        !done
            .fails(1, &["no folder 'nowhere'"])
            .stderr
            .contains("download")
    );
}

/// What was looked at is said.
#[test]
fn data_that_is_nowhere_was_looked_for() {
    let place = Place::new();
    fs::create_dir(place.path("data")).expect("a folder can be made");
    for (call, names) in [
        ("images --data mnist", ["'data/mnist'", "'data/MNIST/raw'"]),
        ("images --data cifar10", ["'data/cifar10'", "'data/'"]),
        (
            "text --source shakespeare",
            ["'data/tinyshakespeare'", "'data'"],
        ),
    ] {
        let done = place.run(&format!("{call} --data-dir data --steps 1"));
        let done = done.fails(1, &names);
        for word in ["is not in", "cache", "cannot download"] {
            assert!(done.stderr.contains(word), "no {word} in {done}");
        }
    }
}

// Texts.

/// A pipe can be read once; two methods want it.
#[cfg(unix)]
#[test]
fn a_corpus_may_be_a_pipe() {
    let place = Place::new();
    write(&place, "a", "ab\n".repeat(200).as_bytes());
    let mut command = std::process::Command::new("sh");
    let line = format!(
        "mkfifo pipe; cat a > pipe & {PROGRAM} {TEXT} --corpus pipe --method bptt,dni --format json"
    );
    let done = Done::of(place.prepare(command.args(["-c", &line])));
    assert_eq!(done.json()["results"].as_array().map(Vec::len), Some(2));

    // It is gone when runs are to go on.
    let line = format!("cat a | {PROGRAM} {TEXT} --corpus /dev/stdin --method dni --run-dir run");
    let mut command = std::process::Command::new("sh");
    Done::of(place.prepare(command.args(["-c", &line]))).succeeds();
    for call in ["text --resume run --budget 3", "eval run"] {
        place.run(call).fails(1, &["came from a pipe", "on files"]);
    }
}

#[test]
fn a_corpus_may_have_commas_in_its_name_or_be_gzipped() {
    let place = Place::new();
    let text = "ab\n".repeat(200);
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped
        .write_all(text.as_bytes())
        .expect("memory can be written");
    let zipped = zipped.finish().expect("memory can be written");
    write(&place, "a,b", text.as_bytes());
    write(&place, "c", b"ab\nab\n");
    write(&place, "d.gz", &zipped);
    write(&place, "cut.gz", &zipped[..zipped.len() / 2]);
    let loss = |corpus: &str| {
        let report = place.results(&format!("{TEXT} --method dni {corpus}"));
        report["results"][0]["bits_per_character"].clone()
    };
    let plain = loss("--corpus a,b");
    assert_eq!(loss("--corpus d.gz"), plain);
    let three = loss("--corpus d.gz,c,c");
    assert_eq!(loss("--corpus a,b --corpus c --corpus c"), three);
    assert_eq!(loss("--corpus a,b --corpus c,c"), three);
    place
        .run(&format!("{TEXT} --corpus cut.gz"))
        .fails(1, &["cut.gz", "gzipped", "unpack it"]);
}

// Folders of runs.

#[test]
fn runs_are_found_at_any_depth_and_once() {
    let place = TempDir::new();
    let path = |name: &str| place.path().join(name);
    for run in ["a", "b/c/d", "b/e"] {
        fs::create_dir_all(path(run)).expect("a folder can be made");
        fs::write(path(run).join("scalars.csv"), "").expect("a file can be written");
    }
    fs::create_dir_all(path("none/inner")).expect("a folder can be made");
    fs::write(path("file"), "").expect("a file can be written");
    #[cfg(unix)]
    std::os::unix::fs::symlink("..", path("b/loop")).expect("a link can be made");

    let runs = |paths: &[PathBuf]| find(paths).expect("there are runs").runs;
    assert_eq!(runs(&[path("b/c")]), [path("b/c/d")]);
    let all = runs(&[path("")]);
    assert_eq!(all.len(), 3, "{all:?}");
    // Two spellings are one folder.
    let twice = [path("a"), path("b/../a"), path("./a"), path("a/")];
    assert_eq!(runs(&twice), [path("a")]);
    let found = find(&[path("none"), path("a"), path("file")]).expect("there is a run");
    assert_eq!(found.without, [path("none"), path("file")]);
    let error = find(&[path("none")])
        .expect_err("there is none")
        .to_string();
    assert!(
        error.contains("no run in") && error.contains("none'"),
        "{error}"
    );
    assert!(find(&[path("a"), path("missing")]).is_err());
}

#[test]
fn a_folder_without_runs_is_said_and_left_out() {
    let place = Place::new();
    place
        .run(&format!("{TINY} --method dni,none --run-dir runs/deep/it"))
        .succeeds();
    fs::create_dir(place.path("empty")).expect("a folder can be made");
    for call in ["report", "plot -o p.SVG", "eval"] {
        let done = place.run(&format!("{call} runs empty")).succeeds();
        assert!(
            done.stderr
                .contains("left out, as no run is in it: 'empty'"),
            "{done}"
        );
        place
            .run(&format!("{call} empty"))
            .fails(1, &["no run in 'empty'"]);
    }
    let page = read(place.path("report.html"));
    for run in ["runs/deep/it/dni-seed1", "runs/deep/it/none-seed1"] {
        assert!(page.contains(run), "no {run}");
    }
    place
        .run("export runs/deep/it -o a.safetensors")
        .fails(2, &["name one of", "runs/deep/it/none-seed1"]);
    // One that is not there is a mistake.
    let done = place.run("report runs missing").fails(1, &["'missing'"]);
    assert_eq!(done.stderr.matches("os error").count(), 1, "{done}");
}

/// One that is damaged does not hide the others.
#[test]
fn a_damaged_run_is_said_and_left_out() {
    let place = Place::new();
    place
        .run(&format!("{TINY} --method dni,none --run-dir runs"))
        .succeeds();
    write(
        &place,
        "runs/dni-seed1/scalars.csv",
        b"step,seconds\nno,numbers\n",
    );
    write(&place, "runs/dni-seed1/checkpoint.bpk", b"no checkpoint");
    for call in ["report", "plot -o p.svg", "eval"] {
        place.run(&format!("{call} runs")).fails_in_part(&[
            "left out: ",
            "dni-seed1",
            "1 of 2 runs",
        ]);
        place
            .run(&format!("{call} runs/dni-seed1"))
            .fails(1, &["dni-seed1"]);
    }
    assert!(read(place.path("runs/report.html")).contains("runs/none-seed1"));
    let done = place.run("eval runs --format json");
    let report: serde_json::Value =
        serde_json::from_str(&done.stdout).expect("the others are measured");
    assert_eq!(
        report["results"].as_array().map(Vec::len),
        Some(1),
        "{done}"
    );
}

/// Names are bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_may_have_any_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let name = OsStr::from_bytes(b"odd \xff'");
    let mut command = place.command(&format!("{TINY} --method dni --run-dir"));
    Done::of(command.arg(name)).succeeds();
    for call in [
        "report",
        "eval",
        "plot -o a.svg",
        "export -o a.safetensors",
        "adder --resume",
    ] {
        let mut command = place.command(call);
        Done::of(command.arg(name)).succeeds();
    }
}

// Longer runs.

#[test]
fn a_finished_run_can_be_made_longer() {
    let place = Place::new();
    for (first, again, resume) in [
        (
            TINY.to_string() + " --method dni,none",
            "--steps 40",
            "adder",
        ),
        (
            "text --units 4 --batch-size 2 --unroll 3 --characters 2000 --budget 20 --method dni,bptt"
                .to_string(),
            "--budget 40",
            "text",
        ),
    ] {
        let folder = format!("{resume}-run");
        place.run(&format!("{first} --run-dir {folder}")).succeeds();
        // Stopped after the first of its runs, it goes on with the other.
        let report = place.results(&format!("{resume} --resume {folder} {again}"));
        for result in report["results"].as_array().expect("a list") {
            assert_eq!(result["steps"], 40, "{report}");
            let run = place.path(result["run_dir"].as_str().expect("a name"));
            assert_eq!(saved_step(&run), Some(40));
            assert!(read(run.join("settings.toml")).contains("steps = 40"));
            let steps = recorded_steps(&run);
            assert_eq!(steps.last(), Some(&40));
            assert!(steps.is_sorted(), "{steps:?}");
        }
        assert!(read(place.path(&folder).join("settings.toml")).contains("steps = 40"));
        assert_eq!(place.results(&format!("{resume} --resume {folder}")), report);
        place
            .run(&format!("{resume} --resume {folder} {}", again.replace("40", "30")))
            .fails(2, &["as many steps or more"]);
        place
            .run(&format!("{resume} --resume {folder} {} --seed 2", again.replace("40", "50")))
            .fails(2, &["leave out the flags"]);
    }
}
