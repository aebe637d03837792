//! Nothing lost and nothing damaged: folders that two processes want, outputs that are no files, signals,
//! runs that fail among others, and starts that fail.

#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::program::*;
use serde_json::{Value, json};

/// A network that trains in milliseconds.
const TINY: &str = "--steps 20 --layers 8,8 --batch-size 16 --examples 48 --bits 4";

/// One that nobody waits for to end.
const ENDLESS: &str =
    "--steps 1000000000 --layers 8,8 --batch-size 16 --examples 48 --bits 4 --method dni";

/// A line of a shell, in which `dni` is the program.
fn shell(place: &Place, line: &str) -> Done {
    let mut command = Command::new("sh");
    let line = format!("dni() {{ {PROGRAM} \"$@\"; }}; {line}");
    Done::of(place.prepare(command.args(["-c", &line])))
}

fn kill(mut child: Child) {
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
}

/// What lies in a folder, by name, but for an empty cache.
fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name != "cache").collect();
    names.sort();
    names
}

#[test]
fn only_one_process_is_at_work_in_a_folder() {
    let place = Place::new();
    for (folder, flags, run) in [("one", "", "one"), ("two", "--seeds 2", "two/dni-seed1")] {
        let run = place.path(run);
        let mut child = place.start(&format!("{ENDLESS} --run-dir {folder} {flags}"));
        wait_until(&mut child, || saved_step(&run).is_some());
        let busy = ["another process is at work", folder];
        place.run(&format!("--resume {folder}")).fails(1, &busy);
        // Who only reads is not in the way.
        place.run(&format!("report {folder}")).succeeds();
        kill(child);
        // What the operating system has taken back from the dead is free again.
        let step = saved_step(&run);
        let mut child = place.start(&format!("--resume {folder}"));
        wait_until(&mut child, || saved_step(&run) > step);
        kill(child);
    }
}

