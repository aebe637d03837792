//! The tables of the program are whole, and the page has what they make.

use std::collections::BTreeSet;

use clap::{Parser, ValueEnum};
use toml::Table;

use super::block;
use super::call::Call;
use super::data::{self, Scope};
use super::render::NOT_REACHED;
use super::study::{Line, Place, Study};
use crate::Cli;

const PAGE: &str = include_str!("../README.md");

#[test]
fn every_table_is_whole() {
    let scopes = |(name, _)| {
        Scope::value_variants()
            .iter()
            .map(move |&scope| (name, scope))
    };
    for (name, scope) in data::names().flat_map(scopes) {
        let (study, about) = (data::study(name, scope), format!("{name}, {scope:?}"));
        let folders: BTreeSet<&str> = study.calls.iter().map(|c| c.folder.as_str()).collect();
        assert_eq!(folders.len(), study.calls.len(), "{about}");
        for call in &study.calls {
            let (own, length) = (call.entry().is_some(), call.steps > 0);
            assert!(
                own && length || call.seconds.is_some(),
                "{about}: {call} without a length"
            );
            let exist = |keys: &[String], lines: &[Line]| {
                let exists = |key: &String| lines.iter().any(|line| line.key() == key);
                keys.iter().all(exists)
            };
            let rows_exist = exist(&call.rows, &study.rows);
            let columns_exist = exist(&call.columns, &study.columns);
            assert!(
                rows_exist && columns_exist,
                "{about}: {call} for rows or columns that there are not"
            );
            let text = format!("{} {call}", call.folder);
            assert!(!text.contains(['{', '}']), "{about}: {text}");
        }
        // Another program has flags of its own.
        for call in study.calls.iter().filter(|call| !call.is_peer()) {
            let trial = call.methods.first().map(|method| call.trial(method, 8));
            for call in [call].into_iter().chain(&trial) {
                let line = format!("dni {call}");
                let parsed = Cli::try_parse_from(line.split(' '));
                assert!(parsed.is_ok(), "{about}: {line}");
            }
        }
        assert!(!study.rows.is_empty(), "{about}");
        for call in &study.calls {
            let is_of = |(row, column)| call.belongs_to(&study.rows[row], &study.columns[column]);
            assert!(
                study.places().any(is_of),
                "{about}: there is no figure of {call}"
            );
        }
        // Figures of 0 everywhere are there to be compared.
        let text = study.render(&study.places().map(|place| (place, vec![0.0])).collect());
        assert!(
            text.contains("reached") && !text.contains(['{', '}']),
            "{about}: {text}"
        );
    }
}

/// A made-up table.
pub fn study(text: &str) -> Study {
    let table = text.parse().expect("it is TOML");
    data::under(Scope::Standard, table, Table::new()).expect("it is a table")
}

/// The tables in experiments/README.md have the form that the command writes, with verdicts that
/// follow from their figures, and the page has the command lines of every run, or of a race that of
/// all.
#[test]
fn the_page_has_what_the_command_writes() {
    let (mut found, mut wrong) = (0, String::new());
    let names = data::names().map(|(name, _)| name);
    for name in names.filter(|name| PAGE.contains(&block::begin(name))) {
        found += 1;
        let study = data::study(name, Scope::Standard);
        // Of the many runs of a race the command itself says which it makes.
        let lines: Vec<String> = match study.limit.is_some() {
            true => vec![format!("reproduce {name}")],
            false => study.calls.iter().map(Call::to_string).collect(),
        };
        for line in lines {
            let line = format!("$ cargo run -- {line}\n");
            assert!(PAGE.contains(&line), "{name} needs the line {line}");
        }
        let [_, block, _] = block::find(PAGE, name).expect("the page has a place for it");
        let figures = |place| (place, values_of(&study, block, place));
        let expected = study.render(&study.places().map(figures).collect());
        if block.trim() != expected.trim() {
            wrong += &format!("{}\n{expected}\n", block::begin(name));
        }
    }
    assert!(wrong.is_empty(), "the page should have:\n{wrong}");
    assert!(found >= 4, "the page has lost its tables");
}

/// Figures of which a cell of a table in the page could be the summary.
fn values_of(study: &Study, block: &str, (row, column): Place) -> Vec<f64> {
    let lines: Vec<&str> = block.lines().filter(|l| l.starts_with('|')).collect();
    let cells: Vec<&str> = lines[row + 2].split('|').map(str::trim).collect();
    let apart = 1 + usize::from(study.published.is_some());
    let cell = cells[2 + apart * column];
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
