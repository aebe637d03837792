//! Event files: their records, and what TensorBoard's own reader finds in them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::TempDir;
use common::program::*;
use dni::run::TensorBoard;
use dni::train::{Event, Listener, Scalars};
use serde_json::Value;

/// Prints the scalars of a folder, `{tag: [[step, value], ...]}`.
const READER: &str = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
events.Reload()
tags = events.Tags()['scalars']
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags}))
";

/// What TensorBoard reads in a folder, if Python has it.
fn read_by_tensorboard(folder: &Path) -> Option<Value> {
    let python = |arguments: &[&str]| Command::new("python3").args(arguments).output();
    let has_tensorboard = python(&["-c", "import tensorboard"]);
    if !has_tensorboard.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped, as Python has no tensorboard");
        return None;
    }
    let folder = folder.display().to_string();
    let output = python(&["-c", READER, &folder]).expect("python has just been started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    Some(serde_json::from_slice(&output.stdout).expect("it prints JSON"))
}

fn event_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("there is a folder");
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    let is_events = |path: &PathBuf| path.display().to_string().contains("tfevents");
    paths.filter(is_events).collect()
}

#[test]
fn a_run_leaves_its_figures_for_tensorboard() {
    let place = Place::new();
    let call = "--steps 20 --layers 8,8 --batch-size 16 --examples 48 --bits 4 --method dni -q";
    place.run(&format!("{call} --run-dir plain")).succeeds();
    assert!(event_files(&place.path("plain")).is_empty());
    place
        .run(&format!("{call} --run-dir run --tensorboard"))
        .succeeds();
    let folder = place.path("run");
    let [file] = &event_files(&folder)[..] else {
        panic!("there is one event file");
    };
    // Records: the length, its checksum, the event, its checksum.
    let bytes = fs::read(file).expect("it can be read");
    let (mut at, mut records) = (0, 0);
    while at < bytes.len() {
        let length = bytes[at..at + 8].try_into().expect("eight bytes");
        at += 8 + 4 + u64::from_le_bytes(length) as usize + 4;
        records += 1;
    }
    assert_eq!(at, bytes.len());
    // The version, the start, 20 times losses, 10 evaluations and a comparison.
    assert_eq!(records, 1 + 1 + 20 + 10 + 1);

    let Some(read) = read_by_tensorboard(&folder) else {
        return;
    };
    let tags: Vec<_> = read.as_object().expect("an object").keys().collect();
    let expected = "cosine/hidden1 cosine/hidden2 loss norm/hidden1 norm/hidden2 \
                    relative_error/hidden1 relative_error/hidden2 synthesizer_loss/hidden1 \
                    synthesizer_loss/hidden2 unseen_error";
    assert_eq!(tags, expected.split_whitespace().collect::<Vec<_>>());
    let events = events(&folder);
    let losses = events.iter().filter(|event| event["event"] == "progress");
    let losses: Vec<_> = losses
        .map(|event| {
            let loss = event["loss"].as_f64().expect("a number");
            serde_json::json!([event["step"], f64::from(loss as f32)])
        })
        .collect();
    assert_eq!(read["loss"], Value::Array(losses));
}

#[test]
fn what_was_lost_in_a_crash_is_void() {
    let folder = TempDir::new();
    let train = |from: usize, to: usize, loss: f64| {
        let mut board = TensorBoard::create(folder.path(), &[]).expect("it can be written");
        let steps = Some(to);
        let mut hear = |event| board.hear(&event).expect("it can be written");
        hear(Event::Started { step: from, steps });
        for step in from + 1..=to {
            hear(Event::Progress(Scalars {
                step,
                seconds: 0.0,
                loss,
                synthesizer_losses: Vec::new(),
                input_losses: Vec::new(),
                auxiliary_losses: Vec::new(),
                rate_factor: 1.0,
            }));
        }
        hear(Event::Saved { step: to });
    };
    train(0, 4, 1.0);
    train(2, 5, 2.0);
    let Some(read) = read_by_tensorboard(folder.path()) else {
        return;
    };
    let expected = serde_json::json!([[1, 1.0], [2, 1.0], [3, 2.0], [4, 2.0], [5, 2.0]]);
    assert_eq!(read["loss"], expected);
}
