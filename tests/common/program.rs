//! The program under test: calls, how they end, and what they leave.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use burn_pack::{Bytes, Reader, Scalar};
use dni::run::Checkpoint;
use serde_json::Value;

use super::TempDir;
use super::server::NOWHERE;

/// The program. Whoever starts it must [prepare](Place::prepare) the call.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dni");

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of its own to run the program in.
pub struct Place(TempDir);

/// How a call of the program ended.
pub struct Done {
    pub call: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self(TempDir::new())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A call with arguments parted by spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        self.prepare(&mut command)
            .args(arguments.split_whitespace());
        command
    }

    /// What every call of the program must have: no test depends on a network, or on what earlier
    /// calls have downloaded.
    pub fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .current_dir(self.0.path())
            // The Vulkan loader complains on stderr if it has none.
            .env("XDG_RUNTIME_DIR", self.0.path())
            // The program is not to take itself for one that `cargo run` has started.
            .env_remove("CARGO")
            .env_remove("DNI_BACKEND")
            .env_remove("DNI_DATA_DIR")
            .env("DNI_CACHE_DIR", self.path("cache"))
            .env("DNI_DATA_URL", NOWHERE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
    }

    pub fn run(&self, arguments: &str) -> Done {
        Done::of(&mut self.command(arguments))
    }

    /// Runs what must work; its results.
    pub fn results(&self, arguments: &str) -> Value {
        self.run(&format!("{arguments} --format json")).json()
    }

    pub fn start(&self, arguments: &str) -> Child {
        self.command(arguments)
            .spawn()
            .expect("the program can be started")
    }
}

impl Done {
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the program can be started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program speaks UTF-8");
        let done = Self {
            call: format!("{command:?}"),
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        for noise in ["panicked", "RUST_BACKTRACE", "Broken pipe", "\u{1b}"] {
            assert!(!done.stderr.contains(noise), "{noise:?} in {done}");
        }
        done
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// The one JSON object on stdout, and there must be nothing else.
    #[track_caller]
    pub fn json(self) -> Value {
        let done = self.succeeds();
        assert_eq!(done.stdout.lines().count(), 1, "{done}");
        assert!(done.stdout.ends_with('\n'), "{done}");
        let value: Value = serde_json::from_str(&done.stdout).expect("stdout is JSON");
        assert!(value.is_object(), "{done}");
        value
    }

    /// It failed with this code and an error on stderr that says all of this, and nothing on
    /// stdout.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        assert_eq!(self.stdout, "", "{self}");
        self.says_why(words)
    }

    /// It gave results, but not all: it failed, with an error on stderr that says all of this.
    #[track_caller]
    pub fn fails_in_part(self, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(1), "{self}");
        assert_ne!(self.stdout, "", "{self}");
        self.says_why(words)
    }

    #[track_caller]
    fn says_why(self, words: &[&str]) -> Self {
        assert!(
            self.stderr.lines().any(|line| line.starts_with("error: ")),
            "{self}"
        );
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self}");
        }
        self
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\nended with {:?}\nstdout:\n{}\nstderr:\n{}",
            self.call, self.code, self.stdout, self.stderr
        )
    }
}

/// The experiments, by the help of the program: what it lists before the commands that look at runs.
pub fn experiments() -> Vec<String> {
    let help = Place::new().run("--help").succeeds().stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty());
    names
        .take_while(|name| *name != "report")
        .map(String::from)
        .collect()
}

/// The flags of an experiment that make its runs short, each with its value.
pub fn short_flags(experiment: &str) -> Vec<(&'static str, &'static str)> {
    const SHORT: [(&str, &str); 8] = [
        ("--budget", "20"),
        ("--steps", "3"),
        ("--seeds", "1"),
        ("--examples", "64"),
        ("--test-examples", "16"),
        ("--characters", "400"),
        ("--batch-size", "8"),
        ("--units", "8"),
    ];
    let help = Place::new()
        .run(&format!("{experiment} --help"))
        .succeeds()
        .stdout;
    let has = |flag: &str| {
        let defined = format!("{flag} <");
        help.lines()
            .any(|line| line.trim_start().starts_with(&defined))
    };
    SHORT.into_iter().filter(|(flag, _)| has(flag)).collect()
}

