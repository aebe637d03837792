//! What benches share: the table of times, and a Python peer to compare with.

// Every bench is a crate of its own, and not all have a peer.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The times of every case, in microseconds.
#[derive(Default)]
pub struct Times(Vec<(String, Vec<f64>)>);

impl Times {
    pub fn note(&mut self, case: String, time: f64) {
        match self.0.iter_mut().find(|(name, _)| *name == case) {
            Some((_, times)) => times.push(time),
            None => self.0.push((case, vec![time])),
        }
    }

    /// Prints the cases whose names begin with `prefix`: the median, half the distance between the
    /// quartiles, and the ratio to the first of them.
    pub fn print(&self, prefix: &str) {
        let first = self.0.iter().find(|(name, _)| name.starts_with(prefix));
        let Some((reference, _)) = first else { return };
        for (name, _) in self.0.iter().filter(|(name, _)| name.starts_with(prefix)) {
            self.print_against(reference, name);
        }
    }

    /// Prints one case with its ratio to another.
    pub fn print_against(&self, reference: &str, case: &str) {
        let times = |case: &str| self.0.iter().find(|(name, _)| name == case);
        if let (Some((_, reference)), Some((name, times))) = (times(reference), times(case)) {
            let [lower, median, upper] = quartiles(times);
            let [_, reference, _] = quartiles(reference);
            println!(
                "{name:24} {median:8.1} us  ± {:5.1}  ratio {:.2}",
                (upper - lower) / 2.0,
                median / reference
            );
        }
    }
}

/// The median of some measurements.
pub fn median(times: &[f64]) -> f64 {
    quartiles(times)[1]
}

fn quartiles(times: &[f64]) -> [f64; 3] {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[(sorted.len() - 1) * quarter / 4])
}

/// A Python program in its own process, which times its steps when it is asked to.
pub struct Peer {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts a script of `benches/peers`, if python3 can import the module that it needs.
    pub fn start(module: &str, script: &str) -> Option<Self> {
        Self::start_with(module, script, &[])
    }

    /// The same, with arguments for the script.
    pub fn start_with(module: &str, script: &str, arguments: &[&str]) -> Option<Self> {
        let has_module = Command::new("python3")
            .args(["-c", &format!("import {module}")])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !has_module {
            eprintln!("python3 has no {module}: timed without it (pip install {module})");
            return None;
        }
        let peers = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");
        let mut process = Command::new("python3")
            .arg(format!("{peers}/{script}"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 was there a moment ago");
        let answers = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Some(Self { process, answers })
    }

    /// Microseconds per step of each program.
    pub fn times<const N: usize>(&mut self, programs: &[&str; N]) -> [f64; N] {
        let times = self.answer();
        programs.map(|program| times[program].as_f64().expect("the peer times it"))
    }

    /// The same of any number of programs.
    pub fn times_of(&mut self, programs: &[String]) -> Vec<f64> {
        let times = self.answer();
        let programs = programs.iter();
        let times = programs.map(|p| times[p].as_f64().expect("the peer times it"));
        times.collect()
    }

    /// Microseconds per step by program.
    fn answer(&mut self) -> serde_json::Value {
        let stdin = self.process.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(b"\n").expect("the peer listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the peer answers");
        serde_json::from_str(&line).expect("the peer speaks JSON")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Closing its input ends it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
