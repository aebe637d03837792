//! `--dashboard` as its users meet it: on a terminal, and where there is none.

#![cfg(unix)]

mod common;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::program::*;

const RUN: &str = "adder --bits 4 --examples 48 --layers 8,8 --batch-size 16 --method dni \
                   --run-dir run --dashboard";
/// What a terminal is told to show another page, and to show the old one again.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

#[test]
fn without_a_terminal_it_is_refused() {
    let place = Place::new();
    place
        .run(&format!("{RUN} --steps 10"))
        .fails(2, &["--dashboard", "terminal", "stderr"]);
    assert!(!place.path("run").exists());
    place.run(&format!("{RUN} --quiet")).fails(2, &["--quiet"]);
}

/// Starts a call on a terminal of its own; none where there is no `script` to make one.
fn start_on_terminal(place: &Place, call: &str) -> Option<Child> {
    if !Path::new("/usr/bin/script").is_file() {
        eprintln!("skipped, as there is no script");
        return None;
    }
    let command = format!("stty cols 100 rows 30; exec {PROGRAM} {call}");
    let mut script = Command::new("/usr/bin/script");
    let child = place
        .prepare(&mut script)
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .spawn();
    Some(child.expect("it can be started"))
}

/// Reads until it says this.
fn read_until(output: &mut impl Read, word: &str) -> String {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = output.read(&mut buffer).expect("it can be read");
        seen.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&seen);
        assert!(count > 0, "it ended without {word:?}: {text}");
        if text.contains(word) {
            return text.into_owned();
        }
    }
}

#[test]
fn a_run_is_shown_and_the_terminal_given_back() {
    let place = Place::new();
    let Some(mut child) = start_on_terminal(&place, &format!("{RUN} --steps 200")) else {
        return;
    };
    let mut output = child.stdout.take().expect("it is a pipe");
    let mut seen = read_until(&mut output, LEAVE);
    output.read_to_string(&mut seen).expect("it is text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{seen}");
    let (before, after) = seen.split_once(LEAVE).expect("it was left");
    assert!(before.contains(ENTER), "{seen}");
    // Blanks that were blank before are not drawn.
    for word in ["dni,", "training"] {
        assert!(before.contains(word), "no {word:?} in {before}");
    }
    assert!(after.contains("runs: run"), "{after}");
    assert!(!after.contains(ENTER), "{after}");
}

/// All runs of a call are on one screen, and what they say comes after it.
#[test]
fn all_methods_are_shown_together() {
    let place = Place::new();
    let call = RUN.replace("--method dni", "--method backprop,dni");
    let Some(mut child) = start_on_terminal(&place, &format!("{call} --steps 200")) else {
        return;
    };
    let mut output = child.stdout.take().expect("it is a pipe");
    let mut seen = read_until(&mut output, LEAVE);
    output.read_to_string(&mut seen).expect("it is text");
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{seen}");
    let (before, after) = seen.split_once(LEAVE).expect("it was left");
    assert_eq!(before.matches(ENTER).count(), 1);
    for said in ["backprop, seed 1: 200 steps", "dni, seed 1: 200 steps"] {
        assert!(after.contains(said), "no {said:?} in {after}");
        assert!(!before.contains(said), "{before}");
    }
}

/// `q` asks; another key goes on, `y` saves and stops, and the run can be resumed.
#[test]
fn it_can_be_stopped_by_a_key() {
    let place = Place::new();
    let Some(mut child) = start_on_terminal(&place, &format!("{RUN} --steps 1000000")) else {
        return;
    };
    let mut output = child.stdout.take().expect("it is a pipe");
    let mut input = child.stdin.take().expect("it is a pipe");
    let mut press = |key: &[u8]| {
        input.write_all(key).expect("a key can be pressed");
        input.flush().expect("and comes through");
    };
    read_until(&mut output, "asks whether to stop");
    press(b"q");
    read_until(&mut output, "any other key goes on");
    press(b"n");
    read_until(&mut output, "asks whether to stop");
    press(b"q");
    read_until(&mut output, "any other key goes on");
    press(b"y");
    let seen = read_until(&mut output, "--resume /");
    assert!(seen.contains(LEAVE), "{seen}");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(saved_step(&place.path("run")).is_some_and(|step| step > 0));
}

/// A terminal that goes away takes nothing with it: the run is saved, and the program ends.
#[cfg(target_os = "linux")]
#[test]
fn it_ends_when_its_terminal_does() {
    use std::time::{Duration, Instant};

    if is_ignored("HUP") {
        eprintln!("skipped, as the news of it is ignored here");
        return;
    }
    let place = Place::new();
    let Some(mut script) = start_on_terminal(&place, &format!("{RUN} --steps 1000000")) else {
        return;
    };
    let mut output = script.stdout.take().expect("it is a pipe");
    read_until(&mut output, "asks whether to stop");
    let script_id = script.id();
    let children = read(format!("/proc/{script_id}/task/{script_id}/children"));
    let stat = Path::new("/proc").join(children.trim()).join("stat");
    // A child that nobody has waited for is a Z.
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(runs(), "no child in {children:?}");
    script.kill().expect("it runs");
    script.wait().expect("it can be waited for");
    let start = Instant::now();
    while runs() {
        assert!(start.elapsed() < PATIENCE, "it still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(saved_step(&place.path("run")).is_some_and(|step| step > 0));
}
