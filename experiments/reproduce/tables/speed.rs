//! Training steps on the CPU backends, by `dni bench`.

use super::*;

pub fn speed(scope: Scope) -> Study {
    const BACKENDS: [&str; 2] = ["flex", "ndarray"];
    const METHODS: [&str; 3] = ["backprop", "dni", "cdni"];
    let [flex, ndarray] = [0, 1];
    let [backprop, cdni] = [0, 2];
    let (measurements, repetitions) = scope.choose((2, 3), (5, 10), (5, 10));
    let flags = format!(
        "--backends {} --methods {} --batch-size 64",
        BACKENDS.join(","),
        METHODS.join(",")
    );
    let calls = (1..=measurements).map(|number| Call {
        name: format!("measurement{number}"),
        command: "bench",
        flags: flags.clone(),
        work: Work::Timing {
            repetitions,
            cases: BACKENDS.len() * METHODS.len(),
        },
    });
    let rows = BACKENDS.map(|backend| Row {
        name: backend.to_string(),
        digits: 1,
        cells: METHODS
            .map(|method| Cell {
                figure: Some(Figure {
                    calls: 0..measurements,
                    of: vec![["backend", backend], ["method", method]],
                    pointer: "/timing/median_us",
                    times: 1.0,
                    race: None,
                }),
                reference: "",
            })
            .to_vec(),
    });
    let all = 0..METHODS.len();
    Study {
        calls: calls.collect(),
        corner: "backend",
        columns: METHODS.map(|method| Column::new(method, None)).to_vec(),
        rows: rows.to_vec(),
        spread: Spread::Deviation,
        sample: "measurement",
        claims: vec![
            Claim::new(
                "A step of cDNI takes at most 2.5 times one of backprop on flex",
                [Comparison::at_most(
                    (flex, cdni),
                    times((flex, backprop), 2.5),
                )],
            ),
            Claim::new(
                "Every step is faster on flex than on ndarray",
                all.map(|method| {
                    Comparison::at_most((flex, method), times((ndarray, method), 1.0))
                }),
            ),
        ],
        notes: vec![
            "Figures are microseconds a step of 16-64-32-8, batch 64, medians of a measurement; \
             the paper has none.",
        ],
    }
}
