//! `dni reproduce` as its users meet it, by its smallest table.

mod common;

use std::fs;
use std::path::Path;
use std::process::Child;
use std::sync::LazyLock;

use common::program::*;

const QUICK: &str = "reproduce notebook --budget quick";

/// The runs of the table, each in its folder.
const RUNS: [&str; 4] = [
    "backprop/backprop-seed1",
    "backprop/backprop-seed2",
    "dni/dni-seed1",
    "dni/dni-seed2",
];

/// A table whose runs nobody disturbed.
static UNDISTURBED: LazyLock<(Place, Done)> = LazyLock::new(|| {
    let place = Place::new();
    let done = place.run(QUICK).succeeds();
    (place, done)
});

/// The folder that the command chooses itself.
const FOLDER: &str = "runs/reproduce-notebook-quick";

#[test]
fn a_table_has_our_figures_and_those_it_is_to_reach_and_verdicts() {
    let (place, done) = &*UNDISTURBED;
    let rows: Vec<&str> = done.stdout.lines().filter(|l| l.starts_with('|')).collect();
    assert_eq!(rows.len(), 5, "{done}");
    assert!(rows[0].contains("| the notebook, one seed |"), "{done}");
    for (row, words) in rows[2..].iter().zip(["1.96", "309.8", "1963.6"]) {
        assert!(row.contains(" ± ") && row.contains(words), "{row}");
    }
    assert!(done.stdout.contains("Budget quick: n = 2 seeds"), "{done}");
    let verdicts = done.stdout.lines().filter(|line| line.starts_with("- "));
    assert_eq!(verdicts.count(), 3, "{done}");
    // What it does it says before.
    for words in [
        "dni adder --preset notebook-dni --steps 10000 --seeds 2 --method dni",
        "in all 4 runs, about ",
        "2 of 2: dni adder --preset notebook-dni",
    ] {
        assert!(done.stderr.contains(words), "no {words:?} in {done}");
    }
    let left = fs::read_dir(place.path("runs")).expect("there are runs");
    assert_eq!(left.count(), 1, "trials leave nothing");
}

#[cfg(unix)]
#[test]
fn it_goes_on_where_it_was_interrupted() {
    let place = Place::new();
    let mut child = place.start(&format!("{QUICK} --run-dir my-run"));
    let first = place.path("my-run").join(RUNS[0]);
    wait_until(&mut child, || saved_step(&first).is_some());
    ask_to_stop(&child);
    let output = child.wait_with_output().expect("a child can be waited for");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    let (_, how) = stderr
        .split_once("go on with: dni ")
        .expect("it says how to go on");
    let folder = fs::canonicalize(place.path("my-run")).expect("it was made");
    assert_eq!(
        how.trim(),
        format!("{QUICK} --run-dir {}", folder.display())
    );

    let (undisturbed, expected) = &*UNDISTURBED;
    let done = place.run(how.trim()).succeeds();
    assert_eq!(done.stdout, expected.stdout);
    for run in RUNS {
        let expected = undisturbed.path(FOLDER).join(run);
        assert_same_run(&place.path("my-run").join(run), &expected);
    }
}

/// Two would spoil each other's runs. Who only asks what is left is not in the way.
#[test]
fn only_one_process_makes_a_table_in_a_folder() {
    const LONG: &str = "reproduce notebook --run-dir my-run";
    let place = Place::new();
    let steps = || -> usize {
        let runs = (1..=5).map(|seed| format!("my-run/backprop/backprop-seed{seed}"));
        runs.filter_map(|run| saved_step(&place.path(&run))).sum()
    };
    let kill = |mut child: Child| {
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    };
    let mut child = place.start(LONG);
    wait_until(&mut child, || steps() > 0);
    let busy = ["another process is at work", "my-run"];
    place.run(LONG).fails(1, &busy);
    place.run(&format!("{LONG} --plan")).succeeds();
    kill(child);
    // What the operating system has taken back from the dead is free again.
    let before = steps();
    let mut child = place.start(LONG);
    wait_until(&mut child, || steps() > before);
    kill(child);
}

