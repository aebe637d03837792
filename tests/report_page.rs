//! Pages of runs in a browser: the answer, charts under a pointer and a finger, dark, on paper, live.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::program::*;
use common::report::*;
use serde_json::Value;

const DESK: [&str; 2] = [
    "--window-size=1280,6000",
    "--blink-settings=preferredColorScheme=1",
];
const PHONE: [&str; 2] = [
    "--window-size=390,6000",
    "--blink-settings=preferredColorScheme=0",
];

/// A browser of the Chromium family, if there is one.
fn browser() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped, as there is no chromium");
    }
    found
}

/// A call of a browser that shows nothing on a screen.
fn headless(browser: &Path, place: &Place) -> Command {
    let profile = place.path("profile");
    let mut command = Command::new(browser);
    command
        .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=5000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .stdin(Stdio::null());
    command
}

/// The page at an address as a browser has it once its scripts have run.
fn dumped(browser: &Path, place: &Place, address: &str, options: &[&str]) -> String {
    let mut command = headless(browser, place);
    let output = command
        .arg("--dump-dom")
        .args(options)
        .arg(address)
        .output();
    let output = output.expect("a browser can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<_> = stderr
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    String::from_utf8(output.stdout).expect("a page is UTF-8")
}

fn shown(browser: &Path, place: &Place, page: &str, options: &[&str]) -> String {
    let address = format!("file://{}", place.path(page).display());
    dumped(browser, place, &address, options)
}

/// What a script sees that uses a page; `tools` below are at its hand.
fn used(browser: &Path, place: &Place, page: &str, options: &[&str], script: &str) -> Value {
    const TOOLS: &str = r#"
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const texts = (selector, root) => all(selector, root).map((one) => one.textContent);
const charts = () => all("figure").filter(({ view }) => view instanceof Chart);
const drawing = (figure) => figure.querySelector("svg");
const send = (target, type, x, y, more = {}) => {
  const box = target.getBoundingClientRect();
  const place = { clientX: box.left + x * box.width, clientY: box.top + y, pointerId: 1, bubbles: true };
  const Kind = type.startsWith("pointer") ? PointerEvent : type === "wheel" ? WheelEvent : MouseEvent;
  target.dispatchEvent(new Kind(type, { ...place, cancelable: true, ...more }));
};
// Charts are drawn a few at a time.
const range = async (figure) => {
  await drawn();
  return [figure.view.x.low, figure.view.x.high];
};
const curves = async (figure) => {
  await drawn();
  return all("polyline", figure).length;
};
const drawn = async () => {
  while (waiting.size) await new Promise((done) => setTimeout(done, 10));
};
"#;
    let html = read(place.path(page));
    let script = format!(
        "<script>
const whenDrawn = setInterval(() => {{
  if (!document.querySelector('figure polyline')) return;
  clearInterval(whenDrawn);
  const run = async () => {{ {TOOLS} {script} }};
  run().catch(String).then((seen) => document.body.append(
    Object.assign(document.createElement('output'), {{ textContent: JSON.stringify(seen) }})));
}}, 50);</script></body>"
    );
    let used = html.replace("</body>", &script);
    fs::write(place.path("used.html"), used).expect("a file can be written");
    let page = shown(browser, place, "used.html", options);
    let (_, seen) = page.split_once("<output>").expect("it was used");
    let (seen, _) = seen.split_once("</output>").expect("it is whole");
    let seen = seen
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&");
    serde_json::from_str(&seen).expect("it is JSON")
}

/// A page of runs that have learned something, in a place of its own.
fn page_of_runs() -> Place {
    let place = Place::new();
    let call = RUNS.replace("--steps 40", "--steps 400 --lr 0.02");
    place.run(&call).succeeds();
    place.run("report runs").succeeds();
    place
}

#[test]
fn it_begins_with_the_answer() {
    let Some(browser) = browser() else { return };
    let place = page_of_runs();
    let seen = used(
        &browser,
        &place,
        "runs/report.html",
        &DESK,
        r##"return {
            title: document.title,
            heading: document.querySelector("h1").textContent,
            lead: document.querySelector("#lead").textContent,
            first: document.querySelector("section").id,
            words: texts(".words p"),
            pictures: all(".picture").map((picture) => ({
                name: picture.querySelector(".name").textContent,
                sections: texts("text.strong, text.light", picture),
                closed: all(".closed", picture).length,
                open: all(".open", picture).length,
                interfaces: all("rect.interface", picture).map((one) => one.style.fill),
            })),
        };"##,
    );
    assert_eq!(seen["title"], "adder: backprop, cdni and dni");
    assert_eq!(seen["heading"], seen["title"]);
    let lead = seen["lead"].as_str().expect("a text");
    assert!(lead.contains(" UTC, 6 runs of 3 kinds"), "{lead}");
    assert_eq!(seen["first"], "answer");
    let words: Vec<&str> = list(&seen, "words")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!((3..=5).contains(&words.len()), "{words:?}");
    let said = words.join("\n");
    for word in [
        "learned",
        "backprop came to",
        "unseen error",
        "it took",
        "times (2 interfaces)",
        "weakest",
    ] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    for nonsense in ["NaN", "undefined", "Infinity", "null"] {
        assert!(!said.contains(nonsense), "{nonsense} in {said}");
    }
    let pictures = list(&seen, "pictures");
    // Backprop waits twice, in both directions; synthetic gradients take the update locks away.
    let locks = pictures.iter().map(|p| [&p["closed"], &p["open"]]);
    assert_eq!(locks.collect::<Vec<_>>(), [[4, 0], [2, 2], [2, 2]]);
    assert_eq!(list(&pictures[0], "interfaces").len(), 0);
    for fill in list(&pictures[1], "interfaces") {
        assert!(
            fill.as_str().is_some_and(|fill| fill.starts_with("rgba")),
            "{fill}"
        );
    }
    let sections = list(&pictures[1], "sections");
    for section in ["hidden1", "hidden2", "output"] {
        assert!(sections.contains(&section.into()), "{sections:?}");
    }
}

