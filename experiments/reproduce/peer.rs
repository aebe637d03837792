//! Another program's runs beside ours: PyTorch's, where Python has it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::ValueEnum;
use dni::data::Images;
use serde_json::Value;

use super::call::Call;
use crate::output;
use crate::progress::Busy;
use crate::source::Source;

/// What trains by PyTorch.
const PROGRAM: &str = include_str!("../../benches/peers/race.py");

/// The results of a call in the form of those of `dni images`; null on a machine without PyTorch.
pub fn results(call: &Call, quiet: bool) -> anyhow::Result<Value> {
    if !is_there() {
        if !quiet {
            output::say("python3 has no torch here: PyTorch is left out");
        }
        return Ok(Value::Null);
    }
    // Our own runs say how far they are.
    let _busy = Busy::new(format!("waiting for dni {call}"), quiet);
    let line = call.to_string();
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let data = words.iter().skip_while(|word| **word != "--data").nth(1);
    let source = data.and_then(|name| Source::from_str(name, true).ok());
    let source = source.context("PyTorch trains on images that --data names")?;
    let data_dir = std::env::var_os("DNI_DATA_DIR").map(PathBuf::from);
    let set = source.load(data_dir.as_deref(), 1, [None, None], quiet)?;
    let shape = source.shape();
    let numbers =
        |numbers: &[usize]| -> Vec<String> { numbers.iter().map(usize::to_string).collect() };
    let mut program = Command::new("python3")
        .args(["-c", PROGRAM])
        .args(&words)
        .arg("--sets")
        .args(numbers(&[set.train.len(), set.test.len()]))
        .arg("--image")
        .args(numbers(&[shape.channels, shape.height, shape.width]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    // It ends before it has read everything only if it fails, and then says why on stderr.
    let mut pipe = program.stdin.take().context("python3 takes no input")?;
    let _ = [&set.train, &set.test].map(|images| send(images, &mut pipe));
    drop(pipe);
    let done = program
        .wait_with_output()
        .context("python3 has no output")?;
    if !done.status.success() {
        bail!("PyTorch's runs failed ({})", done.status);
    }
    serde_json::from_slice(&done.stdout).context("PyTorch's results cannot be read")
}

fn is_there() -> bool {
    let mut python = Command::new("python3");
    let tried = python.args(["-c", "import torch"]).output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// The pixels of all images, then their classes.
fn send(images: &Images, pipe: &mut impl Write) -> std::io::Result<()> {
    for image in 0..images.len() {
        pipe.write_all(images.pixels(image))?;
    }
    let labels: Vec<u8> = (0..images.len())
        .map(|image| images.label(image) as u8)
        .collect();
    pipe.write_all(&labels)
}
