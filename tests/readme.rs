//! Every command line of the README and of experiments/README.md works, made short.

mod common;

use std::process::{Command, Stdio};

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
const LOOKS_AT_RUNS: [&str; 4] = ["eval", "export", "plot", "report"];

/// A command line made short without changing what it is about.
fn shortened(arguments: Vec<String>) -> Vec<String> {
    let first = arguments.first().map_or("", String::as_str);
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let shorter: &[(&str, &str)] = match first {
        "backends" | "completions" | "--help" => &[],
        _ if LOOKS_AT_RUNS.contains(&first) => &[],
        "bench" => &[("--repetitions", "1")],
        "reproduce" => &[("--budget", "quick")],
        "plan" => &[("--repetitions", "1"), ("--batch-size", "4")],
        "images" => &[
            ("--steps", "2"),
            ("--seeds", "1"),
            ("--examples", "32"),
            ("--test-examples", "16"),
            ("--batch-size", "8"),
        ],
        "copy" => &[("--budget", "20"), ("--units", "8"), ("--batch-size", "4")],
        "clocks" => &[
            ("--steps", "2"),
            ("--units", "8"),
            ("--batch-size", "4"),
            ("--examples", "32"),
            ("--test-examples", "16"),
        ],
        "text" => &[
            ("--budget", "3"),
            ("--units", "8"),
            ("--batch-size", "4"),
            ("--characters", "200"),
        ],
        _ if has("--epochs") => &[],
        _ if has("--preset") => &[("--steps", "20")],
        _ => &[
            ("--steps", "3"),
            ("--examples", "64"),
            ("--batch-size", "16"),
        ],
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

/// Makes the runs that some command lines look at.
fn make_runs(folder: &std::path::Path) {
    let runs = ["--run-dir", "runs/first"].map(String::from);
    let status = Command::new(env!("CARGO_BIN_EXE_dni"))
        .args(shortened(runs.to_vec()))
        .current_dir(folder)
        .env_remove("DNI_BACKEND")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the program starts");
    assert!(status.success());
}

#[test]
fn every_command_line_works() {
    let pages = [
        include_str!("../README.md"),
        include_str!("../experiments/README.md"),
    ];
    let has_wgpu = common::devices().iter().any(|(name, _)| *name == "wgpu");
    let lines: Vec<_> = pages.into_iter().flat_map(command_lines).collect();
    assert!(lines.len() >= 8, "the pages have lost their listings");
    for line in lines {
        if line.iter().any(|argument| argument == "wgpu") && !has_wgpu {
            continue;
        }
        if line.iter().any(|a| a.contains("mnist")) && std::env::var_os("DNI_DATA_DIR").is_none() {
            eprintln!(
                "skipped, as DNI_DATA_DIR is not set: dni {}",
                line.join(" ")
            );
            continue;
        }
        let folder = common::TempDir::new();
        if line
            .first()
            .is_some_and(|first| LOOKS_AT_RUNS.contains(&first.as_str()))
        {
            make_runs(folder.path());
        }
        let output = Command::new(env!("CARGO_BIN_EXE_dni"))
            .args(shortened(line.clone()))
            .current_dir(folder.path())
            .env_remove("DNI_BACKEND")
            .output()
            .expect("the program starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "dni {}: {stderr}", line.join(" "));
        assert!(!output.stdout.is_empty(), "dni {}", line.join(" "));
    }
}
