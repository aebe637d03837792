//! Runs to look at, and what a page of them holds.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::program::Place;

/// Runs that take a moment.
pub const RUNS: &str = "adder --steps 40 --layers 8,8 --batch-size 16 --examples 48 --bits 4 \
                        --method backprop,dni,cdni --seeds 2 --quiet --run-dir runs";

/// A place in which some runs have been made.
pub fn place_with_runs() -> Place {
    let place = Place::new();
    place.run(RUNS).succeeds();
    place
}

/// What the script of a page reads.
pub fn data_of(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("a page has data");
    let (data, _) = rest.split_once("</script>").expect("which end");
    serde_json::from_str(data).expect("and are JSON")
}

pub fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("no list {name}"))
}

/// Writes what a run of so many records would leave, with three interfaces.
pub fn write_run(folder: &Path, method: &str, seed: usize, records: usize) {
    fs::create_dir_all(folder).expect("a folder can be made");
    let settings = format!("[run]\nmethods = [\"{method}\"]\nseed = {seed}\n");
    let mut scalars = String::from("step,seconds,loss");
    for interface in 1..=3 {
        let _ = write!(scalars, ",synthesizer_loss_hidden{interface}");
    }
    scalars.push('\n');
    let mut events = String::new();
    for record in 1..=records {
        let step = 10 * record;
        let noise = (record * (seed + 7) % 97) as f64 / 97.0;
        let loss = 1.0 / (1.0 + record as f64) + 0.1 * noise;
        let seconds = 0.001234567 * step as f64;
        let _ = writeln!(
            scalars,
            "{step},{seconds},{loss},{},{},{}",
            loss / 3.0,
            loss / 7.0,
            noise
        );
        let _ = writeln!(
            events,
            r#"{{"event":"progress","step":{step},"seconds":{seconds},"loss":{loss},"synthesizer_losses":[{},{},{noise}],"input_losses":[null,null,null],"auxiliary_losses":[null,null,null]}}"#,
            loss / 3.0,
            loss / 7.0,
        );
        if record.is_multiple_of(records / 100) {
            let quality = |i: usize| {
                format!(
                    r#"{{"name":"hidden{i}","cosine":{noise},"relative_error":{loss},"norm":{loss},"absolute_error":1}}"#
                )
            };
            let [a, b, c] = [1, 2, 3].map(quality);
            let _ = writeln!(
                events,
                r#"{{"event":"compared","step":{step},"interfaces":[{a},{b},{c}]}}"#
            );
        }
    }
    for (name, text) in [
        ("settings.toml", settings),
        ("scalars.csv", scalars),
        ("events.jsonl", events),
    ] {
        fs::write(folder.join(name), text).expect("a file can be written");
    }
}