/// Results without what differs from run to run: times and the folder.
pub fn timeless(mut report: Value) -> Value {
    for result in report["results"].as_array_mut().expect("a list of results") {
        let result = result.as_object_mut().expect("a result is an object");
        for key in ["seconds", "steps_per_second", "run_dir"] {
            assert!(result.remove(key).is_some(), "no {key} in {result:?}");
        }
    }
    report
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The events of a run.
pub fn events(folder: &Path) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).expect("every line is JSON");
    read(folder.join("events.jsonl"))
        .lines()
        .map(parse)
        .collect()
}

pub fn names(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["event"].as_str().expect("every event has a name"))
        .collect()
}

/// The rows of `scalars.csv` without the columns that tell of time: seconds, and how busy workers
/// were and how late their gradients.
pub fn scalars(folder: &Path) -> Vec<Vec<String>> {
    const OF_TIME: [&str; 4] = ["seconds", "busy_", "lateness_", "staleness_"];
    let text = read(folder.join("scalars.csv"));
    let header = text.lines().next().expect("it has a header");
    let tells_of_time = |name: &str| OF_TIME.iter().any(|start| name.starts_with(start));
    let kept: Vec<bool> = header.split(',').map(|name| !tells_of_time(name)).collect();
    let row = |line: &str| {
        let cells = line.split(',').zip(&kept).filter(|(_, kept)| **kept);
        cells.map(|(cell, _)| cell.to_string()).collect()
    };
    text.lines().map(row).collect()
}

/// The steps that a run recorded, by its events.
pub fn recorded_steps(folder: &Path) -> Vec<u64> {
    events(folder)
        .iter()
        .filter(|event| event["event"] == "progress")
        .map(|event| event["step"].as_u64().expect("progress has a step"))
        .collect()
}

/// Everything in a checkpoint but the time: tensors byte for byte, and scalars.
#[derive(PartialEq)]
pub struct State {
    pub tensors: BTreeMap<String, Vec<u8>>,
    pub scalars: BTreeMap<String, Scalar>,
}

pub fn state(folder: &Path) -> State {
    let mut bytes = fs::read(folder.join("checkpoint.bpk")).expect("there is a checkpoint");
    bytes.truncate(bytes.len() - 4);
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(bytes)).expect("it is a burnpack");
    let mut scalars = reader.scalars().clone();
    assert!(scalars.remove("seconds").is_some());
    let tensors = reader
        .tensor_names()
        .into_iter()
        .map(|name| {
            let data = reader.tensor_data(name).expect("a listed tensor is there");
            (name.to_string(), data)
        })
        .collect();
    State { tensors, scalars }
}

/// Two runs ended with the same network, optimizers included, and left the same figures.
#[track_caller]
pub fn assert_same_run(folder: &Path, expected: &Path) {
    let (state, wanted) = (state(folder), state(expected));
    assert!(!state.tensors.is_empty());
    let names = |state: &State| state.tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&state), names(&wanted));
    for (name, data) in &state.tensors {
        assert!(wanted.tensors[name] == *data, "{name} is another");
    }
    assert!(state.scalars == wanted.scalars, "other scalars");
    assert_eq!(scalars(folder), scalars(expected));
    assert_eq!(recorded_steps(folder), recorded_steps(expected));
}

/// Waits until `condition` holds while `child` runs.
///
/// # Panics
///
/// If the child ends first, or nothing happens for too long.
#[track_caller]
pub fn wait_until(child: &mut Child, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            panic!("the run ended too soon, with {status}");
        }
        if start.elapsed() > PATIENCE {
            child.kill().expect("a child can be killed");
            panic!("waited too long");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether this process was started to ignore a signal, as jobs in the background of a script ignore
/// INT and those of `nohup` HUP. The programs that it starts do as well.
pub fn is_ignored(name: &str) -> bool {
    let number = match name {
        "HUP" => 1,
        "INT" => 2,
        _ => return false,
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|ignored| ignored >> (number - 1) & 1 == 1)
}

/// Asks a program to save and stop: by Ctrl-C's signal, or where that is ignored by another.
#[track_caller]
pub fn ask_to_stop(child: &Child) {
    signal(child, if is_ignored("INT") { "TERM" } else { "INT" });
}

/// Sends a signal.
#[track_caller]
pub fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([format!("-{name}"), id]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// The step of a run's checkpoint, if there is one yet.
pub fn saved_step(folder: &Path) -> Option<usize> {
    let path = folder.join("checkpoint.bpk");
    // A checkpoint is replaced in one piece, so one that is there is whole.
    path.exists()
        .then(|| Checkpoint::read(&path).expect("no half-written checkpoint is ever seen"))
        .map(|checkpoint| checkpoint.progress().step)
}