/// Workers are brackets beside their sections; what trains on synthetic inputs has no locks.
#[test]
fn pictures_show_workers_and_locks_that_are_gone() {
    let Some(browser) = browser() else { return };
    let place = Place::new();
    let images = "images --steps 60 --depth 4 --units 8 --batch-size 8 --examples 64 --test-examples \
                  32 --method cdni -q";
    place
        .run(&format!("{images} --workers 2 --run-dir workers"))
        .succeeds();
    place
        .run(&format!("{images} --unlock --run-dir unlocked"))
        .succeeds();
    place
        .run("report workers unlocked -o report.html")
        .succeeds();
    let seen = used(
        &browser,
        &place,
        "report.html",
        &DESK,
        r#"return all(".picture").map((picture) => ({
            workers: texts("text[transform]", picture),
            closed: all(".closed", picture).length,
            open: all(".open", picture).length,
        }));"#,
    );
    assert_eq!(
        seen[0],
        serde_json::json!({"workers": ["w1", "w2"], "closed": 1, "open": 1})
    );
    assert_eq!(
        seen[1],
        serde_json::json!({"workers": [], "closed": 0, "open": 6})
    );
    let page = shown(&browser, &place, "report.html", &DESK);
    let (_, workers) = page.split_once("Who did what when").expect("a timeline");
    let (timeline, _) = workers.split_once("</figure>").expect("it is whole");
    for word in ["worker 1<", "worker 2<", "milliseconds", "waits"] {
        assert!(timeline.contains(word), "no {word:?} in {timeline}");
    }
    assert_eq!(timeline.matches("<path").count(), 3);
    assert!(!timeline.contains("NaN"), "{timeline}");
}

