//! Workers on other machines: real servers on loopback, that serve, refuse, freeze and die.

#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::program::*;
use common::slow_link::slow_link;
use dni::threaded::Link;

/// How soon a run must end after its server has.
const SOON: Duration = Duration::from_secs(20);

/// A network of four layers that trains in milliseconds, on a backend that takes the same way on
/// this machine and on a server: flex has shortcuts here that round differently.
const TINY: &str = "images --backend ndarray --steps 12 --depth 4 --units 8 --batch-size 8 \
                    --examples 64 --test-examples 32 --eval-every 6 --method cdni --split 2,2";

/// The same for longer, with all that goes between workers.
const LONG: &str = "images --backend ndarray --steps 120 --depth 4 --units 8 --batch-size 8 \
                    --examples 64 --test-examples 32 --eval-every 60 --method cdni --split 2,2 \
                    --unlock --update-probability 0.7 --run-dir run";

const TOKEN: &str = "a token of this test";

/// How a server is reached.
#[derive(Debug, Clone, Copy)]
enum Transport {
    Plain,
    Encrypted,
}

impl Transport {
    const ALL: [Self; 2] = [Self::Plain, Self::Encrypted];

    /// What `dni serve` needs to hear. The file is made by the first server of a place, so that the
    /// next ones there have its key.
    fn flags(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Encrypted => "--identity server.key",
        }
    }
}

/// A `dni serve` of its own.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// One that serves ndarray behind the token, on any free port.
    fn start(place: &Place, transport: Transport) -> Self {
        Self::start_at(place, transport, "127.0.0.1:0")
    }

    fn start_at(place: &Place, transport: Transport, listen: &str) -> Self {
        let flags = transport.flags();
        let mut child = place
            .command(&format!(
                "serve --backend ndarray --listen {listen} {flags}"
            ))
            .env("DNI_TOKEN", TOKEN)
            .spawn()
            .expect("the program can be started");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a server says where it is");
        let address = line.trim().strip_prefix("serving ndarray on ");
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self {
            child,
            address: address.to_string(),
        }
    }

    fn signal(&self, signal: &str) {
        send(&self.child, signal);
    }

    fn listen(&self) -> &str {
        let (_, listen) = self.address.rsplit_once(['/', '@']).expect("it is a URL");
        listen
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status();
    assert!(sent.expect("there is a kill").success());
}

/// A call with the right token.
fn call(place: &Place, arguments: &str) -> Done {
    Done::of(place.command(arguments).env("DNI_TOKEN", TOKEN))
}

/// Wherever its layers are, the network ends as it does on this machine, bit for bit.
#[test]
fn a_remote_worker_trains_as_a_local_one() {
    let place = Place::new();
    let servers = Transport::ALL.map(|transport| Server::start(&place, transport));
    let [plain, encrypted] = servers.each_ref().map(|server| &server.address);
    let trained = |flags: &str, folder: &str| {
        call(&place, &format!("{TINY} {flags} --run-dir {folder}")).succeeds();
        state(&place.path(folder)).tensors
    };
    for (i, flags) in ["", "--unlock --update-probability 0.5"].iter().enumerate() {
        let local = trained(flags, &format!("local{i}"));
        for (j, places) in [
            format!("ndarray,{plain}"),
            format!("{plain},ndarray"),
            format!("{plain},{plain}"),
            format!("ndarray,{encrypted}"),
            format!("{encrypted},{encrypted}"),
            format!("{encrypted},{plain}"),
        ]
        .iter()
        .enumerate()
        {
            let folder = format!("remote{i}-{j}");
            let remote = trained(&format!("{flags} --place {places}"), &folder);
            assert!(remote == local, "{flags} --place {places}");
        }
    }
}

/// With a queue for all that is under way, no step waits for the network: a single wait a step, for one
/// way, would take longer than this. Over the plain transport alone: Iroh's connections leave a slow way
/// between two programs of one machine for the direct one.
#[test]
fn a_worker_far_away_keeps_nobody_waiting() {
    const STEPS: u32 = 60;
    const ONE_WAY: Duration = Duration::from_millis(200);
    let place = Place::new();
    let server = Server::start(&place, Transport::Plain);
    let far = server.listen().parse().expect("it is an address");
    let link = Link::new(ONE_WAY).expect("it is no long delay");
    let far = format!("ws://{}", slow_link(link, far));
    for places in [format!("ndarray,{far}"), format!("{far},ndarray")] {
        let longer = TINY
            .replace("--steps 12", &format!("--steps {STEPS}"))
            .replace("--eval-every 6", &format!("--eval-every {STEPS}"));
        let flags = format!("--place {places} --queue 100 --format json");
        let report = call(&place, &format!("{longer} {flags}")).json();
        let seconds = report["results"][0]["seconds"].as_f64();
        let seconds = seconds.expect("a run says how long it took");
        let locked = (STEPS * ONE_WAY).as_secs_f64();
        assert!(seconds < locked, "--place {places}: {seconds:.1} s");
        assert!(
            seconds > ONE_WAY.as_secs_f64(),
            "there is no link: {seconds:.1} s"
        );
    }
}

#[test]
fn who_computes_where_is_told() {
    let place = Place::new();
    let server = Server::start(&place, Transport::Plain);
    let flags = format!("--place ndarray,{}", server.address);
    let done = call(&place, &format!("{TINY} {flags}")).succeeds();
    let words = format!("hidden3 to output on {}", server.address);
    assert!(done.stderr.contains(&words), "no {words:?} in {done}");
}

