//! Every command line of the README and of experiments/README.md works, made short.

mod common;

use std::fs;

use common::program::{Done, Place, short_flags};

/// The arguments of every `cargo run` in the listings of a page.
fn command_lines(page: &str) -> Vec<Vec<String>> {
    page.lines()
        .filter_map(|line| line.strip_prefix("$ cargo run"))
        .map(|rest| {
            let arguments = rest.strip_prefix(" --").unwrap_or(rest);
            arguments.split_whitespace().map(String::from).collect()
        })
        .collect()
}

/// Commands that need runs.
const LOOKS_AT_RUNS: [&str; 5] = ["eval", "export", "list", "plot", "report"];

/// A command line made short without changing what it is about.
fn shortened(arguments: Vec<String>) -> Vec<String> {
    let first = arguments.first().map_or("", String::as_str);
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let shorter = match first {
        "backends" | "completions" | "--help" => Vec::new(),
        _ if LOOKS_AT_RUNS.contains(&first) => Vec::new(),
        "bench" => vec![("--repetitions", "1")],
        "reproduce" => vec![("--budget", "quick")],
        // Micro-batches of fewer examples would be too few for the batch norm of a deep network.
        "plan" => vec![
            ("--repetitions", "1"),
            ("--batch-size", "64"),
            ("--depth", "16"),
        ],
        experiment => {
            // Flags alone are those of the adder.
            let are_flags = experiment.is_empty() || experiment.starts_with('-');
            let command = match experiment {
                "sweep" => arguments[..2].join(" "),
                _ if are_flags => "adder".to_string(),
                _ => experiment.to_string(),
            };
            let mut flags = short_flags(&command);
            flags.retain(|(flag, _)| *flag != "--steps" || !has("--epochs"));
            flags
        }
    };
    let mut short = Vec::new();
    let mut given = arguments.into_iter();
    while let Some(argument) = given.next() {
        if shorter.iter().any(|(flag, _)| *flag == argument) {
            given.next();
        } else {
            short.push(argument);
        }
    }
    short.extend(
        shorter
            .iter()
            .flat_map(|(flag, value)| [flag, value])
            .map(ToString::to_string),
    );
    short
}

/// A call of a command line, made short, in a place.
fn call(place: &Place, arguments: Vec<String>) -> Done {
    let mut command = place.command("");
    if let Some(data) = std::env::var_os("DNI_DATA_DIR") {
        command.env("DNI_DATA_DIR", data);
    }
    Done::of(command.args(shortened(arguments)))
}

/// Makes the runs that a command line looks at.
fn make_runs(place: &Place, line: &[String]) {
    let named = line.iter().find_map(|argument| {
        let name = argument.strip_prefix("runs/")?.split('/').next()?;
        Some(format!("runs/{name}"))
    });
    let folder = named.unwrap_or_else(|| "runs/first".to_string());
    call(place, vec!["--run-dir".to_string(), folder]).succeeds();
}

#[test]
fn every_command_line_works() {
    let pages = [
        include_str!("../README.md"),
        include_str!("../experiments/README.md"),
    ];
    let has_data = std::env::var_os("DNI_DATA_DIR").is_some();
    let has_wgpu = common::devices().iter().any(|(name, _)| *name == "wgpu");
    let lines: Vec<_> = pages.into_iter().flat_map(command_lines).collect();
    assert!(lines.len() >= 8, "the pages have lost their listings");
    for line in lines {
        if line.iter().any(|argument| argument == "wgpu") && !has_wgpu {
            continue;
        }
        let place = Place::new();
        if line
            .first()
            .is_some_and(|first| LOOKS_AT_RUNS.contains(&first.as_str()))
        {
            make_runs(&place, &line);
        }
        let done = call(&place, line);
        // Without data every other line works, offline.
        if !has_data && done.stderr.contains("cannot download") {
            eprintln!("skipped, as DNI_DATA_DIR is not set: {}", done.call);
            continue;
        }
        let done = done.succeeds();
        assert!(!done.stdout.is_empty(), "{done}");
    }
}

/// Every test that starts the program does so by [`Place`], whose calls cannot reach the network.
#[test]
fn no_test_goes_to_the_network() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let mut looked_at = 0;
    for entry in fs::read_dir(tests).expect("there are tests") {
        let path = entry.expect("a folder can be listed").path();
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        looked_at += 1;
        let starts = concat!("CARGO_BIN", "_EXE");
        assert!(
            !text.contains(starts),
            "{} starts the program without Place",
            path.display()
        );
    }
    assert!(looked_at > 10, "the tests are elsewhere");

    // A call of Place that needs data fails, fast.
    let place = Place::new();
    let begun = std::time::Instant::now();
    place
        .run("text --source shakespeare --budget 1")
        .fails(1, &["cannot download", "127.0.0.1"]);
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