#[test]
fn a_chart_holds_all_layers_on_an_axis_that_ends_where_values_can() {
    let Some(browser) = browser() else { return };
    let place = page_of_runs();
    for options in [DESK, PHONE] {
        let page = shown(&browser, &place, "runs/report.html", &options);
        let (_, body) = page.split_once("<main").expect("there is a page");
        let (body, _) = body.split_once("</main>").expect("it is whole");
        assert_eq!(body.matches("NaN").count(), 0);
    }
    let seen = used(
        &browser,
        &place,
        "runs/report.html",
        &DESK,
        r#"
        const cosine = charts().find(({ view }) => view.figureOf.name === "cosine");
        const before = charts().length;
        const lines = all("polyline", cosine).length;
        const axis = [cosine.view.y.low, cosine.view.y.high];
        const choice = cosine.querySelector("select");
        choice.value = "each";
        choice.dispatchEvent(new Event("change"));
        await drawn();
        const multiples = charts().length - before;
        choice.value = "1";
        choice.dispatchEvent(new Event("change"));
        const svg = all("figure").filter(({ clientWidth }) => clientWidth).map((figure) => figure.view.svg());
        const parsed = svg.map((text) => new DOMParser().parseFromString(text, "image/svg+xml"));
        return {
            before, lines, axis, multiples, ofOne: await curves(cosine),
            areWhole: parsed.every((page) => !page.querySelector("parsererror")),
            csv: charts()[0].view.csv(),
        };"#,
    );
    // Loss and error; four figures of interfaces, of which two methods have two.
    assert_eq!((&seen["before"], &seen["lines"]), (&6.into(), &4.into()));
    assert_eq!(seen["axis"], serde_json::json!([-1, 1]));
    assert_eq!((&seen["multiples"], &seen["ofOne"]), (&2.into(), &2.into()));
    assert_eq!(seen["areWhole"], true);
    let csv = seen["csv"].as_str().expect("a text");
    assert!(csv.starts_with("runs,step,seconds,mean,least,most\n\"backprop\","));
}

#[test]
fn a_pointer_zooms_pans_and_leaves_out() {
    let Some(browser) = browser() else { return };
    let place = page_of_runs();
    let seen = used(
        &browser,
        &place,
        "runs/report.html",
        &DESK,
        r##"
        const [loss, error] = charts();
        const target = drawing(loss);
        const whole = await range(loss);
        send(target, "pointermove", 0.5, 60);
        const values = loss.querySelector(".values").innerText;
        const linked = drawing(error).querySelector(".cursor").getAttribute("visibility");
        send(target, "pointerdown", 0.4, 60);
        send(target, "pointermove", 0.6, 60);
        send(target, "pointerup", 0.6, 60);
        const zoomed = [await range(loss), await range(error)];
        const button = document.getElementById("whole").hidden;
        send(target, "pointerdown", 0.5, 60, { shiftKey: true });
        send(target, "pointermove", 0.3, 60, { shiftKey: true });
        send(target, "pointerup", 0.3, 60, { shiftKey: true });
        const panned = await range(loss);
        send(target, "wheel", 0.5, 60, { ctrlKey: true, deltaY: -200 });
        const closer = await range(loss);
        send(target, "dblclick", 0.5, 60);
        const again = await range(loss);
        const legend = all("#legend button");
        legend[0].click();
        const without = await curves(loss);
        legend[0].click();
        legend[1].dispatchEvent(new MouseEvent("dblclick"));
        const alone = await curves(loss);
        legend[1].dispatchEvent(new MouseEvent("dblclick"));
        const smooth = document.querySelector("#across input");
        smooth.value = 0.9;
        smooth.dispatchEvent(new Event("input"));
        const smoothed = await curves(loss);
        smooth.value = 0;
        smooth.dispatchEvent(new Event("input"));
        document.querySelector("[data-across=seconds]").click();
        await drawn();
        const unit = texts("text", loss).at(-1);
        all("#across button").find((one) => one.textContent === "log").click();
        await drawn();
        const logarithmic = loss.view.x.logarithmic;
        return { whole, values, linked, zoomed, button, panned, closer, again, without, alone, smoothed, unit, logarithmic };"##,
    );
    let pair = |value: &Value| [0, 1].map(|i| value[i].as_f64().expect("a number"));
    let width = |value: &Value| pair(value)[1] - pair(value)[0];
    let values = seen["values"].as_str().expect("a text");
    for word in ["step ", "backprop", "cdni", " to "] {
        assert!(values.contains(word), "no {word} in {values}");
    }
    assert_eq!(seen["linked"], "visible", "the cursor is in all charts");
    assert_eq!(pair(&seen["whole"]), [0.0, 400.0]);
    assert!(width(&seen["zoomed"][0]) < 100.0, "{seen}");
    assert_eq!(
        seen["zoomed"][0], seen["zoomed"][1],
        "all charts show the same part"
    );
    assert_eq!(seen["button"], false, "the way back is shown");
    assert!(
        pair(&seen["panned"])[0] > pair(&seen["zoomed"][0])[0],
        "{seen}"
    );
    assert!(
        (width(&seen["panned"]) - width(&seen["zoomed"][0])).abs() < 1.0,
        "{seen}"
    );
    assert!(
        width(&seen["closer"]) < 0.7 * width(&seen["panned"]),
        "{seen}"
    );
    assert_eq!(seen["again"], seen["whole"]);
    assert_eq!((&seen["without"], &seen["alone"]), (&2.into(), &1.into()));
    assert_eq!(seen["smoothed"], 6, "each curve, and what it was");
    assert_eq!(seen["unit"], "seconds");
    assert_eq!(seen["logarithmic"], true);
}

