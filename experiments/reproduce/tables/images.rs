//! The paper's feed-forward networks on MNIST: its sections 3.1 and 3.3 and its supplement.

use super::*;

/// Where an error is in the results of images.
const ERROR: &str = "/test/error";

/// Every layer decoupled, by depth.
pub fn feedforward(scope: Scope) -> Study {
    const DEPTHS: [usize; 4] = [3, 4, 5, 6];
    const METHODS: [&str; 4] = ["backprop", "cdni", "none", "dni"];
    /// The errors of the paper, by depth and method.
    const PAPER: [[&str; 4]; 4] = [
        ["2.0", "2.2", "9.3", "1.9"],
        ["1.8", "1.9", "12.6", "2.2"],
        ["1.8", "1.7", "16.2", "3.4"],
        ["1.8", "1.6", "21.4", "4.3"],
    ];
    let [backprop, cdni, none, blind] = [0, 1, 2, 3];
    let flags = scope.choose("--data mnist", "--data mnist", "--preset paper-mnist-fcn");
    let seeds = scope.choose(1, 3, 1);
    let mut calls: Vec<Call> = DEPTHS
        .into_iter()
        .map(|depth| {
            let flags = format!("{flags} --depth {depth}");
            let work = (scope.choose(300, 25_000, 500_000), seeds);
            let name = format!("depth{depth}");
            training(name, "images", flags, &["backprop", "cdni", "none"], work)
        })
        .collect();
    // Its steps are so slow that not every depth is trained.
    let blind_depths = scope.choose(&[3, 6][..], &[3, 6], &DEPTHS);
    calls.extend(blind_depths.iter().map(|depth| {
        let flags = format!("{flags} --depth {depth} --synthesizer mlp:1024x1024");
        let work = (scope.choose(100, 10_000, 500_000), seeds);
        training(format!("dni-depth{depth}"), "images", flags, &["dni"], work)
    }));
    let rows = DEPTHS.iter().enumerate().map(|(i, depth)| {
        let of_blind = blind_depths.iter().position(|blind| blind == depth);
        let of_blind = of_blind.map(|number| DEPTHS.len() + number);
        let call_of = |method| if method == blind { of_blind } else { Some(i) };
        let cells = METHODS.iter().enumerate().map(|(method, name)| Cell {
            figure: call_of(method).map(|call| Figure::of_method(call, name, ERROR).in_percent()),
            reference: PAPER[i][method],
        });
        Row {
            name: depth.to_string(),
            digits: 2,
            cells: cells.collect(),
        }
    });
    let rows = rows.collect();
    let all = 0..DEPTHS.len();
    let deepest = DEPTHS.len() - 1;
    let paper = |row: usize, method: usize| number(PAPER[row][method]);
    let at_most = |column, most| {
        let comparison = move |row| Comparison::at_most((row, column), Limit::Number(most));
        all.clone().map(comparison)
    };
    Study {
        calls,
        corner: "depth",
        columns: vec![
            Column::new("backprop", "paper"),
            Column::new("cDNI, linear", "paper"),
            Column::new("none", "paper"),
            Column::new("DNI, 1024x1024", "paper"),
        ],
        rows,
        spread: Spread::Deviation,
        sample: "seed",
        claims: vec![
            Claim::new(
                "Backprop is at most 0.2 points worse than the paper's at every depth",
                all.clone().map(|row| {
                    let most = paper(row, backprop) + 0.2;
                    Comparison::at_most((row, backprop), Limit::Number(most))
                }),
            ),
            Claim::new(
                "cDNI is at most at 2.3 % at every depth",
                at_most(cdni, 2.3),
            ),
            Claim::new(
                "cDNI is at most 0.2 points worse than backprop at every depth",
                all.clone()
                    .map(|row| Comparison::at_most((row, cdni), over((row, backprop), 0.2))),
            ),
            Claim::new(
                "cDNI does not degrade with depth: depth 6 is at most 0.2 points worse than depth 3",
                [Comparison::at_most((deepest, cdni), over((0, cdni), 0.2))],
            ),
            Claim::new(
                "\"None\" is within 2 points of the paper's at every depth",
                all.clone().flat_map(|row| {
                    let limit = |by: f64| Limit::Number(paper(row, none) + by);
                    [
                        Comparison::at_most((row, none), limit(2.0)),
                        Comparison::at_least((row, none), limit(-2.0)),
                    ]
                }),
            ),
            Claim::new(
                "DNI is at most at 2.7 % at depth 3",
                [Comparison::at_most((0, blind), Limit::Number(2.7))],
            ),
            Claim::new(
                "DNI degrades with depth: depth 6 is at least 1 point worse than depth 3",
                [Comparison::at_least(
                    (deepest, blind),
                    over((0, blind), 1.0),
                )],
            ),
            Claim::new(
                "DNI is at most at 5.5 % at depth 6",
                [Comparison::at_most((deepest, blind), Limit::Number(5.5))],
            ),
        ],
        notes: vec!["Figures are errors on the test images in percent."],
    }
}

