//! The library's modules import each other in one direction only: the map on the front page lists
//! them from the bottom up, and none names one that stands below it there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    text.unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// All Rust files in a folder and those within.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder of the sources is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let within = paths.flat_map(|path| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    });
    let mut rust: Vec<PathBuf> = within
        .filter(|p| p.extension() == Some("rs".as_ref()))
        .collect();
    rust.sort();
    rust
}

/// The modules in the order of the map.
fn mapped(lib: &str) -> Vec<&str> {
    let map = lib.lines().skip_while(|line| *line != "//! # Map");
    let entries = map.filter_map(|line| line.strip_prefix("//! - "));
    entries
        .map(|entry| entry.split('`').nth(1).expect("an entry names its module"))
        .collect()
}

/// The modules that there are.
fn declared(lib: &str) -> Vec<&str> {
    let names = lib.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    names.collect()
}

/// The module that each name comes from which the crate's root exports again.
fn exported(lib: &str) -> BTreeMap<&str, &str> {
    let uses = lib.split("\npub use ").skip(1);
    let exports = uses.flat_map(|rest| {
        let (path, _) = rest.split_once(';').expect("it ends");
        let (module, names) = path.split_once("::").expect("it names a module");
        let names = names.trim_matches(['{', '}']).split(',').map(str::trim);
        let names = names.filter(|name| !name.is_empty());
        names.map(move |name| (name, module))
    });
    exports.collect()
}

/// What is compiled into the library: no comments, no unit tests, which stand last.
fn code(source: &str) -> String {
    let lines = source.lines();
    let lines = lines.take_while(|line| !line.ends_with("mod tests {"));
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first names of all paths from the crate's root, in a file so many modules deep.
fn from_root(code: &str, depth: usize) -> Vec<&str> {
    let up = "super::".repeat(depth);
    let mut names = Vec::new();
    for start in ["crate::", up.as_str()] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_none_or(|c| !is_of_name(c) && c != ':') {
                names.extend(first_names(&code[at + start.len()..]));
            }
        }
    }
    names
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name that a path begins with, or the names, if that is a group.
fn first_names(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else {
        return path.split(|c| !is_of_name(c)).take(1).collect();
    };
    let (mut open, mut names, mut start) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        if open == 0 && (c == ',' || c == '}') {
            names.extend(first_names(group[start..at].trim()));
            start = at + 1;
        }
        match c {
            '{' => open += 1,
            '}' if open == 0 => break,
            '}' => open -= 1,
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn the_map_has_every_module_once() {
    let lib = read(&src().join("lib.rs"));
    let (mut mapped, mut declared) = (mapped(&lib), declared(&lib));
    mapped.sort_unstable();
    declared.sort_unstable();
    assert_eq!(mapped, declared);
}

#[test]
fn modules_import_from_those_above_them_in_the_map() {
    let lib = read(&src().join("lib.rs"));
    let (order, exported) = (mapped(&lib), exported(&lib));
    let place = |module: &str| order.iter().position(|known| *known == module);
    let (mut imports, mut against) = (0, Vec::new());
    for path in files(&src()) {
        let file = path.strip_prefix(src()).expect("it was found there");
        if file == Path::new("lib.rs") {
            continue;
        }
        let mut parts = file.iter().map(|part| part.to_str().expect("it is UTF-8"));
        let importer = parts.next().expect("a file has a name");
        let importer = importer.trim_end_matches(".rs");
        let depth = file.iter().count() - usize::from(file.ends_with("mod.rs"));
        for name in from_root(&code(&read(&path)), depth) {
            let imported = exported.get(name).copied().unwrap_or(name);
            let (Some(above), Some(below)) = (place(imported), place(importer)) else {
                panic!("{}: '{name}' is in no module of the map", file.display());
            };
            imports += usize::from(above < below);
            if above > below {
                against.push(format!("{}: {imported}", file.display()));
            }
        }
    }
    against.dedup();
    assert!(
        against.is_empty(),
        "these import a module that stands below their own in the map of src/lib.rs; move what they \
         need down to where both may have it:\n{}",
        against.join("\n")
    );
    assert!(imports > 100, "only {imports} imports were found");
}

#[test]
fn paths_from_the_root_are_found_however_they_are_written() {
    let source = "
        //! crate::comment
        use crate::error::{Error, Result};
        use crate::{loss::{Loss, Reduction}, pass::Input, Chain};
        pub(in crate::section) fn f(_: &crate::place::Place) -> super::host::Values {}
        use super::super::host;
        use other_crate::data;
        use std::ops::Range;
#[cfg(test)]
pub(super) mod tests {
        use crate::run::RunFolder;
    ";
    let at_depth = |depth| {
        let code = code(source);
        let found = from_root(&code, depth).into_iter().map(String::from);
        found.collect::<Vec<_>>()
    };
    let named = ["error", "loss", "pass", "Chain", "section", "place"];
    assert_eq!(at_depth(1)[..6], named);
    assert_eq!(at_depth(1)[6..], ["host", "super"]);
    assert_eq!(at_depth(2)[6..], ["host"]);
    let lib = "\npub use loss::{Loss, Reduction};\npub use place::Place;\n";
    let exported = exported(lib);
    assert_eq!(exported["Reduction"], "loss");
    assert_eq!(exported["Place"], "place");
}