#[test]
fn a_table_is_sorted_and_everything_follows() {
    let Some(browser) = browser() else { return };
    let place = page_of_runs();
    let seen = used(
        &browser,
        &place,
        "runs/report.html",
        &DESK,
        r##"
        const column = () => texts("#runs td:first-child");
        const titles = texts("#runs th");
        const before = column();
        const sort = all("#runs th button")[titles.indexOf("steps/s")];
        sort.click();
        const up = column();
        sort.click();
        const down = column();
        return { before, up, down, legend: texts("#legend button"), pictures: texts(".picture .name") };"##,
    );
    let reversed: Vec<&Value> = list(&seen, "up").iter().rev().collect();
    assert_eq!(list(&seen, "down").iter().collect::<Vec<_>>(), reversed);
    assert_eq!(
        seen["before"],
        serde_json::json!(["backprop", "cdni", "dni"])
    );
    assert_eq!(seen["legend"], seen["down"]);
    assert_eq!(seen["pictures"], seen["down"]);
}

#[test]
fn a_phone_has_room_and_a_tap_shows_values() {
    let Some(browser) = browser() else { return };
    let place = page_of_runs();
    let seen = used(
        &browser,
        &place,
        "runs/report.html",
        &PHONE,
        r##"
        const [loss] = charts();
        const touch = { pointerType: "touch" };
        const target = drawing(loss);
        send(target, "pointerdown", 0.5, 60, touch);
        send(target, "pointerup", 0.5, 60, touch);
        send(target, "pointerleave", 0.5, 60, touch);
        const values = loss.querySelector(".values");
        const tapped = values.hidden ? "" : values.innerText;
        send(target, "pointerdown", 0.4, 60, touch);
        send(target, "pointerdown", 0.5, 60, { ...touch, pointerId: 2 });
        send(target, "pointermove", 0.8, 60, { ...touch, pointerId: 2 });
        const pinched = await range(loss);
        const cells = all("#runs tbody td");
        return {
            tapped, pinched,
            wide: document.documentElement.scrollWidth - innerWidth,
            controls: document.querySelector("nav").offsetHeight,
            cards: cells.every((cell) => getComputedStyle(cell).display === "flex"),
            titled: cells.filter((cell) => cell.dataset.title === "training loss").length,
            paper: getComputedStyle(document.body).backgroundColor,
        };"##,
    );
    let tapped = seen["tapped"].as_str().expect("a text");
    assert!(
        tapped.contains("step ") && tapped.contains("backprop"),
        "{seen}"
    );
    let pinched = [0, 1].map(|i| seen["pinched"][i].as_f64().expect("a number"));
    assert!(pinched[1] - pinched[0] < 150.0, "{seen}");
    assert!(seen["wide"].as_f64() <= Some(0.0), "{seen}");
    // The height of a phone's window.
    assert!(seen["controls"].as_f64() < Some(844.0 / 6.0), "{seen}");
    assert_eq!((&seen["cards"], &seen["titled"]), (&true.into(), &3.into()));
    assert_eq!(
        seen["paper"], "rgb(20, 22, 27)",
        "it is dark where its reader has it so"
    );
}

#[test]
fn it_can_be_printed() {
    let Some(browser) = browser() else { return };
    let place = page_of_runs();
    let seen = used(
        &browser,
        &place,
        "runs/report.html",
        &["--window-size=1280,400", DESK[1]],
        r##"
        dispatchEvent(new Event("beforeprint"));
        return all("figure").every((figure) => drawing(figure).children.length > 3);"##,
    );
    assert_eq!(seen, true, "everything is drawn, in sight or not");
    let pdf = place.path("page.pdf");
    let mut command = headless(&browser, &place);
    command
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg(format!(
            "file://{}",
            place.path("runs/report.html").display()
        ));
    let output = command.output().expect("a browser can be started");
    assert!(output.status.success(), "{output:?}");
    let printed = fs::read(&pdf).expect("it was printed");
    assert!(printed.starts_with(b"%PDF") && printed.len() > 20_000);
}