/// A server that does not take the run ends it before it has begun, and says why.
#[test]
fn a_server_that_is_not_there_or_refuses_is_told_with_the_cure() {
    let place = Place::new();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        listener.local_addr().expect("it has an address")
    };
    fs::write(place.path("wrong"), "another token\n").expect("it can be written");
    for transport in Transport::ALL {
        let server = Server::start(&place, transport);
        let elsewhere = server.address.replace(server.listen(), &nobody.to_string());
        for (address, flags, words) in [
            (&server.address, "--token-file wrong", "refuses the token"),
            (&server.address, "", "--token-file or DNI_TOKEN"),
            (&elsewhere, "--token-file wrong", "dni serve"),
        ] {
            let start = Instant::now();
            place
                .run(&format!("{TINY} --place ndarray,{address} {flags}"))
                .fails(1, &["worker 2", address, words]);
            assert!(start.elapsed() < SOON, "{transport:?} {flags}");
        }
    }
}

/// Who has the port but not the key of the address is not talked to.
#[test]
fn a_server_with_another_key_is_an_impostor() {
    let place = Place::new();
    let server = Server::start(&place, Transport::Encrypted);
    let other = Place::new();
    let other = Server::start(&other, Transport::Encrypted);
    let (key, _) = other.address.split_once('@').expect("it has a key");
    let address = format!("{key}@{}", server.listen());
    let start = Instant::now();
    call(&place, &format!("{TINY} --place ndarray,{address}")).fails(1, &["worker 2", &address]);
    assert!(start.elapsed() < SOON);
}

/// A server that says nothing is not waited for.
#[test]
fn a_silent_listener_is_no_server() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = format!("ws://{}", listener.local_addr().expect("it has an address"));
    let start = Instant::now();
    call(&place, &format!("{TINY} --place {address},ndarray"))
        .fails(1, &["worker 1", &address, "no sign of life"]);
    assert!(start.elapsed() < SOON);
}

/// A server that freezes or dies ends the run soon, with nothing lost; once it is back the run goes
/// on and ends as if nothing had happened.
#[test]
fn a_server_that_freezes_or_dies_ends_the_run_which_goes_on_later() {
    let undisturbed = Place::new();
    call(&undisturbed, LONG).succeeds();
    let ends = Transport::ALL.map(|transport| [(transport, "STOP"), (transport, "KILL")]);
    for (transport, signal) in ends.into_iter().flatten() {
        let place = Place::new();
        let server = Server::start(&place, transport);
        let (address, listen) = (server.address.clone(), server.listen().to_string());
        let mut run = place
            .command(&format!("{LONG} --place ndarray,{address}"))
            .env("DNI_TOKEN", TOKEN)
            .spawn()
            .expect("the program can be started");
        let folder = place.path("run");
        wait_until(&mut run, || has_progress(&folder));
        server.signal(signal);
        let start = Instant::now();
        let output = run.wait_with_output().expect("a child can be waited for");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(start.elapsed() < SOON, "{signal}: {stderr}");
        assert_eq!(output.status.code(), Some(1), "{signal}: {stderr}");
        assert!(!stderr.contains("panicked"), "{signal}: {stderr}");
        for words in ["worker 2", &address, "--resume /"] {
            assert!(stderr.contains(words), "{signal}: no {words:?} in {stderr}");
        }
        assert!(saved_step(&folder).is_some(), "{signal}: nothing is left");

        drop(server);
        let _back = Server::start_at(&place, transport, &listen);
        call(&place, "images --resume run").succeeds();
        assert_same_run(&folder, &undisturbed.path("run"));
    }
}

/// It has recorded something. The run may be amid a line.
fn has_progress(folder: &Path) -> bool {
    let events = fs::read_to_string(folder.join("events.jsonl"));
    events.is_ok_and(|events| events.contains(r#""event":"progress""#))
}

/// Who may compute is said, or nobody may.
#[test]
fn nobody_is_served_by_accident() {
    let place = Place::new();
    fs::write(place.path("empty"), "\n").expect("it can be written");
    for (flags, words) in [
        ("", ["--token-file", "--insecure"]),
        (
            "--insecure --listen 0.0.0.0:0",
            ["this machine alone", "127.0.0.1"],
        ),
    ] {
        place.run(&format!("serve {flags}")).fails(2, &words);
    }
    place
        .run("serve --token-file empty")
        .fails(1, &["'empty'", "the token is empty"]);
    place
        .run("serve --token-file nowhere")
        .fails(1, &["cannot read", "'nowhere'"]);
    let both = Done::of(place.command("serve --insecure").env("DNI_TOKEN", TOKEN));
    both.fails(2, &["--insecure", "token"]);
}

/// A server stops when it is asked to.
#[test]
fn a_server_ends_by_a_signal() {
    let place = Place::new();
    let ends = Transport::ALL.map(|transport| [(transport, "INT"), (transport, "TERM")]);
    for (transport, signal) in ends.into_iter().flatten() {
        // A server that a shell starts in the background is to outlive Ctrl-C.
        if is_ignored(signal) {
            continue;
        }
        let mut server = Server::start(&place, transport);
        // It listens to signals as soon as it serves.
        let address = &server.address;
        call(&place, &format!("{TINY} --place ndarray,{address}")).succeeds();
        server.signal(signal);
        let status = server.child.wait().expect("a child can be waited for");
        assert_eq!(status.code(), Some(0), "{transport:?} {signal}");
    }
}
