//! The tables by name.

mod images;
mod notebook;
mod race;
mod sequences;
mod speed;

use clap::ValueEnum;

use super::call::{Call, Work};
use super::claim::{Claim, Comparison, Limit, Place};
use super::scope::Scope;
use super::study::{Cell, Column, Figure, Row, Spread, Study};

/// A table of experiments/README.md, or one that belongs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// MNIST, every layer decoupled, by depth: backprop, cDNI, no gradient, DNI
    Feedforward,
    /// MNIST, convolutional networks, every layer decoupled, by depth: backprop, cDNI, DNI
    Convolutional,
    /// MNIST, every layer learning in a share of the steps
    Sparse,
    /// MNIST, synthetic inputs as well
    Unlock,
    /// Copy and Repeat Copy, by the steps of a window
    Recurrent,
    /// A character language model
    Text,
    /// Two networks that tick at different rates
    Clocks,
    /// The two programs of the notebook
    Notebook,
    /// Training steps on the CPU backends
    Speed,
    /// Time to an error of a dense network: layers that train at the same time, and their rivals, near
    /// and far
    Race,
    /// The same for a convolutional network
    RaceCnn,
}

impl Name {
    pub fn study(self, scope: Scope) -> Study {
        match self {
            Self::Feedforward => images::feedforward(scope),
            Self::Convolutional => images::convolutional(scope),
            Self::Sparse => images::sparse(scope),
            Self::Unlock => images::unlock(scope),
            Self::Recurrent => sequences::recurrent(scope),
            Self::Text => sequences::text(scope),
            Self::Clocks => sequences::clocks(scope),
            Self::Notebook => notebook::notebook(scope),
            Self::Speed => speed::speed(scope),
            Self::Race => race::dense(scope),
            Self::RaceCnn => race::convolutional(scope),
        }
    }

    /// As it is called on the command line and in the comments of a page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Feedforward => "feedforward",
            Self::Convolutional => "convolutional",
            Self::Sparse => "sparse",
            Self::Unlock => "unlock",
            Self::Recurrent => "recurrent",
            Self::Text => "text",
            Self::Clocks => "clocks",
            Self::Notebook => "notebook",
            Self::Speed => "speed",
            Self::Race => "race",
            Self::RaceCnn => "race-cnn",
        }
    }
}

/// A call that trains.
fn training(
    name: impl Into<String>,
    command: &'static str,
    flags: impl Into<String>,
    methods: &'static [&'static str],
    (steps, seeds): (usize, usize),
) -> Call {
    Call {
        name: name.into(),
        command,
        flags: flags.into(),
        work: Work::Training {
            methods,
            steps,
            seeds,
        },
    }
}

/// A cell whose figure was published, too.
fn cell(figure: Figure, reference: &'static str) -> Cell {
    Cell {
        figure: Some(figure),
        reference,
    }
}

/// `plus` more than another figure.
fn over(place: Place, plus: f64) -> Limit {
    Limit::Figure {
        place,
        times: 1.0,
        plus,
    }
}

/// So many times another figure.
fn times(place: Place, times: f64) -> Limit {
    Limit::Figure {
        place,
        times,
        plus: 0.0,
    }
}