/// What bits a text takes, and what the network writes, where the folder says it.
#[test]
fn texts_show_samples_and_what_they_take() {
    let Some(browser) = browser() else { return };
    let place = Place::new();
    let text = "text --budget 20 --characters 4000 --units 8 --batch-size 8 --method bptt,dni -q \
                --run-dir runs";
    place.run(text).succeeds();
    for (method, bits) in [("bptt", 2.5), ("dni", 2.25)] {
        let results = format!(
            r#"{{"results":[{{"bits_per_character":{{"test":{bits}}},"optimum":1.5,"sample":"words by {method}"}}]}}"#
        );
        let path = place.path(&format!("runs/{method}-seed1/results.json"));
        fs::write(path, results).expect("a file can be written");
    }
    place.run("report runs").succeeds();
    let seen = used(
        &browser,
        &place,
        "runs/report.html",
        &DESK,
        r#"return { words: texts(".words p").join(" "), samples: texts(".sample") };"#,
    );
    let words = seen["words"].as_str().expect("a text");
    for word in ["test text", "2.500", "2.250", "1.500"] {
        assert!(words.contains(word), "no {word} in {words}");
    }
    let samples = serde_json::json!(["words by bptt", "words by dni"]);
    assert_eq!(seen["samples"], samples);
}

/// As many curves as a page holds: more records would be no more points on it.
#[test]
fn a_page_of_fifty_runs_answers_at_once() {
    const LONGEST: f64 = 50.0;
    let Some(browser) = browser() else { return };
    let place = Place::new();
    for run in 0..50 {
        let method = format!("method{run}");
        write_run(&place.path(&format!("runs/{method}")), &method, run, 2_000);
    }
    place.run("report runs").succeeds();
    // Before the page is loaded, and so in the time of the wall. Of several tries the quickest says how
    // long it takes by itself.
    let script = r##"<script>
const times = {};
function time(name, use) {
  const start = performance.now();
  use();
  document.body.offsetHeight;
  times[name] = Math.min(times[name] ?? Infinity, performance.now() - start);
}
for (let tries = 0; tries < 5; tries += 1) {
  const [view] = [...views].filter((view) => view.figureOf?.name === "cosine");
  view.redraw();
  time("point", () => view.point(200, 60));
  time("leave out", () => document.querySelector("#legend button").click());
  time("zoom", () => setRange(view.task, [5000, 15000]));
  time("whole", () => setRange(view.task));
  time("smooth", () => {
    shown.smoothing = 0.5 + 0.1 * tries;
    redraw();
  });
  time("one view", () => view.redraw());
}
const output = document.createElement("output");
output.textContent = JSON.stringify(times);
document.body.append(output);
</script></body>"##;
    let page = read(place.path("runs/report.html")).replace("</body>", script);
    fs::write(place.path("used.html"), page).expect("a file can be written");
    let mut command = Command::new(&browser);
    let output = command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
        ])
        .arg(DESK[0])
        .arg(format!(
            "--user-data-dir={}",
            place.path("profile").display()
        ))
        .arg(format!("file://{}", place.path("used.html").display()))
        .stdin(Stdio::null())
        .output();
    let page = String::from_utf8(output.expect("a browser can be started").stdout);
    let page = page.expect("a page is UTF-8");
    let (_, times) = page.split_once("<output>").expect("it was used");
    let (times, _) = times.split_once("</output>").expect("it is whole");
    eprintln!("milliseconds: {times}");
    let times: Value = serde_json::from_str(times).expect("it is JSON");
    for name in ["point", "leave out", "zoom", "whole", "smooth", "one view"] {
        let took = times[name].as_f64().expect("a number");
        assert!(took < LONGEST, "{name} takes {took} ms");
    }
}

/// A program that serves, which ends with its test.
struct Served {
    child: Child,
    host: String,
    /// The token between slashes.
    path: String,
}