#[test]
fn outputs_that_are_no_files_are_written_through() {
    let place = Place::new();
    place
        .run(&format!("{TINY} --method dni --run-dir run"))
        .succeeds();
    for (call, begins) in [
        ("report run --output pipe", "<!"),
        ("plot run --output pipe.svg", "<svg"),
        ("export run --output pipe", ""),
    ] {
        let pipe = call.rsplit(' ').next().unwrap_or_default();
        let line = format!(
            "mkfifo {pipe}; timeout 60 cat {pipe} > out & dni {call}; wait; test -p {pipe}"
        );
        let done = shell(&place, &line).succeeds();
        let out = fs::read(place.path("out")).expect("the reader has ended");
        assert!(
            out.len() > 500 && out.starts_with(begins.as_bytes()),
            "{done}"
        );
    }
    let done = place.run("report run --output /dev/null").succeeds();
    assert_eq!(done.stdout, "report: /dev/null\n");
    let line = "echo before > log; dni report run --output /dev/stdout >> log; cat log";
    let log = shell(&place, line).succeeds().stdout;
    assert!(log.starts_with("before\n<!"), "{log}");

    // Only that very file is replaced, wherever it lies.
    fs::write(place.path("page.html.new"), "mine").expect("a file can be written");
    place.run("report run --output page.html").succeeds();
    assert_eq!(read(place.path("page.html.new")), "mine");

    // A link stays one, and a file keeps who may read it.
    fs::write(place.path("page.html"), "old").expect("a file can be written");
    let only_mine = fs::Permissions::from_mode(0o600);
    fs::set_permissions(place.path("page.html"), only_mine).expect("it is ours");
    std::os::unix::fs::symlink("page.html", place.path("link.html")).expect("a link can be made");
    place.run("report run --output link.html").succeeds();
    let link = fs::symlink_metadata(place.path("link.html")).expect("it is there");
    assert!(link.is_symlink());
    assert!(read(place.path("page.html")).starts_with("<!"));
    let mode = fs::metadata(place.path("page.html")).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

/// As on a full disk: what could not be written whole leaves nothing, least of all what fills it.
#[test]
fn a_write_that_fails_leaves_no_file() {
    let place = Place::new();
    place
        .run(&format!("{TINY} --method dni --run-dir run"))
        .succeeds();
    let before = entries(&place.path("run"));
    let line = "trap '' XFSZ; ulimit -f 4; dni report run; dni report run --output new.html";
    let done = shell(&place, line).fails(1, &["report.html", "new.html", "File too large"]);
    assert_eq!(entries(&place.path("run")), before, "{done}");
    assert_eq!(entries(&place.path("")), ["run"], "{done}");
}

#[test]
fn the_same_run_is_exported_to_the_same_bytes() {
    let place = Place::new();
    place
        .run(&format!("{TINY} --method dni --run-dir run"))
        .succeeds();
    let files = [1, 2, 3, 4].map(|i| {
        let name = format!("{i}.SafeTensors");
        place.run(&format!("export run --output {name}")).succeeds();
        fs::read(place.path(&name)).expect("it was written")
    });
    assert!(files.iter().all(|file| *file == files[0]));
}

// Signals.

#[test]
fn a_signal_saves_and_one_that_was_ignored_is() {
    let place = Place::new();
    for name in ["INT", "TERM", "HUP"] {
        if is_ignored(name) {
            eprintln!("skipped SIG{name}, which is ignored here");
            continue;
        }
        let folder = place.path(name);
        let mut child = place.start(&format!("{ENDLESS} --run-dir {name}"));
        wait_until(&mut child, || saved_step(&folder).is_some());
        signal(&child, name);
        assert_eq!(child.wait().expect("it ends").code(), Some(1), "{name}");
        assert!(saved_step(&folder) > Some(0), "{name}");
        assert_eq!(names(&events(&folder)).last(), Some(&"interrupted"));
    }

    // As `nohup` does.
    let folder = place.path("nohup");
    let mut command = Command::new("sh");
    let line = format!("trap '' HUP; exec {PROGRAM} {ENDLESS} --run-dir nohup");
    let command = place.prepare(command.args(["-c", &line]));
    let mut child = command
        .stderr(Stdio::null())
        .spawn()
        .expect("there is a shell");
    wait_until(&mut child, || saved_step(&folder).is_some());
    signal(&child, "HUP");
    std::thread::sleep(Duration::from_millis(300));
    let step = saved_step(&folder);
    wait_until(&mut child, || saved_step(&folder) > step);
    signal(&child, "TERM");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
}

/// An IDX file of these sizes.
fn idx(sizes: &[u32], value: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    let values = sizes.iter().product::<u32>() as usize;
    bytes.resize(bytes.len() + values, value);
    bytes
}

/// It names the data, too, and all by paths that hold everywhere.
#[test]
fn the_command_that_goes_on_works_from_any_folder() {
    let place = Place::new();
    fs::create_dir(place.path("it's data")).expect("a folder can be made");
    for (name, count) in [("train", 8), ("t10k", 4)] {
        for (kind, bytes) in [
            ("images-idx3", idx(&[count, 28, 28], 9)),
            ("labels-idx1", idx(&[count], 1)),
        ] {
            let name = format!("it's data/{name}-{kind}-ubyte");
            fs::write(place.path(&name), bytes).expect("a file can be written");
        }
    }
    let mut command = place.command(
        "images --data mnist --depth 2 --units 4 --batch-size 4 --steps 1000000000 --method none \
         --tensorboard --run-dir run --data-dir",
    );
    let mut child = command.arg("it's data").spawn().expect("it can be started");
    let folder = place.path("run");
    wait_until(&mut child, || saved_step(&folder).is_some());
    signal(&child, "TERM");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let here = fs::canonicalize(place.path("")).expect("it is there");
    let here = here.display();
    let wanted = format!(
        r"go on with: dni images --resume {here}/run --tensorboard --data-dir '{here}/it'\''s data'"
    );
    assert!(stderr.contains(&wanted), "no {wanted} in {stderr}");
}

/// A stop does not wait for the figures of a hundred steps.
#[test]
fn a_stop_takes_effect_at_once_however_slow_the_steps_are() {
    let place = Place::new();
    // Figures are recorded every hundred steps, which take half a minute or longer.
    let call = "images --steps 100000000 --units 512 --depth 4 --batch-size 1024 \
                --examples 1024 --test-examples 10 --method backprop --run-dir run";
    let folder = place.path("run");
    let mut child = place.start(call);
    wait_until(&mut child, || saved_step(&folder).is_some());
    signal(&child, "TERM");
    let begun = std::time::Instant::now();
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    let took = begun.elapsed();
    let step = saved_step(&folder).expect("it was saved");
    assert!(
        (1..20).contains(&step),
        "stopped after {step} steps, in {took:?}"
    );
}

// Runs that fail among others.

#[test]
fn one_bad_run_does_not_keep_the_others_from_theirs() {
    let place = Place::new();
    let call = format!("{TINY} --method dni,none --synthesizer-lr 1e30 --run-dir it");
    let why = "failed: dni, seed 1: ";
    for call in [call.as_str(), "--resume it"] {
        let done = place.run(call);
        assert_eq!(done.code, Some(1), "{done}");
        let first = |line: &str| line.split_whitespace().next().map(String::from);
        let rows: Vec<String> = done.stdout.lines().filter_map(first).collect();
        assert_eq!(
            rows,
            ["method", "dni", "none", "none", "failed:", "runs:", "next:"],
            "{done}"
        );
        let failure = done.stdout.lines().find(|line| line.starts_with(why));
        assert!(
            failure.is_some_and(|line| line.contains("smaller")),
            "{done}"
        );
        assert!(done.stderr.contains("error: 1 of 2 runs failed"), "{done}");
    }
    let done = place.run("--resume it --format json");
    assert_eq!(done.code, Some(1), "{done}");
    let report: Value = serde_json::from_str(&done.stdout).expect("it is JSON");
    assert_eq!(report["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(report["results"][0]["method"], "none");
    assert_eq!(report["failures"][0]["run"], "dni, seed 1");
}

#[test]
fn a_table_says_which_of_its_runs_failed() {
    let place = Place::new();
    let store = |name: &str, command: &str, report: Value| {
        let folder = place.path("it").join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        let stored = json!({"command": command, "report": report}).to_string();
        fs::write(folder.join("results.json"), stored).expect("a file can be written");
    };
    let plan = place
        .run("reproduce notebook --budget quick --plan")
        .succeeds();
    for line in plan.stdout.lines() {
        let Some(command) = line.trim().strip_prefix("dni ") else {
            continue;
        };
        let name = if command.contains("--method dni") {
            "dni"
        } else {
            "backprop"
        };
        let failure = json!({"run": format!("{name}, seed 1"), "error": "it broke"});
        let report = json!({"results": [], "failures": [failure]});
        store(name, command, report);
    }
    let done = place.run("reproduce notebook --budget quick --run-dir it -q");
    assert_eq!(done.code, Some(1), "{done}");
    assert!(
        done.stdout.contains("- Failed: dni, seed 1: it broke"),
        "{done}"
    );
    assert!(done.stdout.contains("not reached"), "{done}");
    assert!(done.stderr.contains("2 runs failed"), "{done}");
}

// Starts that fail.

/// Whatever can be known before is, so that nothing is left that blocks the corrected command.
#[test]
fn a_start_that_fails_leaves_no_folder() {
    let place = Place::new();
    fs::write(place.path("short"), "a text of thirty characters..\n").expect("it can be written");
    let text = "text --batch-size 2 --unroll 3 --units 4 --budget 2";
    for (call, code, words) in [
        (format!("{text} --corpus none"), 1, ["none", "No such file"]),
        (
            format!("{text} --corpus short"),
            1,
            ["the validation text", "at least 2"],
        ),
        (
            format!("{} --corpus short", text.replace("-size 2", "-size 500")),
            1,
            ["too short", "fewer lanes"],
        ),
        (
            format!("{text} --source shakespeare"),
            1,
            ["tinyshakespeare", "cannot download"],
        ),
        (
            "images --data mnist --steps 1".into(),
            1,
            ["'mnist' is not in", "cannot download"],
        ),
        (
            "clocks --data mnist --steps 1".into(),
            1,
            ["'mnist' is not in", "cannot download"],
        ),
        (
            "images --queue 18446744073709551615 --workers 2".into(),
            2,
            ["--queue", "choose up to"],
        ),
    ] {
        for folder in ["", " --run-dir it"] {
            let done = place.run(&format!("{call}{folder}")).fails(code, &words);
            assert_eq!(entries(&place.path("")), ["short"], "{done}");
        }
    }
}

// Numbers.

/// The largest numbers of 64 bits, with and without a sign, and one that is only too large for anything
/// that lies in memory.
const TOO_MUCH: [&str; 3] = ["18446744073709551615", "9223372036854775807", "10000000000"];

/// Flags for which the smallest of these is not too much: nothing lies in memory for it.
const WITHOUT_MEMORY: [&str; 6] = [
    "--steps",
    "--epochs",
    "--budget",
    "--eval-every",
    "--patience",
    "--seed",
];

/// The flags of a command that have a value, and what its help calls that.
fn flags(place: &Place, command: &str) -> Vec<(String, String)> {
    let help = place.run(&format!("{command} --help")).succeeds().stdout;
    let flag = |line: &str| {
        // What a flag does stands further to the right.
        line.starts_with(' ').then_some(())?;
        let indent = line.len() - line.trim_start().len();
        let mut words = line.split_whitespace();
        let name = words.find(|word| word.starts_with("--"))?;
        let value = words.next()?.strip_prefix('<')?.strip_suffix('>')?;
        (indent <= 6).then(|| (name.to_string(), value.to_string()))
    };
    help.lines().filter_map(flag).collect()
}

/// How a value that a help calls so may say a number, which stands for `#`.
fn forms(value: &str) -> &'static [&'static str] {
    match value {
        "N" | "T" | "STEPS" | "N|Nm" => &["#"],
        "LAYERS" | "UNITS" | "NUMBERS" => &["#", "#,#,4"],
        "KIND" => &["linear:#", "rls:#", "probe:#", "mlp:#x#", "conv:#x#"],
        "METHODS" => &["dni@#", "cdni@#"],
        "PLACES" => &["flex,wgpu:#"],
        "ADDRESS" => &["127.0.0.1:#"],
        "RATE" | "SCHEDULE" | "X" | "P" | "BOOL" | "DELAY[,BANDWIDTH][,JITTER]" => &[],
        "DIR" | "FIGURE" | "FILE" | "FILES" | "NAME" | "RUN" | "TAGS" => &[],
        "BACKEND" | "BACKENDS" | "CORE" | "DATA" | "FORMAT" | "MODEL" | "NETWORK" => &[],
        "PRESET" | "SOURCE" => &[],
        other => panic!("'{other}' is new: can it say a whole number, and how?"),
    }
}

/// How a call ends that must do so within some seconds.
fn soon(place: &Place, call: &str, seconds: u32) -> Done {
    shell(
        place,
        &format!("timeout -s KILL {seconds} {PROGRAM} {call}"),
    )
}

/// Numbers of any size are refused in words, not by a panic or the end of all memory.
#[test]
fn numbers_have_their_bounds() {
    let place = Place::new();
    for (call, words) in [
        (
            "images --method cdni --workers 2 --queue 100000",
            ["--queue", "65536"],
        ),
        (
            "images --method cdni --workers 2 --late 100000",
            ["--late", "65536"],
        ),
        (
            "images --method cdni --workers 1000000000",
            ["workers are too many", "up to 1024"],
        ),
        (
            "images --method cdni --workers 2000 --depth 3000 --units 1",
            ["2000 workers", "1024"],
        ),
        (
            "images --method pipeline --workers 2 --micro-batches 1000000000",
            ["1000000000", "--micro-batches"],
        ),
        (
            "images --method cdni --split 1000000000,1000000000,4",
            ["1000000000,1000000000,4", "has 4"],
        ),
        (
            "images --method cdni@18446744073709551615",
            ["18446744073709551615", "there are 3"],
        ),
        (
            "images --method cdni --synthesizer probe:10000000",
            ["memory", "GB"],
        ),
        (
            "images --method dni --synthesizer mlp:100000000x100000000",
            ["memory", "GB"],
        ),
        (
            "images --method cdni --depth 100001 --units 1",
            ["--depth", "100000"],
        ),
        (
            "images --depth 1000000000 --workers 2",
            ["parameters", "layers"],
        ),
        (
            "images --model cnn --channels 1000000000 --workers 2",
            ["parameters", "channels"],
        ),
        (
            "images --model cnn --depth 2 --synthesizer conv:100000000x100000000",
            ["memory", "GB"],
        ),
        (
            "images --batch-size 60000 --depth 100000 --units 50",
            ["memory", "GB"],
        ),
        ("copy --batch-size 1000000000", ["memory", "GB"]),
        ("copy --units 1000000000", ["8192", "fewer"]),
        ("clocks --batch-size 1000000000", ["memory", "GB"]),
        (
            "text --batch-size 1000000000 --corpus none",
            ["memory", "GB"],
        ),
        ("text --sample 1000000000", ["--sample", "up to"]),
        (
            "adder --synthesizer rls:10000000 --method dni",
            ["parameters", "fewer"],
        ),
        ("adder --seeds 1000000000", ["--seeds", "1000000"]),
        (
            "adder --seed 9223372036854775807",
            ["9223372036854775807", "choose seeds below"],
        ),
        (
            "adder --kernel-threads 100000",
            ["--kernel-threads", "1024"],
        ),
        (
            "bench --kernel-threads 100000",
            ["--kernel-threads", "1024"],
        ),
        (
            "bench --synthesizer rls:10000000 --method dni",
            ["parameters", "fewer"],
        ),
        ("plan --batch-size 1000000000", ["batch of", "from 1 to"]),
        (
            "plan --sections 1000000000,1000000000,4",
            ["1000000000,1000000000,4", "4 layers"],
        ),
    ] {
        place.run(call).fails(2, &words);
    }
    assert_eq!(entries(&place.path("")), Vec::<String>::new());
}

/// Whatever flag they come by, one that is new as well.
#[test]
fn numbers_that_nothing_can_have_are_refused() {
    let place = Place::new();
    for command in [
        "adder",
        "images",
        "copy",
        "clocks",
        "text",
        "bench",
        "plan",
        "eval none",
        "serve",
    ] {
        let mut numbers = 0;
        for (flag, value) in flags(&place, command) {
            let largest = match WITHOUT_MEMORY.contains(&flag.as_str()) {
                true => &TOO_MUCH[..2],
                false => &TOO_MUCH[..],
            };
            for (form, number) in forms(&value)
                .iter()
                .flat_map(|form| largest.iter().map(move |number| (form, number)))
            {
                let call = format!("{command} {flag} {}", form.replace('#', number));
                let done = soon(&place, &call, 10);
                assert!(matches!(done.code, Some(1 | 2)), "{done}");
                assert!(done.stderr.contains("error: "), "{done}");
                numbers += 1;
            }
        }
        assert!(numbers > 0, "the help of {command} names no number");
    }
    assert_eq!(entries(&place.path("")), Vec::<String>::new());
}

/// The largest number that a flag takes is refused if it is too much, and else it makes a run no longer.
#[test]
fn the_largest_numbers_that_flags_take_do_no_harm() {
    const LARGEST: &str = "1000000000";
    /// Flags by which a call takes as long as they say.
    const LONG: [&str; 2] = ["--repetitions", "--characters"];
    let images =
        "--steps 2 --method cdni --depth 3 --batch-size 8 --examples 64 --test-examples 16";
    let place = Place::new();
    for (command, few) in [
        (
            "adder",
            "--steps 2 --method dni --layers 4 --bits 3 --examples 16 --batch-size 8",
        ),
        ("images", images),
        ("images", &format!("{images} --workers 2")),
        (
            "images",
            &format!("{images} --model cnn --channels 2 --unlock"),
        ),
        ("copy", "--budget 2 --method dni --batch-size 2"),
        (
            "clocks",
            "--steps 1 --method coupled --period 2 --units 4 --batch-size 2 --examples 64 \
             --test-examples 16",
        ),
        (
            "text",
            "--budget 1 --method dni --units 4 --unroll 3 --batch-size 2 --characters 2000",
        ),
        (
            "bench",
            "--backends flex --method backprop --layers 4 --repetitions 1",
        ),
        (
            "plan",
            "--depth 3 --batch-size 8 --workers 1 --repetitions 1",
        ),
    ] {
        for (flag, value) in flags(&place, command) {
            let is_long = WITHOUT_MEMORY.iter().chain(&LONG).any(|long| *long == flag);
            if is_long || value == "PLACES" {
                continue;
            }
            let words: Vec<&str> = few.split_whitespace().collect();
            // A flag is given once.
            let at = words.iter().position(|word| *word == flag);
            let others: Vec<&str> = match at {
                Some(at) => [&words[..at], &words[at + 2..]].concat(),
                None => words,
            };
            for form in forms(&value) {
                let number = form.replace('#', LARGEST);
                let call = format!("{command} {} {flag} {number}", others.join(" "));
                let done = soon(&place, &call, 60);
                assert!(matches!(done.code, Some(0..=2)), "{done}");
            }
        }
    }
}

/// A file of settings that was edited may say what no flag does.
#[test]
fn numbers_in_a_file_of_settings_have_their_bounds() {
    const MOST: &str = "9223372036854775807";
    let place = Place::new();
    for (command, few) in [
        (
            "adder",
            "--steps 2 --method dni --layers 4,4 --bits 3 --examples 16 --batch-size 8",
        ),
        (
            "images",
            "--steps 2 --method pipeline --depth 3 --units 4 --batch-size 8 --examples 64 \
             --test-examples 16 --split 1,2",
        ),
        ("copy", "--budget 2 --method bptt --units 4 --batch-size 2"),
        (
            "clocks",
            "--steps 1 --method coupled --period 2 --units 4 --batch-size 2 --examples 64 \
             --test-examples 16",
        ),
        (
            "text",
            "--budget 1 --method bptt --units 4 --unroll 3 --batch-size 2 --characters 2000",
        ),
    ] {
        place
            .run(&format!("{command} {few} --run-dir {command}"))
            .succeeds();
        let path = place.path(command).join("settings.toml");
        let settings = read(&path);
        for (i, line) in settings.lines().enumerate() {
            let Some((name, value)) = line.split_once(" = ") else {
                continue;
            };
            let is_whole = |value: &str| value.trim().parse::<u64>().is_ok();
            let list = value.strip_prefix('[').and_then(|l| l.strip_suffix(']'));
            let edited = match list {
                Some(list) if list.split(',').all(is_whole) => format!("[{MOST}, {MOST}]"),
                None if is_whole(value) => MOST.to_string(),
                _ => continue,
            };
            // A longer run is what anybody may wish for.
            if name == "steps" {
                continue;
            }
            let mut lines: Vec<&str> = settings.lines().collect();
            let edited = format!("{name} = {edited}");
            lines[i] = &edited;
            fs::write(&path, lines.join("\n")).expect("it can be written");
            let done = soon(&place, &format!("{command} --resume {command}"), 20);
            assert!(matches!(done.code, Some(1 | 2)), "{edited}: {done}");
        }
    }
}

/// A setting that a file has and the program does not know would be lost.
#[test]
fn settings_that_nobody_knows_are_refused() {
    let place = Place::new();
    for (command, table) in [
        ("adder --steps 2 --method cdni --layers 3,2", "run"),
        (
            "images --steps 2 --method cdni --depth 3 --units 4 --batch-size 8 --examples 64 \
             --test-examples 16",
            "network",
        ),
        (
            "rows --budget 1 --method dni --units 4 --batch-size 2 --examples 8 --test-examples 4",
            "network",
        ),
    ] {
        let (experiment, _) = command.split_once(' ').expect("it has flags");
        place
            .run(&format!("{command} --run-dir {experiment}"))
            .succeeds();
        let path = place.path(experiment).join("settings.toml");
        let settings = read(&path);
        let head = format!("[{table}]\n");
        for edited in [
            format!("warmth = 3\n{settings}"),
            settings.replace(&head, &format!("{head}warmth = 3\n")),
        ] {
            assert_ne!(edited, settings);
            fs::write(&path, edited).expect("it can be written");
            let call = format!("{experiment} --resume {experiment}");
            place.run(&call).fails(2, &["unknown", "warmth"]);
        }
    }
}