/// Convolutional networks, every layer decoupled, by depth.
pub fn convolutional(scope: Scope) -> Study {
    const METHODS: [&[&str]; 3] = [&["backprop"], &["cdni"], &["dni"]];
    let [backprop, cdni, blind] = [0, 1, 2];
    /// The errors of the paper, by depth and method.
    const PAPER: [[&str; 3]; 2] = [["0.8", "1.0", "0.9"], ["0.6", "0.8", "0.7"]];
    /// Depth, network, steps, and how it learns by each method.
    const NETWORKS: [(usize, &str, usize, [&str; 3]); 2] = [
        (
            3,
            "--channels 16",
            3_000,
            [
                "",
                " --synthesizer probe:64",
                " --synthesizer mlp:256x256 --lr 0.001 --synthesizer-lr 0.001",
            ],
        ),
        (
            4,
            "--channels 32 --pool-stride 2",
            5_000,
            [
                "",
                " --synthesizer probe:64",
                " --synthesizer mlp:512 --lr 0.0005 --synthesizer-lr 0.001",
            ],
        ),
    ];
    let seeds = scope.choose(1, 3, 1);
    let mut calls = Vec::with_capacity(NETWORKS.len() * METHODS.len());
    for (depth, network, steps, hows) in NETWORKS {
        for (method, how) in METHODS.into_iter().zip(hows) {
            let ours = format!("--data mnist --model cnn --depth {depth} {network}{how}");
            let papers = format!("--preset paper-mnist-cnn --depth {depth}");
            let flags = scope.choose(ours.clone(), ours, papers);
            let work = (scope.choose(50, steps, 500_000), seeds);
            let name = format!("{}-depth{depth}", method[0]);
            calls.push(training(name, "images", flags, method, work));
        }
    }
    let rows = NETWORKS.iter().enumerate().map(|(row, (depth, ..))| {
        let cells = METHODS.iter().enumerate().map(|(column, method)| {
            let call = row * METHODS.len() + column;
            let figure = Figure::of_method(call, method[0], ERROR).in_percent();
            cell(figure, PAPER[row][column])
        });
        Row {
            name: depth.to_string(),
            digits: 2,
            cells: cells.collect(),
        }
    });
    let near_backprop = |text: &str, column| {
        let comparison = move |row| Comparison::at_most((row, column), over((row, backprop), 0.6));
        Claim::new(text, (0..NETWORKS.len()).map(comparison))
    };
    Study {
        calls,
        corner: "depth",
        columns: vec![
            Column::new("backprop", "paper"),
            Column::new("cDNI", "paper"),
            Column::new("DNI", "paper"),
        ],
        rows: rows.collect(),
        spread: Spread::Deviation,
        sample: "seed",
        claims: vec![
            near_backprop(
                "cDNI is at most 0.6 points worse than backprop at both depths",
                cdni,
            ),
            near_backprop(
                "DNI is at most 0.6 points worse than backprop at both depths",
                blind,
            ),
        ],
        notes: vec!["Figures are errors on the test images in percent."],
    }
}

/// Every layer learning in a share of the steps.
pub fn sparse(scope: Scope) -> Study {
    /// Probabilities, one over each, and the errors of the paper, read off its figure.
    const SHARES: [(&str, usize, &str); 5] = [
        ("0.05", 20, "1.8 to 2.0"),
        ("0.1", 10, "1.9 to 2.1"),
        ("0.2", 5, "2.0 to 2.2"),
        ("0.5", 2, ""),
        ("1", 1, "2.2 to 2.5"),
    ];
    let flags = scope.choose("--data mnist", "--data mnist", "--preset paper-mnist-fcn");
    let calls = SHARES.iter().map(|(share, inverse, _)| {
        let flags = format!("{flags} --depth 4 --update-probability {share}");
        let steps = scope.choose(150 * inverse, 3_000 * inverse, 500_000);
        let work = (steps, scope.choose(1, 3, 1));
        training(format!("p{share}"), "images", flags, &["cdni"], work)
    });
    let rows = SHARES.iter().enumerate().map(|(i, (share, _, paper))| Row {
        name: share.to_string(),
        digits: 2,
        cells: vec![cell(
            Figure::of_method(i, "cdni", ERROR).in_percent(),
            paper,
        )],
    });
    let [twentieth, fifth, whole] = [(0, 0), (2, 0), (4, 0)];
    Study {
        calls: calls.collect(),
        corner: "p",
        columns: vec![Column::new("test error %", "paper, 500,000 steps")],
        rows: rows.collect(),
        spread: Spread::Deviation,
        sample: "seed",
        claims: vec![
            Claim::new(
                "With p = 0.2 cDNI is at most at 2.3 %",
                [Comparison::at_most(fifth, Limit::Number(2.3))],
            ),
            Claim::new(
                "With p = 0.05 it is at most 0.5 points worse than with p = 1",
                [Comparison::at_most(twentieth, over(whole, 0.5))],
            ),
        ],
        notes: vec!["The paper's figures are read off a plot."],
    }
}

/// Synthetic inputs as well.
pub fn unlock(scope: Scope) -> Study {
    let standard = "--data mnist --depth 4 --unlock";
    let flags = scope.choose(standard, standard, "--preset paper-mnist-unlock --depth 4");
    let work = scope.choose((400, 1), (5_000, 3), (500_000, 1));
    Study {
        calls: vec![training("cdni", "images", flags, &["cdni"], work)],
        corner: "method",
        columns: vec![Column::new("test error %", "paper")],
        rows: vec![Row {
            name: "cDNI, complete unlock".to_string(),
            digits: 2,
            cells: vec![cell(
                Figure::of_method(0, "cdni", ERROR).in_percent(),
                "about 2",
            )],
        }],
        spread: Spread::Deviation,
        sample: "seed",
        claims: vec![Claim::new(
            "cDNI is at most at 2.6 %, the worst in the paper's plot",
            [Comparison::at_most((0, 0), Limit::Number(2.6))],
        )],
        notes: Vec::new(),
    }
}