impl Served {
    fn start(place: &Place, call: &str) -> Self {
        let mut child = place.start(call);
        let stdout = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("it says where it is");
        let address = line.trim().strip_prefix("report: http://");
        let (host, path) = address.and_then(|a| a.split_once('/')).expect("an address");
        let (host, path) = (host.to_string(), format!("/{path}"));
        Self { child, host, path }
    }

    fn address(&self) -> String {
        format!("http://{}{}", self.host, self.path)
    }

    /// What it answers: the status, the head and the body.
    fn get(&self, path: &str, head: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.host).expect("it listens");
        let host = if head.contains("Host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.host)
        };
        write!(stream, "GET {path} HTTP/1.1\r\n{host}{head}\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (
            status.expect("a status"),
            head.to_string(),
            body.to_string(),
        )
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_live_page_follows_its_runs() {
    let place = place_with_runs();
    let served = Served::start(&place, "report runs --live");
    assert!(served.host.starts_with("127.0.0.1:"), "{}", served.host);
    assert!(
        served.path.len() > 32,
        "a token is in the address: {}",
        served.path
    );
    let data = format!("{}data", served.path);
    let (status, head, body) = served.get(&data, "");
    assert_eq!(status, 200);
    let first: Value = serde_json::from_str(&body).expect("data are JSON");
    assert_eq!(list(&first, "groups").len(), 3);
    let version = head.lines().find_map(|line| line.strip_prefix("ETag: "));
    let known = format!("If-None-Match: {}\r\n", version.expect("a version"));
    assert_eq!(served.get(&data, &known).0, 304, "nothing has changed");

    let log = place.path("runs/dni-seed1/events.jsonl");
    let more = r#"{"event":"evaluated","step":40,"figures":{"new_figure":3}}"#;
    fs::write(&log, read(&log) + more + "\n").expect("a file can be written");
    let (status, _, body) = served.get(&data, &known);
    assert_eq!(status, 200, "it has gone on");
    let second: Value = serde_json::from_str(&body).expect("data are JSON");
    let has_new = |data: &Value| {
        list(data, "charts")
            .iter()
            .any(|c| c["name"] == "new_figure")
    };
    assert_eq!([has_new(&first), has_new(&second)], [false, true]);

    // Who does not know the address, and pages of others that lead here by their own name.
    assert_eq!(served.get("/", "").0, 404);
    assert_eq!(served.get("/data", "").0, 404);
    assert_eq!(served.get(&data, "Host: evil.example\r\n").0, 403);

    let Some(browser) = browser() else { return };
    let page = dumped(&browser, &place, &served.address(), &DESK);
    for word in [
        "adder: backprop, cdni and dni",
        "new figure",
        "<polyline",
        ">live</p>",
    ] {
        assert!(page.contains(word), "no {word} in {page}");
    }
}

#[test]
fn a_live_page_may_come_before_its_runs() {
    let place = Place::new();
    place.run("report nowhere --live").fails(1, &["nowhere"]);
    place
        .run("report . --live -o page.html")
        .fails(2, &["--output"]);
    fs::create_dir(place.path("runs")).expect("a folder can be made");
    let served = Served::start(&place, "report runs --live");
    let data = format!("{}data", served.path);
    let (status, _, body) = served.get(&data, "");
    assert!(status == 503 && body.contains("no run"), "{status} {body}");
    write_run(&place.path("runs/one"), "dni", 1, 100);
    assert_eq!(served.get(&data, "").0, 200);
}

/// The browser of the desktop is given the page.
#[cfg(unix)]
#[test]
fn a_page_is_opened_in_the_browser() {
    use std::os::unix::fs::PermissionsExt;

    let place = place_with_runs();
    let opener = place.path("xdg-open");
    let with_opener = |script: &str| {
        fs::write(&opener, format!("#!/bin/sh\n{script}\n")).expect("a file can be written");
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let mut command = place.command("report runs --open");
        Done::of(command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", place.path("").display()),
        ))
    };
    with_opener("echo \"$1\" > opened").succeeds();
    let opened = read(place.path("opened"));
    assert!(Path::new(opened.trim()).is_absolute(), "{opened}");
    assert!(opened.trim().ends_with("runs/report.html"), "{opened}");
    with_opener("exit 3").fails_in_part(&["browser", "report.html"]);
}
