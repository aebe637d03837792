//! The paper's recurrent networks: its sections 3.2 and 3.3.

use super::*;

/// Ways to train a recurrent network, in the order of their columns.
const METHODS: [&str; 3] = ["bptt", "dni", "dni-aux"];
const BPTT: usize = 0;
const DNI: usize = 1;
const AUX: usize = 2;

/// A column for each way to train, beside the paper's.
fn method_columns() -> Vec<Column> {
    METHODS.map(|name| Column::new(name, "paper")).to_vec()
}

/// The figure at `pointer` of each way to train, in the results of one call.
fn method_cells(call: usize, pointer: &'static str, paper: [&'static str; 3]) -> Vec<Cell> {
    let cells = METHODS.into_iter().zip(paper);
    let cells = cells.map(|(method, paper)| cell(Figure::of_method(call, method, pointer), paper));
    cells.collect()
}

/// Copy and Repeat Copy, by the steps of a window.
pub fn recurrent(scope: Scope) -> Study {
    /// The flag of a task, its steps of a window, and the paper's figures.
    const TASKS: [(&str, usize, [&str; 3]); 8] = [
        ("", 2, ["7", "16", "16"]),
        ("", 3, ["8", "14", "17"]),
        ("", 4, ["10", "18", "19"]),
        ("", 5, ["8", "18", "18"]),
        ("--repeat ", 2, ["7", "39", "39"]),
        ("--repeat ", 3, ["5", "33", "59"]),
        ("--repeat ", 4, ["19", "39", "67"]),
        ("--repeat ", 5, ["23", "59", "59"]),
    ];
    let of_paper = "--core lstm --units 256 --batch-size 256 --lr 0.00007 --scale 0.1 \
                    --synthesizer mlp:256";
    let network = scope.choose("--core gru", "--core gru", of_paper);
    let work = scope.choose((1_500, 1), (30_000, 3), (1_000_000, 1));
    let calls = TASKS.iter().map(|(repeat, unroll, _)| {
        let task = if repeat.is_empty() { "copy" } else { "repeat" };
        let flags = format!("{repeat}{network} --unroll {unroll}");
        training(format!("{task}{unroll}"), "copy", flags, &METHODS, work)
    });
    let rows = TASKS
        .iter()
        .enumerate()
        .map(|(i, (repeat, unroll, paper))| {
            let task = if repeat.is_empty() {
                "Copy"
            } else {
                "Repeat Copy"
            };
            Row {
                name: format!("{task}, {unroll}"),
                digits: 1,
                cells: method_cells(i, "/longest", *paper),
            }
        });
    let at_least = |column: usize, factor: f64, than: usize| {
        let compare = move |row| Comparison::at_least((row, column), times((row, than), factor));
        (0..TASKS.len()).map(compare)
    };
    let length = scope.choose(
        "The figures are the longest sequences: symbols of Copy, steps of an episode of Repeat \
         Copy.",
        "The figures are the longest sequences: symbols of Copy, steps of an episode of Repeat \
         Copy; the paper's are of an LSTM of 256 units.",
        "The figures are the longest sequences: symbols of Copy, steps of an episode of Repeat \
         Copy. The paper does not say how long it trained; here it is 1,000,000 windows.",
    );
    Study {
        calls: calls.collect(),
        corner: "task, T",
        columns: method_columns(),
        rows: rows.collect(),
        spread: Spread::Each,
        sample: "seed",
        claims: vec![
            Claim::new(
                "DNI models sequences at least 1.5 times as long as bptt in every row",
                at_least(DNI, 1.5, BPTT),
            ),
            Claim::new(
                "DNI doubles the length in every row",
                at_least(DNI, 2.0, BPTT),
            ),
            Claim::new(
                "The auxiliary task makes no sequence shorter",
                at_least(AUX, 1.0, DNI),
            ),
        ],
        notes: vec![length],
    }
}