/// A published figure that is a number.
fn number(reference: &str) -> f64 {
    reference
        .parse()
        .expect("the figure is compared with, so it is a number")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;

    use super::*;
    use crate::Cli;
    use crate::reproduce::block;
    use crate::reproduce::study::NOT_REACHED;

    const SCOPES: [Scope; 3] = [Scope::Quick, Scope::Standard, Scope::Paper];
    const PAGE: &str = include_str!("../../README.md");

    fn studies() -> impl Iterator<Item = (Name, Scope, Study)> {
        let names = Name::value_variants().iter();
        names.flat_map(|&name| SCOPES.map(|scope| (name, scope, name.study(scope))))
    }

    #[test]
    fn every_table_is_whole() {
        for (name, scope, study) in studies() {
            let about = format!("{name:?}, {scope:?}");
            let folders: BTreeSet<&str> = study.calls.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(folders.len(), study.calls.len(), "{about}");
            for call in &study.calls {
                let trial = match call.work {
                    Work::Training { methods, .. } => Some(call.trial(&methods[..1], 8)),
                    Work::Timing { .. } => None,
                    // It has flags of its own.
                    Work::Peer { .. } => continue,
                };
                for call in [Some(call), trial.as_ref()].into_iter().flatten() {
                    let line = format!("dni {call}");
                    let parsed = Cli::try_parse_from(line.split(' '));
                    assert!(parsed.is_ok(), "{about}: {line}");
                }
            }
            let mut figures = 0;
            for row in &study.rows {
                assert_eq!(row.cells.len(), study.columns.len(), "{about}");
                for figure in row.cells.iter().filter_map(|cell| cell.figure.as_ref()) {
                    figures += 1;
                    for call in &study.calls[figure.calls.clone()] {
                        let Work::Training { methods, .. } = call.work else {
                            continue;
                        };
                        let [[_, method]] = figure.of[..] else {
                            // Of one method the steps, of another the pace.
                            assert!(figure.race.is_some(), "{about}: {figure:?}");
                            continue;
                        };
                        assert!(methods.contains(&method), "{about}: {call} has no {method}");
                    }
                }
            }
            assert!(figures > 0, "{about}");
            // Figures of 0 everywhere are there to be compared.
            let samples = samples(&study, |_| vec![0.0]);
            assert!(study.render(scope, &samples).contains("reached"), "{about}");
        }
    }

    fn samples(
        study: &Study,
        values: impl Fn(Place) -> Vec<f64>,
    ) -> crate::reproduce::study::Samples {
        let rows = study.rows.iter().enumerate();
        rows.map(|(row, own)| {
            let cells = own.cells.iter().enumerate();
            cells
                .map(|(column, cell)| cell.figure.as_ref().map(|_| values((row, column))))
                .collect()
        })
        .collect()
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for &name in Name::value_variants() {
            let value = name.to_possible_value().expect("none is hidden");
            assert_eq!(value.get_name(), name.name());
        }
    }

    /// The tables in experiments/README.md have the form that the command writes, with verdicts that
    /// follow from their figures, and the page has the command lines of every run, or of a race that of
    /// all.
    #[test]
    fn the_page_has_what_the_command_writes() {
        let tables = Name::value_variants().iter();
        let in_page = tables.filter(|name| PAGE.contains(&block::begin(name.name())));
        let (mut found, mut wrong) = (0, String::new());
        for name in in_page {
            found += 1;
            let study = name.study(Scope::Standard);
            // Of the many runs of a race the command itself says which it makes.
            let lines: Vec<String> = match study.is_race() {
                true => vec![format!("$ cargo run -- reproduce {}\n", name.name())],
                false => {
                    let calls = study.calls.iter();
                    calls
                        .map(|call| format!("$ cargo run -- {call}\n"))
                        .collect()
                }
            };
            for line in lines {
                assert!(PAGE.contains(&line), "{name:?} needs the line {line}");
            }
            let block = block::find(PAGE, name.name()).expect("the page has a place for it");
            let values = |place| values_of(&study, block, place);
            let expected = study.render(Scope::Standard, &samples(&study, values));
            if block.trim() != expected.trim() {
                wrong += &format!("{}\n{expected}\n", block::begin(name.name()));
            }
        }
        assert!(wrong.is_empty(), "the page should have:\n{wrong}");
        assert!(found >= 4, "the page has lost its tables");
    }

    /// Figures of which a cell of a table in the page could be the summary.
    fn values_of(study: &Study, block: &str, (row, column): Place) -> Vec<f64> {
        let lines: Vec<&str> = block.lines().filter(|l| l.starts_with('|')).collect();
        let cells: Vec<&str> = lines[row + 2].split('|').map(str::trim).collect();
        let references = study.columns[..column].iter();
        let references = references.filter(|c| c.reference.is_some()).count();
        let cell = cells[2 + column + references];
        if cell == NOT_REACHED {
            return vec![f64::INFINITY];
        }
        let parse = |text: &str| -> f64 { text.trim().parse().expect(cell) };
        if let Some((_, each)) = cell.split_once('(') {
            return each.trim_end_matches(')').split(',').map(parse).collect();
        }
        let (_, count) = block.split_once("n = ").expect("the caption says how many");
        let count: String = count.chars().take_while(char::is_ascii_digit).collect();
        let count = parse(&count) as usize;
        let Some((mean, deviation)) = cell.split_once('±') else {
            return vec![parse(cell); count];
        };
        let (mean, deviation) = (parse(mean), parse(deviation));
        let mut values = vec![mean; count];
        let apart = deviation * ((count - 1) as f64 / 2.0).sqrt();
        values[0] -= apart;
        values[count - 1] += apart;
        values
    }
}
