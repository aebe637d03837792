//! What a step of training makes a graphics adapter do: counts that no machine's noise touches, and
//! that only go down.

mod common;

use common::program::Place;
use serde_json::Value;

/// The most launches of a step of training, its figures and its share of a record included: what was
/// counted, rounded up.
const MOST: [(&str, &str, f64); 10] = [
    ("adder", "backprop", 17.0),
    ("adder", "dni", 60.0),
    ("adder", "cdni", 33.0),
    ("images", "backprop", 45.0),
    ("images", "dni", 137.0),
    ("images", "cdni", 81.0),
    ("lstm", "backprop", 52.0),
    ("lstm", "dni", 79.0),
    ("lstm-tokens", "backprop", 64.0),
    ("lstm-tokens", "dni", 96.0),
];

#[test]
fn steps_launch_no_more_kernels_than_they_did() {
    if common::devices().iter().all(|(name, _)| *name != "wgpu") {
        return;
    }
    let place = Place::new();
    for network in ["adder", "images", "lstm", "lstm-tokens"] {
        let expected = MOST.iter().filter(|(of, ..)| *of == network);
        let methods: Vec<_> = expected.clone().map(|(_, method, _)| *method).collect();
        let report = place.results(&format!(
            "bench --backends wgpu --counts --batch-size 16 --network {network} --methods {}",
            methods.join(",")
        ));
        let rows = report["results"].as_array().expect("a row for each method");
        assert_eq!(rows.len(), methods.len(), "{report}");
        for ((_, method, most), row) in expected.zip(rows) {
            let count = |name: &str| row["counts"][name].as_f64().expect("it is counted");
            let said = format!("{network} by {method}: {}", row["counts"]);
            assert!(count("launches") > 1.0, "{said}");
            assert!(count("launches") <= *most, "{said}");
            assert!(count("read_backs_a_record") <= 1.0, "{said}");
            assert!(sum_of(&row["counts"]["kernels"]) <= *most, "{said}");
        }
    }
}

fn sum_of(counts: &Value) -> f64 {
    let counts = counts.as_object().expect("a count for each kernel");
    counts.values().filter_map(Value::as_f64).sum()
}