/// A folder with the results of another one's finished table.
fn finished() -> Place {
    let place = Place::new();
    let (undisturbed, _) = &*UNDISTURBED;
    for call in ["backprop", "dni"] {
        let folder = Path::new(FOLDER).join(call);
        fs::create_dir_all(place.path("").join(&folder)).expect("a folder can be made");
        let results = folder.join("results.json");
        fs::copy(
            undisturbed.path("").join(&results),
            place.path("").join(&results),
        )
        .expect("results can be copied");
    }
    place
}

#[test]
fn what_is_finished_does_not_run_again() {
    let place = finished();
    let done = place.run(QUICK).succeeds();
    assert_eq!(done.stdout, UNDISTURBED.1.stdout);
    assert!(done.stderr.contains("in all 0 runs, about 0 s"), "{done}");
    let left = fs::read_dir(place.path(FOLDER).join("dni")).expect("it is there");
    assert_eq!(left.count(), 1, "nothing but the results");
}

#[test]
fn results_of_another_command_are_refused() {
    let place = finished();
    let path = place.path(FOLDER).join("dni/results.json");
    let changed = read(&path).replace("--steps 10000", "--steps 99");
    fs::write(&path, changed).expect("it can be written");
    place
        .run(QUICK)
        .fails(1, &["--steps 99", "--steps 10000", "--run-dir"]);
}

#[test]
fn the_table_goes_to_a_file_or_to_its_place_in_a_page() {
    let place = finished();
    let table = &UNDISTURBED.1.stdout;
    let done = place.run(&format!("{QUICK} --output table.md")).succeeds();
    assert_eq!(done.stdout, "table: table.md\n");
    assert_eq!(read(place.path("table.md")), *table);

    let page = "# Page\n\n<!-- dni reproduce notebook -->\nold\n<!-- end -->\n\nmore\n";
    fs::write(place.path("page.md"), page).expect("it can be written");
    let done = place.run(&format!("{QUICK} --update page.md")).succeeds();
    assert_eq!(done.stdout, "table: page.md\n");
    let wanted = format!("\n{}\n\n", table.trim());
    assert_eq!(read(place.path("page.md")), page.replace("old\n", &wanted));
}

#[test]
fn a_plan_runs_nothing() {
    let place = Place::new();
    let done = place.run(&format!("{QUICK} --plan")).succeeds();
    for words in ["--preset notebook-backprop", "2 runs, ", "in all 4 runs"] {
        assert!(done.stdout.contains(words), "no {words:?} in {done}");
    }
    let is_wait = |line: &str| line.starts_with("timing a step of ");
    assert!(done.stderr.lines().all(is_wait), "{done}");
    assert!(!place.path("runs").exists());
    let speed = place.run("reproduce speed --plan").succeeds();
    assert!(speed.stdout.contains("dni bench --backends"), "{speed}");
}

#[test]
fn wrong_use_is_told_before_anything_runs() {
    let place = Place::new();
    fs::write(place.path("page.md"), "no table\n").expect("it can be written");
    let tables = [
        "feedforward",
        "sparse",
        "unlock",
        "recurrent",
        "text",
        "clocks",
        "notebook",
        "speed",
    ];
    place.run("reproduce nonsense").fails(2, &tables);
    let markers = ["page.md", "<!-- dni reproduce notebook -->", "<!-- end -->"];
    place
        .run(&format!("{QUICK} --update page.md"))
        .fails(2, &markers);
    place
        .run(&format!("{QUICK} --update none.md"))
        .fails(2, &["none.md"]);
    place
        .run(&format!("{QUICK} --output none/table.md"))
        .fails(1, &["none/table.md"]);
    place
        .run("reproduce notebook --budget huge")
        .fails(2, &["quick", "standard", "paper"]);
    assert!(!place.path("runs").exists());
}