/// A character language model.
pub fn text(scope: Scope) -> Study {
    /// Steps of a window, and the paper's figures on Penn Treebank.
    const PAPER: [(usize, [&str; 3]); 5] = [
        (2, ["1.39", "1.37", "1.37"]),
        (3, ["1.38", "1.36", "1.36"]),
        (4, ["1.37", "1.35", "1.35"]),
        (5, ["1.37", "1.35", "1.35"]),
        (8, ["1.35", "1.34", "1.33"]),
    ];
    let windows = scope.choose(&PAPER[4..], &PAPER[4..], &PAPER[..]);
    let ours = "--source shakespeare --units 256 --synthesizer-lr 0.001";
    // An evaluation takes longer than so few steps.
    let rarely = "--source language --units 256 --eval-every 100";
    let of_paper = "--source shakespeare --units 1024 --lr 0.00007 --scale 0.1 --synthesizer \
                    mlp:1024";
    let network = scope.choose(rarely, ours, of_paper);
    let calls = windows.iter().map(|(unroll, _)| {
        // The paper's length counted in characters.
        let steps = scope.choose(100, 8_000, 1_600_000 / unroll);
        let seeds = scope.choose(1, 5, 1);
        let flags = format!("{network} --unroll {unroll}");
        training(
            format!("t{unroll}"),
            "text",
            flags,
            &METHODS,
            (steps, seeds),
        )
    });
    let rows = windows.iter().enumerate().map(|(i, (unroll, paper))| Row {
        name: unroll.to_string(),
        digits: 3,
        cells: method_cells(i, "/bits_per_character/test", *paper),
    });
    let corpus = "The figures are bits per character of the test text, the paper's on Penn \
                  Treebank by an LSTM of 1024 units; ours are of another text, so only their order \
                  can be compared.";
    let rows: Vec<Row> = rows.collect();
    let better = |column, than, by: f64| {
        let compare = move |row| Comparison::at_most((row, column), over((row, than), -by));
        (0..windows.len()).map(compare)
    };
    Study {
        calls: calls.collect(),
        corner: "T",
        columns: method_columns(),
        rows,
        spread: Spread::Deviation,
        sample: "seed",
        claims: vec![
            Claim::new(
                "DNI needs at least 0.01 bits less than bptt",
                better(DNI, BPTT, 0.01),
            ),
            Claim::new(
                "The auxiliary task does not need more",
                better(AUX, DNI, 0.0),
            ),
        ],
        notes: vec![corpus],
    }
}

/// Two networks that tick at different rates.
pub fn clocks(scope: Scope) -> Study {
    const METHODS: [&str; 4] = ["coupled", "decoupled", "conditional", "none"];
    let [coupled, decoupled, conditional, none] = [0, 1, 2, 3];
    let [fast, slow] = [0, 1];
    let of_paper = "--data mnist --period 4 --units 256 --scale 10 --batch-size 256";
    // An evaluation takes longer than so few steps.
    let flags = scope.choose("--period 4 --eval-every 100", "--period 4", of_paper);
    let work = scope.choose((100, 1), (3_000, 3), (50_000, 1));
    let rows = METHODS.map(|method| Row {
        name: method.to_string(),
        digits: 1,
        cells: ["/fast/error", "/slow/error"]
            .map(|error| cell(Figure::of_method(0, method, error).in_percent(), ""))
            .to_vec(),
    });
    let below = |row, column, than, margin: f64| {
        Comparison::at_most((row, column), over((than, column), -margin))
    };
    Study {
        calls: vec![training("clocks", "clocks", flags, &METHODS, work)],
        corner: "method",
        columns: vec![
            Column::new("fast error %", None),
            Column::new("slow error %", None),
        ],
        rows: rows.to_vec(),
        spread: Spread::Deviation,
        sample: "seed",
        claims: vec![
            Claim::new(
                "Conditional (the synthesizer sees the count): both networks are at least as good \
                 as coupled ones after as many steps",
                [
                    below(conditional, fast, coupled, 0.0),
                    below(conditional, slow, coupled, 0.0),
                ],
            ),
            Claim::new(
                "Conditional: the slow network is at least 5 points better than if no gradient comes \
                 back",
                [below(conditional, slow, none, 5.0)],
            ),
            Claim::new(
                "Decoupled (it sees the message alone, as in the paper): both networks are at least \
                 as good as coupled ones",
                [
                    below(decoupled, fast, coupled, 0.0),
                    below(decoupled, slow, coupled, 0.0),
                ],
            ),
            Claim::new(
                "Decoupled: the slow network is at least 5 points better than if no gradient comes back",
                [below(decoupled, slow, none, 5.0)],
            ),
        ],
        notes: vec!["The paper has curves only."],
    }
}
