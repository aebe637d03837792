//! The two programs of the notebook.

use super::*;

pub fn notebook(scope: Scope) -> Study {
    const LOSS: &str = "/train/notebook_loss";
    /// The top interface's: there are two.
    const SYNTHETIC_LOSS: &str = "/interfaces/1/absolute_error";
    const BACKPROP: usize = 0;
    const DNI: usize = 1;
    const FIGURES: [(&str, usize, &str, &str, usize, &str); 3] = [
        (
            "backprop, 24-128-64-12: Loss",
            BACKPROP,
            "backprop",
            LOSS,
            2,
            "1.96",
        ),
        ("DNI, 16-64-32-8: Loss", DNI, "dni", LOSS, 1, "309.8"),
        (
            "DNI, 16-64-32-8: Synthetic Loss",
            DNI,
            "dni",
            SYNTHETIC_LOSS,
            0,
            "1963.6",
        ),
    ];
    let seeds = scope.choose(2, 5, 5);
    let steps = [
        scope.choose(20_000, 100_000, 100_000),
        scope.choose(10_000, 1_000_000, 1_000_000),
    ];
    let rows = FIGURES.map(|(name, call, method, pointer, digits, printed)| Row {
        name: name.to_string(),
        digits,
        cells: vec![cell(Figure::of_method(call, method, pointer), printed)],
    });
    let within_a_fifth = |row: usize| {
        let printed = number(FIGURES[row].5);
        [
            Comparison::at_least((row, 0), Limit::Number(0.8 * printed)),
            Comparison::at_most((row, 0), Limit::Number(1.2 * printed)),
        ]
    };
    Study {
        calls: vec![
            training(
                "backprop",
                "adder",
                "--preset notebook-backprop",
                &["backprop"],
                (steps[BACKPROP], seeds),
            ),
            training(
                "dni",
                "adder",
                "--preset notebook-dni",
                &["dni"],
                (steps[DNI], seeds),
            ),
        ],
        corner: "program: what it prints",
        columns: vec![Column::new("ours", "the notebook, one seed")],
        rows: rows.to_vec(),
        spread: Spread::Deviation,
        sample: "seed",
        claims: vec![
            Claim::new(
                "Backprop's Loss is at most the notebook's",
                [Comparison::at_most(
                    (0, 0),
                    Limit::Number(number(FIGURES[0].5)),
                )],
            ),
            Claim::new(
                "DNI's Loss is within a fifth of the notebook's",
                within_a_fifth(1),
            ),
            Claim::new("So is its Synthetic Loss", within_a_fifth(2)),
        ],
        notes: Vec::new(),
    }
}
